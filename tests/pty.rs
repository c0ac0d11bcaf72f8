//! `vmssh ssh` as a person meets it: the whole program in a terminal, on a real sshd.
//!
//! Whatever happens, the terminal's modes are afterwards what they were before.
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
    fs,
    io::{Read as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
};

use rustix::process::Signal;

use self::{pty::Terminal, sshd::TestSshd};

/// `vmssh ssh` to the server, with what makes it find its way in.
fn words(server: &TestSshd, key: &Path) -> Vec<String> {
    let [key, known] = [key, &server.dir().join("known_hosts")].map(|p| p.to_str().unwrap().to_owned());
    let target = format!("{}@{}", server.user(), server.endpoint());
    ["ssh", &target, "-i", &key, "--known-hosts", &known, "--host-keys", "accept-new"].map(Into::into).into()
}

/// Nothing of the machine's own keys, agents and configuration.
fn environment(server: &TestSshd) -> [(String, String); 4] {
    let home = server.dir().to_str().unwrap().to_owned();
    [
        ("HOME", home),
        ("PATH", std::env::var("PATH").unwrap()),
        ("TERM", "xterm".into()),
        ("LANG", "C.UTF-8".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

/// The program in a terminal.
fn session(server: &TestSshd, key: &Path, more: &[&str]) -> Terminal {
    let command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_vmssh"))
        .args(words(server, key))
        .args(more)
        .env_clear()
        .envs(environment(server));
    Terminal::run(command)
}

/// The program in a terminal, with the shell's own prompt and echo out of the way.
fn shell(server: &TestSshd) -> (Terminal, String) {
    let fresh = Terminal::run(pty_process::blocking::Command::new("true")).modes();
    let mut terminal = session(server, &server.key(), &[]);
    // Typed ahead it would be read by nobody: raw mode comes with the session.
    terminal.until_raw();
    terminal.send("exec env -i TERM=$TERM PATH=$PATH PS1='sh''ell> ' sh\r");
    terminal.see("shell> ");
    (terminal, fresh)
}

/// Ends and has left the terminal as it was.
#[track_caller]
fn ends(terminal: &mut Terminal, before: &str) -> ExitStatus {
    let status = terminal.end();
    assert_eq!(terminal.modes(), before, "{}", terminal.screen());
    status
}

/// The program without a terminal.
fn piped(server: &TestSshd, more: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_vmssh"))
        .args(words(server, &server.key()))
        .args(more)
        .env_clear()
        .envs(environment(server))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Writes beside what the test does; a program that wants no more of it is no error.
fn feed(mut stdin: ChildStdin, data: Vec<u8>) -> thread::JoinHandle<()> {
    thread::spawn(move || drop(stdin.write_all(&data)))
}

#[test]
fn a_shell_has_a_terminal_like_the_users() {
    let server = TestSshd::start(&["AcceptEnv LANG LC_*"]);
    let (mut terminal, before) = shell(&server);
    assert!(terminal.is_raw());
    terminal.send("stty size; echo $TERM\r");
    terminal.see("24 80\r\nxterm\r\n");
    terminal.resize(132, 43);
    // The new size takes its way beside what is typed.
    terminal.send("until [ \"$(stty size)\" = '43 132' ]; do :; done; echo re''sized\r");
    terminal.see("resized\r\n");
    terminal.see("shell> ");
    terminal.send("stty -a\r");
    let modes = terminal.see("shell> ");
    assert!(modes.contains(" icanon") && modes.contains("intr = ^C"), "{modes}");
    assert_eq!(modes.contains(" iutf8"), before.contains("IUTF8"), "{modes} {before}");
    // ^C goes to what runs there: something that is in front already when it says so.
    terminal.send("sh -c 'echo run\"\"ning; exec sleep 1000'\r");
    terminal.see("running");
    terminal.send("\x03");
    terminal.see("shell> ");
    terminal.send("exit 7\r");
    assert_eq!(ends(&mut terminal, &before).code(), Some(7));
}

#[test]
fn the_environment_says_which_language() {
    let server = TestSshd::start(&["AcceptEnv LANG LC_*"]);
    let mut terminal = session(&server, &server.key(), &["--tty", "--", "echo \"<$LANG>\"; tty"]);
    terminal.see("<C.UTF-8>\r\n/dev/");
    assert_eq!(terminal.end().code(), Some(0));
}

#[test]
fn escapes_end_explain_and_pass() {
    let server = TestSshd::start(&[]);
    let (mut terminal, before) = shell(&server);
    terminal.send("echo ~~; echo a~.b\r");
    terminal.see("\r\na~.b");
    terminal.see("shell> ");
    terminal.send("\r~?");
    terminal.see("end the session");
    terminal.send("\r~#");
    terminal.see("channel 0: shell");
    terminal.send("\r~");
    terminal.send(".");
    assert_eq!(ends(&mut terminal, &before).code(), Some(255));
}

#[test]
fn tilde_dot_works_while_the_instance_floods() {
    let server = TestSshd::start(&[]);
    let (mut terminal, before) = shell(&server);
    terminal.send("yes\r");
    terminal.see("y\r\ny\r\ny\r\n");
    terminal.send("\r~.");
    assert_eq!(ends(&mut terminal, &before).code(), Some(255));
}

#[test]
fn tilde_dot_works_while_the_terminal_stands_still() {
    let server = TestSshd::start(&[]);
    let (mut terminal, before) = shell(&server);
    terminal.send("yes\r");
    terminal.see("y\r\ny\r\ny\r\n");
    terminal.freeze();
    terminal.send("\r~.");
    assert_eq!(ends(&mut terminal, &before).code(), Some(255));
}

#[test]
fn a_terminal_that_stood_still_misses_nothing() {
    let server = TestSshd::start(&[]);
    let (mut terminal, before) = shell(&server);
    // More than all queues on the way take: the connection itself comes to a stand.
    terminal.send("seq 1000000; exit\r");
    terminal.see("\r\n");
    terminal.freeze();
    terminal.thaw();
    assert_eq!(ends(&mut terminal, &before).code(), Some(0));
    let screen = terminal.screen();
    let numbers = screen.lines().filter_map(|line| line.parse::<u32>().ok());
    assert!(numbers.eq(1..=1_000_000), "{} bytes", screen.len());
}

#[test]
fn a_suspended_session_comes_back_with_the_size_that_the_terminal_then_has() {
    let server = TestSshd::start(&[]);
    let program = shlex::try_join(
        [env!("CARGO_BIN_EXE_vmssh")]
            .into_iter()
            .chain(words(&server, &server.key()).iter().map(String::as_str)),
    );
    let bash = pty_process::blocking::Command::new("bash")
        .args(["--norc", "--noprofile", "-i"])
        .env_clear()
        .envs(environment(&server))
        .env("PS1", "local> ");
    let mut terminal = Terminal::run(bash);
    terminal.see("local> ");
    terminal.send(&format!("{}\r", program.unwrap()));
    terminal.until_raw();
    terminal.send("exec env -i PATH=$PATH PS1='sh''ell> ' sh\r");
    terminal.see("shell> ");
    terminal.send("\r~\x1a");
    terminal.see("Stopped");
    terminal.see("local> ");
    terminal.send("stty -a\r");
    let modes = terminal.see("local> ");
    assert!(modes.contains(" icanon") && modes.contains(" echo "), "{modes}");
    terminal.resize(100, 30);
    terminal.send("fg\r");
    terminal.until_raw();
    terminal.send("until [ \"$(stty size)\" = '30 100' ]; do :; done; echo re''sized\r");
    terminal.see("resized");
    terminal.send("exit 3\r");
    terminal.see("local> ");
    terminal.send("echo status $?\r");
    terminal.see("status 3\r\n");
}

#[test]
fn signals_end_the_program_and_not_the_terminal() {
    let server = TestSshd::start(&[]);
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let (mut terminal, before) = shell(&server);
        terminal.signal(signal);
        let status = ends(&mut terminal, &before);
        assert!(!status.success() && status.signal().is_none(), "{signal:?}: {status}");
    }
}

#[test]
fn a_lost_connection_ends_with_255() {
    let server = TestSshd::start(&[]);
    let (mut terminal, before) = shell(&server);
    // The shell's parent is the server's process for this connection.
    terminal.send("kill -9 $PPID\r");
    assert_eq!(ends(&mut terminal, &before).code(), Some(255));
    assert!(terminal.screen().contains("connection lost"), "{}", terminal.screen());
}

#[test]
fn a_password_is_asked_for_and_not_shown() {
    let server =
        TestSshd::with_user("open-sesame", &["PasswordAuthentication yes", "PubkeyAuthentication no"]);
    let fresh = Terminal::run(pty_process::blocking::Command::new("true")).modes();
    let mut terminal = session(&server, &server.key(), &["--tty", "--", "echo in as $(id -un); exit 4"]);
    terminal.see("assword");
    terminal.until_silent();
    terminal.send("open-sesame\r");
    terminal.see(&format!("in as {}", sshd::USER));
    assert_eq!(ends(&mut terminal, &fresh).code(), Some(4));
    assert!(!terminal.screen().contains("sesame"), "{}", terminal.screen());
}

#[test]
fn an_interrupted_question_leaves_the_echo_on() {
    let server =
        TestSshd::with_user("open-sesame", &["PasswordAuthentication yes", "PubkeyAuthentication no"]);
    let fresh = Terminal::run(pty_process::blocking::Command::new("true")).modes();
    let mut terminal = session(&server, &server.key(), &[]);
    terminal.see("assword");
    terminal.until_silent();
    terminal.send("open\x03");
    assert!(!ends(&mut terminal, &fresh).success());
}

#[test]
fn an_encrypted_key_asks_for_its_pass_phrase() {
    let server = TestSshd::start(&[]);
    let fresh = Terminal::run(pty_process::blocking::Command::new("true")).modes();
    let key = server.new_key("locked", &["-t", "ed25519"], "correct horse");
    let mut terminal = session(&server, &key, &["--", "echo signed in"]);
    terminal.see("locked");
    terminal.until_silent();
    terminal.send("correct horse\r");
    terminal.see("signed in");
    assert_eq!(ends(&mut terminal, &fresh).code(), Some(0));
    assert!(!terminal.screen().contains("horse"), "{}", terminal.screen());
}

#[test]
fn a_new_host_key_is_shown_and_asked_about() {
    let server = TestSshd::start(&[]);
    let fingerprint = sshd::keygen(&["-l", "-f", server.dir().join("host_ed25519.pub").to_str().unwrap()]);
    let fingerprint = fingerprint.split_whitespace().nth(1).unwrap().to_owned();
    for (answer, expected) in [("no", Some(255)), ("yes", Some(0))] {
        let more = ["--host-keys", "ask", "--", "true"];
        let mut words = words(&server, &server.key());
        words.truncate(words.len() - 2);
        let command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_vmssh"))
            .args(words)
            .args(more)
            .env_clear()
            .envs(environment(&server));
        let mut terminal = Terminal::run(command);
        terminal.see(&fingerprint);
        terminal.see("(yes/no");
        terminal.send(&format!("{answer}\r"));
        assert_eq!(terminal.end().code(), expected, "{}", terminal.screen());
    }
}

#[test]
fn a_changed_host_key_is_refused() {
    let server = TestSshd::start(&[]);
    let line = server.known_hosts_line();
    let key = line.split_whitespace().nth(2).unwrap();
    let other = server.dir().join("other");
    sshd::keygen(&["-t", "ed25519", "-N", "", "-f", other.to_str().unwrap()]);
    let other = fs::read_to_string(other.with_extension("pub")).unwrap();
    let other = other.split_whitespace().nth(1).unwrap();
    fs::write(server.dir().join("known_hosts"), line.replace(key, other)).unwrap();
    let fresh = Terminal::run(pty_process::blocking::Command::new("true")).modes();
    let mut terminal = session(&server, &server.key(), &[]);
    assert_eq!(ends(&mut terminal, &fresh).code(), Some(255));
    assert!(terminal.screen().contains("host key"), "{}", terminal.screen());
    assert!(!server.log().contains("Accepted"), "{}", server.log());
}

#[test]
fn a_command_is_a_pipe_byte_for_byte() {
    let server = TestSshd::start(&[]);
    let mut child = piped(&server, &["--", "cat; echo apart >&2; exit 9"]);
    let data: Vec<u8> = (0..5_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let feeding = feed(child.stdin.take().unwrap(), data.clone());
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    assert!(output.stdout == data, "{} of {} bytes, or others", output.stdout.len(), data.len());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.ends_with("apart\n"), "{said}");
    assert_eq!(output.status.code(), Some(9));
}

#[test]
fn output_comes_while_nobody_reads_the_input() {
    let server = TestSshd::start(&[]);
    let mut child = piped(&server, &["--", "echo first; read -r line; echo last"]);
    // More than fits into all buffers on the way.
    let feeding = feed(child.stdin.take().unwrap(), [&b"line\n"[..], &vec![b'x'; 32 << 20]].concat());
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "first\nlast\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_closed_pipe_ends_it() {
    let server = TestSshd::start(&[]);
    let mut child = piped(&server, &["--", "yes"]);
    let mut piece = [0; 4096];
    child.stdout.take().unwrap().read_exact(&mut piece).unwrap();
    // It ends by itself, or the test hangs; and it is silent about it.
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("error") && !said.contains("panicked"), "{said}");
}

#[test]
fn a_remote_signal_becomes_a_status() {
    let server = TestSshd::start(&[]);
    let output = piped(&server, &["--", "kill -TERM $$"]).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(128 + 15));
}
