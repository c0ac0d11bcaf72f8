use std::io::{self, Write};

use super::{ProbeReport, Row};
use crate::{
    clean::clean_line,
    report::{
        percent::percent,
        table::{self, Column, number, text},
    },
    stats::{Buckets, Histogram, RttSummary, ServiceStats, loss_interval_pct},
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

impl ProbeReport<'_> {
    /// Writes a table, and the verdict on its last lines.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_table(&self, out: &mut dyn Write, columns: Columns) -> io::Result<()> {
        let asked = self.rows.iter().any(|row| row.stats.service.asked() > 0);
        let named = self.rows.iter().any(|row| row.endpoint.name.is_some());
        let is_shown = |column: &&TableColumn| match column.when {
            When::Always => true,
            // Without names the column would be all blanks, and so would the others.
            When::Named => named,
            When::Asked => asked,
            When::Wide => columns == Columns::Wide,
        };
        let shown: Vec<_> = TABLE.iter().filter(is_shown).collect();
        let headers: Vec<Column> = shown.iter().map(|column| column.column).collect();
        let cells = |row| shown.iter().map(move |column: &&TableColumn| (column.cell)(row));
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
                let name = row.endpoint.instance.as_ref().map(|instance| clean_line(instance.as_str()));
                let name = name.unwrap_or_else(|| endpoint(row));
                write_one(out, &name, row.stats.rtts.histogram(), buckets)?;
            }
        }
        let mut all = Histogram::default();
        self.rows.iter().for_each(|row| all.merge(row.stats.rtts.histogram()));
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
    /// What it shows of a row: clean, where it comes from elsewhere.
    cell: fn(&Row<'_>) -> String,
}

/// When it is shown.
enum When {
    Always,
    Named,
    Asked,
    Wide,
}

const fn always(column: Column, cell: fn(&Row<'_>) -> String) -> TableColumn {
    TableColumn { column, when: When::Always, cell }
}

const fn wide(column: Column, cell: fn(&Row<'_>) -> String) -> TableColumn {
    TableColumn { column, when: When::Wide, cell }
}

/// A column of a percentile.
const fn percentile<const PERCENT: u64>(header: &'static str, when: When) -> TableColumn {
    let cell = |row: &Row<'_>| milliseconds(row.stats.rtts.percentile_ms(PERCENT));
    TableColumn { column: number(header), when, cell }
}

const TABLE: &[TableColumn] = &[
    always(text("INSTANCE"), |row| {
        row.endpoint.instance.as_ref().map_or_else(String::new, |instance| clean_line(instance.as_str()))
    }),
    TableColumn {
        column: text("NAME"),
        when: When::Named,
        cell: |row| row.endpoint.name.as_deref().map_or_else(String::new, clean_line),
    },
    always(text("ENDPOINT"), endpoint),
    wide(text("DIALLED"), |row| row.stats.address.map_or_else(String::new, |address| address.to_string())),
    always(text("STATE"), |row| row.state.to_string()),
    always(number("ANSWERED"), |row| match row.stats.sent() {
        0 => String::new(),
        sent => format!("{}/{sent}", row.stats.answered),
    }),
    always(number("LOSS"), |row| row.stats.loss_pct().map_or_else(String::new, percent)),
    wide(number("95% SURE"), |row| {
        loss_interval_pct(row.stats.lost(), row.stats.sent())
            .map_or_else(String::new, |(low, high)| format!("{low:.0}-{high:.0}%"))
    }),
    wide(number("MIN"), |row| summed(row, |rtt| Some(rtt.min_ms))),
    wide(number("MEAN"), |row| summed(row, |rtt| Some(rtt.mean_ms))),
    percentile::<50>("P50", When::Always),
    percentile::<90>("P90", When::Always),
    percentile::<99>("P99", When::Wide),
    always(number("MAX"), |row| summed(row, |rtt| Some(rtt.max_ms))),
    wide(number("STDDEV"), |row| summed(row, |rtt| rtt.stddev_ms)),
    wide(number("JITTER"), |row| milliseconds(row.stats.jitter_ms())),
    wide(text("CLOCK"), |row| row.stats.clock.map_or_else(String::new, |clock| clock.to_string())),
    wide(number("REFUSED IN"), |row| milliseconds(row.stats.refusals.percentile_ms(50))),
    wide(number("OWN DELAY"), |row| milliseconds(row.stats.own_delay_ms())),
    wide(number("RESENT"), |row| row.stats.retransmitted.to_string()),
    wide(number("OUTAGES"), |row| row.stats.outages.count.to_string()),
    wide(number("LONGEST"), |row| match row.stats.outages.count {
        0 => String::new(),
        _ => format!("{:.1} s", row.stats.outages.longest.as_secs_f64()),
    }),
    TableColumn { column: text("SERVICE"), when: When::Asked, cell: |row| service(&row.stats.service) },
    TableColumn {
        column: number("AFTER"),
        when: When::Asked,
        cell: |row| milliseconds(row.stats.service.times.percentile_ms(50)),
    },
    always(text("NOTE"), note),
];

/// A figure of the round-trip times.
fn summed(row: &Row<'_>, figure: impl FnOnce(RttSummary) -> Option<f64>) -> String {
    milliseconds(row.stats.rtt().and_then(figure))
}

fn endpoint(row: &Row<'_>) -> String {
    clean_line(&row.endpoint.to_string())
}

/// What the service said, else how it did not.
fn service(service: &ServiceStats) -> String {
    match service.asked() {
        0 => String::new(),
        asked if asked == service.silent => "silent".into(),
        asked if asked == service.closed => "closed".into(),
        _ => service.said.as_deref().map_or_else(|| "silent or closed".into(), |said| cut(&clean_line(said))),
    }
}

/// Identification lines are seldom longer; what is would widen the table for all.
const SAID: usize = 60;

fn cut(said: &str) -> String {
    match said.char_indices().nth(SAID) {
        Some((end, _)) => said.get(..end).unwrap_or(said).to_owned() + "…",
        None => said.to_owned(),
    }
}

/// What the numbers of the row do not say.
fn note(row: &Row<'_>) -> String {
    let (stats, mut notes) = (row.stats, Vec::new());
    if row.slow == Some(true) {
        notes.push("slow".to_string());
    }
    if stats.retransmitted > 0 {
        notes.push(format!("{} needed a second SYN", stats.retransmitted));
    }
    if stats.answered == 0 && stats.timed_out > 0 && stats.unanswered_syns > 0 {
        notes.push(format!("{} SYNs unanswered", stats.unanswered_syns));
    }
    let counts = |of: &[(u64, &str)]| {
        of.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect::<Vec<_>>()
    };
    // Where all went one way the state has said so.
    if stats.answered > 0 {
        notes.extend(counts(&[
            (stats.refused, "refused"),
            (stats.timed_out, "timed out"),
            (stats.unreachable, "unreachable"),
        ]));
    }
    if stats.service.answered > 0 {
        notes.extend(counts(&[
            (stats.service.foreign, "answered by another service"),
            (stats.service.closed, "closed"),
            (stats.service.silent, "silent"),
        ]));
    }
    notes.extend(counts(&[(stats.not_sent, "not sent")]));
    notes.extend(stats.error.as_deref().map(clean_line));
    notes.join(", ")
}

/// Two places: a hundredth of a millisecond is about what a network repeats.
pub(super) fn milliseconds(ms: Option<f64>) -> String {
    ms.map_or_else(String::new, |ms| format!("{ms:.2} ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
