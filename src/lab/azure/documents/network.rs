//! The lab's network as Azure describes it.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::{LOCATION, etag, guid, id, instance_id, pointer, pointers, security};

/// The NAT pool, and the first part of its rules' names.
const POOL: &str = "ssh";

const FRONTEND: &str = "lab-fe";
const BACKEND: &str = "lab-backend";
const CARD: &str = "lab-nic";
const CONFIGURATION: &str = "lab-ipcfg";

/// Where private addresses are taken from: room for a thousand instances.
const SUBNET: &str = "10.0.0.0/16";

/// The first address of a subnet that Azure gives to a machine: it keeps the first four and the
/// last (learn.microsoft.com, "Virtual Network FAQ").
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 4);

/// Azure's shortest and usual idle timeout of a NAT rule, in minutes.
const IDLE_TIMEOUT: u32 = 4;

pub(in super::super) fn balancer_id() -> String {
    id("Microsoft.Network/loadBalancers/lab-lb")
}

pub(in super::super) fn address_id() -> String {
    id("Microsoft.Network/publicIPAddresses/lab-ip")
}

pub(super) fn card_id(number: usize) -> String {
    format!("{}/networkInterfaces/{CARD}", instance_id(number))
}

fn configuration_id(number: usize) -> String {
    format!("{}/ipConfigurations/{CONFIGURATION}", card_id(number))
}

fn network_id() -> String {
    id("Microsoft.Network/virtualNetworks/lab-vnet")
}

fn subnet_id() -> String {
    format!("{}/subnets/lab-subnet", network_id())
}

/// The id of a part of the load balancer.
fn part_id(kind: &str, name: &str) -> String {
    format!("{}/{kind}/{name}", balancer_id())
}

fn rule_id(number: usize) -> String {
    part_id("inboundNatRules", &format!("{POOL}.{number}"))
}

/// All documents but the cards, with their paths.
pub(super) fn documents(count: usize, ports: &[u16]) -> Vec<(String, Value)> {
    vec![
        (balancer_id(), balancer(count, ports)),
        (address_id(), address()),
        (security::id(), security::group(count)),
        (network_id(), network(count)),
    ]
}

/// The card in the scale set's model, which each instance has too.
pub(super) fn card_configuration() -> Value {
    json!({
        "name": CARD,
        "properties": {
            "primary": true,
            "enableAcceleratedNetworking": false,
            "networkSecurityGroup": pointer(security::id()),
            "dnsSettings": {"dnsServers": []},
            "enableIPForwarding": false,
            "ipConfigurations": [{
                "name": CONFIGURATION,
                "properties": {
                    "primary": true,
                    "subnet": pointer(subnet_id()),
                    "privateIPAddressVersion": "IPv4",
                    "loadBalancerBackendAddressPools": [pointer(part_id("backendAddressPools", BACKEND))],
                    "loadBalancerInboundNatPools": [pointer(part_id("inboundNatPools", POOL))],
                },
            }],
        },
    })
}

fn private_address(number: usize) -> String {
    let offset = u32::try_from(number).unwrap_or_default();
    Ipv4Addr::from_bits(FIRST_ADDRESS.to_bits().saturating_add(offset)).to_string()
}

/// An instance's card.
pub(super) fn card(number: usize) -> Value {
    let etag = etag();
    json!({
        "name": CARD,
        "id": card_id(number),
        "etag": etag,
        "properties": {
            "provisioningState": "Succeeded",
            "resourceGuid": guid(),
            "ipConfigurations": [{
                "name": CONFIGURATION,
                "id": configuration_id(number),
                "etag": etag,
                "properties": {
                    "provisioningState": "Succeeded",
                    "privateIPAddress": private_address(number),
                    "privateIPAllocationMethod": "Dynamic",
                    "subnet": pointer(subnet_id()),
                    "primary": true,
                    "privateIPAddressVersion": "IPv4",
                    "loadBalancerBackendAddressPools": [pointer(part_id("backendAddressPools", BACKEND))],
                    "loadBalancerInboundNatRules": [pointer(rule_id(number))],
                },
            }],
            "dnsSettings": {"dnsServers": [], "appliedDnsServers": []},
            "enableAcceleratedNetworking": false,
            "enableIPForwarding": false,
            "networkSecurityGroup": pointer(security::id()),
            "primary": true,
            "virtualMachine": pointer(instance_id(number)),
        },
    })
}

fn balancer(count: usize, ports: &[u16]) -> Value {
    let etag = etag();
    let rules: Vec<_> = ports.iter().enumerate().map(|(number, port)| rule(number, *port, &etag)).collect();
    json!({
        "name": "lab-lb",
        "id": balancer_id(),
        "etag": etag,
        "type": "Microsoft.Network/loadBalancers",
        "location": LOCATION,
        "tags": {},
        "sku": {"name": "Standard", "tier": "Regional"},
        "properties": {
            "provisioningState": "Succeeded",
            "resourceGuid": guid(),
            "frontendIPConfigurations": [{
                "name": FRONTEND,
                "id": part_id("frontendIPConfigurations", FRONTEND),
                "etag": etag,
                "type": "Microsoft.Network/loadBalancers/frontendIPConfigurations",
                "properties": {
                    "provisioningState": "Succeeded",
                    "privateIPAllocationMethod": "Dynamic",
                    "publicIPAddress": pointer(address_id()),
                    "inboundNatRules": pointers(count, rule_id),
                    "inboundNatPools": [pointer(part_id("inboundNatPools", POOL))],
                },
            }],
            "backendAddressPools": [backend(count, &etag)],
            "loadBalancingRules": [],
            "probes": [],
            "inboundNatRules": rules,
            "outboundRules": [],
            "inboundNatPools": [pool(ports, &etag)],
        },
    })
}

fn backend(count: usize, etag: &str) -> Value {
    let id = part_id("backendAddressPools", BACKEND);
    let addresses: Vec<_> = (0..count)
        .map(|number| {
            let name = guid();
            json!({
                "id": format!("{id}/loadBalancerBackendAddresses/{name}"),
                "name": name,
                "etag": etag,
                "type": "Microsoft.Network/loadBalancers/backendAddressPools/loadBalancerBackendAddresses",
                "properties": {
                    "provisioningState": "Succeeded",
                    "networkInterfaceIPConfiguration": pointer(configuration_id(number)),
                },
            })
        })
        .collect();
    json!({
        "name": BACKEND,
        "id": id,
        "etag": etag,
        "type": "Microsoft.Network/loadBalancers/backendAddressPools",
        "properties": {
            "provisioningState": "Succeeded",
            "loadBalancerBackendAddresses": addresses,
            "backendIPConfigurations": pointers(count, configuration_id),
        },
    })
}

fn rule(number: usize, port: u16, etag: &str) -> Value {
    json!({
        "name": format!("{POOL}.{number}"),
        "id": rule_id(number),
        "etag": etag,
        "type": "Microsoft.Network/loadBalancers/inboundNatRules",
        "properties": {
            "provisioningState": "Succeeded",
            "frontendIPConfiguration": pointer(part_id("frontendIPConfigurations", FRONTEND)),
            "frontendPort": port,
            "backendPort": 22,
            "enableFloatingIP": false,
            "idleTimeoutInMinutes": IDLE_TIMEOUT,
            "protocol": "Tcp",
            "enableTcpReset": false,
            "backendIPConfiguration": pointer(configuration_id(number)),
        },
    })
}

/// Where the ports are not contiguous, the pool has some that lead nowhere, as real pools have.
fn pool(ports: &[u16], etag: &str) -> Value {
    json!({
        "name": POOL,
        "id": part_id("inboundNatPools", POOL),
        "etag": etag,
        "type": "Microsoft.Network/loadBalancers/inboundNatPools",
        "properties": {
            "provisioningState": "Succeeded",
            "frontendPortRangeStart": ports.iter().min(),
            "frontendPortRangeEnd": ports.iter().max(),
            "backendPort": 22,
            "protocol": "Tcp",
            "idleTimeoutInMinutes": IDLE_TIMEOUT,
            "enableFloatingIP": false,
            "enableTcpReset": false,
            "frontendIPConfiguration": pointer(part_id("frontendIPConfigurations", FRONTEND)),
        },
    })
}

fn address() -> Value {
    json!({
        "name": "lab-ip",
        "id": address_id(),
        "etag": etag(),
        "type": "Microsoft.Network/publicIPAddresses",
        "location": LOCATION,
        "tags": {},
        "sku": {"name": "Standard", "tier": "Regional"},
        "properties": {
            "provisioningState": "Succeeded",
            "resourceGuid": guid(),
            "ipAddress": Ipv4Addr::LOCALHOST.to_string(),
            "publicIPAddressVersion": "IPv4",
            "publicIPAllocationMethod": "Static",
            "idleTimeoutInMinutes": IDLE_TIMEOUT,
            "ipTags": [],
            "ipConfiguration": pointer(part_id("frontendIPConfigurations", FRONTEND)),
        },
    })
}

fn network(count: usize) -> Value {
    json!({
        "name": "lab-vnet",
        "id": network_id(),
        "etag": etag(),
        "type": "Microsoft.Network/virtualNetworks",
        "location": LOCATION,
        "tags": {},
        "properties": {
            "provisioningState": "Succeeded",
            "resourceGuid": guid(),
            "addressSpace": {"addressPrefixes": [SUBNET]},
            "subnets": [subnet(count)],
        },
    })
}

/// Without a security group of its own: the cards have one.
fn subnet(count: usize) -> Value {
    json!({
        "name": "lab-subnet",
        "id": subnet_id(),
        "etag": etag(),
        "type": "Microsoft.Network/virtualNetworks/subnets",
        "properties": {
            "provisioningState": "Succeeded",
            "addressPrefix": SUBNET,
            "ipConfigurations": pointers(count, configuration_id),
        },
    })
}
