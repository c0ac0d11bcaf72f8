//! What the documents that were read refer to, and was not asked for yet. Pure functions.

use std::{collections::HashSet, net::IpAddr};

use crate::resource::{Card, FrontendAddress, Kind, LoadBalancer, ResourceId, Resources, RuleTarget};

/// The type of network cards.
pub(super) const CARDS: &str = "Microsoft.Network/networkInterfaces";

/// The path under which all resources of a type in a resource's group are listed.
pub(super) fn in_group_of(id: &ResourceId, namespace_and_type: &str) -> String {
    let (subscription, group) = (id.subscription().unwrap_or_default(), id.group().unwrap_or_default());
    format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/{namespace_and_type}")
}

/// Lists of the groups that hold cards of the instances which no list had yet.
pub(super) fn groups_of_missing_cards(resources: &Resources) -> Vec<String> {
    let known: HashSet<_> = resources.cards.iter().map(|card| &card.id).collect();
    let cards = resources.machines.iter().flat_map(|machine| &machine.cards);
    let missing = cards.filter(|card| card.kind() == Some(Kind::Card) && !known.contains(card));
    let lists: HashSet<_> = missing
        .filter(|card| card.up_to("virtualMachineScaleSets").is_none())
        .map(|card| ResourceId::new(in_group_of(card, CARDS)))
        .collect();
    lists.into_iter().map(|id| id.to_string()).collect()
}

/// Load balancers that the cards of our instances refer to: instances on an older model, and rules that
/// were attached by hand, are on others than the model's.
pub(super) fn balancers_of_cards(resources: &Resources) -> Vec<ResourceId> {
    let configurations = cards_of_set(resources).flat_map(|card| &card.configurations);
    let references = configurations.flat_map(|c| c.nat_rules.iter().chain(&c.backend_pools));
    references.filter_map(|id| id.up_to("loadBalancers")).collect()
}

/// The cards of the set's instances; a group has others too.
fn cards_of_set(resources: &Resources) -> impl Iterator<Item = &Card> {
    let of_machines: HashSet<_> = resources.machines.iter().flat_map(|machine| &machine.cards).collect();
    let machines: HashSet<_> = resources.machines.iter().map(|machine| &machine.id).collect();
    resources.cards.iter().filter(move |card| {
        card.id.up_to("virtualMachineScaleSets").is_some()
            || of_machines.contains(&card.id)
            || card.machine.as_ref().is_some_and(|machine| machines.contains(machine))
    })
}

/// The instances' private addresses.
pub(super) fn private_addresses(resources: &Resources) -> HashSet<IpAddr> {
    let configurations = cards_of_set(resources).flat_map(|card| &card.configurations);
    configurations.filter_map(|configuration| configuration.private_address).collect()
}

/// Whether a load balancer has a pool of bare addresses with one of these in it.
pub(super) fn knows_one_of(balancer: &LoadBalancer, addresses: &HashSet<IpAddr>) -> bool {
    let members = balancer.backend_pools.iter().flatten().flat_map(|pool| &pool.addresses);
    members.filter_map(|member| member.address).any(|address| addresses.contains(&address))
}

/// Public addresses of the frontends that NAT rules use; others only balance.
pub(super) fn frontend_addresses(resources: &Resources) -> Vec<ResourceId> {
    let mut found = Vec::new();
    for balancer in &resources.load_balancers {
        let rules = balancer.nat_rules.iter().flatten().filter(|rule| rule.target != RuleTarget::Nothing);
        for frontend in rules.filter_map(|rule| balancer.frontend(rule.frontend.as_ref()?)) {
            if let FrontendAddress::Public(id) = &frontend.address {
                found.push(id.clone());
            }
        }
    }
    found
}

/// Public addresses of the instances' own.
pub(super) fn card_addresses(resources: &Resources) -> Vec<ResourceId> {
    let known: HashSet<_> = resources.public_addresses.iter().map(|address| &address.id).collect();
    let configurations = cards_of_set(resources).flat_map(|card| &card.configurations);
    let addresses = configurations.filter_map(|c| c.public_address.as_ref());
    addresses.filter(|id| !known.contains(id)).cloned().collect()
}

/// Security groups and subnets on the way to the instances.
pub(super) fn gates(resources: &Resources) -> Vec<ResourceId> {
    let models = resources.scale_sets.iter().flat_map(|set| &set.cards);
    let of_models = models.flat_map(|card| {
        card.security_group.iter().chain(card.configurations.iter().filter_map(|c| c.subnet.as_ref()))
    });
    let of_cards = cards_of_set(resources).flat_map(|card| {
        card.security_group.iter().chain(card.configurations.iter().filter_map(|c| c.subnet.as_ref()))
    });
    let of_subnets = resources.subnets.iter().filter_map(|subnet| subnet.security_group.as_ref());
    of_models.chain(of_cards).chain(of_subnets).cloned().collect()
}
