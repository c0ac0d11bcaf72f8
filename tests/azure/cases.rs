//! The rows of `docs/azure.md` that are not among the recorded scenarios, one test each. The network is made
//! up here, and its map must be the same from every tool's spelling,
//! whatever the order of the documents.

use serde_json::json;

use crate::{
    network::{Balancer, Card, Configuration, Frontend, Instance, Kind, Machines, Member, Network, Spelling},
    way::{Shown, assert_same, try_map},
};

/// The map of a set, which must be right and the same in all spellings.
#[track_caller]
pub(crate) fn check(network: &Network, set: usize) -> Shown {
    let expected = network.expected(set);
    let mut first: Option<Shown> = None;
    for spelling in Spelling::ALL {
        for backwards in [false, true] {
            let mut documents = spelling.spell(&network.saved(set));
            if backwards {
                documents.reverse();
            }
            let name = Some(network.sets[set].name.as_str());
            let shown = try_map(&documents, name).unwrap();
            let what = format!("{spelling:?}, backwards: {backwards}");
            assert_same(&what, &shown.ways, &expected);
            let first = first.get_or_insert_with(|| shown.clone());
            assert_eq!(first.document, shown.document, "{what}");
        }
    }
    first.unwrap()
}

/// A Uniform set behind one NAT pool.
pub(crate) fn pooled(name: &str, ids: &[&str]) -> Network {
    let mut set = Machines::new(Kind::Uniform, name, ids);
    set.configuration().nat_pools.push((0, 0));
    let balancer = Balancer::new("lb", "20.1.2.3").nat_pool("ssh", 50000, 50119, 22);
    Network { sets: vec![set], balancers: vec![balancer], ..Network::default() }.share_out(0)
}

/// A set behind one rule of version 2.
pub(crate) fn ruled(kind: Kind, name: &str, ids: &[&str]) -> Network {
    let mut set = Machines::new(kind, name, ids);
    set.configuration().backend_pools.push((0, 0));
    let balancer = Balancer::new("lb", "20.1.2.3").backend_pool("pool").pool_rule("ssh", 50000, 50119, 22);
    Network { sets: vec![set], balancers: vec![balancer], ..Network::default() }.share_out(0)
}

#[test]
fn case_02_ids_have_gaps() {
    let shown = check(&pooled("web", &["2", "3", "7", "11"]), 0);
    assert_eq!(
        shown.short(),
        ["2 20.1.2.3:50003>22", "3 20.1.2.3:50002>22", "7 20.1.2.3:50001>22", "11 20.1.2.3:50000>22"]
    );
    assert_eq!(shown.codes(), ["nat-pool-retirement"]);
}

#[test]
fn case_03_a_hundred_instances_with_gaps_in_pages() {
    let ids: Vec<_> = (0..150).filter(|id| id % 3 != 2).map(|id: u32| id.to_string()).collect();
    let shown = check(&pooled("grid", &ids.iter().map(String::as_str).collect::<Vec<_>>()), 0);
    assert_eq!(shown.ways.len(), 100);
}

#[test]
fn case_05_several_cards_in_the_pool() {
    let mut network = pooled("web", &["0", "1"]);
    let mut second = Card::new("nic2", vec![Configuration::new("cfg2")]);
    second.primary = false;
    second.configurations[0].nat_pools.push((0, 0));
    network.sets[0].cards.push(second);
    let shown = check(&network.share_out(0), 0);
    let rules: Vec<_> = shown.ways.iter().filter_map(|way| way.rule.as_deref()).collect();
    assert_eq!(rules, ["ssh.0.nic.cfg", "ssh.0.nic2.cfg2", "ssh.1.nic.cfg", "ssh.1.nic2.cfg2"]);
    let private: Vec<_> = shown.ways.iter().filter_map(|way| way.private_address.as_deref()).collect();
    assert_eq!(private, ["10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7"]);
}

#[test]
fn case_06_the_pool_is_on_the_second_card() {
    let mut network = pooled("web", &["0", "1"]);
    let references = std::mem::take(&mut network.sets[0].configuration().nat_pools);
    let mut second = Card::new("nic2", vec![Configuration::new("cfg2")]);
    second.primary = false;
    second.configurations[0].nat_pools = references;
    network.sets[0].cards.push(second);
    let shown = check(&network.share_out(0), 0);
    let private: Vec<_> = shown.ways.iter().filter_map(|way| way.private_address.as_deref()).collect();
    assert_eq!(private, ["10.0.0.5", "10.0.0.7"], "the second card's");
    assert_eq!(shown.document["instances"][0]["private_addresses"], json!(["10.0.0.4", "10.0.0.5"]));
}

#[test]
fn case_09_the_first_frontend_is_ipv6() {
    let mut set = Machines::new(Kind::Uniform, "dual", &["0", "1"]);
    let mut v6 = Configuration::new("cfg6");
    v6.v6 = true;
    v6.nat_pools.push((0, 0));
    set.configuration().nat_pools.push((0, 1));
    set.cards[0].configurations.push(v6);
    // Both pools have the same ports: only the frontends tell them apart.
    let mut balancer = Balancer::new("lb", "2603:1030::1a")
        .nat_pool("ssh6", 50000, 50119, 22)
        .nat_pool("ssh4", 50000, 50119, 22);
    balancer.frontends.push(Frontend::public("fe4", "20.1.2.3"));
    balancer.nat_pools[1].to.frontend = 1;
    let network = Network { sets: vec![set], balancers: vec![balancer], ..Network::default() }.share_out(0);
    let shown = check(&network, 0);
    assert_eq!(
        shown.short(),
        [
            "0 2603:1030::1a:50001>22",
            "0 20.1.2.3:50001>22",
            "1 2603:1030::1a:50000>22",
            "1 20.1.2.3:50000>22",
        ]
    );
    assert_eq!(shown.warnings(), Vec::<&str>::new());
}

#[test]
fn case_11_a_public_address_for_each_instance() {
    for kind in [Kind::Uniform, Kind::Flexible] {
        let mut set = Machines::new(kind, "own", &["0", "1"]);
        set.configuration().public = Some(true);
        let network = Network { sets: vec![set], ..Network::default() };
        let shown = check(&network, 0);
        assert_eq!(shown.short(), ["0 52.0.0.0:22>22", "1 52.0.1.0:22>22"], "{kind:?}");
        assert_eq!(shown.codes(), Vec::<&str>::new());
    }
}

#[test]
fn case_11_windows_and_an_address_that_is_not_assigned() {
    let mut set = Machines::new(Kind::Uniform, "own", &["0", "1"]);
    set.windows = true;
    set.configuration().public = Some(false);
    let shown = check(&Network { sets: vec![set], ..Network::default() }, 0);
    assert_eq!(shown.short(), ["0 ?:3389>3389", "1 ?:3389>3389"]);
    let said = shown.the("frontend-without-address");
    assert_eq!(said.message, "instances 0-1 have a public address that is not assigned yet");
}

/// Two sets with the same instance ids, and a machine of its own, on one load balancer.
fn shared() -> Network {
    let mut network = pooled("web", &["0", "1"]);
    let mut other = Machines::new(Kind::Uniform, "api", &["0", "1"]);
    other.configuration().nat_pools.push((0, 1));
    network.sets.push(other);
    network.sets.push(Machines::new(Kind::Alone, "jump", &["jump"]));
    let balancer = network.balancers.remove(0);
    let balancer =
        balancer.nat_pool("ssh-api", 51000, 51119, 22).single("jump-ssh", 2222, Some(Member::first(2, 0)));
    network.balancers.push(balancer);
    network.share_out(0)
}

#[test]
fn case_14_a_load_balancer_shared_with_another_set_and_a_machine() {
    let network = shared();
    let shown = check(&network, 0);
    assert_eq!(shown.short(), ["0 20.1.2.3:50001>22", "1 20.1.2.3:50000>22"]);
    assert_eq!(shown.codes(), ["nat-pool-retirement", "shared-load-balancer"]);
    assert_eq!(
        shown.the("shared-load-balancer").message,
        "load balancer lb also leads to machines that are not this scale set's, on 3 ports; they are left out"
    );
    assert_eq!(check(&network, 1).short(), ["0 20.1.2.3:51001>22", "1 20.1.2.3:51000>22"]);
}

#[test]
fn case_16_two_rules_of_version_2_on_one_pool() {
    let mut network = ruled(Kind::Uniform, "web", &["0", "1"]);
    let balancer = network.balancers.remove(0);
    network.balancers.push(balancer.pool_rule("metrics", 9090, 9199, 9100));
    let shown = check(&network.share_out(0), 0);
    assert_eq!(
        shown.short(),
        ["0 20.1.2.3:50001>22", "0 20.1.2.3:9091>9100", "1 20.1.2.3:50000>22", "1 20.1.2.3:9090>9100"]
    );
    assert_eq!(shown.codes(), ["several-backend-ports"]);
}

#[test]
fn case_17_a_pool_member_without_a_mapping() {
    let mut network = ruled(Kind::Uniform, "web", &["0", "1", "2"]);
    network.balancers[0].pool_rules[0].ports.retain(|(member, _)| member.instance != 1);
    let shown = check(&network, 0);
    assert_eq!(shown.short(), ["0 20.1.2.3:50002>22", "2 20.1.2.3:50000>22"]);
    assert_eq!(shown.codes(), ["instance-without-port"]);
    assert_eq!(shown.the("instance-without-port").instances, ["1"]);
}

#[test]
fn case_18_a_pool_of_bare_addresses() {
    for with_network in [true, false] {
        let mut network = ruled(Kind::Uniform, "web", &["0", "1"]);
        network.balancers[0].backend_pools[0].by_address = Some(with_network);
        let shown = check(&network, 0);
        assert_eq!(shown.short(), ["0 20.1.2.3:50001>22", "1 20.1.2.3:50000>22"]);
        assert_eq!(shown.codes(), Vec::<&str>::new());
    }
}

#[test]
fn case_20_the_range_is_full() {
    let mut network = ruled(Kind::Uniform, "web", &["0", "1", "2"]);
    network.balancers[0].pool_rules[0].end = 50001;
    let shown = check(&network.share_out(0), 0);
    assert_eq!(shown.short().len(), 2);
    assert_eq!(shown.warnings(), ["instance-without-port", "range-too-small"]);
    assert_eq!(
        shown.the("range-too-small").message,
        "rule ssh (50000-50001) has 2 ports, and the scale set 3 instances"
    );
}

#[test]
fn case_21_a_rule_of_an_instance_that_is_gone_and_an_instance_without_one() {
    let mut network = pooled("web", &["0", "1", "5"]);
    network.sets[0].instances[1].gone = true;
    network.sets[0].instances.push(Instance::new("6"));
    let shown = check(&network, 0);
    // What Azure has is shown, and is no way in: nothing is dialled there.
    assert_eq!(shown.short(), ["0 20.1.2.3:50002>22", "1 20.1.2.3:50001>22", "5 20.1.2.3:50000>22"]);
    let gone: Vec<_> = shown.document["entries"].as_array().unwrap().iter().map(|row| &row["gone"]).collect();
    assert_eq!(gone, [false, true, false]);
    assert_eq!(shown.document["instances"].as_array().unwrap().len(), 3);
    assert_eq!(shown.warnings(), ["instance-without-port", "rule-of-deleted-instance"]);
    assert_eq!(shown.the("instance-without-port").instances, ["6"]);
    assert_eq!(
        shown.the("rule-of-deleted-instance").message,
        "load balancer lb still has rules of instances that are gone (1): ssh.1 on port 50001"
    );
}

#[test]
fn case_23_ids_are_spelled_in_another_case() {
    for mut network in [pooled("web", &["0", "1"]), ruled(Kind::Flexible, "web", &["web_a", "web_b"])] {
        network.odd_case = true;
        let shown = check(&network, 0);
        assert_eq!(shown.ways.len(), 2);
        assert_eq!(shown.warnings(), Vec::<&str>::new());
    }
}

#[test]
fn case_24_no_address_yet_with_ids_in_another_case() {
    let mut network = pooled("web", &["0"]);
    network.odd_case = true;
    network.balancers[0].frontends[0].address = None;
    let shown = check(&network, 0);
    assert_eq!(shown.warnings(), ["frontend-without-address"]);
}

#[test]
fn case_25_the_rule_is_on_the_second_frontend() {
    let mut network = ruled(Kind::Uniform, "web", &["0", "1"]);
    network.balancers[0].frontends.push(Frontend::public("admin", "20.9.9.9"));
    network.balancers[0].pool_rules[0].to.frontend = 1;
    let shown = check(&network, 0);
    assert_eq!(shown.short(), ["0 20.9.9.9:50001>22", "1 20.9.9.9:50000>22"]);
}

#[test]
fn case_27_the_load_balancer_may_not_be_read() {
    let network = pooled("web", &["0"]);
    let id = network.balancer_id(0);
    let mut documents = Spelling::Az.spell(&network.saved(0));
    documents.retain(|document| document["id"] != json!(id));
    documents.push(json!({
        "schema": "vmssh.azure/1", "documents": [], "unread": [{"id": id, "reason": "no right to read it"}],
    }));
    let shown = try_map(&documents, None).unwrap();
    assert_eq!(shown.short(), Vec::<String>::new());
    let said = shown.the("not-read");
    assert_eq!(said.message, "load balancer lb could not be read: no right to read it");
    assert!(said.hint.contains("the role Reader"), "{}", said.hint);
}

#[test]
fn case_28_a_thousand_instances_and_ids_beyond() {
    let ids: Vec<_> = (0..1000).map(|k| (k * 3 + 7).to_string()).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let mut network = pooled("grid", &ids);
    network.balancers[0].nat_pools[0].end = 51999;
    let network = network.share_out(377);
    for spelling in [Spelling::Az, Spelling::Pages(300)] {
        let shown = try_map(&spelling.spell(&network.saved(0)), None).unwrap();
        assert_same(&format!("{spelling:?}"), &shown.ways, &network.expected(0));
        assert_eq!(shown.ways.len(), 1000);
        assert_eq!(shown.codes(), ["nat-pool-retirement"]);
    }
}

#[test]
fn case_30_half_migrated_from_pools_to_version_2() {
    let mut network = pooled("web", &["0", "1"]);
    network.sets[0].configuration().nat_pools.push((0, 1));
    let balancer = network.balancers.remove(0);
    network.balancers.push(balancer.nat_pool("rdp", 51000, 51119, 3389));
    let before = network.share_out(0);
    let shown = check(&before.migrated(|pool| pool == 0), 0);
    let kinds: Vec<_> =
        shown.ways.iter().map(|way| (way.via.as_str(), way.pool.as_deref().unwrap())).collect();
    assert_eq!(kinds, [("nat-pool", "rdp"), ("nat-rule-v2", "be_migrated_ssh")].repeat(2));
    let essences =
        |network: &Network| network.expected(0).iter().map(crate::way::Way::essence).collect::<Vec<_>>();
    assert_same(
        "what leads where",
        &essences(&before),
        &shown.ways.iter().map(|w| w.essence()).collect::<Vec<_>>(),
    );
}
