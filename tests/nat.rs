//! The program against real OpenSSH servers behind real NAT, in namespaces that each test makes.
//!
//! Needs root, iproute2, nftables and OpenSSH, and fails where they are missing.
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

use std::{
    collections::BTreeMap,
    thread::sleep,
    time::{Duration, Instant},
};

use natnet::{FRONTEND, Fault, NAME, NatNet};
use serde_json::{Value, json};
use vmssh::{Ran, Surroundings};

/// Far more than anything here takes: only a wait without an end reaches it.
const FOREVER: Duration = Duration::from_secs(60);

/// A scale set that was scaled in and out again: ids with gaps, ports in no order, and most faults.
const SET: [(&str, u16, Fault); 7] = [
    ("1", 50004, Fault::None),
    ("4", 50000, Fault::Stopped),
    ("8", 50006, Fault::Filtered),
    ("9", 50001, Fault::OtherHostKey),
    ("12", 50003, Fault::NoKey),
    ("17", 50002, Fault::None),
    ("20", 50009, Fault::Unmapped),
];

const REFUSED: &str = "connection refused";
const SILENT: &str = "no answer within 2s";
const CHANGED: &str = "changed: the server's key is not the one on file";
const NOT_LET_IN: &str = "root is not let in with id; the server takes publickey";
const NOT_RESOLVED: &str = "no answer from the name servers (request timed out)";

/// The program on the client of a scale set.
struct Client {
    net: NatNet,
    here: Surroundings,
}

impl Client {
    fn of(instances: &[(&'static str, u16, Fault)]) -> Self {
        Self { net: NatNet::up(instances), here: Surroundings::new() }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.net.on_client(&self.here.command(arguments)).output().unwrap().into()
    }

    /// Runs `VERB OPTIONS`, signing in with the set's key and asking nothing.
    fn sign_in(&self, arguments: &[&str], command: &str) -> Ran {
        let (key, known_hosts) = (self.net.key(), self.net.known_hosts());
        let options = ["-i", key.to_str().unwrap(), "--known-hosts", known_hosts.to_str().unwrap()];
        self.run(&[arguments, &options, &["--host-keys", "strict", "--", command]].concat())
    }
}

/// `instance -> these fields of its record`.
fn fields(records: &[Value], names: &[&str]) -> BTreeMap<String, Value> {
    let instance = |record: &Value| record["instance"].as_str().unwrap().to_owned();
    records.iter().map(|r| (instance(r), names.iter().map(|name| r[name].clone()).collect())).collect()
}

fn by_instance<const N: usize>(records: [(&str, Value); N]) -> BTreeMap<String, Value> {
    records.map(|(instance, record)| (instance.to_owned(), record)).into()
}

/// Waits until the log has a line that starts so; the log up to it.
#[track_caller]
fn log_with(server: &sshd::TestSshd, start: &str) -> String {
    let end = Instant::now() + FOREVER;
    loop {
        let log = server.log();
        if log.lines().any(|line| line.starts_with(start)) {
            return log;
        }
        assert!(Instant::now() < end, "no {start:?} in\n{log}");
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn probes_tell_every_fault_and_are_unseen() {
    let client = Client::of(&SET);
    // The kernel sends a SYN again after one second, so there would be time for it.
    let ran = client.run(&[
        "probe",
        &client.net.target(),
        "-n",
        "2",
        "-w",
        "0",
        "--timeout",
        "1500ms",
        "-o",
        "json",
    ]);
    let document: Value = serde_json::from_str(&ran.expect_status(1).stdout).unwrap();
    let names = ["port", "state", "sent", "answered", "refused", "timed_out", "retransmitted", "clock"];
    assert_eq!(
        fields(document["endpoints"].as_array().unwrap(), &names),
        by_instance([
            ("1", json!([50004, "answered", 2, 2, 0, 0, 0, "kernel"])),
            ("4", json!([50000, "refused", 2, 0, 2, 0, 0, null])),
            ("8", json!([50006, "timed-out", 2, 0, 0, 2, 0, null])),
            ("9", json!([50001, "answered", 2, 2, 0, 0, 0, "kernel"])),
            ("12", json!([50003, "answered", 2, 2, 0, 0, 0, "kernel"])),
            ("17", json!([50002, "answered", 2, 2, 0, 0, 0, "kernel"])),
            ("20", json!([50009, "timed-out", 2, 0, 0, 2, 0, null])),
        ])
    );
    assert_eq!(
        document["verdict"],
        "4 of 7 endpoints answered; refused: 4 (nothing listens, or a firewall rejects: sshd, backend port); \
         timed out: 8,20 (stopped, filtered or not mapped)"
    );

    // A connection that sshd does see comes after all that it might have seen.
    assert_eq!(client.net.stock_ssh("1", "exit 3"), Some(3));
    let log = log_with(client.net.server("1"), "Accepted publickey");
    let (_, since_start) = log.split_once("Server listening on").unwrap();
    assert_eq!(since_start.matches("Forked child").count(), 1, "{log}");
}

#[test]
fn exec_names_the_stage_of_every_fault() {
    let client = Client::of(&SET);
    let target = client.net.target();
    let limit = ["--connect-timeout", "2s"];
    let exec = |format: &str, command: &str| {
        client.sign_in(&[&["exec", &target, "-o", format], &limit[..]].concat(), command).expect_status(1)
    };

    // Who asks whom, as the instance sees it: NAT changed the address and port that were dialled.
    let records =
        exec("jsonl", "set -- $SSH_CONNECTION; echo $1 $3 $4; [ $3 = 10.77.0.2 ] || exit 3").json_lines();
    assert_eq!(
        fields(&records, &["outcome", "exit_status", "stage", "error", "stdout"]),
        by_instance([
            ("1", json!(["ok", 0, null, null, "192.0.2.10 10.77.0.2 22\n"])),
            ("4", json!(["error", null, "connect", REFUSED, ""])),
            ("8", json!(["error", null, "connect", SILENT, ""])),
            ("9", json!(["error", null, "host-key", CHANGED, ""])),
            ("12", json!(["error", null, "auth", NOT_LET_IN, ""])),
            ("17", json!(["failed", 3, null, null, "192.0.2.10 10.77.5.2 22\n"])),
            ("20", json!(["error", null, "connect", SILENT, ""])),
        ])
    );
    let hints = fields(&records, &["hint"]);
    for (instance, hint) in [
        ("4", "sshd is stopped or still starting"),
        ("8", "network security group, the NAT rule"),
        (
            "9",
            &format!(
                "`vmssh trust forget '[{FRONTEND}]:50001' --known-hosts {}`",
                client.net.known_hosts().display()
            ),
        ),
        ("12", "~/.ssh/authorized_keys on the instance has the key"),
        ("20", "network security group, the NAT rule"),
    ] {
        assert!(hints[instance].to_string().contains(hint), "{hint:?}: {}", hints[instance]);
    }

    let ran = exec("fold", "echo same");
    assert_eq!(ran.stdout, "== 1,17 (2)\nsame\n");
    // In the order of the instances; hints were looked at above.
    let said: Vec<_> = ran.stderr.lines().filter(|line| !line.starts_with("  hint: ")).collect();
    let [refused, silent, changed, not_let_in] = [
        format!("1 connect: {REFUSED} (4)"),
        format!("2 connect: {SILENT} (8,20)"),
        format!("1 host key: {CHANGED} (9)"),
        format!("1 auth: {NOT_LET_IN} (12)"),
    ];
    assert_eq!(said, ["2 of 7 ok", &refused, &silent, &changed, &not_let_in]);
}

#[test]
fn ssh_gives_the_status_that_the_stock_client_gives() {
    let client = Client::of(&SET);
    let ssh = |instance: &str, command: &str| {
        let ran =
            client.sign_in(&["ssh", &client.net.target(), instance, "--connect-timeout", "2s"], command);
        assert_eq!(Some(ran.status), client.net.stock_ssh(instance, command), "{instance}: {}", ran.stderr);
        ran
    };
    let ran = ssh("17", "echo out; echo err >&2; exit 7").expect_status(7);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out\n", "err\n"));
    for (instance, said) in [
        ("4", format!("error: connect: {REFUSED}\nhint: ")),
        ("9", format!("error: host key: {CHANGED}\nhint: ")),
        ("12", format!("error: auth: {NOT_LET_IN}\nhint: ")),
        ("20", format!("error: connect: {SILENT}\nhint: ")),
    ] {
        let ran = ssh(instance, "true").expect_status(255);
        assert!(ran.stdout.is_empty() && ran.stderr.starts_with(&said), "{said:?}: {ran:?}");
    }
}

#[test]
fn a_changed_host_key_is_refused_before_any_sign_in() {
    let client = Client::of(&[("0", 50000, Fault::OtherHostKey), ("1", 50001, Fault::None)]);
    let asked = |instance: &str, status: i32, end: &str| {
        client.sign_in(&["ssh", &client.net.target(), instance], "true").expect_status(status);
        log_with(client.net.server(instance), end).contains("userauth-request")
    };
    assert!(asked("1", 0, "Accepted publickey"), "sshd does not log who asks to sign in");
    assert!(!asked("0", 255, "Connection closed by 192.0.2.10"));
}

#[test]
fn names_come_from_the_hosts_file_and_silent_name_servers_are_given_up() {
    let client = Client::of(&[("0", 50000, Fault::None)]);
    let probe = |target: &str| client.run(&["probe", target, "-n", "1", "-o", "json"]);
    let known = format!("root@{NAME}:50000");
    let document: Value = serde_json::from_str(&probe(&known).expect_status(0).stdout).unwrap();
    assert_eq!(
        (&document["endpoints"][0]["address"], &document["verdict"]),
        (&json!(NAME), &json!("the endpoint answered"))
    );
    assert_eq!(client.sign_in(&["exec", &known], "echo hi").expect_status(0).stdout, "0: hi\n");
    assert_eq!(client.net.datagrams_sent(), 0, "name servers were asked for a name in the hosts file");

    let unknown = "root@other.example:50000-50001";
    let begun = Instant::now();
    let document: Value = serde_json::from_str(&probe(unknown).expect_status(3).stdout).unwrap();
    let each = json!(["not-resolved", 1, 0, NOT_RESOLVED]);
    assert_eq!(
        fields(document["endpoints"].as_array().unwrap(), &["state", "not_resolved", "sent", "error"]),
        by_instance([("0", each.clone()), ("1", each)])
    );
    let records = client.sign_in(&["exec", unknown, "-o", "jsonl"], "true").expect_status(1).json_lines();
    let each = json!([
        "error",
        "resolve",
        NOT_RESOLVED,
        "check the name, for example with `getent hosts other.example`"
    ]);
    assert_eq!(
        fields(&records, &["outcome", "stage", "error", "hint"]),
        by_instance([("0", each.clone()), ("1", each)])
    );
    // Twice the resolver's five seconds; the system's own resolver, which is asked too, takes thirty.
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    assert!(client.net.datagrams_sent() > 0, "nobody was asked");
}

#[test]
fn without_a_route_nothing_is_waited_for() {
    let client = Client::of(&[]);
    let (target, minutes) = ("root@203.0.113.9:50000-50001", "10m");
    let begun = Instant::now();
    let ran = client.run(&["probe", target, "-n", "1", "--timeout", minutes, "-o", "json"]).expect_status(1);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let each = json!(["unreachable", 1, 1, "network unreachable"]);
    assert_eq!(
        fields(document["endpoints"].as_array().unwrap(), &["state", "sent", "unreachable", "error"]),
        by_instance([("0", each.clone()), ("1", each)])
    );
    let ran = client
        .sign_in(&["exec", target, "-o", "fold", "--connect-timeout", minutes], "true")
        .expect_status(1);
    let hint = "there is no way there from here: check the address, this machine's route or VPN, and firewalls on the way";
    assert_eq!(ran.stderr, format!("0 of 2 ok\n2 connect: network unreachable (0-1)\n  hint: {hint}\n"));
    let ran = client.sign_in(&["ssh", target, "1", "--connect-timeout", minutes], "true").expect_status(255);
    assert_eq!(ran.stderr, format!("error: connect: network unreachable\nhint: {hint}\n"));
    assert!(begun.elapsed() < FOREVER, "{:?}", begun.elapsed());
}
