//! `vmssh probe`: TCP probes to all endpoints at once.

mod screen;

use std::{num::NonZeroU32, time::Duration};

use clap::Args;
use tokio::sync::mpsc;

use super::{
    args::{Format, InstancesArgs, TargetArgs},
    context::Context,
    duration,
    error::Error,
    exit::Exit,
    load,
};
use crate::{
    azure::Depth,
    event::ProbeEvent,
    natmap::Endpoint,
    net::{
        probe::{self, Count, ProbeOptions},
        resolve::{Family, Resolver},
    },
    report::{
        probe::ProbeReport,
        progress::ProbeProgress,
        screen::{AtEnd, Screened},
        watch::ProbeWatch,
    },
    stats::ProbeStats,
};

/// Results on their way to the statistics, which take no time: room for a burst.
const EVENTS: usize = 256;

/// Arguments of `vmssh probe`.
#[derive(Debug, Args)]
pub(super) struct ProbeArgs {
    #[command(flatten)]
    pub(super) target: TargetArgs,
    #[command(flatten)]
    pub(super) instances: InstancesArgs,
    /// Probes per endpoint, or for how long: 100, 10s
    #[arg(short = 'n', long, value_name = "N|TIME", default_value = "4", value_parser = count)]
    pub(super) count: Count,
    /// Time from one probe of an endpoint to its next; 0 is as fast as it goes
    #[arg(short, long, value_name = "TIME", default_value = "250ms", value_parser = duration::parse)]
    pub(super) interval: Duration,
    /// Probes at the start that are not counted: the first pays for routes and address look-ups
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    pub(super) warm_up: u32,
    /// How long to wait for one answer; 2s is the time for two SYNs
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration::parse_limit)]
    pub(super) timeout: Duration,
    /// Show a live screen while it runs, and keep it when the run is over
    ///
    /// Keys: j k, arrows, PgUp PgDn, g G move; s sorts by the next column, S turns the order; f shows only the
    /// bad ones; Enter all about one; p holds the picture while the probes go on; ? all keys and signs; q ends
    /// the run and prints the table, Ctrl-C too, with exit status 130.
    #[arg(long)]
    pub(super) watch: bool,
    /// IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub(super) ipv4: bool,
    /// IPv6 only
    #[arg(short = '6', long)]
    pub(super) ipv6: bool,
    /// How to show it
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub(super) output: Format,
}

pub(super) async fn run(context: &Context, args: &ProbeArgs) -> Result<Exit, Error> {
    let screen = screen::wanted(wish(context, args))?;
    let wanted = load::Wanted { depth: Depth::Ports, backend_port: Some(args.instances.backend_port) };
    let loaded = load::load(context, &args.target, wanted).await?;
    let set = args.instances.instances.clone().unwrap_or_default();
    load::say_warnings(context, &loaded.map, &set);
    let endpoints = loaded.map.select(&set, Some(args.instances.backend_port))?;

    let resolver = Resolver::new(family(args));
    let (events, arriving) = mpsc::channel(EVENTS);
    let stop = context.interrupt.drain.child_token();
    let probing = probe::probe(&endpoints, options(args), &resolver, events, stop.clone());
    let watchers = watchers(context, args, &endpoints, screen);
    let adding = async {
        let Some(at_end) = screen else { return fold(arriving, endpoints.len(), watchers).await };
        let about = Screened {
            target: args.target.target.target.to_string(),
            endpoints: endpoints.clone(),
            palette: screen::palette(context),
        };
        screen::follow(context, screen::Run { about, at_end, stop: &stop, watchers }, arriving).await
    };
    let ((), stats) = tokio::join!(probing, adding);
    let stats = stats?;

    let report = ProbeReport::new(&endpoints, &stats);
    context.ui.write(|out| match args.output {
        Format::Table => report.write_table(out),
        Format::Json => report.write_json(out),
        Format::Jsonl => report.write_jsonl(out),
        Format::Csv => report.write_csv(out),
    })?;
    Ok(match &report.verdict {
        _ if context.interrupt.drain.is_cancelled() => Exit::Interrupted,
        verdict if verdict.none_resolved() => Exit::Target,
        verdict if verdict.all_reachable() => Exit::Ok,
        _ => Exit::SomeFailed,
    })
}

/// What decides whether there is a screen.
fn wish(context: &Context, args: &ProbeArgs) -> screen::Wish {
    screen::Wish {
        watch: args.watch,
        endless: match args.count {
            Count::Times(_) | Count::For(_) => false,
        },
        table: args.output == Format::Table,
        quiet: context.ui.quiet,
        log: context.ui.log,
        terminals: screen::Terminals::now(),
    }
}

/// Those who are told of each probe: a line of progress where there is no screen.
fn watchers(
    context: &Context,
    args: &ProbeArgs,
    endpoints: &[Endpoint],
    screen: Option<AtEnd>,
) -> Vec<Box<dyn ProbeWatch>> {
    let mut watchers: Vec<Box<dyn ProbeWatch>> = Vec::new();
    if screen.is_none() {
        watchers.push(Box::new(ProbeProgress::new(&context.ui.bars, endpoints.len(), probes_each(args))));
    }
    watchers
}

/// Adds up the events of a run while the watchers look on. Ends with the run, or when a watcher can't go
/// on: the end of the events' receiver ends the run.
async fn fold(
    mut arriving: mpsc::Receiver<ProbeEvent>,
    endpoints: usize,
    mut watchers: Vec<Box<dyn ProbeWatch>>,
) -> Result<Vec<ProbeStats>, Error> {
    let mut stats = vec![ProbeStats::default(); endpoints];
    while let Some(event) = arriving.recv().await {
        if let Some(stats) = stats.get_mut(event.index) {
            stats.record(&event.sample);
        }
        for watcher in &mut watchers {
            watcher.probed(&event, &stats).map_err(|error| Error::output(&error))?;
        }
    }
    Ok(stats)
}

fn options(args: &ProbeArgs) -> ProbeOptions {
    ProbeOptions { count: args.count, interval: args.interval, warm_up: args.warm_up, timeout: args.timeout }
}

fn probes_each(args: &ProbeArgs) -> Option<u64> {
    match args.count {
        Count::Times(n) => Some(u64::from(n) + u64::from(args.warm_up)),
        Count::For(_) => None,
    }
}

fn family(args: &ProbeArgs) -> Family {
    match (args.ipv4, args.ipv6) {
        (true, _) => Family::V4,
        (_, true) => Family::V6,
        _ => Family::Any,
    }
}

/// psping's habit: a number of probes, or a time.
fn count(text: &str) -> Result<Count, String> {
    if text.ends_with(|c: char| c.is_ascii_alphabetic()) {
        return duration::parse_limit(text).map(Count::For);
    }
    text.parse::<NonZeroU32>()
        .map(|probes| Count::Times(probes.get()))
        .map_err(|_| format!("\"{text}\" is neither a number of probes nor a time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_numbers_or_times() {
        assert_eq!(count("100"), Ok(Count::Times(100)));
        assert_eq!(count("10s"), Ok(Count::For(Duration::from_secs(10))));
        for wrong in ["0", "-1", "", "0s", "ten"] {
            assert!(count(wrong).is_err(), "{wrong}");
        }
    }
}
