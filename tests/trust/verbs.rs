//! `vmssh trust show`, `scan`, `forget`.

use super::*;

#[test]
fn what_is_scanned_is_a_known_hosts_file() {
    let extra = tempfile::tempdir().unwrap();
    let ecdsa = extra.path().join("ecdsa");
    keygen(&["-t", "ecdsa", "-N", "", "-f", ecdsa.to_str().unwrap()]);
    let server = TestSshd::start(&[&format!("HostKey {}", ecdsa.display())]);
    let here = Surroundings::new();
    let ran = here.run(&["trust", "scan", &server.endpoint().to_string()]).expect_status(0);
    assert_eq!(ran.stdout.lines().count(), 2, "{}", ran.stdout);
    for public in [ecdsa.with_extension("pub"), server.dir().join("host_ed25519.pub")] {
        assert!(ran.stdout.contains(&fingerprint(&public)), "{}", ran.stdout);
    }
    assert!(!here.home.path().join(".local").exists());
    let known = here.file("known", &ran.stdout);
    visit(&server, Path::new(&known), "strict").expect_status(0);
    // OpenSSH finds it there too.
    let found = keygen(&["-F", server.endpoint().host_key_alias().as_str(), "-f", &known]);
    assert!(found.contains("ssh-ed25519"), "{found}");
    let nobody = here.run(&["trust", "scan", "127.0.0.1:1"]).expect_status(1);
    assert!(nobody.stderr.contains("refused"), "{}", nobody.stderr);
}

#[test]
fn a_key_is_shown_and_forgotten() {
    let server = TestSshd::start(&[]);
    let known = server.dir().join("known");
    let json =
        || run(&server, &["trust", "show"], &known, &["-o", "json"]).expect_status(0).json_lines().remove(0);
    assert_eq!(json()["keys"][0]["status"], "none");
    visit(&server, &known, "accept-new").expect_status(0);
    let shown = json();
    assert_eq!((&shown["schema"], &shown["keys"][0]["status"]), (&"vmssh.trust/1".into(), &"known".into()));
    assert_eq!(shown["keys"][0]["fingerprint"], fingerprint(&server.dir().join("host_ed25519.pub")));
    assert_eq!(
        (shown["keys"][0]["since"].as_str().unwrap().len(), &shown["keys"][0]["line"]),
        (10, &1.into())
    );
    let table = run(&server, &["trust", "show"], &known, &[]).expect_status(0).stdout;
    assert!(table.contains("known   ssh-ed25519  SHA256:"), "{table}");

    let gone = run(&server, &["trust", "forget"], &known, &[]).expect_status(0);
    assert!(gone.stdout.starts_with("forgotten: [127.0.0.1]:"), "{}", gone.stdout);
    assert_eq!(text(&known), "");
    let nothing = run(&server, &["trust", "forget"], &known, &[]).expect_status(0);
    assert!(nothing.stdout.starts_with("nothing is on file"), "{}", nothing.stdout);
}

#[test]
fn what_openssh_keeps_is_left_to_it() {
    let here = Surroundings::new();
    let server = TestSshd::start(&[]);
    fs::create_dir(here.home.path().join(".ssh")).unwrap();
    let theirs = here.file(".ssh/known_hosts", server.known_hosts_line());
    let ran = here.run(&["trust", "forget", &server.endpoint().to_string()]).expect_status(0);
    assert!(ran.stderr.contains("ssh-keygen -R"), "{}", ran.stderr);
    assert_eq!(text(Path::new(&theirs)), server.known_hosts_line());
}

#[test]
fn names_are_hashed_on_request_and_then_always() {
    let server = TestSshd::start(&[]);
    let other = TestSshd::start(&[]);
    let known = server.dir().join("known");
    let key = server.key();
    let more = ["-i", key.to_str().unwrap(), "--host-keys", "accept-new", "--hash", "--", "true"];
    run(&server, &["ssh"], &known, &more).expect_status(0);
    visit(&other, &known, "accept-new").expect_status(0);
    assert!(text(&known).lines().all(|line| line.starts_with("|1|")), "{}", text(&known));
    for server in [&server, &other] {
        let found =
            keygen(&["-F", server.endpoint().host_key_alias().as_str(), "-f", known.to_str().unwrap()]);
        assert!(found.contains("ssh-ed25519"), "{found}");
        visit(server, &known, "strict").expect_status(0);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let here = Surroundings::new();
    let folder = here.home.path().to_str().unwrap().to_owned();
    let ran = here.run(&["trust", "show", "192.0.2.1:50000", "--known-hosts", &folder]).expect_status(2);
    assert!(ran.stderr.contains("can't read the known host keys"), "{}", ran.stderr);
}
