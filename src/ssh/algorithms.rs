//! The algorithms that there are, and which of them are offered.

use std::borrow::Cow;

use russh::{Preferred, cipher, kex, keys::Algorithm, mac};

use super::login::Algorithms;

/// AES has an instruction of its own on both sides nearly everywhere: a third of the CPU.
const CIPHERS: [cipher::Name; 6] = [
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];

/// What else there is, for whoever asks for it by name: servers that have nothing newer.
const MORE_CIPHERS: [cipher::Name; 3] = [cipher::AES_256_CBC, cipher::AES_192_CBC, cipher::AES_128_CBC];
const MORE_KEX: [kex::Name; 6] = [
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_GEX_SHA1,
    kex::DH_G14_SHA1,
    kex::DH_G1_SHA1,
];
const MORE_MACS: [mac::Name; 2] = [mac::HMAC_SHA1_ETM, mac::HMAC_SHA1];

/// Extensions of the protocol stand in the same list as the key exchanges, and none of them may get lost: one
/// of them keeps an attacker from cutting messages off (strict key exchange).
const EXTENSIONS: [kex::Name; 4] = [
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

/// RSA with SHA-1, which is offered only where it is asked for.
const OLD_RSA: Algorithm = Algorithm::Rsa { hash: None };

/// Names of algorithms of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offered {
    /// What is offered where nothing else is said, the best liked first.
    pub default: Vec<&'static str>,
    /// All that there are.
    pub supported: Vec<&'static str>,
}

impl Algorithms {
    /// Key exchanges.
    #[must_use]
    pub fn kex() -> Offered {
        let default: Vec<_> = default_kex().map(|name| kex_name(*name)).collect();
        Offered { supported: [default.clone(), MORE_KEX.map(kex_name).into()].concat(), default }
    }

    /// Ciphers.
    #[must_use]
    pub fn ciphers() -> Offered {
        let default: Vec<_> = CIPHERS.map(cipher_name).into();
        Offered { supported: [default.clone(), MORE_CIPHERS.map(cipher_name).into()].concat(), default }
    }

    /// Message authentication codes.
    #[must_use]
    pub fn macs() -> Offered {
        let default: Vec<_> = Preferred::DEFAULT.mac.iter().map(|name| mac_name(*name)).collect();
        Offered { supported: [default.clone(), MORE_MACS.map(mac_name).into()].concat(), default }
    }

    /// Signatures of users' keys, and of keys with a certificate, which count apart.
    #[must_use]
    pub fn signatures() -> Offered {
        let certificates = [
            "ssh-ed25519-cert-v01@openssh.com",
            "ecdsa-sha2-nistp256-cert-v01@openssh.com",
            "ecdsa-sha2-nistp384-cert-v01@openssh.com",
            "ecdsa-sha2-nistp521-cert-v01@openssh.com",
            "rsa-sha2-512-cert-v01@openssh.com",
            "rsa-sha2-256-cert-v01@openssh.com",
        ];
        let Offered { default, supported } = Self::keys();
        let with = |keys: Vec<&'static str>| [&certificates[..], &keys].concat();
        Offered { default: with(default), supported: with(supported) }
    }

    /// Host keys.
    #[must_use]
    pub fn keys() -> Offered {
        let all = [
            "ssh-ed25519",
            "ecdsa-sha2-nistp256",
            "ecdsa-sha2-nistp384",
            "ecdsa-sha2-nistp521",
            "rsa-sha2-512",
            "rsa-sha2-256",
        ];
        Offered { supported: [&all[..], &["ssh-rsa"]].concat(), default: all.into() }
    }
}

macro_rules! static_name {
    ($function:ident, $kind:ident) => {
        /// The name with the lifetime that it has: russh's type lends it for its own only.
        fn $function(name: $kind::Name) -> &'static str {
            ALL_NAMES.iter().copied().find(|there| *there == name.as_ref()).unwrap_or_default()
        }
    };
}
static_name!(kex_name, kex);
static_name!(cipher_name, cipher);
static_name!(mac_name, mac);

const ALL_NAMES: [&str; 30] = [
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group17-sha512",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group15-sha512",
    "diffie-hellman-group14-sha256",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group-exchange-sha1",
    "diffie-hellman-group14-sha1",
    "diffie-hellman-group1-sha1",
    "aes256-gcm@openssh.com",
    "aes128-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
    "aes256-cbc",
    "aes192-cbc",
    "aes128-cbc",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512",
    "hmac-sha2-256",
    "hmac-sha1-etm@openssh.com",
    "hmac-sha1",
];

fn default_kex() -> impl Iterator<Item = &'static kex::Name> {
    let all: &'static [kex::Name] = match Preferred::DEFAULT.kex {
        Cow::Borrowed(all) => all,
        Cow::Owned(_) => &[],
    };
    all.iter().filter(|name| !EXTENSIONS.contains(name))
}

/// What is offered to a server: what was asked for, else our own choice with the types of host key first that
/// are known for it. Names that do not exist are left out.
pub(super) fn preferred(known_types: &[Algorithm], wanted: &Algorithms) -> Preferred {
    let kex = wanted.kex.as_ref().map(|names| {
        let named = names.iter().filter_map(|name| kex::Name::try_from(name.as_str()).ok());
        let mut named: Vec<_> =
            named.filter(|name| *name != kex::NONE && !EXTENSIONS.contains(name)).collect();
        named.extend(EXTENSIONS);
        Cow::Owned(named)
    });
    let ciphers = wanted.ciphers.as_ref().map(|names| {
        let named = names.iter().filter_map(|name| cipher::Name::try_from(name.as_str()).ok());
        Cow::Owned(named.filter(|name| ![cipher::NONE, cipher::CLEAR].contains(name)).collect())
    });
    let macs = wanted.macs.as_ref().map(|names| {
        let named = names.iter().filter_map(|name| mac::Name::try_from(name.as_str()).ok());
        Cow::Owned(named.filter(|name| *name != mac::NONE).collect())
    });
    let keys = match &wanted.host_keys {
        Some(names) => names.iter().filter_map(|name| key_algorithm(name)).collect(),
        None => host_key_order(known_types),
    };
    Preferred {
        kex: kex.unwrap_or(Preferred::DEFAULT.kex),
        key: Cow::Owned(keys),
        cipher: ciphers.unwrap_or(Cow::Borrowed(&CIPHERS)),
        mac: macs.unwrap_or(Preferred::DEFAULT.mac),
        ..Preferred::default()
    }
}

/// Certificates are checked, and asked for, elsewhere.
fn key_algorithm(name: &str) -> Option<Algorithm> {
    Preferred::DEFAULT.key.iter().find(|algorithm| algorithm.as_str() == name).cloned()
}

/// The types that are known for the server first, so that it shows a key that can be compared. RSA
/// with SHA-1 is not among them.
fn host_key_order(known: &[Algorithm]) -> Vec<Algorithm> {
    let is_known = |algorithm: &Algorithm| match algorithm {
        Algorithm::Rsa { .. } => known.iter().any(|k| matches!(k, Algorithm::Rsa { .. })),
        other => known.contains(other),
    };
    let usable = Preferred::DEFAULT.key.iter().filter(|a| **a != OLD_RSA).cloned();
    let (mut first, rest): (Vec<_>, Vec<_>) = usable.partition(is_known);
    first.extend(rest);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_types_of_host_keys_are_asked_for_first() {
        let names = |known: &[Algorithm]| {
            host_key_order(known).iter().map(|a| a.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&[])[0], "ssh-ed25519");
        assert_eq!(
            names(&[Algorithm::Rsa { hash: None }])[..3],
            ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]
        );
        assert!(!names(&[Algorithm::Rsa { hash: None }]).contains(&"ssh-rsa".to_owned()));
        assert_eq!(names(&[]), Algorithms::keys().default);
    }

    #[test]
    fn every_algorithm_has_its_name() {
        for Offered { default, supported } in
            [Algorithms::kex(), Algorithms::ciphers(), Algorithms::macs(), Algorithms::keys()]
        {
            assert!(!default.is_empty() && supported.iter().all(|name| !name.is_empty()), "{supported:?}");
        }
    }

    #[test]
    fn what_is_asked_for_is_offered_and_nothing_without_protection() {
        let text = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect());
        let wanted = Algorithms {
            kex: text(&["curve25519-sha256", "none", "unheard-of"]),
            ciphers: text(&["none", "clear", "aes128-ctr"]),
            macs: text(&["none", "hmac-sha2-256"]),
            host_keys: text(&["ssh-rsa", "ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519"]),
            signatures: None,
        };
        let preferred = preferred(&[], &wanted);
        assert_eq!(preferred.kex[0], kex::CURVE25519);
        assert!(preferred.kex.contains(&kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT));
        assert_eq!(preferred.kex.len(), 1 + EXTENSIONS.len());
        assert_eq!(*preferred.cipher, [cipher::AES_128_CTR]);
        assert_eq!(*preferred.mac, [mac::HMAC_SHA256]);
        assert_eq!(*preferred.key, [OLD_RSA, Algorithm::Ed25519]);
    }
}
