//! The prober against real sockets on loopback, and in a network namespace of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[cfg(target_os = "linux")]
#[path = "support/namespace.rs"]
mod namespace;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::Command,
    time::Duration,
};

#[cfg(target_os = "linux")]
use namespace::Namespace;
use socket2::{Domain, Socket, Type};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use vmssh::{
    event::{Clock, ProbeEvent, ProbeOutcome},
    natmap::Endpoint,
    net::{
        descriptors,
        probe::{Count, Depth, ProbeOptions, Service, probe},
        resolve::{Family, Resolver},
    },
    stats::ProbeStats,
};

/// Far more than anything here takes: only a wait without an end reaches it.
const FOREVER: Duration = Duration::from_secs(60);

fn options(times: u32) -> ProbeOptions {
    ProbeOptions {
        count: Count::Times(times),
        interval: Duration::ZERO,
        timeout: FOREVER,
        ..ProbeOptions::default()
    }
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint {
        instance: None,
        name: None,
        vm_id: None,
        host: address.ip().to_string().parse().unwrap(),
        port: u64::from(address.port()).try_into().unwrap(),
    }
}

fn listener() -> (TcpListener, Endpoint) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = endpoint(listener.local_addr().unwrap());
    (listener, endpoint)
}

/// All events of a run.
async fn run(endpoints: &[Endpoint], options: ProbeOptions) -> Vec<ProbeEvent> {
    let (sender, mut receiver) = mpsc::channel(16);
    let resolver = Resolver::new(Family::Any);
    let collect = async {
        let mut events = Vec::new();
        while let Some(event) = receiver.recv().await {
            events.extend(event);
        }
        events
    };
    let run = async {
        let probing = probe(endpoints, options, &resolver, sender, CancellationToken::new());
        let (ended, events) = tokio::join!(probing, collect);
        ended.unwrap();
        events
    };
    tokio::time::timeout(FOREVER, run).await.expect("the run ends")
}

async fn tally(endpoints: &[Endpoint], options: ProbeOptions) -> Vec<ProbeStats> {
    let mut stats = vec![ProbeStats::default(); endpoints.len()];
    for event in run(endpoints, options).await {
        stats[event.index].record(&event.sample);
    }
    stats
}

/// A listener whose queue of connections is full, so that the kernel drops what else comes.
struct Silent {
    _listener: Socket,
    _fillers: [Socket; 2],
    endpoint: Endpoint,
}

fn silent() -> Silent {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    // A queue of 0 holds one connection.
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let fillers = [(); 2].map(|()| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap());
    fillers[0].connect(&address).unwrap();
    // Should the first not be in the queue yet, this one takes its place.
    fillers[1].set_nonblocking(true).unwrap();
    let _ = fillers[1].connect(&address);
    Silent { endpoint: endpoint(address.as_socket().unwrap()), _listener: listener, _fillers: fillers }
}

/// A port that nothing listens on: bound, so that nobody else gets it.
fn refused() -> (Socket, Endpoint) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let endpoint = endpoint(socket.local_addr().unwrap().as_socket().unwrap());
    (socket, endpoint)
}

#[tokio::test]
async fn every_outcome_is_told_apart() {
    let ((_open, open), (_closed, closed), silent) = (listener(), refused(), silent());
    let endpoints = [open, closed, silent.endpoint.clone()];
    let options = ProbeOptions { timeout: Duration::from_millis(150), ..options(3) };
    let stats = tally(&endpoints, options).await;

    assert_eq!((stats[0].sent(), stats[0].answered, stats[0].retransmitted), (3, 3, 0));
    let rtt = stats[0].rtt().unwrap();
    assert!(rtt.min_ms > 0.0 && rtt.max_ms < 1000.0, "{rtt:?}");
    assert_eq!((stats[1].sent(), stats[1].refused, stats[1].loss_pct()), (3, 3, Some(0.0)));
    assert_eq!((stats[2].sent(), stats[2].timed_out, stats[2].loss_pct()), (3, 3, Some(100.0)));
}

/// A reset behind the answer may be there before anybody looks; only one in its place is a refusal.
#[tokio::test]
async fn a_port_that_answers_and_resets_at_once_has_answered() {
    let (listener, endpoint) = listener();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            socket2::SockRef::from(&stream.unwrap()).set_linger(Some(Duration::ZERO)).unwrap();
        }
    });
    let depths = [Depth::Full, Depth::Service(Service::Ssh)];
    for options in depths.map(|depth| ProbeOptions { depth, ..options(300) }) {
        let stats = &tally(std::slice::from_ref(&endpoint), options).await[0];
        assert_eq!((stats.answered, stats.refused), (300, 0), "{stats:?}");
        assert_eq!(stats.service.closed, stats.service.asked());
        assert_eq!(stats.rtt_count(), 300);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_half_open_probe_is_never_seen_by_the_program_behind_the_port() {
    let (listener, endpoint) = listener();
    let stats = tally(&[endpoint], options(20)).await;
    assert_eq!((stats[0].answered, stats[0].clock), (20, Some(Clock::Kernel)));
    // Connections come out of the queue in order: had a probe been there, it would be first.
    let control = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (_, peer) = listener.accept().unwrap();
    assert_eq!(peer, control.local_addr().unwrap());
}

#[tokio::test]
async fn a_thousand_at_once_are_all_answered() {
    assert!(descriptors::raise(2100) >= 2100, "this test needs 2,100 file descriptors (ulimit -Hn)");
    let (_listeners, endpoints): (Vec<_>, Vec<_>) = (0..1000).map(|_| listener()).unzip();
    let stats = tally(&endpoints, ProbeOptions { warm_up: 1, ..options(2) }).await;
    for stats in &stats {
        assert_eq!((stats.sent(), stats.answered, stats.not_sent), (2, 2, 0), "{stats:?}");
        if cfg!(target_os = "linux") {
            assert_eq!(stats.clock, Some(Clock::Kernel));
        }
    }
}

#[tokio::test]
async fn warm_ups_are_told_and_marked() {
    let (_listener, endpoint) = listener();
    let events = run(&[endpoint], ProbeOptions { warm_up: 2, ..options(3) }).await;
    let marks: Vec<_> = events.iter().map(|e| e.sample.warm_up).collect();
    assert_eq!(marks, [true, true, false, false, false]);
}

#[tokio::test]
async fn an_address_of_the_unwanted_family_is_not_resolved_and_told_once() {
    let (sender, mut receiver) = mpsc::channel(16);
    let v6 = endpoint("[::1]:50000".parse().unwrap());
    let resolver = Resolver::new(Family::V4);
    probe(&[v6], options(5), &resolver, sender, CancellationToken::new()).await.unwrap();
    let events = receiver.recv().await.unwrap();
    let [event] = &events[..] else { panic!("{events:?}") };
    assert!(matches!(event.sample.outcome, ProbeOutcome::NotResolved(_)), "{event:?}");
    assert_eq!(receiver.recv().await, None);
}

#[tokio::test]
async fn cancelling_ends_a_run_that_waits_and_the_thread_that_works_for_it() {
    let silent = silent();
    let never = ProbeOptions { timeout: FOREVER * 60, ..options(u32::MAX) };
    let endpoints = vec![silent.endpoint.clone(); 50];
    // Again and again, as a call to end could be lost on its way to the thread.
    for _ in 0..50 {
        let (sender, mut receiver) = mpsc::channel(16);
        let (resolver, stop) = (Resolver::new(Family::Any), CancellationToken::new());
        let cancel = async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            stop.cancel();
        };
        let probing = probe(&endpoints, never, &resolver, sender, stop.clone());
        tokio::time::timeout(FOREVER, async { tokio::join!(probing, cancel).0 }).await.unwrap().unwrap();
        // The thread has the sender's other copy.
        let gone = async { while receiver.recv().await.is_some() {} };
        tokio::time::timeout(FOREVER, gone).await.expect("the thread ends");
    }
}

#[tokio::test]
async fn a_run_that_nobody_listens_to_ends() {
    let (_listener, endpoint) = listener();
    let (sender, receiver) = mpsc::channel(16);
    drop(receiver);
    let resolver = Resolver::new(Family::Any);
    let endpoints = [endpoint];
    let endless = probe(&endpoints, options(u32::MAX), &resolver, sender, CancellationToken::new());
    tokio::time::timeout(FOREVER, endless).await.expect("the run ends").unwrap();
}

/// Runs one test of this file again in a process of its own, told to be the child.
fn in_child(test: &str, wrapper: &[&str]) {
    let this = std::env::current_exe().unwrap();
    let mut words: Vec<_> = wrapper.iter().map(std::ffi::OsStr::new).collect();
    words.push(this.as_os_str());
    let output = Command::new(words[0])
        .args(&words[1..])
        .args([test, "--exact", "--nocapture"])
        .env("VMSSH_TEST_CHILD", test)
        .output()
        .unwrap_or_else(|error| panic!("{} can't be run: {error}", words[0].display()));
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "the child failed:\n{text}");
}

fn is_child(test: &str) -> bool {
    std::env::var_os("VMSSH_TEST_CHILD").is_some_and(|child| child == test)
}

/// The limit belongs to the process, so this needs one of its own.
#[cfg(unix)]
#[test]
fn with_few_descriptors_probes_queue_and_none_fails() {
    const NAME: &str = "with_few_descriptors_probes_queue_and_none_fails";
    if !is_child(NAME) {
        return in_child(NAME, &[]);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (silent, (_open, open)) = (silent(), listener());
        rlimit::setrlimit(rlimit::Resource::NOFILE, 64, 64).unwrap();
        let mut endpoints = vec![silent.endpoint.clone(); 150];
        // The last in the queue: its wait must not be in its time.
        endpoints.push(open);
        let options = ProbeOptions { timeout: Duration::from_millis(200), ..options(1) };
        let stats = tally(&endpoints, options).await;
        let (open, silent) = stats.split_last().unwrap();
        assert!(silent.iter().all(|s| s.timed_out == 1 && s.not_sent == 0), "{silent:?}");
        assert!(open.rtt().unwrap().max_ms < 200.0, "{open:?}");
    });
}

/// What a firewall does to a SYN, by port. The first SYN of each source port to 1003 is dropped.
#[cfg(target_os = "linux")]
const FIREWALL: &str = "
table inet firewall {
  set seen { type inet_service; flags dynamic; timeout 1m; }
  chain input {
    type filter hook input priority 0
    tcp dport 1001 meta nfproto ipv4 reject with icmp type admin-prohibited
    tcp dport 1001 meta nfproto ipv6 reject with icmpv6 type admin-prohibited
    tcp dport 1002 drop
    tcp dport 1003 tcp flags & (syn | ack) == syn tcp sport != @seen add @seen { tcp sport } drop
    tcp dport 1005 reject with tcp reset
  }
}";

#[cfg(target_os = "linux")]
#[test]
fn behind_a_firewall_every_verdict_is_its_own() {
    const NAME: &str = "behind_a_firewall_every_verdict_is_its_own";
    if !is_child(NAME) {
        let namespace = Namespace::new("firewall");
        namespace.run("nft", &[FIREWALL]);
        return in_child(NAME, &["ip", "netns", "exec", &namespace.name]);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let _listeners =
            [1001, 1002, 1003, 1005].map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap());
        let endpoints = [
            "127.0.0.1:1001",
            "[::1]:1001",
            "127.0.0.1:1002",
            "127.0.0.1:1003",
            "127.0.0.1:1005",
            "192.0.2.1:1000",
        ]
        .map(|address| endpoint(address.parse().unwrap()));
        // The kernel sends a SYN again after one second, so there is time for two.
        let options = ProbeOptions { timeout: Duration::from_millis(2500), ..options(2) };
        let stats = tally(&endpoints, options).await;
        let [prohibited, prohibited_v6, dropped, again, reset, no_route] = &stats[..] else { panic!() };

        // It is the machine's own firewall.
        for (stats, said) in [
            (prohibited, "administratively prohibited, says this machine"),
            (prohibited_v6, "administratively prohibited, says this machine"),
        ] {
            assert_eq!((stats.unreachable, stats.error.as_deref()), (2, Some(said)));
        }
        assert_eq!((dropped.timed_out, dropped.loss_pct()), (2, Some(100.0)));
        // Each again after 1 second, and before Linux 6.5 after 3, since then after 2.
        assert!([4, 6].contains(&dropped.unanswered_syns), "{dropped:?}");
        assert_eq!((reset.refused, reset.loss_pct()), (2, Some(0.0)));
        assert_eq!((no_route.unreachable, no_route.error.as_deref()), (2, Some("network unreachable")));
        // Both first SYNs were lost; the second of waiting for them is no round-trip time.
        assert_eq!((again.answered, again.retransmitted, again.loss_pct()), (2, 2, Some(0.0)));
        assert!(again.rtt().unwrap().max_ms < 500.0, "{again:?}");
    });
}

/// Without TCP time stamps an answer does not tell which SYN it belongs to.
#[cfg(target_os = "linux")]
#[test]
fn the_time_of_a_second_syn_may_be_unknown_and_is_then_left_out() {
    const NAME: &str = "the_time_of_a_second_syn_may_be_unknown_and_is_then_left_out";
    if !is_child(NAME) {
        let namespace = Namespace::new("syn");
        namespace.run("nft", &[FIREWALL]);
        namespace.set("net/ipv4/tcp_timestamps", "0");
        return in_child(NAME, &["ip", "netns", "exec", &namespace.name]);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 1003)).unwrap();
    let stats = runtime.block_on(tally(&[endpoint("127.0.0.1:1003".parse().unwrap())], options(1)));
    assert_eq!((stats[0].answered, stats[0].retransmitted, stats[0].rtt()), (1, 1, None));
}

/// With one local port to choose from, dialling it makes the socket answer itself.
#[cfg(target_os = "linux")]
#[test]
fn a_socket_that_answers_itself_is_a_refusal() {
    const NAME: &str = "a_socket_that_answers_itself_is_a_refusal";
    if !is_child(NAME) {
        let namespace = Namespace::new("self");
        namespace.set("net/ipv4/ip_local_port_range", "50000 50000");
        return in_child(NAME, &["ip", "netns", "exec", &namespace.name]);
    }
    // What happens without the prober's care, so that this test stays about something.
    let itself = TcpStream::connect("127.0.0.1:50000").unwrap();
    socket2::SockRef::from(&itself).set_linger(Some(Duration::ZERO)).unwrap();
    drop(itself);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stats = runtime.block_on(tally(&[endpoint("127.0.0.1:50000".parse().unwrap())], options(3)));
    assert_eq!((stats[0].answered, stats[0].refused), (0, 3), "{stats:?}");
}
