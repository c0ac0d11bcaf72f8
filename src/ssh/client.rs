//! The client that all connections of a run share, and how a connection comes about.

use std::{
    borrow::Cow,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use russh::{
    Preferred, SshId, cipher,
    client::{self, Handle},
    keys::Algorithm,
};
use thiserror::Error;
use tokio_util::task::TaskTracker;

use super::{
    ClientOptions, Prompt, agent, auth, greeting,
    handler::{Ending, Watch, WatchError, describe},
    identity::Identity,
    known_hosts::{KnownHosts, ServerName},
    limit::Limit,
    person::Person,
    session::Session,
    transport::{Cutter, FirstBytes, Listening},
};
use crate::{
    event::{Failure, Stage},
    natmap::{Endpoint, Host},
    net::{
        connect::{self, ConnectError, seconds},
        resolve::{ResolveError, Resolver},
    },
};

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
            Self::LooseMode { file, .. } => {
                let file = file.to_string_lossy();
                let file = shlex::try_quote(&file).unwrap_or(Cow::Borrowed(&file));
                Some(format!("`chmod 600 {file}`"))
            }
            Self::KeyFile { .. } => Some("see which keys there are: `ls ~/.ssh`".into()),
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
        matches!(self, Self::LooseMode { .. } | Self::KnownHosts { .. })
    }
}

/// What all connections of a run share.
pub(super) struct Shared {
    pub(super) options: ClientOptions,
    pub(super) resolver: Resolver,
    pub(super) person: Person,
    pub(super) known_hosts: KnownHosts,
    pub(super) identities: Vec<Arc<Identity>>,
    pub(super) password: auth::Password,
    pub(super) agent: Option<agent::Agent>,
    pub(super) goodbyes: TaskTracker,
}

/// Makes connections. Cheap to clone: clones share the known host keys, the keys that were decrypted
/// and the answers that were given.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// Reads the known host keys and the key files. Pass phrases are asked when they are needed.
    ///
    /// # Errors
    /// When a known_hosts file or a key file that was named can't be used.
    pub async fn new(
        options: ClientOptions,
        resolver: Resolver,
        prompt: Arc<dyn Prompt>,
    ) -> Result<Self, ClientError> {
        let reading = tokio::task::spawn_blocking(move || {
            let read = read_files(&options);
            read.map(|files| (options, files))
        });
        let (options, (known_hosts, identities, notes)) = match reading.await {
            Ok(read) => read?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let person = Person::new(prompt);
        notes.into_iter().for_each(|note| person.note(note));
        let shared = Shared {
            password: auth::Password::default(),
            agent: options.agent_socket.clone().map(agent::Agent::new),
            options,
            resolver,
            person,
            known_hosts,
            identities,
            goodbyes: TaskTracker::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Connects and signs in.
    ///
    /// # Errors
    /// With the stage that failed, why, and what to do.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Session, Failure> {
        let limit = Limit::new(self.shared.options.connect_timeout);
        let progress = Progress::default();
        tokio::select! {
            result = Box::pin(self.attempt(endpoint, &limit, &progress)) => result,
            () = limit.run_out() => Err(timed_out(progress.stage(), limit.whole())),
        }
    }

    /// Waits until the connections that were dropped have said goodbye: a second at most for each,
    /// all at once. What is still on its way when the runtime ends is cut off.
    pub async fn settle(&self) {
        self.shared.goodbyes.close();
        self.shared.goodbyes.wait().await;
        self.shared.goodbyes.reopen();
    }

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        limit: &Arc<Limit>,
        progress: &Progress,
    ) -> Result<Session, Failure> {
        progress.reach(Stage::Resolve);
        let addresses =
            self.shared.resolver.resolve(&endpoint.host).await.map_err(|e| unresolved(&e, &endpoint.host))?;
        progress.reach(Stage::Connect);
        let port = endpoint.port.get();
        let stream = connect::connect(&addresses, port, limit.left()).await.map_err(|e| unconnected(&e))?;
        let cutter = Cutter::new(&stream).map_err(|e| local_trouble(Stage::Connect, &e))?;
        progress.reach(Stage::Banner);

        let name = server_name(endpoint);
        let server = name.alias.clone();
        let config = Arc::new(config(&self.shared.known_hosts.types(&name)));
        let ending = Ending::default();
        let watch = Watch {
            shared: self.shared.clone(),
            name,
            limit: limit.clone(),
            keys_exchanged: progress.keys_exchanged.clone(),
            ending: ending.clone(),
            cut: cutter.token(),
        };
        let stream = Listening::new(stream, progress.first.clone());
        let handle: Handle<Watch> = client::connect_stream(config, stream, watch)
            .await
            .map_err(|error| no_transport(error, progress))?;
        progress.reach(Stage::Auth);

        // From here on the session's drop says goodbye, also when this future is dropped.
        let mut session = Session::new(self.shared.clone(), ending, handle, cutter);
        auth::sign_in(&self.shared, &mut session, limit, &server).await?;
        Ok(session)
    }
}

type Files = (KnownHosts, Vec<Arc<Identity>>, Vec<String>);

fn read_files(options: &ClientOptions) -> Result<Files, ClientError> {
    let (known_hosts, mut notes) = KnownHosts::read(&options.known_hosts)
        .map_err(|(file, source)| ClientError::KnownHosts { file, source })?;
    let mut identities = Vec::new();
    for path in &options.identity_files {
        identities.push(Arc::new(Identity::read(path, true)?));
    }
    for path in &options.default_keys {
        match Identity::read(path, false) {
            Ok(identity) => identities.push(Arc::new(identity)),
            Err(ClientError::KeyFile { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let hint = error.hint().map(|h| format!(" ({h})")).unwrap_or_default();
                notes.push(format!("skipped: {error}{hint}"));
            }
        }
    }
    Ok((known_hosts, identities, notes))
}

/// How far an attempt got.
#[derive(Debug, Default)]
struct Progress {
    stage: AtomicU8,
    first: FirstBytes,
    keys_exchanged: Arc<AtomicBool>,
}

impl Progress {
    const STAGES: [Stage; 4] = [Stage::Resolve, Stage::Connect, Stage::Banner, Stage::Auth];

    fn reach(&self, stage: Stage) {
        let place = Self::STAGES.iter().position(|s| *s == stage).unwrap_or_default();
        self.stage.store(u8::try_from(place).unwrap_or_default(), Ordering::Release);
    }

    fn stage(&self) -> Stage {
        let place = usize::from(self.stage.load(Ordering::Acquire));
        match Self::STAGES.get(place) {
            // The next two happen inside russh; what it read and asked tells them apart.
            Some(Stage::Banner) if self.keys_exchanged.load(Ordering::Acquire) => Stage::HostKey,
            Some(Stage::Banner) if greeting::is_ssh(&self.first.get()) => Stage::KeyExchange,
            Some(stage) => *stage,
            None => Stage::Resolve,
        }
    }
}

fn server_name(endpoint: &Endpoint) -> ServerName {
    let alias = endpoint.host_key_alias().as_str().to_ascii_lowercase();
    let bare = endpoint.host.to_string().to_ascii_lowercase();
    ServerName { bare: Some(bare).filter(|b| *b != alias), alias }
}

fn config(known_types: &[Algorithm]) -> client::Config {
    client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-vmssh_", env!("CARGO_PKG_VERSION")))),
        nodelay: true,
        // Azure's load balancer forgets a flow that is silent for four minutes.
        keepalive_interval: Some(Duration::from_secs(30)),
        keepalive_max: 3,
        window_size: 2 << 20,
        preferred: Preferred {
            key: Cow::Owned(host_key_order(known_types)),
            // AES has an instruction of its own on both sides nearly everywhere: a third of the CPU.
            cipher: Cow::Borrowed(&[
                cipher::AES_256_GCM,
                cipher::AES_128_GCM,
                cipher::CHACHA20_POLY1305,
                cipher::AES_256_CTR,
                cipher::AES_192_CTR,
                cipher::AES_128_CTR,
            ]),
            ..Preferred::default()
        },
        ..client::Config::default()
    }
}

/// The types that are known for the server first, so that it shows a key that can be compared. RSA
/// with SHA-1 is not among them.
fn host_key_order(known: &[Algorithm]) -> Vec<Algorithm> {
    let is_known = |algorithm: &Algorithm| match algorithm {
        Algorithm::Rsa { .. } => known.iter().any(|k| matches!(k, Algorithm::Rsa { .. })),
        other => known.contains(other),
    };
    let usable =
        Preferred::DEFAULT.key.iter().filter(|a| !matches!(a, Algorithm::Rsa { hash: None })).cloned();
    let (mut first, rest): (Vec<_>, Vec<_>) = usable.partition(is_known);
    first.extend(rest);
    first
}

const UNREACHED: &str = "nothing answers there: check that the instance runs and that the network security group, the NAT rule and the \
     firewall let the port through, for example with `vmssh probe`";

fn unresolved(error: &ResolveError, host: &Host) -> Failure {
    Failure::new(Stage::Resolve, error.to_string())
        .with_hint(format!("check the name, for example with `getent hosts {host}`"))
}

fn unconnected(error: &ConnectError) -> Failure {
    let failure = Failure::new(Stage::Connect, error.to_string());
    match error.main().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => failure.with_hint(
            "the port is reached, but nothing listens there: sshd is stopped or still starting, try again in a minute",
        ),
        Some(io::ErrorKind::AddrNotAvailable) => failure.with_hint("fewer at once with -P"),
        Some(_) if is_local(error) => failure.with_hint("raise the limit with `ulimit -n`, or fewer at once with -P"),
        _ => failure.with_hint(UNREACHED),
    }
}

/// True where this machine has no file handle left (EMFILE, ENFILE).
fn is_local(error: &ConnectError) -> bool {
    #[cfg(unix)]
    return error
        .main()
        .and_then(io::Error::raw_os_error)
        .is_some_and(|n| n == libc::EMFILE || n == libc::ENFILE);
    #[cfg(not(unix))]
    return false;
}

fn local_trouble(stage: Stage, error: &io::Error) -> Failure {
    Failure::new(stage, connect::cause(error))
        .with_hint("raise the limit with `ulimit -n`, or fewer at once with -P")
}

fn timed_out(stage: Stage, limit: Duration) -> Failure {
    let limit = seconds(limit);
    let (message, hint) = match stage {
        Stage::Resolve => {
            (format!("no address within {limit}"), "check the name servers, or name the address")
        }
        Stage::Connect => (format!("no answer within {limit}"), UNREACHED),
        Stage::Banner => (
            format!("no identification line within {limit}"),
            "the port is open and sshd says nothing: the instance hangs, is overloaded or waits for a name server; \
             give it more time with --connect-timeout",
        ),
        Stage::Auth => (
            format!("not signed in within {limit}"),
            "the instance is overloaded or waits for a directory server; give it more time with --connect-timeout",
        ),
        _ => (
            format!("not finished within {limit}"),
            "the instance is overloaded, or something in between drops long packets (MTU); give it more time with \
             --connect-timeout",
        ),
    };
    Failure::new(stage, message).with_hint(hint)
}

fn no_transport(error: WatchError, progress: &Progress) -> Failure {
    match (error, progress.stage()) {
        (WatchError::Refused(failure), _) => failure,
        (WatchError::Russh(russh::Error::IO(error)), Stage::Banner)
            if error.kind() != io::ErrorKind::UnexpectedEof && progress.first.get().is_empty() =>
        {
            Failure::new(Stage::Banner, connect::cause(&error)).with_hint(
                "the connection was cut at once: a firewall does that, or an sshd that is stopping",
            )
        }
        (_, Stage::Banner) => {
            let (message, hint) = greeting::explain(&progress.first.get());
            Failure::new(Stage::Banner, message).with_hint(hint)
        }
        (error, stage) => Failure::new(stage, describe(&error))
            .with_hint("see what sshd has to say on the instance: `journalctl -u ssh`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_types_of_host_keys_are_asked_for_first() {
        let names = |known: &[Algorithm]| {
            host_key_order(known).iter().map(|a| a.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&[])[0], "ssh-ed25519");
        assert_eq!(
            names(&[Algorithm::Rsa { hash: None }])[..3],
            ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]
        );
        assert!(!names(&[Algorithm::Rsa { hash: None }]).contains(&"ssh-rsa".to_owned()));
        assert_eq!(names(&[]).len(), 6);
    }

    #[test]
    fn keys_are_filed_as_openssh_files_them() {
        let endpoint = |port: u64| Endpoint {
            instance: None,
            name: None,
            host: "Web.Example".parse().unwrap(),
            port: port.try_into().unwrap(),
        };
        let name = server_name(&endpoint(50000));
        assert_eq!((name.alias.as_str(), name.bare.as_deref()), ("[web.example]:50000", Some("web.example")));
        assert_eq!(server_name(&endpoint(22)).bare, None);
    }
}
