//! `vmssh trust add`: keys from the serial console, out of files, the lab, and Azure's boot diagnostics.

use vmssh::lab::{Lab, LabOptions};

use super::*;

fn fingerprints(server: &TestSshd) -> String {
    format!(
        "<14>Nov 25 11:00:00 cloud-init: -----BEGIN SSH HOST KEY FINGERPRINTS-----\r\n\
         <14>Nov 25 11:00:00 cloud-init: 256 {} root@web (ED25519)\r\n\
         <14>Nov 25 11:00:00 cloud-init: -----END SSH HOST KEY FINGERPRINTS-----\r\n",
        fingerprint(&server.dir().join("host_ed25519.pub"))
    )
}

fn keys(server: &TestSshd) -> String {
    let key = text(&server.dir().join("host_ed25519.pub"));
    format!("-----BEGIN SSH HOST KEY KEYS-----\r\n{key}-----END SSH HOST KEY KEYS-----\r\nweb login: ")
}

#[test]
fn keys_and_fingerprints_in_a_file_are_taken() {
    let (server, other) = (TestSshd::start(&[]), TestSshd::start(&[]));
    let here = Surroundings::new();
    let add = |name: &str, log: String, status: i32| {
        let (log, known) = (here.file("log", log), here.home.path().join(name));
        let ran =
            run(&server, &["trust", "add"], &known, &["--from-console-log", &log]).expect_status(status);
        (ran, known)
    };
    for (name, log) in
        [("a", fingerprints(&server) + &keys(&server)), ("b", fingerprints(&server)), ("c", keys(&server))]
    {
        let (_, known) = add(name, log, 0);
        visit(&server, &known, "strict").expect_status(0);
    }
    let (ran, known) = add("d", fingerprints(&other), 4);
    assert!(ran.stderr.contains("a key that its console did not print"), "{}", ran.stderr);
    assert!(!known.exists());
    let (ran, _) = add("e", fingerprints(&other) + &keys(&server), 4);
    assert!(ran.stderr.contains("contradict"), "{}", ran.stderr);
    let (ran, _) = add("f", "login: ".into(), 1);
    assert!(ran.stderr.contains("tells no host keys"), "{}", ran.stderr);
    // After a reimage the console's word stands against the file's.
    add("g", keys(&other), 0);
    let (ran, known) = add("g", keys(&server), 0);
    assert!(ran.stdout.contains("in place of older keys"), "{}", ran.stdout);
    assert_eq!(text(&known).lines().count(), 1);
    visit(&server, &known, "strict").expect_status(0);
}

#[test]
fn a_log_is_of_one_instance() {
    let here = Surroundings::new();
    let ran =
        here.run(&["trust", "add", "192.0.2.1:50000-50001", "--from-console-log", "-"]).expect_status(2);
    assert!(ran.stderr.contains("a log is of one instance"), "{}", ran.stderr);
    let ran = here.run(&["trust", "add", "192.0.2.1:50000"]).expect_status(2);
    assert!(ran.stderr.contains("--from-console-log FILE"), "{}", ran.stderr);
}

#[test]
fn the_lab_has_consoles() {
    let here = Surroundings::new();
    let ran = here.run(&["trust", "add", "lab"]).expect_status(0);
    assert_eq!(ran.stdout, "0-3: known already\n", "{}", ran.stderr);
}

#[test]
fn boot_diagnostics_are_asked_and_their_address_stays_secret() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let here = Surroundings::new();
    let options = LabOptions {
        instances: 3,
        faults: vec!["2=hostkey".parse().unwrap()],
        base_port: None,
        azure: Some(vec![]),
        state_dir: here.home.path().into(),
    };
    let lab = runtime.block_on(Lab::start(options)).unwrap();
    let azure = lab.azure().unwrap();
    let known = here.home.path().join("known").to_str().unwrap().to_owned();
    let run = |words: &[&str]| -> Ran {
        here.command(words)
            .env("AZURE_RESOURCE_MANAGER_ENDPOINT", azure.endpoint())
            .env("IDENTITY_ENDPOINT", azure.identity_endpoint())
            .env("IDENTITY_HEADER", azure.identity_header())
            .env("AZURE_SUBSCRIPTION_ID", azure.world().subscription())
            .output()
            .unwrap()
            .into()
    };
    let ran = run(&["-vv", "trust", "add", "lab-rg/lab", "--known-hosts", &known]).expect_status(0);
    assert_eq!(ran.stdout, "0-2: filed\n");
    let signed =
        azure.requests().into_iter().find(|request| request.path.ends_with("serialconsole.log")).unwrap();
    let secret = signed.query.rsplit('=').next().unwrap().to_owned();
    assert!(secret.len() >= 32 && !ran.stderr.contains(&secret), "{}", ran.stderr);
    assert_eq!(text(Path::new(&known)).matches(" of lab at 127.0.0.1:").count(), 3);
    // The first contact needs no yes; the one with another key than its console's is refused.
    let key = lab.key_file().to_str().unwrap();
    let words =
        ["exec", "lab-rg/lab", "-i", key, "--known-hosts", &known, "--host-keys", "strict", "--", "true"];
    let ran = run(&words).expect_status(1);
    assert!(ran.stderr.contains("changed: the same machine shows another key"), "{}", ran.stderr);
    assert!(ran.stderr.contains("2 of 3 ok"), "{}", ran.stderr);
}

#[test]
fn another_machine_behind_a_port_is_no_alarm() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let here = Surroundings::new();
    let options = || LabOptions {
        instances: 1,
        faults: vec![],
        base_port: None,
        azure: Some(vec![]),
        state_dir: here.home.path().into(),
    };
    let lab = runtime.block_on(Lab::start(options())).unwrap();
    let azure = lab.azure().unwrap();
    // As if an earlier machine had been at this port.
    let port = lab.map().entries[0].port;
    let path = here.home.path().join("old");
    keygen(&["-t", "ed25519", "-N", "", "-C", "", "-f", path.to_str().unwrap()]);
    let old = text(&path.with_extension("pub"));
    let line = format!(
        "11111111-2222-4333-8444-555555555555 {} vmssh 2026-01-02 instance 7 of lab at 127.0.0.1:{port}\n",
        old.trim()
    );
    let known = here.file("known", line);
    let key = lab.key_file().to_str().unwrap();
    let ran: Ran = here
        .command(&[
            "ssh",
            "lab-rg/lab",
            "-i",
            key,
            "--known-hosts",
            &known,
            "--host-keys",
            "accept-new",
            "--",
            "true",
        ])
        .env("AZURE_RESOURCE_MANAGER_ENDPOINT", azure.endpoint())
        .env("IDENTITY_ENDPOINT", azure.identity_endpoint())
        .env("IDENTITY_HEADER", azure.identity_header())
        .env("AZURE_SUBSCRIPTION_ID", azure.world().subscription())
        .output()
        .unwrap()
        .into();
    let ran = ran.expect_status(0);
    let expected = format!(
        "port {port} leads to another machine now: it was 11111111-2222-4333-8444-555555555555 (instance 7, 2026-01-02), it is "
    );
    assert!(ran.stderr.contains(&expected), "{}", ran.stderr);
}
