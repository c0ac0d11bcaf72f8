//! The person at the terminal, shared by all connections of a run: one question at a time, each
//! note once.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use secrecy::SecretString;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::{NewHostKey, Prompt, TrustAnswer, limit::Limit};

/// Whom to ask.
pub(super) struct Person {
    prompt: Arc<dyn Prompt>,
    turn: Arc<AsyncMutex<()>>,
    told: Mutex<HashSet<String>>,
}

impl Person {
    pub(super) fn new(prompt: Arc<dyn Prompt>) -> Self {
        Self { prompt, turn: Arc::default(), told: Mutex::default() }
    }

    /// Waits until no other question is open. The limit stands still meanwhile: the answer that is
    /// waited for is a person's as well.
    pub(super) async fn turn(&self, limit: &Arc<Limit>) -> OwnedMutexGuard<()> {
        let _pause = limit.pause();
        self.turn.clone().lock_owned().await
    }

    /// Asks for a secret.
    pub(super) async fn secret(
        &self,
        turn: OwnedMutexGuard<()>,
        limit: &Arc<Limit>,
        question: String,
    ) -> io::Result<Option<SecretString>> {
        Ok(self.ask(turn, limit, move |prompt| prompt.secret(&question)).await?.0)
    }

    /// The same outside of a connection.
    pub(super) async fn free_turn(&self) -> OwnedMutexGuard<()> {
        self.turn.clone().lock_owned().await
    }

    /// Asks for something that may be seen while it is typed.
    pub(super) async fn answer(
        &self,
        turn: OwnedMutexGuard<()>,
        limit: &Arc<Limit>,
        question: String,
    ) -> io::Result<Option<SecretString>> {
        Ok(self.ask(turn, limit, move |prompt| prompt.answer(&question)).await?.0)
    }

    /// Asks whether host keys are to be trusted, `as_one` in one question for all. Gives the turn back.
    pub(super) async fn trust(
        &self,
        turn: OwnedMutexGuard<()>,
        new: Vec<NewHostKey>,
        as_one: bool,
    ) -> io::Result<(TrustAnswer, OwnedMutexGuard<()>)> {
        self.put(turn, move |prompt| {
            if as_one {
                return prompt.trust_host_keys(&new);
            }
            new.iter().map(|new| prompt.trust_host_key(new)).collect::<io::Result<_>>().map(TrustAnswer::Each)
        })
        .await
    }

    async fn ask<T: Send + 'static>(
        &self,
        turn: OwnedMutexGuard<()>,
        limit: &Arc<Limit>,
        question: impl FnOnce(&dyn Prompt) -> io::Result<T> + Send + 'static,
    ) -> io::Result<(T, OwnedMutexGuard<()>)> {
        let _pause = limit.pause();
        self.put(turn, question).await
    }

    async fn put<T: Send + 'static>(
        &self,
        turn: OwnedMutexGuard<()>,
        question: impl FnOnce(&dyn Prompt) -> io::Result<T> + Send + 'static,
    ) -> io::Result<(T, OwnedMutexGuard<()>)> {
        let prompt = self.prompt.clone();
        // A question can't be taken back from a terminal: the turn stays with it until it is
        // answered, also where nobody waits for that any more.
        tokio::task::spawn_blocking(move || question(&*prompt).map(|answer| (answer, turn)))
            .await
            .map_err(io::Error::other)?
    }

    /// Tells something, once per run.
    pub(super) fn note(&self, text: impl Into<String>) {
        let text = text.into();
        if self.is_new(&text) {
            self.prompt.note(&text);
        }
    }

    /// Shows a server's banner, once per run.
    pub(super) fn banner(&self, text: &str) {
        if self.is_new(text) {
            self.prompt.banner(text);
        }
    }

    fn is_new(&self, text: &str) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned())
    }
}
