//! From the TARGET that was typed to a NAT map.

use std::{io, sync::Arc};

use super::{
    args::{LabShape, TargetArgs},
    context::Context,
    error::{Error, Kind},
};
use crate::{
    azure::saved::{self, SavedError},
    lab::{Lab, LabOptions},
    natmap::{Finding, NatMap, Severity},
    target::Target,
};

/// A target's map, and the lab where it is one.
pub(super) struct Loaded {
    pub(super) map: NatMap,
    pub(super) lab: Option<Arc<Lab>>,
}

/// The lab's size where none is given: enough for a table, a fold and a fault.
const LAB_INSTANCES: usize = 4;

/// Reads or starts what the target names.
pub(super) async fn load(context: &Context, args: &TargetArgs) -> Result<Loaded, Error> {
    check_options(args)?;
    let map = match &args.target.target {
        Target::Range(range) => NatMap::from_range(range),
        Target::Lab => {
            let lab = context.lab(|| lab_options(context, &args.lab)).await?;
            return Ok(Loaded { map: lab.map().clone(), lab: Some(lab) });
        }
        Target::Saved(path) => {
            let path = path.clone();
            let name = path.display().to_string();
            let read = tokio::task::spawn_blocking(move || saved::read_file(&path));
            context.unless_interrupted(document(args, read, &name)).await?
        }
        Target::Stdin => {
            let read = tokio::task::spawn_blocking(|| saved::read(io::stdin().lock()));
            context.unless_interrupted(document(args, read, "standard input")).await?
        }
        Target::Azure(name) => return Err(not_live(name)),
    };
    Ok(Loaded { map, lab: None })
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
    if args.address.is_some() && !matches!(target, Target::Saved(_) | Target::Stdin) {
        return Err(Error::new(Kind::Usage, "`--address` goes with a document (`@FILE` or `-`)")
            .hint("name the frontend in the target itself: `HOST:START-END`"));
    }
    Ok(())
}

async fn document(
    args: &TargetArgs,
    read: tokio::task::JoinHandle<Result<crate::natmap::Document, SavedError>>,
    name: &str,
) -> Result<NatMap, Error> {
    let document = read.await.map_err(|error| Error::from_chain(Kind::Other, &error))?.map_err(|error| {
        let mut error = Error::from(error);
        error.message = format!("{name}: {}", error.message);
        error
    })?;
    Ok(NatMap::from_document(&document, args.address.as_ref()))
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

fn not_live(name: &str) -> Error {
    let words: Vec<_> = name.trim_matches('/').split('/').collect();
    let (group, set) = match words.as_slice() {
        [group, set] => (*group, *set),
        _ => ("GROUP", "NAME"),
    };
    Error::new(Kind::Target, format!("\"{name}\" would be asked from Azure, and this version does not ask Azure yet"))
        .hint(format!(
            "let az ask and use its answer: `az vmss list-instance-connection-info -g {group} -n {set} > ports.json`, then `@ports.json`"
        ))
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
