//! Servers that mean no good: whatever one sends, and wherever it stops, the client ends with an error at the
//! right stage, in bounded memory, with the terminal as it was and nothing obeyed that came in a message.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/pty.rs"]
mod pty;

use std::{
    io::Read as _,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use russh::{
    Channel, ChannelId, Disconnect, Sig,
    keys::{Algorithm, PrivateKey},
    server::{self, Auth, ChannelOpenHandle, Handler, Msg, Response},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::Notify,
    task::JoinSet,
};
use vmssh::{
    event::{Failure, Stage},
    natmap::Endpoint,
    net::resolve::{Family, Resolver},
    ssh::{
        Client, Destination, HostKeyPolicy, KnownHostsFiles, LoginOptions, NewHostKey, Prompt, SecretString,
        Session,
    },
};

use self::pty::Terminal;

/// What a server does when it is asked to run something.
#[derive(Clone)]
enum Conduct {
    /// Runs nothing: prints a line and ends well.
    Well,
    /// Opens a channel of each kind and prints how many were refused.
    OpensChannels,
    /// Sends what nobody asked for, then ends well.
    Babbles,
    /// Signs nobody in before its questions are answered.
    Questions,
    /// Asks the client to listen for it, and prints whether it does.
    WantsForwards,
    /// Says that a signal with such a name ended the command.
    Signals,
    /// Hangs up with a message.
    HangsUp,
    /// Prints so many bytes, then waits until it is let go.
    Floods(usize, Arc<Notify>),
}

/// What a terminal would obey: another title, a cleared screen, a report typed as input.
const ESCAPES: &str = "\x1b]0;owned\x07\x1b[2J\x1b[6n\u{9b}31m\r\n";

#[derive(Clone)]
struct Server(Conduct);

impl Handler for Server {
    type Error = russh::Error;

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, Self::Error> {
        Ok(match self.0 {
            Conduct::Questions => Auth::reject(),
            _ => Auth::Accept,
        })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        if response.is_some() {
            return Ok(Auth::Accept);
        }
        let question = (format!("code {ESCAPES}?").into(), true);
        let (name, instructions) = (ESCAPES.into(), format!("read this {ESCAPES}").into());
        Ok(Auth::Partial { name, instructions, prompts: vec![question].into() })
    }

    async fn authentication_banner(&mut self) -> Result<Option<String>, Self::Error> {
        Ok(Some(format!("welcome {ESCAPES}")))
    }

    async fn channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(russh::Pty, u32)],
        session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(id)
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        _command: &[u8],
        session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(id)?;
        let handle = session.handle();
        match self.0.clone() {
            Conduct::Well | Conduct::Questions => {}
            Conduct::WantsForwards => {
                tokio::spawn(async move {
                    let port = handle.forward_tcpip("127.0.0.1".into(), 0).await;
                    let taken = if port.is_ok() { "listens" } else { "does not listen" };
                    end(&handle, id, format!("the client {taken}")).await;
                });
                return Ok(());
            }
            Conduct::OpensChannels => {
                tokio::spawn(async move {
                    let opened = [
                        handle.channel_open_agent().await,
                        handle.channel_open_session().await,
                        handle.channel_open_x11("198.51.100.1", 1).await,
                        handle.channel_open_direct_tcpip("127.0.0.1", 22, "127.0.0.1", 1).await,
                        handle.channel_open_forwarded_tcpip("127.0.0.1", 22, "127.0.0.1", 1).await,
                        handle.channel_open_forwarded_streamlocal("/tmp/x").await,
                        handle.channel_open_direct_streamlocal("/tmp/x").await,
                    ];
                    let refused = opened.iter().filter(|opened| opened.is_err()).count();
                    end(&handle, id, format!("{refused} of {} refused", opened.len())).await;
                });
                return Ok(());
            }
            Conduct::Babbles => {
                session.request_success();
                session.request_failure();
                session.channel_failure(id).ok();
                session.xon_xoff_request(id, true)?;
                session.debug(true, ESCAPES, "").ok();
                session.extended_data(id, 99, ESCAPES.as_bytes().to_vec())?;
                session.keepalive_request()?;
            }
            Conduct::Signals => {
                let name = Sig::Custom(ESCAPES.into());
                session.exit_signal_request(id, name, true, ESCAPES, ESCAPES)?;
                session.close(id)?;
                return Ok(());
            }
            Conduct::HangsUp => {
                session.disconnect(Disconnect::ByApplication, ESCAPES, "")?;
                return Ok(());
            }
            Conduct::Floods(bytes, let_go) => {
                tokio::spawn(async move {
                    for _ in 0..bytes / PIECE {
                        handle.data(id, vec![b'x'; PIECE]).await.unwrap();
                    }
                    let_go.notified().await;
                    end(&handle, id, String::new()).await;
                });
                return Ok(());
            }
        }
        tokio::spawn(async move { end(&handle, id, "all well".into()).await });
        Ok(())
    }
}

const PIECE: usize = 32 << 10;

async fn end(handle: &server::Handle, id: ChannelId, text: String) {
    let _ = handle.data(id, text.into_bytes()).await;
    let _ = handle.exit_status_request(id, 0).await;
    let _ = handle.eof(id).await;
    let _ = handle.close(id).await;
}

/// Starts it; its port. It serves as long as the runtime lives.
async fn serve(conduct: Conduct) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(server::Config {
        keys: vec![PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()],
        auth_rejection_time_initial: Some(Duration::ZERO),
        inactivity_timeout: None,
        ..server::Config::default()
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (config, handler) = (config.clone(), Server(conduct.clone()));
            tokio::spawn(async move { server::run_stream(config, stream, handler).await?.await });
        }
    });
    port
}

/// What becomes of what a server sends, from some byte on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Nothing more comes.
    Stall,
    /// The connection is closed.
    Cut,
    /// Every byte is another.
    Flip,
    /// This byte comes without end: lengths of packets that are none, or longer than any.
    Flood(u8),
    /// This line comes without end.
    Lines,
}

/// Stands between a client and a server. Gives its port, and counts what it took from the server.
async fn relay(to: u16, fault: Fault, from: usize) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let mut up = tokio::spawn(async move {
            let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        });
        let mut buffer = vec![0; 65_536];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            let before = counted.fetch_add(length, Ordering::SeqCst);
            let well = from.saturating_sub(before).min(length);
            let (good, bad) = buffer[..length].split_at_mut(if fault == Fault::None { length } else { well });
            if to_client.write_all(good).await.is_err() {
                break;
            }
            if before + length < from || fault == Fault::None {
                continue;
            }
            match fault {
                Fault::None => {}
                Fault::Flip => {
                    bad.iter_mut().for_each(|byte| *byte ^= 0x5a);
                    if to_client.write_all(bad).await.is_err() {
                        break;
                    }
                }
                Fault::Cut => break,
                // Until the client has had enough.
                Fault::Stall => drop((&mut up).await),
                Fault::Flood(byte) => while to_client.write_all(&[byte; 4096]).await.is_ok() {},
                Fault::Lines => while to_client.write_all(b"another line of nothing\r\n").await.is_ok() {},
            }
            if !matches!(fault, Fault::Flip) {
                break;
            }
        }
    });
    (port, count)
}

/// Nobody is asked anything.
struct Nobody;

impl Prompt for Nobody {
    fn secret(&self, question: &str) -> std::io::Result<Option<SecretString>> {
        panic!("{question}")
    }

    fn trust_host_key(&self, new: &NewHostKey) -> std::io::Result<bool> {
        panic!("{new:?}")
    }

    fn note(&self, text: &str) {
        assert!(!text.contains('\x1b') && !text.contains('\u{9b}'), "{text:?}");
    }
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint {
        instance: None,
        name: None,
        vm_id: None,
        host: "127.0.0.1".parse().unwrap(),
        port: u64::from(port).try_into().unwrap(),
    }
}

/// Connects within a limit, with nothing known before.
async fn connect(port: u16, limit: Duration) -> Result<Session, Failure> {
    let dir = tempfile::tempdir().unwrap();
    let known_hosts = KnownHostsFiles { own: dir.path().join("known_hosts"), also: vec![] };
    let client = Client::new(Resolver::new(Family::Any), Arc::new(Nobody));
    let options = LoginOptions {
        host_keys: HostKeyPolicy::AcceptNew,
        connect_timeout: limit,
        ..LoginOptions::new("anybody", known_hosts)
    };
    let login = client.login(options).await.unwrap();
    client.connect(&Destination::direct(endpoint(port), login)).await
}

/// Much longer than a handshake takes here.
const LONG: Duration = Duration::from_secs(30);

/// How many bytes a server sends until a client is signed in.
async fn handshake(server: u16) -> usize {
    let (port, count) = relay(server, Fault::None, 0).await;
    let session = connect(port, LONG).await.unwrap();
    let bytes = count.load(Ordering::SeqCst);
    session.close().await;
    bytes
}

/// The failures of connections with this fault at so many places of the handshake, in order.
async fn failures(server: u16, fault: Fault, limit: Duration) -> Vec<Failure> {
    const PLACES: usize = 40;
    // The last packet alone says that the client is in.
    let length = handshake(server).await - 32;
    let mut attempts = JoinSet::new();
    for place in 0..PLACES {
        let (port, _) = relay(server, fault, length * place / PLACES).await;
        attempts.spawn(async move {
            let failure = connect(port, limit).await.expect_err("signed in all the same");
            (place, failure)
        });
    }
    let mut failures = attempts.join_all().await;
    failures.sort_by_key(|(place, _)| *place);
    failures.into_iter().map(|(_, failure)| failure).collect()
}

fn rank(stage: Stage) -> usize {
    let order =
        [Stage::Resolve, Stage::Connect, Stage::Banner, Stage::KeyExchange, Stage::HostKey, Stage::Auth];
    order.iter().position(|s| *s == stage).unwrap_or_else(|| panic!("{stage:?}"))
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn a_stall_or_an_end_anywhere_in_the_handshake_is_told_by_its_stage() {
    runtime().block_on(async {
        let server = serve(Conduct::Well).await;
        for (fault, limit) in [(Fault::Stall, Duration::from_secs(3)), (Fault::Cut, LONG)] {
            let failures = failures(server, fault, limit).await;
            let stages: Vec<_> = failures.iter().map(|failure| rank(failure.stage)).collect();
            assert!(stages.is_sorted(), "{fault:?}: {failures:#?}");
            for stage in [Stage::Banner, Stage::KeyExchange, Stage::Auth] {
                assert!(stages.contains(&rank(stage)), "no {stage:?} under {fault:?}: {failures:#?}");
            }
            assert!(failures.iter().all(|failure| failure.hint.is_some()), "{failures:#?}");
        }
    });
}

#[test]
fn broken_bytes_anywhere_in_the_handshake_end_it() {
    runtime().block_on(async {
        let server = serve(Conduct::Well).await;
        // Some of them promise a packet that never comes to its end.
        for fault in [Fault::Flip, Fault::Flood(0), Fault::Flood(0xff), Fault::Flood(b'\n'), Fault::Lines] {
            for failure in failures(server, fault, Duration::from_secs(3)).await {
                assert!(!failure.message.contains('\x1b') && failure.message.len() < 500, "{failure}");
            }
        }
    });
}

/// `vmssh ssh` to a port, in surroundings of its own.
struct Program {
    home: TempDir,
    port: u16,
}

impl Program {
    fn words(&self, more: &[&str]) -> Vec<String> {
        let known = self.home.path().join("known_hosts");
        let target = format!("anybody@127.0.0.1:{}", self.port);
        let words = ["ssh", &target, "--known-hosts", known.to_str().unwrap(), "--host-keys", "accept-new"];
        words.iter().chain(more).map(ToString::to_string).collect()
    }

    fn new(port: u16) -> Self {
        Self { home: tempfile::tempdir().unwrap(), port }
    }

    /// In a terminal: its exit status, and all that it printed. The terminal is as before.
    #[track_caller]
    fn in_terminal(&self, more: &[&str]) -> (Option<i32>, String) {
        let fresh = Terminal::run(pty_process::blocking::Command::new("true")).modes();
        let mut terminal = self.terminal(more);
        let status = terminal.end();
        assert_eq!(terminal.modes(), fresh, "{}", terminal.screen());
        (status.code(), terminal.screen())
    }

    fn terminal(&self, more: &[&str]) -> Terminal {
        let command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_vmssh"))
            .args(self.words(more))
            .env_clear()
            .env("HOME", self.home.path())
            .env("TERM", "xterm");
        Terminal::run(command)
    }

    fn piped(&self, more: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_vmssh"))
            .args(self.words(more))
            .env_clear()
            .env("HOME", self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

/// A server of this conduct; the runtime serves as long as it is held.
fn program(conduct: Conduct) -> (Program, Runtime) {
    let runtime = runtime();
    let port = runtime.block_on(serve(conduct));
    (Program::new(port), runtime)
}

/// What a server wrote into a message is shown, not obeyed.
#[track_caller]
fn harmless(screen: &str) {
    assert!(
        !screen.contains("\x1b]") && !screen.contains("\x1b[2J") && !screen.contains("\x1b[6n"),
        "{screen:?}"
    );
    assert!(!screen.contains("panicked"), "{screen}");
}

#[test]
fn channels_that_nobody_asked_for_are_refused() {
    let (program, _runtime) = program(Conduct::OpensChannels);
    let output = program.piped(&["--", "x"]).wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "7 of 7 refused");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn what_nobody_asked_for_is_passed_over() {
    let (program, _runtime) = program(Conduct::Babbles);
    let (status, screen) = program.in_terminal(&["-T", "--", "x"]);
    harmless(&screen);
    assert!(screen.contains("all well"), "{screen}");
    assert_eq!(status, Some(0));
}

#[test]
fn a_server_gets_no_port_of_ours() {
    let (program, _runtime) = program(Conduct::WantsForwards);
    let output = program.piped(&["--", "x"]).wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "the client does not listen");
}

#[test]
fn questions_are_shown_and_not_obeyed() {
    let (program, _runtime) = program(Conduct::Questions);
    let mut terminal = program.terminal(&["-T", "--", "x"]);
    let screen = terminal.see("code ^[]0;owned");
    harmless(&screen);
    terminal.send("1234\n");
    let status = terminal.end();
    harmless(&terminal.screen());
    assert!(terminal.screen().contains("all well"), "{}", terminal.screen());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_signal_of_any_name_is_an_end() {
    let (program, _runtime) = program(Conduct::Signals);
    for more in [&["-T", "--", "x"][..], &["-t", "--", "x"]] {
        let (status, screen) = program.in_terminal(more);
        harmless(&screen);
        assert!(status.is_some_and(|status| status != 0), "{status:?} {screen}");
    }
}

#[test]
fn a_farewell_is_shown_and_not_obeyed() {
    let (program, _runtime) = program(Conduct::HangsUp);
    for more in [&["-T", "--", "x"][..], &["-t", "--", "x"], &["-vvv", "--", "x"]] {
        let (status, screen) = program.in_terminal(more);
        harmless(&screen);
        assert!(screen.contains("the server ended it: ^[]0;owned"), "{screen}");
        assert_eq!(status, Some(255));
    }
}

#[test]
fn broken_bytes_in_a_session_leave_the_terminal_in_order() {
    let runtime = runtime();
    let server = runtime.block_on(serve(Conduct::Well));
    let length = runtime.block_on(handshake(server));
    // The banner and the answers to channel and terminal are what comes next.
    for fault in [Fault::Flip, Fault::Cut, Fault::Flood(0), Fault::Flood(0xff)] {
        let (port, _) = runtime.block_on(relay(server, fault, length + 8));
        let (status, screen) = Program::new(port).in_terminal(&["-t", "--", "x"]);
        harmless(&screen);
        assert!(screen.contains("connection lost"), "{screen}");
        assert_eq!(status, Some(255), "{screen}");
    }
}

/// The most memory that a process ever had, in KiB (proc_pid_status(5)).
fn peak(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn output_without_end_takes_no_more_memory_than_a_little() {
    const LENGTH: usize = 96 << 20;
    let let_go = Arc::new(Notify::new());
    let (program, _runtime) = program(Conduct::Floods(LENGTH, let_go.clone()));
    let mut child = program.piped(&["--", "x"]);
    let mut stdout = child.stdout.take().unwrap();
    let (mut got, mut buffer) = (0, vec![0; 65_536]);
    while got < LENGTH {
        got += stdout.read(&mut buffer).unwrap();
    }
    let peak = peak(&child);
    let_go.notify_one();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(peak < 48 << 10, "{peak} KiB");
}
