//! The program: passwords from files, from `SSH_ASKPASS` and from a terminal, and what it never shows.

use std::{io::Write as _, os::unix::fs::PermissionsExt as _, process::Output};

use super::*;

const PASSWORD: &str = "correct horse battery";
const PHRASE: &str = "open sesame street";

fn password_server() -> TestSshd {
    TestSshd::with_user(PASSWORD, &["KbdInteractiveAuthentication yes", "UsePAM yes"])
}

/// The words of `vmssh ssh` to a server, without a key.
fn words(server: &TestSshd) -> Vec<String> {
    let known = server.dir().join("program_hosts");
    fs::write(&known, server.known_hosts_line()).unwrap();
    let target = format!("{}@{}", server.user(), server.endpoint());
    ["ssh", &target, "--known-hosts", text(&known)].map(Into::into).into()
}

/// The program in clean surroundings, and without a terminal.
fn program(server: &TestSshd, more: &[&str]) -> Command {
    let mut command = Command::new("setsid");
    command
        .arg("--wait")
        .arg(env!("CARGO_BIN_EXE_vmssh"))
        .args(words(server))
        .args(more)
        .env_clear()
        .env("HOME", server.dir())
        .env("PATH", std::env::var_os("PATH").unwrap())
        .stdin(Stdio::null());
    command
}

/// A private file.
fn file(server: &TestSshd, name: &str, content: &str, mode: u32) -> PathBuf {
    let path = server.dir().join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// A program that answers and remembers what it was asked.
fn askpass(server: &TestSshd, answer: &str) -> PathBuf {
    let log = server.dir().join("asked");
    let script = format!(
        "#!/bin/sh\nprintf '%s|%s|%s\\n' \"$#\" \"$1\" \"$SSH_ASKPASS_PROMPT\" >>'{}'\n{answer}\n",
        log.display()
    );
    file(server, "askpass", &script, 0o700)
}

fn asked(server: &TestSshd) -> String {
    fs::read_to_string(server.dir().join("asked")).unwrap_or_default()
}

#[track_caller]
fn expect(output: &Output, status: i32, stdout: &str) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), stdout, "{stderr}");
    stderr
}

#[test]
fn a_password_comes_from_a_file() {
    let server = password_server();
    let good = file(&server, "password", &format!("{PASSWORD}\nmore\n"), 0o600);
    let run =
        |file: &Path| program(&server, &["--password-file", text(file), "--", "echo in"]).output().unwrap();
    expect(&run(&good), 0, "in\n");
    let wrong = file(&server, "wrong", "nonsense\n", 0o600);
    let said = expect(&run(&wrong), 255, "");
    assert!(said.contains("is not let in with a password") && !said.contains("nonsense"), "{said}");
    let loose = file(&server, "loose", PASSWORD, 0o644);
    let said = expect(&run(&loose), 4, "");
    assert!(
        said.contains("mode 0644") && said.contains(&format!("`chmod 600 {}`", loose.display())),
        "{said}"
    );
    let empty = file(&server, "empty", "\n", 0o600);
    assert!(expect(&run(&empty), 2, "").contains("its first line is empty"));
    assert!(expect(&run(Path::new("/no/such/file")), 2, "").contains("/no/such/file"));
}

#[test]
fn a_password_on_standard_input_leaves_the_rest_to_the_command() {
    let server = password_server();
    let mut command = program(&server, &["--password-file", "-", "--", "cat"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    write!(child.stdin.take().unwrap(), "{PASSWORD}\nfor the command\n").unwrap();
    expect(&child.wait_with_output().unwrap(), 0, "for the command\n");
}

#[test]
fn a_program_is_asked_where_there_is_no_terminal() {
    let server = password_server();
    let askpass = askpass(&server, &format!("echo '{PASSWORD}'"));
    let run = |name: &str, value: &str| {
        let mut command = program(&server, &["--", "echo in"]);
        command.env("SSH_ASKPASS", &askpass).env(name, value).output().unwrap()
    };
    expect(&run("DISPLAY", ":0"), 0, "in\n");
    expect(&run("WAYLAND_DISPLAY", "wayland-0"), 0, "in\n");
    expect(&run("SSH_ASKPASS_REQUIRE", "force"), 0, "in\n");
    let question = "1|vmsshtest's password: |\n";
    assert_eq!(asked(&server), question.repeat(3));
    // Without a display, or told not to, nobody is asked.
    expect(&run("SSH_ASKPASS_REQUIRE", "never"), 255, "");
    expect(&run("SSH_ASKPASS_REQUIRE", "prefer"), 255, "");
    assert_eq!(asked(&server), question.repeat(3));
}

#[test]
fn a_program_unlocks_keys_and_trusts_host_keys() {
    let server = TestSshd::start(&[]);
    let key = server.new_key("locked", &["-t", "ed25519"], PHRASE);
    let answer = format!("[ \"$SSH_ASKPASS_PROMPT\" = confirm ] || echo '{PHRASE}'");
    let askpass = askpass(&server, &answer);
    let mut command = program(&server, &["-i", text(&key), "--", "echo in"]);
    // None is known.
    fs::write(server.dir().join("program_hosts"), "").unwrap();
    command.env("SSH_ASKPASS", &askpass).env("SSH_ASKPASS_REQUIRE", "force");
    expect(&command.output().unwrap(), 0, "in\n");
    let asked = asked(&server);
    assert!(asked.contains("Trust it and go on?") && asked.contains("|confirm\n"), "{asked}");
    assert!(asked.ends_with(&format!("1|Pass phrase for {}: |\n", key.display())), "{asked}");
    assert!(fs::read_to_string(server.dir().join("program_hosts")).unwrap().contains("ssh-ed25519"));

    // A no is a no.
    fs::write(server.dir().join("program_hosts"), "").unwrap();
    file(&server, "askpass", "#!/bin/sh\nexit 1\n", 0o700);
    expect(&command.output().unwrap(), 255, "");
    assert_eq!(fs::read_to_string(server.dir().join("program_hosts")).unwrap(), "");
}

#[test]
fn a_program_that_cannot_answer_is_an_end_and_no_hang() {
    let server = password_server();
    for (answer, told) in [("exit 1", ""), ("head -c 100000 /dev/zero | tr '\\0' x", ""), ("kill -9 $$", "")]
    {
        let askpass = askpass(&server, answer);
        let mut command = program(&server, &["--", "true"]);
        command.env("SSH_ASKPASS", askpass).env("SSH_ASKPASS_REQUIRE", "force");
        let said = expect(&command.output().unwrap(), 255, "");
        assert!(said.contains("the server takes") && said.contains(told), "{said}");
    }
    let mut command = program(&server, &["--", "true"]);
    command.env("SSH_ASKPASS", "/no/such/program").env("SSH_ASKPASS_REQUIRE", "force");
    let said = expect(&command.output().unwrap(), 255, "");
    assert!(said.contains("SSH_ASKPASS /no/such/program"), "{said}");
}

#[test]
fn a_program_that_takes_its_time_is_stopped_with_ours() {
    let server = password_server();
    let place = server.dir().join("pid");
    let askpass = askpass(
        &server,
        &format!("echo $$ >'{0}.new'; mv '{0}.new' '{0}'; exec sleep 1000", place.display()),
    );
    let mut command = program(&server, &["--", "true"]);
    command.env("SSH_ASKPASS", askpass).env("SSH_ASKPASS_REQUIRE", "force").stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let end = Instant::now() + LIMIT;
    let pid = loop {
        if let Ok(pid) = fs::read_to_string(&place) {
            break pid.trim().to_owned();
        }
        assert!(Instant::now() < end, "it is not asked");
        std::thread::sleep(Duration::from_millis(5));
    };
    let ours = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(ours, rustix::process::Signal::INT).unwrap();
    expect(&child.wait_with_output().unwrap(), 130, "");
    let is_there = || Path::new("/proc").join(&pid).exists();
    while is_there() {
        assert!(Instant::now() < end, "it is left behind");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_person_at_a_terminal_types_phrase_and_password() {
    let server = TestSshd::with_user(
        PASSWORD,
        &[
            "KbdInteractiveAuthentication yes",
            "UsePAM yes",
            "AuthenticationMethods publickey,keyboard-interactive",
        ],
    );
    let key = server.new_key("locked", &["-t", "ed25519"], PHRASE);
    let command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_vmssh"))
        .args(words(&server))
        .args(["-vvv", "-i", text(&key), "--", "echo got''in"])
        .env_clear()
        .env("HOME", server.dir())
        .env("PATH", std::env::var_os("PATH").unwrap());
    let mut terminal = pty::Terminal::run(command);
    let before = terminal.modes();
    terminal.see("Pass phrase for ");
    terminal.until_silent();
    terminal.send("wrong one\r");
    terminal.see("Pass phrase for ");
    terminal.until_silent();
    terminal.send(&format!("{PHRASE}\r"));
    terminal.see("vmsshtest's password: ");
    terminal.until_silent();
    terminal.send(&format!("{PASSWORD}\r"));
    terminal.see("gotin");
    assert_eq!(terminal.end().code(), Some(0));
    assert_eq!(terminal.modes(), before);
    let screen = terminal.screen();
    for secret in [PASSWORD, PHRASE, "wrong one"] {
        assert!(!screen.contains(secret), "{screen}");
    }
}

#[test]
fn secrets_are_in_no_output_and_no_file() {
    let server = TestSshd::with_user(
        PASSWORD,
        &[
            "KbdInteractiveAuthentication yes",
            "PasswordAuthentication yes",
            "UsePAM yes",
            "AuthenticationMethods publickey,password publickey,keyboard-interactive",
        ],
    );
    let key = server.new_key("locked", &["-t", "ed25519"], PHRASE);
    let home = tempfile::tempdir().unwrap();
    let password = file(&server, "password", PASSWORD, 0o600);
    let askpass = askpass(&server, &format!("echo '{PHRASE}'"));
    for (password, status) in [(&password, 0), (&file(&server, "wrong", "batteryhorse wrong", 0o600), 255)] {
        let mut command =
            program(&server, &["-vvv", "-i", text(&key), "--password-file", text(password), "--", "true"]);
        command.env("HOME", home.path()).env("SSH_ASKPASS", &askpass).env("SSH_ASKPASS_REQUIRE", "force");
        let output = command.output().unwrap();
        let said = expect(&output, status, "");
        // The log is on, and says what was tried.
        assert!(said.contains("publickey") && said.contains("locked"), "{said}");
        let private = fs::read_to_string(&key).unwrap();
        let secret_line = private.lines().nth(2).unwrap();
        for secret in [PASSWORD, PHRASE, "batteryhorse", secret_line] {
            assert!(!said.contains(secret), "{said}");
        }
    }
    let mut folders = vec![home.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let content = String::from_utf8_lossy(&fs::read(&entry).unwrap()).into_owned();
            assert!(![PASSWORD, PHRASE].iter().any(|s| content.contains(s)), "{}", entry.display());
        }
    }
}
