//! The made-up scale sets of `tests/data/azure/scenarios`, asked live.

use serde_json::Value;
use vmssh::lab::azure::World;

use crate::{
    scenario::{document, names, truth as right},
    stand_in::StandIn,
    way::{assert_same, text},
};

/// The scenario's documents: `{"$list": […], "$page": N}` is a list, `{"$ref": PATH}` another document in it.
fn world(scenario: &str) -> World {
    let scenario = document(scenario, "scenario.json");
    let resources = scenario["resources"].as_object().unwrap();
    let mut world = World::new(scenario["subscription"].as_str().unwrap());
    for (path, value) in resources {
        let Some(items) = value.get("$list").and_then(Value::as_array) else {
            // Port mappings are in the load balancers too, and never asked for.
            if !path.starts_with("POST ") {
                world = world.document(path, value.clone());
            }
            continue;
        };
        let resolved = items.iter().map(|item| match item.get("$ref").and_then(Value::as_str) {
            Some(path) => resources[path].clone(),
            None => item.clone(),
        });
        let page = value["$page"].as_u64().map_or(World::WHOLE, |page| usize::try_from(page).unwrap());
        world = world.list(path, resolved.collect(), page);
    }
    world
}

#[test]
fn every_scenario_gives_its_truth_live() {
    for scenario in names() {
        let truth = document(&scenario, "truth.json");
        // What scenario 19 is about: Azure throttles, and a load balancer is not to be had at first.
        let faults: &[&str] = if scenario.starts_with("19") {
            &["throttle=1s,2x,virtualMachineScaleSets/busy", "unavailable=1s,1x,loadBalancers"]
        } else {
            &[]
        };
        let azure = StandIn::new(world(&scenario), faults);
        let target =
            format!("{}/{}", truth["resourceGroup"].as_str().unwrap(), truth["vmss"].as_str().unwrap());
        let shown = azure.map(&target);
        assert_same(&scenario, &shown.ways, &right(&scenario));
        let powers = |list: &Value, id: &str, power: &str| -> Vec<_> {
            list.as_array().unwrap().iter().map(|i| (text(&i[id]), text(&i[power]))).collect()
        };
        assert_same(
            &scenario,
            &powers(&shown.document["instances"], "instance", "power"),
            &powers(&truth["instances"], "instanceId", "powerState"),
        );
        let warned = shown.said.iter().any(|said| said.severity != "info");
        let warnings = truth["worthAWarning"].as_array().unwrap();
        // Several endpoints are no fault; that there is no load balancer is.
        let expected = match &scenario[..2] {
            "04" => false,
            "10" => true,
            _ => !warnings.is_empty(),
        };
        assert_eq!(warned, expected, "{scenario}: {:?} {warnings:?}", shown.said);
    }
}

#[test]
fn a_full_id_needs_no_subscription() {
    let azure = StandIn::new(world("01-uniform-natpool-contiguous"), &[]);
    let truth = document("01-uniform-natpool-contiguous", "truth.json");
    let id = format!(
        "/subscriptions/{}/resourcegroups/PROD-RG/providers/microsoft.compute/virtualMachineScaleSets/web",
        truth["subscription"].as_str().unwrap()
    );
    let output =
        azure.command(&["map", &id, "-o", "csv"]).env_remove("AZURE_SUBSCRIPTION_ID").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 5, "{output:?}");
}
