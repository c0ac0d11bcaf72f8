//! Small documents as `az` prints them: a scale set, its instances, a load balancer, public addresses.

use serde_json::{Value, json};

const GROUP: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/prod-rg/providers";

/// An instance, and the rules that lead to it.
pub(crate) struct At {
    id: String,
    name: String,
    /// The frontend's name and the port.
    ways: Vec<(&'static str, u16)>,
}

impl At {
    pub(crate) fn v4(id: &str, name: &str, port: u16) -> Self {
        Self { ways: vec![("fe", port)], ..Self::nowhere(id, name) }
    }

    pub(crate) fn nowhere(id: &str, name: &str) -> Self {
        Self { id: id.into(), name: name.into(), ways: Vec::new() }
    }

    /// Also by the frontend that has an IPv6 address.
    pub(crate) fn and_v6(mut self, port: u16) -> Self {
        self.ways.push(("fe6", port));
        self
    }
}

/// The `vmId` of the instance at a place.
pub(crate) fn vm_id(place: usize) -> String {
    format!("AE1BD73A-710F-4024-AE07-AB0F8E25{place:04}")
}

/// What the IPv6 frontend has.
pub(crate) const IPV6: &str = "2603:1030::1a";

/// The documents in one file, one behind the other.
pub(crate) fn saved(instances: &[At], address: &str, with_vm_ids: bool) -> String {
    let set = format!("{GROUP}/Microsoft.Compute/virtualMachineScaleSets/web");
    let balancer = format!("{GROUP}/Microsoft.Network/loadBalancers/web-lb");
    let public = |name: &str| format!("{GROUP}/Microsoft.Network/publicIPAddresses/{name}");
    let front = |name: &str| format!("{balancer}/frontendIPConfigurations/{name}");
    let machine = |(place, at): (usize, &At)| {
        let mut machine = json!({
            "id": format!("{set}/virtualMachines/{}", at.id),
            "instanceId": at.id,
            "name": at.name,
            "latestModelApplied": true,
            "instanceView": {"statuses": [{"code": "PowerState/running"}]},
        });
        if with_vm_ids {
            machine["vmId"] = vm_id(place).into();
        }
        machine
    };
    let rule = |(at, (frontend, port)): (&At, (&str, u16))| {
        let name = format!("ssh.{}.{frontend}", at.id);
        json!({
            "id": format!("{balancer}/inboundNatRules/{name}"),
            "name": name,
            "protocol": "Tcp",
            "frontendPort": port,
            "backendPort": 22,
            "idleTimeoutInMinutes": if frontend == "fe" { 15 } else { 4 },
            "frontendIPConfiguration": {"id": front(frontend)},
            "backendIPConfiguration": {
                "id": format!("{set}/virtualMachines/{}/networkInterfaces/nic/ipConfigurations/ip", at.id),
            },
        })
    };
    let ways = instances.iter().flat_map(|at| at.ways.iter().map(move |way| (at, *way)));
    let balancer_document = json!({
        "id": balancer,
        "name": "web-lb",
        "sku": {"name": "Standard"},
        "frontendIPConfigurations": [
            {"id": front("fe"), "name": "fe", "publicIPAddress": {"id": public("web-ip")}},
            {"id": front("fe6"), "name": "fe6", "publicIPAddress": {"id": public("web-ip6")}},
        ],
        "inboundNatRules": ways.map(rule).collect::<Vec<_>>(),
    });
    let documents: [Value; 5] = [
        json!({
            "id": set,
            "name": "web",
            "sku": {"capacity": instances.len()},
            "virtualMachineProfile": {"osProfile": {"adminUsername": "azureuser"}},
        }),
        Value::Array(instances.iter().enumerate().map(machine).collect()),
        balancer_document,
        json!({"id": public("web-ip"), "name": "web-ip", "ipAddress": address}),
        json!({"id": public("web-ip6"), "name": "web-ip6", "ipAddress": IPV6}),
    ];
    documents.map(|document| document.to_string()).join("\n")
}
