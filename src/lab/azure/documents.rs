//! The documents that describe the lab: its scale set and instances here, the cards in
//! `network`, the ports in `balancer`, what may reach them in `security`.
//!
//! They say what is so: the ports are the lab's own. Member by member they follow what ARM sends
//! for a Uniform scale set behind a Standard load balancer with an inbound NAT pool.

mod balancer;
mod network;
mod security;

use serde_json::{Value, json};

pub(super) use balancer::{address_id, balancer_id};
pub(super) use security::id as security_group_id;

use super::{World, guid};
use crate::lab::{USER, computer_name, name};

/// A subscription that nobody has.
const SUBSCRIPTION: &str = super::NO_GUID;

/// The resource group of everything.
pub(in super::super) const GROUP: &str = "lab-rg";

/// The scale set's name, and the prefix of its computers' names.
pub(in super::super) const SCALE_SET: &str = "lab";

/// A region; the nearest to nowhere would not look like one of Azure's.
const LOCATION: &str = "westeurope";

/// Items in a page of the instance and NIC lists: fewer than Azure sends, so that a lab of 100 has pages.
const PAGE: usize = 40;

/// What the documents are made of.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Description<'a> {
    /// The frontend port of each instance.
    pub(in super::super) ports: &'a [u16],
    /// The `vmId` of each instance.
    pub(in super::super) vm_ids: &'a [String],
    /// The key that signs in, as OpenSSH writes it.
    pub(in super::super) public_key: &'a str,
}

/// The lab's world. GUIDs in it are new with each call, as those of machines are.
pub(in super::super) fn world(description: Description<'_>) -> World {
    let count = description.ports.len();
    let set = scale_set_id();
    let model = scale_set(count, description.public_key);
    let sets = format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachineScaleSets");
    World::new(SUBSCRIPTION)
        .document(&group_id(), group())
        .list(&sets, vec![model.clone()], World::WHOLE)
        .document(&set, model)
        .list(&format!("{set}/virtualMachines"), instances(description.vm_ids), PAGE)
        .list(&format!("{set}/networkInterfaces"), (0..count).map(network::card).collect(), PAGE)
        .document(&balancer_id(), balancer::balancer(count, description.ports))
        .document(&address_id(), balancer::address())
        .document(&security_group_id(), security::group(count))
        .document(&network::network_id(), network::network(count))
}

fn group_id() -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}")
}

/// The id of a resource: provider, type and name follow the group's.
fn id(resource: &str) -> String {
    format!("{}/providers/{resource}", group_id())
}

pub(super) fn scale_set_id() -> String {
    id(&format!("Microsoft.Compute/virtualMachineScaleSets/{SCALE_SET}"))
}

fn etag() -> String {
    format!("W/\"{}\"", guid())
}

fn pointer(id: String) -> Value {
    json!({"id": id})
}

fn pointers(count: usize, id: fn(usize) -> String) -> Vec<Value> {
    (0..count).map(|number| pointer(id(number))).collect()
}

fn instance_id(number: usize) -> String {
    format!("{}/virtualMachines/{number}", scale_set_id())
}

/// Texts by the ids of the instances that they belong to, in order.
pub(in super::super) fn instance_ids(texts: &[String]) -> Vec<(String, String)> {
    (0..).zip(texts).map(|(number, text)| (instance_id(number), text.clone())).collect()
}

fn group() -> Value {
    json!({
        "id": group_id(),
        "name": GROUP,
        "type": "Microsoft.Resources/resourceGroups",
        "location": LOCATION,
        "properties": {"provisioningState": "Succeeded"},
    })
}

fn scale_set(count: usize, public_key: &str) -> Value {
    json!({
        "name": SCALE_SET,
        "id": scale_set_id(),
        "type": "Microsoft.Compute/virtualMachineScaleSets",
        "location": LOCATION,
        "tags": {},
        "sku": {"name": "Standard_D2s_v5", "tier": "Standard", "capacity": count},
        "properties": {
            "singlePlacementGroup": false,
            "orchestrationMode": "Uniform",
            "upgradePolicy": {"mode": "Manual"},
            "overprovision": false,
            "virtualMachineProfile": {
                "osProfile": {
                    "computerNamePrefix": SCALE_SET,
                    "adminUsername": USER,
                    "linuxConfiguration": {
                        "disablePasswordAuthentication": true,
                        "ssh": {"publicKeys": [{
                            "path": format!("/home/{USER}/.ssh/authorized_keys"),
                            "keyData": public_key,
                        }]},
                    },
                },
                "storageProfile": {"osDisk": {"osType": "Linux", "createOption": "FromImage"}},
                "networkProfile": {"networkInterfaceConfigurations": [network::card_configuration()]},
            },
            "provisioningState": "Succeeded",
            "uniqueId": guid(),
        },
    })
}

fn instances(vm_ids: &[String]) -> Vec<Value> {
    vm_ids.iter().enumerate().map(|(number, vm_id)| instance(number, vm_id)).collect()
}

fn instance(number: usize, vm_id: &str) -> Value {
    json!({
        "name": name(number),
        "id": instance_id(number),
        "type": "Microsoft.Compute/virtualMachineScaleSets/virtualMachines",
        "location": LOCATION,
        "tags": {},
        "instanceId": number.to_string(),
        "sku": {"name": "Standard_D2s_v5", "tier": "Standard"},
        "properties": {
            "latestModelApplied": true,
            "modelDefinitionApplied": "VirtualMachineScaleSet",
            "networkProfileConfiguration": {
                "networkInterfaceConfigurations": [network::card_configuration()],
            },
            "vmId": vm_id,
            "osProfile": {"computerName": computer_name(number), "adminUsername": USER},
            "networkProfile": {"networkInterfaces": [
                {"id": network::card_id(number), "properties": {"primary": true}},
            ]},
            "provisioningState": "Succeeded",
            "instanceView": instance_view(number),
        },
    })
}

fn instance_view(number: usize) -> Value {
    json!({
        "computerName": computer_name(number),
        "vmAgent": {"statuses": [{
            "code": "ProvisioningState/succeeded",
            "level": "Info",
            "displayStatus": "Ready",
            "message": "Guest Agent is running",
        }]},
        "statuses": [
            {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded"},
            {"code": "PowerState/running", "level": "Info", "displayStatus": "VM running"},
        ],
    })
}
