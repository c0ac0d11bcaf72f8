//! A scale set asked from Azure: which documents are needed, in as few requests as will do.
//!
//! Three rounds, each in parallel: the scale set's model; what it refers to; what that refers to. A Uniform
//! set behind one load balancer takes three requests, a Flexible one four, whose machines name their cards.
//! What leads to instances has to be readable, or the map says that it is not whole; what only its findings
//! need (security groups) may fail.

mod references;

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::Value;
use thiserror::Error;

use self::references::{
    CARDS, balancers_of_cards, card_addresses, frontend_addresses, gates, groups_of_missing_cards,
    in_group_of, knows_one_of, private_addresses,
};
use super::{
    Depth,
    arm::{Arm, ArmError, ArmErrorKind},
    wire::{self, Read},
};
use crate::{
    natmap::{NatMap, Scope},
    resolver::{self, Wish},
    resource::{Kind, Orchestration, ResourceId, Resources, ScaleSet, Unread},
};

/// The version of the compute provider's interface that is spoken: the one with which azure-cli 2.91 lists
/// instances.
pub(super) const COMPUTE: &str = "2024-11-01";

/// The network provider's. Port mappings of NAT rules of version 2 are in load balancers' documents since
/// 2021; azure-cli lists the cards of Uniform sets with the same.
const NETWORK: &str = "2023-09-01";

/// Public addresses of Uniform instances are listed under the compute provider's path, by the network
/// provider, in the version that azure-cli uses.
const INSTANCE_ADDRESSES: &str = "2018-10-01";

/// Why a scale set can't be read.
#[derive(Debug, Error)]
pub enum LiveError {
    /// Azure does not answer, or not to this sign-in.
    #[error(transparent)]
    Arm(#[from] ArmError),
    /// Azure's answer is not the document that was asked for.
    #[error("Azure's answer for {what} can't be used: {problem}")]
    Document {
        /// What was asked for.
        what: String,
        /// What is wrong with the answer.
        problem: String,
    },
}

/// What Azure said about a scale set.
#[derive(Debug)]
pub struct Answer {
    /// All that was read.
    pub resources: Resources,
    /// Why something that may lead to instances could not be read.
    pub failures: Vec<ArmError>,
}

/// Reads a scale set and what leads to its instances.
///
/// # Errors
/// When the model can't be read, Azure answers something else than its documents, or a request fails for
/// other reasons than a missing right or resource.
pub async fn read(arm: &Arm, set: &ResourceId, depth: Depth, wish: &Wish) -> Result<Answer, LiveError> {
    let mut asking = Asking {
        arm,
        set: set.clone(),
        resources: Resources::default(),
        asked: HashSet::new(),
        wants_cards: depth == Depth::Full,
        failures: Vec::new(),
    };
    let model = asking.model().await?;
    let flexible = model.orchestration == Orchestration::Flexible;
    let mut wants: Vec<Want> = model.load_balancers().into_iter().map(Want::Resource).collect();
    if flexible || depth >= Depth::Identity {
        wants.push(Want::Machines { flexible, with_view: depth >= Depth::Identity });
    }
    if depth == Depth::Full {
        wants.push(asking.cards(flexible));
        wants.extend(gates(&asking.resources).into_iter().map(Want::Resource));
    }
    if model.has_public_addresses() && !flexible {
        wants.push(Want::InstanceAddresses);
    }
    asking.round(wants).await?;
    asking.rounds_of_references(depth).await?;
    if depth == Depth::Ports && !flexible && asking.counts_differ(wish, model.capacity) {
        asking.round(vec![Want::Machines { flexible, with_view: true }]).await?;
    }
    if depth < Depth::Full && asking.leaves_open(wish) {
        asking.wants_cards = true;
        asking.round(vec![asking.cards(flexible)]).await?;
        asking.rounds_of_references(depth).await?;
    }
    if depth == Depth::Full || asking.leaves_open(wish) {
        // A pool of bare addresses is named by neither the model nor the cards.
        asking.round(vec![Want::Balancers]).await?;
        asking.rounds_of_references(depth).await?;
    }
    Ok(Answer { resources: asking.resources, failures: asking.failures })
}

/// Something to ask for.
#[derive(Debug, Clone)]
enum Want {
    /// A resource by its id.
    Resource(ResourceId),
    /// The instances.
    Machines { flexible: bool, with_view: bool },
    /// Network cards, listed under a path: a Uniform set's, or all of a resource group.
    Cards(String),
    /// The public addresses of a Uniform set's instances.
    InstanceAddresses,
    /// Load balancers of the subscription that know the instances by their private addresses.
    Balancers,
}

impl Want {
    /// Whether the map is still one without it, when Azure does not come to answer: the ports are known all
    /// the same, and what could not be read is said.
    fn may_fail(&self, error: &ArmError) -> bool {
        let only_enriches = match self {
            Self::Resource(id) => is_for_findings(id),
            Self::Cards(_) | Self::Balancers => true,
            Self::Machines { .. } | Self::InstanceAddresses => false,
        };
        only_enriches && !matches!(error.kind(), ArmErrorKind::SignIn | ArmErrorKind::Unauthorized)
    }
}

/// Whether a resource tells only what findings say.
fn is_for_findings(id: &ResourceId) -> bool {
    matches!(id.kind(), Some(Kind::SecurityGroup | Kind::Subnet))
}

/// A conversation with Azure about one scale set.
struct Asking<'a> {
    arm: &'a Arm,
    set: ResourceId,
    resources: Resources,
    /// What was asked for, with or without success.
    asked: HashSet<ResourceId>,
    /// Whether network cards are asked for.
    wants_cards: bool,
    failures: Vec<ArmError>,
}

impl Asking<'_> {
    async fn model(&mut self) -> Result<ScaleSet, LiveError> {
        let body = self.arm.get("the scale set", self.set.as_str(), COMPUTE, &[]).await?;
        let read = parse(&body, "the scale set")?;
        let model = read.scale_sets.first().cloned();
        self.resources.merge(read);
        model.ok_or_else(|| LiveError::Document {
            what: "the scale set".into(),
            problem: "it is not a scale set".into(),
        })
    }

    /// Asks for several things at once.
    async fn round(&mut self, wants: Vec<Want>) -> Result<(), LiveError> {
        let wants: Vec<_> = wants
            .into_iter()
            .filter(|want| match want {
                Want::Resource(id) => self.asked.insert(id.clone()),
                Want::Cards(path) => self.asked.insert(ResourceId::new(path.clone())),
                _ => true,
            })
            .collect();
        let answers = join_all(wants.iter().map(|want| self.ask(want))).await;
        for (want, answer) in wants.iter().zip(answers) {
            match answer {
                Ok(resources) => self.resources.merge(resources),
                Err(LiveError::Arm(error)) if error.is_unreadable() || want.may_fail(&error) => {
                    self.note_unread(want, error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn ask(&self, want: &Want) -> Result<Resources, LiveError> {
        match want {
            Want::Resource(id) => {
                let what = format!("{} {}", noun(id), id.name());
                let body = self.arm.get(&what, id.as_str(), version(id), &[]).await?;
                parse(&body, &what)
            }
            Want::Machines { flexible, with_view } => self.machines(*flexible, *with_view).await,
            Want::Cards(path) => {
                let items = self.arm.list("the network cards", path, NETWORK, &[]).await?;
                let mut resources = parse(&Value::Array(items), "the network cards")?;
                resources.cards_listed = true;
                Ok(resources)
            }
            Want::InstanceAddresses => {
                let path = self.set.child_list("publicipaddresses");
                let what = "the instances' public addresses";
                let items = self.arm.list(what, &path, INSTANCE_ADDRESSES, &[]).await?;
                parse(&Value::Array(items), what)
            }
            Want::Balancers => {
                let what = "the load balancers of the subscription";
                let subscription = self.set.subscription().unwrap_or_default();
                let path = format!("/subscriptions/{subscription}/providers/Microsoft.Network/loadBalancers");
                let items = self.arm.list(what, &path, NETWORK, &[]).await?;
                let mut resources = parse(&Value::Array(items), what)?;
                let ours = private_addresses(&self.resources);
                resources.load_balancers.retain(|balancer| knows_one_of(balancer, &ours));
                Ok(resources)
            }
        }
    }

    async fn machines(&self, flexible: bool, with_view: bool) -> Result<Resources, LiveError> {
        let what = "the instances";
        let mut query = Vec::new();
        // The quotes round the left side are Azure's grammar.
        let filter = format!("'virtualMachineScaleSet/id' eq '{}'", self.set);
        let path = if flexible {
            query.push(("$filter", filter.as_str()));
            in_group_of(&self.set, "Microsoft.Compute/virtualMachines")
        } else {
            self.set.child_list("virtualMachines")
        };
        if with_view {
            query.push(("$expand", "instanceView"));
        }
        let items = self.arm.list(what, &path, COMPUTE, &query).await?;
        let mut resources = parse(&Value::Array(items), what)?;
        resources.machines_listed = true;
        Ok(resources)
    }

    /// The instances' cards: of a Flexible set, all of its group, as most are there.
    fn cards(&self, flexible: bool) -> Want {
        Want::Cards(if flexible {
            in_group_of(&self.set, CARDS)
        } else {
            self.set.child_list("networkInterfaces")
        })
    }

    /// What could not be read: findings name it, and a map without any way in fails with it.
    fn note_unread(&mut self, want: &Want, error: ArmError) {
        let id = match want {
            Want::Resource(id) => id.clone(),
            Want::Machines { .. } => self.set.child("virtualMachines", "*"),
            Want::Cards(_) => self.set.child("networkInterfaces", "*"),
            Want::InstanceAddresses => self.set.child("publicIPAddresses", "*"),
            // Looked at on the chance only; nobody said that there is one.
            Want::Balancers => return,
        };
        let only_for_findings = is_for_findings(&id);
        self.resources.unread.push(Unread { id, reason: error.reason() });
        if !only_for_findings {
            self.failures.push(error);
        }
    }

    /// Asks for what the answers refer to, until they refer to nothing new: load balancers that cards name,
    /// public addresses, security groups. Azure's references go three deep at most.
    async fn rounds_of_references(&mut self, depth: Depth) -> Result<(), LiveError> {
        const DEEPEST: usize = 3;
        for _ in 0..DEEPEST {
            let mut wanted = balancers_of_cards(&self.resources);
            wanted.extend(frontend_addresses(&self.resources));
            wanted.extend(card_addresses(&self.resources));
            if depth == Depth::Full {
                wanted.extend(gates(&self.resources));
            }
            wanted.retain(|id| !self.asked.contains(id));
            let mut wants: Vec<_> = wanted.into_iter().map(Want::Resource).collect();
            if self.wants_cards {
                wants.extend(groups_of_missing_cards(&self.resources).into_iter().map(Want::Cards));
            }
            if wants.is_empty() {
                break;
            }
            self.round(wants).await?;
        }
        Ok(())
    }

    /// Whether the load balancers lead to another number of instances than the scale set is to have: some
    /// are gone, or reached another way.
    fn counts_differ(&self, wish: &Wish, capacity: Option<u64>) -> bool {
        let Ok(map) = resolver::resolve(&self.resources, wish) else { return true };
        !map.entries.is_empty() && capacity.is_some_and(|capacity| capacity != map.instances.len() as u64)
    }

    /// Whether the cards would tell more: an instance has no way in yet, no way is a public one, or a member
    /// of a pool is known by its private address only.
    fn leaves_open(&self, wish: &Wish) -> bool {
        let Ok(map) = resolver::resolve(&self.resources, wish) else { return true };
        let pools = self.resources.load_balancers.iter().flat_map(|lb| lb.backend_pools.iter().flatten());
        let mut members = pools.flat_map(|pool| &pool.addresses);
        let by_address = members.any(|m| m.configuration.is_none() && !m.mappings.is_empty());
        let internal = map.entries.iter().all(|entry| entry.rule.scope == Some(Scope::Internal));
        (by_address && !self.resources.cards_listed) || internal || has_unreached(&map)
    }
}

fn has_unreached(map: &NatMap) -> bool {
    let reached: HashSet<_> = map.entries.iter().filter_map(|entry| entry.instance.as_ref()).collect();
    map.instance_ids().any(|id| !reached.contains(id))
}

/// Reads a body of Azure's.
fn parse(body: &Value, what: &str) -> Result<Resources, LiveError> {
    let error = |problem: String| LiveError::Document { what: what.into(), problem };
    match wire::read(body) {
        Ok(Read::Resources(resources)) => Ok(*resources),
        Ok(Read::Unknown(looks_like)) if looks_like == wire::EMPTY_LIST => Ok(Resources::default()),
        Ok(Read::Unknown(looks_like)) => Err(error(format!("it is {looks_like}"))),
        Err(wrong) => Err(error(wrong.to_string())),
    }
}

fn version(id: &ResourceId) -> &'static str {
    match id.kind() {
        Some(Kind::ScaleSet | Kind::UniformInstance | Kind::VirtualMachine) => COMPUTE,
        _ => NETWORK,
    }
}

fn noun(id: &ResourceId) -> &'static str {
    match id.kind() {
        Some(Kind::LoadBalancer) => "load balancer",
        Some(Kind::PublicAddress) => "public address",
        Some(Kind::SecurityGroup) => "security group",
        Some(Kind::Subnet) => "subnet",
        Some(Kind::Card) => "network card",
        _ => "resource",
    }
}
