//! The keys of a run.

use russh::keys::{Algorithm, PrivateKey, PublicKey};

use super::{Fault, LabError};

/// The key that an instance has, and the one that known_hosts lists for it.
pub(super) struct HostKey {
    pub(super) served: PrivateKey,
    pub(super) listed: PublicKey,
}

impl HostKey {
    pub(super) fn new(fault: Option<Fault>) -> Result<Self, LabError> {
        let served = new_key()?;
        let listed = match fault {
            Some(Fault::HostKey) => new_key()?.public_key().clone(),
            _ => served.public_key().clone(),
        };
        Ok(Self { served, listed })
    }
}

/// Ed25519 is the quickest to make and what new servers have.
pub(super) fn new_key() -> Result<PrivateKey, LabError> {
    PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).map_err(LabError::key)
}
