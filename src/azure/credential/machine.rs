//! The managed identity of the virtual machine we run on, from the instance metadata service (IMDS).

use std::time::Duration;

use azure_identity::{ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId};
use secrecy::SecretString;

use super::{super::transport, MACHINE, Place, SignInError, official};

/// It answers within milliseconds where it is. Elsewhere this is what everyone waits who has no sign-in.
const PROBE: Duration = Duration::from_secs(1);
/// Other clouds have other services at this address: only Azure's has this path, and it names versions
/// of its interface.
const PROBE_URL: &str = "http://169.254.169.254/metadata/versions";
const PROBE_ANSWER: &str = "apiVersions";

/// Whether this is a machine of Azure's. Nothing secret is sent.
pub(super) async fn is_there() -> bool {
    let answer = async {
        let http = transport::client(PROBE, PROBE, true).ok()?;
        let mut response = http.get(PROBE_URL).header("Metadata", "true").send().await.ok()?;
        let success = response.status().is_success();
        // The first piece will do: the list of versions is short.
        let body = response.chunk().await.ok()??;
        Some(success && String::from_utf8_lossy(&body).contains(PROBE_ANSWER))
    };
    answer.await.unwrap_or(false)
}

/// A token of that identity.
pub(super) async fn token(place: &Place, client: Option<&str>) -> Result<SecretString, SignInError> {
    let options = ManagedIdentityCredentialOptions {
        user_assigned_id: client.map(|client| UserAssignedId::ClientId(client.into())),
        client_options: official::client_options(MACHINE, place, true)?,
    };
    let credential = ManagedIdentityCredential::new(Some(options));
    official::ask(MACHINE, place, credential, &[], |_| {
        "give the machine an identity (`az vm identity assign`) with the role Reader, or sign in with `az login`".into()
    })
    .await
}
