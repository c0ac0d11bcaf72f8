//! Typed documents and the maps that follow from them. Reading them from JSON is `azure`'s work.

use super::{
    BackendPort, Entry, Finding, FrontendPort, Host, InstanceId, Known, NatMap, Protocol, Severity, Via,
};

/// A document that a map can be built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// `az vmss list-instance-connection-info`.
    ConnectionInfo(ConnectionInfo),
    /// `az network lb inbound-nat-pool show` or `list`.
    NatPools(Vec<NatPool>),
}

/// What `az vmss list-instance-connection-info` prints: instance and frontend endpoint, no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// One line per instance, in any order.
    pub lines: Vec<ConnectionInfoLine>,
}

/// One `"instance 3": "20.1.2.3:50003"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionInfoLine {
    /// The instance's id.
    pub instance: InstanceId,
    /// The frontend's address; `None` where az printed `None`: the public address has none yet.
    pub address: Option<Host>,
    /// The frontend port.
    pub port: FrontendPort,
}

/// What `az network lb inbound-nat-pool show` prints: a range, and no instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatPool {
    /// The pool's name.
    pub name: String,
    /// The load balancer's name and resource group, where the pool's id tells them.
    pub load_balancer: Option<(String, String)>,
    /// First and last frontend port.
    pub start: FrontendPort,
    /// Last frontend port, included.
    pub end: FrontendPort,
    /// The port on the instances.
    pub backend_port: BackendPort,
    /// The transport.
    pub protocol: Protocol,
}

impl NatMap {
    /// The map that a document states. `address` is the user's word for the frontend's address,
    /// used where the document does not tell it.
    #[must_use]
    pub fn from_document(document: &Document, address: Option<&Host>) -> Self {
        match document {
            Document::ConnectionInfo(info) => Self::from_connection_info(info, address),
            Document::NatPools(pools) => Self::from_nat_pools(pools, address),
        }
    }

    /// The map that a connection-info listing states, sorted by instance id (az sorts as text).
    fn from_connection_info(info: &ConnectionInfo, address: Option<&Host>) -> Self {
        let mut lines: Vec<_> = info.lines.iter().collect();
        lines.sort_by(|a, b| a.instance.cmp(&b.instance));
        let without_address: Vec<_> = lines
            .iter()
            .filter(|l| l.address.is_none() && address.is_none())
            .map(|l| l.instance.clone())
            .collect();
        let mut findings = Vec::new();
        if lines.is_empty() {
            findings.push(Finding {
                code: "no-nat-rule",
                severity: Severity::Warning,
                message: "the list names no instance: its load balancer has no inbound NAT rule".into(),
                hint: Some(
                    "see the rules: `az network lb inbound-nat-rule list -g GROUP --lb-name NAME`".into(),
                ),
            });
        }
        if !without_address.is_empty() {
            findings.push(Finding {
                code: "address-unknown",
                severity: Severity::Error,
                message: format!(
                    "the frontend of instances {} has no public address yet",
                    super::display_set(&without_address)
                ),
                hint: Some(
                    "see whether one is assigned: `az network public-ip list -g GROUP -o table`".into(),
                ),
            });
        }
        let entries = lines
            .into_iter()
            .map(|line| Entry {
                instance: Some(line.instance.clone()),
                name: None,
                address: line.address.as_ref().or(address).cloned(),
                port: line.port,
                backend_port: None,
                protocol: Protocol::Tcp,
                via: Via::NatRule,
                rule: None,
                known: Known::Listed,
            })
            .collect();
        Self { entries, findings }.with_shared_endpoints_found()
    }

    /// The *possible* ports of NAT pools. A pool says neither which instance has which port (the
    /// port is not `start + id`) nor what its frontend's address is; `address` is the user's word
    /// for the latter.
    fn from_nat_pools(pools: &[NatPool], address: Option<&Host>) -> Self {
        let mut map = Self::default();
        for pool in pools {
            map.entries.extend((pool.start.get()..=pool.end.get()).filter_map(|port| {
                Some(Entry {
                    instance: None,
                    name: None,
                    address: address.cloned(),
                    port: FrontendPort::try_from(u64::from(port)).ok()?,
                    backend_port: Some(pool.backend_port),
                    protocol: pool.protocol,
                    via: Via::NatPool,
                    rule: Some(pool.name.clone()),
                    known: Known::Computed,
                })
            }));
            map.findings.push(Finding {
                code: "possible-ports",
                severity: Severity::Info,
                message: format!(
                    "pool \"{}\" gives the range {}-{}, not which instance has which port (it is not start + id)",
                    pool.name, pool.start, pool.end
                ),
                hint: Some("save the real list: `az vmss list-instance-connection-info -g GROUP -n NAME > ports.json`".into()),
            });
            if address.is_none() {
                let (group, balancer) =
                    pool.load_balancer.clone().unwrap_or_else(|| ("GROUP".into(), "NAME".into()));
                map.findings.push(Finding {
                    code: "address-unknown",
                    severity: Severity::Warning,
                    message: format!("pool \"{}\" names its frontend, not the frontend's address", pool.name),
                    hint: Some(format!(
                        "look it up (`az network lb frontend-ip list -g {group} --lb-name {balancer}`, \
                         `az network public-ip list -g {group}`) and give it with `--address`"
                    )),
                });
            }
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, address: Option<&str>, port: u64) -> ConnectionInfoLine {
        ConnectionInfoLine {
            instance: InstanceId::new(id),
            address: address.map(|a| a.parse().unwrap()),
            port: port.try_into().unwrap(),
        }
    }

    #[test]
    fn a_listing_is_sorted_by_id_and_its_contradictions_are_found() {
        let info = ConnectionInfo {
            lines: vec![
                line("10", Some("20.1.2.3"), 50000),
                line("2", Some("20.1.2.3"), 50000),
                line("3", None, 50003),
            ],
        };
        let map = NatMap::from_connection_info(&info, None);
        let ids: Vec<_> = map.instances().iter().map(ToString::to_string).collect();
        assert_eq!(ids, ["2", "3", "10"]);
        let codes: Vec<_> = map.findings.iter().map(|f| f.code).collect();
        assert_eq!(codes, ["address-unknown", "shared-endpoint"]);
        assert_eq!(map.findings[1].message, "instances 2 and 10 are both listed on 20.1.2.3:50000");
    }

    #[test]
    fn a_pool_gives_possible_ports_and_no_instance() {
        let pool = NatPool {
            name: "ssh".into(),
            load_balancer: Some(("prod-rg".into(), "web-lb".into())),
            start: 50000.try_into().unwrap(),
            end: 50002.try_into().unwrap(),
            backend_port: 22.try_into().unwrap(),
            protocol: Protocol::Tcp,
        };
        let map = NatMap::from_nat_pools(std::slice::from_ref(&pool), None);
        assert_eq!(map.entries.len(), 3);
        assert!(map.entries.iter().all(|e| e.is_possible() && e.endpoint().is_none()));
        assert!(map.findings[1].hint.as_ref().unwrap().contains("-g prod-rg --lb-name web-lb"));
        let map = NatMap::from_nat_pools(&[pool], Some(&"20.1.2.3".parse().unwrap()));
        assert_eq!(map.entries[2].endpoint().unwrap().to_string(), "20.1.2.3:50002");
        assert_eq!(map.findings.len(), 1);
    }
}
