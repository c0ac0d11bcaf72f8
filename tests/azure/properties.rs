//! What holds for every network and every document.

use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};
use vmssh::{
    azure::{
        save,
        wire::{self, Read},
    },
    resource::Resources,
};

use crate::{
    network::{Kind, Network, SECRET, Spelling, networks},
    way::{assert_same, map_of, resources, try_map},
};

/// The sets of a network that are scale sets.
fn scale_sets(network: &Network) -> Vec<(usize, &str)> {
    let all = network.sets.iter().enumerate();
    all.filter(|(_, set)| set.kind != Kind::Alone).map(|(at, set)| (at, set.name.as_str())).collect()
}

fn spelling() -> impl Strategy<Value = Spelling> {
    prop::sample::select(Spelling::ALL.to_vec())
}

/// The documents in an order by chance.
fn shuffled(mut documents: Vec<Value>, order: &[Index]) -> Vec<Value> {
    for (place, index) in order.iter().enumerate() {
        let count = documents.len();
        documents.swap(place % count, index.index(count));
    }
    documents
}

/// Each case is several maps: fewer than usual, unless `PROPTEST_CASES` says how many.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig { cases: if asked { default.cases } else { 40 }, failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_map_is_the_truth_in_every_spelling_and_order(
        network in networks(),
        spelling in spelling(),
        order in prop::collection::vec(any::<Index>(), 8),
    ) {
        for (set, name) in scale_sets(&network) {
            let documents = network.saved(set);
            let shown = try_map(&shuffled(spelling.spell(&documents), &order), Some(name)).unwrap();
            assert_same(name, &shown.ways, &network.expected(set));
            let plain = try_map(&Spelling::Az.spell(&documents), Some(name)).unwrap();
            prop_assert_eq!(plain.document, shown.document);
        }
    }

    /// Documents of all sets at once: each set's map is still its own.
    #[test]
    fn every_endpoint_leads_to_an_instance_of_this_set(network in networks()) {
        let documents: Vec<_> =
            (0..network.sets.len()).flat_map(|set| Spelling::Arm.spell(&network.saved(set))).collect();
        for (set, name) in scale_sets(&network) {
            let shown = try_map(&documents, Some(name)).unwrap();
            assert_same(name, &shown.ways, &network.expected(set));
        }
    }

    /// Whatever documents are missing: what the map says of an instance is true, if not all.
    #[test]
    fn what_part_of_the_documents_tells_is_true(network in networks(), keep in prop::collection::vec(any::<bool>(), 16)) {
        let mut network = network;
        // Without the list of instances, rules of one that is gone look like any other.
        network.sets.iter_mut().flat_map(|set| &mut set.instances).for_each(|instance| instance.gone = false);
        for (set, name) in scale_sets(&network) {
            let mut kept = keep.iter().cycle();
            let documents: Vec<_> = Spelling::Az
                .spell(&network.saved(set))
                .into_iter()
                .filter(|_| *kept.next().unwrap())
                .collect();
            if documents.is_empty() {
                continue;
            }
            let Ok(shown) = try_map(&documents, Some(name)) else { continue };
            let truth = network.expected(set);
            for way in shown.ways.iter().filter(|way| way.instance.is_some()) {
                let is_true = truth.iter().any(|right| {
                    let same = |ours: &Option<String>, theirs: &Option<String>| ours.is_none() || ours == theirs;
                    (&right.instance, right.port, right.backend_port, &right.via, &right.rule)
                        == (&way.instance, way.port, way.backend_port, &way.via, &way.rule)
                        && same(&way.address, &right.address)
                        && same(&way.private_address, &right.private_address)
                        && same(&way.name, &right.name)
                        && (&right.pool, &right.frontend, &right.load_balancer_group)
                            == (&way.pool, &way.frontend, &way.load_balancer_group)
                });
                // Windows is told by the model only: without it, the own address has the port of SSH.
                prop_assert!(is_true || way.via == "public-ip", "{:#?}\n{:#?}", way, truth);
            }
        }
    }

    #[test]
    fn pools_and_rules_of_version_2_lead_to_the_same(network in networks()) {
        let migrated = network.migrated(|_| true);
        let half = network.migrated(|pool| pool == 0);
        for (set, name) in scale_sets(&network) {
            let essence = |network: &Network| {
                let shown = try_map(&Spelling::Az.spell(&network.saved(set)), Some(name)).unwrap();
                shown.ways.iter().map(crate::way::Way::essence).collect::<Vec<_>>()
            };
            assert_same(name, &essence(&migrated), &essence(&network));
            assert_same(name, &essence(&half), &essence(&network));
        }
    }

    #[test]
    fn what_is_saved_is_read_again_and_keeps_no_secrets(network in networks(), spelling in spelling()) {
        for (set, name) in scale_sets(&network) {
            let documents = spelling.spell(&network.saved(set));
            prop_assert!(documents.iter().any(|document| document.to_string().contains(SECRET)));
            let before = resources(&documents);
            let saved = save::document(&before);
            prop_assert!(!saved.to_string().contains(SECRET));
            let after = resources(std::slice::from_ref(&saved));
            prop_assert_eq!(&after, &before);
            prop_assert_eq!(map_of(&after, Some(name)), map_of(&before, Some(name)));
            prop_assert_eq!(save::document(&after), saved);
        }
    }

    #[test]
    fn no_document_makes_reading_or_resolving_panic(
        network in networks(),
        spelling in spelling(),
        changes in prop::collection::vec((any::<Index>(), any::<Index>(), change()), 1..6),
    ) {
        let mut documents = spelling.spell(&network.saved(0));
        for (document, node, change) in changes {
            let document = document.get(&documents).clone();
            let mut changed = document.clone();
            let mut left = node.index(count(&document));
            apply(&mut changed, &mut left, &change);
            documents.push(changed);
        }
        let mut all = Resources::default();
        for document in &documents {
            if let Ok(Read::Resources(more)) = wire::read(document) {
                let _ = map_of(&more, None);
                all.merge(*more);
            }
        }
        for name in [None, Some("set0")] {
            if let Ok(shown) = map_of(&all, name) {
                prop_assert!(shown.document["schema"] == "vmssh.map/1");
            }
        }
        let saved = save::document(&all);
        prop_assert!(wire::read(&saved).is_ok(), "{}", saved);
    }
}

/// What is done to a node of a document.
#[derive(Debug, Clone)]
enum Change {
    Replace(Value),
    DropFirst,
    Double,
    Truncate(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let values = vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(0),
        json!(70000),
        json!(1e300),
        json!(""),
        json!("[resourceId('x')]"),
        json!("/subscriptions/é"),
        json!("/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/loadBalancers/lb"),
        json!("50000"),
        json!([]),
        json!([null, 1, {}]),
        json!({}),
        json!({"id": "x"}),
        json!({"properties": {"properties": {}}}),
    ];
    prop_oneof![
        3 => prop::sample::select(values).prop_map(Change::Replace),
        1 => Just(Change::DropFirst),
        1 => Just(Change::Double),
        2 => (0usize..200).prop_map(Change::Truncate),
    ]
}

/// How many nodes a document has.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Object(object) => object.values().map(count).sum(),
        Value::Array(items) => items.iter().map(count).sum(),
        _ => 0,
    }
}

/// Changes the node that is `left` nodes further on.
fn apply(value: &mut Value, left: &mut usize, change: &Change) {
    if *left == 0 {
        *left = usize::MAX;
        return change_node(value, change);
    }
    *left -= 1;
    let children: Vec<&mut Value> = match value {
        Value::Object(object) => object.values_mut().collect(),
        Value::Array(items) => items.iter_mut().collect(),
        _ => return,
    };
    for child in children {
        if *left != usize::MAX {
            apply(child, left, change);
        }
    }
}

fn change_node(value: &mut Value, change: &Change) {
    match (change, &mut *value) {
        (Change::Replace(new), _) => *value = new.clone(),
        (Change::DropFirst, Value::Object(object)) => {
            let first = object.keys().next().cloned();
            first.map(|key| object.shift_remove(&key));
        }
        (Change::DropFirst, Value::Array(items)) if !items.is_empty() => drop(items.remove(0)),
        (Change::Double, Value::Array(items)) => items.extend(items.clone()),
        (Change::Truncate(length), Value::String(text)) => {
            *text = text.chars().take(*length).collect();
        }
        (Change::Truncate(length), Value::Array(items)) => items.truncate(*length % 3),
        _ => *value = Value::Null,
    }
}
