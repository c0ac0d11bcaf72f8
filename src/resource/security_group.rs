use crate::natmap::Protocol;

use super::ResourceId;

/// A network security group: what a card or a subnet lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroup {
    /// Its id.
    pub id: ResourceId,
    /// Its inbound rules, Azure's defaults (65000 and up) among them.
    pub rules: Vec<SecurityRule>,
}

/// An inbound rule. The lowest priority number that fits decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityRule {
    /// Its name.
    pub name: String,
    /// 100 to 4096; Azure's defaults have 65000 to 65500.
    pub priority: u32,
    /// Whether it lets in or keeps out.
    pub access: Access,
    /// The transport; `None` for any.
    pub protocol: Option<Protocol>,
    /// Where from: addresses in CIDR form, `*`, `Internet`, service tags, application security groups.
    pub sources: Vec<String>,
    /// Where to: the same.
    pub destinations: Vec<String>,
    /// The ports on the instance: security groups see packets behind the NAT.
    pub ports: Vec<PortSpan>,
}

/// What a security rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Lets in.
    Allow,
    /// Keeps out.
    Deny,
}

/// A port or a span of ports, both ends included; `*` is 0 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortSpan {
    /// The first port.
    pub start: u16,
    /// The last port.
    pub end: u16,
}

impl PortSpan {
    /// Reads `22`, `50000-50119` or `*`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "*" {
            return Some(Self { start: 0, end: u16::MAX });
        }
        let (start, end) = text.split_once('-').unwrap_or((text, text));
        let (start, end) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
        (start <= end).then_some(Self { start, end })
    }

    /// Whether a port is in it.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        (self.start..=self.end).contains(&port)
    }
}

/// A subnet, for the security group on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// Its id.
    pub id: ResourceId,
    /// The security group on it; `None` for none.
    pub security_group: Option<ResourceId>,
}
