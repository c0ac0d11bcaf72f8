//! Identical outputs once, under the set of instances that gave them: what a person gets.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use super::{Consumer, Sink};
use crate::{
    clean::clean_line,
    event::{FanoutEvent, Outcome, Stream},
    natmap::{Endpoint, display_endpoints},
    report::spool::{Fingerprint, Spool, Store},
};

/// One instance's two outputs while it runs.
struct Outputs {
    stdout: Spool,
    stderr: Spool,
}

/// Instances with the same end and the same outputs.
struct Group {
    members: Vec<usize>,
    end: Outcome,
    outputs: Outputs,
}

/// The view.
pub(super) struct Folded {
    endpoints: Vec<Endpoint>,
    most_output: u64,
    store: Store,
    running: HashMap<usize, Outputs>,
    places: HashMap<(String, Fingerprint, Fingerprint), usize>,
    groups: Vec<Group>,
}

impl Folded {
    pub(super) fn new(endpoints: Vec<Endpoint>, most_output: u64) -> Self {
        Self {
            endpoints,
            most_output,
            store: Store::default(),
            running: HashMap::new(),
            places: HashMap::new(),
            groups: Vec::new(),
        }
    }

    fn outputs(&mut self, index: usize) -> &mut Outputs {
        let spool = || self.store.spool(self.most_output);
        self.running.entry(index).or_insert_with(|| Outputs { stdout: spool(), stderr: spool() })
    }

    /// Files a finished instance: into the group that says the same, whose copy of the output is kept.
    fn file(&mut self, index: usize, end: Outcome) {
        self.outputs(index);
        let Some(outputs) = self.running.remove(&index) else { return };
        let silent = outputs.stdout.is_empty() && outputs.stderr.is_empty();
        // What never ran has nothing to show; the summary names it.
        if silent && !matches!(end, Outcome::Exited(_)) {
            return;
        }
        let key = (end.to_string(), outputs.stdout.fingerprint(), outputs.stderr.fingerprint());
        let place = *self.places.entry(key).or_insert(self.groups.len());
        match self.groups.get_mut(place) {
            Some(group) => group.members.push(index),
            None => self.groups.push(Group { members: vec![index], end, outputs }),
        }
    }

    fn heading(&self, group: &Group) -> String {
        let members: Vec<_> = group.members.iter().filter_map(|m| self.endpoints.get(*m)).collect();
        let set = display_endpoints(&members);
        let end = if group.end.is_ok() { String::new() } else { format!(": {}", group.end) };
        clean_line(&format!("== {set} ({}){end}", group.members.len()))
    }
}

impl Consumer for Folded {
    fn event(&mut self, event: FanoutEvent, _: &mut Sink, _: &mut Sink) -> io::Result<()> {
        match event {
            FanoutEvent::Output { index, stream: Stream::Stdout, bytes } => {
                self.outputs(index).stdout.push(&bytes)
            }
            FanoutEvent::Output { index, stream: Stream::Stderr, bytes } => {
                self.outputs(index).stderr.push(&bytes)
            }
            FanoutEvent::Finished { index, outcome, .. } => self.file(index, outcome),
            FanoutEvent::Started { .. } | FanoutEvent::Draining { .. } => {}
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Sink, _: &mut Sink) -> io::Result<()> {
        let mut groups = std::mem::take(&mut self.groups);
        groups.iter_mut().for_each(|g| g.members.sort_unstable());
        groups.sort_by_key(|g| g.members.first().copied());
        for group in groups {
            out.heading(&self.heading(&group))?;
            if group.outputs.stdout.is_empty() && group.outputs.stderr.is_empty() {
                writeln!(out.writer, "(no output)")?;
            }
            show(&group.outputs.stdout, out)?;
            if !group.outputs.stderr.is_empty() {
                out.heading("-- standard error")?;
                show(&group.outputs.stderr, out)?;
            }
        }
        Ok(())
    }
}

/// Writes a kept output, ends its last line, and says what was not kept.
fn show(spool: &Spool, out: &mut Sink) -> io::Result<()> {
    let mut last = b'\n';
    spool.for_each_piece(|piece| {
        last = piece.last().copied().unwrap_or(last);
        out.remote(piece)
    })?;
    if last != b'\n' {
        writeln!(out.writer)?;
    }
    match (spool.dropped(), spool.trouble()) {
        (0, _) => Ok(()),
        (more, None) => out.heading(&format!("-- {more} more bytes not kept (`--max-output`)")),
        (more, Some(why)) => out.heading(&format!("-- {more} more bytes not kept: {why}")),
    }
}
