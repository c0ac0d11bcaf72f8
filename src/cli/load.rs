//! From the TARGET that was typed to a NAT map.

use std::{io, sync::Arc};

use super::{
    args::{LabShape, TargetArgs},
    context::Context,
    error::{Error, Kind},
};
use crate::{
    azure::{
        Depth,
        saved::{self, SavedError},
    },
    lab::{Lab, LabOptions},
    natmap::{BackendPort, Finding, NatMap, Severity},
    resolver::{self, Choice, Wish},
    resource::Resources,
    target::{ScaleSetTarget, Target},
};

/// A target's map, and what it was made of.
pub(super) struct Loaded {
    pub(super) map: NatMap,
    /// The lab, where the target is one.
    pub(super) lab: Option<Arc<Lab>>,
    /// The documents, where the map was made of some.
    pub(super) resources: Option<Resources>,
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

/// Reads or starts what the target names.
pub(super) async fn load(context: &Context, args: &TargetArgs, wanted: Wanted) -> Result<Loaded, Error> {
    check_options(args)?;
    let resources = match &args.target.target {
        Target::Range(range) => {
            return Ok(Loaded { map: NatMap::from_range(range), lab: None, resources: None });
        }
        Target::Lab => {
            let lab = context.lab(|| lab_options(context, &args.lab)).await?;
            return Ok(Loaded { map: lab.map().clone(), lab: Some(lab), resources: None });
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
        Target::Azure(set) => return Err(not_live(set, wanted)),
    };
    let wish = Wish {
        scale_set: args.scale_set.clone().map(Choice::Name),
        address: args.address.clone(),
        backend_port: wanted.backend_port,
        keepalive: crate::ssh::KEEPALIVE,
    };
    let map = resolver::resolve(&resources, &wish)?;
    Ok(Loaded { map, lab: None, resources: Some(resources) })
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

fn not_live(set: &ScaleSetTarget, _wanted: Wanted) -> Error {
    Error::new(
        Kind::Target,
        format!(
            "\"{}/{}\" would be asked from Azure, and this version does not ask Azure yet",
            set.group, set.name
        ),
    )
}

/// Says on stderr what a map's findings are; the JSON form has them itself.
pub(super) fn say_findings(context: &Context, findings: &[Finding]) {
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
