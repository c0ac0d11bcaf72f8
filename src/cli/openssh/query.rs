//! `-Q`: names of algorithms, as ssh(1) lists them.

use crate::ssh::Algorithms;

/// Keys of users and hosts, without RSA's signatures, which are another matter.
const PLAIN_KEYS: [&str; 5] =
    ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"];

/// What RSA keys sign with (RFC 8332).
const RSA_SIGNATURES: [&str; 2] = ["rsa-sha2-256", "rsa-sha2-512"];

/// What may be asked for.
const QUERIES: [&str; 14] = [
    "cipher",
    "cipher-auth",
    "compression",
    "kex",
    "kex-gss",
    "key",
    "key-ca-sign",
    "key-cert",
    "key-plain",
    "key-sig",
    "mac",
    "protocol-version",
    "sig",
    "help",
];

/// The answer, a line for each name; `None` for a query that there is not.
pub(super) fn answer(query: &str) -> Option<Vec<String>> {
    let own = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let plain = || own(PLAIN_KEYS.into());
    let signatures = || own([&PLAIN_KEYS[..], &RSA_SIGNATURES].concat());
    let certificates = |keys: Vec<String>| keys.iter().map(|key| certificate(key)).collect::<Vec<_>>();
    Some(match query.to_ascii_lowercase().as_str() {
        "cipher" | "ciphers" => own(Algorithms::ciphers().supported),
        "cipher-auth" => own(Algorithms::ciphers().supported.into_iter().filter(is_authenticated).collect()),
        "mac" | "macs" => own(Algorithms::macs().supported),
        "kex" | "kexalgorithms" => own(Algorithms::kex().supported),
        "kex-gss" | "gssapikexalgorithms" => Vec::new(),
        "key" => [plain(), certificates(plain())].concat(),
        "key-plain" => plain(),
        "key-cert" => certificates(plain()),
        "key-ca-sign" | "casignaturealgorithms" => {
            signatures().into_iter().filter(|name| name != "ssh-rsa").collect()
        }
        "sig" => signatures(),
        "key-sig"
        | "hostkeyalgorithms"
        | "pubkeyacceptedalgorithms"
        | "pubkeyacceptedkeytypes"
        | "hostbasedacceptedalgorithms"
        | "hostbasedkeytypes"
        | "hostbasedacceptedkeytypes" => [signatures(), certificates(signatures())].concat(),
        "protocol-version" => own(vec!["2"]),
        "compression" => own(vec!["none"]),
        "help" => own(QUERIES.into()),
        _ => return None,
    })
}

/// A certificate's type, of its key's.
fn certificate(key: &str) -> String {
    format!("{key}-cert-v01@openssh.com")
}

/// Whether a cipher needs no code beside it.
fn is_authenticated(name: &&str) -> bool {
    name.contains("-gcm@") || name.starts_with("chacha20-poly1305")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_answered_by_any_of_their_names() {
        for query in QUERIES {
            assert!(answer(query).is_some(), "{query}");
        }
        assert_eq!(answer("Ciphers"), answer("cipher"));
        assert!(answer("key").unwrap().contains(&"ssh-ed25519-cert-v01@openssh.com".to_owned()));
        assert!(answer("HostKeyAlgorithms").unwrap().contains(&"rsa-sha2-512".to_owned()));
        assert_eq!(answer("colours"), None);
    }
}
