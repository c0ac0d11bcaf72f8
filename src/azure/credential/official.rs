//! The ways that Microsoft's crate `azure_identity` knows. A new credential for each token: it keeps
//! tokens itself, and would give an expired one again.

use std::{path::Path, sync::Arc, time::Duration};

use azure_core::{
    cloud::{CloudConfiguration, CustomConfiguration},
    credentials::{Secret, TokenCredential},
    http::{ClientOptions, ExponentialRetryOptions, RetryOptions, Transport},
};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, ClientAssertionCredentialOptions, ClientSecretCredential,
    ClientSecretCredentialOptions, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{super::transport, CLI, PRINCIPAL, Place, SignInError, WORKLOAD};

/// Three tries of this and the waits between them stay below the limit of a sign-in: so it is told what
/// went wrong, and not only that time is up.
const CONNECT: Duration = Duration::from_secs(5);
const RETRIES: u32 = 2;
/// For one request; the sign-in as a whole has its own limit.
const REQUEST: Duration = Duration::from_secs(20);

pub(super) async fn service_principal(
    place: &Place,
    tenant: &str,
    client: &str,
    secret: &SecretString,
) -> Result<SecretString, SignInError> {
    let options = ClientSecretCredentialOptions { client_options: client_options(PRINCIPAL, place, false)? };
    let given = Secret::new(secret.expose_secret().to_owned());
    let credential = ClientSecretCredential::new(tenant, client.into(), given, Some(options));
    ask(PRINCIPAL, place, credential, &[secret], entra_hint).await
}

pub(super) async fn workload_identity(
    place: &Place,
    tenant: &str,
    client: &str,
    token_file: &Path,
) -> Result<SecretString, SignInError> {
    let client_options = client_options(WORKLOAD, place, false)?;
    let options = WorkloadIdentityCredentialOptions {
        credential_options: ClientAssertionCredentialOptions { client_options },
        client_id: Some(client.into()),
        tenant_id: Some(tenant.into()),
        token_file_path: Some(token_file.into()),
    };
    ask(WORKLOAD, place, WorkloadIdentityCredential::new(Some(options)), &[], entra_hint).await
}

/// Starts `az account get-access-token`. Given up, it ends by itself: it only waits for the network.
pub(super) async fn cli(place: &Place) -> Result<SecretString, SignInError> {
    let options =
        AzureCliCredentialOptions { subscription: place.subscription.clone(), ..Default::default() };
    ask(CLI, place, AzureCliCredential::new(Some(options)), &[], cli_hint).await
}

/// Our own HTTP client: theirs panics where it can't be made.
pub(super) fn client_options(
    way: &'static str,
    place: &Place,
    direct: bool,
) -> Result<ClientOptions, SignInError> {
    let http =
        transport::client(CONNECT, REQUEST, direct).map_err(|error| SignInError::network(way, &error))?;
    let mut cloud = CustomConfiguration::default();
    cloud.authority_host.clone_from(&place.authority);
    Ok(ClientOptions {
        transport: Some(Transport::new(Arc::new(http))),
        cloud: Some(Arc::new(CloudConfiguration::Custom(cloud))),
        // Their default goes on for a minute, also where a certificate is not trusted.
        retry: RetryOptions::exponential(ExponentialRetryOptions {
            max_retries: RETRIES,
            ..ExponentialRetryOptions::default()
        }),
        ..ClientOptions::default()
    })
}

/// Asks a credential for a token. `secrets` are those it got: should an error repeat one, it is taken out.
pub(super) async fn ask<C: TokenCredential>(
    way: &'static str,
    place: &Place,
    credential: azure_core::Result<Arc<C>>,
    secrets: &[&SecretString],
    hint: impl Fn(&str) -> String,
) -> Result<SecretString, SignInError> {
    let token = async { credential?.get_token(&[&place.scope], None).await }.await;
    match token {
        Ok(token) => Ok(SecretString::from(token.token.secret())),
        Err(error) => {
            if let Some(http) = transport::below(&error) {
                return Err(SignInError::network(way, http));
            }
            // Only the words of it go on: the error itself may carry an answer with a token.
            let mut problem = problem(&error);
            for secret in secrets {
                problem = problem.replace(secret.expose_secret(), "(secret)");
            }
            Err(SignInError::new(way, &problem, &hint(&problem)))
        }
    }
}

/// The words of an error without what the crate puts round them (which credential, where to read on)
/// and without Entra's trace ids.
fn problem(error: &azure_core::Error) -> String {
    let text = error.to_string();
    let text = text.split_once("authentication failed.").map_or(text.as_str(), |(_, rest)| rest);
    let text = ["\nTo troubleshoot", "Trace ID:"]
        .iter()
        .fold(text, |text, end| text.split_once(end).map_or(text, |(before, _)| before));
    text.split_whitespace().collect::<Vec<_>>().join(" ").trim_start_matches("ERROR: ").into()
}

/// Entra's codes: "Microsoft Entra authentication and authorization error codes".
fn entra_hint(problem: &str) -> String {
    const CODES: &[(&str, &str)] = &[
        (
            "AADSTS7000215",
            "AZURE_CLIENT_SECRET is not the secret's value (its id is something else): make a new one with `az ad app credential reset --id CLIENT`",
        ),
        (
            "AADSTS7000222",
            "AZURE_CLIENT_SECRET has expired: make a new one with `az ad app credential reset --id CLIENT`",
        ),
        (
            "AADSTS700016",
            "see that AZURE_CLIENT_ID is the application's id and that AZURE_TENANT_ID is its tenant",
        ),
        ("AADSTS90002", "see that AZURE_TENANT_ID is right, and that `--cloud` is the tenant's"),
        (
            "AADSTS70021",
            "see the application's federated credentials: `az ad app federated-credential list --id CLIENT`",
        ),
        (
            "AADSTS700213",
            "see the application's federated credentials: `az ad app federated-credential list --id CLIENT`",
        ),
        ("authority host", "unset AZURE_AUTHORITY_HOST, or give it an https address"),
        ("federated token", "see that AZURE_FEDERATED_TOKEN_FILE names a file that can be read"),
        ("tenant ID", "see that AZURE_TENANT_ID is an id or a domain name"),
    ];
    let known = CODES.iter().rev().find(|(code, _)| problem.contains(code)).map(|(_, hint)| *hint);
    known
        .unwrap_or("see AZURE_TENANT_ID, AZURE_CLIENT_ID and what goes with them, or unset them to use the Azure CLI's login")
        .into()
}

fn cli_hint(problem: &str) -> String {
    if problem.contains("not found on PATH") {
        return "install the Azure CLI (https://aka.ms/azure-cli) and sign in with `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET".into();
    }
    if problem.contains("Subscription") && problem.contains("not found") {
        return "see which subscriptions the login has with `az account list --all -o table`, or sign in to another tenant with `az login --tenant TENANT`".into();
    }
    "sign in with `az login` (without a browser: `az login --use-device-code`)".into()
}

#[cfg(test)]
mod tests {
    use azure_core::error::{Error, ErrorKind};

    use super::*;

    #[test]
    fn only_the_words_that_matter_are_kept() {
        let text = |message: &'static str| problem(&Error::with_message(ErrorKind::Credential, message));
        assert_eq!(
            text(
                "AzureCliCredential authentication failed. ERROR: Please run 'az login'\n to setup account.\n\nTo troubleshoot, visit x"
            ),
            "Please run 'az login' to setup account."
        );
        assert_eq!(
            text(
                "ClientSecretCredential authentication failed. AADSTS7000215: Invalid client secret provided. Trace ID: 1"
            ),
            "AADSTS7000215: Invalid client secret provided."
        );
        assert_eq!(text("other"), "other");
    }

    #[test]
    fn hints_name_what_is_wrong() {
        assert!(entra_hint("AADSTS7000222: expired").contains("has expired"));
        assert!(entra_hint("AADSTS700213: no matching").contains("federated-credential list"));
        assert!(entra_hint("AADSTS1: x").contains("AZURE_TENANT_ID"));
        assert!(cli_hint("az not found on PATH").contains("install"));
        assert!(cli_hint("Subscription 'x' not found.").contains("az account list"));
        assert!(cli_hint("AADSTS70043").contains("az login"));
    }

    #[tokio::test]
    async fn an_error_that_repeats_a_secret_does_not_show_it() {
        let place = Place {
            scope: "https://a.example/.default".into(),
            authority: "https://a.example".into(),
            subscription: None,
            cli_has_login: false,
        };
        let failed: azure_core::Result<Arc<ClientSecretCredential>> =
            Err(Error::with_message(ErrorKind::Credential, "bad value hush-hush given"));
        let secret = SecretString::from("hush-hush");
        let error = ask(PRINCIPAL, &place, failed, &[&secret], entra_hint).await.unwrap_err();
        assert!(error.to_string().ends_with("bad value (secret) given"), "{error}");
        assert!(!format!("{error:?}").contains("hush"));
    }
}
