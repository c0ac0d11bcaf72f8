//! The front shaped like `ssh`, started by the programs that start `ssh`, against a real OpenSSH server.
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
mod vmssh_binary;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use sshd::{TestSshd, run};
use vmssh_binary::{Ran, Surroundings};

/// A server, and a home whose configuration leads to it as `box`; the binary lies there under the name `ssh`.
struct Front {
    server: TestSshd,
    surroundings: Surroundings,
}

impl Front {
    fn new() -> Self {
        let server = TestSshd::start(&[]);
        let surroundings = Surroundings::new();
        let front = Self { server, surroundings };
        let folder = front.home().join(".ssh");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("known_hosts"), front.server.known_hosts_line()).unwrap();
        let (port, user, key) = (front.server.endpoint().port, front.server.user(), front.server.key());
        let key = key.display();
        let config = format!(
            "Host box\n HostName 127.0.0.1\n Port {port}\nHost *\n User {user}\n IdentityFile {key}\n"
        );
        fs::write(folder.join("config"), config).unwrap();
        symlink(env!("CARGO_BIN_EXE_vmssh"), front.ssh()).unwrap();
        front
    }

    fn home(&self) -> &Path {
        self.surroundings.home.path()
    }

    fn ssh(&self) -> PathBuf {
        self.home().join("ssh")
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(words)
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", std::env::var_os("PATH").unwrap())
            .current_dir(self.home())
            .stdin(std::process::Stdio::null());
        command
    }

    /// Runs the binary as `ssh`.
    fn run(&self, words: &[&str]) -> Ran {
        self.command(self.ssh(), words).output().unwrap().into()
    }

    /// Runs a program that starts it.
    fn program(&self, program: &str, words: &[&str]) -> Ran {
        self.command(program, words).output().unwrap().into()
    }
}

#[test]
fn statuses_streams_and_commands_are_ssh_s() {
    let front = Front::new();
    let ran =
        front.run(&["box", "echo", "$((6", "*", "7))", ";", "echo err >&2;", "exit 3"]).expect_status(3);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("42\n", "err\n"));
    front.run(&["box", "kill -9 $$"]).expect_status(255);
    front.run(&["-o", "HostKeyAlias=stranger", "-o", "BatchMode=yes", "box", "true"]).expect_status(255);
    front.run(&["-q", "-p", "1", "box", "true"]).expect_status(255);
    let ran =
        front.surroundings.run(&["openssh", "-F", "none", "-oBatchMode=yes", "127.0.0.1", "-p1", "true"]);
    assert!(ran.expect_status(255).stderr.contains("refused"));
    // What comes in on standard input goes there, unless it is to be left alone.
    let input = |words: &[&str]| {
        let words = [&["openssh"], words].concat();
        front.surroundings.run_with_input(&words, b"typed").expect_status(0).stdout
    };
    assert_eq!(input(&["box", "cat"]), "typed");
    assert_eq!(input(&["-n", "box", "cat"]), "");
    assert_eq!(input(&["-o", "SetEnv=LC_X=1", "box", "echo \"$SSH_CONNECTION\" | wc -w"]).trim(), "4");
}

#[test]
fn questions_are_answered_and_what_is_absent_is_refused_by_name() {
    let front = Front::new();
    assert!(front.run(&["-V"]).expect_status(0).stderr.starts_with("vmssh "));
    assert!(front.run(&["-Q", "kex"]).expect_status(0).stdout.contains("mlkem768x25519-sha256\n"));
    front.run(&["-Q", "colours"]).expect_status(255);
    let printed = front.run(&["-G", "-l", "deploy", "-o", "Compression=yes", "box"]).expect_status(0).stdout;
    for line in ["hostname 127.0.0.1\n", "user deploy\n", "host box\n", "batchmode no\n"] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    for (words, name) in [
        (&["-X", "box"][..], "-X"),
        (&["-w", "0", "box"], "-w"),
        (&["-f", "-N", "box"], "-f"),
        (&["-o", "KnownHostsCommand=/bin/true", "box"], "KnownHostsCommand"),
    ] {
        let ran = front.run(words).expect_status(255);
        assert!(ran.stderr.contains(name) && ran.stderr.contains("not supported"), "{}", ran.stderr);
    }
}

#[test]
fn new_keys_are_filed_where_ssh_files_them() {
    let front = Front::new();
    let port = front.server.endpoint().port;
    let file = front.home().join(".ssh/known_hosts");
    fs::write(&file, "").unwrap();
    front.run(&["-o", "BatchMode=yes", "box", "true"]).expect_status(255);
    assert_eq!(fs::read_to_string(&file).unwrap(), "");
    let plain = ["-o", "HashKnownHosts=no", "-o", "StrictHostKeyChecking=no"];
    front.run(&[&plain[..], &["box", "true"]].concat()).expect_status(0);
    assert!(fs::read_to_string(&file).unwrap().starts_with(&format!("[127.0.0.1]:{port} ssh-ed25519 ")));
    front.run(&["-o", "BatchMode=yes", "box", "true"]).expect_status(0);
    fs::write(&file, "").unwrap();
    let hashed = ["-o", "HashKnownHosts=yes", "-o", "StrictHostKeyChecking=no"];
    front.run(&[&hashed[..], &["box", "true"]].concat()).expect_status(0);
    assert!(fs::read_to_string(&file).unwrap().starts_with("|1|"));
    front.run(&["-o", "BatchMode=yes", "box", "true"]).expect_status(0);
    let nowhere = ["-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no"];
    front.run(&[&nowhere[..], &["box", "true"]].concat()).expect_status(0);
}

#[test]
fn a_program_may_be_the_connection_and_another_session_too() {
    let front = Front::new();
    let port = front.server.endpoint().port.to_string();
    let connection = format!("ProxyCommand={} -W 127.0.0.1:%p box", front.ssh().display());
    let words =
        ["-o", connection.as_str(), "-o", "HostKeyAlias=inner", "-o", "StrictHostKeyChecking=accept-new"];
    let ran = front.run(&[&words[..], &["-p", &port, "unresolvable.invalid", "echo through"]].concat());
    assert_eq!(ran.expect_status(0).stdout, "through\n");
    let ran = front.run(&["-o", "ProxyCommand=exit 7", "box", "true"]).expect_status(255);
    assert!(!ran.stderr.is_empty());
    // What would be shell text in a command is no name.
    let ran = front.run(&["-o", "ProxyCommand=nc %h %p", "-l", "a;b", "-o", "ProxyCommand=x", "b$x", "true"]);
    assert!(ran.expect_status(255).stderr.contains("no name"));
    let jumped = front.run(&["-J", "box", "-o", "HostKeyAlias=inner", "-p", &port, "127.0.0.1", "echo over"]);
    assert_eq!(jumped.expect_status(0).stdout, "over\n");
}

#[test]
fn a_command_here_runs_where_it_is_permitted() {
    let front = Front::new();
    let command = ["-o", "LocalCommand=echo %n %p > here"];
    front.run(&[&command[..], &["box", "true"]].concat()).expect_status(0);
    assert!(!front.home().join("here").exists());
    front.run(&[&command[..], &["-o", "PermitLocalCommand=yes", "box", "true"]].concat()).expect_status(0);
    let port = front.server.endpoint().port;
    assert_eq!(fs::read_to_string(front.home().join("here")).unwrap(), format!("box {port}\n"));
}

#[test]
fn rsync_scp_and_sftp_go_over_it() {
    let front = Front::new();
    let there = front.server.dir().join("there");
    fs::create_dir(&there).unwrap();
    let data: Vec<u8> = (0..300_000_u32).flat_map(u32::to_be_bytes).collect();
    fs::write(front.home().join("data"), &data).unwrap();
    let (ssh, folder) = (front.ssh(), there.display().to_string());
    let ssh = ssh.to_str().unwrap();
    front.program("rsync", &["-a", "-e", ssh, "data", &format!("box:{folder}/rsynced")]).expect_status(0);
    front.program("scp", &["-q", "-S", ssh, "data", &format!("box:{folder}/copied")]).expect_status(0);
    front.program("scp", &["-q", "-O", "-S", ssh, &format!("box:{folder}/copied"), "back"]).expect_status(0);
    fs::write(front.home().join("batch"), format!("put data {folder}/put\n")).unwrap();
    front.program("sftp", &["-q", "-S", ssh, "-b", "batch", "box"]).expect_status(0);
    for file in [there.join("rsynced"), there.join("copied"), there.join("put"), front.home().join("back")] {
        assert!(fs::read(&file).unwrap() == data, "{}", file.display());
    }
}

#[test]
fn git_clones_over_it() {
    let front = Front::new();
    let repository = front.server.dir().join("repository");
    let path = repository.to_str().unwrap();
    run("git", &["init", "-q", path]);
    let author = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-C", path];
    run("git", &[&author[..], &["commit", "-q", "--allow-empty", "-m", "first"]].concat());
    let mut clone = front.command("git", &["clone", "-q", &format!("box:{path}"), "clone"]);
    clone.env("GIT_SSH_COMMAND", format!("{} openssh", env!("CARGO_BIN_EXE_vmssh")));
    // The repository may be another user's where the test's user is not its own.
    Ran::from(clone.output().unwrap()).expect_status(0);
    assert_eq!(
        run("git", &["-C", front.home().join("clone").to_str().unwrap(), "log", "--format=%s"]),
        "first\n"
    );
}

#[test]
fn ansible_pings_over_it() {
    let front = Front::new();
    let ssh = front.ssh();
    let words = ["-i", "box,", "all", "-m", "raw", "-a", "echo pong", "-e"];
    let executable = format!("ansible_ssh_executable={}", ssh.display());
    let mut ansible = front.command("ansible", &[&words[..], &[&executable]].concat());
    ansible.env("ANSIBLE_NOCOLOR", "1").env("LC_ALL", "C.UTF-8");
    let ran = Ran::from(ansible.output().unwrap()).expect_status(0);
    assert!(ran.stdout.contains("pong"), "{}", ran.stdout);
}

#[test]
fn a_host_is_an_instance_of_the_target() {
    let front = Front::new();
    let port = front.server.endpoint().port;
    let target = format!("127.0.0.1:{port}");
    let words = ["openssh", "--target", &target, "-o", "StrictHostKeyChecking=accept-new"];
    let ran = front.surroundings.run(&[&words[..], &["0", "echo", "instance"]].concat());
    assert_eq!(ran.expect_status(0).stdout, "instance\n");
    let ran = front.surroundings.run(&[&words[..], &["web", "true"]].concat()).expect_status(255);
    assert!(ran.stderr.contains("web is no instance of"), "{}", ran.stderr);
    let mut named = front.command(front.ssh(), &["-o", "BatchMode=yes", "0", "echo variable"]);
    let ran = Ran::from(named.env("VMSSH_TARGET", &target).output().unwrap());
    assert_eq!(ran.expect_status(0).stdout, "variable\n");
}

#[test]
fn the_lab_s_instances_have_the_same_front() {
    let surroundings = Surroundings::new();
    let ran = surroundings.run(&["openssh", "--target=lab", "2", "hostname"]).expect_status(0);
    assert!(!ran.stdout.is_empty());
    surroundings.run(&["openssh", "--target", "lab", "7", "hostname"]).expect_status(255);
}

#[test]
fn messages_go_where_they_are_sent() {
    let front = Front::new();
    let ran = front.run(&["-E", "log", "-p", "1", "box", "true"]).expect_status(255);
    assert_eq!(ran.stderr, "");
    assert!(fs::read_to_string(front.home().join("log")).unwrap().contains("error: "));
    let ran = front.run(&["-q", "-p", "1", "box", "true"]).expect_status(255);
    assert_eq!(ran.stderr, "");
}
