//! What is wrong with the options before anything is connected.

use std::{
    borrow::Cow,
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// The options can't be used.
#[derive(Debug, Error)]
pub enum ClientError {
    /// A known_hosts file is there and can't be read.
    #[error("can't read the known host keys in {file}")]
    KnownHosts {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than its owner may read a private key.
    #[error("the key file {file} has mode {mode:04o}: others than you can use it")]
    LooseMode {
        /// The file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A key file can't be read.
    #[error("can't read the key file {file}")]
    KeyFile {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The public half was named instead of the private one.
    #[error("{file} is a public key: signing in takes the private one")]
    PublicKey {
        /// The file.
        file: PathBuf,
    },
    /// It is encrypted in a way that can't be read here.
    #[error("the key file {file} is encrypted in a way that is not known here ({how})")]
    Sealed {
        /// The file.
        file: PathBuf,
        /// The cipher.
        how: String,
    },
    /// It can't be read in OpenSSH's container, and could in another.
    #[error("the key file {file} has an ECDSA key of a length that can't be read in OpenSSH's own container")]
    Short {
        /// The file.
        file: PathBuf,
    },
    /// A certificate was named, and the file holds none.
    #[error("{file} holds no certificate")]
    NotACertificate {
        /// The file.
        file: PathBuf,
    },
    /// The file holds something else, or a key of an unknown kind.
    #[error("{file} holds no private key that can be used: {reason}")]
    NotAKey {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl ClientError {
    /// The next thing to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::KnownHosts { .. } => Some(
                "taken as empty it would let changed keys pass: make it readable, or name another".into(),
            ),
            Self::LooseMode { file, .. } => Some(format!("`chmod 600 {}`", quoted(file))),
            Self::Sealed { file, .. } => {
                Some(format!("`ssh-keygen -p -f {}` writes it anew in OpenSSH's own way", quoted(file)))
            }
            Self::Short { file } => {
                Some(format!("`ssh-keygen -p -m PKCS8 -f {}` puts it into another", quoted(file)))
            }
            Self::NotACertificate { file } => {
                Some(format!("look at it: `ssh-keygen -L -f {}`", quoted(file)))
            }
            Self::KeyFile { .. } => {
                Some("check the name: `ls -l ~/.ssh` lists the keys that there usually are".into())
            }
            Self::PublicKey { file } => {
                let private = file.with_extension("");
                Some(format!("-i {}", private.display()))
            }
            Self::NotAKey { .. } => Some("make one with `ssh-keygen -t ed25519`".into()),
        }
    }

    /// True where going on would be unsafe, false where the options are wrong.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::LooseMode { .. })
    }
}

/// A file's name as a shell takes it.
fn quoted(file: &Path) -> String {
    let file = file.to_string_lossy();
    shlex::try_quote(&file).unwrap_or(Cow::Borrowed(&file)).into_owned()
}
