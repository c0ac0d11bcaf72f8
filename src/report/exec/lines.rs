//! Every line as it comes, with its instance in front: what a pipe gets.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use super::{Consumer, Sink, label};
use crate::{
    event::{FanoutEvent, Stream},
    natmap::Endpoint,
};

/// A line longer than this is passed on in pieces: progress bars without line ends, binary output.
/// As long as a pipe's buffer on Linux.
pub(super) const LONGEST: usize = 64 << 10;

/// The view.
pub(super) struct Lines {
    endpoints: Vec<Endpoint>,
    begun: HashMap<(usize, Stream), Vec<u8>>,
}

impl Lines {
    pub(super) fn new(endpoints: Vec<Endpoint>) -> Self {
        Self { endpoints, begun: HashMap::new() }
    }

    fn output(&mut self, index: usize, stream: Stream, bytes: &[u8], sink: &mut Sink) -> io::Result<()> {
        let begun = self.begun.entry((index, stream)).or_default();
        begun.extend_from_slice(bytes);
        let end = match begun.iter().rposition(|b| *b == b'\n') {
            Some(at) => at + 1,
            None if begun.len() >= LONGEST => begun.len(),
            None => return Ok(()),
        };
        let whole: Vec<u8> = begun.drain(..end).collect();
        write_lines(&label(&self.endpoints, index), &whole, sink)
    }

    fn rest(&mut self, index: usize, stream: Stream, sink: &mut Sink) -> io::Result<()> {
        match self.begun.remove(&(index, stream)) {
            Some(rest) if !rest.is_empty() => write_lines(&label(&self.endpoints, index), &rest, sink),
            _ => Ok(()),
        }
    }
}

/// Writes bytes line by line; a last line without an end gets one.
fn write_lines(label: &str, bytes: &[u8], sink: &mut Sink) -> io::Result<()> {
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        write!(sink.writer, "{label}: ")?;
        sink.remote(line)?;
        if !line.ends_with(b"\n") {
            writeln!(sink.writer)?;
        }
    }
    Ok(())
}

impl Consumer for Lines {
    fn event(&mut self, event: FanoutEvent, out: &mut Sink, err: &mut Sink) -> io::Result<()> {
        match event {
            FanoutEvent::Output { index, stream: Stream::Stdout, bytes } => {
                self.output(index, Stream::Stdout, &bytes, out)
            }
            FanoutEvent::Output { index, stream: Stream::Stderr, bytes } => {
                self.output(index, Stream::Stderr, &bytes, err)
            }
            FanoutEvent::Finished { index, outcome, .. } => {
                self.rest(index, Stream::Stdout, out)?;
                self.rest(index, Stream::Stderr, err)?;
                // A single instance's failure is the program's own, which says it.
                if outcome.is_ok() || self.endpoints.len() == 1 {
                    return Ok(());
                }
                // Results first, where both go to one place.
                out.writer.flush()?;
                writeln!(
                    err.writer,
                    "{}: {}",
                    label(&self.endpoints, index),
                    crate::clean::clean_line(&outcome.to_string())
                )
            }
            FanoutEvent::Started { .. } | FanoutEvent::Draining { .. } => Ok(()),
        }
    }

    fn finish(&mut self, out: &mut Sink, err: &mut Sink) -> io::Result<()> {
        // Only a run cut short leaves anything here.
        let mut left: Vec<_> = self.begun.keys().copied().collect();
        left.sort_by_key(|(index, stream)| (*index, *stream == Stream::Stderr));
        left.into_iter().try_for_each(|(index, stream)| {
            self.rest(index, stream, if stream == Stream::Stdout { &mut *out } else { &mut *err })
        })
    }
}
