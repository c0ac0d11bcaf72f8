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

use std::{path::PathBuf, sync::Arc, time::Duration};

use reqwest::Url;
use secrecy::SecretString;
use tokio::{sync::Mutex, time::timeout};

pub use self::error::SignInError;
use super::{
    cloud::{Service, is_loopback},
    event::Watcher,
};

/// What the ways are called while they are waited for and in errors.
const PRINCIPAL: &str = "the service principal of AZURE_CLIENT_ID";
const WORKLOAD: &str = "workload identity";
const APP_SERVICE: &str = "the managed identity of IDENTITY_ENDPOINT";
const CLI: &str = "the Azure CLI's login";

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

/// How to sign in.
#[derive(Debug, Clone)]
pub enum Way {
    /// With the secret of a service principal.
    ServicePrincipal {
        /// Its directory.
        tenant: String,
        /// Its application id.
        client: String,
        /// Its secret.
        secret: SecretString,
    },
    /// With a token that a Kubernetes or a CI gives in a file.
    WorkloadIdentity {
        /// The directory.
        tenant: String,
        /// The application id.
        client: String,
        /// The file.
        token_file: PathBuf,
    },
    /// As the managed identity of App Service, Functions or what else speaks its protocol.
    AppService {
        /// Who is asked.
        endpoint: Url,
        /// What proves that we may ask.
        header: SecretString,
        /// Which identity, where there are several.
        client: Option<String>,
    },
    /// As the Azure CLI, else as the virtual machine.
    CliOrMachine {
        /// The machine's identity, where it has several.
        client: Option<String>,
    },
}

impl Way {
    /// The way that the surroundings ask for.
    ///
    /// # Errors
    /// When they name a way and lack a part of it.
    pub fn choose(sign_in: &SignIn) -> Result<Self, SignInError> {
        let SignIn { tenant_id, client_id, client_secret, federated_token_file, .. } = sign_in;
        let needed = |value: &Option<String>, with: &str, name: &str| {
            value.clone().ok_or_else(|| SignInError::missing(with, name))
        };
        if let Some(secret) = client_secret {
            const WITH: &str = "AZURE_CLIENT_SECRET";
            return Ok(Self::ServicePrincipal {
                tenant: needed(tenant_id, WITH, "AZURE_TENANT_ID")?,
                client: needed(client_id, WITH, "AZURE_CLIENT_ID")?,
                secret: secret.clone(),
            });
        }
        if let Some(token_file) = federated_token_file {
            const WITH: &str = "AZURE_FEDERATED_TOKEN_FILE";
            return Ok(Self::WorkloadIdentity {
                tenant: needed(tenant_id, WITH, "AZURE_TENANT_ID")?,
                client: needed(client_id, WITH, "AZURE_CLIENT_ID")?,
                token_file: token_file.clone(),
            });
        }
        // The endpoint without the header is Azure Arc's, which wants to be root: az is asked instead.
        if let (Some(endpoint), Some(header)) = (&sign_in.identity_endpoint, &sign_in.identity_header) {
            let endpoint = identity_endpoint(endpoint)?;
            return Ok(Self::AppService { endpoint, header: header.clone(), client: client_id.clone() });
        }
        Ok(Self::CliOrMachine { client: client_id.clone() })
    }

    /// What it is called while it is waited for and in errors.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ServicePrincipal { .. } => PRINCIPAL,
            Self::WorkloadIdentity { .. } => WORKLOAD,
            Self::AppService { .. } => APP_SERVICE,
            Self::CliOrMachine { .. } => CLI,
        }
    }
}

/// It gets a secret: on this machine and its link-local neighbours only, or over https.
fn identity_endpoint(text: &str) -> Result<Url, SignInError> {
    let url = Url::parse(text).map_err(|_| SignInError::wrong("IDENTITY_ENDPOINT", "is no URL"))?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_near(&url) => Ok(url),
        "http" => Err(SignInError::wrong("IDENTITY_ENDPOINT", "would get IDENTITY_HEADER over plain http")),
        _ => Err(SignInError::wrong("IDENTITY_ENDPOINT", "is neither https nor http")),
    }
}

/// Whether a host is this machine or one of the addresses that no router passes on (RFC 3927), where
/// App Service has its endpoint.
fn is_near(url: &Url) -> bool {
    let ip = url.host_str().and_then(|host| host.parse::<std::net::Ipv4Addr>().ok());
    is_loopback(url) || ip.is_some_and(|ip| ip.is_link_local())
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
        let _watched = watcher.started(&format!("the sign-in with {}", self.way.name()));
        let late = || SignInError::late(self.way.name(), self.limit);
        let fetched = timeout(self.limit, self.fetch()).await.unwrap_or_else(|_| Err(late()));
        let result = fetched.map(|secret| Token { secret: Arc::new(secret), number: wanted });
        *last = Some((wanted, result.clone()));
        result
    }

    async fn fetch(&self) -> Result<SecretString, SignInError> {
        match &self.way {
            Way::ServicePrincipal { tenant, client, secret } => {
                official::service_principal(&self.place, tenant, client, secret).await
            }
            Way::WorkloadIdentity { tenant, client, token_file } => {
                official::workload_identity(&self.place, tenant, client, token_file).await
            }
            Way::AppService { endpoint, header, client } => {
                app_service::token(endpoint, header, client.as_deref(), &self.place.scope, self.limit).await
            }
            Way::CliOrMachine { client } => self.cli_or_machine(client.as_deref()).await,
        }
    }

    /// The machine is looked for only where az has no login: someone who is signed in must not work as
    /// another by accident.
    async fn cli_or_machine(&self, client: Option<&str>) -> Result<SecretString, SignInError> {
        let error = match official::cli(&self.place).await {
            Ok(token) => return Ok(token),
            Err(error) => error,
        };
        if self.place.cli_has_login || !machine::is_there().await {
            return Err(error);
        }
        machine::token(&self.place, client).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> SignIn {
        SignIn {
            tenant_id: Some("t".into()),
            client_id: Some("c".into()),
            client_secret: Some("hush".into()),
            federated_token_file: Some("/f".into()),
            identity_endpoint: Some("http://127.0.0.1:1/msi/token".into()),
            identity_header: Some("hush".into()),
            ..SignIn::default()
        }
    }

    #[test]
    fn the_first_way_that_is_named_is_taken() {
        let mut sign_in = all();
        assert!(matches!(Way::choose(&sign_in), Ok(Way::ServicePrincipal { .. })));
        sign_in.client_secret = None;
        assert!(matches!(Way::choose(&sign_in), Ok(Way::WorkloadIdentity { .. })));
        sign_in.federated_token_file = None;
        assert!(matches!(Way::choose(&sign_in), Ok(Way::AppService { client: Some(_), .. })));
        sign_in.identity_header = None;
        assert!(matches!(Way::choose(&sign_in), Ok(Way::CliOrMachine { client: Some(_) })));
        assert!(matches!(Way::choose(&SignIn::default()), Ok(Way::CliOrMachine { client: None })));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let error = |change: fn(&mut SignIn)| {
            let mut sign_in = all();
            change(&mut sign_in);
            Way::choose(&sign_in).unwrap_err().to_string()
        };
        assert_eq!(
            error(|s| s.tenant_id = None),
            "can't sign in to Azure: AZURE_CLIENT_SECRET is set, and AZURE_TENANT_ID is not"
        );
        let without_secret = error(|s| (s.client_secret, s.client_id) = (None, None));
        assert!(without_secret.ends_with("AZURE_FEDERATED_TOKEN_FILE is set, and AZURE_CLIENT_ID is not"));
        for (endpoint, problem) in [
            ("x", "is no URL"),
            ("http://10.0.0.1/msi/token", "would get IDENTITY_HEADER over plain http"),
            ("ftp://127.0.0.1/", "is neither https nor http"),
        ] {
            let sign_in = SignIn {
                identity_endpoint: Some(endpoint.into()),
                identity_header: Some("hush".into()),
                ..SignIn::default()
            };
            let error = Way::choose(&sign_in).unwrap_err().to_string();
            assert_eq!(error, format!("can't sign in to Azure: IDENTITY_ENDPOINT {problem}"));
        }
        assert!(identity_endpoint("http://169.254.130.2:8081/msi/token").is_ok());
    }

    #[test]
    fn secrets_are_not_shown() {
        let sign_in = all();
        let way = Way::choose(&sign_in).unwrap();
        assert!(!format!("{sign_in:?} {way:?}").contains("hush"));
    }
}
