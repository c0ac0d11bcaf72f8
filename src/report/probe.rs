//! What probing found, in every format, from one set of rows.

mod places;
mod psping;
mod samples;
mod table;
mod wire;

use std::{
    io::{self, Write},
    num::NonZeroU16,
    time::Duration,
};

use serde::Serialize;

use self::wire::{Exact, RunOut};
pub use self::{
    places::PlacesReport,
    psping::{PspingLines, write_statistics},
    samples::SampleLines,
    table::Columns,
    wire::{ReadError, Skipped, place_name, read_runs},
};
use super::{flat, json};
use crate::{
    clean::clean_line,
    event::Clock,
    merge::Run,
    natmap::{Endpoint, Host, InstanceId},
    stats::{Outages, ProbeStats, RttSummary, ServiceStats, Siblings, State, Verdict, loss_interval_pct},
};

/// The name and version of the JSON that this module writes.
const SCHEMA: &str = "vmssh.probe/1";

/// The statistics of all endpoints, to be written.
#[derive(Debug, Clone)]
pub struct ProbeReport<'a> {
    rows: Vec<Row<'a>>,
    run: Option<RunOut>,
    /// What all endpoints together say.
    pub verdict: Verdict,
}

/// One endpoint and what is known of it.
#[derive(Debug, Clone, Copy)]
struct Row<'a> {
    endpoint: &'a Endpoint,
    stats: &'a ProbeStats,
    state: State,
    /// Slow among its siblings; `None` where there is nothing to compare.
    slow: Option<bool>,
}

impl<'a> Row<'a> {
    fn new(endpoint: &'a Endpoint, stats: &'a ProbeStats, siblings: Option<Siblings>) -> Self {
        let slow = siblings.filter(|_| stats.answered > 0).map(|all| all.is_slow(stats));
        Self { endpoint, stats, state: State::of(stats), slow }
    }

    fn is_failure(&self) -> bool {
        self.state != State::Answered || self.slow == Some(true)
    }
}

impl<'a> ProbeReport<'a> {
    /// A report on endpoints and the statistics of each, in the same order.
    #[must_use]
    pub fn new(endpoints: &'a [Endpoint], stats: &'a [ProbeStats]) -> Self {
        let siblings = Siblings::of(stats);
        let rows = endpoints.iter().zip(stats).map(|(e, s)| Row::new(e, s, siblings)).collect();
        Self { rows, run: None, verdict: Verdict::of(endpoints, stats) }
    }

    /// The same report, which in JSON says what run it is of.
    #[must_use]
    pub fn with_run(self, run: &Run) -> Self {
        Self { run: Some(RunOut::new(run)), ..self }
    }

    /// Only the rows of endpoints that did not answer every time, or are slow. The verdict stays that of
    /// all.
    #[must_use]
    pub fn failures_only(mut self) -> Self {
        self.rows.retain(Row::is_failure);
        self
    }

    /// Writes one JSON object, as `vmssh.probe/1` has it. [`read_runs`] reads it back exactly.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        json::write_line(out, &self.document())
    }

    fn document(&self) -> Document<'_> {
        let endpoints = self.rows.iter().map(|row| Exact { row: row.into(), exact: row.stats });
        Document {
            schema: SCHEMA,
            run: self.run.as_ref(),
            endpoints: endpoints.collect(),
            verdict: self.verdict.to_string(),
        }
    }

    /// Writes CSV with the fields of the JSON as columns.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows: Vec<_> = self.rows.iter().map(ProbeRow::from).collect();
        flat::write_csv_like(out, &ProbeRow::of_nothing(), &rows)
    }
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    #[serde(flatten)]
    run: Option<&'a RunOut>,
    endpoints: Vec<Exact<'a>>,
    verdict: String,
}

/// One endpoint as JSON and CSV have it. Times are milliseconds to the microsecond.
#[derive(Debug, Clone, Serialize)]
struct ProbeRow {
    instance: Option<InstanceId>,
    name: Option<String>,
    address: Host,
    port: u16,
    state: String,
    sent: u64,
    answered: u64,
    refused: u64,
    timed_out: u64,
    unreachable: u64,
    not_sent: u64,
    not_resolved: u64,
    loss_pct: Option<f64>,
    /// Where the path's loss lies with a confidence of 95 %.
    loss_95_pct: Interval,
    rtt_ms: RttRow,
    jitter_ms: Option<f64>,
    /// The median of the times of refusals, by the program's clock.
    refused_after_ms: Option<f64>,
    /// Answered probes whose SYN was sent again.
    retransmitted: u64,
    /// SYNs that probes which timed out had sent.
    unanswered_syns: u64,
    clock: Option<Clock>,
    /// The median of how much later than the kernel this program noticed an answer.
    own_delay_ms: Option<f64>,
    /// Slow among its siblings; `null` where there is nothing to compare.
    slow: Option<bool>,
    /// The address that was dialled.
    dialled: Option<String>,
    outages: OutageRow,
    service: ServiceRow,
    error: Option<String>,
}

/// Where a figure lies with a confidence of 95 %.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Interval {
    low: Option<f64>,
    high: Option<f64>,
}

impl Interval {
    /// Of the loss.
    fn of(stats: &ProbeStats) -> Self {
        loss_interval_pct(stats.lost(), stats.sent()).map_or_else(Self::default, |(low, high)| Self {
            low: Some(rounded(low)),
            high: Some(rounded(high)),
        })
    }
}

/// When the endpoint did not answer, in milliseconds of and since the start of the run.
#[derive(Debug, Clone, Default, Serialize)]
struct OutageRow {
    count: u64,
    longest_ms: f64,
    down_since_ms: Option<f64>,
}

/// What the service behind the port said; counts of 0 where it was not asked.
#[derive(Debug, Clone, Default, Serialize)]
struct ServiceRow {
    answered: u64,
    foreign: u64,
    closed: u64,
    silent: u64,
    said: Option<String>,
    /// The median of the times from the port's answer to the service's.
    p50_ms: Option<f64>,
}

#[derive(Debug, Clone, Default, Serialize)]
struct RttRow {
    min: Option<f64>,
    mean: Option<f64>,
    max: Option<f64>,
    stddev: Option<f64>,
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
}

impl From<RttSummary> for RttRow {
    fn from(rtt: RttSummary) -> Self {
        Self {
            min: Some(rounded(rtt.min_ms)),
            mean: Some(rounded(rtt.mean_ms)),
            max: Some(rounded(rtt.max_ms)),
            stddev: rtt.stddev_ms.map(rounded),
            p50: Some(rounded(rtt.p50_ms)),
            p90: Some(rounded(rtt.p90_ms)),
            p99: Some(rounded(rtt.p99_ms)),
        }
    }
}

impl From<&Outages> for OutageRow {
    fn from(outages: &Outages) -> Self {
        let ms = |time: Duration| rounded(time.as_secs_f64() * 1e3);
        Self {
            count: outages.count,
            longest_ms: ms(outages.longest),
            down_since_ms: outages.down_since.map(ms),
        }
    }
}

impl From<&ServiceStats> for ServiceRow {
    fn from(service: &ServiceStats) -> Self {
        Self {
            answered: service.answered,
            foreign: service.foreign,
            closed: service.closed,
            silent: service.silent,
            said: service.said.as_deref().map(clean_line),
            p50_ms: service.times.percentile_ms(50),
        }
    }
}

/// To three places: microseconds of a time, which is all that clocks here give.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

impl ProbeRow {
    /// The row of an endpoint that nothing is known of, for its fields.
    fn of_nothing() -> Self {
        let port = NonZeroU16::MIN.into();
        let endpoint = Endpoint { instance: None, name: None, vm_id: None, host: Host::Unknown, port };
        Self::from(&Row::new(&endpoint, &ProbeStats::default(), None))
    }
}

impl From<&Row<'_>> for ProbeRow {
    fn from(row: &Row<'_>) -> Self {
        let Row { endpoint, stats, state, slow } = *row;
        Self {
            instance: endpoint.instance.clone(),
            name: endpoint.name.clone(),
            address: endpoint.host.clone(),
            port: endpoint.port.get(),
            state: state.to_string(),
            sent: stats.sent(),
            answered: stats.answered,
            refused: stats.refused,
            timed_out: stats.timed_out,
            unreachable: stats.unreachable,
            not_sent: stats.not_sent,
            not_resolved: stats.not_resolved,
            loss_pct: stats.loss_pct().map(rounded),
            loss_95_pct: Interval::of(stats),
            rtt_ms: stats.rtt().map(RttRow::from).unwrap_or_default(),
            jitter_ms: stats.jitter_ms().map(rounded),
            refused_after_ms: stats.refusals.percentile_ms(50).map(rounded),
            retransmitted: stats.retransmitted,
            unanswered_syns: stats.unanswered_syns,
            clock: stats.clock,
            own_delay_ms: stats.own_delay_ms().map(rounded),
            slow,
            dialled: stats.address.map(|address| address.to_string()),
            outages: (&stats.outages).into(),
            service: (&stats.service).into(),
            error: stats.error.as_deref().map(clean_line),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::event::{Answer, ProbeOutcome, ProbeSample};

    /// Endpoints and statistics of all kinds.
    fn probed() -> (Vec<Endpoint>, Vec<ProbeStats>) {
        let answered = |us: u64, retransmitted| {
            let answer = Answer::kernel(Duration::from_micros(us));
            ProbeOutcome::Answered(Answer { retransmitted, ..answer })
        };
        let outcomes = [
            vec![answered(1234, 0), answered(2234, 1), ProbeOutcome::TimedOut { syns: Some(2) }],
            vec![ProbeOutcome::Refused { after: Duration::from_millis(1) }; 3],
            vec![ProbeOutcome::NotResolved("no such name \x1b[2J".into())],
        ];
        let endpoints: Vec<_> = (0..outcomes.len())
            .map(|k| Endpoint {
                instance: (k != 1).then(|| InstanceId::from(k)),
                name: None,
                vm_id: None,
                host: "20.1.2.3".parse().unwrap(),
                port: (50000 + k as u64).try_into().unwrap(),
            })
            .collect();
        let mut stats = vec![ProbeStats::default(); outcomes.len()];
        for (index, outcomes) in outcomes.into_iter().enumerate() {
            for outcome in outcomes {
                stats[index].record(&ProbeSample::of(outcome));
            }
        }
        (endpoints, stats)
    }

    fn written(write: impl FnOnce(&ProbeReport<'_>, &mut dyn Write) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        let (endpoints, stats) = probed();
        write(&ProbeReport::new(&endpoints, &stats), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_ends_with_the_verdict() {
        assert_eq!(
            written(|report, out| report.write_table(out, Columns::Usual)),
            "\
INSTANCE  ENDPOINT        STATE         ANSWERED  LOSS      P50      P90      MAX  NOTE
0         20.1.2.3:50000  partly             2/3   33%  1.23 ms  2.23 ms  2.23 ms  1 needed a second SYN, 1 timed out
-         20.1.2.3:50001  refused            0/3    0%        -        -        -  -
2         20.1.2.3:50002  not-resolved         -     -        -        -        -  no such name ^[[2J
0 of 3 endpoints answered every time; answered in part: 0 (1 of 3 lost, 95 % sure of 6 to 79 %); refused: port 50001 (nothing listens, or a firewall rejects: sshd, backend port); name not resolved: 2
1 of 2 answers needed a second SYN (95 % sure of 9.5 to 90.5 %): loss, throttled SYNs or a full accept queue
"
        );
    }

    #[test]
    fn the_json_has_the_fields_that_scripts_rely_on() {
        let json: Value = serde_json::from_str(&written(|report, out| report.write_json(out))).unwrap();
        assert_eq!(json["schema"], "vmssh.probe/1");
        let [first, second, third] = [0, 1, 2].map(|k| &json["endpoints"][k]);
        assert_eq!(first["instance"], "0");
        assert_eq!((first["port"].as_u64(), first["sent"].as_u64()), (Some(50000), Some(3)));
        assert_eq!(first["loss_pct"], 33.333);
        assert_eq!(first["rtt_ms"]["p50"], 1.234);
        assert_eq!((&first["jitter_ms"], &first["retransmitted"]), (&1.0.into(), &1.into()));
        assert_eq!(first["clock"], "kernel");
        assert_eq!((&second["instance"], &second["refused"]), (&Value::Null, &3.into()));
        assert_eq!((&second["rtt_ms"]["min"], &second["clock"]), (&Value::Null, &Value::Null));
        assert_eq!((&third["loss_pct"], &third["not_resolved"]), (&Value::Null, &1.into()));
    }

    #[test]
    fn csv_has_the_fields_of_the_json() {
        let csv = written(|report, out| report.write_csv(out));
        let [header, first] =
            [0, 1].map(|line| csv.lines().nth(line).unwrap().split(',').collect::<Vec<_>>());
        let field = |name| first[header.iter().position(|column| *column == name).unwrap()];
        assert_eq!(header.len(), first.len());
        for (name, value) in [
            ("instance", "0"),
            ("port", "50000"),
            ("answered", "2"),
            ("loss_pct", "33.333"),
            ("loss_95_pct_low", "6.149"),
            ("rtt_ms_p90", "2.234"),
            ("jitter_ms", "1.0"),
            ("retransmitted", "1"),
            ("outages_count", "1"),
            ("service_said", ""),
            ("slow", ""),
        ] {
            assert_eq!(field(name), value, "{name}");
        }
    }

    #[test]
    fn only_failures_are_shown_where_asked_for_and_the_verdict_stays() {
        let (endpoints, mut stats) = probed();
        stats[1] = ProbeStats::default();
        stats[1].record(&ProbeSample::of(ProbeOutcome::Answered(Answer::kernel(Duration::from_millis(1)))));
        let report = ProbeReport::new(&endpoints, &stats);
        let verdict = report.verdict.clone();
        let report = report.failures_only();
        assert_eq!((report.rows.len(), &report.verdict), (2, &verdict));
        // Without a row there is still a header.
        let mut out = Vec::new();
        ProbeReport::new(&endpoints[1..2], &stats[1..2]).failures_only().write_csv(&mut out).unwrap();
        let csv = String::from_utf8(out).unwrap();
        assert!(csv.starts_with("instance,name,address,port,state,") && csv.lines().count() == 1, "{csv}");
    }
}
