use std::io::{self, Write};

use super::{ProbeReport, ProbeRow};
use crate::{
    clean::clean_line,
    report::table::{self, Column, number, text},
    stats::{Buckets, Histogram},
};

/// Which columns a table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// What fits a terminal.
    Usual,
    /// All.
    Wide,
}

/// With more endpoints only the distribution of all their times together is shown: nobody reads more.
const MOST_HISTOGRAMS: usize = 8;
/// The longest bar, in characters.
const BAR: u64 = 40;

impl ProbeReport {
    /// Writes a table, and the verdict on its last lines.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_table(&self, out: &mut dyn Write, columns: Columns) -> io::Result<()> {
        let asked = self.rows.iter().any(|row| row.service.asked() > 0);
        let named = self.rows.iter().any(|row| row.name.is_some());
        let shown = || {
            TABLE.iter().filter(|column| match column.when {
                When::Always => true,
                // Without names the column would be all blanks, and so would the others.
                When::Named => named,
                When::Asked => asked,
                When::Wide => columns == Columns::Wide,
            })
        };
        let headers: Vec<Column> = shown().map(|column| column.column).collect();
        let cells = |row: &ProbeRow| shown().map(|column| clean_line(&(column.cell)(row))).collect();
        table::write(out, &headers, self.rows.iter().map(cells))?;
        self.verdict.lines().iter().try_for_each(|line| writeln!(out, "{}", clean_line(line)))
    }

    /// Writes how the round-trip times are distributed: of all endpoints together and, where they are few,
    /// of each.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_histogram(&self, out: &mut dyn Write, buckets: &Buckets) -> io::Result<()> {
        if (2..=MOST_HISTOGRAMS).contains(&self.rows.len()) {
            for row in &self.rows {
                let name = if row.label.is_empty() { &row.endpoint } else { &row.label };
                write_one(out, &clean_line(name), row.exact.rtts.histogram(), buckets)?;
            }
        }
        let mut all = Histogram::default();
        self.rows.iter().for_each(|row| all.merge(row.exact.rtts.histogram()));
        write_one(out, "all", &all, buckets)
    }
}

fn write_one(out: &mut dyn Write, name: &str, times: &Histogram, buckets: &Buckets) -> io::Result<()> {
    writeln!(out, "\n{name}: {} times", times.count())?;
    let steps = buckets.divide(times);
    let most = steps.iter().map(|step| step.count).max().unwrap_or_default().max(1);
    let columns = [number("FROM"), number("TO"), number("COUNT"), text("")];
    let rows = steps.iter().map(|step| {
        let bar = usize::try_from((step.count * BAR).div_ceil(most)).unwrap_or_default();
        vec![micros(step.low_us), micros(step.high_us), step.count.to_string(), "#".repeat(bar) + " "]
    });
    table::write(out, &columns, rows)
}

fn micros(us: u64) -> String {
    format!("{}.{:03} ms", us / 1000, us % 1000)
}

/// A column of the table.
struct TableColumn {
    column: Column,
    when: When,
    cell: fn(&ProbeRow) -> String,
}

/// When it is shown.
enum When {
    Always,
    Named,
    Asked,
    Wide,
}

const fn always(column: Column, cell: fn(&ProbeRow) -> String) -> TableColumn {
    TableColumn { column, when: When::Always, cell }
}

const fn wide(column: Column, cell: fn(&ProbeRow) -> String) -> TableColumn {
    TableColumn { column, when: When::Wide, cell }
}

const TABLE: &[TableColumn] = &[
    always(text("INSTANCE"), |row| row.label.clone()),
    TableColumn { column: text("NAME"), when: When::Named, cell: |row| row.name.clone().unwrap_or_default() },
    always(text("ENDPOINT"), |row| row.endpoint.clone()),
    wide(text("DIALLED"), |row| row.dialled.clone().unwrap_or_default()),
    always(text("STATE"), |row| row.state.clone()),
    always(number("ANSWERED"), |row| {
        if row.sent > 0 { format!("{}/{}", row.answered, row.sent) } else { String::new() }
    }),
    always(number("LOSS"), |row| row.loss_pct.map_or_else(String::new, |pct| format!("{}%", percent(pct)))),
    wide(number("95% SURE"), |row| {
        let both = row.loss_95_pct.low.zip(row.loss_95_pct.high);
        both.map_or_else(String::new, |(low, high)| format!("{low:.0}-{high:.0}%"))
    }),
    wide(number("MIN"), |row| milliseconds(row.rtt_ms.min)),
    wide(number("MEAN"), |row| milliseconds(row.rtt_ms.mean)),
    always(number("P50"), |row| milliseconds(row.rtt_ms.p50)),
    always(number("P90"), |row| milliseconds(row.rtt_ms.p90)),
    wide(number("P99"), |row| milliseconds(row.rtt_ms.p99)),
    always(number("MAX"), |row| milliseconds(row.rtt_ms.max)),
    wide(number("STDDEV"), |row| milliseconds(row.rtt_ms.stddev)),
    wide(number("JITTER"), |row| milliseconds(row.jitter_ms)),
    wide(text("CLOCK"), |row| row.clock.map_or_else(String::new, |clock| clock.to_string())),
    wide(number("OWN DELAY"), |row| milliseconds(row.own_delay_ms)),
    wide(number("RESENT"), |row| row.retransmitted.to_string()),
    wide(number("OUTAGES"), |row| row.outages.count.to_string()),
    wide(number("LONGEST"), |row| {
        if row.outages.count > 0 { format!("{:.1} s", row.outages.longest_ms / 1e3) } else { String::new() }
    }),
    TableColumn { column: text("SERVICE"), when: When::Asked, cell: ProbeRow::service },
    TableColumn { column: number("AFTER"), when: When::Asked, cell: |row| milliseconds(row.service.p50_ms) },
    always(text("NOTE"), ProbeRow::note),
];

impl super::ServiceRow {
    fn asked(&self) -> u64 {
        self.answered + self.foreign + self.closed + self.silent
    }
}

impl ProbeRow {
    /// What the service said, else how it did not.
    fn service(&self) -> String {
        let service = &self.service;
        match service.asked() {
            0 => String::new(),
            asked if asked == service.silent => "silent".into(),
            asked if asked == service.closed => "closed".into(),
            _ => service.said.clone().unwrap_or_else(|| "silent or closed".into()),
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
        if self.answered == 0 && self.timed_out > 0 && self.unanswered_syns > 0 {
            notes.push(format!("{} SYNs unanswered", self.unanswered_syns));
        }
        // Where all went one way the state has said so.
        let counts = |of: &[(u64, &str)]| {
            of.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect::<Vec<_>>()
        };
        if self.answered > 0 {
            notes.extend(counts(&[
                (self.refused, "refused"),
                (self.timed_out, "timed out"),
                (self.unreachable, "unreachable"),
            ]));
        }
        if self.service.answered > 0 {
            notes.extend(counts(&[
                (self.service.foreign, "answered by another service"),
                (self.service.closed, "closed"),
                (self.service.silent, "silent"),
            ]));
        }
        if self.not_sent > 0 {
            notes.push(format!("{} not sent", self.not_sent));
        }
        notes.extend(self.error.clone());
        notes.join(", ")
    }
}

/// Two places: a hundredth of a millisecond is about what a network repeats.
pub(super) fn milliseconds(ms: Option<f64>) -> String {
    ms.map_or_else(String::new, |ms| format!("{ms:.2} ms"))
}

/// Whole numbers, but never 0 for some loss nor 100 for not all.
pub(super) fn percent(pct: f64) -> String {
    match pct {
        pct if pct > 0.0 && pct < 1.0 => "<1".into(),
        pct if pct > 99.0 && pct < 100.0 => ">99".into(),
        pct => format!("{pct:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_never_rounded_away() {
        let shown = [0.0, 0.1, 33.333, 99.9, 100.0].map(percent);
        assert_eq!(shown, ["0", "<1", "33", ">99", "100"]);
    }

    #[test]
    fn a_histogram_has_a_bar_for_each_step() {
        let mut times = Histogram::default();
        [1000, 1000, 1001, 3001].iter().for_each(|us| times.record(*us));
        let mut out = Vec::new();
        let steps = Buckets::Steps(std::num::NonZeroUsize::new(2).unwrap());
        write_one(&mut out, "3", &times, &steps).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!(
                "\n3: 4 times\n    FROM        TO  COUNT\n1.000 ms  2.000 ms      3  {}\n\
                 2.001 ms  3.001 ms      1  {}\n",
                "#".repeat(40),
                "#".repeat(14)
            )
        );
    }
}
