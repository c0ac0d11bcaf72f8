//! The SSH client against a real OpenSSH server.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "sshd/auth.rs"]
mod auth;
#[path = "sshd/command.rs"]
mod command;
#[path = "sshd/host_key.rs"]
mod host_key;
#[path = "support/ssh_agent.rs"]
mod ssh_agent;
#[path = "support/sshd.rs"]
mod sshd;
#[path = "sshd/stages.rs"]
mod stages;

use std::{
    collections::VecDeque,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use russh::{
    keys::{Algorithm, PrivateKey},
    server::{self, Auth},
};
use socket2::{SockRef, Socket};
use sshd::{TestSshd, endpoint, keygen, run};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use vmssh::{
    event::{Exit, Failure, Stage, Stream},
    net::resolve::{Family, Resolver},
    ssh::{
        Client, ClientError, Destination, HostKeyPolicy, KnownHostsFiles, Login, LoginOptions, NewHostKey,
        PasswordUse, Prompt, SecretString, Session, Stdin,
    },
};

/// A person who gives prepared answers and remembers what was asked and said.
#[derive(Default)]
struct Person {
    secrets: Mutex<VecDeque<&'static str>>,
    trust: bool,
    asked: Mutex<Vec<String>>,
    notes: Mutex<Vec<String>>,
    /// Time to think.
    slow: Duration,
}

impl Person {
    fn who_types(secrets: &[&'static str]) -> Arc<Self> {
        Arc::new(Self { secrets: Mutex::new(secrets.iter().copied().collect()), ..Self::default() })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn notes(&self) -> String {
        self.notes.lock().unwrap().join("\n")
    }
}

impl Prompt for Person {
    fn secret(&self, question: &str) -> io::Result<Option<SecretString>> {
        std::thread::sleep(self.slow);
        self.asked.lock().unwrap().push(question.into());
        Ok(self.secrets.lock().unwrap().pop_front().map(SecretString::from))
    }

    fn trust_host_key(&self, new: &NewHostKey) -> io::Result<bool> {
        std::thread::sleep(self.slow);
        self.asked.lock().unwrap().push(format!("{} {}", new.name, new.fingerprint));
        Ok(self.trust)
    }

    fn note(&self, text: &str) {
        self.notes.lock().unwrap().push(text.into());
    }
}

fn options(server: &TestSshd) -> LoginOptions {
    let known_hosts = KnownHostsFiles { own: server.dir().join("known/hosts"), also: vec![] };
    LoginOptions {
        identity_files: vec![server.key()],
        host_keys: HostKeyPolicy::AcceptNew,
        connect_timeout: Duration::from_secs(20),
        ..LoginOptions::new(server.user(), known_hosts)
    }
}

/// Options for a server in this process, and the folder of their files.
fn options_without_keys() -> (LoginOptions, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let known_hosts = KnownHostsFiles { own: dir.path().join("known_hosts"), also: vec![] };
    let options = LoginOptions {
        host_keys: HostKeyPolicy::AcceptNew,
        connect_timeout: Duration::from_secs(20),
        ..LoginOptions::new("anybody", known_hosts)
    };
    (options, dir)
}

/// A server in this process, for what no sshd would do. Gives its port; ends with the test.
async fn serve<H: server::Handler<Error = russh::Error> + Send + 'static>(
    config: server::Config,
    mut handler: impl FnMut(Socket) -> H + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(server::Config {
        auth_rejection_time_initial: Some(Duration::ZERO),
        inactivity_timeout: None,
        keys: vec![PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()],
        ..config
    });
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let handler = handler(SockRef::from(&stream).try_clone().unwrap());
            let config = config.clone();
            tokio::spawn(async move { server::run_stream(config, stream, handler).await?.await });
        }
    });
    port
}

/// A client that signs in in one way.
struct Visitor {
    client: Client,
    login: Arc<Login>,
}

impl Visitor {
    async fn new(options: LoginOptions, person: &Arc<Person>) -> Result<Self, ClientError> {
        let client = Client::new(Resolver::new(Family::Any), person.clone());
        Ok(Self { login: client.login(options).await?, client })
    }

    async fn connect(&self, endpoint: &vmssh::natmap::Endpoint) -> Result<Session, Failure> {
        self.client.connect(&Destination::direct(endpoint.clone(), self.login.clone())).await
    }
}

async fn client(options: LoginOptions, person: &Arc<Person>) -> Visitor {
    Visitor::new(options, person).await.unwrap()
}

async fn connect(server: &TestSshd) -> Session {
    client(options(server), &Arc::default()).await.connect(&server.endpoint()).await.unwrap()
}

async fn try_connect(server: &TestSshd, options: LoginOptions) -> Result<Session, Failure> {
    client(options, &Arc::default()).await.connect(&server.endpoint()).await
}

/// Runs a command and gives its end and its two outputs.
async fn exec(session: &Session, command: &str, stdin: Stdin) -> (Result<Exit, Failure>, String, String) {
    let (sender, mut receiver) = mpsc::channel::<(Stream, Bytes)>(4);
    let collect = async {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        while let Some((stream, bytes)) = receiver.recv().await {
            if stream == Stream::Stdout { &mut out } else { &mut err }.extend(bytes);
        }
        (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    };
    let (end, (out, err)) = tokio::join!(session.exec(command, stdin, sender), collect);
    (end, out, err)
}

/// How many connections to a port of loopback this machine has open (proc_pid_net(5)).
#[cfg(target_os = "linux")]
fn connections_to(port: u16) -> usize {
    let far_end = format!("0100007F:{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    // 01 is ESTABLISHED; a connection that is closed here and not there yet is FIN_WAIT.
    table.lines().filter(|l| l.split_whitespace().skip(2).take(2).eq([far_end.as_str(), "01"])).count()
}
