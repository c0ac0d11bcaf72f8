//! The lab's load balancer and its public address: which port leads where.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::{LOCATION, etag, guid, id, network, pointer, pointers};

/// The NAT pool, and the first part of its rules' names.
const POOL: &str = "ssh";

const FRONTEND: &str = "lab-fe";
const BACKEND: &str = "lab-backend";
/// Azure's shortest and usual idle timeout of a NAT rule, in minutes.
const IDLE_TIMEOUT: u32 = 4;

pub(in super::super) fn balancer_id() -> String {
    id("Microsoft.Network/loadBalancers/lab-lb")
}

pub(in super::super) fn address_id() -> String {
    id("Microsoft.Network/publicIPAddresses/lab-ip")
}

/// The id of a part of the load balancer.
fn part_id(kind: &str, name: &str) -> String {
    format!("{}/{kind}/{name}", balancer_id())
}

pub(super) fn rule_id(number: usize) -> String {
    part_id("inboundNatRules", &format!("{POOL}.{number}"))
}

pub(super) fn pool_id() -> String {
    part_id("inboundNatPools", POOL)
}

pub(super) fn backend_id() -> String {
    part_id("backendAddressPools", BACKEND)
}

fn frontend_id() -> String {
    part_id("frontendIPConfigurations", FRONTEND)
}

pub(super) fn balancer(count: usize, ports: &[u16]) -> Value {
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
                "id": frontend_id(),
                "etag": etag,
                "type": "Microsoft.Network/loadBalancers/frontendIPConfigurations",
                "properties": {
                    "provisioningState": "Succeeded",
                    "privateIPAllocationMethod": "Dynamic",
                    "publicIPAddress": pointer(address_id()),
                    "inboundNatRules": pointers(count, rule_id),
                    "inboundNatPools": [pointer(pool_id())],
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
    let id = backend_id();
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
                    "networkInterfaceIPConfiguration": pointer(network::configuration_id(number)),
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
            "backendIPConfigurations": pointers(count, network::configuration_id),
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
            "frontendIPConfiguration": pointer(frontend_id()),
            "frontendPort": port,
            "backendPort": 22,
            "enableFloatingIP": false,
            "idleTimeoutInMinutes": IDLE_TIMEOUT,
            "protocol": "Tcp",
            "enableTcpReset": false,
            "backendIPConfiguration": pointer(network::configuration_id(number)),
        },
    })
}

/// Where the ports are not contiguous, the pool has some that lead nowhere, as real pools have.
fn pool(ports: &[u16], etag: &str) -> Value {
    json!({
        "name": POOL,
        "id": pool_id(),
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
            "frontendIPConfiguration": pointer(frontend_id()),
        },
    })
}

pub(super) fn address() -> Value {
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
            "ipConfiguration": pointer(frontend_id()),
        },
    })
}
