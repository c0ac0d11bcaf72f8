//! The lab's network security group: what may reach the instances.

use serde_json::{Value, json};

use super::{LOCATION, etag, guid, network, pointers};

pub(in super::super) fn id() -> String {
    super::id("Microsoft.Network/networkSecurityGroups/lab-nsg")
}

/// One rule, in the words that Azure has for its parts.
#[derive(Clone, Copy)]
struct Rule {
    name: &'static str,
    priority: u32,
    direction: &'static str,
    access: &'static str,
    protocol: &'static str,
    /// Where packets come from.
    source: &'static str,
    /// Where they go, after the NAT.
    destination: &'static str,
    port: &'static str,
}

const ANY: Rule = Rule {
    name: "",
    priority: 0,
    direction: "Inbound",
    access: "Allow",
    protocol: "*",
    source: "*",
    destination: "*",
    port: "*",
};

/// A thousand leaves room for rules before and behind it.
const OWN_RULES: [Rule; 1] = [Rule { name: "allow-ssh", priority: 1000, protocol: "Tcp", port: "22", ..ANY }];

/// What every security group has (learn.microsoft.com, "Network security groups", default
/// security rules).
const DEFAULT_RULES: [Rule; 6] = [
    Rule { source: "VirtualNetwork", destination: "VirtualNetwork", ..inbound("AllowVnetInBound", 65000) },
    Rule { source: "AzureLoadBalancer", ..inbound("AllowAzureLoadBalancerInBound", 65001) },
    Rule { access: "Deny", ..inbound("DenyAllInBound", 65500) },
    Rule { source: "VirtualNetwork", destination: "VirtualNetwork", ..outbound("AllowVnetOutBound", 65000) },
    Rule { destination: "Internet", ..outbound("AllowInternetOutBound", 65001) },
    Rule { access: "Deny", ..outbound("DenyAllOutBound", 65500) },
];

const fn inbound(name: &'static str, priority: u32) -> Rule {
    Rule { name, priority, ..ANY }
}

const fn outbound(name: &'static str, priority: u32) -> Rule {
    Rule { name, priority, direction: "Outbound", ..ANY }
}

fn document(kind: &str, rule: &Rule) -> Value {
    let Rule { name, priority, direction, access, protocol, source, destination, port } = rule;
    json!({
        "name": name,
        "id": format!("{}/{kind}/{name}", id()),
        "type": format!("Microsoft.Network/networkSecurityGroups/{kind}"),
        "properties": {
            "provisioningState": "Succeeded",
            "protocol": protocol,
            "sourcePortRange": "*",
            "destinationPortRange": port,
            "sourceAddressPrefix": source,
            "destinationAddressPrefix": destination,
            "access": access,
            "priority": priority,
            "direction": direction,
            "sourcePortRanges": [],
            "destinationPortRanges": [],
            "sourceAddressPrefixes": [],
            "destinationAddressPrefixes": [],
        },
    })
}

pub(super) fn group(count: usize) -> Value {
    let rules = |kind, rules: &[Rule]| -> Vec<_> { rules.iter().map(|rule| document(kind, rule)).collect() };
    json!({
        "name": "lab-nsg",
        "id": id(),
        "etag": etag(),
        "type": "Microsoft.Network/networkSecurityGroups",
        "location": LOCATION,
        "tags": {},
        "properties": {
            "provisioningState": "Succeeded",
            "resourceGuid": guid(),
            "securityRules": rules("securityRules", &OWN_RULES),
            "defaultSecurityRules": rules("defaultSecurityRules", &DEFAULT_RULES),
            "networkInterfaces": pointers(count, network::card_id),
        },
    })
}
