//! How to sign in somewhere, with the files that are needed for it read.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use secrecy::SecretString;

use super::{
    ClientError, HostKeyPolicy, KnownHostsFiles, Method, NameHashing,
    agent::Agent,
    identity::{CertificateFile, Identity, Origin, TRIES},
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
    /// User certificates besides those that lie beside their keys (`CertificateFile`).
    pub certificate_files: Vec<PathBuf>,
    /// The agent's socket (on Windows its named pipe).
    pub agent_socket: Option<PathBuf>,
    /// Which of the agent's keys are offered.
    pub agent_keys: AgentKeys,
    /// Passwords.
    pub password: PasswordUse,
    /// The methods that may be used, the best liked first (`PreferredAuthentications`).
    pub methods: Vec<Method>,
    /// So many times a password is asked for in a run, and a server may begin to ask (`NumberOfPasswordPrompts`).
    pub most_passwords: usize,
    /// New host keys.
    pub host_keys: HostKeyPolicy,
    /// Known host keys.
    pub known_hosts: KnownHostsFiles,
    /// How names are written there.
    pub name_hashing: NameHashing,
    /// The scale set's name, noted beside the keys that are filed.
    pub scale_set: Option<String>,
    /// The name that the host key is filed under in place of the endpoint's own (`HostKeyAlias`).
    pub host_key_alias: Option<String>,
    /// Algorithms to offer.
    pub algorithms: Algorithms,
    /// Shorter RSA keys, the server's and the user's, are not taken (`RequiredRSASize`): bits.
    pub least_rsa_bits: u32,
    /// Signs of life.
    pub keepalive: Keepalive,
    /// Most time from the name to the sign-in, without the time that a person takes to answer.
    pub connect_timeout: Duration,
}

impl LoginOptions {
    /// How often a password is asked for where nothing is said (ssh_config(5), NumberOfPasswordPrompts).
    pub const MOST_PASSWORDS: usize = TRIES;

    /// The shortest RSA key that is ever taken (ssh_config(5), RequiredRSASize).
    pub const LEAST_RSA_BITS: u32 = 1024;

    /// Signing in as this user with nothing but what is added to it, and new host keys asked about.
    #[must_use]
    pub fn new(user: impl Into<String>, known_hosts: KnownHostsFiles) -> Self {
        Self {
            user: user.into(),
            identity_files: Vec::new(),
            default_keys: Vec::new(),
            certificate_files: Vec::new(),
            agent_socket: None,
            agent_keys: AgentKeys::All,
            password: PasswordUse::Never,
            methods: Method::DEFAULT.into(),
            most_passwords: Self::MOST_PASSWORDS,
            host_keys: HostKeyPolicy::Ask,
            known_hosts,
            name_hashing: NameHashing::AsTheFile,
            scale_set: None,
            host_key_alias: None,
            algorithms: Algorithms::default(),
            least_rsa_bits: Self::LEAST_RSA_BITS,
            keepalive: Keepalive::default(),
            connect_timeout: CONNECT_TIMEOUT,
        }
    }
}

/// A flaky path still connects within this, and an administrator in a hurry still waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Which of an agent's keys are offered to a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum AgentKeys {
    /// All: the named ones first.
    #[default]
    All,
    /// Only those whose files are named (`IdentitiesOnly`).
    Named,
}

/// Algorithms by the names that the protocol has for them, the best liked first; `None` for vmssh's own choice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Algorithms {
    /// Key exchange (`KexAlgorithms`).
    pub kex: Option<Vec<String>>,
    /// Ciphers (`Ciphers`).
    pub ciphers: Option<Vec<String>>,
    /// Message authentication codes (`MACs`).
    pub macs: Option<Vec<String>>,
    /// Host keys (`HostKeyAlgorithms`).
    pub host_keys: Option<Vec<String>>,
    /// Signatures of the user's keys (`PubkeyAcceptedAlgorithms`).
    pub signatures: Option<Vec<String>>,
}

/// How often a session asks the server for a sign of life, and when it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Keepalive {
    /// How long the server may be silent before it is asked (`ServerAliveInterval`); `None`: it is never asked.
    pub interval: Option<Duration>,
    /// So many questions without an answer end the session (`ServerAliveCountMax`).
    pub most_unanswered: usize,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { interval: Some(super::KEEPALIVE), most_unanswered: 3 }
    }
}

/// How to sign in, ready for use: made by [`Client::login`](super::Client::login), shared by all
/// destinations that are signed in to alike.
pub struct Login {
    pub(super) options: LoginOptions,
    pub(super) known_hosts: Arc<KnownHosts>,
    pub(super) identities: Vec<Arc<Identity>>,
    pub(super) certificates: Vec<CertificateFile>,
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
        let certificates = options.certificate_files.iter().map(|path| CertificateFile::read(path));
        Ok(Self {
            known_hosts,
            identities,
            certificates: certificates.collect::<Result<_, _>>()?,
            agent: options.agent_socket.as_ref().map(|socket| shared.agent(socket)),
            password: Password::new(&options),
            options,
        })
    }

    /// One that has read nothing.
    #[cfg(test)]
    pub(super) fn without_files(options: LoginOptions) -> Self {
        Self {
            known_hosts: Arc::new(KnownHosts::read(&options.known_hosts).unwrap().0),
            identities: Vec::new(),
            certificates: Vec::new(),
            agent: None,
            password: Password::new(&options),
            options,
        }
    }
}
