//! Whose an IP configuration or a private address is.

use std::{collections::HashMap, net::IpAddr};

use super::scope::Scope;
use crate::{
    natmap::InstanceId,
    resource::{BackendAddress, CardConfiguration, Machine, ResourceId, Resources},
};

/// Whose the machine behind a rule is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    /// An instance of the scale set.
    Ours(InstanceId),
    /// An instance of the scale set that is gone: its rule is still there.
    Gone(InstanceId),
    /// Another scale set's, or a machine's of none.
    Others,
    /// The documents do not tell.
    Unknown,
}

/// Looks up owners.
pub(super) struct Owners<'a> {
    set: Option<ResourceId>,
    /// The instances, where all are listed.
    listed: Option<std::collections::HashSet<&'a InstanceId>>,
    /// Cards of virtual machines; `None` for another's.
    cards: HashMap<&'a ResourceId, Option<&'a InstanceId>>,
    /// Whether a card that is not in `cards` is another's for sure.
    cards_known: bool,
    configurations: HashMap<&'a ResourceId, &'a CardConfiguration>,
    by_address: HashMap<IpAddr, Vec<&'a CardConfiguration>>,
    /// Whether all private addresses of the scale set's instances are in `by_address`.
    addresses_known: bool,
    by_instance: HashMap<InstanceId, Vec<IpAddr>>,
}

impl<'a> Owners<'a> {
    pub(super) fn new(resources: &'a Resources, scope: &Scope<'_>, machines: &[&'a Machine]) -> Self {
        let ours: HashMap<_, _> = machines.iter().map(|m| (&m.id, &m.instance)).collect();
        // A list that has none of this set's instances is another's list.
        let listed = resources.machines_listed && (!machines.is_empty() || resources.machines.is_empty());
        let mut cards = HashMap::new();
        for machine in &resources.machines {
            cards.extend(machine.cards.iter().map(|card| (card, ours.get(&machine.id).copied())));
        }
        for card in &resources.cards {
            if let Some(machine) = &card.machine {
                let owner = ours.get(machine).copied();
                // A card of a machine that is in no list may still be ours.
                if owner.is_some() || listed {
                    cards.entry(&card.id).or_insert(owner);
                }
            }
        }
        let all_have_cards = !machines.is_empty() && machines.iter().all(|m| !m.cards.is_empty());
        let configurations = || resources.cards.iter().flat_map(|card| &card.configurations);
        let mut owners = Self {
            set: scope.id.clone(),
            listed: listed.then(|| machines.iter().map(|m| &m.instance).collect()),
            cards,
            cards_known: scope.is_uniform() || (listed && all_have_cards),
            addresses_known: addresses_known(resources, scope, machines, listed && all_have_cards),
            configurations: configurations().map(|c| (&c.id, c)).collect(),
            by_address: HashMap::new(),
            by_instance: HashMap::new(),
        };
        for configuration in configurations() {
            if let Some(address) = configuration.private_address {
                owners.by_address.entry(address).or_default().push(configuration);
            }
        }
        owners.by_instance = owners.addresses_by_instance(resources);
        owners
    }

    fn addresses_by_instance(&self, resources: &Resources) -> HashMap<InstanceId, Vec<IpAddr>> {
        let mut found: HashMap<InstanceId, Vec<(bool, bool, IpAddr)>> = HashMap::new();
        for card in &resources.cards {
            for configuration in &card.configurations {
                if let (Owner::Ours(id), Some(address)) =
                    (self.of(&configuration.id), configuration.private_address)
                {
                    // The first card's first configuration leads.
                    let rank = (!card.primary, !configuration.primary, address);
                    found.entry(id).or_default().push(rank);
                }
            }
        }
        let sorted = |mut ranked: Vec<(bool, bool, IpAddr)>| {
            ranked.sort();
            ranked.into_iter().map(|(.., address)| address).collect()
        };
        found.into_iter().map(|(id, ranked)| (id, sorted(ranked))).collect()
    }

    /// Whose an IP configuration is.
    pub(super) fn of(&self, configuration: &ResourceId) -> Owner {
        if let Some(set) = configuration.up_to("virtualMachineScaleSets") {
            return match (configuration.after("virtualMachines"), &self.set) {
                (Some(instance), Some(ours)) if set == *ours => self.present(InstanceId::new(instance)),
                _ => Owner::Others,
            };
        }
        match configuration.up_to("networkInterfaces").and_then(|card| self.cards.get(&card)) {
            Some(Some(instance)) => Owner::Ours((*instance).clone()),
            Some(None) => Owner::Others,
            None if self.cards_known => Owner::Others,
            None => Owner::Unknown,
        }
    }

    /// The configuration that a member of a backend pool is, itself or the card's with its address, and whose
    /// it is.
    pub(super) fn of_member(&self, member: &'a BackendAddress) -> (Option<&'a ResourceId>, Owner) {
        if let Some(configuration) = &member.configuration {
            return (Some(configuration), self.of(configuration));
        }
        let candidates = member.address.and_then(|address| self.by_address.get(&address));
        let in_network = |configuration: &&&CardConfiguration| {
            let network = configuration.subnet.as_ref().and_then(|subnet| subnet.up_to("virtualNetworks"));
            network.is_none() || member.virtual_network.is_none() || network == member.virtual_network
        };
        let mut fitting = candidates.into_iter().flatten().filter(in_network);
        match (fitting.next(), fitting.next()) {
            (Some(one), None) => (Some(&one.id), self.of(&one.id)),
            (None, _) if self.addresses_known && member.address.is_some() => (None, Owner::Others),
            // Two networks may use one address; which of them is meant must be known.
            _ => (None, Owner::Unknown),
        }
    }

    /// The private address of a configuration, where its card is known.
    pub(super) fn private_address(&self, configuration: &ResourceId) -> Option<IpAddr> {
        self.configurations.get(configuration)?.private_address
    }

    /// The instances that have cards, where no list tells all instances.
    pub(super) fn of_cards(&self) -> impl Iterator<Item = &InstanceId> {
        self.by_instance.keys().filter(|_| self.listed.is_none())
    }

    /// The private addresses of an instance, the first card's first.
    pub(super) fn private_addresses(&self, instance: &InstanceId) -> Vec<IpAddr> {
        self.by_instance.get(instance).cloned().unwrap_or_default()
    }

    /// Whether an instance is there, as far as the documents tell.
    pub(super) fn present(&self, instance: InstanceId) -> Owner {
        match &self.listed {
            Some(listed) if !listed.contains(&instance) => Owner::Gone(instance),
            _ => Owner::Ours(instance),
        }
    }
}

/// Whether the documents have all cards of the scale set's instances.
fn addresses_known(
    resources: &Resources,
    scope: &Scope<'_>,
    machines: &[&Machine],
    cards_are_named: bool,
) -> bool {
    if scope.is_uniform() {
        let is_ours = |id: &ResourceId| id.up_to("virtualMachineScaleSets") == scope.id;
        return resources.cards_listed && resources.cards.iter().any(|card| is_ours(&card.id));
    }
    let there: std::collections::HashSet<_> = resources.cards.iter().map(|card| &card.id).collect();
    cards_are_named && machines.iter().flat_map(|machine| &machine.cards).all(|card| there.contains(card))
}
