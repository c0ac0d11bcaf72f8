//! What became of each instance over time: a row each, a colour and a pattern for each kind of end.
//!
//! It is an SVG without a script. Neighbouring cells that look the same are one shape, so that a thousand
//! steady instances are a thousand shapes; and what a shape stands for is its tooltip.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use maud::{Markup, PreEscaped, html};

use super::{
    rows::is_well,
    scale::{Classes, clock_marks, moment, time},
};
use crate::{
    clean::clean_line,
    natmap::Endpoint,
    stats::{Cell, ProbeStats, State, Timeline},
};

/// The drawing's width in its own units; the page stretches it.
const WIDTH: f64 = 960.0;
/// Shapes with a tooltip each are about 200 bytes. With more of them than this a row's shapes that look the
/// same become one, with a tooltip for all.
const MOST_SHAPES: usize = 10_000;
/// Characters of an instance's id in front of its row; the tooltip has the rest.
const LABEL: usize = 14;
/// Spells that the tooltip of a shape of many names.
const MOST_SPELLS: usize = 5;

/// How a cell looks: what went worst in it, or how long the longest answer took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Look {
    Class(usize),
    SecondSyn,
    ServiceDown,
    NotSent,
    NotResolved,
    Refused,
    Unreachable,
    TimedOutPartly,
    TimedOut,
}

/// All but the classes of times, with what they mean.
const MARKS: [(Look, &str); 8] = [
    (Look::SecondSyn, "answered, but a SYN had to be sent again"),
    (Look::ServiceDown, "the port answered, its service did not"),
    (Look::TimedOutPartly, "some timed out"),
    (Look::TimedOut, "timed out"),
    (Look::Refused, "refused"),
    (Look::Unreachable, "unreachable"),
    (Look::NotResolved, "name not resolved"),
    (Look::NotSent, "not sent by this machine"),
];

impl Look {
    /// `None` for a cell without probes.
    fn of(cell: &Cell, classes: &Classes) -> Option<Self> {
        let look = match cell {
            c if c.timed_out > 0 && u64::from(c.timed_out) < c.probes() => Self::TimedOutPartly,
            c if c.timed_out > 0 => Self::TimedOut,
            c if c.unreachable > 0 => Self::Unreachable,
            c if c.refused > 0 => Self::Refused,
            c if c.not_resolved > 0 => Self::NotResolved,
            c if c.not_sent > 0 => Self::NotSent,
            c if c.service_down > 0 => Self::ServiceDown,
            c if c.retransmitted > 0 => Self::SecondSyn,
            c if c.answered > 0 => Self::Class(classes.class(c.longest_us)),
            _ => return None,
        };
        Some(look)
    }

    /// The CSS class, which is the pattern's name too.
    fn name(self) -> String {
        let name = match self {
            Self::Class(class) => return format!("t{class}"),
            Self::SecondSyn => "again",
            Self::ServiceDown => "service",
            Self::NotSent => "unsent",
            Self::NotResolved => "unresolved",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::TimedOutPartly => "partly",
            Self::TimedOut => "lost",
        };
        name.into()
    }
}

/// Cells of a row that follow each other and look the same.
#[derive(Debug, Clone, PartialEq)]
struct Run {
    look: Look,
    /// The first column, and the one behind the last.
    from: usize,
    to: usize,
    /// All probes in it.
    sum: Cell,
}

/// A row's runs. Until the next probe of an instance, what the last one found is shown: a probe that
/// waits for its time limit has no other after it meanwhile. If the last of all timed out, it waited for so
/// many columns more.
fn runs(row: &[Cell], classes: &Classes, columns: usize, behind: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (column, cell) in row.iter().enumerate() {
        let look = Look::of(cell, classes);
        match (runs.last_mut(), look) {
            (Some(last), None) => last.to = column + 1,
            (Some(last), Some(look)) if last.look == look => {
                last.to = column + 1;
                last.sum.merge(cell);
            }
            (_, Some(look)) => runs.push(Run { look, from: column, to: column + 1, sum: *cell }),
            (None, None) => {}
        }
    }
    if let Some(last) = runs.last_mut() {
        let behind = match last.look {
            Look::TimedOut | Look::TimedOutPartly => behind,
            // A name without an address is asked for once.
            Look::NotResolved => columns,
            _ => 0,
        };
        last.to = (last.to + behind).min(columns).max(last.to);
    }
    runs
}

/// The drawing, its axes and its legend.
pub(super) fn heat_map(
    endpoints: &[Endpoint],
    stats: &[ProbeStats],
    timeline: &Timeline,
    time_limit: Duration,
) -> Markup {
    let columns = timeline.columns();
    if columns == 0 {
        return html! { p { "No probe came to an end." } };
    }
    let times = timeline.rows().flatten().filter(|cell| cell.timed > 0).map(|cell| cell.longest_us);
    let classes = Classes::of(times);
    let width = timeline.width();
    // The last probe's own column is there already.
    let behind = time_limit.as_nanos().div_ceil(width.as_nanos().max(1)).saturating_sub(1);
    let behind = usize::try_from(behind).unwrap_or(columns);
    let rows: Vec<_> = timeline.rows().map(|row| runs(row, &classes, columns, behind)).collect();
    let together = rows.iter().map(Vec::len).sum::<usize>() > MOST_SHAPES;
    let drawing = Drawing { columns, width, height: row_height(rows.len()) };

    let mut shapes = String::new();
    for (place, (row, endpoint)) in rows.iter().zip(endpoints).enumerate() {
        let named = name(endpoint);
        for group in grouped(row, together) {
            drawing.shape(&mut shapes, place, &group, &named);
        }
    }
    let height = rows.len() * drawing.height;
    let seconds = drawing.seconds(columns);
    let seen = |look: Look| rows.iter().flatten().any(|run| run.look == look);
    html! {
        figure {
            div.plot {
                (labels(endpoints, stats, drawing.height, height))
                svg.heat.fine[drawing.height < LEAST_PATTERN] role="img" aria-labelledby="over-time-what"
                    viewBox={ "0 0 " (WIDTH) " " (height) } height=(height) preserveAspectRatio="none" {
                    (patterns())
                    (PreEscaped(shapes))
                }
                div {}
                svg.axis height="20" aria-hidden="true" {
                    @for (at, name) in clock_marks(seconds) { (mark(at / seconds, &name)) }
                }
            }
            figcaption #over-time-what {
                "A row per instance, in the order of the table, from the start of the run; each column is "
                (moment(width.as_secs_f64())) ". The colour is the longest round-trip time in it, or what went "
                "wrong. A triangle in front of a row: not all went well there."
            }
            ul.legend {
                @for (class, name) in classes.names().iter().enumerate() {
                    @if seen(Look::Class(class)) { (legend(Look::Class(class), name)) }
                }
                @for (look, what) in MARKS { @if seen(look) { (legend(look, what)) } }
            }
        }
    }
}

/// Below this a pattern is only noise.
const LEAST_PATTERN: usize = 6;
/// A label's text is this high, with its space.
const LABEL_HEIGHT: usize = 15;

/// High enough for labels where there are few, two pixels where there are a thousand: three screens.
fn row_height(rows: usize) -> usize {
    match rows {
        0..=60 => 16,
        61..=150 => 8,
        151..=300 => 5,
        301..=600 => 3,
        _ => 2,
    }
}

/// A row's runs as shapes: each its own, or those that look the same together.
fn grouped(row: &[Run], together: bool) -> Vec<Vec<&Run>> {
    if !together {
        return row.iter().map(|run| vec![run]).collect();
    }
    let mut groups: BTreeMap<Look, Vec<&Run>> = BTreeMap::new();
    for run in row {
        groups.entry(run.look).or_default().push(run);
    }
    groups.into_values().collect()
}

/// What all shapes share.
struct Drawing {
    columns: usize,
    /// The time that a column stands for.
    width: Duration,
    /// A row's, in pixels.
    height: usize,
}

impl Drawing {
    fn seconds(&self, column: usize) -> f64 {
        self.width.as_secs_f64() * count(column)
    }

    /// Appends one shape with its tooltip.
    fn shape(&self, out: &mut String, row: usize, runs: &[&Run], named: &str) {
        let Some(first) = runs.first() else { return };
        let unit = WIDTH / count(self.columns);
        // A line of the background between rows, where there is room for it.
        let (top, height) = (row * self.height, self.height - usize::from(self.height >= LEAST_PATTERN));
        let mut path = String::new();
        for run in runs {
            let (x, width) = (count(run.from) * unit, count(run.to - run.from) * unit);
            let _ = write!(
                path,
                "M{x:.0} {top}h{width:.0}v{height}h-{width:.0}z",
                width = (x + width).round() - x.round()
            );
        }
        let title = self.title(runs, named);
        out.push_str(&html! { path.(first.look.name()) d=(path) { title { (title) } } }.into_string());
    }

    /// `3 (web_3), 2 s to 2.5 s: 2 of 3 answered, longest 12.3 ms; 1 timed out`
    fn title(&self, runs: &[&Run], named: &str) -> String {
        let spell = |run: &&Run| {
            let end = moment(self.seconds(run.to));
            match run.from {
                0 => format!("start to {end}"),
                from => format!("{} to {end}", moment(self.seconds(from))),
            }
        };
        let mut spells: Vec<_> = runs.iter().take(MOST_SPELLS).map(spell).collect();
        if let Some(more) = runs.len().checked_sub(MOST_SPELLS).filter(|more| *more > 0) {
            spells.push(format!("{more} more"));
        }
        let mut sum = Cell::default();
        runs.iter().for_each(|run| sum.merge(&run.sum));
        format!("{named}, {}: {}", spells.join(", "), figures(&sum))
    }
}

/// What the probes of a shape came to.
fn figures(sum: &Cell) -> String {
    let mut said = vec![format!("{} of {} answered", sum.answered, sum.probes())];
    if let Some(mean) = sum.mean_ms() {
        said.push(match sum.timed {
            1 => format!("round trip {}", time(f64::from(sum.longest_us))),
            _ => format!("longest round trip {}, mean {}", time(f64::from(sum.longest_us)), time(mean * 1e3)),
        });
    }
    let others = [
        (sum.retransmitted, "needed a second SYN"),
        (sum.service_down, "without the service"),
        (sum.timed_out, "timed out"),
        (sum.refused, "refused"),
        (sum.unreachable, "unreachable"),
        (sum.not_resolved, "not resolved"),
        (sum.not_sent, "not sent"),
    ];
    said.extend(others.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
    said.join(", ")
}

/// An instance as tooltips call it.
fn name(endpoint: &Endpoint) -> String {
    match &endpoint.name {
        Some(name) => clean_line(&format!("{} ({name})", endpoint.label())),
        None => clean_line(&endpoint.label()),
    }
}

/// The ids in front of the rows, as many as there is room for, and a triangle where not all went well.
fn labels(endpoints: &[Endpoint], stats: &[ProbeStats], row: usize, height: usize) -> Markup {
    let every = [1, 2, 5, 10, 20, 50].into_iter().find(|n| n * row >= LABEL_HEIGHT).unwrap_or(100);
    html! {
        svg.labels height=(height) aria-hidden="true" {
            @for (place, (endpoint, stats)) in endpoints.iter().zip(stats).enumerate() {
                @let middle = count(place * row) + count(row) / 2.0;
                @if place % every == 0 {
                    text x="100%" dx="-14" y=(middle.max(5.0)) { (short(endpoint)) title { (name(endpoint)) } }
                }
                @if !is_well(stats) {
                    svg x="100%" y=(middle) overflow="visible" {
                        path.mark d="M-10 -4L-3 0L-10 4z" { title { (name(endpoint)) ": " (State::of(stats)) } }
                    }
                }
            }
        }
    }
}

/// An instance's id without what there is no room for.
fn short(endpoint: &Endpoint) -> String {
    let label = clean_line(
        &endpoint.instance.as_ref().map_or_else(|| endpoint.port.to_string(), ToString::to_string),
    );
    match label.char_indices().nth(LABEL) {
        // The end tells instances apart: `web_000012`.
        Some(_) => {
            let skip = label.chars().count() - (LABEL - 1);
            format!("…{}", label.chars().skip(skip).collect::<String>())
        }
        None => label,
    }
}

/// A mark on an axis along the drawing, between 0 and 1.
pub(super) fn mark(place: f64, name: &str) -> Markup {
    let percent = format!("{:.2}%", place * 100.0);
    // At the ends there is no room for half of it.
    let anchor = match place {
        p if p < 0.04 => "start",
        p if p > 0.96 => "end",
        _ => "middle",
    };
    html! {
        line x1=(percent) x2=(percent) y1="0" y2="4" {}
        text x=(percent) y="15" text-anchor=(anchor) { (name) }
    }
}

fn legend(look: Look, what: &str) -> Markup {
    html! {
        li { svg width="28" height="14" aria-hidden="true" { rect.(look.name()) width="28" height="14" {} } (what) }
    }
}

/// What is no answer has a pattern of its own, so that no one needs to tell colours.
fn patterns() -> Markup {
    let lines = [
        ("lost", "M-2 8L8 -2M2 12L12 2"),
        ("partly", "M-2 8L8 -2M2 12L12 2"),
        ("refused", "M2.5 0V10M7.5 0V10"),
        ("unreachable", "M0 0L10 10M10 0L0 10"),
        ("unresolved", "M0 2.5H10M0 7.5H10"),
        ("unsent", "M2 2h1M7 7h1M7 2h1M2 7h1"),
        ("service", "M0 5L5 0L10 5L5 10z"),
        ("again", "M5 2V8M2 5H8"),
    ];
    html! {
        defs {
            @for (name, line) in lines {
                pattern id={ "p-" (name) } width="10" height="10" patternUnits="userSpaceOnUse" {
                    rect.{ "b-" (name) } width="10" height="10" {}
                    path.{ "i-" (name) } d=(line) {}
                }
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "rows and columns are few")]
fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> Vec<Cell> {
        let cell = |c: char| match c {
            '.' => Cell { answered: 1, timed: 1, longest_us: 100, sum_us: 100, ..Cell::default() },
            'x' => Cell { timed_out: 1, ..Cell::default() },
            '/' => Cell { timed_out: 1, answered: 1, ..Cell::default() },
            'r' => Cell { refused: 1, ..Cell::default() },
            'n' => Cell { not_resolved: 1, ..Cell::default() },
            _ => Cell::default(),
        };
        text.chars().map(cell).collect()
    }

    fn spans(text: &str, columns: usize, behind: usize) -> Vec<(String, usize, usize, u64)> {
        let runs = runs(&row(text), &Classes::of([]), columns, behind);
        runs.into_iter().map(|run| (run.look.name(), run.from, run.to, run.sum.probes())).collect()
    }

    #[test]
    fn cells_that_look_the_same_are_one_and_gaps_belong_to_the_probe_before() {
        let run = |name: &str, from, to, probes| (name.to_owned(), from, to, probes);
        assert_eq!(
            spans(" ..x  x r/", 12, 1),
            [run("t0", 1, 3, 2), run("lost", 3, 8, 2), run("refused", 8, 9, 1), run("partly", 9, 11, 2)]
        );
        assert_eq!(spans("n", 12, 1), [run("unresolved", 0, 12, 1)]);
        assert_eq!(spans("x", 2, 9), [run("lost", 0, 2, 1)]);
        assert_eq!(spans(". .", 9, 4), [run("t0", 0, 3, 2)]);
        assert_eq!(spans("   ", 3, 9), []);
    }

    #[test]
    fn a_row_of_many_shapes_is_drawn_as_few() {
        let runs = runs(&row(".x.x.x"), &Classes::of([]), 6, 0);
        assert_eq!(grouped(&runs, false).len(), 6);
        let groups = grouped(&runs, true);
        assert_eq!(groups.len(), 2);
        let drawing = Drawing { columns: 6, width: Duration::from_secs(1), height: 2 };
        assert_eq!(
            drawing.title(&groups[1], "web_3"),
            "web_3, 1 s to 2 s, 3 s to 4 s, 5 s to 6 s: 0 of 3 answered, 3 timed out"
        );
        let mut out = String::new();
        drawing.shape(&mut out, 2, &groups[1], "<script>");
        assert!(out.starts_with(r#"<path class="lost" d="M160 4h160v2h-160zM480 "#), "{out}");
        assert!(out.contains("<title>&lt;script&gt;, 1 s"), "{out}");
    }
}
