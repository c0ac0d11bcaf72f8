//! Instances as they are reached from inside their network.

use std::net::IpAddr;

use thiserror::Error;

use super::{
    BackendPort, Endpoint, FrontendPort, Host, HostKeyAlias, Instance, InstanceSet, NatMap, SelectError,
    display_set,
};

/// An instance at its private address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// What a sibling dials.
    pub endpoint: Endpoint,
    /// The name that its host key is filed under: the same as when it is dialled from outside.
    pub known_as: HostKeyAlias,
}

/// Why a set can't be reached from inside.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InsideError {
    /// It names nothing.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// No document tells the private addresses of these.
    #[error("the private address of {0} is not known")]
    NoPrivateAddress(String),
}

impl NatMap {
    /// The instances of a set at their private addresses and this port, as a sibling behind `frontend` reaches
    /// them. One needs no rule for that.
    ///
    /// # Errors
    /// When a part of the set matches no instance, nothing is left, or an address is not known.
    pub fn inside(
        &self,
        set: &InstanceSet,
        port: BackendPort,
        frontend: &Host,
    ) -> Result<Vec<Inside>, InsideError> {
        self.check_terms(set)?;
        let wanted: Vec<_> = self.instances.iter().filter(|instance| set.contains(instance)).collect();
        if wanted.is_empty() {
            return Err(SelectError::Nothing.into());
        }
        let (mut inside, mut unknown) = (Vec::with_capacity(wanted.len()), Vec::new());
        for instance in wanted {
            match self.private_address(instance) {
                Some(address) => inside.push(self.instance_inside(instance, address, port, frontend)),
                None => unknown.push(instance.id.clone()),
            }
        }
        if unknown.is_empty() {
            Ok(inside)
        } else {
            Err(InsideError::NoPrivateAddress(display_set(&unknown)))
        }
    }

    fn private_address(&self, instance: &Instance) -> Option<IpAddr> {
        let of_rule = || {
            let mut entries = self.entries.iter().filter(|e| e.instance.as_ref() == Some(&instance.id));
            entries.find_map(|entry| entry.private_address)
        };
        instance.private_addresses.first().copied().or_else(of_rule)
    }

    fn instance_inside(
        &self,
        instance: &Instance,
        address: IpAddr,
        port: BackendPort,
        frontend: &Host,
    ) -> Inside {
        let endpoint = Endpoint {
            instance: Some(instance.id.clone()),
            name: instance.name.clone(),
            vm_id: instance.vm_id.clone(),
            host: Host::Ip(address),
            port: FrontendPort::from(port),
        };
        let leads_here = |entry: &&super::Entry| {
            entry.instance.as_ref() == Some(&instance.id)
                && entry.address.is_some()
                && (entry.via.is_own_address() || entry.backend_port.is_none_or(|backend| backend == port))
        };
        let from_outside = || {
            let entry = self.entries.iter().find(leads_here)?;
            Some(Endpoint { port: entry.port_to(Some(port)), ..self.endpoint(entry)? }.host_key_alias())
        };
        let known_as = match &instance.vm_id {
            Some(vm_id) => HostKeyAlias::of_machine(vm_id),
            None => from_outside().unwrap_or_else(|| HostKeyAlias::behind(frontend, address)),
        };
        Inside { endpoint, known_as }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::natmap::{Entry, Via};

    fn map() -> NatMap {
        let instance = |id: usize, vm_id: Option<&str>, address: Option<&str>| Instance {
            vm_id: vm_id.map(Into::into),
            private_addresses: address.into_iter().map(|a| a.parse().unwrap()).collect(),
            ..Instance::new(id.into())
        };
        let entry = |id: usize, port: u64| {
            let frontend = Some("20.1.2.3".parse().unwrap());
            Entry::new(Some(id.into()), frontend, port.try_into().unwrap(), Via::NatRule)
        };
        let mut map = NatMap::from_entries(vec![entry(0, 50000), entry(1, 50001)]);
        map.instances = vec![
            instance(0, None, Some("10.0.0.4")),
            instance(1, Some("ABC"), Some("10.0.0.5")),
            instance(2, None, Some("10.0.0.6")),
            instance(3, None, None),
        ];
        map
    }

    #[test]
    fn a_host_key_is_filed_under_one_name_whichever_the_way() {
        let (port, frontend) = (BackendPort::try_from(22).unwrap(), "20.1.2.3".parse().unwrap());
        let inside = map().inside(&"0-2".parse().unwrap(), port, &frontend).unwrap();
        let seen: Vec<_> =
            inside.iter().map(|i| (i.endpoint.to_string(), i.known_as.as_str().to_owned())).collect();
        let expected = [
            ("10.0.0.4:22", "[20.1.2.3]:50000"),
            ("10.0.0.5:22", "abc"),
            // Nothing leads to it from outside.
            ("10.0.0.6:22", "10.0.0.6%20.1.2.3"),
        ];
        assert_eq!(seen, expected.map(|(endpoint, alias)| (endpoint.to_owned(), alias.to_owned())));
        let direct = map().select(&"0".parse().unwrap(), Some(port)).unwrap();
        assert_eq!(direct[0].host_key_alias(), inside[0].known_as);
    }

    #[test]
    fn an_address_that_is_not_known_is_an_error_that_names_the_instance() {
        let (port, frontend) = (BackendPort::try_from(22).unwrap(), "20.1.2.3".parse().unwrap());
        let inside = |set: &str| map().inside(&set.parse().unwrap(), port, &frontend).unwrap_err();
        assert_eq!(inside("2-3"), InsideError::NoPrivateAddress("3".into()));
        assert!(matches!(inside("9"), InsideError::Select(SelectError::NoSuchInstance { .. })));
    }
}
