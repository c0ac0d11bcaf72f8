//! Several programs write one known_hosts file.

use std::{collections::HashSet, process::Stdio};

use vmssh::lab::{Lab, LabOptions};

use super::*;

/// Logs of instances with keys of their own.
fn log(key: &str) -> String {
    format!("-----BEGIN SSH HOST KEY KEYS-----\n{key}\n-----END SSH HOST KEY KEYS-----\n")
}

fn keys(here: &Surroundings, count: usize) -> Vec<String> {
    let path = here.home.path().join("made");
    (0..count)
        .map(|_| {
            let _ = fs::remove_file(&path);
            keygen(&["-t", "ed25519", "-N", "", "-C", "x", "-f", path.to_str().unwrap()]);
            text(&path.with_extension("pub")).trim().to_owned()
        })
        .collect()
}

#[test]
fn programs_that_file_and_forget_at_once_lose_nothing() {
    const COUNT: usize = 40;
    let here = Surroundings::new();
    let keys = keys(&here, COUNT);
    // What is forgotten meanwhile, each by a rewrite of the whole file.
    let old: String = (0..COUNT).map(|n| format!("old-{n} {}\n", keys[n])).collect();
    let known = here.file("known_hosts", old);
    let mode = vmssh_binary::mode(Path::new(&known));
    let start = |words: &[&str]| {
        let mut command = here.command(words);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut running = Vec::new();
    for (n, key) in keys.iter().enumerate() {
        let log = here.file(&format!("log-{n}"), log(key));
        let target = format!("192.0.2.1:{}", 50000 + n);
        running.push(start(&["trust", "add", &target, "--from-console-log", &log, "--known-hosts", &known]));
        running.push(start(&["trust", "forget", &format!("old-{n}"), "--known-hosts", &known]));
    }
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let text = text(Path::new(&known));
    let mut names: Vec<_> = text.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    names.sort();
    let expected: Vec<_> = (0..COUNT).map(|n| format!("[192.0.2.1]:{}", 50000 + n)).collect();
    assert_eq!(names, expected);
    assert_eq!(vmssh_binary::mode(Path::new(&known)), mode);
}

#[test]
fn first_contacts_of_four_programs_are_filed_once_each() {
    const INSTANCES: usize = 50;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let here = Surroundings::new();
    let options = LabOptions {
        instances: INSTANCES,
        faults: vec![],
        base_port: None,
        azure: None,
        state_dir: here.home.path().into(),
    };
    let lab = runtime.block_on(Lab::start(options)).unwrap();
    lab.write_documents().unwrap();
    let target = format!("{}@@{}", lab.user(), lab.connection_info_file().display());
    let known = here.home.path().join("known").to_str().unwrap().to_owned();
    let key = lab.key_file().to_str().unwrap();
    let words = ["exec", &target, "-i", key, "--known-hosts", &known, "--host-keys", "accept-new"];
    let words = [&words[..], &["--connect-timeout", "60s", "-P", "30", "-o", "jsonl", "--", "true"]].concat();
    let start = |_| here.command(&words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    for child in (0..4).map(start).collect::<Vec<_>>() {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let text = text(Path::new(&known));
    let names: HashSet<_> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!((names.len(), text.lines().count()), (INSTANCES, INSTANCES));
}
