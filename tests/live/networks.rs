//! Networks in which what leads to an instance is not where one looks first.

use serde_json::Value;

use crate::{
    network::{Balancer, Kind, Machines, Network},
    stand_in::{StandIn, world},
    way::assert_same,
};

#[track_caller]
fn check(network: &Network) -> StandIn {
    let azure = StandIn::new(world(&network.documents(), 2), &[]);
    let target = format!("{}/{}", network.sets[0].group, network.sets[0].name);
    let shown = azure.map(&target);
    assert_same("live", &shown.ways, &network.expected(0));
    azure
}

#[test]
fn cards_in_another_group_are_found() {
    let mut set = Machines::new(Kind::Flexible, "web", &["web_0a", "web_0b", "web_0c"]);
    set.card_group = "net-rg".into();
    set.configuration().backend_pools.push((0, 0));
    let balancer = Balancer::new("lb", "20.1.2.3").backend_pool("pool").pool_rule("ssh", 50000, 50119, 22);
    check(&Network { sets: vec![set], balancers: vec![balancer], ..Network::default() }.share_out(0));
}

#[test]
fn a_pool_of_bare_addresses_beside_an_internal_load_balancer_is_found() {
    let mut set = Machines::new(Kind::Uniform, "web", &["0", "1"]);
    // The second has addresses for members: Azure then names it neither in the model nor on the cards.
    set.configuration().backend_pools.extend([(0, 0), (1, 0)]);
    let mut inside =
        Balancer::new("inside", "10.0.0.100").backend_pool("app").pool_rule("ssh", 50000, 50119, 22);
    inside.frontends[0].internal = true;
    let mut outside =
        Balancer::new("outside", "20.1.2.3").backend_pool("bare").pool_rule("ssh", 2200, 2299, 22);
    outside.backend_pools[0].by_address = Some(true);
    let network =
        Network { sets: vec![set], balancers: vec![inside, outside], ..Network::default() }.share_out(0);
    let mut documents = network.documents();
    documents.resources.values_mut().for_each(|document| forget(document, "/loadBalancers/outside/"));
    documents.lists.values_mut().flatten().for_each(|document| forget(document, "/loadBalancers/outside/"));
    let azure = StandIn::new(world(&documents, 2), &[]);
    assert_same("live", &azure.map("prod-rg/web").ways, &network.expected(0));
    // The verbs that go there see it too.
    azure.run(&["probe", "prod-rg/web", "99999"]).expect_status(2);
    assert!(azure.asked().iter().filter(|asked| *asked == "loadBalancers").count() >= 2);
}

#[test]
fn a_probe_looks_closer_where_the_load_balancer_and_the_scale_set_count_differently() {
    let mut set = Machines::new(Kind::Uniform, "web", &["0", "1", "2"]);
    set.configuration().nat_pools.push((0, 0));
    let balancer = Balancer::new("lb", "20.1.2.3").nat_pool("ssh", 50000, 50119, 22);
    let mut network =
        Network { sets: vec![set], balancers: vec![balancer], ..Network::default() }.share_out(0);
    network.balancers[0].nat_pools[0].ports.pop();
    let azure = check(&network);
    let ran = azure.run(&["probe", "prod-rg/web", "99999"]).expect_status(2);
    assert!(ran.stderr.contains("instance 0 has no endpoint"), "{}", ran.stderr);
}

/// Takes references to a load balancer's pools out of a document.
fn forget(document: &mut Value, of: &str) {
    match document {
        Value::Object(object) => {
            if let Some(Value::Array(pools)) = object.get_mut("loadBalancerBackendAddressPools") {
                pools.retain(|pool| !pool["id"].as_str().unwrap().contains(of));
            }
            object.values_mut().for_each(|value| forget(value, of));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| forget(item, of)),
        _ => {}
    }
}
