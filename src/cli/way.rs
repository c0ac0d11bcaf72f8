//! The way to instances: dialled from here, through a sibling, or through bastions.

use std::{str::FromStr, sync::Arc, time::Duration};

use clap::Args;
use tokio::sync::mpsc;

use super::{
    args::TargetArgs,
    context::Context,
    error::{Error, Kind},
    load::Loaded,
    sign_in::{self, Access, Password, SignInArgs},
};
use crate::{
    event::ProbeOutcome,
    natmap::{BackendPort, Endpoint, InsideError, InstanceSet, InstanceSetError, one_per_instance},
    net::{
        probe::{self, Count, ProbeOptions},
        resolve::{Family, Resolver},
    },
    openssh_config::Jump,
    ssh::Destination,
};

/// Which way to take.
#[derive(Debug, Clone, Args)]
pub(super) struct WayArgs {
    /// Go through this instance, to the private addresses of the others; `auto` takes one that answers
    #[arg(long, value_name = "N|auto", conflicts_with = "jump", help_heading = "The way")]
    pub(super) via: Option<Via>,
    /// Go through these servers, the first one dialled from here
    #[arg(short = 'J', long, value_name = "[USER@]HOST[:PORT],...", value_parser = jumps, help_heading = "The way")]
    pub(super) jump: Option<String>,
}

/// Checks a list of jump hosts; the configuration is looked up for each when it is dialled.
fn jumps(text: &str) -> Result<String, String> {
    Jump::parse_list(text).map(|_| text.to_owned())
}

/// The instance to go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Via {
    /// Any that answers.
    Auto,
    /// This one.
    Instance(InstanceSet),
}

impl FromStr for Via {
    type Err = InstanceSetError;

    fn from_str(text: &str) -> Result<Self, InstanceSetError> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::Instance) }
    }
}

/// What is wanted: which instances, and how to sign in there.
pub(super) struct Wish<'a> {
    pub(super) target: &'a TargetArgs,
    pub(super) sign_in: &'a SignInArgs,
    pub(super) way: &'a WayArgs,
    pub(super) loaded: &'a Loaded,
    pub(super) set: &'a InstanceSet,
    pub(super) backend_port: BackendPort,
    pub(super) password: Password,
}

/// Finds the ways to instances, one to each, and how to sign in there.
pub(super) async fn access(context: &Context, wish: &Wish<'_>) -> Result<Access, Error> {
    let access = match &wish.way.via {
        None => dialled(context, wish).await?,
        Some(Via::Instance(set)) => {
            let hop = carrier(wish.loaded, set, wish.backend_port)?;
            through(context, wish, hop).await?
        }
        Some(Via::Auto) => automatic(context, wish).await?,
    };
    access.client.expect(access.destinations.len());
    Ok(access)
}

/// From here, or by the user's jump hosts.
async fn dialled(context: &Context, wish: &Wish<'_>) -> Result<Access, Error> {
    let endpoints = one_per_instance(wish.loaded.map.select(wish.set, Some(wish.backend_port))?);
    sign_in(context, wish, endpoints).await
}

async fn sign_in(context: &Context, wish: &Wish<'_>, endpoints: Vec<Endpoint>) -> Result<Access, Error> {
    // Before what else there is: the first word on it counts.
    let jump = wish.way.jump.iter().map(|jump| format!("ProxyJump={jump}"));
    let ssh_options = jump.chain(wish.sign_in.ssh_options.iter().cloned()).collect();
    let sign_in = SignInArgs { ssh_options, ..wish.sign_in.clone() };
    sign_in::access(context, wish.target, &sign_in, wish.loaded, endpoints, wish.password).await
}

/// The endpoint of the instance to go through.
pub(super) fn carrier(loaded: &Loaded, set: &InstanceSet, port: BackendPort) -> Result<Endpoint, Error> {
    let endpoints = one_per_instance(loaded.map.select(set, Some(port))?);
    match <[Endpoint; 1]>::try_from(endpoints) {
        Ok([endpoint]) => Ok(endpoint),
        Err(several) => {
            let count = several.len();
            Err(Error::new(
                Kind::Usage,
                format!("--via names {count} instances, and the way goes through one"),
            )
            .hint("`--via auto` takes one that answers"))
        }
    }
}

/// The destinations of a wish, through one instance.
async fn through(context: &Context, wish: &Wish<'_>, hop: Endpoint) -> Result<Access, Error> {
    let inside = wish.loaded.map.inside(wish.set, wish.backend_port, &hop.host).map_err(not_inside)?;
    let (names, endpoints): (Vec<_>, Vec<_>) =
        inside.into_iter().map(|inside| (inside.known_as, inside.endpoint)).unzip();
    let all = [hop.clone()].into_iter().chain(endpoints).collect();
    let Access { client, destinations, configs } = sign_in(context, wish, all).await?;
    let mut destinations = destinations.into_iter();
    let first =
        destinations.next().ok_or_else(|| Error::new(Kind::Usage, "no instance is left to work on"))?;
    let via = Arc::new(first.clone());
    let behind = destinations.zip(names).map(|(destination, name)| {
        // The one that carries the others is dialled itself.
        if hop.instance.is_some() && destination.endpoint.instance == hop.instance {
            return first.clone();
        }
        Destination { via: Some(via.clone()), known_as: Some(name), ..destination }
    });
    Ok(Access { destinations: behind.collect(), client, configs: configs.into_iter().skip(1).collect() })
}

pub(super) fn not_inside(error: InsideError) -> Error {
    match error {
        InsideError::Select(error) => error.into(),
        InsideError::NoPrivateAddress(_) => Error::from_chain(Kind::Target, &error).hint(
            "take the map from Azure (`GROUP/NAME`), or save the network cards too: `az vmss nic list -g GROUP \
             --vmss-name NAME > nics.json`, beside the other documents of `@DIR`",
        ),
    }
}

/// How many that answer are tried until the first signs in: with more, the fault is not one of theirs.
const MOST_TRIED: usize = 8;

/// Through the first instance that answers and lets us in.
async fn automatic(context: &Context, wish: &Wish<'_>) -> Result<Access, Error> {
    let all = wish.loaded.map.select(&InstanceSet::default(), Some(wish.backend_port))?;
    let mut candidates = one_per_instance(all);
    candidates.retain(|endpoint| endpoint.instance.is_some());
    // Who is asked for alone is asked for this way because the straight one does not lead there.
    let wanted: Vec<_> =
        wish.loaded.map.instances.iter().filter(|instance| wish.set.contains(instance)).collect();
    if let [only] = wanted.as_slice() {
        candidates.retain(|endpoint| endpoint.instance.as_ref() != Some(&only.id));
    }
    let answering =
        answering(context, candidates, wish.sign_in.connect_timeout.unwrap_or(ANSWER_LIMIT)).await?;
    let mut last = None;
    for endpoint in answering.into_iter().take(MOST_TRIED) {
        let label = endpoint.label();
        let access = through(context, wish, endpoint).await?;
        let Some(hop) = access.destinations.iter().find_map(|destination| destination.via.clone()) else {
            return Ok(access);
        };
        match access.client.reach(&hop).await {
            Ok(()) => {
                context.ui.note(&format!("through instance {label} ({})", hop.endpoint));
                return Ok(access);
            }
            Err(failure) => {
                context.ui.warn(&format!("not through instance {label}: {failure}"));
                last = Some(failure);
            }
        }
    }
    Err(match last {
        Some(failure) => failure.into(),
        None => Error::new(Kind::Session, "no instance answers that could carry the others")
            .hint("`vmssh probe TARGET` shows who answers from here"),
    })
}

/// Those of the endpoints that answer a SYN, the quickest first.
async fn answering(
    context: &Context,
    endpoints: Vec<Endpoint>,
    limit: Duration,
) -> Result<Vec<Endpoint>, Error> {
    let options = ProbeOptions {
        count: Count::Times(1),
        warm_up: 0,
        timeout: limit.min(ANSWER_LIMIT),
        ..ProbeOptions::default()
    };
    let (events, mut arriving) = mpsc::channel(64);
    let resolver = Resolver::new(Family::Any);
    let probing = probe::probe(&endpoints, options, &resolver, events, context.interrupt.drain.child_token());
    let taking = async {
        let mut answered = Vec::new();
        while let Some(events) = arriving.recv().await {
            for event in events {
                if let ProbeOutcome::Answered(answer) = event.sample.outcome {
                    answered.push((answer.rtt.unwrap_or(answer.elapsed), event.index));
                }
            }
        }
        answered
    };
    let (probed, mut answered) = tokio::join!(probing, taking);
    probed.map_err(|error| Error::new(Kind::Other, "can't probe").caused_by(Some(&error)))?;
    answered.sort_unstable();
    Ok(answered.into_iter().filter_map(|(_, index)| endpoints.get(index).cloned()).collect())
}

/// Time for two SYNs, as in `vmssh probe`.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
