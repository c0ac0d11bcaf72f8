/// Round-trip times summed up, in milliseconds, from all of them (no buckets).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RttSummary {
    /// The shortest.
    pub min_ms: f64,
    /// The sum divided by the count.
    pub mean_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// Standard deviation of a sample: `sqrt(sum((x - mean)^2) / (n - 1))`; `None` for one time.
    pub stddev_ms: Option<f64>,
    /// Median, by nearest rank like the other percentiles.
    pub p50_ms: f64,
    /// Nine of ten are not longer.
    pub p90_ms: f64,
    /// 99 of 100 are not longer.
    pub p99_ms: f64,
}

impl RttSummary {
    /// Sums up times given in any order; `None` for no times.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of probes are far below 2^53")]
    pub fn of(rtts_ms: &[f64]) -> Option<Self> {
        let mut sorted = rtts_ms.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min_ms, max_ms) = (*sorted.first()?, *sorted.last()?);
        let count = sorted.len() as f64;
        // The mean of equal numbers may come out a rounding error beside them.
        let mean_ms = (sorted.iter().sum::<f64>() / count).clamp(min_ms, max_ms);
        let squares: f64 = sorted.iter().map(|x| (x - mean_ms).powi(2)).sum();
        Some(Self {
            min_ms,
            mean_ms,
            max_ms,
            stddev_ms: (sorted.len() > 1).then(|| (squares / (count - 1.0)).sqrt()),
            p50_ms: nearest_rank(&sorted, 50)?,
            p90_ms: nearest_rank(&sorted, 90)?,
            p99_ms: nearest_rank(&sorted, 99)?,
        })
    }
}

/// The percentile by nearest rank: the `ceil(percent / 100 * n)`-th smallest, always a value that
/// was measured.
pub(super) fn nearest_rank(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (percent * sorted.len()).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// Jitter: the mean absolute difference between each answer's time and the one before it. A lost
/// probe in between is skipped. `None` for fewer than two times.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of probes are far below 2^53")]
pub fn jitter_ms(rtts_ms: &[f64]) -> Option<f64> {
    let pairs = rtts_ms.len().checked_sub(1).filter(|n| *n > 0)?;
    let differences = rtts_ms.iter().zip(rtts_ms.iter().skip(1)).map(|(a, b)| (b - a).abs());
    Some(differences.sum::<f64>() / pairs as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn worked_by_hand() {
        let rtt = RttSummary::of(&[4.0, 2.0, 9.0, 5.0]).unwrap();
        assert_eq!((rtt.min_ms, rtt.mean_ms, rtt.max_ms), (2.0, 5.0, 9.0));
        // Squares of the deviations: 1 + 9 + 16 + 0 = 26, over 3.
        assert_eq!(rtt.stddev_ms, Some((26.0_f64 / 3.0).sqrt()));
        // Ranks 2, 4 and 4 of 2, 4, 5, 9.
        assert_eq!((rtt.p50_ms, rtt.p90_ms, rtt.p99_ms), (4.0, 9.0, 9.0));
        assert_eq!(jitter_ms(&[4.0, 2.0, 9.0, 5.0]), Some((2.0 + 7.0 + 4.0) / 3.0));
    }

    #[test]
    fn one_time_has_no_spread_and_none_has_nothing() {
        let rtt = RttSummary::of(&[3.0]).unwrap();
        assert_eq!((rtt.p50_ms, rtt.p99_ms, rtt.stddev_ms), (3.0, 3.0, None));
        assert_eq!((RttSummary::of(&[]), jitter_ms(&[3.0]), jitter_ms(&[])), (None, None, None));
    }

    #[test]
    fn ranks_of_a_hundred() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        let rtt = RttSummary::of(&hundred).unwrap();
        assert_eq!((rtt.p50_ms, rtt.p90_ms, rtt.p99_ms), (50.0, 90.0, 99.0));
    }

    proptest! {
        #[test]
        fn the_numbers_are_in_order(rtts in prop::collection::vec(0.0_f64..1e5, 1..100)) {
            let rtt = RttSummary::of(&rtts).unwrap();
            let order = [rtt.min_ms, rtt.p50_ms, rtt.p90_ms, rtt.p99_ms, rtt.max_ms];
            prop_assert!(order.is_sorted());
            prop_assert!((rtt.min_ms..=rtt.max_ms).contains(&rtt.mean_ms));
            for percentile in [rtt.p50_ms, rtt.p90_ms, rtt.p99_ms] {
                prop_assert!(rtts.contains(&percentile));
            }
            // At least the share that the percentile promises is not above it.
            let not_above = rtts.iter().filter(|x| **x <= rtt.p90_ms).count();
            prop_assert!(not_above * 100 >= rtts.len() * 90);
        }

        #[test]
        fn the_same_times_have_no_jitter(ms in 0.0_f64..1e5, count in 2_usize..50) {
            let rtts = vec![ms; count];
            prop_assert_eq!(jitter_ms(&rtts), Some(0.0));
            prop_assert_eq!(RttSummary::of(&rtts).unwrap().stddev_ms, Some(0.0));
        }
    }
}
