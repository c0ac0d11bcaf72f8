//! The made-up scale sets of `tests/data/azure/scenarios`: their documents, and the right map of each.

#![allow(dead_code, reason = "every test program uses some of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::way::{Way, text};

/// The folder of a scenario.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/azure/scenarios").join(name)
}

/// A document of a scenario.
pub(crate) fn document(scenario: &str, file: &str) -> Value {
    let path = folder(scenario).join(file);
    serde_json::from_slice(&fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        .unwrap()
}

/// The names of all scenarios.
pub(crate) fn names() -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder(""))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 14);
    names
}

/// The right ways, in the words of the map.
pub(crate) fn truth(scenario: &str) -> Vec<Way> {
    let way = |endpoint: &Value| Way {
        instance: text(&endpoint["instanceId"]),
        name: text(&endpoint["vmName"]),
        computer_name: text(&endpoint["computerName"]),
        private_address: text(&endpoint["privateIp"]),
        via: match endpoint["via"].as_str().unwrap() {
            "natPool" => "nat-pool".into(),
            "natRule" => "nat-rule".into(),
            "natRuleV2" => "nat-rule-v2".into(),
            other => panic!("{other}"),
        },
        load_balancer: text(&endpoint["loadBalancer"]),
        load_balancer_group: text(&endpoint["loadBalancerResourceGroup"]),
        rule: text(&endpoint["rule"]),
        pool: text(&endpoint["pool"]),
        frontend: text(&endpoint["frontend"]),
        scope: match endpoint["frontendScope"].as_str().unwrap() {
            "public" => Some("public".into()),
            "private" => Some("internal".into()),
            other => panic!("{other}"),
        },
        address: text(&endpoint["frontendIp"]),
        port: endpoint["frontendPort"].as_u64().unwrap(),
        backend_port: endpoint["backendPort"].as_u64(),
        protocol: endpoint["protocol"].as_str().unwrap().to_lowercase(),
        idle_timeout_minutes: endpoint["idleTimeoutMinutes"].as_u64(),
        tcp_reset: endpoint["tcpReset"].as_bool(),
    };
    document(scenario, "truth.json")["endpoints"].as_array().unwrap().iter().map(way).collect()
}
