use std::{path::Path, thread};

use hmac::{Hmac, KeyInit as _, Mac as _};
use russh::keys::{HashAlg, PrivateKey, PublicKey};

use super::{line::matches, *};

fn key(algorithm: Algorithm) -> PublicKey {
    PrivateKey::random(&mut rand::rng(), algorithm).unwrap().public_key().clone()
}

const FIRST: HostKeyStatus = HostKeyStatus::New { other_types: vec![] };

fn ed25519() -> PublicKey {
    key(Algorithm::Ed25519)
}

fn name(alias: &str, bare: Option<&str>) -> ServerName {
    ServerName { alias: alias.into(), bare: bare.map(Into::into) }
}

fn known(text: &str) -> (KnownHosts, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("known_hosts");
    std::fs::write(&own, text).unwrap();
    KnownHosts::read(&KnownHostsFiles { own, also: vec![dir.path().join("none")] }).unwrap()
}

fn new<'a>(server: &'a ServerName, key: &'a PublicKey) -> NewLine<'a> {
    let filed = Filed { date: "2026-11-25".into(), at: Some("h:1".into()), ..Filed::default() };
    NewLine { name: &server.alias, key: key.key_data(), filed, hashing: NameHashing::AsTheFile }
}

fn file(known: &KnownHosts, server: &ServerName, key: &PublicKey) -> Filing {
    known.file(server, &new(server, key), &FIRST)
}

fn line(names: &str, key: &PublicKey) -> String {
    format!("{names} {}\n", PublicKey::new(key.key_data().clone(), "").to_openssh().unwrap().trim_end())
}

#[test]
fn names_are_matched_as_openssh_matches_them() {
    let names = |names: &str, name: &str| matches(&names.parse().unwrap(), name);
    assert!(names("[20.1.2.3]:50000", "[20.1.2.3]:50000"));
    assert!(!names("20.1.2.3", "[20.1.2.3]:50000"));
    assert!(names("a,b,Web.Example", "web.example"));
    assert!(names("*.example,!db.example", "web.example"));
    assert!(!names("*.example,!db.example", "db.example"));
    assert!(!names("!db.example", "web.example"));
    assert!(names("[20.1.2.?]:500*", "[20.1.2.3]:50017"));
    assert!(names("*", "anything"));
    assert!(!names("a*a*a*a*b", &"a".repeat(200)));
    assert!(names("*a*b", "xaxxab") && !names("?", "") && names("**", ""));
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(b"salt").unwrap();
    mac.update(b"[20.1.2.3]:50000");
    let hash = mac.finalize().into_bytes().into();
    let hashed = HostPatterns::HashedName { salt: b"salt".to_vec(), hash };
    assert!(matches(&hashed, "[20.1.2.3]:50000") && !matches(&hashed, "[20.1.2.3]:50001"));
}

#[test]
fn a_key_is_known_new_changed_or_revoked() {
    let (mine, other) = (ed25519(), ed25519());
    let ecdsa = key(Algorithm::Ecdsa { curve: russh::keys::EcdsaCurve::NistP256 });
    let text = format!(
        "# comment\n\n{}{}@revoked {}garbage\n@cert-authority {}@unknown x y z\n",
        line("[h]:50000", &mine),
        line("h", &other),
        line("*", &ecdsa),
        line("*", &other),
    );
    let (known, notes) = known(&text);
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].ends_with(":6 is no known_hosts line, skipped"), "{notes:?}");
    let status = |alias: &str, key: &PublicKey| known.status(&name(alias, Some("h")), key.key_data());
    assert_eq!(status("[h]:50000", &mine), HostKeyStatus::Known);
    let HostKeyStatus::Changed { known: filed } = status("[h]:50000", &ed25519()) else { panic!() };
    assert_eq!(filed[0].line, Some(3));
    assert_eq!(filed[0].fingerprint, mine.fingerprint(HashAlg::Sha256).to_string());
    // Filed without the port: known there, and no reason to call another key changed.
    assert_eq!(status("[h]:50001", &other), HostKeyStatus::Known);
    assert_eq!(status("[h]:50001", &mine), HostKeyStatus::New { other_types: vec![] });
    assert!(matches!(status("[h]:50000", &ecdsa), HostKeyStatus::Revoked { .. }));
    // A certificate authority's key is no host's own key.
    assert_eq!(
        known.status(&name("elsewhere", None), other.key_data()),
        HostKeyStatus::New { other_types: vec![] }
    );
    assert_eq!(known.types(&name("[h]:50000", None)), [Algorithm::Ed25519]);
}

#[test]
fn another_type_is_new_with_a_warning() {
    let ecdsa = key(Algorithm::Ecdsa { curve: russh::keys::EcdsaCurve::NistP384 });
    let (known, _) = known(&line("h", &ecdsa));
    let HostKeyStatus::New { other_types } = known.status(&name("h", None), ed25519().key_data()) else {
        panic!()
    };
    assert_eq!(other_types[0].key_type, "ecdsa-sha2-nistp384");
}

#[test]
fn first_contacts_are_filed_once_each_and_none_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("new/known_hosts");
    let files = KnownHostsFiles { own: own.clone(), also: vec![] };
    let (known, _) = KnownHosts::read(&files).unwrap();
    let keys: Vec<_> = (0..50).map(|_| ed25519()).collect();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for (port, key) in (50000..).zip(&keys) {
                    let filing = file(&known, &name(&format!("[h]:{port}"), Some("h")), key);
                    assert!(matches!(filing, Filing::Done), "{filing:?}");
                }
            });
        }
    });
    let text = std::fs::read_to_string(&own).unwrap();
    assert_eq!(text.lines().count(), 50);
    let (again, notes) = KnownHosts::read(&files).unwrap();
    assert!(notes.is_empty());
    for (port, key) in (50000..).zip(&keys) {
        let status = again.status(&name(&format!("[h]:{port}"), None), key.key_data());
        assert_eq!(status, HostKeyStatus::Known);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&own), mode(own.parent().unwrap())), (0o600, 0o700));
    }
}

#[test]
fn of_two_first_contacts_with_different_keys_one_is_filed() {
    for other in [ed25519(), key(Algorithm::Ecdsa { curve: russh::keys::EcdsaCurve::NistP256 })] {
        let dir = tempfile::tempdir().unwrap();
        let files = KnownHostsFiles { own: dir.path().join("known_hosts"), also: vec![] };
        let (known, _) = KnownHosts::read(&files).unwrap();
        let server = name("[h]:50000", Some("h"));
        let keys = [ed25519(), other];
        // Both were looked up before either was filed.
        for key in &keys {
            assert_eq!(known.status(&server, key.key_data()), FIRST);
        }
        let filings = thread::scope(|scope| {
            let file = |key| file(&known, &server, key);
            let threads = keys.each_ref().map(|key| scope.spawn(move || file(key)));
            threads.map(|thread| thread.join().unwrap())
        });
        let done = filings.iter().filter(|f| matches!(f, Filing::Done)).count();
        let overtaken = filings.iter().filter(|f| matches!(f, Filing::Overtaken(_))).count();
        assert_eq!((done, overtaken), (1, 1), "{filings:?}");
        assert_eq!(std::fs::read_to_string(&files.own).unwrap().lines().count(), 1);
    }
}

#[test]
fn a_last_line_without_an_end_is_not_spoilt() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("known_hosts");
    std::fs::write(&path, "a").unwrap();
    let add = |line| Locked::open(&path).unwrap().append(line, Seen::default()).unwrap();
    add("b\n");
    add("c\n");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\nb\nc\n");
}

#[test]
fn a_file_that_cannot_be_read_is_not_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    let files = KnownHostsFiles { own: dir.path().into(), also: vec![] };
    assert_eq!(KnownHosts::read(&files).unwrap_err().0, dir.path());
}

#[test]
fn a_file_with_hashed_names_gets_hashed_ones() {
    let dir = tempfile::tempdir().unwrap();
    let files = KnownHostsFiles { own: dir.path().join("known_hosts"), also: vec![] };
    let (known, _) = KnownHosts::read(&files).unwrap();
    let (server, key) = (name("[h]:50000", None), ed25519());
    let always = NewLine { hashing: NameHashing::Always, ..new(&server, &key) };
    assert!(matches!(known.file(&server, &always, &FIRST), Filing::Done));
    let (second, other) = (name("[h]:50001", None), ed25519());
    assert!(matches!(file(&known, &second, &other), Filing::Done));
    let text = std::fs::read_to_string(&files.own).unwrap();
    assert!(text.lines().all(|l| l.starts_with("|1|") && l.ends_with(" vmssh 2026-11-25")), "{text}");
    let (again, notes) = KnownHosts::read(&files).unwrap();
    assert_eq!((notes.len(), again.status(&second, other.key_data())), (0, HostKeyStatus::Known));
    assert_eq!(again.forget(&["[h]:50001"]).unwrap().len(), 1);
    assert_eq!(again.status(&second, other.key_data()), FIRST);
    assert_eq!(again.status(&server, key.key_data()), HostKeyStatus::Known);
}

#[test]
fn names_are_taken_out_and_nothing_else() {
    let (key, dir) = (ed25519(), tempfile::tempdir().unwrap());
    let own = dir.path().join("known_hosts");
    let kept = format!("# note\ngarbage\n@revoked {}{}", line("a", &key), line("a*", &key));
    std::fs::write(&own, format!("{kept}{}{}", line("a,b", &key), line("A", &key))).unwrap();
    let (known, _) = KnownHosts::read(&KnownHostsFiles { own: own.clone(), also: vec![] }).unwrap();
    assert_eq!(known.forget(&["a"]).unwrap().len(), 2);
    assert_eq!(std::fs::read_to_string(&own).unwrap(), format!("{kept}{}", line("b", &key)));
    assert!(known.forget(&["a"]).unwrap().is_empty());
    // It goes on from there.
    assert!(matches!(file(&known, &name("c", None), &ed25519()), Filing::Done));
    assert_eq!(std::fs::read_to_string(&own).unwrap().lines().count(), kept.lines().count() + 2);
}

#[test]
fn what_another_program_files_meanwhile_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let files = KnownHostsFiles { own: dir.path().join("known_hosts"), also: vec![] };
    let read = || KnownHosts::read(&files).unwrap().0;
    let (one, two, server, key) = (read(), read(), name("h", None), ed25519());
    assert!(matches!(file(&one, &server, &key), Filing::Done));
    assert!(matches!(file(&two, &server, &key), Filing::Done));
    assert!(matches!(file(&two, &name("g", None), &key), Filing::Done));
    assert!(matches!(file(&one, &server, &ed25519()), Filing::Overtaken(HostKeyStatus::Changed { .. })));
    assert_eq!(std::fs::read_to_string(&files.own).unwrap().lines().count(), 2);
    // A file that was replaced is read anew.
    assert_eq!(two.forget(&["h"]).unwrap().len(), 1);
    assert!(matches!(file(&one, &server, &ed25519()), Filing::Done));
    let text = std::fs::read_to_string(&files.own).unwrap();
    assert_eq!(text.lines().map(|l| l.split(' ').next().unwrap()).collect::<Vec<_>>(), ["g", "h"]);
}

#[test]
fn the_machine_that_was_at_a_port_before_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let files = KnownHostsFiles { own: dir.path().join("known_hosts"), also: vec![] };
    let (known, _) = KnownHosts::read(&files).unwrap();
    let old = name("guid-a", None);
    assert!(matches!(file(&known, &old, &ed25519()), Filing::Done));
    assert_eq!(known.machine_before("h:1", "guid-b").unwrap().names.as_deref(), Some("guid-a"));
    assert_eq!(known.machine_before("h:1", "guid-a"), None);
    assert_eq!(known.machine_before("h:2", "guid-b"), None);
}
