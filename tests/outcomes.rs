//! What `vmssh probe` says of all that can become of a probe, for real: between network namespaces, with a
//! router that rejects, loses and drops, and servers that do what servers do.
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
#[path = "support/path.rs"]
mod path;
#[path = "support/sshd.rs"]
mod sshd;
#[path = "support/vmssh.rs"]
mod vmssh;

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use namespace::Namespace;
use path::{CLIENT, NetPath, Probed, ROUTER, ROUTER_V6, SERVER, SERVER_V6};
use serde_json::{Value, json};
use sshd::TestSshd;

/// Far more than anything here takes: only a wait without an end reaches it.
const FOREVER: Duration = Duration::from_secs(60);
/// Enough for any answer here, also on a busy machine, and several SYNs long.
const PATIENT: &str = "30s";

/// What the counts of an endpoint say: its state, and of how many probes what became.
#[track_caller]
fn assert_counts(endpoint: &Value, state: &str, counts: &[(&str, u64)]) {
    assert_eq!(endpoint["state"], state, "{endpoint:#}");
    for name in ["answered", "refused", "timed_out", "unreachable", "not_sent", "not_resolved"] {
        let expected = counts.iter().find(|(of, _)| *of == name).map_or(0, |(_, count)| *count);
        assert_eq!(endpoint[name], expected, "{name} of {endpoint:#}");
    }
}

#[test]
fn who_is_told_that_there_is_no_way_is_told_by_whom() {
    // As nft(8) names them; type and code, words.
    const V4: [(&str, u64, &str); 7] = [
        ("net-unreachable", 0, "network unreachable"),
        ("host-unreachable", 1, "host unreachable"),
        ("prot-unreachable", 2, "protocol unreachable"),
        ("port-unreachable", 3, "port unreachable"),
        ("net-prohibited", 9, "network administratively prohibited"),
        ("host-prohibited", 10, "host administratively prohibited"),
        ("admin-prohibited", 13, "administratively prohibited"),
    ];
    const V6: [(&str, u64, &str); 6] = [
        ("no-route", 0, "no route to destination"),
        ("admin-prohibited", 1, "administratively prohibited"),
        ("addr-unreachable", 3, "address unreachable"),
        ("port-unreachable", 4, "port unreachable"),
        ("policy-fail", 5, "source address failed a policy"),
        ("reject-route", 6, "reject route to destination"),
    ];
    let net = NetPath::new();
    let (mut rules, mut endpoints, mut expected) = (String::new(), Vec::new(), Vec::new());
    for (port, (name, code, words)) in (2000..).zip(V4) {
        writeln!(rules, "ip daddr {SERVER} tcp dport {port} reject with icmp type {name}").unwrap();
        endpoints.push(format!("{SERVER}:{port}"));
        expected.push((ROUTER, 3, code, format!("{words} (ICMP 3/{code}), says {ROUTER}")));
    }
    for (port, (name, code, words)) in (2000..).zip(V6) {
        writeln!(rules, "ip6 daddr {SERVER_V6} tcp dport {port} reject with icmpv6 type {name}").unwrap();
        endpoints.push(format!("[{SERVER_V6}]:{port}"));
        expected.push((ROUTER_V6, 1, code, format!("{words} (ICMPv6 1/{code}), says {ROUTER_V6}")));
    }
    // The last two die on the way.
    for endpoint in [format!("{SERVER}:2100"), format!("[{SERVER_V6}]:2100")] {
        endpoints.push(endpoint);
    }
    expected.push((ROUTER, 11, 0, format!("time to live exceeded (ICMP 11/0), says {ROUTER}")));
    expected.push((ROUTER_V6, 3, 0, format!("time to live exceeded (ICMPv6 3/0), says {ROUTER_V6}")));
    net.firewall(&rules);
    let short_lived = "table inet out {
          chain out {
            type filter hook output priority filter
            tcp dport 2100 meta nfproto ipv4 ip ttl set 1
            tcp dport 2100 meta nfproto ipv6 ip6 hoplimit set 1
          }
        }";
    net.client.run("nft", &[short_lived]);

    let probed =
        net.probe(&[&net.target(endpoints), "-n", "3", "-w", "0", "-i", "50ms", "--timeout", PATIENT]);
    assert_eq!(probed.status, 1);
    for (index, (sender, kind, code, said)) in expected.iter().enumerate() {
        let endpoint = &probed.endpoints[index];
        assert_counts(endpoint, "unreachable", &[("unreachable", 3)]);
        assert_eq!((&endpoint["error"], &endpoint["loss_pct"]), (&json!(said), &json!(100.0)));
        let instance = index.to_string();
        let samples: Vec<_> =
            probed.samples.iter().filter(|sample| sample["instance"] == *instance).collect();
        assert_eq!(samples.len(), 3);
        for sample in samples {
            assert_eq!(sample["outcome"], "unreachable");
            assert_eq!(sample["icmp"], json!({"sender": sender, "type": kind, "code": code}), "{sample:#}");
        }
    }
}

#[test]
fn a_refusal_is_no_loss_and_no_route_is_known_at_once() {
    let net = NetPath::new();
    let (listener, closed) = net.listener(SERVER, 1);
    drop(listener);
    let (_open, open) = net.listener(SERVER_V6, 16);
    let endpoints = [closed.to_string(), "203.0.113.1:50000".into(), open.to_string()];
    let started = Instant::now();
    let probed =
        net.probe(&[&net.target(endpoints), "-n", "3", "-w", "0", "-i", "10ms", "--timeout", "120s"]);
    assert!(started.elapsed() < FOREVER, "nothing is waited for");

    let [refused, no_route, open_v6] = &probed.endpoints[..] else { panic!("{:?}", probed.endpoints) };
    assert_counts(refused, "refused", &[("refused", 3)]);
    assert_eq!(refused["loss_pct"], 0.0);
    assert_counts(no_route, "unreachable", &[("unreachable", 3)]);
    assert_eq!(no_route["error"], "network unreachable");
    assert!(probed.samples.iter().all(|sample| sample["icmp"].is_null()), "nobody on the way said so");
    assert_counts(open_v6, "answered", &[("answered", 3)]);
    assert_eq!((&open_v6["clock"], &open_v6["dialled"]), (&json!("kernel"), &json!(open.to_string())));
}

#[test]
fn on_silence_the_syns_are_counted() {
    let net = NetPath::new();
    net.firewall("tcp dport 2000 drop");
    let target = format!("{SERVER}:2000");
    // The kernel sends a SYN again after a second, and after one more or two.
    for (timeout, syns) in [("500ms", 1), ("1500ms", 2)] {
        let probed = net.probe(&[&target, "-n", "2", "-w", "0", "-i", "0", "--timeout", timeout]);
        assert_eq!(probed.status, 1);
        assert_counts(&probed.endpoints[0], "timed-out", &[("timed_out", 2)]);
        assert_eq!(probed.endpoints[0]["loss_pct"], 100.0);
        assert_eq!(probed.endpoints[0]["unanswered_syns"], 2 * syns, "{timeout}");
        for sample in &probed.samples {
            assert_eq!(
                (&sample["outcome"], &sample["syns"]),
                (&json!("timed-out"), &json!(syns)),
                "{timeout}"
            );
        }
    }
}

#[test]
fn a_lost_first_syn_is_named_and_its_second_is_no_time() {
    let net = NetPath::new();
    let (_listener, address) = net.listener(SERVER, 16);
    // Of each source port.
    net.firewall("tcp flags & (syn | ack) == syn tcp sport != @seen add @seen { tcp sport } drop");
    let probed = net.probe(&[&address.to_string(), "-n", "3", "-w", "0", "-i", "0", "--timeout", PATIENT]);
    let endpoint = &probed.endpoints[0];
    assert_counts(endpoint, "answered", &[("answered", 3)]);
    assert_eq!((&endpoint["retransmitted"], &endpoint["loss_pct"]), (&json!(3), &json!(0.0)));
    for sample in &probed.samples {
        assert_eq!(sample["retransmitted"], 1);
        assert!(sample["rtt_ms"].as_f64().unwrap() < 500.0, "{sample:#}");
        assert!(sample["elapsed_ms"].as_f64().unwrap() > 900.0, "{sample:#}");
    }
}

/// Fills the queue of a listener that has room for one connection.
fn fill(net: &NetPath, address: SocketAddr) -> [TcpStream; 1] {
    net.client.within(|| [TcpStream::connect(address).unwrap()])
}

/// How many connections the server has dropped for want of room in a queue.
fn overflows(net: &NetPath) -> u64 {
    let mut cat = Command::new("cat");
    let output = net.server.command(cat.arg("/proc/net/netstat")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // A line of names, and one of values in the same order.
    let [names, values] = &text.lines().filter(|l| l.starts_with("TcpExt:")).collect::<Vec<_>>()[..] else {
        panic!("{text}")
    };
    let mut both = names.split(' ').zip(values.split(' '));
    both.find(|(name, _)| *name == "ListenOverflows").unwrap().1.parse().unwrap()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + FOREVER;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_full_queue_is_silence_and_an_answer_when_it_has_room_again() {
    let net = NetPath::new();
    let (listener, address) = net.listener(SERVER, 0);
    let fillers = fill(&net, address);
    let target = address.to_string();
    let full = net.probe(&[&target, "-n", "2", "-w", "0", "-i", "0", "--timeout", "900ms"]);
    assert_counts(&full.endpoints[0], "timed-out", &[("timed_out", 2)]);
    assert_eq!(full.endpoints[0]["unanswered_syns"], 2);

    let dropped = overflows(&net);
    let late = thread::scope(|scope| {
        let probing = scope.spawn(|| net.probe(&[&target, "-n", "1", "-w", "0", "--timeout", PATIENT]));
        wait_until("no SYN is dropped", || overflows(&net) > dropped);
        let _room = listener.accept().unwrap();
        probing.join().unwrap()
    });
    assert_counts(&late.endpoints[0], "answered", &[("answered", 1)]);
    assert!(late.samples[0]["retransmitted"].as_u64().unwrap() >= 1, "{:?}", late.samples);
    assert!(late.samples[0]["rtt_ms"].as_f64().unwrap() < 500.0, "{:?}", late.samples);
    drop(fillers);
}

#[test]
fn who_never_accepts_has_room_for_some_whole_connections_and_all_half_open_ones() {
    let net = NetPath::new();
    // A queue of 2 holds three.
    let (_listener, address) = net.listener(SERVER, 2);
    let target = address.to_string();
    let half = net.probe(&[&target, "-n", "50", "-w", "0", "-i", "0", "--timeout", PATIENT]);
    assert_counts(&half.endpoints[0], "answered", &[("answered", 50)]);
    let whole = net.probe(&[&target, "--full", "-n", "6", "-w", "0", "-i", "0", "--timeout", "900ms"]);
    assert_counts(&whole.endpoints[0], "partly", &[("answered", 3), ("timed_out", 3)]);
}

/// A server that does the same with each connection, until the test ends.
fn serve(listener: TcpListener, answer: impl Fn(TcpStream) + Send + 'static) {
    thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(answer));
}

#[test]
fn a_port_that_answers_is_not_yet_a_service() {
    let net = NetPath::new();
    let ((closing, closes), (silent, is_silent), (foreign, is_foreign)) =
        (net.listener(SERVER, 16), net.listener(SERVER, 16), net.listener(SERVER, 16));
    serve(closing, drop);
    // A terminal's commands must not reach one.
    serve(foreign, |mut stream| stream.write_all(b"HTTP/1.1 400 \x1b[31mBad\r\n\r\n").unwrap());
    let sshd = TestSshd::in_namespace(&net.server.name, &[]);
    let endpoints = [closes, is_silent, is_foreign].map(|address| address.to_string());
    let target = net.target(endpoints.into_iter().chain([format!("{SERVER}:22")]));
    // The silent one takes its whole time.
    let probed = net.probe(&[&target, "--banner", "-n", "2", "-w", "0", "-i", "0", "--timeout", "5s"]);
    drop((silent, sshd));

    assert_eq!(probed.status, 1, "three of them are not well");
    let service = |index: usize| {
        assert_eq!(probed.endpoints[index]["answered"], 2, "{:#}", probed.endpoints[index]);
        let service = &probed.endpoints[index]["service"];
        let counts = ["answered", "foreign", "closed", "silent"].map(|name| service[name].as_u64().unwrap());
        (counts, service["said"].clone())
    };
    assert_eq!(service(0), ([0, 0, 2, 0], Value::Null));
    assert_eq!(service(1), ([0, 0, 0, 2], Value::Null));
    assert_eq!(service(2), ([0, 2, 0, 0], json!("HTTP/1.1 400 ^[[31mBad")));
    let (counts, said) = service(3);
    assert_eq!(counts, [2, 0, 0, 0]);
    assert!(said.as_str().unwrap().starts_with("SSH-2.0-OpenSSH"), "{said}");
    for sample in probed.samples.iter().filter(|sample| sample["instance"] == "3") {
        assert!(sample["service_ms"].as_f64().unwrap() > 0.0, "{sample:#}");
        assert_eq!((&sample["service"], &sample["said"]), (&json!("answered"), &said));
    }
}

#[test]
fn a_remote_desktop_is_asked_and_answers() {
    let net = NetPath::new();
    let (listener, address) = net.listener(SERVER, 16);
    serve(listener, |mut stream| {
        let mut request = [0; 19];
        stream.read_exact(&mut request).unwrap();
        // TPKT, version 3, of 19 bytes; X.224 connection request.
        assert_eq!((request[0], request[3], request[5]), (3, 19, 0xe0));
        // Connection confirm, and the security that was chosen: CredSSP ([MS-RDPBCGR] 2.2.1.2.1).
        stream.write_all(&[3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0x1f, 8, 0, 2, 0, 0, 0]).unwrap();
        // Until the other end closes, so that its answer is not lost with the connection.
        let _ = stream.read(&mut request);
    });
    let probed = net.probe(&[
        &address.to_string(),
        "--banner",
        "--backend-port",
        "3389",
        "-n",
        "2",
        "-w",
        "0",
        "-i",
        "0",
        "--timeout",
        PATIENT,
    ]);
    assert_eq!(probed.status, 0);
    let service = &probed.endpoints[0]["service"];
    assert_eq!((&service["answered"], &service["said"]), (&json!(2), &json!("RDP, CredSSP")));
}

#[test]
fn sshd_sees_no_half_open_probe_and_every_whole_one() {
    let net = NetPath::new();
    // At this level sshd logs every connection that it takes, also one that is over by then.
    let sshd = TestSshd::in_namespace(&net.server.name, &["LogLevel DEBUG1"]);
    let probe = |depth: &[&str], times: &str| {
        let words = [&*format!("{SERVER}:22"), "-n", times, "-w", "0", "-i", "0", "--timeout", PATIENT];
        let probed = net.probe(&[&words, depth].concat());
        assert_counts(&probed.endpoints[0], "answered", &[("answered", times.parse().unwrap())]);
        probed
    };
    let lines = |what: &str| sshd.log().lines().filter(|line| line.contains(what)).count();
    let before = sshd.log();
    probe(&[], "60");
    // What it sees it logs in order.
    probe(&["--full"], "3");
    wait_until("sshd does not log the connections", || lines("Forked child") >= 3);
    assert_eq!(lines("Forked child"), 3, "{}", sshd.log());
    assert!(sshd.log().starts_with(&before));

    // These stay until it has spoken, so that it logs whose they are, which it does at any level.
    let asked = probe(&["--banner"], "3");
    for sample in &asked.samples {
        let port = sample["from"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        let line = format!("Connection from {CLIENT} port {port} on");
        wait_until("sshd does not log the connections", || lines(&line) == 1);
    }
    assert_eq!((lines("Connection from"), lines("Forked child")), (3, 6), "{}", sshd.log());
}

#[test]
fn with_few_handles_probes_wait_and_none_fails() {
    let net = NetPath::new();
    net.firewall("tcp dport 2000 drop");
    let (_listener, open) = net.listener(SERVER, 16);
    // The open ones come last: their wait for a handle must not be in their time.
    let endpoints = (0..200).map(|k| if k < 150 { format!("{SERVER}:2000") } else { open.to_string() });
    let words = [&net.target(endpoints), "-n", "1", "-w", "0", "-i", "0", "--timeout", "300ms"];
    let probed = net.probe_after("ulimit -n 64;", &words);
    let (silent, open) = probed.endpoints.split_at(150);
    silent.iter().for_each(|endpoint| assert_counts(endpoint, "timed-out", &[("timed_out", 1)]));
    for endpoint in open {
        assert_counts(endpoint, "answered", &[("answered", 1)]);
        assert!(endpoint["rtt_ms"]["max"].as_f64().unwrap() < 300.0, "{endpoint:#}");
    }
}

/// Leaves the client these local ports only.
fn local_ports(net: &NetPath, first: u16, last: u16) {
    net.client.set("net/ipv4/ip_local_port_range", &format!("{first} {last}"));
}

#[test]
fn without_a_local_port_nothing_is_sent_and_nothing_is_lost() {
    let net = NetPath::new();
    local_ports(&net, 50000, 50003);
    let (_listener, address) = net.listener(SERVER, 16);
    let words = [&address.to_string(), "-n", "2", "-w", "0", "-i", "0", "--timeout", PATIENT];
    let held: Vec<_> = net
        .client
        .within(|| (50000..=50003).map(|port| TcpListener::bind((CLIENT, port)).unwrap()).collect());
    let probed = net.probe(&words);
    assert_eq!(probed.status, 1);
    assert_counts(&probed.endpoints[0], "not-sent", &[("not_sent", 2)]);
    assert_eq!((&probed.endpoints[0]["loss_pct"], &probed.endpoints[0]["sent"]), (&Value::Null, &json!(0)));
    assert_eq!(probed.endpoints[0]["error"], "no free local port");

    drop(held);
    let probed = net.probe(&words);
    assert_counts(&probed.endpoints[0], "answered", &[("answered", 2)]);
}

#[test]
fn who_finds_no_local_port_free_tries_again() {
    let net = NetPath::new();
    net.firewall("tcp dport 2000 drop");
    local_ports(&net, 50000, 50003);
    // Eight want the four ports that there are, and hold each for less than the tries last.
    let target = net.target((0..8).map(|_| format!("{SERVER}:2000")));
    let probed = net.probe(&[&target, "-n", "1", "-w", "0", "-i", "0", "--timeout", "150ms"]);
    probed.endpoints.iter().for_each(|endpoint| assert_counts(endpoint, "timed-out", &[("timed_out", 1)]));
}

#[test]
fn twenty_thousand_probes_of_a_port_use_up_no_local_port() {
    let net = NetPath::new();
    local_ports(&net, 50000, 50199);
    let (_listener, address) = net.listener(SERVER, 16);
    let probed =
        net.probe(&[&address.to_string(), "-n", "20000", "-w", "0", "-i", "0", "--timeout", PATIENT]);
    assert_counts(&probed.endpoints[0], "answered", &[("answered", 20_000)]);
    for namespace in [&net.client, &net.server] {
        let mut cat = Command::new("cat");
        let output = namespace.command(cat.arg("/proc/net/sockstat")).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(" tw 0 "), "connections in TIME_WAIT: {text}");
    }
}

#[test]
fn of_a_name_s_addresses_one_with_a_route_is_dialled() {
    let net = NetPath::new();
    net.client.etc("nsswitch.conf", "passwd: files\nhosts: files\n");
    let (v4, address) = net.listener(SERVER, 16);
    let port = address.port();
    let _v6 = net.server.within(|| TcpListener::bind((SERVER_V6, port)).unwrap());
    net.client.etc(
        "hosts",
        &format!("203.0.113.9 some.example\n{SERVER} some.example both.example\n{SERVER_V6} both.example\n"),
    );
    let dialled = |name: &str, family: &[&str]| {
        let target = format!("{name}:{port}");
        let probed = net.probe(&[&[&*target, "-n", "1", "-w", "0", "--timeout", PATIENT], family].concat());
        assert_counts(&probed.endpoints[0], "answered", &[("answered", 1)]);
        probed.endpoints[0]["dialled"].clone()
    };
    let (at_v4, at_v6) = (format!("{SERVER}:{port}"), format!("[{SERVER_V6}]:{port}"));
    assert_eq!(dialled("some.example", &[]), at_v4);
    assert_eq!(dialled("both.example", &["-4"]), at_v4);
    assert_eq!(dialled("both.example", &["-6"]), at_v6);
    drop(v4);

    let Probed { status, endpoints, .. } = net.probe(&[&format!("none.example:{port}"), "-n", "3"]);
    assert_eq!(status, 3);
    assert_counts(&endpoints[0], "not-resolved", &[("not_resolved", 1)]);
}

#[test]
fn a_socket_that_answers_itself_is_a_refusal() {
    let alone = Namespace::new("self");
    alone.set("net/ipv4/ip_local_port_range", "50000 50000");
    // What happens without the prober's care, so that this test stays about something.
    alone.within(|| {
        let itself = TcpStream::connect("127.0.0.1:50000").unwrap();
        socket2::SockRef::from(&itself).set_linger(Some(Duration::ZERO)).unwrap();
    });
    let here = vmssh::Surroundings::new();
    let command = here.command(&["probe", "127.0.0.1:50000", "-n", "5", "-w", "0", "-i", "0", "-o", "json"]);
    let ran = vmssh::Ran::from(alone.command(&command).output().unwrap()).expect_status(1);
    let endpoint = ran.json_lines().remove(0)["endpoints"][0].clone();
    assert_counts(&endpoint, "refused", &[("refused", 5)]);
}
