//! What is forwarded and how it goes, for people.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use super::room::{Slot, Streams};
use crate::{forward::Forward, ssh::Session};

/// Hears what goes wrong, a line each, clean. Must not wait.
pub type Notes = Arc<dyn Fn(&str) + Send + Sync>;

/// All forwards of a session.
pub(super) struct Board {
    notes: Notes,
    rows: Mutex<Vec<Row>>,
}

struct Row {
    forward: Forward,
    open: usize,
    /// Connections so far.
    taken: u64,
    /// How often what went wrong.
    troubles: BTreeMap<&'static str, u64>,
    withdrawn: bool,
}

impl Board {
    pub(super) fn new(notes: Notes) -> Self {
        Self { notes, rows: Mutex::default() }
    }

    fn rows(&self) -> MutexGuard<'_, Vec<Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn list(&self) -> Vec<String> {
        let rows = self.rows();
        let line = |row: &Row| format!("{}: {} open, {} so far", row.forward, row.open, row.taken);
        rows.iter().filter(|row| !row.withdrawn).map(line).collect()
    }

    pub(super) fn repeated(&self) -> Vec<String> {
        let rows = self.rows();
        let troubles = |row: &Row| {
            let repeated = row.troubles.iter().filter(|(_, times)| **times > 1);
            let line = |(why, times): (&&str, &u64)| format!("{}: {why}: {times} times", row.forward);
            repeated.map(line).collect::<Vec<_>>()
        };
        rows.iter().flat_map(troubles).collect()
    }
}

/// What the connections of one forward share.
pub(super) struct Lane {
    pub(super) forward: Forward,
    /// The session, for those that go out through it. Those that come in through it must not hold it: they end
    /// as it does.
    pub(super) session: std::sync::Weak<Session>,
    pub(super) streams: Arc<Streams>,
    /// Cancelled when the forwards end.
    pub(super) stop: CancellationToken,
    board: Arc<Board>,
    row: usize,
}

impl Lane {
    pub(super) fn new(
        forward: Forward,
        session: &Arc<Session>,
        board: &Arc<Board>,
        streams: &Arc<Streams>,
        stop: &CancellationToken,
    ) -> Arc<Self> {
        let mut rows = board.rows();
        let row = rows.len();
        rows.push(Row {
            forward: forward.clone(),
            open: 0,
            taken: 0,
            troubles: BTreeMap::new(),
            withdrawn: false,
        });
        let (session, streams) = (Arc::downgrade(session), streams.clone());
        Arc::new(Self { forward, session, streams, stop: stop.clone(), board: board.clone(), row })
    }

    pub(super) fn note(&self, text: &str) {
        (self.board.notes)(text);
    }

    /// The first time is said, the others are counted. `about` tells more of this one time.
    pub(super) fn trouble(&self, why: &'static str, about: &str) {
        let times = self.change(|row| {
            let times = row.troubles.entry(why).or_default();
            *times += 1;
            *times
        });
        if times == Some(1) {
            self.note(&format!("{}: {why}{about}", self.forward));
        }
    }

    /// A place for one more connection, which is counted until it is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Counted> {
        let Some(slot) = self.streams.enter() else {
            let most = format!(" (the limit is {})", self.streams.most());
            self.trouble("too many connections at once", &most);
            return None;
        };
        self.change(|row| {
            row.open += 1;
            row.taken += 1;
        });
        Some(Counted { slot, lane: self.clone() })
    }

    pub(super) fn listens_on(&self, port: u16) {
        self.change(|row| row.forward = row.forward.with_port(port));
    }

    /// It never came about.
    pub(super) fn withdraw(&self) {
        self.change(|row| row.withdrawn = true);
    }

    fn change<T>(&self, change: impl FnOnce(&mut Row) -> T) -> Option<T> {
        self.board.rows().get_mut(self.row).map(change)
    }
}

/// A connection that is counted.
pub(super) struct Counted {
    pub(super) slot: Slot,
    lane: Arc<Lane>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.lane.change(|row| row.open = row.open.saturating_sub(1));
    }
}
