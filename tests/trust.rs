//! Host keys: certificates, first contacts of a fan-out, `vmssh trust`, several programs on one file.
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
#[path = "support/vmssh.rs"]
mod vmssh_binary;

#[path = "trust/certificates.rs"]
mod certificates;
#[path = "trust/console.rs"]
mod console;
#[path = "trust/contacts.rs"]
mod contacts;
#[path = "trust/processes.rs"]
mod processes;
#[path = "trust/verbs.rs"]
mod verbs;

use std::{fs, path::Path};

use sshd::{TestSshd, keygen};
use vmssh_binary::{Ran, Surroundings};

/// The program on a server: a verb, its options, and what makes it find its way in.
fn run(server: &TestSshd, verb: &[&str], known: &Path, more: &[&str]) -> Ran {
    let here = Surroundings::new();
    let target = format!("{}@{}", server.user(), server.endpoint());
    let known = known.to_str().unwrap();
    here.run(&[verb, &[&target, "--known-hosts", known], more].concat())
}

/// `vmssh ssh` that runs `true` there.
fn visit(server: &TestSshd, known: &Path, policy: &str) -> Ran {
    let key = server.key();
    let more = ["-i", key.to_str().unwrap(), "--host-keys", policy, "--", "true"];
    run(server, &["ssh"], known, &more)
}

/// The fingerprint of a public key's file.
fn fingerprint(public: &Path) -> String {
    let text = keygen(&["-l", "-f", public.to_str().unwrap()]);
    text.split_whitespace().nth(1).unwrap().to_owned()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}
