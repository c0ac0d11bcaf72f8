//! Azure's resources as typed values: what the documents of a scale set and its network say.
//!
//! Ground layer: only what the NAT map, its findings and the diagnosis need; keys, custom data and
//! tags have no place here. Reading them from JSON is `azure`'s work, what follows from them
//! `resolver`'s. Names of members are ours; the names that Azure has for them stand in `azure::wire`.

mod id;
mod instance;
mod load_balancer;
mod scale_set;
mod security_group;

pub use id::{Kind, ResourceId};
pub use instance::{Card, CardConfiguration, Machine, Membership};
pub use load_balancer::{
    BackendAddress, BackendPool, Frontend, FrontendAddress, LoadBalancer, NatPool, NatRule, PortMapping,
    PublicAddress, RuleTarget,
};
pub use scale_set::{CardModel, ConfigurationModel, Orchestration, Os, ScaleSet};
pub use security_group::{Access, PortSpan, SecurityGroup, SecurityRule, Subnet};

use crate::natmap::{FrontendPort, Host, InstanceId};

/// All that is known about a scale set and its surroundings, from however many documents. Nothing in
/// it is guessed; `*_listed` says whether a list is known to be whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// Scale-set models.
    pub scale_sets: Vec<ScaleSet>,
    /// Instances: of Uniform sets, or virtual machines of Flexible ones (and others that happened to be
    /// in the same list).
    pub machines: Vec<Machine>,
    /// True where all instances of the scale set are in `machines`, so that one that is not there is gone.
    pub machines_listed: bool,
    /// Network cards.
    pub cards: Vec<Card>,
    /// True where all cards of the scale set are in `cards`.
    pub cards_listed: bool,
    /// Load balancers, or the parts of them that the documents tell.
    pub load_balancers: Vec<LoadBalancer>,
    /// Public addresses: of frontends and of instances.
    pub public_addresses: Vec<PublicAddress>,
    /// Network security groups.
    pub security_groups: Vec<SecurityGroup>,
    /// Subnets, for the security group that each refers to.
    pub subnets: Vec<Subnet>,
    /// `az vmss list-instance-connection-info`; `None` where there was no such document.
    pub connection_info: Option<Vec<ConnectionInfoLine>>,
    /// `az network lb list-mapping`: mappings of an address that the answer does not name.
    pub loose_mappings: Vec<PortMapping>,
    /// Resources that are referred to and could not be read, with the reason.
    pub unread: Vec<Unread>,
    /// Documents that were given and say nothing about a scale set, by name.
    pub unknown: Vec<UnknownDocument>,
    /// Documents that are empty lists, by name: which list it is, they do not tell.
    pub empty: Vec<String>,
}

/// One `"instance 3": "20.1.2.3:50003"`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConnectionInfoLine {
    /// The instance's id.
    pub instance: InstanceId,
    /// The frontend's address; `None` where az printed `None`: the public address has none yet.
    pub address: Option<Host>,
    /// The frontend port.
    pub port: FrontendPort,
}

/// A resource that Azure did not let us read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// What it is.
    pub id: ResourceId,
    /// Why not, in a few words: `it does not exist`, `no right to read it`.
    pub reason: String,
}

/// A document of no known shape among others that were recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownDocument {
    /// The file's name, or its place in the stream.
    pub name: String,
    /// What it looks like.
    pub looks_like: String,
}

impl Resources {
    /// Joins what another set of documents says. Of two documents about one resource the later one
    /// wins, except for load balancers, whose parts are put together.
    pub fn merge(&mut self, other: Self) {
        replace(&mut self.scale_sets, other.scale_sets, |r| &r.id);
        replace(&mut self.cards, other.cards, |r| &r.id);
        replace(&mut self.security_groups, other.security_groups, |r| &r.id);
        replace(&mut self.subnets, other.subnets, |r| &r.id);
        replace(&mut self.public_addresses, other.public_addresses, |r| &r.id);
        join(&mut self.machines, other.machines, |r| &r.id, Machine::merge);
        join(&mut self.load_balancers, other.load_balancers, |r| &r.id, LoadBalancer::merge);
        self.machines_listed |= other.machines_listed;
        self.cards_listed |= other.cards_listed;
        if let Some(lines) = other.connection_info {
            let there = self.connection_info.get_or_insert_default();
            let seen: std::collections::HashSet<_> = there.iter().cloned().collect();
            there.extend(lines.into_iter().filter(|line| !seen.contains(line)));
        }
        self.loose_mappings.extend(other.loose_mappings);
        self.unread.extend(other.unread);
        self.unknown.extend(other.unknown);
        self.empty.extend(other.empty);
    }

    /// True where no document said anything that a map could be made of.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let lists = [
            self.scale_sets.len(),
            self.machines.len(),
            self.cards.len(),
            self.load_balancers.len(),
            self.public_addresses.len(),
            self.security_groups.len(),
            self.subnets.len(),
            self.loose_mappings.len(),
        ];
        lists.iter().all(|length| *length == 0) && self.connection_info.is_none()
    }
}

/// Puts `more` behind `there`; one that is there already is replaced.
fn replace<T>(there: &mut Vec<T>, more: Vec<T>, id: fn(&T) -> &ResourceId) {
    join(there, more, id, |old, new| *old = new);
}

/// Puts `more` behind `there`; one that is there already is given to `merge`.
fn join<T>(there: &mut Vec<T>, more: Vec<T>, id: fn(&T) -> &ResourceId, merge: fn(&mut T, T)) {
    let mut places: std::collections::HashMap<ResourceId, usize> =
        there.iter().enumerate().map(|(place, item)| (id(item).clone(), place)).collect();
    for item in more {
        match places.get(id(&item)).and_then(|place| there.get_mut(*place)) {
            Some(old) => merge(old, item),
            None => {
                places.insert(id(&item).clone(), there.len());
                there.push(item);
            }
        }
    }
}
