//! What Azure really answered, from the recordings of azure-cli's tests (`tests/data/azure/recorded`).

use std::{fs, path::Path};

use serde_json::Value;

use crate::way::{Shown, try_map};

fn recorded(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/azure/recorded");
    serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()
}

fn map(names: &[&str]) -> Shown {
    let documents: Vec<_> = names.iter().map(|name| recorded(name)).collect();
    try_map(&documents, None).unwrap()
}
#[test]
fn a_nat_pool_after_overprovisioning() {
    let shown = map(&[
        "lb-get.natpool.json",
        "vmss-get.uniform-natpool.json",
        "vmss-vm-list.uniform-natpool.json",
        "public-ip-get.json",
    ]);
    assert_eq!(shown.short(), ["2 168.61.18.248:50002>22", "3 168.61.18.248:50003>22"]);
    assert_eq!(shown.codes(), ["nat-pool-retirement"]);
}

#[test]
fn a_rule_of_version_2_over_a_pool_of_bare_addresses() {
    let shown = map(&["lb-get.rule-v2.ip-pool.json"]);
    assert_eq!(shown.short(), ["- ?:3389>3389"]);
    assert_eq!(shown.ways[0].private_address.as_deref(), Some("10.0.0.1"));
    assert_eq!(shown.codes(), ["address-unknown", "instance-unknown"]);
}

#[test]
fn scale_sets_whose_load_balancer_is_not_there() {
    for (file, mode) in [("vmss-get.uniform-v2.json", "Uniform"), ("vmss-get.flexible.json", "Flexible")] {
        let shown = map(&[file]);
        assert_eq!(shown.codes(), ["not-read"], "{mode}");
    }
}

#[test]
fn cards_of_instances_after_overprovisioning() {
    let list = recorded("vmss-nic-list.uniform-natpool.json");
    assert_eq!(list["value"].as_array().unwrap().len(), 2);
    let shown = map(&["vmss-nic-list.uniform-natpool.json"]);
    assert_eq!(shown.document["scale_set"]["name"], "vmss1");
    assert_eq!(shown.codes(), ["not-read"], "a card names its rules, not their ports");
}

/// The recorded answer and the specified ones, taken out of their request.
#[test]
fn bodies_of_single_calls() {
    let answer = recorded("query-inbound-nat-rule-port-mapping.json")["response"].clone();
    assert_eq!(try_map(&[answer["body"].clone()], None).unwrap().short(), ["- ?:3389>3389"]);
    let specified = recorded("spec/LoadBalancerGet.json")["responses"]["200"]["body"].clone();
    let shown = try_map(&[specified], None).unwrap();
    assert_eq!(shown.short(), Vec::<String>::new());
    assert_eq!(shown.codes(), ["no-nat-rule", "unattached-rule"]);
    let made = recorded("spec/LoadBalancerCreateWithInboundNatPool.json")["responses"]["200"]["body"].clone();
    assert_eq!(try_map(&[made], None).unwrap().codes(), ["no-nat-rule"]);
}
