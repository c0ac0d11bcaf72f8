//! The times that `vmssh probe` tells, against a line of known length: one port and a thousand, on an idle
//! machine and beside busy cores, with and without lost SYNs. The figures are printed:
//! `cargo test --test accuracy -- --nocapture`.
//!
//! Needs root, iproute2 and TUN devices, and fails where they are missing.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(clippy::print_stdout, reason = "figures are shown with --nocapture")]

#[path = "support/delay_line.rs"]
mod delay_line;
#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/vmssh.rs"]
mod vmssh;

use std::{
    collections::HashMap,
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread::available_parallelism,
    time::Duration,
};

use ::vmssh::net::descriptors;
use delay_line::{CLIENT, DelayLine, Passage, SERVER};
use namespace::Namespace;
use serde_json::Value;
use vmssh::{Ran, Surroundings};

const ONE_WAY: Duration = Duration::from_millis(10);
const ROUND_TRIP_MS: f64 = 20.0;
/// Below the ports that connections come from.
const FIRST_PORT: u16 = 20000;
const PORTS: u16 = 1000;

/// What the times must be right to, by the median: the class of a measure that does not depend on when a
/// program gets to run. Clocks of programs are wrong by tens of milliseconds beside busy cores; the
/// kernel's figure is by some microseconds, and the rest is for machines that are not ours.
const CLASS_MS: f64 = 1.0;
/// A time with the wait for a second SYN in it would be a second.
const NO_SECOND_SYN_MS: f64 = 500.0;

/// Each run wants the machine for itself.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

struct Rig {
    line: DelayLine,
    client: Namespace,
    _server: Namespace,
    _listeners: Vec<TcpListener>,
    here: Surroundings,
}

impl Rig {
    fn new() -> Self {
        let needed = usize::from(PORTS) + 100;
        assert!(descriptors::raise(needed) >= needed, "this test needs {needed} descriptors (ulimit -Hn)");
        let (client, server) = (Namespace::new("client"), Namespace::new("server"));
        let line = DelayLine::between(&client, &server, ONE_WAY);
        let listeners = server.within(|| {
            let ports = FIRST_PORT..FIRST_PORT + PORTS;
            ports.map(|port| TcpListener::bind((SERVER, port)).unwrap()).collect()
        });
        Self { line, client, _server: server, _listeners: listeners, here: Surroundings::new() }
    }

    /// Probes so many ports, and gives each probe with what the line saw of it.
    fn probe(&self, ports: u16, pace: &[&str]) -> Vec<(Sample, Passage)> {
        self.line.take_passages();
        let target = format!("{SERVER}:{FIRST_PORT}-{}", FIRST_PORT + ports - 1);
        let words = [&["probe", &target, "-w", "0", "--timeout", "30s", "-o", "jsonl"], pace].concat();
        let output = self.client.command(&self.here.command(&words)).output().unwrap();
        let samples = samples(&Ran::from(output).expect_status(0));
        let passages = self.line.take_passages();
        assert_eq!(samples.len(), passages.len(), "one flow for each probe");

        // Probes of a port go one after the other, so that they and the flows are in the same order.
        let mut by_port: HashMap<u16, Vec<Passage>> = HashMap::new();
        for passage in passages.into_iter().rev() {
            by_port.entry(passage.server_port).or_default().push(passage);
        }
        let pair = |sample: Sample| {
            let passage = by_port.get_mut(&sample.port).and_then(Vec::pop).unwrap();
            (sample, passage)
        };
        samples.into_iter().map(pair).collect()
    }
}

/// A line of `-o jsonl`.
struct Sample {
    port: u16,
    rtt_ms: Option<f64>,
    elapsed_ms: f64,
    retransmitted: u64,
    from: String,
}

fn samples(ran: &Ran) -> Vec<Sample> {
    let lines = ran.json_lines();
    let lines = lines.iter().filter(|line| line["schema"] == "vmssh.probe.sample/1");
    let sample = |line: &Value| {
        assert_eq!((&line["outcome"], &line["clock"]), (&"answered".into(), &"kernel".into()), "{line}");
        Sample {
            port: line["endpoint"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap(),
            rtt_ms: line["rtt_ms"].as_f64(),
            elapsed_ms: line["elapsed_ms"].as_f64().unwrap(),
            retransmitted: line["retransmitted"].as_u64().unwrap(),
            from: line["from"].as_str().unwrap().to_owned(),
        }
    };
    lines.map(sample).collect()
}

/// Processes that do nothing but use up this machine, one for each core; ended when dropped.
struct Busy(Vec<Child>);

impl Busy {
    fn cores() -> Self {
        let spin = || Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn();
        Self((0..available_parallelism().unwrap().get()).map(|_| spin().unwrap()).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// One port, with a probe whenever there is time; and all, as many a second as is the default.
const SHAPES: [(u16, &[&str]); 2] = [(1, &["-n", "60", "-i", "25ms"]), (PORTS, &["-n", "4", "-i", "500ms"])];

/// Probes every shape, idle and busy, and gives what is found to `judge` under a name.
fn every_shape(rig: &Rig, judge: impl Fn(&str, &[(Sample, Passage)])) {
    println!(
        "{:<24} {:>6} {:>6} {:>10} {:>8} {:>10} {:>8} {:>11} {:>8} {:>10} {:>8}",
        "ms off, median and p99",
        "probes",
        "resent",
        "of 20 ms",
        "",
        "of line's",
        "",
        "own clock",
        "",
        "resent",
        ""
    );
    for (ports, pace) in SHAPES {
        for is_busy in [false, true] {
            let busy = is_busy.then(Busy::cores);
            let probes = rig.probe(ports, pace);
            drop(busy);
            let name = format!(
                "{ports} port{}, {}",
                if ports == 1 { "" } else { "s" },
                if is_busy { "busy" } else { "idle" }
            );
            print_figures(&name, &probes);
            judge(&name, &probes);
        }
    }
}

/// How far off the times are: of the length of the line, of what the line itself saw of the flow, by the
/// program's own clock; and of those whose SYN was sent again, whose time is in whole milliseconds.
fn print_figures(name: &str, probes: &[(Sample, Passage)]) {
    let (again, once): (Vec<_>, Vec<_>) = probes.iter().partition(|(sample, _)| sample.retransmitted > 0);
    let line = |passage: &Passage| passage.round_trip().unwrap().as_secs_f64() * 1e3;
    let off = |of: &[&(Sample, Passage)], truth: &dyn Fn(&Passage) -> f64| {
        let off = of.iter().filter_map(|(sample, passage)| Some(sample.rtt_ms? - truth(passage)));
        percentiles(off.map(f64::abs).collect())
    };
    let own = percentiles(once.iter().map(|(sample, _)| (sample.elapsed_ms - ROUND_TRIP_MS).abs()).collect());
    let columns = [off(&once, &|_| ROUND_TRIP_MS), off(&once, &line), own, off(&again, &line)];
    let columns: String = columns.iter().map(|(p50, p99)| format!(" {p50:>10.3} {p99:>8.3}")).collect();
    println!("{name:<24} {:>6} {:>6}{columns}", probes.len(), again.len());
}

/// The median and the 99th percentile; not-a-number where there is nothing.
fn percentiles(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |percent: usize| values.get(values.len() * percent / 100).copied().unwrap_or(f64::NAN);
    (at(50), at(99))
}

/// The median of how far the times are off the line's length.
fn median_off(probes: &[(Sample, Passage)]) -> f64 {
    let times = probes.iter().filter_map(|(sample, _)| sample.rtt_ms);
    percentiles(times.map(|ms| (ms - ROUND_TRIP_MS).abs()).collect()).0
}

/// Every SYN that was sent again is named by the probe that sent it, and no other.
fn every_lost_syn_is_named(name: &str, probes: &[(Sample, Passage)]) {
    for (sample, passage) in probes {
        let port = sample.port;
        assert_eq!(sample.from, format!("{CLIENT}:{}", passage.client_port), "{name}, port {port}");
        assert_eq!(sample.retransmitted, u64::from(passage.resent), "{name}, port {port}");
        assert!(passage.resent >= passage.dropped, "{name}, port {port}: {passage:?}");
        assert!(
            sample.rtt_ms.is_none_or(|ms| ms < NO_SECOND_SYN_MS),
            "{name}, port {port}: {:?}",
            sample.rtt_ms
        );
    }
}

#[test]
fn times_are_right_beside_a_thousand_others_and_on_a_busy_machine() {
    let _alone = ONE_AT_A_TIME.lock().unwrap();
    let rig = Rig::new();
    every_shape(&rig, |name, probes| {
        assert!(median_off(probes) < CLASS_MS, "{name}: {} ms off", median_off(probes));
        every_lost_syn_is_named(name, probes);
    });
}

#[test]
fn a_lost_first_syn_is_named_and_is_no_time() {
    let _alone = ONE_AT_A_TIME.lock().unwrap();
    let rig = Rig::new();
    rig.line.lose_every(10);
    every_shape(&rig, |name, probes| {
        let dropped: u32 = probes.iter().map(|(_, passage)| passage.dropped).sum();
        assert_eq!(usize::try_from(dropped).unwrap(), probes.len().div_ceil(10), "{name}");
        assert!(median_off(probes) < CLASS_MS, "{name}: {} ms off", median_off(probes));
        every_lost_syn_is_named(name, probes);
    });
}
