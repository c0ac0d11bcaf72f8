use std::net::IpAddr;

use super::ResourceId;
use crate::natmap::{BackendPort, FrontendPort, Protocol};

/// A load balancer, or what the documents tell of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadBalancer {
    /// Its id.
    pub id: ResourceId,
    /// `Basic`, `Standard` or `Gateway`, as spelled.
    pub sku: Option<String>,
    /// Its frontends; `None` where no document lists them.
    pub frontends: Option<Vec<Frontend>>,
    /// Its backend pools; `None` where no document lists them.
    pub backend_pools: Option<Vec<BackendPool>>,
    /// Its inbound NAT rules of both versions; `None` where no document lists them.
    pub nat_rules: Option<Vec<NatRule>>,
    /// True where all of its rules are in `nat_rules`, and not only those that were shown one by one.
    pub rules_listed: bool,
    /// Its inbound NAT pools (version 1); those of which documents tell.
    pub nat_pools: Vec<NatPool>,
}

impl LoadBalancer {
    /// A load balancer of which only the id is known.
    #[must_use]
    pub fn unknown(id: ResourceId) -> Self {
        Self {
            id,
            sku: None,
            frontends: None,
            backend_pools: None,
            nat_rules: None,
            rules_listed: false,
            nat_pools: Vec::new(),
        }
    }

    /// Puts the parts of another document beside those that are there; a part that both have is the
    /// later one's.
    pub(super) fn merge(&mut self, later: Self) {
        self.sku = later.sku.or(self.sku.take());
        self.frontends = later.frontends.or(self.frontends.take());
        merge_parts(&mut self.backend_pools, later.backend_pools, |pool| &pool.id);
        self.rules_listed |= later.rules_listed;
        merge_parts(&mut self.nat_rules, later.nat_rules, |rule| &rule.id);
        super::replace(&mut self.nat_pools, later.nat_pools, |pool| &pool.id);
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.id.name()
    }

    /// A frontend by its id.
    #[must_use]
    pub fn frontend(&self, id: &ResourceId) -> Option<&Frontend> {
        self.frontends.iter().flatten().find(|frontend| frontend.id == *id)
    }
}

fn merge_parts<T>(there: &mut Option<Vec<T>>, more: Option<Vec<T>>, id: fn(&T) -> &ResourceId) {
    if let Some(more) = more {
        super::replace(there.get_or_insert_default(), more, id);
    }
}

/// A frontend: the address that a load balancer listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontend {
    /// Its id.
    pub id: ResourceId,
    /// Where it gets its address from.
    pub address: FrontendAddress,
}

/// Where a frontend gets its address from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrontendAddress {
    /// A public address, by id: its own document tells the address.
    Public(ResourceId),
    /// An internal load balancer: an address of the virtual network, `None` while it has none.
    Private(Option<IpAddr>),
    /// The document tells neither.
    Unknown,
}

/// A backend pool and its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendPool {
    /// Its id.
    pub id: ResourceId,
    /// Its members.
    pub addresses: Vec<BackendAddress>,
}

/// A member of a backend pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendAddress {
    /// The card's IP configuration; `None` in a pool of bare addresses.
    pub configuration: Option<ResourceId>,
    /// The private address, in a pool of bare addresses.
    pub address: Option<IpAddr>,
    /// The virtual network of a bare address.
    pub virtual_network: Option<ResourceId>,
    /// The ports that NAT rules of version 2 gave it.
    pub mappings: Vec<PortMapping>,
}

/// A port that a NAT rule of version 2 gave to one member of its pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortMapping {
    /// The rule's name, within the load balancer.
    pub rule: String,
    /// The port on the frontend.
    pub frontend_port: FrontendPort,
    /// The port on the instance.
    pub backend_port: BackendPort,
}

/// An inbound NAT rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatRule {
    /// Its id.
    pub id: ResourceId,
    /// The transport.
    pub protocol: Protocol,
    /// The frontend that it listens on.
    pub frontend: Option<ResourceId>,
    /// The port on the frontend (version 1).
    pub frontend_port: Option<FrontendPort>,
    /// First and last port of its range (version 2).
    pub range: Option<(FrontendPort, FrontendPort)>,
    /// The port on the instance.
    pub backend_port: Option<BackendPort>,
    /// What it leads to.
    pub target: RuleTarget,
    /// After this many minutes without traffic the load balancer forgets a connection.
    pub idle_timeout_minutes: Option<u16>,
    /// Whether both ends are told (RST) when it does.
    pub tcp_reset: Option<bool>,
}

/// What an inbound NAT rule leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleTarget {
    /// One IP configuration of a card (version 1).
    Configuration(ResourceId),
    /// The members of a backend pool (version 2); which has which port stands in the pool.
    Pool(ResourceId),
    /// Nothing: the rule waits to be attached to a card.
    Nothing,
}

/// An inbound NAT pool (version 1): a range of ports for the instances of one scale set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatPool {
    /// Its id; where a document has none, only its name.
    pub id: ResourceId,
    /// The transport.
    pub protocol: Protocol,
    /// The frontend that it listens on.
    pub frontend: Option<ResourceId>,
    /// The first port.
    pub start: FrontendPort,
    /// The last port, included.
    pub end: FrontendPort,
    /// The port on the instances.
    pub backend_port: BackendPort,
    /// As a rule's.
    pub idle_timeout_minutes: Option<u16>,
}

/// A public address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicAddress {
    /// Its id.
    pub id: ResourceId,
    /// The address; `None` while none is assigned.
    pub address: Option<IpAddr>,
    /// What uses it: a frontend or a card's IP configuration.
    pub used_by: Option<ResourceId>,
    /// `Basic` or `Standard`, as spelled.
    pub sku: Option<String>,
    /// As a rule's.
    pub idle_timeout_minutes: Option<u16>,
}
