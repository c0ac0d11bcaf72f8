//! What security groups let in. They see packets behind the NAT: the client's own address as source, the
//! backend port as destination (Azure documentation, "Network security groups").

use std::net::IpAddr;

use crate::{
    natmap::{Protocol, Scope},
    resource::{Access, SecurityGroup, SecurityRule},
};

/// A packet that wants in, as far as it is known beforehand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Knock {
    /// From where: the world, or the virtual network.
    pub(super) scope: Scope,
    /// The transport.
    pub(super) protocol: Protocol,
    /// The backend port.
    pub(super) port: u16,
    /// The instance's private address, where known.
    pub(super) destination: Option<IpAddr>,
}

/// What a security group says to a knock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer<'a> {
    /// Everybody gets in, or some do: who, is the client's matter.
    Open,
    /// Nobody gets in; the rule that says so, `None` where the rules end without a word.
    Closed(Option<&'a SecurityRule>),
}

/// Azure's default rules have priorities from here on.
const DEFAULT_RULES: u32 = 65_000;

/// Evaluates a group's inbound rules: the lowest priority number that fits decides.
pub(super) fn ask(group: &SecurityGroup, knock: Knock) -> Answer<'_> {
    let mut rules: Vec<_> = group.rules.iter().filter(|rule| fits(rule, knock)).collect();
    rules.sort_by_key(|rule| rule.priority);
    for rule in rules {
        match (rule.access, reach(rule, knock.scope)) {
            // Who exactly gets in is not asked here.
            (Access::Allow, Reach::All | Reach::Some) => return Answer::Open,
            (Access::Deny, Reach::All) => return Answer::Closed(Some(rule)),
            _ => {}
        }
    }
    // A document without the default rules: they let in the virtual network and nobody else.
    let has_defaults = group.rules.iter().any(|rule| rule.priority >= DEFAULT_RULES);
    if !has_defaults && knock.scope == Scope::Internal { Answer::Open } else { Answer::Closed(None) }
}

fn fits(rule: &SecurityRule, knock: Knock) -> bool {
    rule.protocol.is_none_or(|protocol| protocol == knock.protocol)
        && rule.ports.iter().any(|span| span.contains(knock.port))
        && rule.destinations.iter().any(|destination| may_be(destination, knock.destination))
}

/// Whether a destination of a rule may be this address. A name (a tag, an application security group)
/// may be.
fn may_be(destination: &str, address: Option<IpAddr>) -> bool {
    match (Prefix::parse(destination), address) {
        (Some(prefix), Some(address)) => prefix.contains(address),
        _ => !destination.eq_ignore_ascii_case("Internet"),
    }
}

/// Whom of those outside a rule's sources reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    All,
    Some,
    None,
}

fn reach(rule: &SecurityRule, scope: Scope) -> Reach {
    let of_one = |source: &String| {
        let is = |word: &str| source.eq_ignore_ascii_case(word);
        match scope {
            _ if is("*") || is("Any") || is("0.0.0.0/0") || is("::/0") => Reach::All,
            Scope::Public if is("Internet") => Reach::All,
            Scope::Internal if is("VirtualNetwork") => Reach::All,
            Scope::Public if is("VirtualNetwork") => Reach::None,
            Scope::Internal if is("Internet") => Reach::None,
            // Nobody comes from there over a public address.
            Scope::Public if Prefix::parse(source).is_some_and(Prefix::is_private) => Reach::None,
            // Health probes only.
            _ if is("AzureLoadBalancer") => Reach::None,
            _ => Reach::Some,
        }
    };
    let reaches: Vec<_> = rule.sources.iter().map(of_one).collect();
    [Reach::All, Reach::Some].into_iter().find(|reach| reaches.contains(reach)).unwrap_or(Reach::None)
}

/// An address prefix in CIDR form; a bare address is one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Prefix {
    address: IpAddr,
    length: u32,
}

impl Prefix {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address.parse().ok()?, Some(length.parse().ok()?)),
            None => (text.parse().ok()?, None),
        };
        let longest = if matches!(address, IpAddr::V4(_)) { 32 } else { 128 };
        let length = length.unwrap_or(longest);
        (length <= longest).then_some(Self { address, length })
    }

    /// Addresses that no packet from the internet has (RFC 1918, RFC 4193).
    fn is_private(self) -> bool {
        ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]
            .into_iter()
            .filter_map(Self::parse)
            .any(|private| private.length <= self.length && private.contains(self.address))
    }

    fn contains(self, address: IpAddr) -> bool {
        let same = |a: u128, b: u128, bits: u32| {
            let ignored = bits - self.length;
            a.checked_shr(ignored).unwrap_or(0) == b.checked_shr(ignored).unwrap_or(0)
        };
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(u32::from(a).into(), u32::from(b).into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.into(), b.into(), 128),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{PortSpan, ResourceId};

    fn rule(priority: u32, access: Access, source: &str, ports: &str) -> SecurityRule {
        SecurityRule {
            name: format!("r{priority}"),
            priority,
            access,
            protocol: Some(Protocol::Tcp),
            sources: vec![source.into()],
            destinations: vec!["*".into()],
            ports: vec![PortSpan::parse(ports).unwrap()],
        }
    }

    fn answer(rules: Vec<SecurityRule>, scope: Scope, port: u16) -> String {
        let group = SecurityGroup { id: ResourceId::new("nsg"), rules };
        let knock =
            Knock { scope, protocol: Protocol::Tcp, port, destination: Some("10.0.0.4".parse().unwrap()) };
        match ask(&group, knock) {
            Answer::Open => "open".into(),
            Answer::Closed(rule) => format!("closed by {}", rule.map_or("nothing", |rule| &rule.name)),
        }
    }

    #[test]
    fn the_lowest_number_that_fits_decides() {
        use Access::{Allow, Deny};
        let public = |rules| answer(rules, Scope::Public, 22);
        assert_eq!(public(vec![]), "closed by nothing");
        assert_eq!(public(vec![rule(1000, Allow, "*", "22")]), "open");
        assert_eq!(public(vec![rule(1000, Allow, "*", "22"), rule(900, Deny, "*", "*")]), "closed by r900");
        assert_eq!(
            public(vec![rule(1000, Allow, "203.0.113.0/24", "22"), rule(2000, Deny, "*", "*")]),
            "open"
        );
        // The frontend's ports are not the backend's.
        assert_eq!(
            public(vec![rule(1000, Allow, "*", "50000-50119"), rule(65500, Deny, "*", "*")]),
            "closed by r65500"
        );
        // The virtual network's and the probes' rules let nobody in from outside.
        let defaults = || {
            vec![
                rule(65000, Allow, "VirtualNetwork", "*"),
                rule(65001, Allow, "AzureLoadBalancer", "*"),
                rule(65500, Deny, "*", "*"),
            ]
        };
        assert_eq!(public(defaults()), "closed by r65500");
        assert_eq!(answer(defaults(), Scope::Internal, 22), "open");
        assert_eq!(answer(vec![], Scope::Internal, 22), "open");
    }

    #[test]
    fn rules_for_other_addresses_and_transports_do_not_count() {
        let mut elsewhere = rule(100, Access::Allow, "*", "22");
        elsewhere.destinations = vec!["10.0.1.0/24".into()];
        assert_eq!(answer(vec![elsewhere.clone()], Scope::Public, 22), "closed by nothing");
        elsewhere.destinations.push("10.0.0.0/29".into());
        assert_eq!(answer(vec![elsewhere], Scope::Public, 22), "open");
        assert_eq!(
            answer(vec![rule(100, Access::Allow, "10.1.0.0/16", "22")], Scope::Public, 22),
            "closed by nothing"
        );
        let mut udp = rule(100, Access::Allow, "Internet", "22");
        udp.protocol = Some(Protocol::Udp);
        assert_eq!(answer(vec![udp], Scope::Public, 22), "closed by nothing");
    }

    #[test]
    fn prefixes_hold_what_they_say() {
        let prefix = |text: &str| Prefix::parse(text).unwrap();
        assert!(prefix("0.0.0.0/0").contains("1.2.3.4".parse().unwrap()));
        assert!(prefix("10.0.0.4").contains("10.0.0.4".parse().unwrap()));
        assert!(!prefix("10.0.0.4/31").contains("10.0.0.6".parse().unwrap()));
        assert!(prefix("::/0").contains("::1".parse().unwrap()));
        assert_eq!(Prefix::parse("10.0.0.0/33"), None);
        assert_eq!(Prefix::parse("VirtualNetwork"), None);
    }
}
