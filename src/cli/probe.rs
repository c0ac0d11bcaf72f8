//! `vmssh probe`: TCP probes to all endpoints at once.

mod args;
mod html;
mod metrics;
mod places;
mod screen;
mod via;

use std::io::Write;

use tokio::{sync::mpsc, task::spawn_blocking};
use tokio_util::sync::CancellationToken;

pub(super) use self::args::ProbeArgs;
use self::{args::ProbeFormat, places::Begun, via::Through};
use super::{
    context::Context,
    error::{Error, Kind},
    exit::Exit,
    load,
};
use crate::{
    azure::Depth,
    event::ProbeEvent,
    natmap::Endpoint,
    net::{
        probe::{self, Budget, Count, ProbeOptions},
        resolve::Resolver,
        source,
    },
    report::{
        html::RunEnd,
        probe::{Columns, ProbeReport, PspingLines, SampleLines, write_statistics},
        progress::ProbeProgress,
        screen::{AtEnd, Screened},
        watch::ProbeWatch,
    },
    stats::ProbeStats,
};

/// Batches of results on their way to the statistics, which take no time: room for some turns of the prober.
const EVENTS: usize = 64;

pub(super) async fn run(context: &Context, args: &ProbeArgs) -> Result<Exit, Error> {
    check_source(args)?;
    let screen = screen::wanted(screen::Wish::of(context, args))?;
    let shard = args.places.shard(&context.config)?;
    let listener = metrics::listen(context, args.places.metrics).await?;
    // Signing in takes the instances' identities, too.
    let depth = if args.through.via.is_some() { Depth::Identity } else { Depth::Ports };
    let wanted = load::Wanted { depth, backend_port: Some(args.instances.backend_port) };
    let loaded = load::load(context, &args.target, wanted).await?;
    let set = args.instances.instances.clone().unwrap_or_default();
    load::say_warnings(context, &loaded.map, &set);
    let through = Through::prepare(context, args, &loaded, &set);
    let mut through = context.unless_interrupted(through).await?;
    let endpoints = match &through {
        Some(through) => through.endpoints.clone(),
        None => loaded.map.select(&set, Some(args.instances.backend_port))?,
    };
    let endpoints = places::part(context, endpoints, shard);
    if let Some(through) = &mut through {
        through.endpoints.clone_from(&endpoints);
    }
    let page = html::Page::prepare(context, args, &endpoints).await?;

    let begun = Begun::now(context, args, &loaded.map, shard);
    let mut watchers: Vec<Box<dyn ProbeWatch>> = page.as_ref().map(html::Page::watch).into_iter().collect();
    let served = listener.map(|listener| metrics::serve(listener, &endpoints, begun.run()));
    let _serving = served.map(|(watch, serving)| {
        watchers.push(Box::new(watch));
        serving
    });
    let stats = probe_all(context, args, &endpoints, through, screen, watchers).await?;
    let interrupted = context.interrupt.drain.is_cancelled();
    // Before the results: whoever reads those may stop reading.
    let end = if interrupted { RunEnd::Interrupted } else { RunEnd::Whole };
    let written = match page {
        Some(page) => page.write(&endpoints, &stats, end).await,
        None => Ok(()),
    };

    let report = ProbeReport::new(&endpoints, &stats).with_run(&begun.end());
    let verdict = report.verdict.clone();
    let report = if args.show.failures_only { report.failures_only() } else { report };
    context.ui.write(|out| write(out, args, &report, &endpoints, &stats))?;
    written?;
    Ok(match verdict {
        _ if interrupted => Exit::Interrupted,
        verdict if verdict.none_resolved() => Exit::Target,
        verdict if verdict.all_reachable() => Exit::Ok,
        _ => Exit::SomeFailed,
    })
}

/// Probes, and adds up what comes of it while the watchers and, where there is a screen, a person look on.
async fn probe_all(
    context: &Context,
    args: &ProbeArgs,
    endpoints: &[Endpoint],
    through: Option<Through>,
    screen: Option<AtEnd>,
    mut watchers: Vec<Box<dyn ProbeWatch>>,
) -> Result<Vec<ProbeStats>, Error> {
    let options = args.options();
    say_budget(context, &options);
    let resolver = Resolver::new(args.family());
    let (events, arriving) = mpsc::channel(EVENTS);
    // The person at the screen may end the run without interrupting the program.
    let stop = context.interrupt.drain.child_token();
    let stopped = stop.clone();
    let probing = async {
        match through {
            Some(through) => {
                through.probe(&options, events, stopped).await;
                Ok(())
            }
            None => probe::probe(endpoints, options, &resolver, events, stopped).await,
        }
    };
    let adding = async {
        if let Some(at_end) = screen {
            return look_on(context, args, endpoints, at_end, &stop, watchers, arriving).await;
        }
        watchers.push(lines(context, args, endpoints));
        let count = endpoints.len();
        // On a thread of its own: a stopped terminal or a slow pipe must hold up neither a signal nor a probe.
        let folding = spawn_blocking(move || fold(arriving, count, watchers));
        folding.await.map_err(|error| Error::from_chain(Kind::Other, &error))?
    };
    let (probed, stats) = tokio::join!(probing, adding);
    probed.map_err(|error| Error::new(Kind::Other, "can't probe").caused_by(Some(&error)))?;
    stats
}

async fn look_on(
    context: &Context,
    args: &ProbeArgs,
    endpoints: &[Endpoint],
    at_end: AtEnd,
    stop: &CancellationToken,
    watchers: Vec<Box<dyn ProbeWatch>>,
    arriving: mpsc::Receiver<Vec<ProbeEvent>>,
) -> Result<Vec<ProbeStats>, Error> {
    let about = Screened {
        target: args.target.target.target.to_string(),
        endpoints: endpoints.to_vec(),
        palette: screen::palette(context),
    };
    screen::follow(context, screen::Run { about, at_end, stop, watchers }, arriving).await
}

/// A source that is none is an error before anything else: no probe would ever be sent.
fn check_source(args: &ProbeArgs) -> Result<(), Error> {
    let Some(address) = args.way.source else { return Ok(()) };
    source::check(address).map_err(|error| {
        Error::new(Kind::Usage, format!("can't probe from {address}"))
            .caused_by(Some(&error))
            .hint("`ip address` shows the addresses of this machine")
    })
}

/// That a run takes longer than its interval says has a reason that is said.
fn say_budget(context: &Context, options: &ProbeOptions) {
    let Some(budget) = options.budget.filter(|budget| exceeds(options, budget)) else { return };
    let Budget { probes, per } = budget;
    context.ui.note(&format!(
        "note: at most {probes} probes of an endpoint in {per:?}: sshd turns away who connects and leaves more often \
         (PerSourcePenalties, MaxStartups); --no-budget lifts it"
    ));
}

/// Whether a run would make more probes than its budget allows.
fn exceeds(options: &ProbeOptions, budget: &Budget) -> bool {
    let too_fast = options.interval * budget.probes.get() < budget.per;
    let enough = match options.count {
        Count::Times(times) => times.saturating_add(options.warm_up) > budget.probes.get(),
        Count::For(time) => time > options.interval * budget.probes.get(),
        Count::Endless => true,
    };
    too_fast && enough
}

/// What is said of each probe where there is no screen: its line, or the line of progress.
fn lines(context: &Context, args: &ProbeArgs, endpoints: &[Endpoint]) -> Box<dyn ProbeWatch> {
    let out = || context.ui.out_sink().writer;
    match args.show.output {
        ProbeFormat::Jsonl => Box::new(SampleLines::new(endpoints, out())),
        // As with psping, only the statistics then.
        ProbeFormat::Psping if !context.ui.quiet => {
            Box::new(PspingLines::new(endpoints, args.plan(), args.options().warm_up, out()))
        }
        _ => Box::new(ProbeProgress::new(&context.ui.bars, endpoints.len(), args.probes_each())),
    }
}

/// Adds up the events of a run while the watchers look on. Ends with the run, or when a watcher can't go
/// on: the end of the events' receiver ends the run.
fn fold(
    mut arriving: mpsc::Receiver<Vec<ProbeEvent>>,
    endpoints: usize,
    mut watchers: Vec<Box<dyn ProbeWatch>>,
) -> Result<Vec<ProbeStats>, Error> {
    let mut stats = vec![ProbeStats::default(); endpoints];
    while let Some(events) = arriving.blocking_recv() {
        for event in &events {
            if let Some(stats) = stats.get_mut(event.index) {
                stats.record(&event.sample);
            }
            for watcher in &mut watchers {
                watcher.probed(event, &stats).map_err(|error| Error::output(&error))?;
            }
        }
        for watcher in &mut watchers {
            watcher.told().map_err(|error| Error::output(&error))?;
        }
    }
    Ok(stats)
}

/// Writes what came of it.
fn write(
    out: &mut dyn Write,
    args: &ProbeArgs,
    report: &ProbeReport,
    endpoints: &[Endpoint],
    stats: &[ProbeStats],
) -> std::io::Result<()> {
    let buckets = args.show.histogram.as_ref();
    match args.show.output {
        ProbeFormat::Table => report.write_table(out, Columns::Usual)?,
        ProbeFormat::Wide => report.write_table(out, Columns::Wide)?,
        ProbeFormat::Psping => return write_statistics(out, endpoints, stats, buckets),
        ProbeFormat::Json | ProbeFormat::Jsonl => return report.write_json(out),
        ProbeFormat::Csv => return report.write_csv(out),
    }
    buckets.map_or(Ok(()), |buckets| report.write_histogram(out, buckets))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_budget_is_spoken_of_where_it_slows_a_run_down() {
        let exceeds = |count, interval| {
            let interval = Duration::from_millis(interval);
            exceeds(&ProbeOptions { count, interval, ..ProbeOptions::default() }, &Budget::SSHD)
        };
        assert!(exceeds(Count::Times(11), 250));
        assert!(!exceeds(Count::Times(10), 250));
        assert!(exceeds(Count::Endless, 1000));
        assert!(!exceeds(Count::Endless, 1500));
        assert!(!exceeds(Count::For(Duration::from_secs(5)), 500));
        assert!(exceeds(Count::For(Duration::from_secs(60)), 500));
    }
}
