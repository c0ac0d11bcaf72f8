//! A histogram's many bins as a few rows.

use crate::stats::Histogram;

/// A row: the times from `low_us` on and below `end_us`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) low_us: u64,
    pub(super) end_us: u64,
    pub(super) count: u64,
}

/// At most so many rows from the shortest to the longest time. Each is as much longer than the one before as
/// all are (the edges are a geometric series): one late answer leaves the others room to differ.
pub(super) fn spread(histogram: &Histogram, most: usize) -> Vec<Step> {
    let (Some(first), Some(last)) = (histogram.bins().next(), histogram.bins().next_back()) else {
        return Vec::new();
    };
    let (low, end) = (first.low_us, last.high_us.saturating_add(1));
    let mut steps: Vec<Step> = edges(low, end, most)
        .windows(2)
        .filter_map(|edge| match edge {
            [low_us, end_us] => Some(Step { low_us: *low_us, end_us: *end_us, count: 0 }),
            _ => None,
        })
        .collect();
    for bin in histogram.bins() {
        let place = steps.partition_point(|step| step.low_us <= bin.middle_us()).saturating_sub(1);
        if let Some(step) = steps.get_mut(place) {
            step.count += bin.count;
        }
    }
    steps
}

/// Whole microseconds from `low` to `end`, each above the one before.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an edge may be off by a rounding; it is kept between its neighbours"
)]
fn edges(low: u64, end: u64, most: usize) -> Vec<u64> {
    let rows = (end - low).min(most as u64);
    if rows == 0 {
        return Vec::new();
    }
    let ratio = end as f64 / low.max(1) as f64;
    let mut edges = vec![low];
    let mut before = low;
    for row in 1..rows {
        let edge = low.max(1) as f64 * ratio.powf(row as f64 / rows as f64);
        before = (edge.round() as u64).clamp(before + 1, end - (rows - row));
        edges.push(before);
    }
    edges.push(end);
    edges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn histogram(times: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        times.iter().for_each(|us| histogram.record(*us));
        histogram
    }

    #[test]
    fn worked_by_hand() {
        let rows = |times: &[u64], most| {
            let steps = spread(&histogram(times), most);
            steps.iter().map(|s| (s.low_us, s.end_us, s.count)).collect::<Vec<_>>()
        };
        // 100, 200, 400, 800.
        assert_eq!(rows(&[100, 150, 250, 799], 3), [(100, 200, 2), (200, 400, 1), (400, 800, 1)]);
        assert_eq!(rows(&[7, 7], 9), [(7, 8, 2)]);
        assert_eq!(rows(&[0, 1], 9), [(0, 1, 1), (1, 2, 1)]);
        assert_eq!(rows(&[], 9), []);
        assert_eq!(rows(&[5], 0), []);
    }

    proptest! {
        #[test]
        fn every_time_is_in_one_row(
            times in prop::collection::vec(prop_oneof![0..100_u64, any::<u64>()], 0..50), most in 1..30_usize,
        ) {
            let histogram = histogram(&times);
            let steps = spread(&histogram, most);
            prop_assert!(steps.len() <= most);
            prop_assert_eq!(steps.iter().map(|step| step.count).sum::<u64>(), histogram.count());
            prop_assert!(steps.iter().all(|step| step.low_us < step.end_us));
        }
    }
}
