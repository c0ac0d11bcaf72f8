//! One call: sent, sent again where that helps, and waited for, within the limits.

use std::time::Duration;

use reqwest::{
    Method, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE},
};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    super::{
        credential::Token,
        event::{Watched, Why},
        transport,
    },
    Shared,
    answer::{Answer, Unread},
    error::{ArmError, Reason},
};
use crate::clean::clean_line;

/// Where a 202 names no wait: most of what Azure works on takes a few seconds.
const POLL_WAIT: Duration = Duration::from_secs(2);
/// No answer makes us ask faster than this.
const LEAST_POLL_WAIT: Duration = Duration::from_millis(100);
/// Waits differ by up to a fifth, so that calls which failed together do not come back together.
const JITTER: std::ops::Range<f64> = 0.8..1.2;

/// A request that may be sent more than once.
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) body: Option<Vec<u8>>,
}

impl Outgoing {
    pub(super) fn get(url: Url) -> Self {
        Self { method: Method::GET, url, body: None }
    }
}

pub(super) struct Call<'a> {
    shared: &'a Shared,
    what: &'a str,
    path: &'a str,
    deadline: Instant,
    watched: Watched,
}

impl<'a> Call<'a> {
    pub(super) fn begin(shared: &'a Shared, what: &'a str, path: &'a str) -> Self {
        let deadline = Instant::now() + shared.limits.total;
        Self { shared, what, path, deadline, watched: shared.watcher.started(what) }
    }

    pub(super) fn error(&self, reason: Reason) -> ArmError {
        ArmError::new(self.what, self.path, reason)
    }

    /// Where a link of an answer leads.
    pub(super) fn follow(&self, link: &'static str, to: &str) -> Result<Url, ArmError> {
        self.shared.service.follow(to).map_err(|away| self.error(Reason::Elsewhere { link, origin: away.0 }))
    }

    /// The JSON that a request leads to in the end: an answer 202 is asked for again until it is one of
    /// 200.
    pub(super) async fn json(&self, mut outgoing: Outgoing) -> Result<Value, ArmError> {
        loop {
            let answer = self.exchange(&outgoing).await?;
            if answer.status != StatusCode::ACCEPTED {
                let status = answer.status;
                return answer.json().map_err(|body| self.error(Reason::Strange { status, body }));
            }
            // Without a place to look, the same question is asked again.
            if let Some(location) = answer.location() {
                outgoing = Outgoing::get(self.follow("Location", location)?);
            }
            let wait = answer.retry_after().unwrap_or(POLL_WAIT).max(LEAST_POLL_WAIT);
            self.wait(wait, Why::Working).await?;
        }
    }

    /// Sends until there is an answer of success.
    async fn exchange(&self, outgoing: &Outgoing) -> Result<Answer, ArmError> {
        let mut tries = 1;
        let mut renewed = false;
        let mut token = self.token(None).await?;
        loop {
            let may_retry = tries <= self.shared.limits.retries;
            let (why, asked) = match self.send(outgoing, &token).await? {
                Ok(answer) if answer.status.is_success() => return Ok(answer),
                Ok(answer) if answer.says_expired() && !renewed => {
                    token = self.token(Some(&token)).await?;
                    renewed = true;
                    continue;
                }
                Ok(answer) => match passing(answer.status) {
                    Some(why) if may_retry => (why, answer.retry_after()),
                    _ => return Err(self.refused(&answer, tries)),
                },
                Err(error) if may_retry && transport::trouble(&error).is_passing() => (Why::Dropped, None),
                Err(error) => return Err(self.network(outgoing, &error, tries)),
            };
            self.wait(asked.unwrap_or_else(|| self.back_off(tries)), why).await?;
            tries += 1;
        }
    }

    /// Sends once. The outer error is final, the inner one may pass.
    async fn send(
        &self,
        outgoing: &Outgoing,
        token: &Token,
    ) -> Result<Result<Answer, reqwest::Error>, ArmError> {
        let mut request = self
            .shared
            .http
            .request(outgoing.method.clone(), outgoing.url.clone())
            .bearer_auth(token.secret().expose_secret())
            .header(ACCEPT, "application/json");
        if let Some(body) = &outgoing.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let (started, most) = (Instant::now(), self.shared.limits.body);
        let exchange = async { Answer::read(request.send().await.map_err(Unread::Http)?, most).await };
        let answer = match timeout_at(self.deadline, exchange).await {
            Err(_) => Err(self.error(Reason::TooSlow { limit: self.shared.limits.total, why: None })),
            Ok(Err(Unread::TooLong)) => Err(self.error(Reason::TooLong { limit: most })),
            Ok(Err(Unread::Http(error))) => Ok(Err(error.without_url())),
            Ok(Ok(answer)) => Ok(Ok(answer)),
        };
        log(outgoing, answer.as_ref().ok(), started.elapsed());
        answer
    }

    /// The run's token, or the one after `old`.
    async fn token(&self, old: Option<&Token>) -> Result<Token, ArmError> {
        let Shared { credential, watcher, .. } = self.shared;
        credential.token(old, watcher).await.map_err(|error| self.error(Reason::SignIn(error)))
    }

    /// Waits, if there is time left for that and an answer after it.
    async fn wait(&self, wait: Duration, why: Why) -> Result<(), ArmError> {
        let limits = &self.shared.limits;
        if wait > limits.longest_wait {
            return Err(self.error(Reason::AsksTooMuch { wait, limit: limits.longest_wait, why }));
        }
        if Instant::now() + wait >= self.deadline {
            return Err(self.error(Reason::TooSlow { limit: limits.total, why: Some(why) }));
        }
        self.watched.waiting(wait, why);
        tracing::debug!("waiting {} ms for {}: {why}", wait.as_millis(), clean_line(self.what));
        sleep(wait).await;
        Ok(())
    }

    fn back_off(&self, tries: u32) -> Duration {
        let doubled = self.shared.limits.first_wait.saturating_mul(1 << (tries - 1).min(16));
        let spread = doubled.mul_f64(rand::random_range(JITTER));
        spread.min(self.shared.limits.longest_wait)
    }

    fn refused(&self, answer: &Answer, tries: u32) -> ArmError {
        if answer.status.is_redirection()
            && let Some(to) = answer.location()
        {
            // Also one to the same host: ARM does not redirect, something before it does.
            let origin = self.shared.service.base().join(to);
            let origin = origin.map_or_else(|_| to.into(), |url| url.origin().ascii_serialization());
            return self.error(Reason::Elsewhere { link: "redirect", origin });
        }
        ArmError::refused(self.what, self.path, answer, tries)
    }

    fn network(&self, outgoing: &Outgoing, error: &reqwest::Error, tries: u32) -> ArmError {
        let host = outgoing.url.host_str().unwrap_or_default();
        let port = outgoing.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        ArmError::network(self.what, self.path, &format!("{host}{port}"), error, tries)
    }
}

/// Statuses that may be others at the next try: those that the Azure CLI takes for such.
fn passing(status: StatusCode) -> Option<Why> {
    match status.as_u16() {
        429 => Some(Why::Throttled),
        status @ (408 | 500 | 502 | 503 | 504) => Some(Why::Trouble(status)),
        _ => None,
    }
}

/// Method, path, status and time: no header, and no query, which may hold what an answer put there.
fn log(outgoing: &Outgoing, answer: Option<&Result<Answer, reqwest::Error>>, took: Duration) {
    let (method, path, ms) = (&outgoing.method, outgoing.url.path(), took.as_millis());
    match answer {
        Some(Ok(answer)) => {
            let id = answer.request_id().unwrap_or_else(|| "-".into());
            tracing::debug!("{method} {path}: {} in {ms} ms, request id {id}", answer.status.as_u16());
        }
        Some(Err(error)) => {
            tracing::debug!("{method} {path}: {} after {ms} ms", clean_line(&transport::innermost(error)));
        }
        None => tracing::debug!("{method} {path}: given up after {ms} ms"),
    }
}
