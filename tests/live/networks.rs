//! Networks in which what leads to an instance is not where one looks first.

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
