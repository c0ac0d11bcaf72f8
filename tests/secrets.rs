//! What signs in is nowhere to be found afterwards: not in the debug output, not in errors, not in a file.
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
#[path = "support/sshd.rs"]
mod sshd;

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use self::{pty::Terminal, sshd::TestSshd};

const PASSWORD: &str = "open-sesame-4711";
const PHRASE: &str = "correct-horse-battery";

/// As many bytes of a key as no other file has by chance.
const PIECE: usize = 16;

/// A sign-in in a terminal with everything logged. `typed` is what each question is answered with.
fn sign_in(
    verb: &str,
    server: &TestSshd,
    home: &Path,
    more: &[&str],
    typed: &[(&str, &str)],
) -> (Option<i32>, String) {
    let target = format!("{}@{}", server.user(), server.endpoint());
    let command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_vmssh"))
        .args([verb, &target, "-vvv", "--host-keys", "accept-new"])
        .args(more)
        .args(["--", "true"])
        .env_clear()
        .env("HOME", home)
        .env("TERM", "xterm")
        .current_dir(home);
    let mut terminal = Terminal::run(command);
    for (question, answer) in typed {
        terminal.see(question);
        terminal.until_silent();
        terminal.send(&format!("{answer}\r"));
    }
    let status = terminal.end();
    (status.code(), terminal.screen())
}

/// A secret in each form that output could have it in, with a name.
fn forms(name: &str, bytes: &[u8]) -> [(String, Vec<u8>); 4] {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    // As `{:?}` of a list of bytes.
    let list: Vec<_> = bytes.iter().map(ToString::to_string).collect();
    [
        (name.to_owned(), bytes.to_vec()),
        (format!("{name} in base64"), STANDARD.encode(bytes).trim_end_matches('=').into()),
        (format!("{name} in hex"), hex.into_bytes()),
        (format!("{name} as numbers"), list.join(", ").into_bytes()),
    ]
}

/// What may not be found: the password, the pass phrase, and these keys.
fn secrets(keys: &[&Path]) -> Vec<(String, Vec<u8>)> {
    let mut secrets = Vec::from(forms("the password", PASSWORD.as_bytes()));
    secrets.extend(forms("the pass phrase", PHRASE.as_bytes()));
    for key in keys {
        let (text, name) = (fs::read_to_string(key).unwrap(), key.display());
        let private = russh::keys::decode_secret_key(&text, is_locked(key).then_some(PHRASE)).unwrap();
        let seed = private.key_data().ed25519().unwrap().private.to_bytes();
        secrets.extend(forms(&format!("the key of {name}"), &seed));
        secrets.extend(forms(&format!("a part of the key of {name}"), &seed[8..8 + PIECE]));
        // And the file as it is, in its lines; the first has nothing but the format's name.
        let lines = text.lines().filter(|line| line.len() >= PIECE && !line.starts_with("---")).skip(1);
        secrets.extend(lines.map(|line| (format!("a line of {name}"), line.as_bytes().to_vec())));
    }
    secrets
}

fn is_locked(key: &Path) -> bool {
    key.file_name().is_some_and(|name| name == "locked")
}

/// All files under a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[track_caller]
fn nowhere(secrets: &[(String, Vec<u8>)], place: &str, text: &[u8]) {
    for (name, secret) in secrets {
        let found = text.windows(secret.len()).any(|window| window == secret.as_slice());
        assert!(!found, "{name} is in {place}");
    }
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let server = TestSshd::start(&[]);
    let secrets = secrets(&[&server.key()]);
    for (_, secret) in &secrets {
        let text = [b"log: ", secret.as_slice(), b"\n"].concat();
        assert!(std::panic::catch_unwind(|| nowhere(&secrets, "it", &text)).is_err());
    }
}

#[test]
fn keys_and_pass_phrases_are_told_nobody() {
    let server = TestSshd::start(&[]);
    let locked = server.new_key("locked", &["-t", "ed25519"], PHRASE);
    let open = server.key();
    let secrets = secrets(&[&locked, &open]);
    let home = tempfile::tempdir().unwrap();
    let locked_name = locked.to_str().unwrap().to_owned();
    for (verb, key, typed, expected) in [
        ("ssh", open.to_str().unwrap(), &[][..], Some(0)),
        ("ssh", &locked_name, &[("locked", PHRASE)], Some(0)),
        // A wrong one is an error, which must not say what was wrong. (`ssh` would ask for a password next.)
        (
            "exec",
            &locked_name,
            &[("locked", PASSWORD), ("locked", PASSWORD), ("locked", PASSWORD)],
            Some(255),
        ),
    ] {
        let (status, screen) = sign_in(verb, &server, home.path(), &["-i", key], typed);
        assert_eq!(status, expected, "{screen}");
        assert!(screen.contains("DEBUG"), "{screen}");
        nowhere(&secrets, "the output", screen.as_bytes());
    }
    let written = files(home.path());
    assert!(!written.is_empty(), "the host key is filed somewhere");
    for file in written {
        nowhere(&secrets, &file.display().to_string(), &fs::read(&file).unwrap());
    }
}

#[test]
fn a_password_is_told_nobody() {
    let config = ["PasswordAuthentication yes", "PubkeyAuthentication no"];
    let server = TestSshd::with_user(PASSWORD, &config);
    let home = tempfile::tempdir().unwrap();
    let secrets = secrets(&[]);
    for (typed, expected) in [
        (&[("assword", PASSWORD)][..], Some(0)),
        (&[("assword", PHRASE), ("assword", PHRASE), ("assword", PHRASE)], Some(255)),
    ] {
        let (status, screen) = sign_in("ssh", &server, home.path(), &[], typed);
        assert_eq!(status, expected, "{screen}");
        nowhere(&secrets, "the output", screen.as_bytes());
    }
    for file in files(home.path()) {
        nowhere(&secrets, &file.display().to_string(), &fs::read(&file).unwrap());
    }
}
