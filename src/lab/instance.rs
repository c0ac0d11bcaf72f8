//! What the server of an instance and its connections know of the instance.

use std::sync::{Arc, Weak};

use russh::{keys::ssh_key::public::KeyData, server::Config};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{Fault, command::Home, network::Network, process::Processes};

/// Connections of one instance at a time; more are closed at once. Bounds the file handles that a
/// client in a loop can take, and is far above what one client needs.
const MAX_CONNECTIONS: usize = 64;

/// One instance.
pub(super) struct Instance {
    /// Its number, which is its id.
    pub(super) number: usize,
    /// Its server's settings, with its host key.
    pub(super) config: Arc<Config>,
    /// What is wrong with it.
    pub(super) fault: Option<Fault>,
    /// Where its commands run.
    pub(super) home: Home,
    /// The only key that can sign in.
    pub(super) accepted_key: Arc<KeyData>,
    /// The processes of the whole lab.
    pub(super) processes: Arc<Processes>,
    /// Set when the lab ends.
    pub(super) end: CancellationToken,
    /// The private network that it is in.
    pub(super) network: Weak<Network>,
    /// Places for connections.
    pub(super) room: Arc<Semaphore>,
}

impl Instance {
    /// Room for its connections.
    pub(super) fn room() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(MAX_CONNECTIONS))
    }

    /// A place for a connection, if there is one left.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_owned().ok()
    }
}
