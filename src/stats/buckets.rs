use std::{num::NonZeroUsize, time::Duration};

use super::{Bin, Histogram};

/// How to divide times for a person to see how they are distributed, as psping's `-h` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Buckets {
    /// In so many equal steps from the shortest time to the longest.
    Steps(NonZeroUsize),
    /// Up to each of these times, in order, and a last step for what is longer.
    Limits(Vec<Duration>),
}

impl Buckets {
    /// The times divided: steps in order, together with all of them. The ends of a step are both within it
    /// to the microsecond; a bin of the histogram belongs to the step that its middle is in. Nothing of no
    /// times.
    #[must_use]
    pub fn divide(&self, times: &Histogram) -> Vec<Bin> {
        let (Some(first), Some(last)) = (times.bins().next(), times.bins().next_back()) else {
            return Vec::new();
        };
        let mut steps = self.empty(first.middle_us(), last.middle_us());
        for bin in times.bins() {
            let place = steps.partition_point(|step| step.high_us < bin.middle_us());
            if let Some(step) = steps.get_mut(place) {
                step.count += bin.count;
            }
        }
        steps
    }

    /// The steps with nothing in them, for times from `low` to `high`.
    fn empty(&self, low: u64, high: u64) -> Vec<Bin> {
        let ends: Vec<u64> = match self {
            Self::Steps(steps) => {
                // Fewer where there are not that many microseconds.
                let steps = (steps.get() as u64).min(high - low + 1);
                (1..=steps).map(|step| low + (high - low + 1) * step / steps - 1).collect()
            }
            Self::Limits(limits) => {
                let micros = |limit: &Duration| u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
                // The last step holds what is longer than all limits, where there is such a time.
                let beyond = limits.last().is_none_or(|limit| micros(limit) < high).then_some(high);
                limits.iter().map(micros).chain(beyond).collect()
            }
        };
        let first = if matches!(self, Self::Steps(_)) { low } else { 0 };
        let starts = std::iter::once(first).chain(ends.iter().map(|end| end.saturating_add(1)));
        starts.zip(&ends).map(|(low_us, high_us)| Bin { low_us, high_us: *high_us, count: 0 }).collect()
    }
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

    fn divided(buckets: &Buckets, times: &[u64]) -> Vec<(u64, u64, u64)> {
        buckets.divide(&histogram(times)).iter().map(|bin| (bin.low_us, bin.high_us, bin.count)).collect()
    }

    fn steps(count: usize) -> Buckets {
        Buckets::Steps(NonZeroUsize::new(count).unwrap())
    }

    #[test]
    fn worked_by_hand() {
        assert_eq!(divided(&steps(3), &[10, 11, 12, 15, 18]), [(10, 12, 3), (13, 15, 1), (16, 18, 1)]);
        assert_eq!(divided(&steps(3), &[7]), [(7, 7, 1)]);
        assert_eq!(divided(&steps(20), &[]), []);
        let limits = Buckets::Limits([10, 20].map(Duration::from_micros).to_vec());
        assert_eq!(divided(&limits, &[5, 10, 11, 300]), [(0, 10, 2), (11, 20, 1), (21, 300, 1)]);
        assert_eq!(divided(&limits, &[5, 6]), [(0, 10, 2), (11, 20, 0)]);
    }

    proptest! {
        #[test]
        fn no_time_is_lost_and_steps_follow_each_other(
            times in prop::collection::vec(0..10_000_000_u64, 1..100), count in 1_usize..50,
        ) {
            let parts = divided(&steps(count), &times);
            prop_assert_eq!(parts.iter().map(|part| part.2).sum::<u64>(), times.len() as u64);
            prop_assert!(parts.len() <= count);
            prop_assert!(parts.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));
        }
    }
}
