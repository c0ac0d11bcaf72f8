//! The known host keys of a set of files, to be looked at and changed by hand.

use std::{io, path::Path};

use jiff::Timestamp;

use super::{
    ClientError, HostKey,
    certificate::CertificateNames,
    client::server_name,
    host_key::{Filed, HostKeyStatus, KnownKey, Mark},
    known_hosts::{Filing, KnownHosts, KnownHostsFiles, NameHashing, NewLine, ServerName},
};
use crate::natmap::Endpoint;

/// What is known, read once. Its functions block.
#[derive(Debug)]
pub struct Keyring {
    known: KnownHosts,
    notes: Vec<String>,
}

/// What came of adding keys that somebody vouches for.
#[derive(Debug)]
pub enum Added {
    /// They were known.
    Known,
    /// They are filed.
    Filed,
    /// They are filed in place of these, which were vmssh's own.
    Replaced(Vec<KnownKey>),
    /// Nothing is filed: another file says something else, which is not vmssh's to change.
    Contradicted(Vec<KnownKey>),
    /// Nothing is filed: a key is marked `@revoked`.
    Revoked(KnownKey),
}

impl Keyring {
    /// Reads the files.
    ///
    /// # Errors
    /// When one of them is there and can't be read.
    pub fn read(files: &KnownHostsFiles) -> Result<Self, ClientError> {
        let read = KnownHosts::read(files);
        let (known, notes) = read.map_err(|(file, source)| ClientError::KnownHosts { file, source })?;
        Ok(Self { known, notes })
    }

    /// What was odd in the files.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// vmssh's own file.
    #[must_use]
    pub fn own(&self) -> &Path {
        self.known.own()
    }

    /// All that is on file for an endpoint, marked lines too.
    #[must_use]
    pub fn of(&self, endpoint: &Endpoint) -> Vec<KnownKey> {
        self.known.of(&server_name(&endpoint.host_key_alias()), &CertificateNames::of(endpoint, None))
    }

    /// Files all keys of a machine, which somebody vouches for. What else vmssh's own file has for it goes:
    /// it is of an earlier life.
    ///
    /// # Errors
    /// When the file can't be read or written.
    pub fn add(
        &self,
        endpoint: &Endpoint,
        keys: &[HostKey],
        scale_set: Option<&str>,
        hashing: NameHashing,
    ) -> io::Result<Added> {
        let name = server_name(&endpoint.host_key_alias());
        let statuses: Vec<_> =
            keys.iter().map(|key| self.known.status(&name, key.public().key_data())).collect();
        for status in &statuses {
            match status {
                HostKeyStatus::Revoked { known } => return Ok(Added::Revoked(known.clone())),
                HostKeyStatus::Changed { known } if known.iter().any(|k| k.file != self.known.own()) => {
                    return Ok(Added::Contradicted(known.clone()));
                }
                _ => {}
            }
        }
        let fingerprints: Vec<_> = keys.iter().map(HostKey::fingerprint).collect();
        let is_old = |known: &KnownKey| {
            known.mark == Mark::None
                && known.file == self.known.own()
                && !fingerprints.contains(&known.fingerprint)
        };
        let has_old = self.known.named(&name.alias).iter().any(is_old);
        if !has_old && statuses.iter().all(|status| *status == HostKeyStatus::Known) {
            return Ok(Added::Known);
        }
        let replaced = if has_old { self.known.forget(&[&name.alias])? } else { Vec::new() };
        for key in keys {
            self.file(endpoint, &name, key, scale_set, hashing)?;
        }
        Ok(if replaced.is_empty() { Added::Filed } else { Added::Replaced(replaced) })
    }

    fn file(
        &self,
        endpoint: &Endpoint,
        name: &ServerName,
        key: &HostKey,
        scale_set: Option<&str>,
        hashing: NameHashing,
    ) -> io::Result<()> {
        let data = key.public().key_data();
        let filed = Filed {
            date: Timestamp::now().strftime("%Y-%m-%d").to_string(),
            instance: endpoint.instance.as_ref().map(ToString::to_string),
            scale_set: scale_set.map(Into::into),
            at: Some(endpoint.to_string()),
        };
        let decided_on = self.known.status(name, data);
        let new = NewLine { name: &name.alias, key: data, filed, hashing };
        match self.known.file(name, &new, &decided_on) {
            Filing::Done => Ok(()),
            Filing::Unwritten(_, error) => Err(error),
            Filing::Overtaken(_) => Err(io::Error::other("another program has filed a key meanwhile")),
        }
    }

    /// Takes names out of vmssh's own file and gives what was filed under them.
    ///
    /// # Errors
    /// When the file can't be read or written.
    pub fn forget(&self, names: &[&str]) -> io::Result<Vec<KnownKey>> {
        self.known.forget(names)
    }

    /// What other files still have under names.
    #[must_use]
    pub fn elsewhere(&self, names: &[&str]) -> Vec<KnownKey> {
        let plain = names.iter().flat_map(|name| self.known.named(name));
        plain.filter(|key| key.mark == Mark::None && key.file != self.known.own()).collect()
    }
}
