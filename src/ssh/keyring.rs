//! The known host keys of a set of files, to be looked at and changed by hand.

use std::{io, path::Path};

use jiff::Timestamp;

use super::{
    ClientError, HostKey,
    certificate::CertificateNames,
    client::server_name,
    host_key::{Filed, HostKeyStatus, KnownKey, Mark},
    known_hosts::{Filing, KnownHosts, KnownHostsFiles, NameHashing, NewLine},
};
use crate::natmap::Endpoint;

/// What is known, read once. Its functions block.
#[derive(Debug)]
pub struct Keyring {
    known: KnownHosts,
    notes: Vec<String>,
}

/// What came of adding a key that somebody vouches for.
#[derive(Debug)]
pub enum Added {
    /// It was known.
    Known,
    /// It is filed.
    Filed,
    /// It is filed in place of these, which were vmssh's own.
    Replaced(Vec<KnownKey>),
    /// It is not filed: another file says something else, which is not vmssh's to change.
    Contradicted(Vec<KnownKey>),
    /// It is not filed: it is marked `@revoked`.
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
        self.known.of(&server_name(endpoint), &CertificateNames::of(endpoint, None))
    }

    /// Files a key that somebody vouches for. What vmssh's own file has of the same type goes.
    ///
    /// # Errors
    /// When the file can't be read or written.
    pub fn add(
        &self,
        endpoint: &Endpoint,
        key: &HostKey,
        scale_set: Option<&str>,
        hashing: NameHashing,
    ) -> io::Result<Added> {
        let (name, data) = (server_name(endpoint), key.public().key_data());
        let mut replaced = Vec::new();
        match self.known.status(&name, data) {
            HostKeyStatus::Known => return Ok(Added::Known),
            HostKeyStatus::Revoked { known } => return Ok(Added::Revoked(known)),
            HostKeyStatus::Changed { known } => {
                if known.iter().any(|known| known.file != self.known.own()) {
                    return Ok(Added::Contradicted(known));
                }
                // All of its keys belong to the machine's earlier life.
                replaced = self.known.forget(&[&name.alias])?;
            }
            HostKeyStatus::New { .. } => {}
        }
        let filed = Filed {
            date: Timestamp::now().strftime("%Y-%m-%d").to_string(),
            instance: endpoint.instance.as_ref().map(ToString::to_string),
            scale_set: scale_set.map(Into::into),
            at: Some(endpoint.to_string()),
        };
        let decided_on = self.known.status(&name, data);
        let new = NewLine { name: &name.alias, key: data, filed, hashing };
        match self.known.file(&name, &new, &decided_on) {
            Filing::Done if replaced.is_empty() => Ok(Added::Filed),
            Filing::Done => Ok(Added::Replaced(replaced)),
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
