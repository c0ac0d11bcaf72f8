//! `--html FILE`: the run as a page.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use clap::Args;
use jiff::Zoned;

use super::ProbeArgs;
use crate::{
    cli::{
        context::Context,
        error::{Error, Kind},
    },
    event::ProbeEvent,
    natmap::{Endpoint, display_endpoints},
    net::{
        probe::{Budget, Count, Depth, Service, Until},
        resolve::Family,
    },
    report::{
        file::NewFile,
        html::{HtmlReport, ProbeRun, RunEnd},
        watch::ProbeWatch,
    },
    stats::{ProbeStats, Timeline},
};

#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct HtmlArgs {
    /// Also write a report: one page that loads nothing, with what became of each instance over time
    #[arg(long, value_name = "FILE", value_parser = file)]
    pub(in crate::cli) html: Option<PathBuf>,
}

/// `-` is standard output elsewhere, and would be mixed with the results here.
fn file(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("a file is needed".into()),
        "-" => {
            Err("the page goes to a file, as the results go to standard output: --html report.html".into())
        }
        path => Ok(path.into()),
    }
}

/// A page that is to be written, and what it is made of besides the statistics.
pub(super) struct Page {
    path: PathBuf,
    file: NewFile,
    run: ProbeRun,
    began: Instant,
    timeline: Arc<Mutex<Timeline>>,
}

impl Page {
    /// Checks that the file can be written, before anything is probed; `None` where none is wanted.
    pub(super) async fn prepare(
        context: &Context,
        args: &ProbeArgs,
        endpoints: &[Endpoint],
    ) -> Result<Option<Self>, Error> {
        let Some(path) = args.show.html.html.clone() else { return Ok(None) };
        let wanted = path.clone();
        // To open a pipe waits for its reader.
        let prepared = tokio::task::spawn_blocking(move || NewFile::prepare(&wanted));
        let file = context
            .unless_interrupted(async { prepared.await.map_err(|e| Error::from_chain(Kind::Other, &e)) })
            .await?
            .map_err(|error| {
                Error::new(Kind::Usage, format!("can't write {}", path.display()))
                    .caused_by(Some(&error))
                    .hint("nothing was probed: name a file in a folder that you may write to")
            })?;
        let now = Zoned::now();
        let run = ProbeRun {
            target: args.target.target.target.to_string(),
            began: now.strftime("%Y-%m-%d %H:%M:%S %:z (%Z)").to_string(),
            took: Duration::ZERO,
            end: RunEnd::Whole,
            options: options(args, endpoints),
            time_limit: args.options().timeout,
        };
        let timeline = Arc::new(Mutex::new(Timeline::new(endpoints.len(), args.interval())));
        Ok(Some(Self { path, file, run, began: Instant::now(), timeline }))
    }

    /// Keeps what the page is made of while the run goes on.
    pub(super) fn watch(&self) -> Box<dyn ProbeWatch> {
        Box::new(Watch(self.timeline.clone()))
    }

    /// Writes the page, also of a run that was stopped.
    pub(super) async fn write(
        mut self,
        endpoints: &[Endpoint],
        stats: &[ProbeStats],
        end: RunEnd,
    ) -> Result<(), Error> {
        self.run.took = self.began.elapsed();
        self.run.end = end;
        let (endpoints, stats) = (endpoints.to_vec(), stats.to_vec());
        let Self { path, file, run, timeline, .. } = self;
        let writing = tokio::task::spawn_blocking(move || {
            let timeline = timeline.lock().unwrap_or_else(PoisonError::into_inner);
            let report = HtmlReport { run: &run, endpoints: &endpoints, stats: &stats, timeline: &timeline };
            file.write(|out| report.write(out))
        });
        writing.await.map_err(|error| Error::from_chain(Kind::Other, &error))?.map_err(|error| {
            Error::new(Kind::Other, format!("can't write {}", path.display())).caused_by(Some(&error))
        })
    }
}

struct Watch(Arc<Mutex<Timeline>>);

impl ProbeWatch for Watch {
    fn probed(&mut self, event: &ProbeEvent, _stats: &[ProbeStats]) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).record(event.index, &event.sample);
        Ok(())
    }
}

/// What shaped the run, for whoever reads its page later.
fn options(args: &ProbeArgs, endpoints: &[Endpoint]) -> Vec<(&'static str, String)> {
    let time = |time: Duration| format!("{time:?}");
    let options = args.options();
    let mut count = match options.count {
        Count::Times(probes) => probes.to_string(),
        Count::For(limit) => format!("as many as start within {}", time(limit)),
        Count::Endless => "until stopped".into(),
    };
    if options.until == Until::Up {
        count += ", until it answers";
    }
    let depth = match options.depth {
        Depth::HalfOpen => "half-open: the service does not see it",
        Depth::Full => "full",
        Depth::Service(Service::Ssh) => "full, and SSH's identification",
        Depth::Service(Service::Rdp) => "full, and RDP's negotiation",
    };
    let family = match args.family() {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
        Family::Any => "IPv4 and IPv6",
    };
    let instances = display_endpoints(&endpoints.iter().collect::<Vec<_>>());
    let mut rows = vec![
        ("Instances", instances),
        ("Backend port", args.instances.backend_port.to_string()),
        ("Handshake", depth.into()),
        ("Probes of each", count),
        ("Warm-up probes", options.warm_up.to_string()),
        ("Interval", time(options.interval)),
        ("Time limit", time(options.timeout)),
        ("Addresses", family.into()),
    ];
    rows.extend(options.rate.map(|rate| ("At most", format!("{rate} SYNs a second"))));
    rows.extend(
        options.budget.map(|Budget { probes, per }| ("Budget", format!("{probes} of each in {per:?}"))),
    );
    rows.extend(options.source.map(|source| ("From", source.to_string())));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_to_a_file() {
        assert_eq!(file("a/b.html"), Ok(PathBuf::from("a/b.html")));
        assert!(file("-").is_err_and(|why| why.contains("--html report.html")));
        assert!(file("").is_err());
    }
}
