//! The NAT map: which endpoint on a frontend leads to which instance, and how that is known.
//!
//! Ground layer: built from typed documents by plain functions. Where the documents come from
//! (a file, standard input, Azure, the lab) is no concern of this module.

mod document;
mod endpoint;
mod instance;
mod port;
mod range;
mod select;

pub use document::{ConnectionInfo, ConnectionInfoLine, Document, NatPool};
pub use endpoint::{Endpoint, Host, HostError, HostKeyAlias};
pub use instance::InstanceId;
pub use port::{BackendPort, FrontendPort, PortError};
pub use range::{PortRange, RangeError};
pub use select::{
    InstanceSet, InstanceSetError, SelectError, display_endpoints, display_set, one_per_instance,
};

use serde::Serialize;

/// The NAT map of one target: its entries in the order in which they are shown, and what is
/// noteworthy about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NatMap {
    /// One entry per way in; an instance may have several (SSH and RDP, IPv4 and IPv6).
    pub entries: Vec<Entry>,
    /// What the documents leave open or get wrong.
    pub findings: Vec<Finding>,
}

/// One way in: a frontend address and port, and what is behind it.
///
/// Every NAT model of Azure fits: what a model or a document does not tell is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The instance behind the port. `None` for a *possible* port: the range is known, but not
    /// which instance has which port.
    pub instance: Option<InstanceId>,
    /// The instance's own name (`web_3`), where the document tells it.
    pub name: Option<String>,
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
    /// The name of the NAT rule or pool, where the document tells it.
    pub rule: Option<String>,
    /// How sure the entry is.
    pub known: Known,
}

impl Entry {
    /// True where the port belongs to a range whose instances are not known.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        self.instance.is_none()
    }

    /// What to dial for this entry; `None` where the rule is not TCP, or neither the address nor the
    /// instance is known.
    #[must_use]
    pub fn endpoint(&self) -> Option<Endpoint> {
        if self.protocol != Protocol::Tcp || (self.address.is_none() && self.instance.is_none()) {
            return None;
        }
        Some(Endpoint {
            instance: self.instance.clone(),
            name: self.name.clone(),
            host: self.address.clone().unwrap_or(Host::Unknown),
            port: self.port,
        })
    }
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP (RDP uses it beside TCP).
    Udp,
}

/// Something noteworthy about a map, for people and for scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable, for scripts: `possible-ports`, `address-unknown`, `shared-endpoint`, ...
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence that says what was found and on what.
    pub message: String,
    /// The next thing to do, usually a command to paste.
    pub hint: Option<String>,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something will not work for some instances.
    Warning,
    /// The map contradicts itself or can't be used.
    Error,
}

impl NatMap {
    /// Builds the map of a plain range: instance `k` is on port `start + k`, by definition.
    #[must_use]
    pub fn from_range(range: &PortRange) -> Self {
        let entries = range
            .ports()
            .enumerate()
            .map(|(k, port)| Entry {
                instance: Some(InstanceId::from(k)),
                name: None,
                address: Some(range.host.clone()),
                port,
                backend_port: None,
                protocol: Protocol::Tcp,
                via: Via::Range,
                rule: None,
                known: Known::Computed,
            })
            .collect();
        Self { entries, findings: Vec::new() }
    }

    /// The ids of all instances, each once, in the map's order.
    #[must_use]
    pub fn instances(&self) -> Vec<&InstanceId> {
        let mut seen = std::collections::HashSet::new();
        self.entries.iter().filter_map(|e| e.instance.as_ref()).filter(|id| seen.insert(*id)).collect()
    }

    /// Adds a finding for every endpoint that two instances claim: one of them is wrong, and
    /// nothing here can tell which.
    #[must_use]
    pub fn with_shared_endpoints_found(mut self) -> Self {
        let mut first: std::collections::HashMap<_, &InstanceId> = std::collections::HashMap::new();
        let mut findings = Vec::new();
        for entry in &self.entries {
            let (Some(id), Some(address)) = (&entry.instance, &entry.address) else { continue };
            let other = *first.entry((address, entry.port, entry.protocol as u8)).or_insert(id);
            if other != id {
                findings.push(Finding {
                    code: "shared-endpoint",
                    severity: Severity::Error,
                    message: format!(
                        "instances {other} and {id} are both listed on {}",
                        endpoint::socket_text(address, entry.port)
                    ),
                    hint: Some("take the list again: one of the two has moved".into()),
                });
            }
        }
        self.findings.append(&mut findings);
        self
    }
}
