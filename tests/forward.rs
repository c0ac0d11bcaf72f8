//! Forwards against a real OpenSSH server.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/sshd.rs"]
mod sshd;
#[path = "support/vmssh.rs"]
mod vmssh_run;

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use sshd::TestSshd;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    time::timeout,
};
use vmssh::{
    event::Failure,
    forward::Forward,
    net::resolve::{Family, Resolver},
    ssh::{
        Client, Destination, ForwardPlan, Forwards, HostKeyPolicy, KnownHostsFiles, LoginOptions, NewHostKey,
        Prompt, SecretString, Session,
    },
};
use vmssh_run::{Ran, Surroundings};

/// Far more than anything here takes: only a wait without an end reaches it.
const FOREVER: Duration = Duration::from_secs(60);

/// Nobody to be asked.
struct Nobody;

impl Prompt for Nobody {
    fn secret(&self, _: &str) -> io::Result<Option<SecretString>> {
        Ok(None)
    }

    fn trust_host_key(&self, _: &NewHostKey) -> io::Result<bool> {
        Ok(false)
    }

    fn note(&self, _: &str) {}
}

async fn session(server: &TestSshd) -> Arc<Session> {
    let known_hosts = KnownHostsFiles { own: server.dir().join("known/hosts"), also: vec![] };
    let options = LoginOptions {
        identity_files: vec![server.key()],
        host_keys: HostKeyPolicy::AcceptNew,
        connect_timeout: Duration::from_secs(20),
        ..LoginOptions::new(server.user(), known_hosts)
    };
    let client = Client::new(Resolver::new(Family::Any), Arc::new(Nobody));
    let login = client.login(options).await.unwrap();
    Arc::new(client.connect(&Destination::direct(server.endpoint(), login)).await.unwrap())
}

/// Forwards, and what was said of them.
struct Working {
    forwards: Forwards,
    failures: Vec<Failure>,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Working {
    async fn new(server: &TestSshd, forwards: Vec<Forward>) -> Self {
        let notes: Arc<Mutex<Vec<String>>> = Arc::default();
        let said = notes.clone();
        let hear = Arc::new(move |text: &str| said.lock().unwrap().push(text.to_owned()));
        let plan = ForwardPlan { forwards, ..ForwardPlan::default() };
        let (forwards, failures) = Forwards::open(session(server).await, &plan, hear).await;
        Self { forwards, failures, notes }
    }

    fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap().clone()
    }

    /// The port of the forward at this place, which was left to the side that listens.
    fn port(&self, place: usize) -> u16 {
        let line = &self.forwards.list()()[place];
        line.split(' ').nth(1).unwrap().split(':').next().unwrap().parse().unwrap()
    }

    fn address(&self, place: usize) -> SocketAddr {
        SocketAddr::new([127, 0, 0, 1].into(), self.port(place))
    }
}

/// A server that reads to the end and only then gives it all back: it takes a half-close in both directions.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).await?;
                stream.write_all(&all).await?;
                stream.shutdown().await
            });
        }
    });
    port
}

/// Bytes that differ from one connection to the next and from place to place.
fn data(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * 31 + at / 251 + seed * 7919) % 256) as u8).collect()
}

async fn echoed(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, sent: &[u8]) {
    stream.write_all(sent).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.unwrap();
    assert!(back == sent, "{} bytes of {}", back.len(), sent.len());
}

/// Many connections at once, each byte-exact, each half-closed.
async fn many_to(address: SocketAddr) {
    let all = (0..60).map(|n| {
        tokio::spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            echoed(stream, &data(n, 200_000 + n * 1013)).await;
        })
    });
    for one in all.collect::<Vec<_>>() {
        timeout(FOREVER, one).await.unwrap().unwrap();
    }
}

fn local(text: impl AsRef<str>) -> Forward {
    Forward::local(text.as_ref()).unwrap()
}

fn remote(text: impl AsRef<str>) -> Forward {
    Forward::remote(text.as_ref()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_forwards_are_byte_exact_and_close_by_halves() {
    let server = TestSshd::start(&[]);
    let port = echo().await;
    let working = Working::new(&server, vec![local(format!("0:127.0.0.1:{port}"))]).await;
    assert_eq!(working.failures, []);
    many_to(working.address(0)).await;
    assert!(working.forwards.list()()[0].ends_with("60 so far"), "{:?}", working.forwards.list()());
    // A default bind is loopback's, in both versions of IP where there are both.
    if let Ok(stream) = TcpStream::connect(("::1", working.port(0))).await {
        echoed(stream, b"six").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn remote_forwards_are_byte_exact_and_close_by_halves() {
    let server = TestSshd::start(&[]);
    let port = echo().await;
    let working = Working::new(&server, vec![remote(format!("0:127.0.0.1:{port}"))]).await;
    assert_eq!(working.failures, []);
    let said = format!("listens on port {} of the instance", working.port(0));
    assert!(working.notes()[0].ends_with(&said), "{:?}", working.notes());
    many_to(working.address(0)).await;
}

#[tokio::test]
async fn unix_sockets_may_be_on_either_side() {
    let server = TestSshd::start(&[]);
    let port = echo().await;
    let path = |name: &str| server.dir().join(name).to_str().unwrap().to_owned();
    let listener = UnixListener::bind(path("there")).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            stream.write_all(&all).await.unwrap();
        }
    });
    let forwards = vec![
        local(format!("{}:{}", path("a"), path("there"))),
        local(format!("{}:127.0.0.1:{port}", path("b"))),
        remote(format!("{}:127.0.0.1:{port}", path("c"))),
        remote(format!("{}:{}", path("d"), path("there"))),
    ];
    let working = Working::new(&server, forwards).await;
    assert_eq!(working.failures, []);
    assert_eq!(vmssh_run::mode(Path::new(&path("a"))), 0o600);
    for name in ["a", "b", "c", "d"] {
        echoed(UnixStream::connect(path(name)).await.unwrap(), &data(1, 300_000)).await;
    }
    // A second one must not take the first one's place, and the first one takes its own away.
    let again = Working::new(&server, vec![local(format!("{}:127.0.0.1:{port}", path("a")))]).await;
    assert!(again.failures[0].hint.as_ref().unwrap().contains("rm "), "{:?}", again.failures);
    drop(working);
    timeout(FOREVER, async {
        while Path::new(&path("a")).exists() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

/// Asks a SOCKS proxy for a connection in version 5.
async fn socks5(proxy: SocketAddr, host: &str, port: u16) -> (TcpStream, u8) {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(&[5, 1, 0]).await.unwrap();
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [5, 0]);
    let name =
        [&[5, 1, 0, 3, u8::try_from(host.len()).unwrap()], host.as_bytes(), &port.to_be_bytes()].concat();
    stream.write_all(&name).await.unwrap();
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).await.unwrap();
    (stream, answer[1])
}

#[tokio::test]
async fn the_socks_proxy_takes_every_version_on_either_side() {
    let server = TestSshd::start(&[]);
    let port = echo().await;
    let working = Working::new(&server, vec![Forward::dynamic("0").unwrap(), remote("0")]).await;
    assert_eq!(working.failures, []);
    for place in [0, 1] {
        let proxy = working.address(place);
        let (stream, code) = socks5(proxy, "localhost", port).await;
        assert_eq!(code, 0);
        echoed(stream, &data(5, 300_000)).await;
        // Version 4a with its bytes right behind, as an eager client sends them.
        let mut stream = TcpStream::connect(proxy).await.unwrap();
        let request = [&[4, 1], &port.to_be_bytes()[..], &[0, 0, 0, 9, 0], b"localhost\0", b"eager"].concat();
        stream.write_all(&request).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).await.unwrap();
        assert_eq!(back[..2], [0, 0x5a]);
        assert_eq!(back[8..], *b"eager");
        // Nobody listens on port 1.
        assert_eq!(socks5(proxy, "127.0.0.1", 1).await.1, 5);
    }
}

#[tokio::test]
async fn what_is_refused_is_said_once_and_ends_nothing() {
    let server = TestSshd::start(&[]);
    let port = echo().await;
    let forwards = vec![local("0:127.0.0.1:1"), local(format!("0:127.0.0.1:{port}"))];
    let working = Working::new(&server, forwards).await;
    for _ in 0..3 {
        let mut stream = TcpStream::connect(working.address(0)).await.unwrap();
        // Reset, or closed where the system was quicker than the reset.
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    }
    echoed(TcpStream::connect(working.address(1)).await.unwrap(), b"still here").await;
    let refused = |note: &&String| note.contains("the instance can't connect there");
    assert_eq!(working.notes().iter().filter(refused).count(), 1, "{:?}", working.notes());
    assert!(working.forwards.repeated()[0].ends_with("3 times"), "{:?}", working.forwards.repeated());
}

#[tokio::test]
async fn a_server_that_forbids_forwards_is_named_as_the_reason() {
    let server = TestSshd::start(&["AllowTcpForwarding no"]);
    let forwards = vec![local("0:127.0.0.1:1"), remote("0:127.0.0.1:1")];
    let working = Working::new(&server, forwards).await;
    assert!(working.failures[0].message.contains("-R 0:127.0.0.1:1: the server does not listen there"));
    assert!(working.failures[0].hint.as_ref().unwrap().contains("AllowTcpForwarding"));
    // What never worked is not listed.
    assert_eq!(working.forwards.list()().len(), 1);
    let mut stream = TcpStream::connect(working.address(0)).await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert!(working.notes().iter().any(|note| note.contains("sshd forbids it")), "{:?}", working.notes());
}

#[tokio::test]
async fn a_port_that_is_taken_here_is_an_error_with_what_to_do() {
    let server = TestSshd::start(&[]);
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap().into_std().unwrap();
    let port = taken.local_addr().unwrap().port();
    let working = Working::new(&server, vec![local(format!("{port}:web:80"))]).await;
    assert!(working.failures[0].message.contains("can't listen there"), "{:?}", working.failures);
    assert!(working.failures[0].hint.as_ref().unwrap().contains("ss -ltnp"));
}

/// A server that sends so much to each and ends.
async fn source(bytes: Arc<Vec<u8>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let bytes = bytes.clone();
            tokio::spawn(async move { stream.write_all(&bytes).await });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_does_not_read_holds_up_nobody() {
    let server = TestSshd::start(&[]);
    let bytes = Arc::new(data(3, 64 << 20));
    let (much, little) = (source(bytes.clone()).await, echo().await);
    let forwards = vec![local(format!("0:127.0.0.1:{much}")), local(format!("0:127.0.0.1:{little}"))];
    let working = Working::new(&server, forwards).await;
    // Alone it may wait as long as it likes, and loses nothing.
    let mut alone = TcpStream::connect(working.address(0)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut all = Vec::new();
    alone.read_to_end(&mut all).await.unwrap();
    assert!(all == *bytes, "{} bytes", all.len());
    // In company it is cut, and the others go on.
    let mut slow = TcpStream::connect(working.address(0)).await.unwrap();
    slow.read_exact(&mut [0; 1]).await.unwrap();
    for n in 0..20 {
        let stream = TcpStream::connect(working.address(1)).await.unwrap();
        timeout(FOREVER, echoed(stream, &data(n, 100_000))).await.unwrap();
    }
    let held = TcpStream::connect(working.address(1)).await.unwrap();
    timeout(FOREVER, async {
        while !working.notes().iter().any(|note| note.contains("was cut")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    drop(held);
    // It sees that it has not got the whole.
    assert!(slow.read_to_end(&mut Vec::new()).await.is_err());
}

#[tokio::test]
async fn forwards_end_with_their_session() {
    let server = TestSshd::start(&[]);
    let port = echo().await;
    let working = Working::new(&server, vec![local(format!("0:127.0.0.1:{port}"))]).await;
    let mut stream = TcpStream::connect(working.address(0)).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    let children = sshd::run("pgrep", &["-P", &server.pid().to_string()]);
    for child in children.lines() {
        sshd::run("kill", &[child]);
    }
    let lost = timeout(FOREVER, working.forwards.lost()).await.unwrap();
    assert!(lost.message.starts_with("connection lost"), "{lost}");
    // Half of something must not look like the whole.
    assert!(timeout(FOREVER, stream.read(&mut [0; 1])).await.unwrap().is_err());
}

/// The program against a server, with what it takes to sign in without a question.
struct Program {
    server: TestSshd,
    here: Surroundings,
}

impl Program {
    fn new(config: &[&str]) -> Self {
        Self { server: TestSshd::start(config), here: Surroundings::new() }
    }

    fn command(&self, options: &[&str], command: &[&str]) -> Command {
        let target = format!("{}@{}", self.server.user(), self.server.endpoint());
        let key = self.server.key();
        let known_hosts = self.here.file("known_hosts", self.server.known_hosts_line());
        let sign_in = ["ssh", &target, "-i", key.to_str().unwrap(), "--known-hosts", &known_hosts];
        self.here.command(&[&sign_in[..], &["--host-keys", "strict"], options, command].concat())
    }
}

/// A program that runs, ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forwarding_alone_says_where_and_ends_with_the_session() {
    let program = Program::new(&[]);
    let port = echo().await;
    let forward = format!("0:127.0.0.1:{port}");
    let mut command = program.command(&["-N", "-L", &forward], &[]);
    let mut child = Running(command.stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stderr.take().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().unwrap().starts_with("forwarding ")).unwrap().unwrap();
    let port: u16 = line.split([' ', ':']).nth(2).unwrap().parse().unwrap();
    echoed(TcpStream::connect(("127.0.0.1", port)).await.unwrap(), &data(9, 500_000)).await;
    for child in sshd::run("pgrep", &["-P", &program.server.pid().to_string()]).lines() {
        sshd::run("kill", &[child]);
    }
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert!(rest.iter().any(|line| line.contains("connection lost")), "{rest:?}");
    assert_eq!(child.0.wait().unwrap().code(), Some(255));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_configuration_forwards_is_forwarded_too() {
    let program = Program::new(&[]);
    let port = echo().await;
    let socket = program.server.dir().join("forwarded");
    let config = format!("SessionType none\nLocalForward {} 127.0.0.1:{port}\n", socket.display());
    let config = program.here.file("config", config);
    let mut command = program.command(&["-F", &config], &[]);
    let mut child = Running(command.stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("forwarding ")));
    echoed(UnixStream::connect(&socket).await.unwrap(), &data(9, 500_000)).await;
}

#[test]
fn a_forward_that_fails_ends_it_only_where_that_is_wanted() {
    let program = Program::new(&["AllowTcpForwarding no"]);
    let run = |options: &[&str], command: &[&str]| -> Ran {
        program.command(options, command).output().unwrap().into()
    };
    let ran = run(&["-R", "0:127.0.0.1:1"], &["--", "echo", "on"]).expect_status(0);
    assert_eq!(ran.stdout, "on\n");
    assert!(ran.stderr.contains("the server does not listen there"), "{}", ran.stderr);
    let ran =
        run(&["-R", "0:127.0.0.1:1", "--exit-on-forward-failure"], &["--", "echo", "on"]).expect_status(255);
    assert_eq!(ran.stdout, "");
    // With nothing else to do there is no reason to stay.
    run(&["-N", "-R", "0:127.0.0.1:1"], &[]).expect_status(255);
    run(&["-L", "web:80"], &[]).expect_status(2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standard_streams_can_be_joined_to_a_connection() {
    let program = Program::new(&[]);
    let port = echo().await;
    let place = format!("127.0.0.1:{port}");
    let sent = data(2, 3_000_000);
    let mut command = program.command(&["-W", &place], &[]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, bytes) = (child.stdin.take().unwrap(), sent.clone());
    let writing = std::thread::spawn(move || input.write_all(&bytes).unwrap());
    let mut back = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut back).unwrap();
    writing.join().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(back == sent, "{} bytes", back.len());
    let ran: Ran = program.command(&["-W", "127.0.0.1:1"], &[]).output().unwrap().into();
    assert!(ran.expect_status(255).stderr.contains("the instance can't connect there"));
}

#[test]
fn input_can_be_left_alone() {
    let program = Program::new(&[]);
    let mut command = program.command(&["-n"], &["--", "wc", "-c"]);
    // One that never ends.
    let (reader, _writer) = io::pipe().unwrap();
    let ran: Ran = command.stdin(reader).output().unwrap().into();
    assert_eq!(ran.expect_status(0).stdout.trim(), "0");
}

#[test]
fn the_agent_goes_along_only_where_that_is_wanted() {
    let program = Program::new(&[]);
    let socket = program.server.dir().join("agent");
    let agent =
        Command::new("ssh-agent").args(["-D", "-a", socket.to_str().unwrap()]).stdout(Stdio::null()).spawn();
    let _agent = Running(agent.unwrap());
    let key = program.server.new_key("other", &["-t", "ed25519", "-C", "only-in-the-agent"], "");
    while !socket.exists() {
        std::thread::yield_now();
    }
    let added = Command::new("ssh-add").arg("-q").arg(&key).env("SSH_AUTH_SOCK", &socket).status().unwrap();
    assert!(added.success());
    fs::remove_file(&key).unwrap();
    let list = |options: &[&str]| -> Ran {
        let mut command = program.command(options, &["--", "ssh-add -l; true"]);
        command.env("SSH_AUTH_SOCK", &socket).output().unwrap().into()
    };
    assert!(list(&["-A"]).expect_status(0).stdout.contains("only-in-the-agent"));
    assert!(!list(&[]).expect_status(0).stdout.contains("only-in-the-agent"));
    let refusing = Program::new(&["AllowAgentForwarding no"]);
    let mut command = refusing.command(&["-A"], &["--", "echo on"]);
    let ran: Ran = command.env("SSH_AUTH_SOCK", &socket).output().unwrap().into();
    assert!(ran.stderr.contains("AllowAgentForwarding"), "{}", ran.stderr);
    assert_eq!(ran.expect_status(0).stdout, "on\n");
}
