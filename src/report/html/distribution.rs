//! How the round-trip times are distributed: which share of them is not longer than each time.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::{
    heat::mark,
    scale::{LogAxis, time, whole},
};
use crate::{
    clean::clean_line,
    natmap::Endpoint,
    stats::{Histogram, ProbeStats},
};

/// The drawing's size in its own units; the page stretches it to its width.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 280.0;
/// With more instances than this, lines of their own run together: bands say then where most of them are.
const MOST_LINES: usize = 40;

/// The curve of all times, and with it a line per instance, or bands where there are many. `None`
/// where nothing was timed.
pub(super) fn distribution(endpoints: &[Endpoint], stats: &[ProbeStats]) -> Option<Markup> {
    let timed: Vec<_> = endpoints.iter().zip(stats).filter(|(_, stats)| stats.rtt_count() > 0).collect();
    let mut all = crate::stats::Rtts::default();
    timed.iter().for_each(|(_, stats)| all.merge(&stats.rtts));
    let summary = all.summary()?;
    let axis = LogAxis::new(all.sums().min_us, all.sums().max_us);
    let lines = timed.len() <= MOST_LINES;
    let markup = html! {
        figure {
            div.plot.cdf {
                (shares())
                svg.curves role="img" aria-labelledby="distribution-what" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) }
                    height=(HEIGHT) preserveAspectRatio="none" {
                    (grid(axis))
                    @if lines && timed.len() > 1 {
                        @for (endpoint, stats) in &timed {
                            path.one d=(curve(stats.rtts.histogram(), axis)) {
                                title { (clean_line(&endpoint.label())) ": " (percentiles(stats)) }
                            }
                        }
                    } @else if timed.len() > 1 {
                        @let shares: Vec<_> = timed.iter().map(|(_, stats)| times_of(stats.rtts.histogram())).collect();
                        path.most d=(band(&shares, axis, 5)) {}
                        path.half d=(band(&shares, axis, 25)) {}
                    }
                    path.all d=(curve(all.histogram(), axis)) {}
                }
                div {}
                svg.axis height="20" aria-hidden="true" {
                    @for us in axis.marks() { (mark(axis.place(us), &time(us))) }
                }
            }
            figcaption #distribution-what {
                "The share of the " (all.count()) " round-trip times that are not longer than the time below. Of all: half are within "
                (ms(summary.p50_ms)) ", 90 % within " (ms(summary.p90_ms)) ", 99 % within " (ms(summary.p99_ms))
                ", the longest is " (ms(summary.max_ms)) ". What is twice as long is equally far away everywhere on the axis."
            }
            ul.legend {
                (legend("all", LINE, "all instances together"))
                @if lines && timed.len() > 1 { (legend("one", LINE, "each instance")) }
                @if !lines {
                    (legend("half", BAND, "the middle half of the instances"))
                    (legend("most", BAND, "nine of ten instances"))
                }
            }
        }
    };
    Some(markup)
}

fn ms(ms: f64) -> String {
    time(ms * 1e3)
}

fn percentiles(stats: &ProbeStats) -> String {
    let of = |percent| stats.rtts.percentile_ms(percent).map_or_else(String::new, ms);
    format!("p50 {}, p90 {}, p99 {}, {} times", of(50), of(90), of(99), stats.rtt_count())
}

/// The axis of shares.
fn shares() -> Markup {
    html! {
        svg.labels height=(HEIGHT) aria-hidden="true" {
            @for percent in [0_u8, 25, 50, 75, 90, 100] {
                // Room for the text at both ends.
                @let y = (height(f64::from(percent) / 100.0) + 4.0).clamp(11.0, HEIGHT - 1.0);
                text x="100%" dx="-6" y=(format!("{y:.0}")) { (percent) " %" }
            }
        }
    }
}

fn grid(axis: LogAxis) -> Markup {
    let mut path = String::new();
    for share in [0.0, 0.25, 0.5, 0.75, 0.9, 1.0] {
        let _ = write!(path, "M0 {:.1}H{WIDTH}", height(share));
    }
    for us in axis.marks() {
        let _ = write!(path, "M{:.1} 0V{HEIGHT}", axis.place(us) * WIDTH);
    }
    html! { path.grid d=(path) {} }
}

/// Lines at the very edges would be half cut off.
fn height(share: f64) -> f64 {
    HEIGHT - 1.0 - share * (HEIGHT - 2.0)
}

/// Steps from 0 to 1: each time lifts it by its share. Times of the same pixel are one step.
fn curve(times: &Histogram, axis: LogAxis) -> String {
    let mut path = format!("M0 {:.1}", height(0.0));
    let mut step: Option<(f64, f64)> = None;
    let mut below = 0_u64;
    for bin in times.bins() {
        below = below.saturating_add(bin.count);
        let x = (axis.place(whole(bin.middle_us())) * WIDTH).round();
        let y = height(whole(below) / whole(times.count().max(1)));
        if let Some((x, y)) = step.replace((x, y)).filter(|(last, _)| *last < x) {
            let _ = write!(path, "H{x}V{y:.1}");
        }
    }
    if let Some((x, y)) = step {
        let _ = write!(path, "H{x}V{y:.1}");
    }
    let _ = write!(path, "H{WIDTH}");
    path
}

/// The times that 0, 1, ... 100 % of the times are within, in one pass.
fn times_of(times: &Histogram) -> Vec<u64> {
    let mut found = Vec::with_capacity(101);
    let mut below = 0_u128;
    for bin in times.bins() {
        below += u128::from(bin.count);
        while found.len() <= 100 && below * 100 >= u128::from(times.count()) * found.len() as u128 {
            found.push(bin.middle_us());
        }
    }
    found
}

/// The area between a percentile over the instances and its opposite, for each share.
fn band(instances: &[Vec<u64>], axis: LogAxis, percent: usize) -> String {
    let edge = |share: usize, percent: usize| {
        let mut times: Vec<u64> = instances.iter().filter_map(|of| of.get(share).copied()).collect();
        times.sort_unstable();
        let rank = (times.len() * percent).div_ceil(100).saturating_sub(1);
        times.get(rank).map(|us| (axis.place(whole(*us)) * WIDTH, height(share_of(share))))
    };
    let low = (0..=100).filter_map(|share| edge(share, percent));
    let high = (0..=100).rev().filter_map(|share| edge(share, 100 - percent));
    let points: Vec<_> = low.chain(high).map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    format!("M{}z", points.join("L"))
}

#[expect(clippy::cast_precision_loss, reason = "at most 100")]
fn share_of(percent: usize) -> f64 {
    percent as f64 / 100.0
}

/// In a legend, a line and a band.
const LINE: &str = "M1 12L10 12L18 2L27 2";
const BAND: &str = "M1 13L8 1H27L20 13z";

fn legend(class: &str, shape: &str, what: &str) -> Markup {
    html! {
        li {
            svg.curves width="28" height="14" aria-hidden="true" { path.(class) d=(shape) {} }
            (what)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(us: &[u64]) -> Histogram {
        let mut times = Histogram::default();
        us.iter().for_each(|us| times.record(*us));
        times
    }

    #[test]
    fn all_shares_of_the_times_are_found() {
        let four = times(&[4, 2, 9, 5]);
        let shares = times_of(&four);
        assert_eq!(shares.len(), 101);
        assert_eq!([0, 1, 25, 26, 50, 51, 100].map(|k| shares[k]), [2, 2, 2, 4, 4, 5, 9]);
        let each: Vec<_> = (0..=100).filter_map(|percent| four.percentile_us(percent)).collect();
        assert_eq!(shares, each);
    }

    #[test]
    fn a_curve_goes_from_nothing_to_all() {
        let few = times(&[100, 100, 1000]);
        let path = curve(&few, LogAxis::new(100, 1000));
        assert!(path.starts_with("M0 279.0H") && path.ends_with("V1.0H960"), "{path}");
        // 100,000 different times make no more points than there are pixels.
        let many: Vec<u64> = (0..100_000).map(|k| 1000 + k * 7).collect();
        assert!(curve(&times(&many), LogAxis::new(1000, 700_000)).len() < 30_000);
    }
}
