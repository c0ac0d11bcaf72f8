use super::{WireError, node::Node};
use crate::{
    natmap::Protocol,
    resource::{Access, PortSpan, SecurityGroup, SecurityRule, Subnet},
};

/// A network security group (Network: networkSecurityGroups), its inbound rules only.
pub(super) fn read(node: &Node<'_>) -> Result<SecurityGroup, WireError> {
    let mut rules = node.list("securityRules", rule)?.unwrap_or_default();
    rules.extend(node.list("defaultSecurityRules", rule)?.unwrap_or_default());
    Ok(SecurityGroup { id: node.id()?, rules: rules.into_iter().flatten().collect() })
}

/// A rule; `None` for an outbound one, and for other transports than TCP and UDP.
fn rule(node: &Node<'_>) -> Result<Option<SecurityRule>, WireError> {
    let Some(protocol) = protocol(node)? else { return Ok(None) };
    if !node.required_text("direction")?.eq_ignore_ascii_case("Inbound") {
        return Ok(None);
    }
    let priority = node.number("priority")?.and_then(|number| u32::try_from(number).ok());
    let ports = both(node, "destinationPortRange", "destinationPortRanges")?;
    let span = |text: &String| {
        PortSpan::parse(text).ok_or_else(|| {
            WireError::new("destinationPortRange", format!("\"{text}\" is neither a port nor a range"))
        })
    };
    Ok(Some(SecurityRule {
        name: node.text("name")?.unwrap_or("(unnamed)").to_owned(),
        priority: priority.ok_or_else(|| WireError::new("priority", "it is missing"))?,
        access: access(node)?,
        protocol,
        sources: ends(node, "source")?,
        destinations: ends(node, "destination")?,
        ports: ports.iter().map(span).collect::<Result<_, _>>()?,
    }))
}

fn access(node: &Node<'_>) -> Result<Access, WireError> {
    match node.required_text("access")? {
        text if text.eq_ignore_ascii_case("Allow") => Ok(Access::Allow),
        text if text.eq_ignore_ascii_case("Deny") => Ok(Access::Deny),
        text => Err(WireError::new("access", format!("\"{text}\" is neither Allow nor Deny"))),
    }
}

/// The transport: `Some(None)` for all, `None` for those that concern neither TCP nor UDP.
#[expect(clippy::option_option, reason = "all transports are not the same as another one")]
fn protocol(node: &Node<'_>) -> Result<Option<Option<Protocol>>, WireError> {
    Ok(match node.required_text("protocol")? {
        "*" => Some(None),
        text if text.eq_ignore_ascii_case("Tcp") => Some(Some(Protocol::Tcp)),
        text if text.eq_ignore_ascii_case("Udp") => Some(Some(Protocol::Udp)),
        _ => None,
    })
}

/// Addresses, tags and application security groups of one end.
fn ends(node: &Node<'_>, end: &str) -> Result<Vec<String>, WireError> {
    let mut ends = both(node, &format!("{end}AddressPrefix"), &format!("{end}AddressPrefixes"))?;
    let groups = node.references(&format!("{end}ApplicationSecurityGroups"))?;
    ends.extend(groups.iter().map(|id| id.name().to_owned()));
    Ok(ends)
}

/// Azure has a member for one value and another for several.
fn both(node: &Node<'_>, one: &str, several: &str) -> Result<Vec<String>, WireError> {
    let mut values = node.texts(one)?;
    values.extend(node.texts(several)?);
    Ok(values)
}

/// A subnet (Network: virtualNetworks/subnets).
pub(super) fn subnet(node: &Node<'_>) -> Result<Subnet, WireError> {
    Ok(Subnet { id: node.id()?, security_group: node.reference("networkSecurityGroup")? })
}
