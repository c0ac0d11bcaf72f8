use std::{io, path::PathBuf};

use russh::keys::ssh_key;
use thiserror::Error;

use super::MAX_INSTANCES;
use crate::natmap::PortError;

/// Why a lab could not be started.
#[derive(Debug, Error)]
pub enum LabError {
    /// Too few or too many instances.
    #[error("a lab has 1 to {MAX_INSTANCES} instances, not {0}")]
    Instances(usize),
    /// A fault for an instance that isn't there.
    #[error("there is no instance {wanted} to be faulty; there are 0-{last}")]
    NoSuchInstance {
        /// The largest number that a fault names.
        wanted: usize,
        /// The largest that there is.
        last: usize,
    },
    /// The given base port leaves no room.
    #[error("{instances} ports from {base} on are not all between 1 and 65535")]
    BasePort {
        /// As given.
        base: u16,
        /// How many ports are needed.
        instances: usize,
    },
    /// A port of the given range is in use, or not to be had for another reason.
    #[error("port {port} of 127.0.0.1 can't be had")]
    PortTaken {
        /// Which port.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// Not even single ports could be opened.
    #[error("no port on 127.0.0.1 could be opened")]
    Ports(#[source] io::Error),
    /// The limit on open files is too low, and final.
    #[error("{instances} instances need {needed} file handles, and the limit is {limit}")]
    FileHandles {
        /// The wish.
        instances: usize,
        /// Handles needed at least.
        needed: u64,
        /// Handles that there are.
        limit: u64,
    },
    /// The lab's folder, or something in it, could not be made.
    #[error("can't write to {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A key could not be made.
    #[error("can't make an SSH key: {0}")]
    Key(String),
}

impl LabError {
    /// The next thing to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Instances(_) | Self::Key(_) => return None,
            Self::NoSuchInstance { wanted, .. } => {
                format!(
                    "ask for more instances ({} for this fault) or name another one",
                    wanted.saturating_add(1)
                )
            }
            Self::BasePort { .. } | Self::PortTaken { .. } => {
                "choose another base port, or none: the lab then finds a free range".into()
            }
            Self::Ports(_) => "see what holds the ports (`ss -ltn`), or ask for fewer instances".into(),
            Self::FileHandles { needed, .. } => {
                format!(
                    "raise the limit (`ulimit -n {needed}`; `ulimit -Hn` says how far), or ask for fewer instances"
                )
            }
            Self::Folder { .. } => "make room or set TMPDIR to a folder that you can write to".into(),
        })
    }

    pub(super) fn key(error: ssh_key::Error) -> Self {
        Self::Key(error.to_string())
    }
}

impl From<PortError> for LabError {
    fn from(error: PortError) -> Self {
        Self::Ports(io::Error::other(error))
    }
}
