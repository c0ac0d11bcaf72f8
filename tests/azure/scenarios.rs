//! The made-up scale sets of `tests/data/azure/scenarios`: the program's map of what az printed is the right
//! map, in every member, and says what is worth a warning.

use serde_json::Value;

use crate::{
    scenario::{document, folder, names, truth},
    vmssh_binary::Surroundings,
    way::{self, Shown, assert_same, text},
};

/// What the program says about a scenario's folder.
pub(crate) fn map(scenario: &str) -> Shown {
    let target = format!("@{}", folder(scenario).join("az").display());
    let ran = Surroundings::new().run(&["map", &target, "-o", "json"]).expect_status(0);
    assert_eq!(ran.stderr, "", "findings are in the document");
    Shown::of(ran.json_lines().remove(0))
}

#[test]
fn every_member_of_every_endpoint_is_right() {
    for scenario in names() {
        assert_same(&scenario, &map(&scenario).ways, &truth(&scenario));
    }
}

#[test]
fn every_instance_is_there_with_its_state() {
    for scenario in names() {
        let truth = document(&scenario, "truth.json");
        let listed = truth["instances"].as_array().unwrap().iter().filter(|i| i["listed"] == true);
        // `az vm list` prints no power states without `--show-details`.
        let with_power = truth["orchestrationMode"] != "Flexible";
        let right: Vec<_> = listed
            .map(|i| ["instanceId", "vmName", "computerName", "powerState"].map(|key| text(&i[key])))
            .map(|[id, name, computer, power]| [id, name, computer, power.filter(|_| with_power)])
            .collect();
        let shown = map(&scenario).document;
        let ours: Vec<_> = shown["instances"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| ["instance", "name", "computer_name", "power"].map(|key| text(&i[key])))
            .collect();
        assert_same(&scenario, &ours, &right);
        assert_eq!(shown["scale_set"]["name"], truth["vmss"], "{scenario}");
        assert_eq!(shown["scale_set"]["group"], truth["resourceGroup"], "{scenario}");
        assert_eq!(shown["scale_set"]["subscription"], truth["subscription"], "{scenario}");
        assert_eq!(shown["admin_username"], truth["adminUsername"], "{scenario}");
    }
}

/// The code that says what a line of `worthAWarning` says, and the words that its message must have.
fn code_of(line: &str) -> (&'static str, Vec<String>) {
    let words: Vec<_> = line.split(' ').collect();
    match words.as_slice() {
        ["two", "endpoints", "per", "instance", ..] => {
            ("several-backend-ports", vec!["22".into(), "3389".into()])
        }
        ["rule", name, "is", "attached", "to", "nothing"] => ("unattached-rule", vec![(*name).into()]),
        ["instance", id, state @ ("stopped" | "deallocated" | "starting")] => {
            ("instance-not-running", vec![(*id).into(), (*state).into()])
        }
        ["frontend", name, "has", "no", "address", "yet"] => {
            ("frontend-without-address", vec![(*name).into()])
        }
        [name, "has", "no", "endpoint"] => ("instance-without-port", vec![(*name).into()]),
        ["load", "balancer", name, "has", "no", "inbound", "NAT", "rule"] => {
            ("no-nat-rule", vec![(*name).into()])
        }
        _ => panic!("no finding is known for {line:?}"),
    }
}

/// Warnings that `truth.json` does not have, with the reason.
const ON_TOP: [(&str, &str, &str); 1] =
    [("10-no-lb", "no-load-balancer", "the truth's list of endpoints is empty; a person wants to know why")];

#[test]
fn what_is_worth_a_warning_is_said_and_nothing_else() {
    for scenario in names() {
        let truth = document(&scenario, "truth.json");
        let mut shown = map(&scenario);
        for line in truth["worthAWarning"].as_array().unwrap() {
            let (code, words) = code_of(line.as_str().unwrap());
            let place = shown
                .said
                .iter()
                .position(|said| said.code == code && words.iter().all(|word| said.message.contains(word)));
            let place = place.unwrap_or_else(|| panic!("{scenario}: no {code} about {words:?}: {shown:#?}"));
            shown.said.remove(place);
        }
        for (_, code, _) in ON_TOP.iter().filter(|(of, ..)| *of == scenario) {
            shown.the(code);
            shown.said.retain(|said| said.code != *code);
        }
        assert_eq!(shown.warnings(), Vec::<&str>::new(), "{scenario}: {:#?}", shown.said);
    }
}

/// What Azure itself answers, in `scenario.json`: documents one by one, and the set's lists as pages.
fn arm_documents(scenario: &str) -> Vec<Value> {
    let resources = &document(scenario, "scenario.json")["resources"];
    let resources = resources.as_object().unwrap();
    let mut documents = Vec::new();
    for (path, resource) in resources {
        if resource.get("$mapping").is_some() {
            continue;
        }
        let Some(items) = resource.get("$list") else {
            documents.push(resource.clone());
            continue;
        };
        let of_set = path.contains("/virtualMachineScaleSets/");
        let of_machines = path.ends_with("/virtualMachines") || path.ends_with("/networkInterfaces");
        if of_set || of_machines {
            let of = |item: &Value| {
                item.get("$ref").map_or(item, |path| &resources[path.as_str().unwrap()]).clone()
            };
            let items: Vec<_> = items.as_array().unwrap().iter().map(of).collect();
            documents.push(serde_json::json!({ "value": items }));
        }
    }
    documents
}

#[test]
fn what_azure_answers_gives_the_map_of_what_az_prints() {
    for scenario in names() {
        let shown = way::try_map(&arm_documents(&scenario), None).unwrap();
        assert_same(&scenario, &shown.ways, &truth(&scenario));
    }
}

/// Where az's own list is right, it is a part of the map; where it is not, the map does not follow it.
#[test]
fn azs_list_of_endpoints_is_a_part_of_the_map_where_it_is_right() {
    let mut with_list = Vec::new();
    for scenario in names() {
        if !folder(&scenario).join("expected-az.json").exists() {
            assert!(folder(&scenario).join("expected-az.err").exists(), "{scenario}");
            continue;
        }
        let shown = map(&scenario).short();
        let list = document(&scenario, "expected-az.json");
        let missing = list.as_object().unwrap().iter().filter(|(key, endpoint)| {
            let id = key.strip_prefix("instance ").unwrap();
            let address = endpoint.as_str().unwrap().replace("None", "?");
            !shown.iter().any(|way| way.starts_with(&format!("{id} {address}>")))
        });
        assert_eq!(missing.count(), 0, "{scenario}: {list} {shown:#?}");
        with_list.push((scenario, list.as_object().unwrap().len(), shown.len()));
    }
    let counts: Vec<_> = with_list.iter().map(|(name, az, ours)| (&name[..2], *az, *ours)).collect();
    // The number of az's lines, and of the map's ways.
    assert_eq!(
        counts,
        [
            ("01", 4, 4),
            ("04", 3, 6),
            ("07", 4, 4),
            ("19", 3, 3),
            ("22", 4, 4),
            ("24", 2, 2),
            ("29", 0, 0),
            ("31", 2, 4),
        ]
    );
}
