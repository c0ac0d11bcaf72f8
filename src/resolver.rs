//! The NAT-map resolver: from what Azure's documents say to which port leads to which instance.
//!
//! A pure function of the documents. Ports are never computed from ids: the load balancer says which rule
//! leads to which IP configuration of which card, and everything is joined by id. What the documents do
//! not tell stays open in the map and is a finding, with the command that would tell.

mod checks;
mod listing;
mod own_address;
mod owner;
mod scope;
mod security;
mod ways;

use std::time::Duration;

use thiserror::Error;

use crate::{
    natmap::{BackendPort, Entry, Finding, Host, Instance, NatMap, Rule},
    resource::{LoadBalancer, ResourceId, Resources},
};
use owner::{Owner, Owners};
use scope::Scope;

/// What a user wants of a map, beside the documents.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Which scale set, where the documents may speak of several.
    pub scale_set: Option<Choice>,
    /// The user's word for the frontend's address, used where the documents do not tell it.
    pub address: Option<Host>,
    /// The backend port that is wanted; instances with ports for others only are then a finding.
    pub backend_port: Option<BackendPort>,
    /// How often sessions send a sign of life; a load balancer that forgets connections sooner is a finding.
    pub keepalive: Duration,
}

/// How a scale set is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// By its name.
    Name(String),
    /// By its id.
    Id(ResourceId),
}

/// Why documents make no map.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// They speak of several scale sets, and none was chosen.
    #[error("the documents speak of several scale sets: {}", .0.join(", "))]
    SeveralScaleSets(Vec<String>),
    /// They don't speak of the chosen one.
    #[error("the documents do not speak of the scale set \"{wanted}\"{}", only_of(.there))]
    NoSuchScaleSet {
        /// The chosen one.
        wanted: String,
        /// Those that they speak of.
        there: Vec<String>,
    },
    /// Nothing in them leads to an instance or a port.
    #[error("the documents name neither a scale set nor a port: {0}")]
    NothingToMap(String),
}

fn only_of(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(", only of {}", names.join(", ")) }
}

/// What the parts of the resolver look at.
struct Question<'a> {
    resources: &'a Resources,
    scope: Scope<'a>,
    owners: Owners<'a>,
    wish: &'a Wish,
}

impl Question<'_> {
    /// Whether a load balancer belongs to the scale set: its model or one of its cards refers to it, or the
    /// documents do not tell whose it is.
    fn concerns(&self, balancer: &LoadBalancer) -> bool {
        let Some(model) = self.scope.model else { return true };
        let is_its = |id: &ResourceId| id.up_to("loadBalancers").as_ref() == Some(&balancer.id);
        let mut cards = self.resources.cards.iter().flat_map(|card| &card.configurations);
        model.load_balancers().contains(&balancer.id)
            || cards.any(|configuration| {
                let mut references = configuration.nat_rules.iter().chain(&configuration.backend_pools);
                references.any(is_its) && matches!(self.owners.of(&configuration.id), Owner::Ours(_))
            })
    }

    /// The load balancer that an entry's rule is of. Names repeat from group to group.
    fn balancer_of(&self, rule: &Rule) -> Option<&LoadBalancer> {
        let mut balancers = self.resources.load_balancers.iter();
        balancers.find(|balancer| {
            Some(balancer.name()) == rule.load_balancer.as_deref()
                && balancer.id.group() == rule.load_balancer_group.as_deref()
        })
    }

    /// Load balancers that the model refers to and no document tells of.
    fn missing_load_balancers(&self) -> Vec<ResourceId> {
        let referred = self.scope.model.map(|model| model.load_balancers()).unwrap_or_default();
        let there: std::collections::HashSet<_> =
            self.resources.load_balancers.iter().map(|lb| &lb.id).collect();
        referred.into_iter().filter(|id| !there.contains(id)).collect()
    }
}

/// Makes the map of one scale set.
///
/// # Errors
/// When the documents speak of several scale sets and none is chosen, not of the chosen one, or of nothing
/// that a map is made of.
pub fn resolve(resources: &Resources, wish: &Wish) -> Result<NatMap, ResolveError> {
    let scope = scope::choose(resources, wish.scale_set.as_ref())?;
    let machines = scope.machines(resources);
    let owners = Owners::new(resources, &scope, &machines);
    let question = Question { resources, scope, owners, wish };

    let mut found = ways::of_load_balancers(&question);
    found.entries.extend(own_address::entries(&question));
    let listed = listing::entries(&question, &found.entries);
    found.entries.extend(listed.entries);
    found.findings.extend(listed.findings);
    found.entries.iter_mut().for_each(|entry| fill(entry, &question));
    found.entries.sort_by_cached_key(order);

    let mut map = NatMap::from_entries(found.entries);
    map.scale_set = question.scope.name();
    map.admin_username = question.scope.model.and_then(|model| model.admin_username.clone());
    // az's list of cards is one of instances too.
    let with_cards = question.owners.of_cards().filter(|id| map.instance(id).is_none());
    let with_cards: Vec<_> = with_cards.cloned().map(Instance::new).collect();
    map.instances.extend(with_cards);
    let is_gone =
        |instance: &Instance| matches!(question.owners.present(instance.id.clone()), Owner::Gone(_));
    let (gone, present) = map.instances.into_iter().partition(is_gone);
    map.gone = instances(&question, &[], gone);
    map.instances = instances(&question, &machines, present);
    map.findings = found.findings;
    let findings = checks::all(&question, &map);
    map.findings.extend(findings);
    // What matters most leads; the rest makes the order the same whatever the order of the documents.
    map.findings.sort_by_cached_key(|finding| {
        let texts = (finding.message.clone(), finding.hint.clone());
        (std::cmp::Reverse(finding.severity), finding.code, texts)
    });
    Ok(map)
}

/// What the load balancers, addresses or lists gave.
#[derive(Debug, Default)]
struct Found {
    entries: Vec<Entry>,
    findings: Vec<Finding>,
}

/// What is the same for entries of all kinds.
fn fill(entry: &mut Entry, question: &Question<'_>) {
    // A user's word is about the load balancer; an instance's own address is another thing.
    if entry.address.is_none() && !entry.via.is_own_address() {
        entry.address = question.wish.address.clone();
    }
}

/// Entries are grouped by instance, the lowest backend port first; what else tells them apart makes the
/// order the same whatever the order of the documents.
fn order(entry: &Entry) -> impl Ord + use<> {
    (
        entry.instance.is_none(),
        entry.instance.clone(),
        entry.backend_port,
        entry.protocol,
        (entry.rule.load_balancer.clone(), entry.rule.load_balancer_group.clone()),
        entry.rule.frontend.clone(),
        entry.port,
        (entry.rule.name.clone(), entry.rule.pool.clone()),
        (entry.private_address, entry.address.as_ref().map(ToString::to_string)),
    )
}

/// All instances: the documents' and those that only the entries name, if the documents do not list all.
fn instances(
    question: &Question<'_>,
    machines: &[&crate::resource::Machine],
    from_entries: Vec<Instance>,
) -> Vec<Instance> {
    let mut instances: Vec<Instance> = machines
        .iter()
        .map(|machine| Instance {
            id: machine.instance.clone(),
            name: Some(machine.name.clone()),
            computer_name: machine.computer_name.clone(),
            vm_id: machine.vm_id.clone(),
            power: machine.power,
            model_current: machine.model_current,
            private_addresses: question.owners.private_addresses(&machine.instance),
        })
        .collect();
    let known: std::collections::HashSet<_> = instances.iter().map(|i| i.id.clone()).collect();
    instances.extend(from_entries.into_iter().filter(|i| !known.contains(&i.id)).map(|instance| Instance {
        name: question.scope.uniform_name(&instance.id),
        computer_name: question.scope.computer_name(&instance.id),
        private_addresses: question.owners.private_addresses(&instance.id),
        ..instance
    }));
    instances.sort_by(|a, b| a.id.cmp(&b.id));
    instances
}
