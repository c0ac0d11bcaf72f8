//! Networks that are harder than the table's cases: equal names, equal addresses, and documents of others
//! among one's own.

use serde_json::{Value, json};

use crate::{
    cases::{check, pooled, ruled},
    network::{Balancer, Card, Configuration, Document, Frontend, Kind, Machines, Member, Network, Spelling},
    way::{Shown, assert_same, try_map},
};

/// The map of all documents of all sets.
fn everything(network: &Network, name: &str) -> Shown {
    let mut documents: Vec<Document> = (0..network.sets.len()).flat_map(|set| network.saved(set)).collect();
    documents.reverse();
    try_map(&Spelling::Az.spell(&documents), Some(name)).unwrap()
}

/// Two sets of one name in two groups, with the same instance ids, on one load balancer.
fn namesakes() -> Network {
    let mut network = pooled("web", &["0", "1"]);
    let mut other = Machines::new(Kind::Uniform, "web", &["0", "1"]);
    other.group = "test-rg".into();
    other.configuration().nat_pools.push((0, 1));
    network.sets.push(other);
    let balancer = network.balancers.remove(0);
    network.balancers.push(balancer.nat_pool("test", 51000, 51119, 22));
    network.share_out(0)
}

#[test]
fn sets_of_one_name_are_told_apart_by_their_groups() {
    let network = namesakes();
    assert_eq!(check(&network, 0).short(), ["0 20.1.2.3:50001>22", "1 20.1.2.3:50000>22"]);
    assert_eq!(check(&network, 1).short(), ["0 20.1.2.3:51001>22", "1 20.1.2.3:51000>22"]);
    assert_same("chosen by group", &everything(&network, "test-rg/web").ways, &network.expected(1));
    assert_same("chosen by id", &everything(&network, &network.set_id(0)).ways, &network.expected(0));
}

#[test]
fn sets_of_one_name_are_named_with_their_groups() {
    let network = namesakes();
    let documents: Vec<_> = (0..2).flat_map(|set| Spelling::Az.spell(&network.saved(set))).collect();
    for name in [None, Some("web")] {
        assert_eq!(
            try_map(&documents, name).unwrap_err(),
            "the documents speak of several scale sets: prod-rg/web, test-rg/web"
        );
    }
}

#[test]
fn pools_whose_names_begin_alike_keep_their_rules() {
    for names in [["ssh", "ssh.extra"], ["ssh.extra", "ssh"], ["ssh", "ssh.1"], ["ssh.1", "ssh"]] {
        let mut network = pooled("web", &["1", "11"]);
        network.balancers[0].nat_pools[0].to.name = names[0].into();
        let balancer = network.balancers.remove(0);
        network.balancers.push(balancer.nat_pool(names[1], 51000, 51119, 22));
        network.sets[0].configuration().nat_pools.push((0, 1));
        check(&network.share_out(0), 0);
    }
}

#[test]
fn a_rule_keeps_the_name_of_its_pool_where_the_pool_is_not_told() {
    let mut network = pooled("web", &["1", "11"]);
    network.balancers[0].nat_pools[0].to.name = "ssh.extra".into();
    let network = network.share_out(0);
    let balancer = &network.documents().resources[&network.balancer_id(0)];
    let rules = balancer["properties"]["inboundNatRules"].clone();
    let shown = try_map(&[rules], None).unwrap();
    let pools: Vec<_> = shown.ways.iter().filter_map(|way| way.pool.as_deref()).collect();
    assert_eq!(pools, ["ssh.extra", "ssh.extra"]);
}

#[test]
fn a_pool_and_a_rule_of_version_2_may_have_one_name() {
    let mut network = pooled("web", &["0", "1"]);
    let balancer = network.balancers.remove(0);
    network.balancers.push(balancer.backend_pool("ssh").pool_rule("ssh", 51000, 51119, 3389));
    network.sets[0].configuration().backend_pools.push((0, 0));
    let shown = check(&network.share_out(0), 0);
    assert_eq!(shown.codes(), ["nat-pool-retirement", "several-backend-ports"]);
}

/// Two sets in two virtual networks: their first instances have the same private address.
fn two_networks(with_network: bool) -> Network {
    let mut network = ruled(Kind::Uniform, "web", &["0", "1"]);
    let mut other = Machines::new(Kind::Uniform, "api", &["0", "1"]);
    other.configuration().network = "net-b".into();
    other.configuration().backend_pools.push((0, 1));
    network.sets.push(other);
    let balancer = network.balancers.remove(0).backend_pool("pool-b").pool_rule("ssh-b", 51000, 51119, 22);
    network.balancers.push(balancer);
    for pool in &mut network.balancers[0].backend_pools {
        pool.by_address = Some(with_network);
    }
    network.share_out(0)
}

#[test]
fn one_private_address_in_two_networks() {
    let network = two_networks(true);
    assert_same("web", &everything(&network, "web").ways, &network.expected(0));
    assert_same("api", &everything(&network, "api").ways, &network.expected(1));
}

#[test]
fn one_private_address_in_two_networks_that_are_not_named() {
    let shown = everything(&two_networks(false), "web");
    assert!(shown.ways.iter().all(|way| way.instance.is_none()), "{:#?}", shown.ways);
    assert_eq!(shown.ways.len(), 4);
    shown.the("instance-unknown");
}

#[test]
fn a_bare_address_that_no_card_of_the_set_has_is_anothers() {
    let mut network = two_networks(true);
    network.sets[1].configuration().network = "net".into();
    let network = network.share_out(0);
    let shown = check(&network, 0);
    assert_eq!(shown.codes(), ["shared-load-balancer"]);
}

#[test]
fn flexible_machines_of_any_name_with_cards_in_another_group() {
    let mut network = ruled(Kind::Flexible, "pool", &["db-one", "x", "pool_9"]);
    network.sets[0].card_group = "cards-rg".into();
    let mut alone = Machines::new(Kind::Alone, "pool_jump", &["pool_jump"]);
    alone.configuration().backend_pools.push((0, 0));
    network.sets.push(alone);
    let shown = check(&network.share_out(0), 0);
    assert_eq!(
        shown.short(),
        ["db-one 20.1.2.3:50003>22", "pool_9 20.1.2.3:50001>22", "x 20.1.2.3:50002>22"]
    );
    assert_eq!(shown.codes(), ["shared-load-balancer"]);
}

#[test]
fn single_rules_of_flexible_machines() {
    let mut network = ruled(Kind::Flexible, "pool", &["a", "b"]);
    network.balancers[0].pool_rules.clear();
    let balancer = network.balancers.remove(0);
    let balancer = balancer.single("to-b", 2201, Some(Member::first(0, 1))).single("spare", 2202, None);
    network.balancers.push(balancer);
    let shown = check(&network, 0);
    assert_eq!(shown.short(), ["b 20.1.2.3:2201>22"]);
    assert_eq!(shown.warnings(), ["instance-without-port", "unattached-rule"]);
}

/// The list of another set's instances is no list of this one's.
#[test]
fn lists_of_others_do_not_take_instances_away() {
    let others = Machines::new(Kind::Uniform, "api", &["0", "1", "2"]);
    let mut alone = Machines::new(Kind::Alone, "jump", &["jump"]);
    alone.group = "ops-rg".into();
    for other in [others, alone] {
        for mut network in [pooled("web", &["0", "1"]), ruled(Kind::Flexible, "web", &["web_a", "web_b"])] {
            let own = network.saved(0);
            network.sets.push(other.clone());
            let is_machines = |document: &Document| match document {
                Document::List(items) => items[0]["properties"]["vmId"].is_string(),
                Document::One(_) => false,
            };
            let not_ours = |document: &Document| match document {
                Document::List(items) => !items[0]["name"].as_str().unwrap().starts_with("web"),
                Document::One(_) => false,
            };
            let theirs: Vec<_> = network.saved(1).into_iter().filter(is_machines).filter(not_ours).collect();
            let documents: Vec<_> =
                own.into_iter().filter(|document| !is_machines(document)).chain(theirs).collect();
            let shown = try_map(&Spelling::Az.spell(&documents), Some("web")).unwrap();
            let (uniform, ports) = (network.sets[0].kind == Kind::Uniform, shown.ways.iter().map(|w| w.port));
            assert_eq!(ports.collect::<std::collections::BTreeSet<_>>(), [50000, 50001].into(), "{shown:#?}");
            let known = shown.ways.iter().filter(|way| way.instance.is_some()).count();
            assert_eq!(known, if uniform { 2 } else { 0 }, "a Flexible set's cards do not name it");
            assert!(!shown.codes().contains(&"rule-of-deleted-instance"), "{:#?}", shown.said);
        }
    }
}

#[test]
fn load_balancers_of_one_name_are_told_apart_by_their_groups() {
    let mut network = ruled(Kind::Uniform, "web", &["0", "1"]);
    let mut other = Balancer::new("lb", "20.9.9.9").backend_pool("pool").pool_rule("ssh", 50000, 50000, 22);
    other.group = "test-rg".into();
    other.frontends[0].address = None;
    let mut elsewhere = Machines::new(Kind::Uniform, "api", &["0"]);
    elsewhere.configuration().backend_pools.push((1, 0));
    network.balancers.push(other);
    network.sets.push(elsewhere);
    let shown = check(&network.share_out(0), 0);
    // Neither the other's narrow range nor its missing address is this set's matter.
    assert_eq!(shown.codes(), Vec::<&str>::new());
}

#[test]
fn two_public_addresses_of_each_instance() {
    let mut network = pooled("web", &["0", "1"]);
    let mut second = Card::new("nic2", vec![Configuration::new("cfg2")]);
    second.configurations[0].public = Some(true);
    second.primary = false;
    network.sets[0].configuration().public = Some(true);
    network.sets[0].cards.push(second);
    let network = network.share_out(0);
    let shown = check(&network, 0);
    let mut backwards = Spelling::Az.spell(&network.saved(0));
    backwards.reverse();
    for document in &mut backwards {
        if let Value::Array(items) = document {
            items.reverse();
        }
    }
    assert_eq!(try_map(&backwards, None).unwrap().document, shown.document);
}

#[test]
fn azs_list_beside_public_addresses_and_no_load_balancer() {
    let mut network = pooled("web", &["0", "1"]);
    network.sets[0].configuration().public = Some(true);
    let balancer = network.balancer_id(0);
    let mut documents = Spelling::Az.spell(&network.saved(0));
    documents.retain(|document| document["id"] != json!(balancer));
    documents.push(json!({"instance 0": "20.1.2.3:50001", "instance 1": "20.1.2.3:50000"}));
    let shown = try_map(&documents, None).unwrap();
    // Nothing contradicts az's list: the addresses are another way in.
    assert_eq!(
        shown.ways.iter().map(|way| way.via.as_str()).collect::<Vec<_>>(),
        ["nat-rule", "public-ip", "nat-rule", "public-ip"]
    );
    assert_eq!(shown.warnings(), ["not-read"]);
}

#[test]
fn azs_list_of_a_load_balancer_that_is_not_among_the_documents() {
    let mut network = ruled(Kind::Uniform, "web", &["0", "1"]);
    network.balancers.push(Balancer::new("admin", "20.9.9.9").nat_pool("rdp", 60000, 60119, 3389));
    network.sets[0].configuration().nat_pools.push((1, 0));
    let network = network.share_out(0);
    let unread = network.balancer_id(1);
    let mut documents = Spelling::Az.spell(&network.saved(0));
    documents.retain(|document| document["id"] != json!(unread));
    documents.push(json!({"instance 0": "20.9.9.9:60001", "instance 1": "20.9.9.9:60000"}));
    let shown = try_map(&documents, None).unwrap();
    assert_eq!(
        shown.short(),
        ["0 20.9.9.9:60001>?", "0 20.1.2.3:50001>22", "1 20.9.9.9:60000>?", "1 20.1.2.3:50000>22"]
    );
    assert_eq!(shown.warnings(), ["not-read"]);
}

/// The user's word is about the frontend; an instance's own address is another thing.
#[test]
fn an_address_on_the_command_line_is_not_an_instances_own() {
    let mut network = pooled("web", &["0"]);
    network.sets[0].configuration().public = Some(false);
    let address = network.balancers[0].frontends[0].address.take();
    let resources = crate::way::resources(&Spelling::Az.spell(&network.share_out(0).saved(0)));
    let wish = vmssh::resolver::Wish {
        scale_set: None,
        address: Some(address.unwrap().parse().unwrap()),
        backend_port: None,
        keepalive: vmssh::ssh::KEEPALIVE,
    };
    let map = vmssh::resolver::resolve(&resources, &wish).unwrap();
    let addresses: Vec<_> =
        map.entries.iter().map(|entry| (entry.via.is_own_address(), entry.address.is_some())).collect();
    assert_eq!(addresses, [(true, false), (false, true)]);
}

#[test]
fn states_and_ranges_that_a_scale_out_outgrows() {
    let mut network = pooled("web", &["0", "1", "2"]);
    network.sets[0].overprovision = true;
    network.balancers[0].nat_pools[0].end = 50004;
    network.sets[0].instances[1].power = "deallocated";
    network.sets[0].instances[2].current = false;
    let shown = check(&network.share_out(0), 0);
    assert_eq!(shown.warnings(), ["instance-not-running", "outdated-model", "range-nearly-full"]);
    assert_eq!(shown.the("instance-not-running").message, "instance 1 is deallocated");
    assert_eq!(
        shown.the("instance-not-running").hint,
        "start it: `az vmss start -g prod-rg -n web --instance-ids 1`"
    );
    assert_eq!(shown.the("outdated-model").instances, ["2"]);
    assert_eq!(
        shown.the("range-nearly-full").message,
        "pool ssh (50000-50004) has 5 ports, and the scale set 3 instances: a scale-out needs up to 6 (overprovisioning makes \
         twice as many at first)"
    );
}

#[test]
fn hints_for_a_uniform_set_without_its_model() {
    let mut network = pooled("web", &["0", "1"]);
    network.sets[0].instances[1].power = "stopped";
    let mut documents = Spelling::Az.spell(&network.saved(0));
    let set = network.set_id(0);
    documents.retain(|document| document["id"] != json!(set));
    let shown = try_map(&documents, None).unwrap();
    assert_eq!(
        shown.the("instance-not-running").hint,
        "start it: `az vmss start -g prod-rg -n web --instance-ids 1`"
    );
}

#[test]
fn frontends_of_all_kinds_on_one_load_balancer() {
    let mut network = ruled(Kind::Uniform, "web", &["0"]);
    let balancer = network.balancers.remove(0);
    let mut balancer = balancer.pool_rule("inner", 51000, 51119, 22).pool_rule("waiting", 52000, 52119, 22);
    balancer.frontends.push(Frontend {
        name: "inside".into(),
        internal: true,
        address: Some("10.0.9.9".into()),
    });
    balancer.frontends.push(Frontend { name: "later".into(), internal: true, address: None });
    balancer.pool_rules[1].to.frontend = 1;
    balancer.pool_rules[2].to.frontend = 2;
    network.balancers.push(balancer);
    let shown = check(&network.share_out(0), 0);
    assert_eq!(shown.short(), ["0 20.1.2.3:50000>22", "0 10.0.9.9:51000>22", "0 ?:52000>22"]);
    assert_eq!(shown.codes(), ["frontend-without-address"]);
}
