//! Signing in, against a real OpenSSH server and a real agent.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "signin/agent.rs"]
mod agent;
#[path = "signin/certificates.rs"]
mod certificates;
#[path = "signin/keys.rs"]
mod keys;
#[path = "signin/program.rs"]
mod program;
#[path = "support/pty.rs"]
mod pty;
#[path = "signin/questions.rs"]
mod questions;
#[path = "signin/security_keys.rs"]
mod security_keys;
#[path = "support/ssh_agent.rs"]
mod ssh_agent;
#[path = "support/sshd.rs"]
mod sshd;
#[path = "signin/steps.rs"]
mod steps;

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use ssh_agent::Agent;
use sshd::{TestSshd, endpoint, keygen, run};
use vmssh::{
    event::{Failure, Stage},
    natmap::Endpoint,
    net::resolve::{Family, Resolver},
    ssh::{
        AgentKeys, Client, ClientError, Destination, HostKeyPolicy, KnownHostsFiles, Login, LoginOptions,
        Method, NewHostKey, PasswordUse, Prompt, SecretString, Session,
    },
};

/// Longer than anything takes that works, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// A person who gives prepared answers and remembers what was asked and said.
#[derive(Default)]
struct Person {
    answers: Mutex<VecDeque<&'static str>>,
    asked: Mutex<Vec<String>>,
    notes: Mutex<Vec<String>>,
}

impl Person {
    fn who_types(answers: &[&'static str]) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.iter().copied().collect()), ..Self::default() })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn notes(&self) -> String {
        self.notes.lock().unwrap().join("\n")
    }

    fn next(&self, question: String) -> Option<SecretString> {
        self.asked.lock().unwrap().push(question);
        self.answers.lock().unwrap().pop_front().map(SecretString::from)
    }
}

impl Prompt for Person {
    fn secret(&self, question: &str) -> io::Result<Option<SecretString>> {
        Ok(self.next(question.into()))
    }

    fn answer(&self, question: &str) -> io::Result<Option<SecretString>> {
        Ok(self.next(format!("[seen] {question}")))
    }

    fn trust_host_key(&self, _: &NewHostKey) -> io::Result<bool> {
        Ok(false)
    }

    fn note(&self, text: &str) {
        self.notes.lock().unwrap().push(text.into());
    }
}

/// With the key that the server knows.
fn options(server: &TestSshd) -> LoginOptions {
    let known_hosts = KnownHostsFiles { own: server.dir().join("known/hosts"), also: vec![] };
    LoginOptions {
        identity_files: vec![server.key()],
        host_keys: HostKeyPolicy::AcceptNew,
        connect_timeout: LIMIT,
        ..LoginOptions::new(server.user(), known_hosts)
    }
}

/// With these files and nothing else.
fn with_files(server: &TestSshd, identity_files: &[PathBuf]) -> LoginOptions {
    LoginOptions { identity_files: identity_files.to_vec(), ..options(server) }
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

    async fn connect(&self, endpoint: &Endpoint) -> Result<Session, Failure> {
        self.client.connect(&Destination::direct(endpoint.clone(), self.login.clone())).await
    }
}

async fn try_connect(server: &TestSshd, options: LoginOptions) -> Result<Session, Failure> {
    ask_and_connect(server, options, &Arc::default()).await
}

async fn ask_and_connect(
    server: &TestSshd,
    options: LoginOptions,
    person: &Arc<Person>,
) -> Result<Session, Failure> {
    Visitor::new(options, person).await.unwrap().connect(&server.endpoint()).await
}

/// Signs in, or fails the test with what the server has to say.
#[track_caller]
fn signed_in(result: Result<Session, Failure>, server: &TestSshd) {
    if let Err(failure) = result {
        panic!("{failure}\n{}", server.log());
    }
}

/// Waits until the server has written this so many times.
#[track_caller]
fn until_logged(server: &TestSshd, text: &str, times: usize) {
    let end = Instant::now() + LIMIT;
    while server.log().matches(text).count() < times {
        assert!(Instant::now() < end, "not {times} times {text:?}:\n{}", server.log());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A new key without a pass phrase, which no server knows.
fn stranger(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    keygen(&["-t", "ed25519", "-N", "", "-C", name, "-f", text(&path)]);
    path
}
