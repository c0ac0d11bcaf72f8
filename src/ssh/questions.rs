//! First contacts: the new keys of a fan-out are one question.
//!
//! Keys that come while a question is open, or shortly before it, are asked about together. An answer for
//! all holds for the rest of the run: a thousand instances do not come at once.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedMutexGuard, oneshot},
    time::sleep,
};

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
    /// What was answered for one: by its name and fingerprint.
    answered: HashMap<(String, String), bool>,
}

impl State {
    /// The answer that is there already. What is no first contact is asked about in any case, once.
    fn answer(&self, new: &NewHostKey) -> Option<bool> {
        let own = self.answered.get(&(new.name.clone(), new.fingerprint.clone())).copied();
        own.or_else(|| self.decided.filter(|decided| !decided || new.other_types.is_empty()))
    }
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
            if let Some(answer) = state.answer(&new) {
                return Ok(answer);
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
            let (first, odd): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|w| w.new.other_types.is_empty());
            let mut turn = Some(turn);
            for batch in std::iter::once(first).chain(odd.into_iter().map(|odd| vec![odd])) {
                if batch.is_empty() {
                    continue;
                }
                let Some(held) = turn.take() else { return };
                turn = Some(self.ask(held, batch).await);
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

    /// Asks about keys that are not answered yet, and gives the turn back.
    async fn ask(&self, turn: OwnedMutexGuard<()>, batch: Vec<Waiting>) -> OwnedMutexGuard<()> {
        let batch = self.unanswered(batch);
        if batch.is_empty() {
            return turn;
        }
        let is_odd = batch.iter().any(|w| !w.new.other_types.is_empty());
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
                {
                    let mut state = lock(&self.state);
                    if as_one && let TrustAnswer::All(all) = answer {
                        state.decided = Some(all);
                    }
                    for (place, new) in new.into_iter().enumerate() {
                        let answer = answer.of(Some(place));
                        state.answered.insert((new.name, new.fingerprint), answer);
                    }
                }
                self.unanswered(batch);
                turn
            }
            Err(error) => {
                let text = error.to_string();
                batch.into_iter().for_each(|w| drop(w.answer.send(Err(text.clone()))));
                self.person.free_turn().await
            }
        }
    }

    /// Tells the answers that are there already, and gives those who still wait.
    fn unanswered(&self, batch: Vec<Waiting>) -> Vec<Waiting> {
        let state = lock(&self.state);
        let mut left = Vec::new();
        for waiting in batch {
            match state.answer(&waiting.new) {
                // One that was given up listens no more.
                Some(answer) => drop(waiting.answer.send(Ok(answer))),
                None => left.push(waiting),
            }
        }
        left
    }
}
