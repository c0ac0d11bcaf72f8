use std::path::PathBuf;

use reqwest::Url;
use secrecy::SecretString;

use super::{super::cloud::is_loopback, SignIn, SignInError};

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
pub(super) fn is_near(url: &Url) -> bool {
    let ip = url.host_str().and_then(|host| host.parse::<std::net::Ipv4Addr>().ok());
    is_loopback(url) || ip.is_some_and(|ip| ip.is_link_local())
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
