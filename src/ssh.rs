//! The SSH client: connections with host key checks and sign-in, commands over them.
//!
//! The only module besides `lab` that names russh, whose interface breaks with every minor version.
//! Nothing here prints, looks into the environment or asks by itself: a [`Prompt`] does.

mod agent;
mod auth;
mod channel;
mod client;
mod command;
mod destination;
mod error;
pub mod escape;
mod greeting;
mod handler;
mod host_key;
mod identity;
mod known_hosts;
mod limit;
mod login;
mod password;
mod person;
pub mod pty;
mod session;
pub mod sftp;
mod shared;
pub mod shell;
mod stage;
mod transport;

use std::{io, time::Duration};

pub use client::Client;
pub use command::{RemoteCommand, Stdin};
pub use destination::Destination;
pub use error::ClientError;
pub use host_key::{HostKeyPolicy, KnownKey, NewHostKey};
pub use known_hosts::KnownHostsFiles;
pub use login::{AgentKeys, Algorithms, Keepalive, Login, LoginOptions, PasswordUse};
pub use secrecy::{ExposeSecret, SecretString};
pub use session::Session;

/// How often a session sends a sign of life. Azure's load balancer forgets a flow that is silent for four
/// minutes (its shortest setting), and three that are not answered end the session.
pub const KEEPALIVE: Duration = Duration::from_secs(30);

/// How the client reaches the person who runs it. Called from a thread that may block, one question
/// at a time.
pub trait Prompt: Send + Sync {
    /// Asks for a secret without showing what is typed; `Ok(None)` where nobody can be asked.
    ///
    /// # Errors
    /// When the terminal fails.
    fn secret(&self, question: &str) -> io::Result<Option<SecretString>>;

    /// Shows a new host key and asks whether to trust it; `Ok(false)` where nobody can be asked.
    ///
    /// # Errors
    /// When the terminal fails.
    fn trust_host_key(&self, new: &NewHostKey) -> io::Result<bool>;

    /// Shows a note: a host key that was filed, a server's banner (cleaned; may have several lines).
    /// Must not wait.
    fn note(&self, text: &str);
}
