//! Which scale set the map is of, and what is known of it.

use std::collections::HashSet;

use super::{Choice, ResolveError};
use crate::{
    natmap::{InstanceId, ScaleSetName},
    resource::{Machine, Membership, Orchestration, ResourceId, Resources, RuleTarget, ScaleSet},
};

/// The scale set that the map is of.
pub(super) struct Scope<'a> {
    /// Its id; `None` where no document names a scale set (a bare range, a list of endpoints).
    pub(super) id: Option<ResourceId>,
    /// Its model, where that is among the documents.
    pub(super) model: Option<&'a ScaleSet>,
    /// Whether it is the only one that the documents speak of.
    only_one: bool,
    /// Whether its instances are parts of it, named in the ids of their cards.
    uniform: bool,
}

/// Chooses the scale set: the wanted one, else the only one that the documents speak of.
pub(super) fn choose<'a>(
    resources: &'a Resources,
    wanted: Option<&Choice>,
) -> Result<Scope<'a>, ResolveError> {
    let candidates = candidates(resources);
    let all = || names(&candidates.iter().collect::<Vec<_>>());
    let id = match wanted {
        Some(choice) => {
            let mut fitting = candidates.iter().filter(|id| match choice {
                Choice::Name(name) => is_called(id, name),
                Choice::Id(wanted) => *id == wanted,
            });
            match (fitting.next(), fitting.next()) {
                (Some(id), None) => Some(id.clone()),
                (Some(first), Some(second)) => {
                    let fitting: Vec<_> = [first, second].into_iter().chain(fitting).collect();
                    return Err(ResolveError::SeveralScaleSets(names(&fitting)));
                }
                (None, _) => {
                    let wanted = match choice {
                        Choice::Name(name) => name.clone(),
                        Choice::Id(id) => id.name().to_owned(),
                    };
                    return Err(ResolveError::NoSuchScaleSet { wanted, there: all() });
                }
            }
        }
        None if candidates.len() > 1 => return Err(ResolveError::SeveralScaleSets(all())),
        None => candidates.first().cloned(),
    };
    let says_something = id.is_some()
        || resources.connection_info.is_some()
        || !resources.loose_mappings.is_empty()
        || !resources.load_balancers.is_empty()
        || !resources.public_addresses.is_empty();
    if !says_something {
        return Err(ResolveError::NothingToMap(what_there_is(resources)));
    }
    let model = resources.scale_sets.iter().find(|set| Some(&set.id) == id.as_ref());
    let uniform = match model {
        Some(model) => model.orchestration == Orchestration::Uniform,
        None => id.as_ref().is_some_and(|id| has_uniform_instances(resources, id)),
    };
    Ok(Scope { id, model, only_one: candidates.len() <= 1, uniform })
}

/// Whether a user's word names a scale set: its name, `GROUP/NAME`, or its id.
fn is_called(id: &ResourceId, word: &str) -> bool {
    let in_group = id.group().map(|group| format!("{group}/{}", id.name()));
    let spelled = [Some(id.name()), in_group.as_deref(), Some(id.as_str())];
    spelled.into_iter().flatten().any(|spelled| spelled.eq_ignore_ascii_case(word))
}

/// The shortest names that tell scale sets apart and that the user may choose by.
fn names(ids: &[&ResourceId]) -> Vec<String> {
    let in_group = |id: &&ResourceId| format!("{}/{}", id.group().unwrap_or_default(), id.name());
    let spelled: [Vec<String>; 2] =
        [ids.iter().map(|id| id.name().to_owned()).collect(), ids.iter().map(in_group).collect()];
    let differ = |names: &Vec<String>| {
        let mut seen = HashSet::new();
        names.iter().all(|name| seen.insert(name.to_lowercase()))
    };
    spelled.into_iter().find(differ).unwrap_or_else(|| ids.iter().map(ToString::to_string).collect())
}

/// Without the model, instances tell what the set is: a Uniform one's have ids below the set's.
fn has_uniform_instances(resources: &Resources, set: &ResourceId) -> bool {
    let machines = resources.machines.iter().map(|machine| &machine.id);
    let cards = resources.cards.iter().map(|card| &card.id);
    let addresses = resources.public_addresses.iter().map(|address| &address.id);
    let mut ids = machines.chain(cards).chain(addresses).chain(targets(resources));
    ids.any(|id| id.up_to("virtualMachineScaleSets").as_ref() == Some(set))
}

fn what_there_is(resources: &Resources) -> String {
    let counts = [
        (resources.machines.len(), "virtual machines of no scale set that is named"),
        (resources.cards.len(), "network cards"),
        (resources.security_groups.len(), "security groups"),
        (resources.subnets.len(), "subnets"),
    ];
    let there: Vec<_> =
        counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if there.is_empty() { "nothing in them is of use".into() } else { format!("only {}", there.join(", ")) }
}

/// The scale sets that the documents speak of: their models, else what instances and cards belong to,
/// else what the rules lead to. A load balancer may be shared, so its word counts last.
fn candidates(resources: &Resources) -> Vec<ResourceId> {
    let models = unique(resources.scale_sets.iter().map(|set| set.id.clone()));
    if !models.is_empty() {
        return models;
    }
    let of_machines = resources.machines.iter().filter_map(|machine| match &machine.membership {
        Membership::Of(set) => Some(set.clone()),
        Membership::None | Membership::Unsaid => None,
    });
    let of_cards = resources.cards.iter().filter_map(|card| card.id.up_to("virtualMachineScaleSets"));
    let of_addresses =
        resources.public_addresses.iter().filter_map(|a| a.id.up_to("virtualMachineScaleSets"));
    let members = unique(of_machines.chain(of_cards).chain(of_addresses));
    if !members.is_empty() {
        return members;
    }
    unique(targets(resources).filter_map(|target| target.up_to("virtualMachineScaleSets")))
}

/// All IP configurations that load balancers lead to.
fn targets(resources: &Resources) -> impl Iterator<Item = &ResourceId> {
    let rules = resources.load_balancers.iter().flat_map(|lb| lb.nat_rules.iter().flatten());
    let single = rules.filter_map(|rule| match &rule.target {
        RuleTarget::Configuration(id) => Some(id),
        RuleTarget::Pool(_) | RuleTarget::Nothing => None,
    });
    let pools = resources.load_balancers.iter().flat_map(|lb| lb.backend_pools.iter().flatten());
    single.chain(pools.flat_map(|pool| &pool.addresses).filter_map(|address| address.configuration.as_ref()))
}

fn unique(ids: impl Iterator<Item = ResourceId>) -> Vec<ResourceId> {
    let mut seen = HashSet::new();
    ids.filter(|id| seen.insert(id.clone())).collect()
}

impl Scope<'_> {
    /// The instances that the documents list.
    pub(super) fn machines<'r>(&self, resources: &'r Resources) -> Vec<&'r Machine> {
        let mut machines: Vec<_> = resources.machines.iter().filter(|m| self.has(m)).collect();
        machines.sort_by(|a, b| a.instance.cmp(&b.instance));
        machines
    }

    fn has(&self, machine: &Machine) -> bool {
        let Some(id) = &self.id else { return false };
        match &machine.membership {
            Membership::Of(set) => set == id,
            Membership::None => false,
            // A bare list of a Flexible set's machines: its own, unless there are others to be told
            // apart by the names that Azure gives (`web_0e7d4d21`).
            Membership::Unsaid => {
                self.only_one || {
                    let prefix = format!("{}_", id.name());
                    machine.name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(&prefix))
                }
            }
        }
    }

    /// Whether it is a Uniform set, whose instances are named in the ids of their cards.
    pub(super) fn is_uniform(&self) -> bool {
        self.uniform
    }

    /// The name that Azure gives an instance of a Uniform set.
    pub(super) fn uniform_name(&self, instance: &InstanceId) -> Option<String> {
        let set = self.id.as_ref()?;
        instance.number().map(|number| format!("{}_{number}", set.name()))
    }

    /// The name that an instance of a Uniform set gets for itself.
    pub(super) fn computer_name(&self, instance: &InstanceId) -> Option<String> {
        instance.computer_name(self.model?.computer_name_prefix.as_deref()?).filter(|_| self.is_uniform())
    }

    /// The set's name in three parts.
    pub(super) fn name(&self) -> Option<ScaleSetName> {
        let id = self.id.as_ref()?;
        Some(ScaleSetName {
            subscription: id.subscription()?.into(),
            group: id.group()?.into(),
            name: id.name().into(),
        })
    }
}
