//! Made-up networks by chance, for property tests: several sets of all kinds behind several load balancers
//! with pools, rules of both versions and single rules.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    BackendPool, Balancer, Card, Configuration, Frontend, Instance, Kind, Machines, Member, NatPool, Network,
    PoolRule, SingleRule, Translation,
};

#[derive(Debug, Clone)]
struct SetPlan {
    kind: Kind,
    ids: BTreeSet<u16>,
    second_card: bool,
    second_configuration: bool,
    public: Option<bool>,
    /// The last instance is gone.
    last_is_gone: bool,
    windows: bool,
}

#[derive(Debug, Clone)]
struct BalancerPlan {
    /// For each: internal, has an address.
    frontends: Vec<(bool, bool)>,
    /// For each: the set, by place among the Uniform ones; the transport; which configuration.
    nat_pools: Vec<(usize, bool, usize)>,
    /// For each backend pool: bare addresses; how many rules; which configuration; how many get no port.
    backend_pools: Vec<(Option<bool>, usize, usize, usize)>,
    /// For each: the machine that it leads to, if any.
    single_rules: Vec<Option<usize>>,
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![3 => Just(Kind::Uniform), 2 => Just(Kind::Flexible), 1 => Just(Kind::Alone)]
}

fn set_plan() -> impl Strategy<Value = SetPlan> {
    let ids = prop::collection::btree_set(0u16..2000, 1..5);
    let public = prop::option::weighted(0.3, any::<bool>());
    (kind(), ids, any::<[bool; 4]>(), public).prop_map(|(kind, ids, flags, public)| SetPlan {
        kind,
        ids,
        second_card: flags[0],
        second_configuration: flags[1],
        public,
        last_is_gone: flags[2],
        windows: flags[3],
    })
}

fn balancer_plan() -> impl Strategy<Value = BalancerPlan> {
    let frontends = prop::collection::vec((any::<bool>(), prop::bool::weighted(0.8)), 1..4);
    let nat_pools = prop::collection::vec((0usize..3, prop::bool::weighted(0.2), 0usize..4), 0..3);
    let by_address = prop::option::weighted(0.3, any::<bool>());
    let backend_pools = prop::collection::vec((by_address, 0usize..3, 0usize..4, 0usize..2), 0..3);
    let single_rules = prop::collection::vec(prop::option::of(0usize..100), 0..3);
    (frontends, nat_pools, backend_pools, single_rules).prop_map(
        |(frontends, nat_pools, backend_pools, single_rules)| BalancerPlan {
            frontends,
            nat_pools,
            backend_pools,
            single_rules,
        },
    )
}

/// Networks whose first machines are a scale set.
pub(crate) fn networks() -> impl Strategy<Value = Network> {
    let sets = prop::collection::vec(set_plan(), 1..4);
    let balancers = prop::collection::vec(balancer_plan(), 0..3);
    (sets, balancers, any::<bool>(), 0usize..5).prop_map(|(mut sets, balancers, odd_case, salt)| {
        if let Some(first) = sets.first_mut().filter(|first| first.kind == Kind::Alone) {
            first.kind = Kind::Flexible;
        }
        let mut network = Network { odd_case, ..Network::default() };
        network.sets = sets.iter().enumerate().map(|(at, plan)| machines(at, plan)).collect();
        for (at, plan) in balancers.iter().enumerate() {
            add_balancer(&mut network, at, plan);
        }
        let mut network = network.share_out(salt);
        for (balancer, plan) in network.balancers.iter_mut().zip(&balancers) {
            for rule in &mut balancer.pool_rules {
                let without = plan.backend_pools[rule.backend_pool].3;
                rule.ports.truncate(rule.ports.len().saturating_sub(without));
            }
        }
        network
    })
}

fn machines(at: usize, plan: &SetPlan) -> Machines {
    let mut set = Machines::new(plan.kind, &format!("set{at}"), &[]);
    set.windows = plan.windows;
    set.configuration().public = plan.public;
    if plan.second_configuration {
        let mut second = Configuration::new("cfg6");
        second.v6 = true;
        set.cards[0].configurations.push(second);
    }
    if plan.second_card {
        let mut second = Card::new("nic2", vec![Configuration::new("cfg")]);
        second.primary = false;
        set.cards.push(second);
    }
    let name = |id: &u16| match plan.kind {
        Kind::Uniform => id.to_string(),
        Kind::Flexible | Kind::Alone => format!("vm{at}_{id}"),
    };
    set.instances = plan.ids.iter().map(|id| Instance::new(&name(id))).collect();
    if plan.last_is_gone && set.instances.len() > 1 {
        set.instances.last_mut().unwrap().gone = true;
    }
    set
}

/// A configuration of a set, by place among all of its cards.
fn configuration(set: &mut Machines, place: usize) -> &mut Configuration {
    let count = set.cards.iter().map(|card| card.configurations.len()).sum::<usize>();
    set.cards.iter_mut().flat_map(|card| &mut card.configurations).nth(place % count).unwrap()
}

fn add_balancer(network: &mut Network, at: usize, plan: &BalancerPlan) {
    let mut balancer = Balancer::new("lb", "-");
    balancer.group = if at == 0 { "prod-rg" } else { "net-rg" }.into();
    balancer.frontends = plan
        .frontends
        .iter()
        .enumerate()
        .map(|(place, (internal, has))| Frontend {
            name: format!("fe{place}"),
            internal: *internal,
            address: has.then(|| format!("{}.{at}.0.{place}", if *internal { 10 } else { 20 })),
        })
        .collect();
    let to = |name: String, place: usize, udp: bool| Translation {
        udp,
        ..Translation::new(&name, place % plan.frontends.len(), if place == 0 { 22 } else { 3389 })
    };
    let uniform: Vec<_> =
        (0..network.sets.len()).filter(|set| network.sets[*set].kind == Kind::Uniform).collect();
    for (place, (set, udp, where_to)) in plan.nat_pools.iter().enumerate() {
        let Some(set) = uniform.get(set % uniform.len().max(1)) else { continue };
        let start = 50000 + u16::try_from(balancer.nat_pools.len()).unwrap() * 100;
        let reference = (at, balancer.nat_pools.len());
        configuration(&mut network.sets[*set], *where_to).nat_pools.push(reference);
        let name = if place == 0 { "ssh".into() } else { format!("ssh.{place}") };
        balancer.nat_pools.push(NatPool {
            to: to(name, place, *udp),
            start,
            end: start + 49,
            ports: Vec::new(),
        });
    }
    for (place, (by_address, rules, where_to, _)) in plan.backend_pools.iter().enumerate() {
        balancer.backend_pools.push(BackendPool { name: format!("pool{place}"), by_address: *by_address });
        for (set, of) in network.sets.iter_mut().enumerate() {
            // Not every set is in every pool.
            if (set + place + where_to) % 3 != 2 {
                configuration(of, *where_to).backend_pools.push((at, place));
            }
        }
        for number in 0..*rules {
            let start = 40000 + u16::try_from(balancer.pool_rules.len()).unwrap() * 100;
            balancer.pool_rules.push(PoolRule {
                to: to(format!("rule{place}-{number}"), number, false),
                start,
                end: start + 49,
                backend_pool: place,
                ports: Vec::new(),
            });
        }
    }
    let cards: Vec<_> =
        network.members().into_iter().filter(|m| network.sets[m.set].kind != Kind::Uniform).collect();
    for (place, target) in plan.single_rules.iter().enumerate() {
        let target: Option<Member> = target.and_then(|t| cards.get(t % cards.len().max(1)).copied());
        let port = 2200 + u16::try_from(place).unwrap();
        balancer.single_rules.push(SingleRule {
            to: to(format!("single{place}"), place, false),
            port,
            target,
        });
    }
    network.balancers.push(balancer);
}
