//! What probing found, in every format, from one set of rows.

mod places;
mod wire;

use std::io::{self, Write};

use serde::Serialize;

use self::wire::{Exact, RunOut};
pub use self::{
    places::PlacesReport,
    wire::{ReadError, Skipped, place_name, read_runs},
};
use super::{
    flat, json,
    table::{self, Column, number, text},
};
use crate::{
    clean::clean_line,
    event::Clock,
    merge::Run,
    natmap::{Endpoint, Host, InstanceId},
    stats::{ProbeStats, RttSummary, Siblings, State, Verdict},
};

/// The name and version of the JSON that this module writes.
const SCHEMA: &str = "vmssh.probe/1";

/// The statistics of all endpoints, ready to be written.
#[derive(Debug, Clone)]
pub struct ProbeReport {
    rows: Vec<ProbeRow>,
    /// What the rows were made of, in the same order.
    exact: Vec<ProbeStats>,
    run: Option<RunOut>,
    /// What all endpoints together say.
    pub verdict: Verdict,
}

impl ProbeReport {
    /// A report on endpoints and the statistics of each, in the same order.
    #[must_use]
    pub fn new(endpoints: &[Endpoint], stats: &[ProbeStats]) -> Self {
        let siblings = Siblings::of(stats);
        let rows = endpoints.iter().zip(stats).map(|(e, s)| ProbeRow::new(e, s, siblings)).collect();
        Self { rows, exact: stats.to_vec(), run: None, verdict: Verdict::of(endpoints, stats) }
    }

    /// The same report, which in JSON says what run it is of.
    #[must_use]
    pub fn with_run(self, run: &Run) -> Self {
        Self { run: Some(RunOut::new(run)), ..self }
    }

    /// Writes a table, and the verdict on its last line.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        // Names are shown where there are any; without them the column would be all blanks.
        let named = self.rows.iter().any(|row| row.name.is_some());
        let shown = || TABLE.iter().filter(|(column, _)| named || column.header != "NAME");
        let columns: Vec<Column> = shown().map(|(column, _)| *column).collect();
        let cells = |row: &ProbeRow| shown().map(|(_, cell)| clean_line(&cell(row))).collect();
        table::write(out, &columns, self.rows.iter().map(cells))?;
        writeln!(out, "{}", clean_line(&self.verdict.to_string()))
    }

    /// Writes one JSON object, as `vmssh.probe/1` has it. [`read_runs`] reads it back exactly.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        json::write_line(out, &self.document())
    }

    fn document(&self) -> Document<'_> {
        let endpoints = self.rows.iter().zip(&self.exact).map(|(row, exact)| Exact { row, exact });
        Document {
            schema: SCHEMA,
            run: self.run.as_ref(),
            endpoints: endpoints.collect(),
            verdict: self.verdict.to_string(),
        }
    }

    /// Writes a line of JSON per endpoint, each with the schema's name.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_jsonl(&self, out: &mut dyn Write) -> io::Result<()> {
        self.rows.iter().try_for_each(|row| json::write_line(out, &Line { schema: SCHEMA, row }))
    }

    /// Writes CSV with the fields of the JSON as columns.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        flat::write_csv(out, &self.rows)
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

#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    #[serde(flatten)]
    row: &'a ProbeRow,
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
    rtt_ms: RttRow,
    jitter_ms: Option<f64>,
    /// Answered probes whose SYN was sent again.
    retransmitted: u64,
    clock: Option<Clock>,
    /// Slow among its siblings; `null` where there is nothing to compare.
    slow: Option<bool>,
    error: Option<String>,
    #[serde(skip)]
    label: String,
    #[serde(skip)]
    endpoint: String,
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

/// To three places: microseconds of a time, which is all that clocks here give.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

impl ProbeRow {
    fn new(endpoint: &Endpoint, stats: &ProbeStats, siblings: Option<Siblings>) -> Self {
        Self {
            instance: endpoint.instance.clone(),
            name: endpoint.name.clone(),
            address: endpoint.host.clone(),
            port: endpoint.port.get(),
            state: State::of(stats).to_string(),
            sent: stats.sent(),
            answered: stats.answered,
            refused: stats.refused,
            timed_out: stats.timed_out,
            unreachable: stats.unreachable,
            not_sent: stats.not_sent,
            not_resolved: stats.not_resolved,
            loss_pct: stats.loss_pct().map(rounded),
            rtt_ms: stats.rtt().map(RttRow::from).unwrap_or_default(),
            jitter_ms: stats.jitter_ms().map(rounded),
            retransmitted: stats.retransmitted,
            clock: stats.clock,
            slow: siblings.filter(|_| stats.answered > 0).map(|all| all.is_slow(stats)),
            error: stats.error.as_deref().map(clean_line),
            label: endpoint.instance.as_ref().map_or_else(String::new, ToString::to_string),
            endpoint: endpoint.to_string(),
        }
    }

    /// What the numbers of the row do not say.
    fn note(&self) -> String {
        let mut notes = Vec::new();
        if self.slow == Some(true) {
            notes.push("slow".to_string());
        }
        if self.retransmitted > 0 {
            notes.push(format!("{} needed a second SYN", self.retransmitted));
        }
        // Where all went one way the state has said so.
        if self.answered > 0 {
            let others =
                [(self.refused, "refused"), (self.timed_out, "timed out"), (self.unreachable, "unreachable")];
            notes.extend(others.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
        }
        if self.not_sent > 0 {
            notes.push(format!("{} not sent", self.not_sent));
        }
        notes.extend(self.error.clone());
        notes.join(", ")
    }
}

/// What a column of the table shows of a row.
type Cell = fn(&ProbeRow) -> String;

/// The columns of the table.
const TABLE: &[(Column, Cell)] = &[
    (text("INSTANCE"), |row| row.label.clone()),
    (text("NAME"), |row| row.name.clone().unwrap_or_default()),
    (text("ENDPOINT"), |row| row.endpoint.clone()),
    (text("STATE"), |row| row.state.clone()),
    (
        number("ANSWERED"),
        |row| if row.sent > 0 { format!("{}/{}", row.answered, row.sent) } else { String::new() },
    ),
    (number("LOSS"), |row| row.loss_pct.map_or_else(String::new, |pct| format!("{}%", percent(pct)))),
    (number("P50"), |row| milliseconds(row.rtt_ms.p50)),
    (number("P90"), |row| milliseconds(row.rtt_ms.p90)),
    (number("MAX"), |row| milliseconds(row.rtt_ms.max)),
    (text("NOTE"), ProbeRow::note),
];

/// Two places: a hundredth of a millisecond is about what a network repeats.
fn milliseconds(ms: Option<f64>) -> String {
    ms.map_or_else(String::new, |ms| format!("{ms:.2} ms"))
}

/// Whole numbers, but never 0 for some loss nor 100 for not all.
fn percent(pct: f64) -> String {
    match pct {
        pct if pct > 0.0 && pct < 1.0 => "<1".into(),
        pct if pct > 99.0 && pct < 100.0 => ">99".into(),
        pct => format!("{pct:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::event::{Answer, ProbeOutcome, ProbeSample};

    fn report() -> ProbeReport {
        let answered = |us: u64, retransmitted| {
            let answer = Answer::kernel(Duration::from_micros(us));
            ProbeOutcome::Answered(Answer { retransmitted, ..answer })
        };
        let outcomes = [
            vec![answered(1234, 0), answered(2234, 1), ProbeOutcome::TimedOut { syns: Some(2) }],
            vec![ProbeOutcome::Refused { after: Duration::ZERO }; 3],
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
        ProbeReport::new(&endpoints, &stats)
    }

    fn written(write: impl FnOnce(&ProbeReport, &mut dyn Write) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&report(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_ends_with_the_verdict() {
        assert_eq!(
            written(ProbeReport::write_table),
            "\
INSTANCE  ENDPOINT        STATE         ANSWERED  LOSS      P50      P90      MAX  NOTE
0         20.1.2.3:50000  partly             2/3   33%  1.23 ms  2.23 ms  2.23 ms  1 needed a second SYN, 1 timed out
-         20.1.2.3:50001  refused            0/3    0%        -        -        -  -
2         20.1.2.3:50002  not-resolved         -     -        -        -        -  no such name ^[[2J
0 of 3 endpoints answered; answered in part: 0; refused: port 50001 (nothing listens, or a firewall rejects: sshd, backend port); name not resolved: 2
"
        );
    }

    #[test]
    fn the_json_has_the_fields_that_scripts_rely_on() {
        let json: Value = serde_json::from_str(&written(ProbeReport::write_json)).unwrap();
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
    fn lines_and_csv_have_the_same_fields() {
        let lines = written(ProbeReport::write_jsonl);
        let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!((lines.lines().count(), &first["schema"]), (3, &"vmssh.probe/1".into()));
        assert_eq!(
            written(ProbeReport::write_csv).lines().take(2).collect::<Vec<_>>(),
            [
                "instance,name,address,port,state,sent,answered,refused,timed_out,unreachable,not_sent,\
                 not_resolved,loss_pct,rtt_ms_min,rtt_ms_mean,rtt_ms_max,rtt_ms_stddev,rtt_ms_p50,\
                 rtt_ms_p90,rtt_ms_p99,jitter_ms,retransmitted,clock,slow,error",
                "0,,20.1.2.3,50000,partly,3,2,0,1,0,0,0,33.333,1.234,1.734,2.234,0.707,1.234,2.234,\
                 2.234,1.0,1,kernel,,",
            ]
        );
    }

    #[test]
    fn loss_is_never_rounded_away() {
        let shown = [0.0, 0.1, 33.333, 99.9, 100.0].map(percent);
        assert_eq!(shown, ["0", "<1", "33", ">99", "100"]);
    }
}
