use std::net::IpAddr;

use serde::Serialize;

use super::{BackendPort, FrontendPort, Host, InstanceId};

/// One way in: a frontend address and port, and what is behind it.
///
/// Every NAT model of Azure fits: what a model or a document does not tell is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The instance behind the port. `None` for a *possible* port: the range is known, but not
    /// which instance has which port.
    pub instance: Option<InstanceId>,
    /// The frontend's address; `None` where the document names a frontend but not its address.
    pub address: Option<Host>,
    /// The port to dial.
    pub port: FrontendPort,
    /// The port on the instance, where the document tells it.
    pub backend_port: Option<BackendPort>,
    /// The transport of the rule. Only TCP can be probed and signed in to.
    pub protocol: Protocol,
    /// The kind of way in.
    pub via: Via,
    /// How sure the entry is.
    pub known: Known,
    /// What makes the way in, as far as the documents tell.
    pub rule: Rule,
    /// The private address that the way leads to.
    pub private_address: Option<IpAddr>,
}

/// The parts of a load balancer that make a way in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// The NAT rule's name.
    pub name: Option<String>,
    /// The NAT pool's name, or the backend pool's for rules of version 2.
    pub pool: Option<String>,
    /// The load balancer's name.
    pub load_balancer: Option<String>,
    /// The load balancer's resource group.
    pub load_balancer_group: Option<String>,
    /// The frontend's name.
    pub frontend: Option<String>,
    /// From where the frontend can be reached.
    pub scope: Option<Scope>,
    /// After this many minutes without traffic the load balancer forgets a connection.
    pub idle_timeout_minutes: Option<u16>,
    /// Whether both ends are told (RST) when it does.
    pub tcp_reset: Option<bool>,
}

impl Entry {
    /// A way in of which no more is known than what is dialled.
    #[must_use]
    pub fn new(instance: Option<InstanceId>, address: Option<Host>, port: FrontendPort, via: Via) -> Self {
        Self {
            instance,
            address,
            port,
            backend_port: None,
            protocol: Protocol::Tcp,
            via,
            known: Known::Listed,
            rule: Rule::default(),
            private_address: None,
        }
    }

    /// True where the port belongs to a range whose instances are not known.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        self.instance.is_none()
    }

    /// The port to dial for a backend port: where nothing translates, that port itself.
    #[must_use]
    pub fn port_to(&self, backend_port: Option<BackendPort>) -> FrontendPort {
        backend_port.filter(|_| self.via.is_own_address()).map_or(self.port, FrontendPort::from)
    }

    /// The entry as the way to a backend port.
    #[must_use]
    pub fn leading_to(&self, backend_port: Option<BackendPort>) -> Self {
        let own = backend_port.filter(|_| self.via.is_own_address());
        Self { port: self.port_to(backend_port), backend_port: own.or(self.backend_port), ..self.clone() }
    }

    /// The name that a reader knows the way by: the rule's, else its pool's.
    #[must_use]
    pub fn rule_name(&self) -> Option<&str> {
        self.rule.name.as_deref().or(self.rule.pool.as_deref())
    }
}

/// From where a frontend can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// A public address.
    Public,
    /// An address of the virtual network: reached from inside, a peered network, a VPN or a jump host.
    Internal,
}

/// The kind of way in to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// An inbound NAT pool (version 1): a range shared out over the instances of one scale set.
    NatPool,
    /// A single inbound NAT rule: one port pair for one instance. Also what a document lists
    /// per instance without saying what kind of rule made it (`list-instance-connection-info`).
    NatRule,
    /// An inbound NAT rule version 2: a range over a backend pool.
    NatRuleV2,
    /// A public address of the instance's own.
    PublicIp,
    /// The instance's private address, no load balancer.
    Direct,
    /// A plain range given by the user (`HOST:START-END`).
    Range,
}

impl Via {
    /// True where nothing translates ports: any port of the instance can be dialled as it is.
    #[must_use]
    pub fn is_own_address(self) -> bool {
        matches!(self, Self::PublicIp | Self::Direct)
    }
}

/// How an entry is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// A document names this instance and this port together.
    Listed,
    /// Azure was asked for the port mapping of this instance.
    Queried,
    /// Derived from a range by counting: true for a plain range by definition, only *possible*
    /// for a NAT pool's range, which says nothing about instances.
    Computed,
}

/// The transport protocol of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP (RDP uses it beside TCP).
    Udp,
}
