//! First contacts of a fan-out are one question.

use std::path::PathBuf;

use super::*;
use crate::pty::Terminal;

struct Fleet {
    servers: Vec<TestSshd>,
    here: Surroundings,
    key: PathBuf,
}

impl Fleet {
    /// Three servers that one key signs in to, two of them with one host key.
    fn start() -> Self {
        let here = Surroundings::new();
        let key = here.home.path().join("key");
        keygen(&["-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()]);
        let first = TestSshd::start(&[]);
        let same = format!("HostKey {}", first.dir().join("host_ed25519").display());
        let servers = vec![first, TestSshd::start(&[&same]), TestSshd::start(&[])];
        for server in &servers {
            fs::copy(key.with_extension("pub"), server.dir().join("authorized_keys")).unwrap();
        }
        Self { servers, here, key }
    }

    /// Its instances as `az vmss list-instance-connection-info` prints them.
    fn document(&self) -> String {
        let lines: Vec<_> = (0..)
            .zip(&self.servers)
            .map(|(id, server)| format!("\"instance {id}\": \"{}\"", server.endpoint()))
            .collect();
        self.here.file("ports.json", format!("{{{}}}", lines.join(", ")))
    }

    fn words(&self) -> Vec<String> {
        let target = format!("{}@@{}", self.servers[0].user(), self.document());
        let known = self.known().to_str().unwrap().to_owned();
        let key = self.key.to_str().unwrap().to_owned();
        ["exec", &target, "-i", &key, "--known-hosts", &known].map(Into::into).into()
    }

    fn known(&self) -> PathBuf {
        self.here.home.path().join("known_hosts")
    }

    fn in_terminal(&self) -> Terminal {
        let command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_vmssh"))
            .args(self.words())
            .args(["--", "echo done"])
            .env_clear()
            .env("HOME", self.here.home.path())
            .env("TERM", "xterm");
        Terminal::run(command)
    }
}

#[test]
fn a_fan_out_asks_once_and_folds_what_it_says() {
    let fleet = Fleet::start();
    let mut terminal = fleet.in_terminal();
    terminal.see("3 instances show keys that are not on file: 0-2");
    terminal.see("One key for several of them");
    terminal.see("(yes/no/show/each)");
    terminal.send("show\r");
    terminal.see(&fingerprint(&fleet.servers[2].dir().join("host_ed25519.pub")));
    terminal.see("(yes/no/show/each)");
    terminal.send("yes\r");
    assert_eq!(terminal.end().code(), Some(0), "{}", terminal.screen());
    let screen = terminal.screen();
    assert_eq!(screen.matches("(yes/no").count(), 2, "{screen}");
    assert!(screen.contains("host keys of 0-2 filed"), "{screen}");
    assert!(screen.contains("0-1 have the same host key"), "{screen}");
    assert_eq!(text(&fleet.known()).lines().count(), 3);
    assert!(text(&fleet.known()).contains(" instance 2 at "), "{}", text(&fleet.known()));
}

#[test]
fn a_no_is_for_all_and_each_is_for_each() {
    let fleet = Fleet::start();
    let mut terminal = fleet.in_terminal();
    terminal.see("(yes/no/show/each)");
    terminal.send("no\r");
    assert_eq!(terminal.end().code(), Some(1), "{}", terminal.screen());
    assert!(!fleet.known().exists());
    let mut terminal = fleet.in_terminal();
    terminal.see("(yes/no/show/each)");
    terminal.send("each\r");
    for answer in ["no", "yes", "SHA256:wrong"] {
        terminal.see("(yes/no/[fingerprint])");
        terminal.send(&format!("{answer}\r"));
    }
    terminal.see("not its fingerprint");
    terminal.send("no\r");
    assert_eq!(terminal.end().code(), Some(1), "{}", terminal.screen());
    assert_eq!(text(&fleet.known()).lines().count(), 1);
}

#[test]
fn accepted_and_changed_keys_are_told_of_together() {
    let fleet = Fleet::start();
    let more = ["--host-keys", "accept-new", "--", "true"].map(String::from);
    let run = || {
        let words = [fleet.words(), more.to_vec()].concat();
        fleet.here.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let ran = run().expect_status(0);
    assert_eq!(ran.stderr.matches("host keys of 0-2 filed").count(), 1, "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("filed").count(), 1, "{}", ran.stderr);
    // Other keys under all names.
    let other = fleet.here.home.path().join("other");
    keygen(&["-t", "ed25519", "-N", "", "-f", other.to_str().unwrap()]);
    let other = text(&other.with_extension("pub"));
    let swap = |line: &str| {
        let mut words: Vec<_> = line.split(' ').collect();
        words[2] = other.split(' ').nth(1).unwrap();
        words.join(" ") + "\n"
    };
    let changed: String = text(&fleet.known()).lines().map(swap).collect();
    fs::write(fleet.known(), changed).unwrap();
    let ran = run().expect_status(1);
    assert!(
        ran.stderr.contains("3 host key: changed: the server's key is not the one on file (0-2)"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains(", since 20") && ran.stderr.contains("vmssh trust forget"), "{}", ran.stderr);
}
