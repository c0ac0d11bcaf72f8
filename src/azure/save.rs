//! Writes what is known as one document, `vmssh.azure/1`, which [`saved`](super::saved) reads again.
//!
//! The documents in it have Azure's shape and names, but only the members that a map is made of: keys,
//! custom data, extensions and tags are not among them, as they are not in [`Resources`] either.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::wire::SAVED_SCHEMA;
use crate::{
    natmap::{Host, Protocol},
    resource::{
        Access, BackendAddress, Card, CardConfiguration, FrontendAddress, LoadBalancer, Machine, Membership,
        NatPool, NatRule, Orchestration, Os, PortMapping, PortSpan, PublicAddress, ResourceId, Resources,
        RuleTarget, ScaleSet, SecurityGroup, SecurityRule, Subnet,
    },
};

/// Writes the document.
///
/// # Errors
/// When it can't be written.
pub fn write(out: &mut dyn Write, resources: &Resources) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &document(resources))?;
    out.write_all(b"\n")
}

/// The document.
#[must_use]
pub fn document(resources: &Resources) -> Value {
    let mut documents = Vec::new();
    documents.extend(resources.scale_sets.iter().map(scale_set));
    documents.extend(resources.machines.iter().map(machine));
    documents.extend(resources.cards.iter().map(card));
    documents.extend(resources.load_balancers.iter().flat_map(load_balancer));
    documents.extend(resources.public_addresses.iter().map(public_address));
    documents.extend(resources.security_groups.iter().map(security_group));
    documents.extend(resources.subnets.iter().map(subnet));
    // A whole document says so by itself.
    let in_parts = resources
        .load_balancers
        .iter()
        .filter(|balancer| balancer.rules_listed && !is_whole(balancer))
        .map(|balancer| balancer.id.as_str());
    let unread: Vec<_> =
        resources.unread.iter().map(|u| json!({"id": u.id.as_str(), "reason": u.reason})).collect();
    without_nulls(json!({
        "schema": SAVED_SCHEMA,
        "machinesListed": resources.machines_listed,
        "cardsListed": resources.cards_listed,
        "natRulesListed": in_parts.collect::<Vec<_>>(),
        "documents": documents,
        "connectionInfo": resources.connection_info.as_ref().map(|lines| lines.iter().map(|line| {
            let address = line.address.as_ref().map_or_else(|| "None".to_owned(), Host::to_string);
            (format!("instance {}", line.instance), Value::from(format!("{address}:{}", line.port)))
        }).collect::<Map<_, _>>()),
        "inboundNatRulePortMappings": resources.loose_mappings.iter().map(port_mapping).collect::<Vec<_>>(),
        "unread": unread,
    }))
}

/// A member that is not known is left out, as az does.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let known = object.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(known.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

fn reference(id: &ResourceId) -> Value {
    json!({"id": id.as_str()})
}

fn references(ids: &[ResourceId]) -> Vec<Value> {
    ids.iter().map(reference).collect()
}

fn scale_set(set: &ScaleSet) -> Value {
    let cards: Vec<_> = set
        .cards
        .iter()
        .map(|card| {
            json!({
                "name": card.name,
                "primary": card.primary,
                "networkSecurityGroup": card.security_group.as_ref().map(reference),
                "ipConfigurations": card.configurations.iter().map(|c| json!({
                    "name": c.name,
                    "subnet": c.subnet.as_ref().map(reference),
                    "loadBalancerBackendAddressPools": references(&c.backend_pools),
                    "loadBalancerInboundNatPools": references(&c.nat_pools),
                    "publicIPAddressConfiguration": c.public_address.then(|| json!({})),
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    let mode = match set.orchestration {
        Orchestration::Uniform => "Uniform",
        Orchestration::Flexible => "Flexible",
    };
    let os = set.os.map(|os| match os {
        Os::Linux => "Linux",
        Os::Windows => "Windows",
    });
    json!({
        "id": set.id.as_str(),
        "name": set.id.name(),
        "orchestrationMode": mode,
        "overprovision": set.overprovision,
        "sku": {"capacity": set.capacity},
        "virtualMachineProfile": {
            "osProfile": {
                "adminUsername": set.admin_username,
                "computerNamePrefix": set.computer_name_prefix,
            },
            "storageProfile": {"osDisk": {"osType": os}},
            "networkProfile": {"networkInterfaceConfigurations": cards},
        },
    })
}

fn machine(machine: &Machine) -> Value {
    let set = match &machine.membership {
        Membership::Of(set) if machine.id.up_to("virtualMachineScaleSets").is_none() => Some(reference(set)),
        _ => None,
    };
    // Cards are left out of a bare listing, whose membership would be known with them.
    let network = (machine.membership != Membership::Unsaid)
        .then(|| json!({"networkInterfaces": references(&machine.cards)}));
    let power = machine.power.map(|power| json!([{"code": format!("PowerState/{power}")}]));
    json!({
        "id": machine.id.as_str(),
        "name": machine.name,
        "instanceId": machine.instance.as_str(),
        "vmId": machine.vm_id,
        "latestModelApplied": machine.model_current,
        "virtualMachineScaleSet": set,
        "osProfile": machine.computer_name.as_ref().map(|name| json!({"computerName": name})),
        "instanceView": power.map(|statuses| json!({"statuses": statuses})),
        "networkProfile": network,
    })
}

fn card(card: &Card) -> Value {
    let configuration = |c: &CardConfiguration| {
        json!({
            "id": c.id.as_str(),
            "name": c.id.name(),
            "primary": c.primary,
            "privateIPAddress": c.private_address,
            "subnet": c.subnet.as_ref().map(reference),
            "loadBalancerInboundNatRules": references(&c.nat_rules),
            "loadBalancerBackendAddressPools": references(&c.backend_pools),
            "publicIPAddress": c.public_address.as_ref().map(reference),
        })
    };
    json!({
        "id": card.id.as_str(),
        "name": card.id.name(),
        "primary": card.primary,
        "virtualMachine": card.machine.as_ref().map(reference),
        "networkSecurityGroup": card.security_group.as_ref().map(reference),
        "ipConfigurations": card.configurations.iter().map(configuration).collect::<Vec<_>>(),
    })
}

/// Whether all lists of a load balancer's parts are known.
fn is_whole(balancer: &LoadBalancer) -> bool {
    balancer.rules_listed
        && balancer.frontends.is_some()
        && balancer.nat_rules.is_some()
        && balancer.backend_pools.is_some()
}

/// A load balancer; where only parts of it are known, the parts, as a whole one would claim to have no
/// others.
fn load_balancer(balancer: &LoadBalancer) -> Vec<Value> {
    let frontends = balancer.frontends.as_ref().map(|f| f.iter().map(frontend).collect::<Vec<_>>());
    let rules = balancer.nat_rules.as_ref().map(|r| r.iter().map(nat_rule).collect::<Vec<_>>());
    let backends = balancer.backend_pools.as_ref().map(|pools| {
        let pool = |pool: &crate::resource::BackendPool| {
            json!({
                "id": pool.id.as_str(),
                "name": pool.id.name(),
                "loadBalancerBackendAddresses": pool.addresses.iter().map(backend_address).collect::<Vec<_>>(),
            })
        };
        pools.iter().map(pool).collect::<Vec<_>>()
    });
    let pools = balancer.nat_pools.iter().map(nat_pool).collect::<Vec<_>>();
    if is_whole(balancer) {
        return vec![json!({
            "id": balancer.id.as_str(),
            "name": balancer.name(),
            "sku": balancer.sku.as_ref().map(|name| json!({"name": name})),
            "frontendIPConfigurations": frontends,
            "backendAddressPools": backends,
            "inboundNatRules": rules,
            "inboundNatPools": pools,
        })];
    }
    [frontends, rules, backends].into_iter().flatten().flatten().chain(pools).collect()
}

fn frontend(frontend: &crate::resource::Frontend) -> Value {
    let (public, private, subnet) = match &frontend.address {
        FrontendAddress::Public(id) => (Some(reference(id)), None, None),
        FrontendAddress::Private(Some(address)) => (None, Some(address), None),
        // A subnet and no address yet: which subnet is of no use to a map.
        FrontendAddress::Private(None) => (None, None, Some(json!({"id": "-"}))),
        FrontendAddress::Unknown => (None, None, None),
    };
    json!({
        "id": frontend.id.as_str(),
        "name": frontend.id.name(),
        "publicIPAddress": public,
        "privateIPAddress": private,
        "subnet": subnet,
    })
}

fn backend_address(address: &BackendAddress) -> Value {
    json!({
        "networkInterfaceIPConfiguration": address.configuration.as_ref().map(reference),
        "ipAddress": address.address,
        "virtualNetwork": address.virtual_network.as_ref().map(reference),
        "inboundNatRulesPortMapping": address.mappings.iter().map(port_mapping).collect::<Vec<_>>(),
    })
}

fn port_mapping(mapping: &PortMapping) -> Value {
    json!({
        "inboundNatRuleName": mapping.rule,
        "frontendPort": mapping.frontend_port,
        "backendPort": mapping.backend_port,
    })
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "Tcp",
        Protocol::Udp => "Udp",
    }
}

fn nat_rule(rule: &NatRule) -> Value {
    let (configuration, pool) = match &rule.target {
        RuleTarget::Configuration(id) => (Some(reference(id)), None),
        RuleTarget::Pool(id) => (None, Some(reference(id))),
        RuleTarget::Nothing => (None, None),
    };
    json!({
        "id": rule.id.as_str(),
        "name": rule.id.name(),
        "protocol": protocol(rule.protocol),
        "frontendIPConfiguration": rule.frontend.as_ref().map(reference),
        "frontendPort": rule.frontend_port,
        "frontendPortRangeStart": rule.range.map(|(start, _)| start),
        "frontendPortRangeEnd": rule.range.map(|(_, end)| end),
        "backendPort": rule.backend_port,
        "backendIPConfiguration": configuration,
        "backendAddressPool": pool,
        "idleTimeoutInMinutes": rule.idle_timeout_minutes,
        "enableTcpReset": rule.tcp_reset,
    })
}

fn nat_pool(pool: &NatPool) -> Value {
    // A pool without an id has its name there.
    let id = pool.id.kind().map(|_| pool.id.as_str());
    json!({
        "id": id,
        "name": pool.id.name(),
        "protocol": protocol(pool.protocol),
        "frontendIPConfiguration": pool.frontend.as_ref().map(reference),
        "frontendPortRangeStart": pool.start,
        "frontendPortRangeEnd": pool.end,
        "backendPort": pool.backend_port,
        "idleTimeoutInMinutes": pool.idle_timeout_minutes,
    })
}

fn public_address(public: &PublicAddress) -> Value {
    json!({
        "id": public.id.as_str(),
        "name": public.id.name(),
        "ipAddress": public.address,
        "ipConfiguration": public.used_by.as_ref().map(reference),
        "sku": public.sku.as_ref().map(|name| json!({"name": name})),
        "idleTimeoutInMinutes": public.idle_timeout_minutes,
    })
}

fn security_group(group: &SecurityGroup) -> Value {
    json!({
        "id": group.id.as_str(),
        "name": group.id.name(),
        "securityRules": group.rules.iter().map(security_rule).collect::<Vec<_>>(),
    })
}

fn security_rule(rule: &SecurityRule) -> Value {
    let span = |span: &PortSpan| match (span.start, span.end) {
        (0, u16::MAX) => "*".to_owned(),
        (start, end) if start == end => start.to_string(),
        (start, end) => format!("{start}-{end}"),
    };
    json!({
        "name": rule.name,
        "direction": "Inbound",
        "priority": rule.priority,
        "access": match rule.access { Access::Allow => "Allow", Access::Deny => "Deny" },
        "protocol": rule.protocol.map_or("*", protocol),
        "sourceAddressPrefixes": rule.sources,
        "destinationAddressPrefixes": rule.destinations,
        "destinationPortRanges": rule.ports.iter().map(span).collect::<Vec<_>>(),
    })
}

fn subnet(subnet: &Subnet) -> Value {
    json!({
        "id": subnet.id.as_str(),
        "name": subnet.id.name(),
        "networkSecurityGroup": subnet.security_group.as_ref().map(reference),
    })
}
