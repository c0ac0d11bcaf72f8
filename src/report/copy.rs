//! What became of copying: progress while it goes on, and each instance's part at the end.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;

use super::json;
use crate::{
    clean::clean_line,
    copy::Watch,
    event::{FanoutEvent, Outcome, Stage},
    natmap::{Endpoint, InstanceId},
};

/// The schema's name and version.
const SCHEMA: &str = "vmssh.cp/1";

/// Redraws of the clock in the line; people read seconds.
const TICK: Duration = Duration::from_millis(200);

/// How far copying is: counted while it goes on, and shown on a line of stderr that goes away.
#[derive(Debug)]
pub struct CopyProgress {
    bar: ProgressBar,
    tallies: Vec<Tally>,
    count: usize,
    running: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
}

/// One instance's part.
#[derive(Debug, Default)]
struct Tally {
    bytes: AtomicU64,
    files: AtomicU64,
    skipped: AtomicU64,
}

impl CopyProgress {
    /// For so many instances, drawn where `bars` draws: nowhere, if that is hidden.
    #[must_use]
    pub fn new(bars: &MultiProgress, count: usize) -> Self {
        let bar = bars.add(ProgressBar::new(0));
        let template =
            "{binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta} left{msg}  {elapsed}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        let tallies = (0..count).map(|_| Tally::default()).collect();
        let zero = AtomicU64::default;
        Self { bar, tallies, count, running: zero(), done: zero(), failed: zero() }
    }

    /// Takes an event into account.
    pub fn event(&self, event: &FanoutEvent) {
        match event {
            FanoutEvent::Started { .. } => _ = self.running.fetch_add(1, Ordering::Relaxed),
            FanoutEvent::Finished { outcome, .. } => {
                if !matches!(outcome, Outcome::Skipped(_)) {
                    self.running.fetch_sub(1, Ordering::Relaxed);
                }
                self.done.fetch_add(1, Ordering::Relaxed);
                self.failed.fetch_add(u64::from(!outcome.is_ok()), Ordering::Relaxed);
            }
            FanoutEvent::Output { .. } | FanoutEvent::Draining { .. } => return,
        }
        if self.count > 1 {
            let [running, done, failed] =
                [&self.running, &self.done, &self.failed].map(|n| n.load(Ordering::Relaxed));
            self.bar.set_message(format!("  {done}/{} done, {running} running, {failed} failed", self.count));
        }
    }

    /// Takes the line away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Bytes and files that arrived, and what was left out, of one instance.
    fn tally(&self, index: usize) -> [u64; 3] {
        self.tallies
            .get(index)
            .map(|t| [&t.bytes, &t.files, &t.skipped].map(|n| n.load(Ordering::Relaxed)))
            .unwrap_or_default()
    }

    fn add(&self, index: usize, count: u64, to: impl Fn(&Tally) -> &AtomicU64) {
        if let Some(tally) = self.tallies.get(index) {
            to(tally).fetch_add(count, Ordering::Relaxed);
        }
    }
}

impl Watch for CopyProgress {
    fn planned(&self, _index: usize, bytes: u64) {
        self.bar.set_length(self.bar.length().unwrap_or(0).saturating_add(bytes));
    }

    fn moved(&self, index: usize, bytes: u64) {
        self.bar.inc(bytes);
        self.add(index, bytes, |tally| &tally.bytes);
    }

    fn arrived(&self, index: usize) {
        self.add(index, 1, |tally| &tally.files);
    }

    fn skipped(&self, index: usize) {
        self.add(index, 1, |tally| &tally.skipped);
    }
}

/// One instance's part, for programs.
#[derive(Serialize)]
struct Record<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'static str>,
    instance: Option<&'a InstanceId>,
    name: Option<&'a str>,
    outcome: &'static str,
    files: u64,
    bytes: u64,
    skipped: u64,
    stage: Option<Stage>,
    error: Option<&'a str>,
    hint: Option<&'a str>,
    duration_ms: f64,
}

/// How instances' parts are written for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One document: `vmssh.cp/1`.
    Json,
    /// An object per instance, a line each: `vmssh.cp/1`.
    Jsonl,
}

/// What became of an instance: outcome and time.
pub type Part = (Outcome, Duration);

/// Writes every instance's part.
///
/// # Errors
/// When `out` fails.
pub fn write(
    out: &mut dyn Write,
    form: Form,
    endpoints: &[Endpoint],
    parts: &[Part],
    progress: &CopyProgress,
) -> io::Result<()> {
    if form == Form::Json {
        writeln!(out, "{{\"schema\":\"{SCHEMA}\",\"instances\":[")?;
    }
    for (index, (endpoint, part)) in endpoints.iter().zip(parts).enumerate() {
        if form == Form::Json && index > 0 {
            out.write_all(b",")?;
        }
        json::write_line(out, &record(form, index, endpoint, part, progress))?;
    }
    if form == Form::Json {
        writeln!(out, "]}}")?;
    }
    Ok(())
}

fn record<'a>(
    form: Form,
    index: usize,
    endpoint: &'a Endpoint,
    (outcome, duration): &'a Part,
    progress: &CopyProgress,
) -> Record<'a> {
    let [bytes, files, skipped] = progress.tally(index);
    let failure = if let Outcome::Error(failure) = outcome { Some(failure) } else { None };
    let why = if let Outcome::Skipped(why) = outcome { Some(why.as_str()) } else { None };
    Record {
        schema: (form == Form::Jsonl).then_some(SCHEMA),
        instance: endpoint.instance.as_ref(),
        name: endpoint.name.as_deref(),
        outcome: outcome.name(),
        files,
        bytes,
        skipped,
        stage: failure.map(|f| f.stage),
        error: failure.map(|f| f.message.as_str()).or(why),
        hint: failure.and_then(|f| f.hint.as_deref()),
        duration_ms: (duration.as_secs_f64() * 1e6).round() / 1e3,
    }
}

/// A note of an instance, as a line.
#[must_use]
pub fn note(endpoint: Option<&Endpoint>, bytes: &[u8]) -> String {
    let label = endpoint.map_or_else(|| "?".into(), Endpoint::label);
    format!("{}: {}", clean_line(&label), clean_line(&String::from_utf8_lossy(bytes)))
}
