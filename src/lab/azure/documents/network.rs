//! The lab's virtual network and the cards in it.

use serde_json::{Value, json};

use super::{LOCATION, balancer, etag, guid, id, instance_id, pointer, pointers, security};

const CARD: &str = "lab-nic";
const CONFIGURATION: &str = "lab-ipcfg";

/// Where private addresses are taken from: room for a thousand instances.
const SUBNET: &str = "10.0.0.0/16";

pub(super) fn card_id(number: usize) -> String {
    format!("{}/networkInterfaces/{CARD}", instance_id(number))
}

pub(super) fn configuration_id(number: usize) -> String {
    format!("{}/ipConfigurations/{CONFIGURATION}", card_id(number))
}

pub(super) fn network_id() -> String {
    id("Microsoft.Network/virtualNetworks/lab-vnet")
}

fn subnet_id() -> String {
    format!("{}/subnets/lab-subnet", network_id())
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
                    "loadBalancerBackendAddressPools": [pointer(balancer::backend_id())],
                    "loadBalancerInboundNatPools": [pointer(balancer::pool_id())],
                },
            }],
        },
    })
}

fn private_address(number: usize) -> String {
    crate::lab::network::private_address(number).to_string()
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
                    "loadBalancerBackendAddressPools": [pointer(balancer::backend_id())],
                    "loadBalancerInboundNatRules": [pointer(balancer::rule_id(number))],
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

pub(super) fn network(count: usize) -> Value {
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
