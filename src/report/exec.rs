//! The views of a fan-out: folded, prefixed lines, JSON. Each consumes the same events.
//!
//! Remote bytes are cleaned wherever they go to a terminal, and left as they are in a pipe or file.

mod fold;
mod jsonl;
mod lines;
mod progress;

use std::io::{self, Write};

use crate::{clean, event::FanoutEvent, natmap::Endpoint};

pub use progress::ExecProgress;

/// How outputs are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Identical outputs once, under the set of instances that gave them; at the end.
    Fold,
    /// Every line as it comes, with its instance in front.
    Lines,
    /// One JSON object per instance, a line each, as instances end: `vmssh.exec/1`.
    Jsonl,
    /// One JSON document of the same objects: `vmssh.exec/1`.
    Json,
}

/// A place to write to, and what it is.
pub struct Sink {
    /// Where bytes go.
    pub writer: Box<dyn Write + Send>,
    /// Remote bytes must be cleaned before they get there.
    pub terminal: bool,
    /// Headings may be set off by colour.
    pub color: bool,
}

impl Sink {
    /// Writes remote bytes: as they are into a pipe or file, cleaned onto a terminal.
    fn remote(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.terminal {
            self.writer.write_all(clean::clean(bytes).as_bytes())
        } else {
            self.writer.write_all(bytes)
        }
    }

    /// Writes a line of our own, set off from remote text.
    fn heading(&mut self, text: &str) -> io::Result<()> {
        if self.color {
            writeln!(self.writer, "\x1b[1m{text}\x1b[0m")
        } else {
            writeln!(self.writer, "{text}")
        }
    }
}

/// What a view needs to know.
pub struct Options {
    /// Which view.
    pub view: View,
    /// The instances, as the events number them.
    pub endpoints: Vec<Endpoint>,
    /// Most bytes kept of one instance's one stream by views that must keep them.
    pub most_output: u64,
    /// For results.
    pub out: Sink,
    /// For the remote's standard error, and for notes.
    pub err: Sink,
}

/// Shows a run's events as one view does.
pub struct ExecReport {
    view: Box<dyn Consumer + Send>,
    out: Sink,
    err: Sink,
}

/// The part that differs between views.
trait Consumer {
    fn event(&mut self, event: FanoutEvent, out: &mut Sink, err: &mut Sink) -> io::Result<()>;

    fn finish(&mut self, out: &mut Sink, err: &mut Sink) -> io::Result<()>;
}

impl ExecReport {
    /// A report that has not shown anything yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let Options { view, endpoints, most_output, out, err } = options;
        let view: Box<dyn Consumer + Send> = match view {
            View::Fold => Box::new(fold::Folded::new(endpoints, most_output)),
            View::Lines => Box::new(lines::Lines::new(endpoints)),
            View::Jsonl => Box::new(jsonl::Records::lines(endpoints, most_output)),
            View::Json => Box::new(jsonl::Records::document(endpoints, most_output)),
        };
        Self { view, out, err }
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// When the output can't be written or kept.
    pub fn event(&mut self, event: FanoutEvent) -> io::Result<()> {
        self.view.event(event, &mut self.out, &mut self.err)
    }

    /// Brings to the reader what is buffered.
    ///
    /// # Errors
    /// When the output can't be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.writer.flush()?;
        self.err.writer.flush()
    }

    /// Shows what is shown at the end.
    ///
    /// # Errors
    /// When the output can't be written.
    pub fn finish(&mut self) -> io::Result<()> {
        self.view.finish(&mut self.out, &mut self.err)?;
        self.flush()
    }
}

/// An instance's name in outputs; an index out of range is a bug, shown as a question mark.
fn label(endpoints: &[Endpoint], index: usize) -> String {
    endpoints.get(index).map_or_else(|| "?".into(), |e| clean::clean_line(&e.label()))
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        time::Duration,
    };

    use bytes::Bytes;

    use super::*;
    use crate::{
        event::{Exit, Failure, Outcome, Stage, Stream},
        natmap::NatMap,
    };

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn output(index: usize, stream: Stream, text: &'static [u8]) -> FanoutEvent {
        FanoutEvent::Output { index, stream, bytes: Bytes::from_static(text) }
    }

    fn finished(index: usize, outcome: Outcome) -> FanoutEvent {
        FanoutEvent::Finished { index, outcome, duration: Duration::from_millis(12) }
    }

    fn exited(index: usize, status: u32) -> FanoutEvent {
        finished(index, Outcome::Exited(Exit::Status(status)))
    }

    fn shown(view: View, terminal: bool, events: Vec<FanoutEvent>) -> (String, String) {
        let (out, err) = (Shared::default(), Shared::default());
        let sink = |shared: &Shared| Sink { writer: Box::new(shared.clone()), terminal, color: false };
        let map = NatMap::from_range(&"20.1.2.3:50000-50009".parse().unwrap());
        let endpoints = map.select(&"0-9".parse().unwrap(), None).unwrap();
        let mut report =
            ExecReport::new(Options { view, endpoints, most_output: 1000, out: sink(&out), err: sink(&err) });
        events.into_iter().for_each(|e| report.event(e).unwrap());
        report.finish().unwrap();
        let text = |shared: Shared| String::from_utf8_lossy(&shared.0.lock().unwrap()).into_owned();
        (text(out), text(err))
    }

    fn refused(index: usize) -> FanoutEvent {
        finished(index, Outcome::Error(Failure::new(Stage::Connect, "connection refused")))
    }

    #[test]
    fn identical_outputs_are_folded_in_target_order() {
        let events = vec![
            output(2, Stream::Stdout, b"up 3 days\n"),
            exited(2, 0),
            output(1, Stream::Stdout, b"gone"),
            output(1, Stream::Stderr, b"oh\n"),
            exited(1, 2),
            refused(4),
            output(0, Stream::Stdout, b"up 3 "),
            output(0, Stream::Stdout, b"days\n"),
            exited(0, 0),
            exited(3, 0),
        ];
        let (out, err) = shown(View::Fold, true, events);
        assert_eq!(
            out,
            "== 0,2 (2)\nup 3 days\n== 1 (1): exit 2\ngone\n-- standard error\noh\n== 3 (1)\n(no output)\n"
        );
        assert_eq!(err, "");
    }

    #[test]
    fn lines_come_whole_and_prefixed() {
        let events = vec![
            output(0, Stream::Stdout, b"a"),
            output(1, Stream::Stdout, b"x\ny\n"),
            output(0, Stream::Stdout, b"b\nrest"),
            output(0, Stream::Stderr, b"\x1b[2Jbad\n"),
            exited(0, 0),
            exited(1, 3),
            refused(2),
        ];
        let (out, err) = shown(View::Lines, true, events.clone());
        assert_eq!(out, "1: x\n1: y\n0: ab\n0: rest\n");
        assert_eq!(err, "0: ^[[2Jbad\n1: exit 3\n2: connect: connection refused\n");
        assert!(shown(View::Lines, false, events).1.starts_with("0: \x1b[2Jbad\n"), "a pipe gets the bytes");
    }

    #[test]
    fn a_line_without_end_is_cut_and_not_kept() {
        let events = (0..100).map(|_| output(0, Stream::Stdout, &[b'x'; 10_000])).collect();
        let (out, _) = shown(View::Lines, false, events);
        assert!(out.lines().all(|l| l.starts_with("0: ") && l.len() <= lines::LONGEST + 10_000 + 3));
        assert_eq!(out.matches('x').count(), 1_000_000);
    }

    #[test]
    fn the_json_lines_keep_their_interface() {
        let events = vec![
            output(0, Stream::Stdout, b"hi\n\xff"),
            exited(0, 0),
            refused(1),
            finished(2, Outcome::Exited(Exit::Signal("TERM".into()))),
            finished(3, Outcome::Skipped("not started".into())),
            output(4, Stream::Stderr, &[b'e'; 1500]),
            exited(4, 1),
        ];
        let (out, _) = shown(View::Jsonl, false, events.clone());
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(
            lines[0],
            r#"{"schema":"vmssh.exec/1","instance":"0","name":null,"outcome":"ok","exit_status":0,"signal":null,"stdout":"hi\n�","stderr":"","truncated":false,"stage":null,"error":null,"hint":null,"duration_ms":12.0}"#
        );
        let records: Vec<serde_json::Value> =
            lines.iter().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!((&records[1]["outcome"], &records[1]["stage"]), (&"error".into(), &"connect".into()));
        assert_eq!(records[1]["error"], "connection refused");
        assert_eq!((&records[2]["outcome"], &records[2]["signal"]), (&"failed".into(), &"TERM".into()));
        assert_eq!(records[3]["outcome"], "skipped");
        assert_eq!(records[4]["truncated"], true);
        assert_eq!(records[4]["stderr"].as_str().unwrap().len(), 1000);
        let (out, _) = shown(View::Json, false, events);
        let document: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(document["schema"], "vmssh.exec/1");
        assert_eq!(document["instances"].as_array().unwrap().len(), 5);
    }
}
