//! The ways through others, against real OpenSSH servers: bastions on loopback, siblings behind real NAT.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/natnet.rs"]
mod natnet;
#[path = "support/sshd.rs"]
mod sshd;
#[path = "support/vmssh.rs"]
mod vmssh;

use std::fs;

use natnet::{Fault, NatNet};
use sshd::TestSshd;
use vmssh::{Ran, Surroundings};

/// Two servers on the way and one at its end.
struct Chain {
    servers: [TestSshd; 3],
    here: Surroundings,
}

impl Chain {
    fn new(first: &[&str]) -> Self {
        let servers = [TestSshd::start(first), TestSshd::start(&[]), TestSshd::start(&[])];
        Self { servers, here: Surroundings::new() }
    }

    /// Runs on the last one, by the others, with these known hosts.
    fn run(&self, known_hosts: &str, command: &[&str]) -> Ran {
        let [first, second, last] = &self.servers;
        let target = format!("{}@{}", last.user(), last.endpoint());
        let jumps = format!("{0}@{1},{0}@{2}", first.user(), first.endpoint(), second.endpoint());
        let keys = self.servers.each_ref().map(|server| server.key().to_str().unwrap().to_owned());
        let mut words = vec!["ssh", &target, "-J", &jumps, "--known-hosts", known_hosts];
        keys.iter().for_each(|key| words.extend(["-i", key]));
        words.extend(["--host-keys", "strict"]);
        words.extend(command);
        self.here.run(&words)
    }

    fn known_hosts(&self) -> String {
        self.here.file("known_hosts", self.servers.each_ref().map(TestSshd::known_hosts_line).concat())
    }
}

#[test]
fn bastions_stand_behind_one_another() {
    let chain = Chain::new(&[]);
    let ran = chain.run(&chain.known_hosts(), &["--", "echo there; exit 7"]).expect_status(7);
    assert_eq!(ran.stdout, "there\n");
    let accepted = chain.servers.each_ref().map(|server| server.log().matches("Accepted publickey").count());
    assert_eq!(accepted, [1; 3]);
}

#[test]
fn a_connection_is_carried_through_all_of_them() {
    let chain = Chain::new(&[]);
    // sshd says who it is to whoever connects.
    let place = format!("{}", chain.servers[2].endpoint());
    let ran = chain.run(&chain.known_hosts(), &["-W", &place]).expect_status(0);
    assert!(ran.stdout.starts_with("SSH-2.0-"), "{ran:?}");
}

#[test]
fn host_keys_are_checked_at_every_hop() {
    let chain = Chain::new(&[]);
    let lines = chain.servers.each_ref().map(TestSshd::known_hosts_line);
    let stranger = fs::read_to_string(chain.servers[0].key().with_extension("pub")).unwrap();
    for hop in 0..3 {
        let mut changed = lines.clone();
        let (name, _) = lines[hop].split_once(' ').unwrap();
        changed[hop] = format!("{name} {stranger}");
        let before = chain.servers[2].log().matches("Accepted publickey").count();
        let ran = chain
            .run(&chain.here.file("changed", changed.concat()), &["--", "echo there"])
            .expect_status(255);
        assert!(ran.stderr.contains("changed"), "{ran:?}");
        let name = format!("jump host {}", chain.servers[hop].endpoint());
        assert_eq!(ran.stderr.contains(&name), hop < 2, "{ran:?}");
        assert_eq!(chain.servers[2].log().matches("Accepted publickey").count(), before);
    }
}

#[test]
fn a_bastion_that_forbids_the_way_is_named() {
    let chain = Chain::new(&["AllowTcpForwarding no"]);
    let ran = chain.run(&chain.known_hosts(), &["--", "echo there"]).expect_status(255);
    assert!(ran.stderr.contains("administratively prohibited"), "{ran:?}");
    assert!(ran.stderr.contains("AllowTcpForwarding"), "{ran:?}");
}

/// A set with a port that is filtered and an instance that nothing leads to.
const SET: [(&str, u16, Fault); 4] = [
    ("1", 50004, Fault::None),
    ("4", 50000, Fault::Filtered),
    ("9", 50001, Fault::NoRule),
    ("12", 50003, Fault::Stopped),
];

struct Client {
    net: NatNet,
    here: Surroundings,
}

impl Client {
    fn new() -> Self {
        Self { net: NatNet::up(&SET), here: Surroundings::new() }
    }

    fn run(&self, verb: &str, words: &[&str], host_keys: &str) -> Ran {
        self.run_on(&self.net.target_with_addresses(&SET), verb, words, host_keys)
    }

    fn run_on(&self, target: &str, verb: &str, words: &[&str], host_keys: &str) -> Ran {
        let (key, known_hosts) = (self.net.key(), self.net.known_hosts());
        let options = ["-i", key.to_str().unwrap(), "--known-hosts", known_hosts.to_str().unwrap()];
        let words = [&[verb, target], &options[..], &["--host-keys", host_keys], words].concat();
        self.net.on_client(&self.here.command(&words)).output().unwrap().into()
    }

    fn sign_ins(&self, id: &str) -> usize {
        self.net.server(id).log().matches("Accepted publickey").count()
    }
}

#[test]
fn a_sibling_leads_to_an_instance_that_is_filtered() {
    let client = Client::new();
    // Its key is on file under the way from outside, and is the same from inside.
    let command = ["--", "echo there"];
    let ran = client.run(
        "ssh",
        &[&["4", "--via", "auto", "--connect-timeout", "5s"], &command[..]].concat(),
        "strict",
    );
    let ran = ran.expect_status(0);
    assert_eq!(ran.stdout, "there\n");
    assert!(ran.stderr.contains("through instance 1 (198.51.100.10:50004)"), "{ran:?}");
    assert_eq!((client.sign_ins("1"), client.sign_ins("4")), (1, 1));
    let ran = client.run("ssh", &[&["4", "--via", "1"], &command[..]].concat(), "strict").expect_status(0);
    assert_eq!(ran.stdout, "there\n");
}

#[test]
fn an_instance_without_a_rule_is_reached_and_its_key_filed_once() {
    let client = Client::new();
    let words = ["9", "--via", "1", "--", "echo there"];
    client.run("ssh", &words, "strict").expect_status(255);
    let ran = client.run("ssh", &words, "accept-new").expect_status(0);
    assert!(ran.stderr.contains("instance 9 at 10.77.2.2:22 (10.77.2.2%198.51.100.10)"), "{ran:?}");
    client.run("ssh", &words, "strict").expect_status(0);
}

#[test]
fn a_fan_out_shares_the_session_that_carries_it() {
    let client = Client::new();
    let words = ["1,4,9,12", "--via", "1", "-o", "lines", "--connect-timeout", "5s", "--", "echo there"];
    let ran = client.run("exec", &words, "accept-new").expect_status(1);
    let mut lines: Vec<_> = ran.stdout.lines().filter(|line| line.ends_with("there")).collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), 3, "{ran:?}");
    // Its own command is on a session of its own.
    assert_eq!(client.sign_ins("1"), 2);
    assert!(ran.stderr.contains("opens no way to 10.77.3.2:22"), "{ran:?}");
}

#[test]
fn what_can_t_be_gone_through_is_told() {
    let client = Client::new();
    let ran = client.run("ssh", &["4", "--via", "12", "--", "true"], "strict").expect_status(255);
    assert!(ran.stderr.contains("jump host 198.51.100.10:50003: connection refused"), "{ran:?}");
    let ran = client.run("ssh", &["4", "--via", "9", "--", "true"], "strict").expect_status(3);
    assert!(ran.stderr.contains("no TCP rule"), "{ran:?}");
    let ran = client.run("ssh", &["4", "--via", "1,12", "--", "true"], "strict").expect_status(2);
    assert!(ran.stderr.contains("--via auto"), "{ran:?}");
    // Where no document tells the private addresses.
    let ran = client.run_on(&client.net.target(), "ssh", &["4", "--via", "1", "--", "true"], "strict");
    let ran = ran.expect_status(3);
    assert!(ran.stderr.contains("the private address of 4 is not known"), "{ran:?}");
    assert!(ran.stderr.contains("az vmss nic list"), "{ran:?}");
}

#[test]
fn a_probe_through_an_instance_shows_what_it_reaches() {
    let client = Client::new();
    let (key, known_hosts) = (client.net.key(), client.net.known_hosts());
    let target = client.net.target_with_addresses(&SET);
    let run = |words: &[&str]| -> Ran {
        let sign_in = ["--identity", key.to_str().unwrap(), "--known-hosts", known_hosts.to_str().unwrap()];
        let options = ["--via", "1", "--host-keys", "strict", "-o", "json"];
        let words = [&["probe", &target], &sign_in[..], &options, words].concat();
        client.net.on_client(&client.here.command(&words)).output().unwrap().into()
    };
    let ran = run(&["-n", "3"]).expect_status(1);
    assert!(ran.stderr.contains("as instance 1 sees it"), "{ran:?}");
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let seen: Vec<_> = document["endpoints"].as_array().unwrap().iter().collect();
    let field = |name: &str| seen.iter().map(|endpoint| endpoint[name].clone()).collect::<Vec<_>>();
    assert_eq!(field("instance"), ["1", "4", "9", "12"]);
    assert_eq!(field("answered"), [3, 3, 3, 0], "{document:#}");
    assert_eq!(field("refused"), [0, 0, 0, 3], "{document:#}");
    // Port 1 of all of them is closed, and says so.
    let ran = run(&["1", "-n", "1", "-w", "0", "--backend-port", "1"]);
    assert_eq!(ran.status, 3, "{ran:?}");
}
