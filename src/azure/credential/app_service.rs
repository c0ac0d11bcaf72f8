//! App Service's protocol for managed identities: one GET ("REST endpoint reference" of Microsoft's
//! "How to use managed identities for App Service and Azure Functions").
//!
//! `azure_identity` has it too, but takes endpoint and secret from the process's environment only. Here
//! they are handed in, as everything below the command line gets its surroundings, which also lets tests
//! ask an endpoint of their own.

use std::time::Duration;

use reqwest::{StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{super::transport, APP_SERVICE, SignInError, way::is_near};

const API_VERSION: &str = "2019-08-01";
/// The endpoint is on the same machine or its link.
const CONNECT: Duration = Duration::from_secs(3);
/// A token has some kilobytes.
const MOST_BYTES: usize = 64 << 10;

#[derive(Deserialize)]
struct Answer {
    access_token: String,
}

/// A token for what `scope` names; this protocol calls it a resource, without the `/.default`.
pub(super) async fn token(
    endpoint: &Url,
    header: &SecretString,
    client: Option<&str>,
    scope: &str,
    limit: Duration,
) -> Result<SecretString, SignInError> {
    let resource = scope.strip_suffix("/.default").unwrap_or(scope);
    let mut url = endpoint.clone();
    url.query_pairs_mut()
        .extend_pairs([("api-version", API_VERSION), ("resource", resource)])
        .extend_pairs(client.map(|client| ("client_id", client)));
    let network = |error: reqwest::Error| SignInError::network(APP_SERVICE, &error);
    let http = transport::client(CONNECT, limit, is_near(endpoint)).map_err(network)?;
    let request = http.get(url).header("X-IDENTITY-HEADER", header.expose_secret());
    let mut response = request.send().await.map_err(network)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(network)? {
        body.extend_from_slice(&chunk);
        if body.len() > MOST_BYTES {
            return Err(refused("its answer is too long for a token"));
        }
    }
    read(response.status(), &body)
}

fn read(status: StatusCode, body: &[u8]) -> Result<SecretString, SignInError> {
    if !status.is_success() {
        // The body may repeat what was sent, so only the status is shown.
        return Err(refused(&format!("it answers {}", status.as_u16())));
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|_| refused("its answer has no token"))?;
    Ok(SecretString::from(answer.access_token))
}

fn refused(problem: &str) -> SignInError {
    SignInError::new(
        APP_SERVICE,
        problem,
        "see that the app has a managed identity (`az webapp identity show -g GROUP -n APP`), and that AZURE_CLIENT_ID, if set, is that of one",
    )
}
