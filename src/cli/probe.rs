//! `vmssh probe`: TCP probes to all endpoints at once.

use std::io::Write;

use tokio::sync::mpsc;

use super::{
    args::{Count, Format, ProbeArgs},
    context::Context,
    error::Error,
    exit::Exit,
    load,
};
use crate::{
    natmap::InstanceSet,
    net::{
        probe::{self, ProbeOptions},
        resolve::{Family, Resolver},
    },
    report::{probe::ProbeReport, progress::ProbeProgress},
    stats::ProbeStats,
};

/// Results on their way to the statistics, which take no time: room for a burst.
const EVENTS: usize = 256;

pub(super) async fn run(context: &Context, args: &ProbeArgs) -> Result<Exit, Error> {
    let loaded = load::load(context, &args.target).await?;
    load::say_findings(context, &loaded.map.findings);
    let set = args.instances.instances.clone().unwrap_or_else(InstanceSet::all);
    let endpoints = loaded.map.select(&set, Some(args.instances.backend_port))?;

    let resolver = Resolver::new(family(args));
    let (events, mut arriving) = mpsc::channel(EVENTS);
    let stop = context.interrupt.drain.clone();
    let probing = probe::probe(&endpoints, options(args), &resolver, events, stop.clone());
    let folding = async {
        let mut stats = vec![ProbeStats::default(); endpoints.len()];
        let mut progress = ProbeProgress::new(&context.ui.bars, endpoints.len(), probes_each(args));
        while let Some(event) = arriving.recv().await {
            progress.event(&event);
            if let Some(stats) = stats.get_mut(event.index) {
                stats.record(&event);
            }
        }
        stats
    };
    let ((), stats) = tokio::join!(probing, folding);

    let report = ProbeReport::new(&endpoints, &stats);
    let mut out = context.ui.out();
    match args.output {
        Format::Table => report.write_table(&mut out)?,
        Format::Json => report.write_json(&mut out)?,
        Format::Jsonl => report.write_jsonl(&mut out)?,
        Format::Csv => report.write_csv(&mut out)?,
    }
    out.flush()?;
    Ok(match &report.verdict {
        _ if stop.is_cancelled() => Exit::Interrupted,
        verdict if verdict.none_resolved() => Exit::Target,
        verdict if verdict.all_reachable() => Exit::Ok,
        _ => Exit::SomeFailed,
    })
}

fn options(args: &ProbeArgs) -> ProbeOptions {
    ProbeOptions {
        count: match args.count {
            Count::Probes(n) => probe::Count::Times(n.get()),
            Count::Time(time) => probe::Count::For(time),
        },
        interval: args.interval,
        warm_up: args.warm_up,
        timeout: args.timeout,
    }
}

fn probes_each(args: &ProbeArgs) -> Option<u64> {
    match args.count {
        Count::Probes(n) => Some(u64::from(n.get()) + u64::from(args.warm_up)),
        Count::Time(_) => None,
    }
}

fn family(args: &ProbeArgs) -> Family {
    match (args.ipv4, args.ipv6) {
        (true, _) => Family::V4,
        (_, true) => Family::V6,
        _ => Family::Any,
    }
}
