//! Probing the private addresses through a session to one of the instances.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    super::{
        context::Context,
        error::{Error, Kind},
        load::Loaded,
        sign_in::{self, Access, Password},
        way,
    },
    ProbeArgs, exceeds,
};
use crate::{
    natmap::{Endpoint, InstanceSet},
    net::probe::{Count, Events, ProbeOptions},
    ssh::{Client, Rounds, Session, probe_through},
};

/// An instance to look from.
pub(super) struct Through {
    client: Client,
    session: Arc<Session>,
    /// The private addresses of the instances that are looked at.
    pub(super) endpoints: Vec<Endpoint>,
}

/// How often the session's own round trip is measured: the quickest of some is that of the path.
const PINGS: usize = 5;

impl Through {
    /// Signs in there, where that is wanted.
    pub(super) async fn prepare(
        context: &Context,
        args: &ProbeArgs,
        loaded: &Loaded,
        set: &InstanceSet,
    ) -> Result<Option<Self>, Error> {
        let Some(via) = &args.through.via else { return Ok(None) };
        let port = args.instances.backend_port;
        let hop = way::carrier(loaded, via, port)?;
        let inside = loaded.map.inside(set, port, &hop.host).map_err(way::not_inside)?;
        let label = hop.label();
        let (target, sign_in) = (&args.target, &args.through.sign_in);
        let access = sign_in::access(context, target, sign_in, loaded, vec![hop], Password::OnNeed).await?;
        let Access { client, destinations, .. } = access;
        let nowhere = || Error::new(Kind::Usage, "no instance is left to work on");
        let session = Arc::new(client.connect(destinations.first().ok_or_else(nowhere)?).await?);
        let mut trips = Vec::with_capacity(PINGS);
        for _ in 0..PINGS {
            trips.push(session.round_trip().await?);
        }
        let trip = trips.into_iter().min().unwrap_or_default();
        context.ui.note(&format!(
            "as instance {label} sees it; the way to it and back, {:.1} ms, is part of every time",
            trip.as_secs_f64() * 1e3
        ));
        let endpoints = inside.into_iter().map(|inside| inside.endpoint).collect();
        Ok(Some(Self { client, session, endpoints }))
    }

    /// Probes, and leaves.
    pub(super) async fn probe(self, options: &ProbeOptions, events: Events, stop: CancellationToken) {
        // What is still open over there when the run is over is not waited for.
        let run = stop.child_token();
        let _ended = run.clone().drop_guard();
        probe_through(&self.session, &self.endpoints, rounds(options), events, run).await;
        drop(self.session);
        self.client.settle().await;
    }
}

/// Within the budget that sshd gives: here it makes the connections complete.
fn rounds(options: &ProbeOptions) -> Rounds {
    let spaced = options.budget.as_ref().filter(|budget| exceeds(options, budget));
    let least = spaced.map_or(Duration::ZERO, |budget| budget.per / budget.probes.get());
    let (count, time) = match options.count {
        Count::Times(count) => (Some(count.saturating_add(options.warm_up)), None),
        Count::For(time) => (None, Some(time)),
        Count::Endless => (None, None),
    };
    Rounds {
        count,
        time,
        warm_up: options.warm_up,
        interval: options.interval.max(least),
        timeout: options.timeout,
    }
}
