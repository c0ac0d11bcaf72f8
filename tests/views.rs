//! `vmssh ssh-config` and `vmssh inventory`: what real OpenSSH and real Ansible make of them.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "views/ansible.rs"]
mod ansible;
#[path = "views/documents.rs"]
mod documents;
#[path = "views/openssh.rs"]
mod openssh;
#[path = "support/sshd.rs"]
mod sshd;
#[path = "support/vmssh.rs"]
mod vmssh;

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
};

use documents::{At, saved};
use sshd::{TestSshd, keygen};
use vmssh::{Ran, Surroundings};

/// Runs another program in the same surroundings.
fn run(here: &Surroundings, program: &str, package: &str, words: &[&str], env: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(program);
    command.args(words).env_clear().env("HOME", here.home.path()).env("PATH", std::env::var("PATH").unwrap());
    command.envs(env.iter().copied()).current_dir(here.home.path()).stdin(Stdio::null());
    let output = command.output().unwrap_or_else(|e| panic!("{program}: {e}: apt-get install {package}"));
    output.into()
}

/// Two real servers as instances 0 and 3 of a scale set, and instance 5 that nothing leads to.
struct Real {
    here: Surroundings,
    servers: [TestSshd; 2],
    key: String,
}

impl Real {
    fn start() -> Self {
        let here = Surroundings::new();
        let servers = [TestSshd::start(&[]), TestSshd::start(&[])];
        let key = here.home.path().join("a key").to_str().unwrap().to_owned();
        keygen(&["-t", "ed25519", "-N", "", "-f", &key]);
        for server in &servers {
            std::fs::copy(format!("{key}.pub"), server.dir().join("authorized_keys")).unwrap();
        }
        Self { here, servers, key }
    }

    fn ports(&self) -> [u16; 2] {
        self.servers.each_ref().map(|server| server.endpoint().port.get())
    }

    /// `USER@@FILE` of a map of the two, with `vmId`s or without.
    fn target(&self, with_vm_ids: bool) -> String {
        let [first, second] = self.ports();
        let instances =
            [At::v4("0", "web_0", first), At::v4("3", "web_3", second), At::nowhere("5", "web_5")];
        let file = self.here.file("map.json", saved(&instances, "127.0.0.1", with_vm_ids));
        format!("{}@@{file}", self.servers[0].user())
    }

    /// Files the keys of both, as vmssh does at a first contact.
    fn file_keys(&self, target: &str) {
        let sign_in = ["exec", target, "0,3", "-i", &self.key, "--host-keys", "accept-new", "--", "true"];
        self.here.run(&sign_in).expect_status(0);
    }
}

#[test]
fn an_instance_that_nothing_leads_to_is_named() {
    let here = Surroundings::new();
    let instances = [At::v4("0", "web_0", 50000), At::nowhere("5", "web_5")];
    let target = format!("@{}", here.file("map.json", saved(&instances, "20.1.2.3", true)));
    let ran = here.run(&["ssh-config", &target]).expect_status(0);
    let line = "#   web_5 (instance 5): no rule and no address leads to it\n";
    assert!(ran.stdout.ends_with(line), "{}", ran.stdout);
    assert!(ran.stderr.contains("web_5 (instance 5) is left out"), "{}", ran.stderr);
    // Nothing of when or where: the same map gives the same text.
    assert_eq!(here.run(&["ssh-config", &target]).stdout, ran.stdout);
    let ran = here.run(&["inventory", &target, "--list"]).expect_status(0);
    assert_eq!(ran.json_lines()[0]["web"]["hosts"], serde_json::json!(["web_0"]));
    assert!(ran.stderr.contains("web_5 (instance 5) is left out"), "{}", ran.stderr);
}

#[test]
fn what_is_wrong_is_said_with_the_right_status() {
    let here = Surroundings::new();
    let web = [At::v4("0", "web_0", 50000), At::nowhere("5", "web_5")];
    let map = format!("@{}", here.file("map.json", saved(&web, "20.1.2.3", true)));
    let evil =
        format!("@{}", here.file("evil.json", saved(&web, "20.1.2.3", true).replace("azureuser", "-oX")));
    let pool = r#"{"name": "ssh", "backendPort": 22, "frontendPortRangeStart": 50000, "frontendPortRangeEnd": 50119}"#;
    let pool = format!("@{}", here.file("pool.json", pool));
    for verb in ["ssh-config", "inventory"] {
        for (arguments, status, part) in [
            (vec![verb, &map, "--backend-port", "3389"], 3, "there are rules for 22"),
            (vec![verb, &map, "5"], 3, "leads to 5"),
            (vec![verb, &map, "7"], 2, "there is no instance \"7\""),
            (vec![verb, &map, "-l", "a b"], 2, "the user name \"a b\" can't be written"),
            (vec![verb, &map, "-l=-oProxyCommand=x"], 2, "looks like an option"),
            (vec![verb, "a'b@20.1.2.3:50000"], 2, "can't be written"),
            (vec![verb, &map, "-i", "a\"b"], 2, "it has a double quote"),
            (vec![verb, &map, "--known-hosts", "{{ x }}"], 2, "would be replaced"),
            (vec![verb, &pool, "--address", "20.1.2.3"], 3, "possible ports only"),
            (vec![verb, &pool], 3, "the address of the frontend is not known"),
        ] {
            let ran = here.run(&arguments);
            assert_eq!((ran.status, ran.stdout.as_str()), (status, ""), "{arguments:?}\n{}", ran.stderr);
            assert!(ran.stderr.contains(part), "{arguments:?}: no {part:?} in\n{}", ran.stderr);
        }
        let ran = here.run(&[verb, &evil]).expect_status(0);
        assert!(!ran.stdout.contains("-oX"), "{}", ran.stdout);
        assert!(ran.stderr.contains("the scale set's user is left out"), "{}", ran.stderr);
        let help = here.run(&[verb, "--help"]).expect_status(0);
        assert!(help.stdout.contains("--known-hosts"), "{}", help.stdout);
    }
    let prefix = here.run(&["ssh-config", &map, "--prefix", "* "]).expect_status(2);
    assert!(prefix.stderr.contains("a prefix has letters"), "{}", prefix.stderr);
    let script = here.run(&["inventory", "--help"]).stdout;
    assert!(script.contains("#!/bin/sh\n    exec vmssh inventory TARGET \"$@\"\n"), "{script}");
}
