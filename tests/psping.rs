//! `vmssh probe` as its users type it: psping's habits, and what goes beyond them. On loopback.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/vmssh.rs"]
mod vmssh;

use std::{
    io::{BufRead, BufReader, Read as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use socket2::{Domain, Socket, Type};
use vmssh::{Ran, Surroundings};

/// A listener and its address as a target.
fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let target = listener.local_addr().unwrap().to_string();
    (listener, target)
}

/// A port that refuses until somebody listens, and its address as a target.
fn closed() -> (Socket, String) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let target = socket.local_addr().unwrap().as_socket().unwrap().to_string();
    (socket, target)
}

/// A listening port, then a closed one, as az would list them.
fn two(at: &Surroundings) -> (TcpListener, Socket, String) {
    let ((open, answers), (closed, refuses)) = (listener(), closed());
    let ports = serde_json::json!({"instance 0": answers, "instance 1": refuses});
    let file = at.file("ports.json", ports.to_string());
    (open, closed, format!("@{file}"))
}

/// Starts it with its output to be read.
fn start(at: &Surroundings, arguments: &[&str]) -> Child {
    at.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn interrupt(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

#[test]
fn lines_are_those_of_psping() {
    let (at, (_open, target)) = (Surroundings::new(), listener());
    let ran = at.run(&["probe", &target, "-n", "3", "-i", "0", "-o", "psping", "--histogram=2"]);
    let ran = ran.expect_status(0);
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines[0], format!("TCP connect to {target}:"));
    assert_eq!(lines[1], "4 iterations (warmup 1) ping test:");
    assert!(
        lines[2].starts_with(&format!("Connecting to {target} (warmup): from 127.0.0.1:")),
        "{}",
        lines[2]
    );
    for line in &lines[3..6] {
        assert!(line.starts_with(&format!("Connecting to {target}: from 127.0.0.1:")), "{line}");
        assert!(line.ends_with("ms"), "{line}");
    }
    assert_eq!(
        lines[6..9],
        [
            "",
            &format!("TCP connect statistics for {target}:"),
            "  Sent = 3, Received = 3, Lost = 0 (0% loss),"
        ]
    );
    assert!(lines[9].starts_with("  Minimum = ") && lines[9].contains("ms, Maximum = "), "{}", lines[9]);
    assert_eq!(lines[11], "Latency\tCount");

    let (_closed, target) = closed();
    let ran = at.run(&["probe", &target, "-n", "2", "-i", "0", "-q", "-o", "psping"]).expect_status(1);
    assert!(ran.stdout.contains("  Sent = 2, Received = 0, Lost = 2 (100% loss),"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("Connecting"), "{}", ran.stdout);
}

#[test]
fn an_endless_run_ends_with_an_interrupt_and_shows_what_there_is() {
    let (at, (_open, target)) = (Surroundings::new(), listener());
    let mut child = start(&at, &["probe", &target, "-t", "-i", "10ms", "--full", "-o", "jsonl"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(
        (&first["schema"], &first["outcome"], &first["warm_up"]),
        (&"vmssh.probe.sample/1".into(), &"answered".into(), &true.into())
    );
    assert_eq!((&first["to"], &first["service"]), (&target.as_str().into(), &Value::Null));
    interrupt(&child);
    let last: Value = serde_json::from_str(&lines.last().unwrap().unwrap()).unwrap();
    assert_eq!(
        (&last["schema"], &last["endpoints"][0]["address"]),
        (&"vmssh.probe/1".into(), &"127.0.0.1".into())
    );
    let ran = Ran::from(child.wait_with_output().unwrap()).expect_status(130);
    // Ten completed handshakes are what sshd bears.
    assert!(ran.stderr.contains("note: at most 10 probes of an endpoint in 15s"), "{}", ran.stderr);
}

/// A pipe that nobody reads holds up what is written, and no signal.
#[test]
fn an_output_that_nobody_takes_does_not_keep_the_program_from_ending() {
    let (at, limit) = (Surroundings::new(), Instant::now() + Duration::from_secs(30));
    // Nothing listens there; a thousand rows are more than a pipe takes.
    let mut child =
        start(&at, &["probe", "127.0.0.9:25000-25999", "-n", "1", "-w", "0", "-i", "0", "-o", "json"]);
    // It has begun to write, and listens to signals.
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < limit, "it does not end");
        interrupt(&child);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn until_up_ends_with_the_first_answer_of_each() {
    let at = Surroundings::new();
    let (open, closed, target) = two(&at);
    let mut child = start(&at, &["probe", &target, "--until-up", "-i", "20ms", "-o", "jsonl"]);
    let mut samples = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let sample: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if sample["instance"] == "1" && sample["outcome"] == "refused" && samples.len() == 3 {
            closed.listen(8).unwrap();
        }
        samples.push(sample);
    }
    Ran::from(child.wait_with_output().unwrap()).expect_status(0);
    let last = samples.pop().unwrap();
    let ups = |id: &str| samples.iter().filter(|s| s["instance"] == id && s["outcome"] == "answered").count();
    assert_eq!((ups("0"), ups("1")), (1, 1), "{samples:?}");
    assert!(samples.iter().all(|sample| sample["warm_up"] == false));
    // What was down for a while is told in the end.
    assert_eq!(last["endpoints"][1]["outages"]["count"], 1);
    drop(open);
}

#[test]
fn only_failures_are_shown_where_asked_for() {
    let at = Surroundings::new();
    let (_open, _closed, target) = two(&at);
    let ran = at.run(&["probe", &target, "-n", "2", "-i", "0", "--failures-only"]).expect_status(1);
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", ran.stdout);
    assert!(lines[1].starts_with("1         127.0.0.1:") && lines[1].contains("  refused  "), "{}", lines[1]);
    assert!(lines[2].starts_with("1 of 2 endpoints answered; refused: 1 "), "{}", lines[2]);
}

#[test]
fn wide_tables_and_histograms_have_what_they_promise() {
    let at = Surroundings::new();
    let (_open, _closed, target) = two(&at);
    let ran = at.run(&["probe", &target, "-n", "5", "-i", "0", "-o", "wide", "--histogram=1ms,60s"]);
    let ran = ran.expect_status(1);
    let mut lines = ran.stdout.lines();
    let header = lines.next().unwrap();
    for column in ["DIALLED", "95% SURE", "P99", "JITTER", "CLOCK", "OWN DELAY", "RESENT", "OUTAGES"] {
        assert!(header.contains(column), "{header}");
    }
    assert!(lines.next().unwrap().contains(if cfg!(target_os = "linux") {
        " kernel "
    } else {
        " monotonic "
    }));
    let histogram: Vec<_> = ran.stdout.lines().skip_while(|line| *line != "all: 5 times").collect();
    assert_eq!(histogram[1].split_whitespace().collect::<Vec<_>>(), ["FROM", "TO", "COUNT"]);
    let counts =
        histogram[2..].iter().map(|line| line.split_whitespace().nth(4).unwrap().parse::<u64>().unwrap());
    assert_eq!(counts.sum::<u64>(), 5);
}

#[cfg(target_os = "linux")]
#[test]
fn probes_come_from_the_source_that_was_asked_for() {
    let (at, (_open, target)) = (Surroundings::new(), listener());
    let arguments = ["probe", &target, "-n", "1", "-w", "0", "-o", "jsonl", "--source"];
    let ran = at.run(&[&arguments[..], &["127.0.0.9"]].concat()).expect_status(0);
    let from = ran.json_lines()[0]["from"].as_str().unwrap().to_owned();
    assert!(from.starts_with("127.0.0.9:"), "{from}");

    // Reserved for documents: no machine has it.
    let ran = at.run(&[&arguments[..], &["192.0.2.77"]].concat()).expect_status(2);
    assert!(ran.stderr.contains("can't probe from 192.0.2.77"), "{}", ran.stderr);
    let ran = at.run(&[&arguments[..], &["::1"]].concat()).expect_status(3);
    assert!(ran.stderr.is_empty() && ran.stdout.contains("no IPv6 address"), "{ran:?}");
}

#[test]
fn what_makes_no_sense_is_refused_with_what_would() {
    let at = Surroundings::new();
    for (arguments, says) in [
        (&["-t", "-n", "3"][..], "cannot be used with"),
        (&["-n", "0"], "neither a number of probes nor a time"),
        (&["--histogram=0"], "it takes 1 to 1000 steps"),
        (&["--histogram=2ms,1ms"], "each time must be longer than the one before"),
        (&["--rate", "-1"], "unexpected argument"),
        (&["--source", "here"], "invalid IP address"),
        (&["-4", "-6"], "cannot be used with"),
        (&["--timeout", "0"], "leaves no time"),
    ] {
        let ran = at.run(&[&["probe", "127.0.0.1:9"], arguments].concat()).expect_status(2);
        assert!(ran.stderr.contains(says), "{arguments:?}: {}", ran.stderr);
    }
}
