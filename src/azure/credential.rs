//! Sign-in: one token for the run, out of what the surroundings offer.
//!
//! In this order: a service principal, workload identity, App Service's managed identity, the Azure
//! CLI's login, and the managed identity of the virtual machine we run on. What the environment names
//! is used or is an error, never silently passed over for another identity.
//!
//! Tokens come from Microsoft's crate `azure_identity`, except App Service's (see `app_service`).

mod app_service;
mod error;
mod machine;
mod official;
mod way;

use std::{path::PathBuf, sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio::{sync::Mutex, time::timeout};

pub use self::{error::SignInError, way::Way};
use super::{cloud::Service, event::Watcher};

/// What the ways are called while they are waited for and in errors.
const PRINCIPAL: &str = "the service principal of AZURE_CLIENT_ID";
const WORKLOAD: &str = "workload identity";
const APP_SERVICE: &str = "the managed identity of IDENTITY_ENDPOINT";
const CLI: &str = "the Azure CLI's login";
const MACHINE: &str = "the managed identity of this machine";

/// What the surroundings say about signing in. The names are those of the environment variables, which
/// Azure's SDKs share.
#[derive(Debug, Clone, Default)]
pub struct SignIn {
    /// `AZURE_TENANT_ID`
    pub tenant_id: Option<String>,
    /// `AZURE_CLIENT_ID`
    pub client_id: Option<String>,
    /// `AZURE_CLIENT_SECRET`
    pub client_secret: Option<SecretString>,
    /// `AZURE_FEDERATED_TOKEN_FILE`
    pub federated_token_file: Option<PathBuf>,
    /// `AZURE_AUTHORITY_HOST`; without it, the cloud's.
    pub authority_host: Option<String>,
    /// `IDENTITY_ENDPOINT`
    pub identity_endpoint: Option<String>,
    /// `IDENTITY_HEADER`
    pub identity_header: Option<SecretString>,
    /// The id of the subscription that the Azure CLI is to give a token for: it may know several tenants.
    pub subscription: Option<String>,
    /// Whether the Azure CLI's profile has a login. Then an error of `az` is final, else the machine's own
    /// identity is looked for.
    pub cli_has_login: bool,
}

/// A token, and which one of the run it is.
#[derive(Clone)]
pub(super) struct Token {
    secret: Arc<SecretString>,
    number: u32,
}

impl Token {
    pub(super) fn secret(&self) -> &SecretString {
        &self.secret
    }
}

/// The sign-in of a run.
pub(super) struct Credential {
    way: Way,
    place: Place,
    limit: Duration,
    last: Mutex<Option<(u32, Result<Token, SignInError>)>>,
}

/// For what and from whom tokens are.
struct Place {
    scope: String,
    authority: String,
    subscription: Option<String>,
    cli_has_login: bool,
}

impl Credential {
    pub(super) fn new(sign_in: SignIn, service: &Service, limit: Duration) -> Result<Self, SignInError> {
        let way = Way::choose(&sign_in)?;
        let authority = sign_in.authority_host.unwrap_or_else(|| service.authority().into());
        let SignIn { subscription, cli_has_login, .. } = sign_in;
        let place = Place { scope: service.scope(), authority, subscription, cli_has_login };
        Ok(Self { way, place, limit, last: Mutex::new(None) })
    }

    /// The run's token: fetched at the first call, while later ones wait for it. With `old`, the one after
    /// that, which is fetched once also if many calls find the same token expired. A failure is kept as
    /// well: calls side by side must not all wait for the same time limit one after the other.
    pub(super) async fn token(&self, old: Option<&Token>, watcher: &Watcher) -> Result<Token, SignInError> {
        let wanted = old.map_or(1, |old| old.number.saturating_add(1));
        let mut last = self.last.lock().await;
        if let Some((number, result)) = &*last
            && *number >= wanted
        {
            return result.clone();
        }
        let result =
            self.fetch(watcher).await.map(|secret| Token { secret: Arc::new(secret), number: wanted });
        *last = Some((wanted, result.clone()));
        result
    }

    async fn fetch(&self, watcher: &Watcher) -> Result<SecretString, SignInError> {
        let place = &self.place;
        match &self.way {
            Way::ServicePrincipal { tenant, client, secret } => {
                let asked = official::service_principal(place, tenant, client, secret);
                self.step(PRINCIPAL, watcher, asked).await
            }
            Way::WorkloadIdentity { tenant, client, token_file } => {
                let asked = official::workload_identity(place, tenant, client, token_file);
                self.step(WORKLOAD, watcher, asked).await
            }
            Way::AppService { endpoint, header, client } => {
                let asked = app_service::token(endpoint, header, client.as_deref(), &place.scope, self.limit);
                self.step(APP_SERVICE, watcher, asked).await
            }
            Way::CliOrMachine { client } => self.cli_or_machine(client.as_deref(), watcher).await,
        }
    }

    /// The machine is looked for only where az has no login: someone who is signed in must not work as
    /// another by accident.
    async fn cli_or_machine(
        &self,
        client: Option<&str>,
        watcher: &Watcher,
    ) -> Result<SecretString, SignInError> {
        let error = match self.step(CLI, watcher, official::cli(&self.place)).await {
            Ok(token) => return Ok(token),
            Err(error) => error,
        };
        if self.place.cli_has_login || !machine::is_there().await {
            return Err(error);
        }
        self.step(MACHINE, watcher, machine::token(&self.place, client)).await
    }

    /// One way, within the time limit.
    async fn step(
        &self,
        way: &'static str,
        watcher: &Watcher,
        asked: impl Future<Output = Result<SecretString, SignInError>>,
    ) -> Result<SecretString, SignInError> {
        let _watched = watcher.started(&format!("the sign-in with {way}"));
        timeout(self.limit, asked).await.unwrap_or_else(|_| Err(SignInError::late(way, self.limit)))
    }
}
