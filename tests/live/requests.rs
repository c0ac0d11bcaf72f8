//! How much is asked, by verb.

use std::fmt::Write as _;

use crate::{
    network::{Balancer, Kind, Machines, Network},
    stand_in::{StandIn, world},
};

/// An instance that no set has: the verb loads the map, and stops before it touches the network.
const NOBODY: &str = "99999";

fn ruled(kind: Kind, ids: &[&str]) -> Network {
    let mut set = Machines::new(kind, "web", ids);
    set.configuration().backend_pools.push((0, 0));
    let balancer = Balancer::new("lb", "20.1.2.3").backend_pool("pool").pool_rule("ssh", 50000, 52999, 22);
    Network { sets: vec![set], balancers: vec![balancer], ..Network::default() }.share_out(0)
}

#[test]
fn probe_asks_three_things_of_a_uniform_set_and_four_of_a_flexible_one() {
    for (kind, ids, count) in [(Kind::Uniform, ["0", "5"], 3), (Kind::Flexible, ["web_0a", "web_0b"], 4)] {
        let azure = StandIn::new(world(&ruled(kind, &ids).documents(), 100), &[]);
        azure.run(&["probe", "prod-rg/web", NOBODY]).expect_status(2);
        assert_eq!(azure.asked().len(), count, "{:?}", azure.asked());
    }
}

#[test]
fn exec_also_asks_who_is_behind_the_ports() {
    let azure = StandIn::new(world(&ruled(Kind::Uniform, &["0", "5"]).documents(), 100), &[]);
    azure.run(&["exec", "prod-rg/web", NOBODY, "--", "true"]).expect_status(2);
    let asked = azure.asked();
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert!(asked.contains(&"virtualMachines".into()), "{asked:?}");
}

#[test]
fn a_thousand_instances_come_in_pages() {
    let ids: Vec<_> = (0..1000).map(|id| (id * 3).to_string()).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let azure = StandIn::new(world(&ruled(Kind::Uniform, &ids).documents(), 120), &[]);
    let shown = azure.map("prod-rg/web");
    assert_eq!(shown.ways.len(), 1000);
    assert_eq!(shown.ways.iter().filter(|way| way.private_address.is_some()).count(), 1000);
    let pages = azure.asked().iter().filter(|asked| *asked == "virtualMachines").count();
    assert_eq!(pages, 9);
}

#[test]
fn a_saved_answer_gives_the_same_map_and_keeps_no_secret() {
    let azure = StandIn::new(world(&ruled(Kind::Uniform, &["0", "5"]).documents(), 100), &[]);
    let file = azure.here.home.path().join("saved.json");
    let path = file.to_str().unwrap();
    let live = azure.run(&["map", "prod-rg/web", "--save", path, "-o", "json"]).expect_status(0);
    let mut target = String::from("@");
    write!(target, "{path}").unwrap();
    let saved = azure.run(&["map", &target, "-o", "json"]).expect_status(0);
    assert_eq!(live.stdout, saved.stdout);
    let text = std::fs::read_to_string(file).unwrap();
    for secret in [crate::network::SECRET, "keyData", "customData", "tags"] {
        assert!(!text.contains(secret), "{secret}");
    }
}
