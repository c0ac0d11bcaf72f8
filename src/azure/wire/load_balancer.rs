use super::{BackendPool, Frontend, LoadBalancer, NatPool, NatRule, PortMapping, WireError, node::Node};
use crate::{
    natmap::Protocol,
    resource::{BackendAddress, FrontendAddress, PublicAddress, ResourceId, RuleTarget},
};

/// A load balancer (Network: loadBalancers). A whole document lists all parts; one that leaves a list out
/// has none of these parts.
pub(super) fn read(node: &Node<'_>) -> Result<LoadBalancer, WireError> {
    Ok(LoadBalancer {
        id: node.id()?,
        sku: sku(node)?,
        frontends: node.list("frontendIPConfigurations", frontend)?.or(Some(Vec::new())),
        backend_pools: node.list("backendAddressPools", backend_pool)?.or(Some(Vec::new())),
        nat_rules: node.list("inboundNatRules", nat_rule)?.or(Some(Vec::new())),
        rules_listed: true,
        nat_pools: node.list("inboundNatPools", nat_pool)?.unwrap_or_default(),
    })
}

fn sku(node: &Node<'_>) -> Result<Option<String>, WireError> {
    let Some(sku) = node.object("sku")? else { return Ok(None) };
    Ok(sku.text("name").map_err(|error| error.inside("sku"))?.map(ToOwned::to_owned))
}

/// A frontend (frontendIPConfigurations).
pub(super) fn frontend(node: &Node<'_>) -> Result<Frontend, WireError> {
    let address = match node.reference("publicIPAddress")? {
        Some(id) => FrontendAddress::Public(id),
        None => match node.address("privateIPAddress")? {
            Some(address) => FrontendAddress::Private(Some(address)),
            None if node.reference("subnet")?.is_some() => FrontendAddress::Private(None),
            None => FrontendAddress::Unknown,
        },
    };
    Ok(Frontend { id: node.id()?, address })
}

/// A backend pool (backendAddressPools).
pub(super) fn backend_pool(node: &Node<'_>) -> Result<BackendPool, WireError> {
    Ok(BackendPool {
        id: node.id()?,
        addresses: node.list("loadBalancerBackendAddresses", backend_address)?.unwrap_or_default(),
    })
}

fn backend_address(node: &Node<'_>) -> Result<BackendAddress, WireError> {
    Ok(BackendAddress {
        configuration: node.reference("networkInterfaceIPConfiguration")?,
        address: node.address("ipAddress")?,
        virtual_network: node.reference("virtualNetwork")?,
        mappings: node.list("inboundNatRulesPortMapping", port_mapping)?.unwrap_or_default(),
    })
}

/// A port mapping of a member (inboundNatRulesPortMapping, inboundNatRulePortMappings).
pub(super) fn port_mapping(node: &Node<'_>) -> Result<PortMapping, WireError> {
    Ok(PortMapping {
        rule: node.required_text("inboundNatRuleName")?.to_owned(),
        frontend_port: node.required_port("frontendPort")?,
        backend_port: node.required_port("backendPort")?,
    })
}

/// An inbound NAT rule of either version (inboundNatRules): version 1 names an IP configuration, version 2 a
/// backend pool, and one of version 1 that is attached to nothing neither.
pub(super) fn nat_rule(node: &Node<'_>) -> Result<NatRule, WireError> {
    let start = node.port("frontendPortRangeStart")?;
    let end = node.port("frontendPortRangeEnd")?;
    let target = match (node.reference("backendAddressPool")?, node.reference("backendIPConfiguration")?) {
        (Some(pool), _) => RuleTarget::Pool(pool),
        (None, Some(configuration)) => RuleTarget::Configuration(configuration),
        (None, None) => RuleTarget::Nothing,
    };
    Ok(NatRule {
        id: node.id()?,
        protocol: protocol(node)?,
        frontend: node.reference("frontendIPConfiguration")?,
        frontend_port: node.port("frontendPort")?,
        range: start.zip(end),
        backend_port: node.port("backendPort")?,
        target,
        idle_timeout_minutes: node.minutes("idleTimeoutInMinutes")?,
        tcp_reset: node.flag("enableTcpReset")?,
    })
}

/// A range and a backend port, and no backend pool: that would be a NAT rule of version 2.
pub(super) fn is_nat_pool(node: &Node<'_>) -> bool {
    let members = ["frontendPortRangeStart", "frontendPortRangeEnd", "backendPort"];
    members.iter().all(|name| node.member(name).is_some()) && node.member("backendAddressPool").is_none()
}

/// An inbound NAT pool (inboundNatPools).
pub(super) fn nat_pool(node: &Node<'_>) -> Result<NatPool, WireError> {
    let (start, end) =
        (node.required_port("frontendPortRangeStart")?, node.required_port("frontendPortRangeEnd")?);
    if end < start {
        return Err(WireError::new(
            "frontendPortRangeEnd",
            format!("the range {start}-{end} ends before it starts"),
        ));
    }
    let name = node.text("name")?.unwrap_or("(unnamed)");
    Ok(NatPool {
        id: ResourceId::new(node.text("id")?.unwrap_or(name)),
        protocol: protocol(node)?,
        frontend: node.reference("frontendIPConfiguration")?,
        start,
        end,
        backend_port: node.required_port("backendPort")?,
        idle_timeout_minutes: node.minutes("idleTimeoutInMinutes")?,
    })
}

/// `Tcp`, `Udp`; `All` is for load-balancing rules only and read as TCP.
fn protocol(node: &Node<'_>) -> Result<Protocol, WireError> {
    let udp = node.text("protocol")?.is_some_and(|protocol| protocol.eq_ignore_ascii_case("udp"));
    Ok(if udp { Protocol::Udp } else { Protocol::Tcp })
}

/// A public address (publicIPAddresses).
pub(super) fn public_address(node: &Node<'_>) -> Result<PublicAddress, WireError> {
    Ok(PublicAddress {
        id: node.id()?,
        address: node.address("ipAddress")?,
        used_by: node.reference("ipConfiguration")?,
        sku: sku(node)?,
        idle_timeout_minutes: node.minutes("idleTimeoutInMinutes")?,
    })
}
