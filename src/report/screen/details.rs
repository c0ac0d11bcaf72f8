//! All about one endpoint.

use std::time::Duration;

use super::{
    spread::{Step, spread},
    state::{Figures, Names},
    words::{count, lapse, ms, percent, tidy, us},
};
use crate::stats::{Coarse, Histogram, ProbeStats, loss_interval_pct};

/// More rows tell no more.
const MOST_STEPS: usize = 16;

/// The longest bar; on a wide screen the eye loses the row.
const LONGEST_BAR: usize = 50;

/// A last row of blocks, in eighths.
const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// The page's lines, for a screen of so many lines: the histogram takes what the figures leave.
pub(super) fn lines(place: usize, names: &Names, figures: &Figures, height: usize) -> Vec<String> {
    let Some(stats) = figures.stats.get(place) else { return Vec::new() };
    let mut lines = vec![title(names), String::new()];
    lines.extend(
        figure_lines(place, stats, figures).into_iter().map(|(label, text)| format!("{label:<12}{text}")),
    );
    let histogram = stats.rtts.histogram();
    if histogram.count() > 0 {
        lines.push(format!("{:<12}each row from its time to the next row's", "histogram"));
        let room = height.saturating_sub(lines.len()).min(MOST_STEPS);
        lines.extend(bars(&spread(histogram, room), histogram));
    }
    lines
}

fn title(names: &Names) -> String {
    let instance = names.instance.as_ref().map(|instance| format!("instance {instance}"));
    let parts = [instance, names.name.clone(), Some(names.endpoint.clone())];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

fn figure_lines(place: usize, stats: &ProbeStats, figures: &Figures) -> Vec<(&'static str, String)> {
    let mut lines =
        vec![("state", figures.state_words(place)), ("probes", probes(stats)), ("loss", loss(stats))];
    if let Some(address) = stats.address {
        lines.push(("address", address.to_string()));
    }
    lines.extend(times(stats));
    if let Some(clock) = stats.clock {
        lines.push(("clock", format!("{clock}{}", own_delay(&stats.own_delay))));
    }
    lines.push(("outages", outages(stats, figures.now)));
    if stats.service.asked() > 0 {
        lines.push(("service", service(stats)));
    }
    if let Some(said) = &stats.service.said {
        lines.push(("it says", tidy(said)));
    }
    if let Some(error) = &stats.error {
        lines.push(("last error", tidy(error)));
    }
    lines
}

/// Those counts that are not 0.
fn listed(counts: &[(u64, &str)]) -> String {
    let there = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", count(*n)));
    there.collect::<Vec<_>>().join(", ")
}

fn probes(stats: &ProbeStats) -> String {
    let counts = [
        (stats.answered, "answered"),
        (stats.refused, "refused"),
        (stats.timed_out, "timed out"),
        (stats.unreachable, "unreachable"),
        (stats.retransmitted, "only after a second SYN"),
        (stats.unanswered_syns, "SYNs unanswered"),
        (stats.not_sent, "not sent"),
        (stats.not_resolved, "not resolved"),
    ];
    let listed = listed(&counts);
    let sent = count(stats.sent());
    if listed.is_empty() { format!("{sent} sent") } else { format!("{sent} sent: {listed}") }
}

fn loss(stats: &ProbeStats) -> String {
    match (stats.loss_pct(), loss_interval_pct(stats.lost(), stats.sent())) {
        (Some(pct), Some((low, high))) => {
            format!("{} ({low:.1} to {high:.1} % with 95 % confidence)", percent(pct))
        }
        _ => "-".into(),
    }
}

fn times(stats: &ProbeStats) -> Vec<(&'static str, String)> {
    let Some(rtt) = stats.rtt() else { return vec![("times", "-".into())] };
    let percentiles = format!(
        "min {}  p50 {}  p90 {}  p99 {}  max {} ms",
        ms(rtt.min_ms),
        ms(rtt.p50_ms),
        ms(rtt.p90_ms),
        ms(rtt.p99_ms),
        ms(rtt.max_ms)
    );
    let or_none = |time: Option<f64>| time.map_or_else(|| "-".into(), ms);
    let spread = format!(
        "mean {}  deviation {}  jitter {} ms",
        ms(rtt.mean_ms),
        or_none(rtt.stddev_ms),
        or_none(stats.jitter_ms())
    );
    let mut lines = vec![("times", percentiles), ("", spread)];
    if let Some(refusals) = stats.refusals.summary() {
        lines.push(("refusals", format!("p50 {}  max {} ms", ms(refusals.p50_ms), ms(refusals.max_ms))));
    }
    lines
}

fn own_delay(delay: &Coarse) -> String {
    match (delay.percentile_us(50), delay.percentile_us(99)) {
        (Some(p50), Some(p99)) => {
            format!("; this machine noticed answers later: p50 {}  p99 {} ms", us(p50), us(p99))
        }
        _ => String::new(),
    }
}

fn outages(stats: &ProbeStats, now: Duration) -> String {
    let outages = &stats.outages;
    let mut text = match outages.count {
        0 => return "none".into(),
        n => format!("{}, the longest {}", count(n), lapse(outages.longest)),
    };
    if let Some(since) = outages.down_since {
        text.push_str(&format!("; down since {} ago", lapse(now.saturating_sub(since))));
    }
    text
}

fn service(stats: &ProbeStats) -> String {
    let service = &stats.service;
    let counts = [
        (service.answered, "answered"),
        (service.foreign, "of another service"),
        (service.closed, "closed without a word"),
        (service.silent, "silent"),
    ];
    let mut text = listed(&counts);
    if let Some(times) = service.times.summary() {
        text.push_str(&format!("; p50 {}  p99 {} ms after the port", ms(times.p50_ms), ms(times.p99_ms)));
    }
    text
}

fn bars(steps: &[Step], histogram: &Histogram) -> Vec<String> {
    let most = steps.iter().map(|step| step.count).max().unwrap_or_default();
    let counts: Vec<String> = steps.iter().map(|step| count(step.count)).collect();
    let widest = counts.iter().map(String::len).max().unwrap_or_default();
    // Steps of less than a hundredth of a millisecond need its thousandths.
    let places = if steps.iter().any(|step| step.end_us - step.low_us < 10) { 3 } else { 2 };
    let from = |time: u64| ms_to(time, places);
    let edge = steps.iter().map(|step| from(step.low_us).len()).max().unwrap_or_default();
    let row = |(step, number): (&Step, &String)| {
        let share = percent(share(step.count, histogram.count()));
        let bar = bar(step.count, most);
        format!("{:>edge$} ms  {number:>widest$}  {share:>4}  {bar}", from(step.low_us)).trim_end().to_owned()
    };
    steps.iter().zip(&counts).map(row).collect()
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn share(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53 microseconds")]
fn ms_to(us: u64, places: usize) -> String {
    format!("{:.places$}", us as f64 / 1e3)
}

/// In proportion to the largest; what is not nothing can be seen.
fn bar(part: u64, most: u64) -> String {
    let eighths = u128::from(part) * (LONGEST_BAR as u128 * 8) / u128::from(most.max(1));
    let eighths = usize::try_from(eighths).unwrap_or_default().max(usize::from(part > 0));
    let mut bar = "█".repeat(eighths / 8);
    bar.extend(EIGHTHS.get(eighths % 8).filter(|c| **c != ' '));
    bar
}
