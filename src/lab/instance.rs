//! What the server of an instance and its connections know of the instance.

use std::sync::Arc;

use russh::{keys::ssh_key::public::KeyData, server::Config};
use tokio_util::sync::CancellationToken;

use super::{Fault, command::Home, process::Processes};

/// One instance.
pub(super) struct Instance {
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
}
