//! The table of all figures.

use maud::{Markup, html};

use crate::{
    clean::clean_line,
    natmap::Endpoint,
    stats::{ProbeStats, RttSummary, Siblings, State, loss_interval_pct},
};

/// One endpoint with what is shown of it.
struct Row<'a> {
    endpoint: &'a Endpoint,
    stats: &'a ProbeStats,
    rtt: Option<RttSummary>,
    slow: bool,
}

/// How a column is set.
#[derive(Clone, Copy, PartialEq)]
enum Align {
    Text,
    Number,
}

/// A column: its head, what that means, how it is set and what it shows of a row.
struct Column {
    head: &'static str,
    meaning: &'static str,
    align: Align,
    cell: fn(&Row<'_>) -> String,
}

impl Column {
    fn class(&self) -> Option<&'static str> {
        (self.align == Align::Number).then_some("n")
    }
}

impl Row<'_> {
    fn class(&self) -> Option<&'static str> {
        (!is_well(self.stats)).then_some("bad")
    }
}

/// Whether every probe was answered, and the service behind the port too where it was asked.
pub(super) fn is_well(stats: &ProbeStats) -> bool {
    State::of(stats) == State::Answered
}

const fn text(head: &'static str, meaning: &'static str, cell: fn(&Row<'_>) -> String) -> Column {
    Column { head, meaning, align: Align::Text, cell }
}

const fn number(head: &'static str, meaning: &'static str, cell: fn(&Row<'_>) -> String) -> Column {
    Column { head, meaning, align: Align::Number, cell }
}

const NAME: &str = "Name";
const SERVICE: &str = "Service";
const SAID: &str = "Service said";

const COLUMNS: &[Column] = &[
    text(NAME, "The instance's name in Azure", |row| row.endpoint.name.clone().unwrap_or_default()),
    text("Endpoint", "What was dialled", |row| row.endpoint.to_string()),
    text("State", "What all of its probes say", |row| State::of(row.stats).to_string()),
    number("Sent", "Probes that were made", |row| row.stats.sent().to_string()),
    number("Answered", "Probes whose SYN was answered", |row| row.stats.answered.to_string()),
    number("Loss %", "Timed out or unreachable, of those sent; in brackets where it lies with 95 %", |row| {
        loss(row.stats.lost(), row.stats.sent())
    }),
    number("p50 ms", "The median: half are not longer", |row| ms(row.rtt.map(|rtt| rtt.p50_ms))),
    number("p90 ms", "Nine of ten are not longer", |row| ms(row.rtt.map(|rtt| rtt.p90_ms))),
    number("p99 ms", "99 of 100 are not longer", |row| ms(row.rtt.map(|rtt| rtt.p99_ms))),
    number("Max ms", "The longest round trip", |row| ms(row.rtt.map(|rtt| rtt.max_ms))),
    number("Min ms", "The shortest round trip", |row| ms(row.rtt.map(|rtt| rtt.min_ms))),
    number("Mean ms", "The mean round trip", |row| ms(row.rtt.map(|rtt| rtt.mean_ms))),
    number("Stddev ms", "Standard deviation of the round trips", |row| {
        ms(row.rtt.and_then(|rtt| rtt.stddev_ms))
    }),
    number("Jitter ms", "Mean difference from one round trip to the next", |row| ms(row.stats.jitter_ms())),
    number("Timed out", "Nothing came back in time", |row| row.stats.timed_out.to_string()),
    number("Refused", "A reset came back", |row| row.stats.refused.to_string()),
    number("Unreachable", "Turned away on the way or by this machine's routing", |row| {
        row.stats.unreachable.to_string()
    }),
    number("Not sent", "This machine could not send, or the name had no address", |row| {
        (row.stats.not_sent + row.stats.not_resolved).to_string()
    }),
    number("2nd SYN", "Answered only after a SYN was sent again", |row| row.stats.retransmitted.to_string()),
    number("Outages", "Spells without an answer", |row| row.stats.outages.count.to_string()),
    number("Longest s", "The longest of them", |row| match row.stats.outages {
        outages if outages.count == 0 => String::new(),
        outages => format!("{:.1}", outages.longest.as_secs_f64()),
    }),
    text(SERVICE, "Times that the service said what it should, of the times that it was asked", |row| {
        match row.stats.service.asked() {
            0 => String::new(),
            asked => format!("{}/{asked}", row.stats.service.answered),
        }
    }),
    text(SAID, "What it last said", |row| row.stats.service.said.clone().unwrap_or_default()),
    text("Clock", "Whose clock the round trips are by", |row| {
        row.stats.clock.map_or_else(String::new, |clock| clock.to_string())
    }),
    text("Note", "What else is known", |row| {
        let slow = row.slow.then(|| "slow among its siblings".to_owned());
        let lasts = row.stats.outages.down_since;
        let lasts =
            lasts.map(|since| format!("no answer since {}", super::scale::moment(since.as_secs_f64())));
        // Where nothing was ever answered the state has said so.
        let lasts = lasts.filter(|_| row.stats.answered > 0);
        let said = [slow, lasts, row.stats.error.clone()].into_iter().flatten();
        said.collect::<Vec<_>>().join(", ")
    }),
];

/// `33.3 (6.1–79.2)`; empty where nothing was sent.
pub(super) fn loss(lost: u64, sent: u64) -> String {
    let Some((low, high)) = loss_interval_pct(lost, sent) else { return String::new() };
    format!("{} ({low:.1}–{high:.1})", percent(lost, sent))
}

/// To a tenth, but never 0.0 for some nor 100.0 for not all.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let percent = 100.0 * super::scale::whole(part) / super::scale::whole(whole.max(1));
    match percent {
        p if part > 0 && p < 0.1 => "<0.1".into(),
        p if part < whole && p > 99.9 => ">99.9".into(),
        p => format!("{p:.1}"),
    }
}

/// To the microsecond: on a path within one datacenter that tells instances apart.
fn ms(ms: Option<f64>) -> String {
    ms.map_or_else(String::new, |ms| format!("{ms:.3}"))
}

/// The table. Columns that nothing is in for any endpoint are left out.
pub(super) fn table(endpoints: &[Endpoint], stats: &[ProbeStats]) -> Markup {
    let siblings = Siblings::of(stats);
    let both = endpoints.iter().zip(stats);
    let rows: Vec<_> = both
        .map(|(endpoint, stats)| Row {
            endpoint,
            stats,
            rtt: stats.rtt(),
            slow: siblings.is_some_and(|siblings| siblings.is_slow(stats)),
        })
        .collect();
    let optional = [NAME, SERVICE, SAID];
    let shown = |column: &&Column| {
        !optional.contains(&column.head) || rows.iter().any(|row| !(column.cell)(row).is_empty())
    };
    let columns: Vec<_> = COLUMNS.iter().filter(shown).collect();
    html! {
        div.scroll tabindex="0" role="region" aria-label="Table of all instances" {
            table.sortable {
                thead {
                    tr {
                        th scope="col" title="The instance's id, or its port" { "Instance" }
                        @for column in &columns {
                            th class=[column.class()] scope="col" title=(column.meaning) { (column.head) }
                        }
                    }
                }
                tbody {
                    @for row in &rows {
                        tr class=[row.class()] {
                            th scope="row" { (clean_line(&row.endpoint.label())) }
                            @for column in &columns {
                                td class=[column.class()] { (clean_line(&(column.cell)(row))) }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_never_rounded_away() {
        let shown = [(0, 10), (1, 10_000), (1, 3), (9_999, 10_000), (5, 5), (0, 0)];
        assert_eq!(
            shown.map(|(part, whole)| percent(part, whole)),
            ["0.0", "<0.1", "33.3", ">99.9", "100.0", "0.0"]
        );
        assert_eq!((loss(5, 10).as_str(), loss(0, 0).as_str()), ("50.0 (23.7–76.3)", ""));
    }
}
