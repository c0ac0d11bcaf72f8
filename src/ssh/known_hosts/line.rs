//! One line of a known_hosts file.
//!
//! The format is OpenSSH's (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). What stands behind the key is a comment,
//! and vmssh says there when it filed the key, for which instance and at which port.

use std::{path::Path, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use russh::keys::{
    HashAlg, PublicKey,
    ssh_key::{
        known_hosts::{HostPatterns, Marker},
        public::KeyData,
    },
};

use super::super::host_key::{Filed, KnownKey, Mark};
use crate::pattern;

/// A line, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) marker: Option<Marker>,
    pub(super) names: HostPatterns,
    pub(super) key: KeyData,
    pub(super) filed: Option<Filed>,
    pub(super) file: Arc<Path>,
    /// From 1; `None` for one that this run has added.
    pub(super) number: Option<usize>,
}

impl Line {
    /// The same for those who look from outside.
    pub(super) fn known(&self) -> KnownKey {
        KnownKey {
            names: match &self.names {
                HostPatterns::Patterns(names) => Some(names.join(",")),
                HostPatterns::HashedName { .. } => None,
            },
            mark: match self.marker {
                None => Mark::None,
                Some(Marker::CertAuthority) => Mark::CertAuthority,
                Some(Marker::Revoked) => Mark::Revoked,
            },
            key_type: self.key.algorithm().to_string(),
            fingerprint: self.key.fingerprint(HashAlg::Sha256).to_string(),
            filed: self.filed.clone(),
            file: self.file.to_path_buf(),
            line: self.number,
        }
    }

    pub(super) fn is_plain(&self) -> bool {
        self.marker.is_none()
    }

    pub(super) fn is(&self, marker: Marker) -> bool {
        self.marker == Some(marker)
    }

    pub(super) fn names_one_of<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> bool {
        names.into_iter().any(|name| matches(&self.names, name))
    }
}

/// Reads the lines of a text whose first one has this number. Gives notes about lines that were skipped.
pub(super) fn parse(text: &str, first: usize, path: &Path) -> (Vec<Line>, Vec<String>) {
    let file: Arc<Path> = path.into();
    let (mut lines, mut notes) = (Vec::new(), Vec::new());
    for (number, text) in (first..).zip(text.lines()) {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        match parse_line(text) {
            Some((marker, names, key, comment)) => lines.push(Line {
                marker,
                names,
                key,
                filed: Filed::read(comment),
                file: file.clone(),
                number: Some(number),
            }),
            None => notes.push(format!("{}:{number} is no known_hosts line, skipped", path.display())),
        }
    }
    (lines, notes)
}

/// Marker, names, key and comment of a line.
pub(super) fn parse_line(text: &str) -> Option<(Option<Marker>, HostPatterns, KeyData, &str)> {
    fn word(text: &str) -> Option<(&str, &str)> {
        text.split_once(char::is_whitespace).map(|(word, rest)| (word, rest.trim_start()))
    }
    let (first, rest) = word(text)?;
    let (marker, names, rest) = if first.starts_with('@') {
        let (names, rest) = word(rest)?;
        (Some(first.parse().ok()?), names, rest)
    } else {
        (None, first, rest)
    };
    let (key_type, rest) = word(rest)?;
    let (key, comment) = word(rest).unwrap_or((rest, ""));
    let key = PublicKey::from_openssh(&format!("{key_type} {key}")).ok()?;
    Some((marker, names.parse().ok()?, key.key_data().clone(), comment))
}

/// True where a line's names take in `name`.
pub(super) fn matches(names: &HostPatterns, name: &str) -> bool {
    match names {
        HostPatterns::HashedName { salt, hash } => {
            let Ok(mut mac) = Hmac::<sha1::Sha1>::new_from_slice(salt) else { return false };
            mac.update(name.as_bytes());
            mac.verify_slice(hash).is_ok()
        }
        HostPatterns::Patterns(patterns) => {
            let (mut found, mut denied) = (false, false);
            for pattern in patterns {
                match pattern.strip_prefix('!') {
                    Some(pattern) => denied |= pattern::matches(pattern, name),
                    None => found |= pattern::matches(pattern, name),
                }
            }
            found && !denied
        }
    }
}

/// As long as the hash, as OpenSSH makes it.
const SALT: usize = 20;

/// A name as `HashKnownHosts` files it: `|1|SALT|HMAC-SHA1`, which tells nobody what hosts there are.
pub(super) fn hashed(name: &str) -> HostPatterns {
    let salt = rand::random::<[u8; SALT]>();
    let mut hash = [0; 20];
    if let Ok(mut mac) = Hmac::<sha1::Sha1>::new_from_slice(&salt) {
        mac.update(name.as_bytes());
        hash = mac.finalize().into_bytes().into();
    }
    HostPatterns::HashedName { salt: salt.to_vec(), hash }
}

/// A line's text with its end. What is said about a hashed name would tell what the hash hides, so only the
/// date is.
pub(super) fn write(names: &HostPatterns, key: &KeyData, filed: &Filed) -> Result<String, std::io::Error> {
    let (names, comment) = match names {
        HostPatterns::Patterns(names) => (names.join(","), filed.to_string()),
        HostPatterns::HashedName { salt, hash } => (
            format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(hash)),
            Filed { date: filed.date.clone(), ..Filed::default() }.to_string(),
        ),
    };
    // The server's key has no comment of its own; nothing of it but the key is written.
    let key = PublicKey::new(key.clone(), "").to_openssh().map_err(std::io::Error::other)?;
    Ok(format!("{names} {} {comment}\n", key.trim_end()))
}

/// What is left of a line without some names: itself, a shorter list of names, or nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// It does not name them, or by a wildcard that names others too.
    Same,
    Shorter(String),
    Nothing,
}

/// Takes names out of a line, as `ssh-keygen -R` does: marked lines stay, and wildcards too.
pub(super) fn without(text: &str, forgotten: &[&str]) -> Rest {
    let Some((None, names, _, _)) = parse_line(text.trim()) else { return Rest::Same };
    let HostPatterns::Patterns(patterns) = &names else {
        let named = forgotten.iter().any(|name| matches(&names, name));
        return if named { Rest::Nothing } else { Rest::Same };
    };
    let is_forgotten = |pattern: &&String| forgotten.iter().any(|name| pattern.eq_ignore_ascii_case(name));
    let kept: Vec<_> = patterns.iter().filter(|p| !is_forgotten(p)).map(String::as_str).collect();
    match kept.len() {
        left if left == patterns.len() => Rest::Same,
        // Only exceptions from what is gone.
        _ if kept.iter().all(|pattern| pattern.starts_with('!')) => Rest::Nothing,
        _ => {
            let behind = text.trim_start().split_once(char::is_whitespace).map_or("", |(_, rest)| rest);
            Rest::Shorter(format!("{} {behind}", kept.join(",")))
        }
    }
}
