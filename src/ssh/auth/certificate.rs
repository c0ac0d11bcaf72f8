//! What is wrong with a user certificate, as far as it can be seen from here.
//!
//! Only said, never decided on: the server's clock counts, and it may let other names in than the
//! certificate's (AuthorizedPrincipalsFile in sshd_config(5)).

use std::time::Duration;

use russh::keys::{Certificate, ssh_key::certificate::CertType};

use crate::ssh::greeting::quote;

/// As many of a certificate's names as fit into a message.
const MOST_NAMES: usize = 3;

/// Why a server may not take it for this user; `now` since 1970. `None`: nothing speaks against it.
pub(super) fn doubt(certificate: &Certificate, user: &str, now: Duration) -> Option<String> {
    let now = now.as_secs();
    let (from, until) = (certificate.valid_after(), certificate.valid_before());
    if certificate.cert_type() == CertType::Host {
        return Some("it is a host's certificate".into());
    }
    if now >= until {
        return Some(format!("it expired {} ago", span(now - until)));
    }
    if now < from {
        return Some(format!("it is not valid before {} from now", span(from - now)));
    }
    let names = certificate.valid_principals();
    if names.is_empty() {
        return Some("it is for no user: `ssh-keygen -s CA -n USER` names one".into());
    }
    if names.iter().any(|name| name == user) {
        return None;
    }
    let shown: Vec<_> = names.iter().take(MOST_NAMES).map(|name| quote(name)).collect();
    let more = if names.len() > MOST_NAMES { ", ..." } else { "" };
    Some(format!("it is for {}{more}", shown.join(", ")))
}

/// A span in the unit that fits it.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use russh::keys::{Algorithm, PrivateKey, ssh_key::certificate::Builder};

    use super::*;

    fn certificate(kind: CertType, names: &[&str], from: u64, until: u64) -> Certificate {
        let mut rng = rand::rng();
        let [key, ca] = [(); 2].map(|()| PrivateKey::random(&mut rng, Algorithm::Ed25519).unwrap());
        let mut builder = Builder::new_with_random_nonce(&mut rng, key.public_key(), from, until).unwrap();
        builder.cert_type(kind).unwrap();
        for name in names {
            builder.valid_principal(*name).unwrap();
        }
        if names.is_empty() {
            builder.all_principals_valid().unwrap();
        }
        builder.sign(&ca).unwrap()
    }

    #[test]
    fn what_speaks_against_a_certificate_is_said() {
        let doubt = |kind, names: &[&str], from, until| {
            super::doubt(&certificate(kind, names, from, until), "alice", Duration::from_secs(10_000))
        };
        assert_eq!(doubt(CertType::User, &["bob", "alice"], 0, 20_000), None);
        let expired = doubt(CertType::User, &["alice"], 0, 2_000).unwrap();
        assert_eq!(expired, "it expired 2 h ago");
        let early = doubt(CertType::User, &["alice"], 10_030, 20_000).unwrap();
        assert_eq!(early, "it is not valid before 30 s from now");
        assert_eq!(doubt(CertType::User, &["a\x1b", "b"], 0, 20_000).unwrap(), "it is for a^[, b");
        assert!(doubt(CertType::User, &["a", "b", "c", "d"], 0, 20_000).unwrap().ends_with("c, ..."));
        assert!(doubt(CertType::User, &[], 0, 20_000).unwrap().starts_with("it is for no user"));
        assert!(doubt(CertType::Host, &["alice"], 0, 20_000).unwrap().contains("host"));
    }
}
