//! Host certificates: what a certificate authority says about a server.
//!
//! Plain rules over values, those of ssh(1): `check_host_cert` in OpenSSH's sshconnect.c and
//! PROTOCOL.certkeys. The library has checked that the server has the certificate's key, and nothing else.

use jiff::Timestamp;
use russh::keys::{Algorithm, Certificate};

use super::{greeting::quote, host_key::KnownKey};
use crate::{natmap::Endpoint, pattern};

/// The names by which an authority and a certificate may know a server, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CertificateNames {
    /// As known_hosts lines have them: with the port, and without.
    pub(super) lines: Vec<String>,
    /// As certificates have them: never with a port.
    pub(super) principals: Vec<String>,
}

impl CertificateNames {
    /// Those of an endpoint: the host that is dialled, as ssh(1) has it, and the machine's `vmId` where it is
    /// known; only `alias` where there is one (`HostKeyAlias`).
    pub(super) fn of(endpoint: &Endpoint, alias: Option<&str>) -> Self {
        if let Some(alias) = alias {
            let alias = vec![alias.to_ascii_lowercase()];
            return Self { lines: alias.clone(), principals: alias };
        }
        let host = endpoint.host.to_string().to_ascii_lowercase();
        let vm_id = endpoint.vm_id.as_ref().map(|id| id.to_ascii_lowercase());
        let principals: Vec<_> = vm_id.into_iter().chain([host.clone()]).collect();
        let mut lines = principals.clone();
        lines.push(format!("[{host}]:{}", endpoint.port));
        Self { lines, principals }
    }
}

/// What is known about a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CertificateStatus {
    /// An authority that may speak for the server says that the key is its own.
    Good,
    /// The key or the authority is marked `@revoked`.
    Revoked(KnownKey),
    /// The authority may speak for the server, and this certificate is not good for it; why.
    Flawed(String),
    /// Nobody here knows the authority.
    Stranger,
}

/// Checks a certificate of an authority that is trusted for the server; says what is wrong with it.
pub(super) fn check(certificate: &Certificate, principals: &[String], now: u64) -> Result<(), String> {
    if certificate.cert_type().is_user() {
        return Err("it is a user's certificate, not a host's".into());
    }
    // As CASignatureAlgorithms has it: no SHA-1.
    if matches!(certificate.signature().algorithm(), Algorithm::Rsa { hash: None } | Algorithm::Dsa) {
        return Err("it is signed with SHA-1".into());
    }
    // Given its own authority, what can fail are the signature and the time; the time is told apart first.
    if now < certificate.valid_after() {
        return Err(format!("it is valid only from {}", moment(certificate.valid_after())));
    }
    if now >= certificate.valid_before() {
        return Err(format!("it expired at {}", moment(certificate.valid_before())));
    }
    let authority = certificate.signature_key().fingerprint(russh::keys::HashAlg::Sha256);
    if certificate.validate_at(now, [&authority]).is_err() {
        return Err("its authority's signature is wrong".into());
    }
    let theirs = certificate.valid_principals();
    // Without any it is good for all hosts (ssh-keygen(1), CERTIFICATES).
    let is_named = theirs.is_empty()
        || theirs.iter().any(|theirs| principals.iter().any(|ours| pattern::matches(theirs, ours)));
    if !is_named {
        let theirs = quote(&theirs.join(", "));
        return Err(format!("it is for {theirs}, not for {}", principals.join(" or ")));
    }
    match certificate.critical_options().iter().next() {
        Some((option, _)) => {
            Err(format!("it has a critical option that is not known (\"{}\")", quote(option)))
        }
        None => Ok(()),
    }
}

/// A time in a certificate, in UTC.
fn moment(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "the end of time".into(), |time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}
