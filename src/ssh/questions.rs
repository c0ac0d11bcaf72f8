//! First contacts: the new keys of a fan-out are one question.
//!
//! Keys that come while a question is open, or shortly before it, are asked about together. An answer for
//! all holds for the rest of the run: a thousand instances do not come at once.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::sleep};

use super::{NewHostKey, TrustAnswer, limit::Limit, person::Person, reports::Reports};

/// A question waits until for so long no other key has come: the spread of key exchanges of instances
/// that were dialled together.
const QUIET: Duration = Duration::from_millis(300);

/// But not longer than this: a person who waits for nothing thinks that it hangs.
const MOST_QUIET_TIMES: usize = 7;

/// The open questions of a run.
#[derive(Default)]
pub(super) struct Questions {
    state: Arc<Mutex<State>>,
    reports: Arc<Reports>,
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    /// Somebody gathers or asks.
    asking: bool,
    /// What was answered for all.
    decided: Option<bool>,
}

struct Waiting {
    new: NewHostKey,
    answer: oneshot::Sender<Result<bool, String>>,
}

impl Questions {
    pub(super) fn new(reports: Arc<Reports>) -> Self {
        Self { state: Arc::default(), reports }
    }

    /// Whether a key is to be trusted. The limit stands still while it is gathered and asked.
    pub(super) async fn ask(
        &self,
        person: &Arc<Person>,
        limit: &Arc<Limit>,
        new: NewHostKey,
    ) -> io::Result<bool> {
        let _pause = limit.pause();
        let (answer, answered) = oneshot::channel();
        {
            let mut state = lock(&self.state);
            // What is no first contact is asked about in any case.
            if let Some(decided) = state.decided.filter(|decided| !decided || new.other_types.is_empty()) {
                return Ok(decided);
            }
            state.waiting.push(Waiting { new, answer });
            if !state.asking {
                state.asking = true;
                // On its own: the connection that came first may be given up, and the others still want to know.
                let asker = Asker {
                    state: self.state.clone(),
                    reports: self.reports.clone(),
                    person: person.clone(),
                };
                tokio::spawn(asker.run());
            }
        }
        match answered.await {
            Ok(answer) => answer.map_err(io::Error::other),
            Err(_) => Ok(false),
        }
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Asker {
    state: Arc<Mutex<State>>,
    reports: Arc<Reports>,
    person: Arc<Person>,
}

impl Asker {
    async fn run(self) {
        loop {
            if self.reports.is_fan_out() {
                self.gather().await;
            }
            let turn = self.person.free_turn().await;
            let waiting = {
                let mut state = lock(&self.state);
                if state.waiting.is_empty() {
                    state.asking = false;
                    return;
                }
                std::mem::take(&mut state.waiting)
            };
            let decided = lock(&self.state).decided;
            let (first, odd): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|w| w.new.other_types.is_empty());
            let mut turn = Some(turn);
            for batch in std::iter::once(first).chain(odd.into_iter().map(|odd| vec![odd])) {
                if batch.is_empty() {
                    continue;
                }
                let Some(held) = turn.take() else { return };
                turn = self.ask(held, batch, decided).await;
            }
        }
    }

    /// Waits until no more keys come.
    async fn gather(&self) {
        let mut before = 0;
        for _ in 0..MOST_QUIET_TIMES {
            let now = lock(&self.state).waiting.len();
            if now == before {
                return;
            }
            before = now;
            sleep(QUIET).await;
        }
    }

    async fn ask(
        &self,
        turn: tokio::sync::OwnedMutexGuard<()>,
        batch: Vec<Waiting>,
        decided: Option<bool>,
    ) -> Option<tokio::sync::OwnedMutexGuard<()>> {
        let is_odd = batch.iter().any(|w| !w.new.other_types.is_empty());
        if let Some(decided) = decided.filter(|decided| !decided || !is_odd) {
            batch.into_iter().for_each(|w| drop(w.answer.send(Ok(decided))));
            return Some(turn);
        }
        // Several connections to one server are one key.
        let mut new: Vec<NewHostKey> = Vec::new();
        for w in &batch {
            if !new.iter().any(|n| n.name == w.new.name && n.fingerprint == w.new.fingerprint) {
                new.push(w.new.clone());
            }
        }
        let as_one = !is_odd && (self.reports.is_fan_out() || new.len() > 1);
        let asked = new.clone();
        match self.person.trust(turn, asked, as_one).await {
            Ok((answer, turn)) => {
                if as_one && let TrustAnswer::All(all) = answer {
                    lock(&self.state).decided = Some(all);
                }
                for w in batch {
                    let same = |n: &NewHostKey| n.name == w.new.name && n.fingerprint == w.new.fingerprint;
                    let _ = w.answer.send(Ok(answer.of(new.iter().position(same))));
                }
                Some(turn)
            }
            Err(error) => {
                let text = error.to_string();
                batch.into_iter().for_each(|w| drop(w.answer.send(Err(text.clone()))));
                Some(self.person.free_turn().await)
            }
        }
    }
}
