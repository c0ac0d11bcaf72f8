//! How to sign in somewhere, with the files that are needed for it read.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use secrecy::SecretString;

use super::{
    ClientError, HostKeyPolicy, KnownHostsFiles,
    agent::Agent,
    identity::{Identity, Origin},
    known_hosts::KnownHosts,
    password::Password,
    shared::Shared,
};

/// What to do where a server takes a password.
#[derive(Debug, Clone, Default)]
pub enum PasswordUse {
    /// Nothing.
    #[default]
    Never,
    /// Ask for it, once for all instances.
    Ask,
    /// Use this one.
    Given(SecretString),
}

/// How to sign in and whom to trust.
#[derive(Debug, Clone)]
pub struct LoginOptions {
    /// The user on the instance.
    pub user: String,
    /// Key files that were named (`-i`): any trouble with one of them is an error.
    pub identity_files: Vec<PathBuf>,
    /// Key files that are used if they are there and usable.
    pub default_keys: Vec<PathBuf>,
    /// The agent's socket (on Windows its named pipe).
    pub agent_socket: Option<PathBuf>,
    /// Passwords.
    pub password: PasswordUse,
    /// New host keys.
    pub host_keys: HostKeyPolicy,
    /// Known host keys.
    pub known_hosts: KnownHostsFiles,
    /// Most time from the name to the sign-in, without the time that a person takes to answer.
    pub connect_timeout: Duration,
}

/// How to sign in, ready for use: made by [`Client::login`](super::Client::login), shared by all
/// destinations that are signed in to alike.
pub struct Login {
    pub(super) options: LoginOptions,
    pub(super) known_hosts: Arc<KnownHosts>,
    pub(super) identities: Vec<Arc<Identity>>,
    pub(super) agent: Option<Arc<Agent>>,
    pub(super) password: Password,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.options.user).finish_non_exhaustive()
    }
}

impl Login {
    /// Reads what is not read yet. Blocks.
    pub(super) fn read(shared: &Shared, options: LoginOptions) -> Result<Self, ClientError> {
        let known_hosts = shared.known_hosts(&options.known_hosts)?;
        let mut identities = Vec::new();
        for path in &options.identity_files {
            identities.push(shared.identity(path, Origin::Named)?);
        }
        for path in &options.default_keys {
            match shared.identity(path, Origin::Default) {
                Ok(identity) => identities.push(identity),
                Err(ClientError::KeyFile { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let hint = error.hint().map(|h| format!(" ({h})")).unwrap_or_default();
                    shared.person.note(format!("skipped: {error}{hint}"));
                }
            }
        }
        Ok(Self {
            known_hosts,
            identities,
            agent: options.agent_socket.as_ref().map(|socket| shared.agent(socket)),
            password: Password::new(options.password.clone(), options.user.clone()),
            options,
        })
    }
}
