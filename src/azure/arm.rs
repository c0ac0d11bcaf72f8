//! Questions to the Azure Resource Manager (ARM): documents and lists as JSON.
//!
//! The client obeys throttling, sends again what may work at the next try, follows pages, waits for
//! what Azure works on, and says how each of these ended. It knows nothing of what the documents mean.

mod answer;
mod call;
mod error;
mod hint;
mod limits;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, fmt, sync::Arc};

use reqwest::{Client, Method};
use serde_json::Value;

use self::{
    call::{Call, Outgoing},
    error::Reason,
};
pub use self::{
    error::{ArmError, ArmErrorKind, Missing},
    limits::Limits,
};
pub use super::transport::Trouble;
use super::{
    cloud::Service,
    credential::{Credential, SignIn},
    event::{ArmEvent, Watcher},
    transport,
};

/// A client for one service and one sign-in. Clones share connections and the token.
#[derive(Clone)]
pub struct Arm {
    shared: Arc<Shared>,
}

struct Shared {
    service: Service,
    credential: Credential,
    limits: Limits,
    http: Client,
    watcher: Watcher,
}

/// Where it asks, and nothing of how it signs in.
impl fmt::Debug for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arm").field("base", &self.shared.service.base().as_str()).finish_non_exhaustive()
    }
}

impl Arm {
    /// A client; it signs in at the first question. `on_event` is told what goes on, from the task that
    /// asks, and should return at once.
    ///
    /// # Errors
    /// When no HTTPS client can be made on this machine (no certificates to trust), or the sign-in's
    /// variables contradict each other.
    pub fn new(
        service: Service,
        sign_in: SignIn,
        limits: Limits,
        on_event: impl Fn(ArmEvent) + Send + Sync + 'static,
    ) -> Result<Self, ArmError> {
        const WHAT: &str = "anything";
        let http = transport::client(limits.connect, limits.request, service.is_local())
            .map_err(|error| ArmError::no_client(WHAT, &error))?;
        let credential = Credential::new(sign_in, &service, limits.sign_in)
            .map_err(|error| ArmError::new(WHAT, "", Reason::SignIn(error)))?;
        let watcher = Watcher::new(on_event);
        Ok(Self { shared: Arc::new(Shared { service, credential, limits, http, watcher }) })
    }

    /// One document. `what` names it for people: `scale set "web"`; `path` starts with
    /// `/subscriptions/`; `query` is what comes besides the `api-version`.
    ///
    /// # Errors
    /// When there is no sign-in, no network, or no such document for this sign-in; see
    /// [`ArmError::kind`].
    pub async fn get(
        &self,
        what: &str,
        path: &str,
        api_version: &str,
        query: &[(&str, &str)],
    ) -> Result<Value, ArmError> {
        let call = Call::begin(&self.shared, what, path);
        call.json(Outgoing::get(self.url(path, api_version, query))).await
    }

    /// All entries of a list, page after page (`value`, `nextLink`; see "Paging" in Microsoft's REST API
    /// Guidelines).
    ///
    /// # Errors
    /// As for [`Arm::get`], and when the pages do not end.
    pub async fn list(
        &self,
        what: &str,
        path: &str,
        api_version: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<Value>, ArmError> {
        let call = Call::begin(&self.shared, what, path);
        let limit = self.shared.limits.pages;
        let mut next = Some(self.url(path, api_version, query));
        let (mut seen, mut entries) = (HashSet::new(), Vec::new());
        while let Some(url) = next {
            if seen.len() >= limit {
                return Err(call.error(Reason::TooManyPages { limit }));
            }
            if !seen.insert(url.clone()) {
                return Err(call.error(Reason::PagesGoRound));
            }
            let mut page = call.json(Outgoing::get(url)).await?;
            match page.get_mut("value").map(Value::take) {
                Some(Value::Array(more)) => entries.extend(more),
                _ => return Err(call.error(Reason::NoList)),
            }
            let link = page.get("nextLink").and_then(Value::as_str).filter(|link| !link.is_empty());
            next = link.map(|link| call.follow("nextLink", link)).transpose()?;
        }
        Ok(entries)
    }

    /// The answer to a question that has a body, for example `queryInboundNatRulePortMapping`. An answer
    /// 202 is waited for (`Location`, `Retry-After`; see "Asynchronous operations" of the Azure Resource
    /// Manager).
    ///
    /// It may be sent more than once, so it must be one that changes nothing.
    ///
    /// # Errors
    /// As for [`Arm::get`].
    pub async fn post(
        &self,
        what: &str,
        path: &str,
        api_version: &str,
        body: &Value,
    ) -> Result<Value, ArmError> {
        let call = Call::begin(&self.shared, what, path);
        let url = self.url(path, api_version, &[]);
        call.json(Outgoing { method: Method::POST, url, body: Some(body.to_string().into_bytes()) }).await
    }

    /// The service that is asked.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.shared.service
    }

    fn url(&self, path: &str, api_version: &str, query: &[(&str, &str)]) -> reqwest::Url {
        let all: Vec<_> = [("api-version", api_version)].into_iter().chain(query.iter().copied()).collect();
        self.shared.service.url(path, &all)
    }
}
