//! Runs of probing put together: the parts of one run, runs after each other, and what several places saw.

mod places;

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use thiserror::Error;

pub use places::{Difference, Row, Seen, apart, differences, rows};

use crate::{
    natmap::{Endpoint, FrontendPort, Host, InstanceId, Shard},
    stats::ProbeStats,
};

/// What is to be known of a run beside what it found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// Where it probed from: the name that it was given, or its machine's.
    pub place: String,
    /// The target as it was typed; `None` of runs with different ones.
    pub target: Option<String>,
    /// The scale set's name, where it is one.
    pub scale_set: Option<String>,
    /// When it began, by the wall clock; the first of several.
    pub started: Option<Timestamp>,
    /// How long it took; of several, from the start of the first to the end of the last.
    pub elapsed: Duration,
    /// How it probed; `None` of runs that did so differently.
    pub plan: Option<Plan>,
    /// Which part of the endpoints it had; `None` for all, and of several runs.
    pub shard: Option<Shard>,
}

/// The options of a run that its figures depend on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Plan {
    /// Probes per endpoint, where a number ended it.
    pub count: Option<u64>,
    /// How long each endpoint was probed, where a time ended it.
    pub duration: Option<Duration>,
    /// From one probe of an endpoint to its next.
    pub interval: Duration,
    /// How long an answer was waited for.
    pub timeout: Duration,
}

/// A run and what it found of each endpoint.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Probed {
    /// The run.
    pub run: Run,
    /// The endpoints and their tallies.
    pub endpoints: Vec<(Endpoint, ProbeStats)>,
}

/// Tallies that can't be added.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the tallies of {endpoint} from {place} add up to more than can be counted")]
pub struct TooMuch {
    endpoint: String,
    place: String,
}

/// What makes two endpoints the same.
type Identity = (Option<InstanceId>, Host, FrontendPort);

fn identity(endpoint: &Endpoint) -> Identity {
    (endpoint.instance.clone(), endpoint.host.clone(), endpoint.port)
}

/// Adds up runs, so that one is left of each place, in the order in which the places first come. The same
/// endpoints' tallies add up, different ones stand side by side.
///
/// The same run given twice counts once; how many were left out so is the second value.
///
/// # Errors
/// When a sum is more than a tally can hold.
pub fn by_place(runs: Vec<Probed>) -> Result<(Vec<Probed>, usize), TooMuch> {
    let mut places: Vec<Vec<Probed>> = Vec::new();
    let mut twice = 0;
    for run in runs {
        let place = places.iter_mut().find(|place| place.iter().any(|r| r.run.place == run.run.place));
        match place {
            Some(place) if place.contains(&run) => twice += 1,
            Some(place) => place.push(run),
            None => places.push(vec![run]),
        }
    }
    let merged = places.into_iter().map(merge).collect::<Result<_, _>>()?;
    Ok((merged, twice))
}

/// Adds up the runs of one place.
fn merge(mut runs: Vec<Probed>) -> Result<Probed, TooMuch> {
    // What lasted to the end of the last run lasts.
    runs.sort_by_key(|probed| probed.run.started);
    let started = runs.iter().filter_map(|probed| probed.run.started).min();
    let run = whole_run(&runs, started);
    let mut endpoints: Vec<(Endpoint, ProbeStats)> = Vec::new();
    let mut at: HashMap<Identity, usize> = HashMap::new();
    for Probed { run: part, endpoints: found } in runs {
        let later = since(started, part.started);
        for (endpoint, mut stats) in found {
            let down_since = &mut stats.outages.down_since;
            *down_since = down_since.map(|since| since.saturating_add(later));
            let known = at.get(&identity(&endpoint)).and_then(|at| endpoints.get_mut(*at));
            if let Some((had, sum)) = known {
                had.name = had.name.take().or(endpoint.name);
                had.vm_id = had.vm_id.take().or(endpoint.vm_id);
                sum.merge_checked(&stats)
                    .ok_or_else(|| TooMuch { endpoint: had.to_string(), place: part.place.clone() })?;
            } else {
                at.insert(identity(&endpoint), endpoints.len());
                endpoints.push((endpoint, stats));
            }
        }
    }
    endpoints.sort_by_cached_key(|(endpoint, _)| order(endpoint));
    Ok(Probed { run, endpoints })
}

/// As people look for them: by instance, then by what is dialled; those without an instance last.
fn order(endpoint: &Endpoint) -> impl Ord + use<> {
    let instance = endpoint.instance.clone();
    (instance.is_none(), instance, endpoint.host.to_string(), endpoint.port)
}

/// How much later one time is than another; nothing where either is not known.
fn since(first: Option<Timestamp>, later: Option<Timestamp>) -> Duration {
    let both = first.zip(later).and_then(|(first, later)| later.duration_since(first).try_into().ok());
    both.unwrap_or_default()
}

/// What several runs of one place are together.
fn whole_run(runs: &[Probed], started: Option<Timestamp>) -> Run {
    let parts = || runs.iter().map(|probed| &probed.run);
    let end = |run: &Run| since(started, run.started).saturating_add(run.elapsed);
    Run {
        place: parts().next().map(|run| run.place.clone()).unwrap_or_default(),
        target: same(parts().map(|run| run.target.as_ref())).cloned(),
        scale_set: same(parts().map(|run| run.scale_set.as_ref())).cloned(),
        started,
        elapsed: parts().map(end).max().unwrap_or_default(),
        plan: same(parts().map(|run| run.plan)),
        shard: parts().next().and_then(|run| run.shard).filter(|_| runs.len() == 1),
    }
}

/// What all have alike.
fn same<T: PartialEq>(mut values: impl Iterator<Item = Option<T>>) -> Option<T> {
    let first = values.next()??;
    values.all(|value| value.as_ref() == Some(&first)).then_some(first)
}

#[cfg(test)]
#[path = "merge/tests.rs"]
mod tests;
