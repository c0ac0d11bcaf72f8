//! One JSON object per instance, as instances end: what a program gets.

use std::{
    collections::HashMap,
    io::{self, Write},
    time::Duration,
};

use serde::Serialize;

use super::{Consumer, Sink};
use crate::{
    event::{Exit, FanoutEvent, Outcome, Stage, Stream},
    natmap::{Endpoint, InstanceId},
    report::{
        json,
        spool::{AsText, Spool, Store},
    },
};

/// The schema's name and version.
const SCHEMA: &str = "vmssh.exec/1";

/// One instance's answer.
#[derive(Serialize)]
struct Record<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'static str>,
    instance: Option<&'a InstanceId>,
    name: Option<&'a str>,
    outcome: &'static str,
    exit_status: Option<u32>,
    signal: Option<&'a str>,
    stdout: AsText<'a>,
    stderr: AsText<'a>,
    /// More was printed than `--max-output` keeps.
    truncated: bool,
    stage: Option<Stage>,
    error: Option<&'a str>,
    hint: Option<&'a str>,
    duration_ms: f64,
}

/// The view: lines, or the same records in one document.
pub(super) struct Records {
    endpoints: Vec<Endpoint>,
    most_output: u64,
    store: Store,
    document: bool,
    written: usize,
    running: HashMap<usize, [Spool; 2]>,
}

impl Records {
    pub(super) fn lines(endpoints: Vec<Endpoint>, most_output: u64) -> Self {
        Self {
            endpoints,
            most_output,
            store: Store::default(),
            document: false,
            written: 0,
            running: HashMap::new(),
        }
    }

    pub(super) fn document(endpoints: Vec<Endpoint>, most_output: u64) -> Self {
        Self { document: true, ..Self::lines(endpoints, most_output) }
    }

    fn take(&mut self, index: usize) -> [Spool; 2] {
        self.running.remove(&index).unwrap_or_else(|| [0; 2].map(|_| self.store.spool(self.most_output)))
    }

    fn record(&mut self, index: usize, end: &Outcome, duration: Duration, out: &mut Sink) -> io::Result<()> {
        if self.document {
            let before =
                if self.written == 0 { "{\"schema\":\"vmssh.exec/1\",\"instances\":[\n" } else { "," };
            out.writer.write_all(before.as_bytes())?;
        }
        self.written += 1;
        let [stdout, stderr] = self.take(index);
        let (exit_status, signal) = match end {
            Outcome::Exited(Exit::Status(status)) => (Some(*status), None),
            Outcome::Exited(Exit::Signal(name)) => (None, Some(name.as_str())),
            _ => (None, None),
        };
        let failure = if let Outcome::Error(failure) = end { Some(failure) } else { None };
        let skipped = if let Outcome::Skipped(why) = end { Some(why.as_str()) } else { None };
        let endpoint = self.endpoints.get(index);
        let record = Record {
            schema: (!self.document).then_some(SCHEMA),
            instance: endpoint.and_then(|e| e.instance.as_ref()),
            name: endpoint.and_then(|e| e.name.as_deref()),
            outcome: end.name(),
            exit_status,
            signal,
            truncated: stdout.dropped() + stderr.dropped() > 0,
            stdout: AsText(&stdout),
            stderr: AsText(&stderr),
            stage: failure.map(|f| f.stage),
            error: failure.map(|f| f.message.as_str()).or(skipped),
            hint: failure.and_then(|f| f.hint.as_deref()),
            duration_ms: (duration.as_secs_f64() * 1e6).round() / 1e3,
        };
        json::write_line(&mut out.writer, &record)
    }
}

impl Consumer for Records {
    fn event(&mut self, event: FanoutEvent, out: &mut Sink, _: &mut Sink) -> io::Result<()> {
        match event {
            FanoutEvent::Output { index, stream, bytes } => {
                let mut spools = self.take(index);
                let [stdout, stderr] = &mut spools;
                if stream == Stream::Stdout { stdout } else { stderr }.push(&bytes);
                self.running.insert(index, spools);
                Ok(())
            }
            FanoutEvent::Finished { index, outcome, duration } => self.record(index, &outcome, duration, out),
            FanoutEvent::Started { .. } | FanoutEvent::Draining { .. } => Ok(()),
        }
    }

    fn finish(&mut self, out: &mut Sink, _: &mut Sink) -> io::Result<()> {
        match (self.document, self.written) {
            (false, _) => Ok(()),
            (true, 0) => writeln!(out.writer, "{{\"schema\":\"{SCHEMA}\",\"instances\":[]}}"),
            (true, _) => writeln!(out.writer, "]}}"),
        }
    }
}
