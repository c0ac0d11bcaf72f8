//! From the TARGET that was typed to a NAT map.

use std::{io, sync::Arc};

use super::{
    args::{LabShape, TargetArgs},
    azure::{self, Azure},
    context::Context,
    error::{Error, Kind},
};
use crate::{
    azure::{
        Depth,
        arm::{Arm, ArmErrorKind, Missing},
        live::{self, LiveError},
        near,
        saved::{self, SavedError},
    },
    lab::{Lab, LabOptions},
    natmap::{BackendPort, Finding, Instance, InstanceSet, NatMap, Severity},
    resolver::{self, Choice, Wish},
    resource::{ResourceId, Resources},
    target::{ScaleSetTarget, Target},
};

/// A target's map, and what it was made of.
pub(super) struct Loaded {
    pub(super) map: NatMap,
    /// The lab, where the target is one.
    pub(super) lab: Option<Arc<Lab>>,
    /// The documents, where the map was made of some.
    pub(super) resources: Option<Resources>,
    /// Why the map has no way in: something could not be read.
    pub(super) failure: Option<Error>,
}

/// The lab's size where none is given: enough for a table, a fold and a fault.
const LAB_INSTANCES: usize = 4;

/// What a verb wants of a map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// How much has to be asked for.
    pub(super) depth: Depth,
    /// The backend port whose rules are wanted.
    pub(super) backend_port: Option<BackendPort>,
}

/// Reads or starts what the target names, for verbs that go to instances.
pub(super) async fn load(context: &Context, args: &TargetArgs, wanted: Wanted) -> Result<Loaded, Error> {
    let loaded = load_to_show(context, args, wanted).await?;
    match loaded.failure {
        Some(failure) => Err(failure),
        None => Ok(loaded),
    }
}

/// The same for showing what is known, also where nothing leads to an instance.
pub(super) async fn load_to_show(
    context: &Context,
    args: &TargetArgs,
    wanted: Wanted,
) -> Result<Loaded, Error> {
    check_options(args)?;
    let resources = match &args.target.target {
        Target::Range(range) => {
            return Ok(Loaded { map: NatMap::from_range(range), lab: None, resources: None, failure: None });
        }
        Target::Lab => {
            let lab = context.lab(|| lab_options(context, &args.lab)).await?;
            return Ok(Loaded { map: lab.map().clone(), lab: Some(lab), resources: None, failure: None });
        }
        Target::Saved(path) => {
            let path = path.clone();
            let read = tokio::task::spawn_blocking(move || saved::read_path(&path));
            context.unless_interrupted(document(read)).await?
        }
        Target::Stdin => {
            let read = tokio::task::spawn_blocking(|| saved::read(io::stdin().lock(), "standard input"));
            context.unless_interrupted(document(read)).await?
        }
        Target::Azure(set) => return context.unless_interrupted(live(context, args, set, wanted)).await,
    };
    let wish = wish(args, wanted, args.scale_set.clone().map(Choice::Name));
    let map = resolver::resolve(&resources, &wish)?;
    Ok(Loaded { map, lab: None, resources: Some(resources), failure: None })
}

fn wish(args: &TargetArgs, wanted: Wanted, scale_set: Option<Choice>) -> Wish {
    Wish {
        scale_set,
        address: args.address.clone(),
        backend_port: wanted.backend_port,
        keepalive: crate::ssh::KEEPALIVE,
    }
}

/// Asks Azure.
async fn live(
    context: &Context,
    args: &TargetArgs,
    set: &ScaleSetTarget,
    wanted: Wanted,
) -> Result<Loaded, Error> {
    let Azure { arm, subscription } = azure::connect(context, &args.azure, set.subscription.as_deref())?;
    let id =
        ResourceId::of(&subscription, &set.group, "Microsoft.Compute/virtualMachineScaleSets", &set.name);
    let wish = wish(args, wanted, Some(Choice::Id(id.clone())));
    let answer = match live::read(&arm, &id, wanted.depth, &wish).await {
        Ok(answer) => answer,
        Err(error) => return Err(not_found(&arm, &id, error).await),
    };
    let map = resolver::resolve(&answer.resources, &wish)?;
    let failure = answer.failures.into_iter().next().filter(|_| map.entries.is_empty()).map(Error::from);
    Ok(Loaded { map, lab: None, resources: Some(answer.resources), failure })
}

/// Adds what may have been meant to the error about a scale set that is not there.
async fn not_found(arm: &Arm, id: &ResourceId, error: LiveError) -> Error {
    let is_missing = matches!(
        &error,
        LiveError::Arm(error)
            if matches!(error.kind(), ArmErrorKind::NotFound(Missing::Group | Missing::Resource))
    );
    let near = if is_missing { near::scale_sets(arm, id).await.unwrap_or_default() } else { Vec::new() };
    let error = Error::from(error);
    if near.is_empty() { error } else { error.hint(format!("there is {}", near.join(", "))) }
}

/// An option that would have no effect is a misunderstanding.
fn check_options(args: &TargetArgs) -> Result<(), Error> {
    let LabShape { lab_instances, lab_fault } = &args.lab;
    let target = &args.target.target;
    if *target != Target::Lab && (lab_instances.is_some() || !lab_fault.is_empty()) {
        return Err(Error::new(
            Kind::Usage,
            "`--lab-instances` and `--lab-fault` shape the target `lab` and no other",
        ));
    }
    let saved = matches!(target, Target::Saved(_) | Target::Stdin);
    if args.scale_set.is_some() && !saved {
        return Err(Error::new(Kind::Usage, "`--scale-set` goes with documents (`@FILE`, `@DIR` or `-`)"));
    }
    if args.address.is_some() && !saved {
        return Err(Error::new(Kind::Usage, "`--address` goes with a document (`@FILE` or `-`)")
            .hint("name the frontend in the target itself: `HOST:START-END`"));
    }
    Ok(())
}

async fn document(read: tokio::task::JoinHandle<Result<Resources, SavedError>>) -> Result<Resources, Error> {
    Ok(read.await.map_err(|error| Error::from_chain(Kind::Other, &error))??)
}

fn lab_options(context: &Context, shape: &LabShape) -> LabOptions {
    LabOptions {
        instances: shape.lab_instances.unwrap_or(LAB_INSTANCES),
        faults: shape.lab_fault.clone(),
        base_port: None,
        azure: None,
        state_dir: context.config.temp_dir.clone(),
    }
}

/// Says on stderr what a map's findings are; the JSON form has them itself.
pub(super) fn say_findings<'a>(context: &Context, findings: impl IntoIterator<Item = &'a Finding>) {
    for finding in findings {
        match finding.severity {
            Severity::Info => context.ui.note(&format!("note: {}", finding.message)),
            Severity::Warning | Severity::Error => context.ui.warn(&finding.message),
        }
        if let Some(hint) = &finding.hint {
            context.ui.note(&format!("  hint: {hint}"));
        }
    }
}

/// Says only what may keep this run from the instances that it is for: what is good to know is for `map`.
pub(super) fn say_warnings(context: &Context, map: &NatMap, set: &InstanceSet) {
    let chosen = |instance: &Instance| set.contains(instance);
    // Where the set names nobody, any of them may say why.
    let nobody = !map.instances.iter().any(chosen);
    let concerns = |finding: &&Finding| {
        let mut about = finding.instances.iter().filter_map(|id| map.instance(id));
        let concerned = nobody || finding.instances.is_empty() || about.any(chosen);
        finding.severity > Severity::Info && concerned
    };
    say_findings(context, map.findings.iter().filter(concerns));
}
