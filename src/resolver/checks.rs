//! What is noteworthy about a finished map: one function per kind of finding. `docs/findings.md` is their
//! documentation.

mod network;
mod ranges;
mod security;
mod state;
mod unread;

use super::Question;
use crate::natmap::{Finding, InstanceId, NatMap, display_set};

/// All findings about a map, beside those that came up while it was made.
pub(super) fn all(question: &Question<'_>, map: &NatMap) -> Vec<Finding> {
    let checks: [fn(&Question<'_>, &NatMap) -> Vec<Finding>; 6] =
        [unread::all, network::all, ranges::all, state::all, security::all, |_, map| map.shared_endpoints()];
    checks.iter().flat_map(|check| check(question, map)).collect()
}

/// `instance 3 is`, `instances 3,5 are`.
fn instances_are(ids: &[InstanceId]) -> String {
    match ids {
        [id] => format!("instance {id} is"),
        ids => format!("instances {} are", display_set(ids)),
    }
}

/// `instance 3 has`, `instances 3,5 have`.
fn instances_have(ids: &[InstanceId]) -> String {
    match ids {
        [id] => format!("instance {id} has"),
        ids => format!("instances {} have", display_set(ids)),
    }
}

/// The options that name the scale set in an az command.
fn set_options(map: &NatMap) -> String {
    match &map.scale_set {
        Some(set) => format!("-g {} -n {}", set.group, set.name),
        None => "-g GROUP -n NAME".into(),
    }
}

/// Ids as az takes several: separated by blanks.
fn words(ids: &[InstanceId]) -> String {
    ids.iter().map(InstanceId::as_str).collect::<Vec<_>>().join(" ")
}
