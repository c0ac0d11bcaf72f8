//! The metrics of a run: their text, read strictly; their server, asked by a real client and by bad ones; and
//! the whole program, whose metrics and JSON must agree.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/exposition.rs"]
mod exposition;
#[path = "support/vmssh.rs"]
mod vmssh;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use ::vmssh::{
    event::{Answer, Clock, ProbeEvent, ProbeOutcome, ProbeSample, ServiceOutcome},
    natmap::{Endpoint, InstanceId},
    report::metrics::{Format, Metrics},
    serve::{Listener, Page},
};
use exposition::Exposition;
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use vmssh::Surroundings;

/// Far more than anything here takes: only a wait without an end reaches it.
const FOREVER: Duration = Duration::from_secs(60);

fn endpoint(id: usize, name: Option<&str>) -> Endpoint {
    Endpoint {
        instance: Some(InstanceId::from(id)),
        name: name.map(Into::into),
        vm_id: None,
        host: "20.1.2.3".parse().unwrap(),
        port: (50_000 + id as u64).try_into().unwrap(),
    }
}

fn event(index: usize, second: u64, outcome: ProbeOutcome, service: Option<ServiceOutcome>) -> ProbeEvent {
    let start = Duration::from_secs(second);
    ProbeEvent {
        index,
        sample: ProbeSample { start, warm_up: false, to: None, from: None, outcome, service },
    }
}

fn answered(us: u64) -> ProbeOutcome {
    let rtt = Duration::from_micros(us);
    ProbeOutcome::Answered(Answer {
        rtt: Some(rtt),
        clock: Clock::Kernel,
        elapsed: rtt + Duration::from_micros(40),
        retransmitted: 0,
    })
}

fn start() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

/// The same in both formats.
fn both(metrics: &Metrics) -> [Exposition; 2] {
    [Format::Text, Format::OpenMetrics]
        .map(|format| exposition::read(&metrics.text(format), format == Format::OpenMetrics))
}

#[test]
fn every_figure_is_there_in_both_formats() {
    let strange = "a\"b\\c\nd\u{1b}[2J é";
    let metrics = Metrics::new(&[endpoint(0, Some(strange)), endpoint(1, None)], Some("web"), start());
    for (us, service) in [
        (250, Some(ServiceOutcome::Silent)),
        (251, Some(ServiceOutcome::Answered { after: Duration::ZERO, said: "SSH-2.0-x".into() })),
        (20_000, None),
        (3_000_000, None),
    ] {
        metrics.record(&event(0, 1, answered(us), service));
    }
    let again = ProbeOutcome::Answered(Answer {
        rtt: None,
        clock: Clock::Kernel,
        elapsed: Duration::from_secs(1),
        retransmitted: 1,
    });
    metrics.record(&event(0, 2, again, None));
    metrics.record(&event(1, 7, ProbeOutcome::TimedOut { syns: Some(2) }, None));
    metrics.record(&event(1, 8, ProbeOutcome::NotSent("no file handle".into()), None));
    let mut warm_up = event(1, 0, answered(1), None);
    warm_up.sample.warm_up = true;
    metrics.record(&warm_up);
    for all in both(&metrics) {
        let of = |name: &str, labels: &[(&str, &str)]| all.only(name, labels);
        let zero = [("instance", "0"), ("scale_set", "web"), ("endpoint", "20.1.2.3:50000")];
        let one = [("instance", "1"), ("scale_set", "web"), ("endpoint", "20.1.2.3:50001")];
        let with = |labels: &[(&'static str, &'static str)], more| [labels, &[more]].concat();
        assert_eq!(of("vmssh_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
        for (end, count) in [("0.00025", 1.0), ("0.0005", 2.0), ("0.02", 3.0), ("2.0", 3.0), ("+Inf", 4.0)] {
            assert_eq!(of("vmssh_probe_rtt_seconds_bucket", &with(&zero, ("le", end))), Some(count), "{end}");
        }
        assert_eq!(of("vmssh_probe_rtt_seconds_count", &zero), Some(4.0));
        assert_eq!(of("vmssh_probe_rtt_seconds_sum", &zero), Some(3.020_501));
        assert_eq!(of("vmssh_probe_rtt_seconds_count", &one), Some(0.0));
        for (labels, outcome, count) in [
            (&zero, "answered", 5.0),
            (&zero, "timed-out", 0.0),
            (&one, "answered", 0.0),
            (&one, "timed-out", 1.0),
            (&one, "not-sent", 1.0),
        ] {
            assert_eq!(of("vmssh_probes_total", &with(labels, ("outcome", outcome))), Some(count));
        }
        assert_eq!(of("vmssh_probes_retransmitted_total", &zero), Some(1.0));
        assert_eq!((of("vmssh_up", &zero), of("vmssh_up", &one)), (Some(1.0), Some(0.0)));
        assert_eq!(of("vmssh_outages_total", &one), Some(1.0));
        assert_eq!(of("vmssh_down_since_timestamp_seconds", &one), Some(1_700_000_007.0));
        assert_eq!(of("vmssh_down_since_timestamp_seconds", &zero), None);
        assert_eq!(of("vmssh_service_probes_total", &with(&zero, ("outcome", "silent"))), Some(1.0));
        assert_eq!(of("vmssh_service_probes_total", &with(&one, ("outcome", "silent"))), None);
        assert_eq!(of("vmssh_own_delay_seconds_count", &[]), Some(4.0));
        assert_eq!(of("vmssh_own_delay_seconds_bucket", &[("le", "5e-5")]), Some(4.0));
        // Control characters are shown, and what the format escapes is escaped.
        let names: Vec<_> = all.samples.iter().filter_map(|sample| sample.labels.get("name")).collect();
        assert!(!names.is_empty() && names.iter().all(|name| *name == "a\"b\\c^Jd^[[2J é"), "{names:?}");
    }
}

#[test]
fn before_the_first_probe_nothing_is_said_to_be_down() {
    let metrics = Metrics::new(&[endpoint(0, None)], None, start());
    for all in both(&metrics) {
        assert_eq!(all.only("vmssh_up", &[]), None);
        assert_eq!(all.only("vmssh_probes_total", &[("outcome", "answered")]), Some(0.0));
        assert!(all.samples.iter().all(|sample| !sample.labels.contains_key("scale_set")));
    }
    for all in both(&Metrics::new(&[], None, start())) {
        assert_eq!(all.only("vmssh_own_delay_seconds_count", &[]), Some(0.0));
    }
}

#[test]
fn collectors_get_the_format_that_they_ask_for() {
    // What Prometheus 2.45, 3.0 and others send.
    for (accept, format) in [
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            Format::OpenMetrics,
        ),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;q=0.4,*/*;q=0.2",
            Format::OpenMetrics,
        ),
        ("text/plain;version=0.0.4;q=1,*/*;q=0.1", Format::Text),
        ("application/openmetrics-text; q=0.2, text/plain", Format::Text),
        ("application/openmetrics-text;q=0", Format::Text),
        ("APPLICATION/OpenMetrics-Text", Format::OpenMetrics),
        ("*/*", Format::Text),
        ("", Format::Text),
        (";q=;;,=,q=nan", Format::Text),
    ] {
        assert_eq!(Format::for_accept(accept), format, "{accept}");
    }
}

#[test]
fn a_thousand_endpoints_are_told_in_some_milliseconds() {
    let endpoints: Vec<_> = (0..1000).map(|id| endpoint(id, Some("web"))).collect();
    let metrics = Metrics::new(&endpoints, Some("web"), start());
    for index in 0..1000 {
        for k in 0..200 {
            metrics.record(&event(index, k, answered(20_000 + k * 37), None));
        }
    }
    let begin = Instant::now();
    let text = metrics.text(Format::OpenMetrics);
    let took = begin.elapsed();
    println!("{} bytes in {took:?}", text.len());
    // Unoptimized, on a busy machine: an order of magnitude above what it takes.
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(exposition::read(&text, true).samples.len(), 1000 * (20 + 6 + 1 + 1 + 1) + 13 + 1);
}

/// A server of a small page on a free port.
async fn served() -> (impl Drop, std::net::SocketAddr) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.address();
    let page = |accept: &str| Page { content_type: "text/plain", text: format!("asked for {accept}") };
    (listener.serve(Arc::new(page)), address)
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(FOREVER).build().unwrap()
}

#[tokio::test]
async fn only_two_paths_and_two_methods_are_answered() {
    let (_server, address) = served().await;
    let ask = async |method: Method, path: &str| {
        let request = client().request(method, format!("http://{address}{path}")).header("accept", "text/x");
        let answer = request.send().await.unwrap();
        let headers = answer.headers().clone();
        (answer.status(), headers, answer.text().await.unwrap())
    };
    let (status, headers, text) = ask(Method::GET, "/metrics").await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "asked for text/x"));
    assert_eq!(headers["content-type"], "text/plain");
    assert_eq!(ask(Method::GET, "/metrics?a=b").await.0, StatusCode::OK);
    let (status, headers, text) = ask(Method::HEAD, "/metrics").await;
    assert_eq!(
        (status, text.as_str(), headers["content-length"].to_str().unwrap()),
        (StatusCode::OK, "", "16")
    );
    assert!(ask(Method::GET, "/").await.2.contains("/metrics"));
    for path in ["/metrics/", "/favicon.ico", "//", "/../etc/passwd"] {
        assert_eq!(ask(Method::GET, path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let (status, headers, _) = ask(method, "/metrics").await;
        assert_eq!(
            (status, headers["allow"].to_str().unwrap()),
            (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD")
        );
    }
}

#[tokio::test]
async fn clients_that_hang_are_hung_up_on_and_can_not_take_all_room_for_long() {
    let (_server, address) = served().await;
    // As many as are served at a time, and one more.
    let mut hanging = Vec::new();
    for said in ["", "GET /metrics HTTP/1.1\r\nhost: x\r\nx-slow: "].iter().cycle().take(8) {
        let mut tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut tcp, said.as_bytes()).await.unwrap();
        hanging.push(tcp);
    }
    let mut refused = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut left = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut refused, &mut left);
    // Closed at once, with nothing said.
    assert!(tokio::time::timeout(FOREVER, read).await.unwrap().unwrap_or_default() == 0);
    for mut tcp in hanging {
        let read = tokio::io::AsyncReadExt::read_to_end(&mut tcp, &mut left);
        let _ = tokio::time::timeout(FOREVER, read).await.expect("a silent client is hung up on");
    }
    let answer = client().get(format!("http://{address}/metrics")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let (_server, address) = served().await;
    let request = client().get(format!("http://{address}/metrics")).header("x-long", "x".repeat(20_000));
    // Refused with a status, or cut off while it is still being sent.
    assert!(request.send().await.map_or(true, |answer| answer.status().is_client_error()));
    let after = client().get(format!("http://{address}/metrics")).send().await.unwrap();
    assert_eq!(after.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_server_ends_with_its_handle() {
    let (server, address) = served().await;
    drop(server);
    // The task ends when it next runs.
    let gone = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(FOREVER, gone).await.unwrap();
}

/// A run of the program that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks for the metrics with as little as HTTP allows.
fn scrape(address: &str, accept: &str) -> (String, String) {
    let mut tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(FOREVER)).unwrap();
    write!(tcp, "GET /metrics HTTP/1.1\r\nhost: {address}\r\naccept: {accept}\r\n\r\n").unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    (head.to_lowercase(), body.to_string())
}

#[cfg(unix)]
#[test]
fn what_is_served_is_what_the_json_says_in_the_end() {
    let here = Surroundings::new();
    // Instance 3 is silent and keeps the run going until it is interrupted.
    let arguments = "probe lab --lab-fault 3=drop --lab-fault 1=refuse -n 5 -i 10ms --timeout 10m -o json \
                     --place here --metrics 127.0.0.1:0";
    let mut command = here.command(&arguments.split_whitespace().collect::<Vec<_>>());
    let mut run = Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let stderr = BufReader::new(run.0.stderr.take().unwrap());
    let said = stderr.lines().map(Result::unwrap).find(|line| line.starts_with("metrics at ")).unwrap();
    let address = said.strip_prefix("metrics at http://").unwrap().strip_suffix("/metrics").unwrap();
    let begin = Instant::now();
    let all = loop {
        assert!(begin.elapsed() < FOREVER, "the probes never end");
        let (head, text) = scrape(address, "application/openmetrics-text; version=1.0.0");
        assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"));
        let all = exposition::read(&text, true);
        let done = |id: &str| all.only("vmssh_probes_total", &[("instance", id), ("outcome", "answered")]);
        let refused = all.only("vmssh_probes_total", &[("instance", "1"), ("outcome", "refused")]);
        if (done("0"), refused, done("2")) == (Some(5.0), Some(5.0), Some(5.0)) {
            break all;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let (head, text) = scrape(address, "*/*");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    exposition::read(&text, false);

    let pid = rustix::process::Pid::from_child(&run.0);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let mut json = String::new();
    run.0.stdout.take().unwrap().read_to_string(&mut json).unwrap();
    assert_eq!(run.0.wait().unwrap().code(), Some(130));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    for id in 0..3 {
        let (row, id) = (&json["endpoints"][id], id.to_string());
        let of = |name: &str| all.only(name, &[("instance", &id)]);
        for outcome in ["answered", "refused", "timed_out", "unreachable", "not_sent", "not_resolved"] {
            let name = outcome.replace('_', "-");
            let labels = [("instance", id.as_str()), ("outcome", name.as_str())];
            assert_eq!(all.only("vmssh_probes_total", &labels), row[outcome].as_f64(), "{outcome} of {id}");
        }
        let bins = row["exact"]["rtts"]["bins"].as_array().unwrap();
        let count: u64 = bins.iter().map(|bin| bin[1].as_u64().unwrap()).sum();
        assert_eq!(of("vmssh_probe_rtt_seconds_count"), Some(count as f64));
        let sum_us = row["exact"]["rtts"]["sum_us"].as_f64().unwrap();
        assert_eq!(of("vmssh_probe_rtt_seconds_sum"), Some(sum_us / 1e6));
        assert_eq!(of("vmssh_up"), Some(if id == "1" { 0.0 } else { 1.0 }));
    }
    assert_eq!(json["place"], "here");
}

#[test]
fn an_address_that_is_taken_costs_no_run() {
    let here = Surroundings::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = here.run(&["probe", "lab", "--metrics", &address]).expect_status(2);
    assert!(ran.stderr.contains(&format!("error: can't serve metrics on {address}")), "{}", ran.stderr);
    assert!(ran.stderr.contains("another program has it"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
    let ran = here.run(&["probe", "lab", "--metrics", "9464"]).expect_status(2);
    assert!(ran.stderr.contains("write 127.0.0.1:9464"), "{}", ran.stderr);
}
