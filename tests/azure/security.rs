//! Security groups: they see the backend port, and a packet has to pass the subnet's and the card's.

use crate::{
    cases::{check, ruled},
    network::{Group, Kind, Machines, Network, Subnet},
    way::Shown,
};

type Rules = Vec<(u32, bool, &'static str, &'static str)>;

/// A set behind one rule for port 22, with groups on its cards and its subnet.
pub(crate) fn guarded(card: Option<Rules>, subnet: Option<Rules>) -> Network {
    let mut network = ruled(Kind::Uniform, "web", &["0", "1"]);
    let group = |name: &str, rules: Rules| Group { group: "prod-rg".into(), name: name.into(), rules };
    network.subnets.push(Subnet {
        group: "prod-rg".into(),
        network: "net".into(),
        name: "machines".into(),
        security_group: subnet.as_ref().map(|_| "on-subnet".into()),
    });
    network.sets[0].cards[0].security_group = card.as_ref().map(|_| "on-card".into());
    network.groups.extend(card.map(|rules| group("on-card", rules)));
    network.groups.extend(subnet.map(|rules| group("on-subnet", rules)));
    network
}

fn open() -> Rules {
    vec![(1000, true, "*", "22")]
}

fn message(shown: &Shown) -> &str {
    assert_eq!(shown.warnings(), ["security-group-denies"]);
    &shown.the("security-group-denies").message
}

#[test]
fn both_gates_are_open() {
    assert_eq!(check(&guarded(Some(open()), Some(open())), 0).codes(), Vec::<&str>::new());
    assert_eq!(check(&guarded(None, Some(open())), 0).codes(), Vec::<&str>::new());
    assert_eq!(check(&guarded(Some(open()), None), 0).codes(), Vec::<&str>::new());
}

#[test]
fn the_card_denies() {
    let shown = check(&guarded(Some(vec![(200, false, "*", "22"), (300, true, "*", "*")]), Some(open())), 0);
    assert_eq!(
        message(&shown),
        "security group on-card keeps everybody out of port 22 (rule rule-200, priority 200)"
    );
}

#[test]
fn the_subnet_denies_by_azures_defaults() {
    let shown = check(&guarded(Some(open()), Some(vec![])), 0);
    assert_eq!(
        message(&shown),
        "security group on-subnet keeps everybody out of port 22 (rule rule-65500, priority 65500)"
    );
}

#[test]
fn the_frontend_ports_are_allowed_and_not_the_backend_port() {
    let shown = check(&guarded(Some(vec![(1000, true, "*", "50000-50119")]), None), 0);
    assert_eq!(
        message(&shown),
        "security group on-card keeps everybody out of port 22 (rule rule-65500, priority 65500); it lets in the \
         frontend ports, but security groups see the backend port"
    );
}

#[test]
fn some_senders_are_let_in() {
    let rules = vec![(1000, true, "203.0.113.0/24", "20-30")];
    assert_eq!(check(&guarded(Some(rules), None), 0).codes(), Vec::<&str>::new());
}

#[test]
fn no_group_at_all_behind_a_standard_load_balancer() {
    let shown = check(&guarded(None, None), 0);
    assert_eq!(shown.warnings(), ["no-security-group"]);
    let mut basic = guarded(None, None);
    basic.balancers[0].sku = "Basic";
    assert_eq!(check(&basic, 0).codes(), Vec::<&str>::new());
    let mut internal = guarded(None, None);
    internal.balancers[0].frontends[0].internal = true;
    assert_eq!(check(&internal, 0).codes(), ["internal-only"]);
}

/// Another set's card with the same private address, in another virtual network, behind another group.
#[test]
fn the_gates_are_those_of_the_own_card() {
    let mut network = guarded(Some(open()), None);
    let mut alone = Machines::new(Kind::Alone, "a-first", &["a-first", "a-second"]);
    alone.configuration().network = "net-b".into();
    alone.cards[0].security_group = Some("closed".into());
    network.groups.push(Group { group: "prod-rg".into(), name: "closed".into(), rules: vec![] });
    network.sets.insert(0, alone);
    for rule in &mut network.balancers[0].pool_rules {
        rule.ports.iter_mut().for_each(|(member, _)| member.set = 1);
    }
    let shown = check(&network, 1);
    assert_eq!(shown.codes(), Vec::<&str>::new(), "{:#?}", shown.said);
}

/// Which of two load balancers of one name is Basic must not be mixed up.
#[test]
fn the_sku_is_that_of_the_own_load_balancer() {
    let mut network = guarded(None, None);
    network.balancers[0].sku = "Basic";
    let mut other = network.balancers[0].clone();
    other.group = "test-rg".into();
    other.sku = "Standard";
    network.balancers.push(other);
    network.sets.push(Machines::new(Kind::Uniform, "api", &["0"]));
    network.sets[1].configuration().backend_pools.push((1, 0));
    assert_eq!(check(&network.share_out(0), 0).codes(), Vec::<&str>::new());
}
