//! The NAT map: which endpoint on a frontend leads to which instance, and how that is known.
//!
//! Ground layer: values and look-ups. What makes a map of documents is `resolver`; where they come from
//! (files, Azure, the lab) is no concern of either.

mod endpoint;
mod entry;
mod finding;
mod inside;
mod instance;
mod port;
mod range;
mod select;
mod shard;

use std::collections::{HashMap, HashSet};

pub use endpoint::{Endpoint, Host, HostError, HostKeyAlias};
pub use entry::{Entry, Known, Protocol, Rule, Scope, Via};
pub use finding::{Finding, FindingCode, Severity};
pub use inside::{Inside, InsideError};
pub use instance::{Instance, InstanceId, NoPower, Power};
pub use port::{BackendPort, FrontendPort, PortError};
pub use range::{PortRange, RangeError};
pub use select::{
    InstanceSet, InstanceSetError, SelectError, display_endpoints, display_set, one_per_instance,
};
pub use shard::{Shard, ShardError};

/// The NAT map of one target: its instances, the ways in to them in the order in which they are shown,
/// and what is noteworthy about both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NatMap {
    /// The scale set, where the target is one.
    pub scale_set: Option<ScaleSetName>,
    /// The user that Azure made on each instance, where known.
    pub admin_username: Option<String>,
    /// All instances, those without a way in among them, sorted by id.
    pub instances: Vec<Instance>,
    /// Instances that are gone while rules still lead to them, sorted by id. Their entries are part of what
    /// Azure has, and are never dialled: the port is silent, or another instance's already.
    pub gone: Vec<Instance>,
    /// One entry per way in; an instance may have several (SSH and RDP, IPv4 and IPv6) or none.
    pub entries: Vec<Entry>,
    /// What the documents leave open or get wrong.
    pub findings: Vec<Finding>,
}

/// How Azure names a scale set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScaleSetName {
    /// The subscription's id.
    pub subscription: String,
    /// The resource group.
    pub group: String,
    /// The scale set's own name.
    pub name: String,
}

impl NatMap {
    /// Builds the map of a plain range: instance `k` is on port `start + k`, by definition.
    #[must_use]
    pub fn from_range(range: &PortRange) -> Self {
        let entries = range.ports().enumerate().map(|(place, port)| Entry {
            known: Known::Computed,
            ..Entry::new(Some(place.into()), Some(range.host.clone()), port, Via::Range)
        });
        // Room for all at once, here and below: growing vectors cost a fast run more than its probes do.
        let mut all = Vec::with_capacity(range.count());
        all.extend(entries);
        Self::from_entries(all)
    }

    /// A map of entries whose instances are known by their ids only.
    #[must_use]
    pub fn from_entries(entries: Vec<Entry>) -> Self {
        let mut seen = HashSet::with_capacity(entries.len());
        let ids = entries.iter().filter_map(|entry| entry.instance.as_ref());
        let mut instances = Vec::with_capacity(entries.len());
        instances.extend(ids.filter(|id| seen.insert(*id)).map(|id| Instance::new(id.clone())));
        instances.sort_by(|a, b| a.id.cmp(&b.id));
        Self { instances, entries, ..Self::default() }
    }

    /// The ids of all instances, in order.
    pub fn instance_ids(&self) -> impl Iterator<Item = &InstanceId> {
        self.instances.iter().map(|instance| &instance.id)
    }

    /// An instance by its id.
    #[must_use]
    pub fn instance(&self, id: &InstanceId) -> Option<&Instance> {
        let place = self.instances.binary_search_by(|instance| instance.id.cmp(id)).ok()?;
        self.instances.get(place)
    }

    /// The instance that an entry leads to, one that is gone too; `None` for a possible port.
    #[must_use]
    pub fn instance_of(&self, entry: &Entry) -> Option<&Instance> {
        let id = entry.instance.as_ref()?;
        self.instance(id).or_else(|| self.gone.iter().find(|instance| instance.id == *id))
    }

    /// Whether an entry leads to an instance that is gone.
    #[must_use]
    pub fn is_gone(&self, entry: &Entry) -> bool {
        entry.instance.as_ref().is_some_and(|id| self.gone.iter().any(|instance| instance.id == *id))
    }

    /// What to dial for an entry; `None` where the rule is not TCP, neither the address nor the instance is
    /// known, or the instance is gone.
    #[must_use]
    pub fn endpoint(&self, entry: &Entry) -> Option<Endpoint> {
        let names_nothing = entry.address.is_none() && entry.instance.is_none();
        if entry.protocol != Protocol::Tcp || names_nothing || self.is_gone(entry) {
            return None;
        }
        let instance = self.instance_of(entry);
        Some(Endpoint {
            instance: entry.instance.clone(),
            name: instance.and_then(|instance| instance.name.clone()),
            vm_id: instance.and_then(|instance| instance.vm_id.clone()),
            host: entry.address.clone().unwrap_or(Host::Unknown),
            port: entry.port,
        })
    }

    /// A finding for every endpoint that two instances claim: one of them is wrong, and nothing here can
    /// tell which.
    #[must_use]
    pub fn shared_endpoints(&self) -> Vec<Finding> {
        let mut first: HashMap<_, &InstanceId> = HashMap::new();
        let mut findings = Vec::new();
        for entry in self.entries.iter().filter(|entry| !self.is_gone(entry)) {
            let (Some(id), Some(address)) = (&entry.instance, &entry.address) else { continue };
            let other = *first.entry((address, entry.port, entry.protocol)).or_insert(id);
            if other != id {
                let message = format!(
                    "instances {other} and {id} are both listed on {}",
                    endpoint::socket_text(address, entry.port)
                );
                findings.push(
                    Finding::new(FindingCode::SharedEndpoint, message)
                        .hint("take the list again: one of the two has moved")
                        .about(vec![other.clone(), id.clone()]),
                );
            }
        }
        findings
    }
}
