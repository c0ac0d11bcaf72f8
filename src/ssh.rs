//! The SSH client: connections with host key checks and sign-in, commands over them.
//!
//! The only module besides `lab` that names russh, whose interface breaks with every minor version.
//! Nothing here prints, looks into the environment or asks by itself: a [`Prompt`] does.

mod agent;
mod algorithms;
mod auth;
mod certificate;
mod channel;
mod client;
mod command;
mod destination;
mod error;
pub mod escape;
mod forward;
mod greeting;
mod handler;
mod host_key;
mod identity;
mod keyring;
mod known_hosts;
mod limit;
mod login;
mod method;
mod password;
mod person;
pub mod pty;
mod questions;
mod reports;
mod rsa_size;
mod scan;
mod session;
pub mod sftp;
mod shared;
pub mod shell;
mod stage;
mod through;
mod transport;
mod trust;

use std::{io, time::Duration};

pub use algorithms::Offered;
pub use client::Client;
pub use command::{RemoteCommand, Stdin};
pub use destination::{Destination, Proxy};
pub use error::ClientError;
pub use forward::{ForwardPlan, Forwards, Gateway, NoWay, Notes};
pub use host_key::{Filed, HostKeyPolicy, KnownKey, Mark, NewHostKey, forget_in};
pub use keyring::{Added, Keyring};
pub use known_hosts::{KnownHostsFiles, NameHashing};
pub use login::{AgentKeys, Algorithms, Keepalive, Login, LoginOptions, PasswordUse};
pub use method::Method;
pub use scan::HostKey;
pub use secrecy::{ExposeSecret, SecretString};
pub use session::Session;
pub use through::{Rounds, probe_through};

/// How often a session sends a sign of life. Azure's load balancer forgets a flow that is silent for four
/// minutes (its shortest setting), and three that are not answered end the session.
pub const KEEPALIVE: Duration = Duration::from_secs(30);

/// What a person says to the new host keys of a fan-out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustAnswer {
    /// The same for all, those that come later too.
    All(bool),
    /// One answer for each, in the order of the question.
    Each(Vec<bool>),
}

impl TrustAnswer {
    /// The answer for a key, by its place in the question.
    fn of(&self, place: Option<usize>) -> bool {
        match self {
            Self::All(answer) => *answer,
            Self::Each(answers) => place.and_then(|place| answers.get(place)).copied().unwrap_or(false),
        }
    }
}

/// How the client reaches the person who runs it. Called from a thread that may block, one question
/// at a time.
pub trait Prompt: Send + Sync {
    /// Asks for a secret without showing what is typed; `Ok(None)` where nobody can be asked.
    ///
    /// # Errors
    /// When the terminal fails.
    fn secret(&self, question: &str) -> io::Result<Option<SecretString>>;

    /// Asks for something that may be seen while it is typed, a code for example; `Ok(None)` where nobody can
    /// be asked.
    ///
    /// # Errors
    /// When the terminal fails.
    fn answer(&self, question: &str) -> io::Result<Option<SecretString>> {
        self.secret(question)
    }

    /// Shows a new host key and asks whether to trust it; `Ok(false)` where nobody can be asked.
    ///
    /// # Errors
    /// When the terminal fails.
    fn trust_host_key(&self, new: &NewHostKey) -> io::Result<bool>;

    /// Shows the new host keys of a fan-out in one question for all of them. An answer for all holds for the
    /// rest of the run. Where this is not made, each is asked about.
    ///
    /// # Errors
    /// When the terminal fails.
    fn trust_host_keys(&self, new: &[NewHostKey]) -> io::Result<TrustAnswer> {
        new.iter().map(|new| self.trust_host_key(new)).collect::<io::Result<_>>().map(TrustAnswer::Each)
    }

    /// Shows a note: a host key that was filed, a server's banner (cleaned; may have several lines).
    /// Must not wait.
    fn note(&self, text: &str);

    /// Shows what a server says before the sign-in, cleaned; may have several lines. Must not wait.
    fn banner(&self, text: &str) {
        self.note(text);
    }
}
