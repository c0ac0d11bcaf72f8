//! What `az` would print about the lab: files with their names, all made from the one world.

use serde_json::{Map, Value};

use super::{World, documents, flat::flat, world::Found};

/// What `az vmss list-instance-connection-info` would print.
pub(in super::super) const CONNECTION_INFO: &str = "connection-info.json";

/// What `az network lb inbound-nat-pool show` would print.
pub(in super::super) const NAT_POOL: &str = "nat-pool.json";

/// The folder of the documents that Azure has as such.
pub(in super::super) const FOLDER: &str = "azure";

/// The files' names, with a `/` where they are in [`FOLDER`], and what is in them.
pub(in super::super) fn printed(world: &World) -> Vec<(String, Value)> {
    let set = documents::scale_set_id();
    let shown = |path: &str| match world.find(path) {
        Ok(Found::One(document)) => flat(document),
        Ok(Found::List { items, .. }) => items.into_iter().map(flat).collect(),
        Err(_) => Value::Null,
    };
    let balancer = shown(&documents::balancer_id());
    let address = shown(&documents::address_id());
    let derived = [
        (CONNECTION_INFO, connection_info(&balancer, &address)),
        (NAT_POOL, balancer.pointer("/inboundNatPools/0").cloned().unwrap_or_default()),
    ];
    let own = [
        ("vmss-show", shown(&set)),
        ("vmss-list-instances", shown(&format!("{set}/virtualMachines"))),
        ("vmss-nic-list", shown(&format!("{set}/networkInterfaces"))),
        ("lb-show", balancer),
        ("public-ip-show", address),
        ("nsg-show", shown(&documents::security_group_id())),
    ];
    let own = own.map(|(name, document)| (format!("{FOLDER}/{name}.json"), document));
    derived.map(|(name, document)| (name.to_owned(), document)).into_iter().chain(own).collect()
}

/// Instance and endpoint of each rule. az sorts the keys as texts.
fn connection_info(balancer: &Value, address: &Value) -> Value {
    let host = address.get("ipAddress").and_then(Value::as_str).unwrap_or("None");
    let line = |rule: &Value| {
        let target = rule.pointer("/backendIPConfiguration/id")?.as_str()?;
        let (_, behind) = target.split_once("/virtualMachines/")?;
        let instance = behind.split('/').next()?;
        Some((format!("instance {instance}"), format!("{host}:{}", rule.get("frontendPort")?)))
    };
    let rules = balancer.get("inboundNatRules").and_then(Value::as_array).into_iter().flatten();
    let mut lines: Vec<_> = rules.filter_map(line).collect();
    lines.sort();
    Value::Object(lines.into_iter().map(|(key, value)| (key, value.into())).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::azure::Description;

    fn printed_of(ports: &[u16]) -> Vec<(String, Value)> {
        let vm_ids: Vec<_> = ports.iter().map(|_| super::super::guid()).collect();
        let description = Description { ports, vm_ids: &vm_ids, public_key: "ssh-ed25519 AAAA" };
        printed(&documents::world(description))
    }

    /// The names of an object's members.
    fn members(value: &Value) -> Vec<&str> {
        value.as_object().unwrap().keys().map(String::as_str).collect()
    }

    fn of<'a>(files: &'a [(String, Value)], name: &str) -> &'a Value {
        &files.iter().find(|(own, _)| own == name).unwrap_or_else(|| panic!("there is no {name}")).1
    }

    #[test]
    fn lists_of_endpoints_look_like_those_of_az() {
        let files = printed_of(&[50000, 50007]);
        assert_eq!(
            of(&files, CONNECTION_INFO).to_string(),
            r#"{"instance 0":"127.0.0.1:50000","instance 1":"127.0.0.1:50007"}"#
        );
        let pool = of(&files, NAT_POOL);
        assert_eq!(
            (&pool["frontendPortRangeStart"], &pool["frontendPortRangeEnd"]),
            (&50000.into(), &50007.into())
        );
        assert_eq!(
            members(pool),
            [
                "backendPort",
                "enableFloatingIP",
                "enableTcpReset",
                "etag",
                "frontendIPConfiguration",
                "frontendPortRangeEnd",
                "frontendPortRangeStart",
                "id",
                "idleTimeoutInMinutes",
                "name",
                "protocol",
                "provisioningState",
                "resourceGroup",
                "type"
            ]
        );
        let many = printed_of(&[1; 11]);
        assert_eq!(members(of(&many, CONNECTION_INFO))[..3], ["instance 0", "instance 1", "instance 10"]);
    }

    #[test]
    fn documents_look_like_those_of_az() {
        let files = printed_of(&[50000, 50007]);
        let instances = of(&files, "azure/vmss-list-instances.json");
        assert_eq!(instances[1]["name"], "lab_1");
        assert_eq!(instances[1]["instanceView"]["statuses"][1]["code"], "PowerState/running");
        assert_eq!(instances[1]["networkProfile"]["networkInterfaces"][0]["resourceGroup"], "lab-rg");
        assert_ne!(instances[0]["vmId"], instances[1]["vmId"]);

        let cards = of(&files, "azure/vmss-nic-list.json");
        assert_eq!(cards[1]["ipConfigurations"][0]["privateIPAddress"], "10.0.0.5");
        assert_eq!(cards[1]["virtualMachine"]["id"], instances[1]["id"]);

        let balancer = of(&files, "azure/lb-show.json");
        let rule = &balancer["inboundNatRules"][1];
        assert_eq!((&rule["name"], &rule["frontendPort"]), (&"ssh.1".into(), &50007.into()));
        assert_eq!(rule["backendIPConfiguration"]["id"], cards[1]["ipConfigurations"][0]["id"]);
        assert_eq!(cards[1]["ipConfigurations"][0]["loadBalancerInboundNatRules"][0]["id"], rule["id"]);
        let member = &balancer["backendAddressPools"][0]["loadBalancerBackendAddresses"][0];
        assert_eq!(members(member), ["name", "networkInterfaceIPConfiguration"]);
        let frontend = &balancer["frontendIPConfigurations"][0];
        assert_eq!(frontend["publicIPAddress"]["id"], of(&files, "azure/public-ip-show.json")["id"]);

        let model = of(&files, "azure/vmss-show.json");
        let card = &model["virtualMachineProfile"]["networkProfile"]["networkInterfaceConfigurations"][0];
        assert_eq!(
            card["ipConfigurations"][0]["loadBalancerInboundNatPools"][0]["id"],
            of(&files, NAT_POOL)["id"]
        );
        let security = of(&files, "azure/nsg-show.json");
        assert_eq!(card["networkSecurityGroup"]["id"], security["id"]);
        assert_eq!(security["securityRules"][0]["destinationPortRange"], "22");
        assert_eq!(security["defaultSecurityRules"][2]["name"], "DenyAllInBound");
        assert!(files.iter().all(|(_, document)| !document.to_string().contains("\"properties\"")));
    }
}
