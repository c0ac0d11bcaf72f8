//! One of many machines that probe: its share of the endpoints, its name, and what is told of the run.

use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;

use super::ProbeArgs;
use crate::{
    cli::{
        config::Config,
        context::Context,
        error::{Error, Kind},
    },
    merge::{Plan, Run},
    natmap::{Endpoint, NatMap, Shard},
    net::probe::Count,
    report::probe::place_name,
    serve::ListenAddress,
};

/// Arguments for many machines.
#[derive(Debug, Args)]
pub(in crate::cli) struct PlacesArgs {
    /// Probe only every N-th endpoint, from the I-th on (from 0): 0/4 to 3/4 are all, on four machines
    /// [default: $JOB_COMPLETION_INDEX/$VMSSH_SHARDS, where set]
    #[arg(long, value_name = "I/N", help_heading = "Many places")]
    shard: Option<Shard>,
    /// What to call the place of this run, for `vmssh merge` [default: $VMSSH_PLACE, else the machine's name]
    #[arg(long, value_name = "NAME", help_heading = "Many places", value_parser = place)]
    place: Option<String>,
    /// Serve the figures for Prometheus at http://ADDR/metrics while the run goes on; :9464 is this machine
    /// only, 0.0.0.0:9464 lets others in
    #[arg(long, value_name = "ADDR", help_heading = "Many places")]
    pub(super) metrics: Option<ListenAddress>,
}

fn place(text: &str) -> Result<String, String> {
    place_name(text).ok_or_else(|| "a place needs a name".into())
}

impl PlacesArgs {
    /// Which part of the endpoints is this run's; `None` for all.
    pub(super) fn shard(&self, config: &Config) -> Result<Option<Shard>, Error> {
        let Some(shards) = &config.shards else { return Ok(self.shard) };
        if self.shard.is_some() {
            return Ok(self.shard);
        }
        // Without its number, every pod of a Job would probe everything.
        let index = config.job_index.as_deref().ok_or_else(|| {
            Error::new(
                Kind::Usage,
                "VMSSH_SHARDS is set and JOB_COMPLETION_INDEX is not: which shard is this?",
            )
            .hint("let the Job have `completionMode: Indexed`, or say it: `--shard I/N`")
        })?;
        format!("{index}/{shards}").parse().map(Some).map_err(|error| {
            Error::from_chain(Kind::Usage, &error)
                .hint("it is made of JOB_COMPLETION_INDEX and VMSSH_SHARDS, which the Job sets: is VMSSH_SHARDS its `completions`?")
        })
    }

    /// Where this run is.
    fn place(&self, config: &Config) -> String {
        let set = || config.place.as_deref().and_then(place_name);
        let machine = || place_name(&whoami::hostname().ok()?);
        self.place.clone().or_else(set).or_else(machine).unwrap_or_else(|| "unnamed".into())
    }
}

/// This run's part of the endpoints. An empty one is said.
pub(super) fn part(context: &Context, endpoints: Vec<Endpoint>, shard: Option<Shard>) -> Vec<Endpoint> {
    let Some(shard) = shard else { return endpoints };
    let all = endpoints.len();
    let part = shard.part(endpoints);
    if part.is_empty() {
        context.ui.note(&format!("nothing to probe: shard {shard} of {all} endpoints is empty"));
    }
    part
}

/// A run that has begun.
pub(super) struct Begun {
    run: Run,
    clock: Instant,
}

impl Begun {
    /// Begins now.
    pub(super) fn now(context: &Context, args: &ProbeArgs, map: &NatMap, shard: Option<Shard>) -> Self {
        let options = args.options();
        let (count, duration) = match options.count {
            Count::Times(count) => (Some(count.into()), None),
            Count::For(time) => (None, Some(time)),
            Count::Endless => (None, None),
        };
        let now = Timestamp::now();
        let run = Run {
            place: args.places.place(&context.config),
            target: Some(args.target.target.target.to_string()),
            scale_set: map.scale_set.as_ref().map(|set| set.name.clone()),
            // Milliseconds are what a wall clock is good for, and what is read back as it was.
            started: Some(Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)),
            elapsed: Duration::ZERO,
            plan: Some(Plan { count, duration, interval: options.interval, timeout: options.timeout }),
            shard,
        };
        Self { run, clock: Instant::now() }
    }

    /// The run so far.
    pub(super) fn run(&self) -> &Run {
        &self.run
    }

    /// Ends now.
    pub(super) fn end(self) -> Run {
        Run { elapsed: self.clock.elapsed(), ..self.run }
    }
}
