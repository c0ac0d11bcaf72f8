//! The session of `vmssh ssh` held to what `ssh` does: with and without a terminal, when it is lost, key by key,
//! and through re-exchanged keys.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/pty.rs"]
mod pty;
#[path = "support/sshd.rs"]
mod sshd;

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::process::ExitStatusExt as _,
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rustix::process::Signal;

use self::{pty::Terminal, sshd::TestSshd};

/// `vmssh ssh` to a port of loopback.
fn words(server: &TestSshd, port: u16) -> Vec<String> {
    let [key, known] =
        [server.key(), server.dir().join("known_hosts")].map(|p| p.to_str().unwrap().to_owned());
    let target = format!("{}@127.0.0.1:{port}", server.user());
    ["ssh", &target, "-i", &key, "--known-hosts", &known, "--host-keys", "accept-new"].map(Into::into).into()
}

fn environment(server: &TestSshd) -> [(String, String); 3] {
    let home = server.dir().to_str().unwrap().to_owned();
    [("HOME", home), ("PATH", std::env::var("PATH").unwrap()), ("TERM", "xterm".into())]
        .map(|(name, value)| (name.to_owned(), value))
}

/// The program in a terminal.
fn in_terminal(server: &TestSshd, port: u16, more: &[&str]) -> Terminal {
    let command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_vmssh"))
        .args(words(server, port))
        .args(more)
        .env_clear()
        .envs(environment(server));
    Terminal::run(command)
}

fn port(server: &TestSshd) -> u16 {
    server.endpoint().port.get()
}

/// A shell with a prompt of its own in a terminal, and the modes that the terminal had before.
fn shell(server: &TestSshd, port: u16) -> (Terminal, String) {
    let fresh = Terminal::run(pty_process::blocking::Command::new("true")).modes();
    let mut terminal = in_terminal(server, port, &[]);
    terminal.until_raw();
    terminal.send("exec env -i TERM=$TERM PATH=$PATH PS1='sh''ell> ' sh\r");
    terminal.see("shell> ");
    (terminal, fresh)
}

/// Runs the program to its end with this on its standard input.
fn piped(server: &TestSshd, more: &[&str], input: Vec<u8>) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vmssh"))
        .args(words(server, port(server)))
        .args(more)
        .env_clear()
        .envs(environment(server))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeding = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    output
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_shell_takes_a_script_from_a_pipe() {
    let server = TestSshd::start(&[]);
    let script = || b"tty || echo none\ncat <<END\nas it is\nEND\nexit 5\n".to_vec();
    for (more, noted) in [(&[][..], true), (&["-T"], false), (&["-q"], false)] {
        let output = piped(&server, more, script());
        assert_eq!(output.status.code(), Some(5), "{}", said(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "not a tty\nnone\nas it is\n");
        assert_eq!(said(&output).contains("no remote terminal"), noted, "{}", said(&output));
    }
    // The end of the input is the end of the shell.
    let output = piped(&server, &["-T"], b"echo last".to_vec());
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"last\n"[..]));
}

#[test]
fn a_terminal_can_be_forced_and_forbidden() {
    let server = TestSshd::start(&[]);
    let output = piped(&server, &["-tt", "--", "tty"], vec![]);
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("/dev/"), "{}", said(&output));
    let output = piped(&server, &["-t", "--", "tty"], vec![]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "not a tty\n");
    assert!(said(&output).contains("no remote terminal"), "{}", said(&output));

    let fresh = Terminal::run(pty_process::blocking::Command::new("true")).modes();
    let mut terminal = in_terminal(&server, port(&server), &["-T"]);
    terminal.send("tty; exit 4\r");
    terminal.see("not a tty");
    assert_eq!(terminal.end().code(), Some(4));
    assert_eq!(terminal.modes(), fresh);
}

#[test]
fn a_terminal_is_used_where_only_the_output_is_a_pipe() {
    let server = TestSshd::start(&[]);
    let program = shlex::try_join(
        [env!("CARGO_BIN_EXE_vmssh")]
            .into_iter()
            .chain(words(&server, port(&server)).iter().map(String::as_str))
            .chain(["-t", "--", "tty; stty size"]),
    );
    let piped = pty_process::blocking::Command::new("sh")
        .args(["-c", &format!("{} | cat", program.unwrap())])
        .env_clear()
        .envs(environment(&server));
    let mut terminal = Terminal::run(piped);
    terminal.see("/dev/");
    terminal.see("24 80");
    assert_eq!(terminal.end().code(), Some(0));
}

#[test]
fn a_lost_session_says_how_to_come_back() {
    let server = TestSshd::start(&[]);
    let (mut terminal, before) = shell(&server, port(&server));
    terminal.send("kill -9 $PPID\r");
    assert_eq!(terminal.end().code(), Some(255));
    assert_eq!(terminal.modes(), before);
    let screen = terminal.screen();
    let again = format!("a new one: `vmssh ssh {}@127.0.0.1:{}", server.user(), port(&server));
    assert!(screen.contains("connection lost") && screen.contains(&again), "{screen}");
}

#[test]
fn a_quit_signal_leaves_the_terminal_in_order() {
    let server = TestSshd::start(&[]);
    let (mut terminal, before) = shell(&server, port(&server));
    terminal.signal(Signal::QUIT);
    let status = terminal.end();
    assert_eq!(terminal.modes(), before);
    assert!(!status.success() && status.signal().is_none(), "{status}");
}

/// Carries one connection to a port and counts how often something came from the client.
fn counting_relay(to: u16) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", to)).unwrap();
        let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || {
            let _ = io::copy(&mut from_server, &mut to_client);
            let _ = to_client.shutdown(Shutdown::Write);
        });
        let mut buffer = [0; 65_536];
        while let Ok(length @ 1..) = client.read(&mut buffer) {
            counted.fetch_add(1, Ordering::SeqCst);
            if server.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = server.shutdown(Shutdown::Write);
    });
    (port, count)
}

#[test]
fn a_key_is_one_packet_at_once() {
    let server = TestSshd::start(&[]);
    let (port, count) = counting_relay(port(&server));
    let (mut terminal, _) = shell(&server, port);
    let before = count.load(Ordering::SeqCst);
    let keys = "abcdefghijklmnopqrstuvwxyz";
    // The next key is typed when the one before is back: one that waited for company would never be.
    for key in keys.chars().map(|key| key.to_string()) {
        terminal.send(&key);
        terminal.see(&key);
    }
    assert_eq!(count.load(Ordering::SeqCst) - before, keys.len());
}

/// Bytes without a pattern that a lost or doubled block could hide in.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(length)
    .collect()
}

/// `VMSSH_TEST_BYTES=1100000000` makes it long enough for the client's own re-exchange too (after 1 GiB).
#[test]
fn both_ways_are_exact_through_many_exchanges_of_keys() {
    let length = std::env::var("VMSSH_TEST_BYTES").map_or(24 << 20, |bytes| bytes.parse().unwrap());
    let server = TestSshd::start(&["RekeyLimit 1M"]);
    let data = noise(length);
    let output = piped(&server, &["--", "cat; exit 6"], data.clone());
    assert_eq!(output.status.code(), Some(6), "{}", said(&output));
    assert!(output.stdout == data, "{} of {length} bytes, or others", output.stdout.len());
}
