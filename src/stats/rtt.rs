use hdrhistogram::Histogram;

/// Round-trip times summed up, in milliseconds.
///
/// All but the percentiles are of every time. The percentiles are exact, values that were measured, of up
/// to 4,096 times; of more they are within 0.1 % or 1 µs, whichever is more, of the value that was.
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

/// As many times are kept as they are: an hour at one a second. They take 32 KiB, about what the
/// histogram that follows takes, so an endpoint's memory is the same for any number of probes.
const EXACT: usize = 4096;

/// Significant decimal digits of the histogram: 0.1 %, finer than the times of one path are alike.
const DIGITS: u8 = 3;

/// The round-trip times of one endpoint, in the order of the answers, in bounded memory.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Rtts {
    count: u64,
    min_ms: f64,
    max_ms: f64,
    mean_ms: f64,
    /// The sum of the squared distances from the mean, kept as the mean moves (Welford, 1962): sums of
    /// plain squares would cancel each other out.
    squares: f64,
    /// The sum of the distances between neighbours.
    steps_ms: f64,
    last_ms: f64,
    values: Values,
}

/// What percentiles are read from.
#[derive(Debug, Clone, PartialEq)]
enum Values {
    /// All times, in milliseconds.
    Exact(Vec<f64>),
    /// How many there are of each microsecond, the longer ones in bins. A bin that is full at 2^32 stays
    /// so: on loopback, the quickest there is, that takes days.
    Binned(Histogram<u32>),
}

impl Rtts {
    /// Adds the next time.
    #[expect(clippy::cast_precision_loss, reason = "counts of probes are far below 2^53")]
    pub(super) fn push(&mut self, ms: f64) {
        if self.count == 0 {
            (self.min_ms, self.max_ms) = (ms, ms);
        } else {
            self.steps_ms += (ms - self.last_ms).abs();
        }
        self.count += 1;
        self.min_ms = self.min_ms.min(ms);
        self.max_ms = self.max_ms.max(ms);
        let off = ms - self.mean_ms;
        self.mean_ms += off / self.count as f64;
        self.squares += off * (ms - self.mean_ms);
        self.last_ms = ms;
        self.values.push(ms);
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The median by nearest rank; `None` for no times.
    pub(super) fn median_ms(&self) -> Option<f64> {
        self.percentiles([50]).map(|[median]| median)
    }

    /// All of them summed up; `None` for no times.
    #[expect(clippy::cast_precision_loss, reason = "counts of probes are far below 2^53")]
    pub(super) fn summary(&self) -> Option<RttSummary> {
        let [p50_ms, p90_ms, p99_ms] = self.percentiles([50, 90, 99])?;
        let (min_ms, max_ms) = (self.min_ms, self.max_ms);
        Some(RttSummary {
            min_ms,
            // The mean of equal numbers may come out a rounding error beside them.
            mean_ms: self.mean_ms.clamp(min_ms, max_ms),
            max_ms,
            stddev_ms: (self.count > 1).then(|| (self.squares.max(0.0) / (self.count - 1) as f64).sqrt()),
            p50_ms,
            p90_ms,
            p99_ms,
        })
    }

    /// The mean absolute difference between each time and the one before it. A lost
    /// probe in between is skipped. `None` for fewer than two times.
    #[expect(clippy::cast_precision_loss, reason = "counts of probes are far below 2^53")]
    pub(super) fn jitter_ms(&self) -> Option<f64> {
        (self.count > 1).then(|| self.steps_ms / (self.count - 1) as f64)
    }

    fn percentiles<const N: usize>(&self, percents: [u64; N]) -> Option<[f64; N]> {
        let found = match &self.values {
            Values::Exact(values) => {
                let mut sorted = values.clone();
                sorted.sort_by(f64::total_cmp);
                percents.map(|percent| nearest_rank(&sorted, percent))
            }
            // A bin is named by its longest time, which may be longer than any that was measured.
            Values::Binned(bins) => {
                percents.map(|percent| Some(binned_rank(bins, percent).clamp(self.min_ms, self.max_ms)))
            }
        };
        // There is none of no times, and then none of any percentile.
        found.iter().all(Option::is_some).then(|| found.map(Option::unwrap_or_default))
    }
}

impl Default for Values {
    fn default() -> Self {
        Self::Exact(Vec::new())
    }
}

impl Values {
    fn push(&mut self, ms: f64) {
        match self {
            Self::Exact(values) if values.len() < EXACT => values.push(ms),
            Self::Exact(values) => {
                let mut bins = bins(values);
                count(&mut bins, ms);
                *self = Self::Binned(bins);
            }
            Self::Binned(bins) => count(bins, ms),
        }
    }
}

fn bins(values_ms: &[f64]) -> Histogram<u32> {
    #[expect(clippy::expect_used, reason = "the number of digits is a constant")]
    let mut bins = Histogram::new(DIGITS).expect("0 to 5 digits");
    values_ms.iter().for_each(|ms| count(&mut bins, *ms));
    bins
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no time is negative or endless")]
fn count(bins: &mut Histogram<u32>, ms: f64) {
    // It grows as it must; it fails where a machine can't address 64 bins of a thousand.
    let _ = bins.record((ms * 1e3).round() as u64);
}

/// The number of the percentile by nearest rank among `count`: `ceil(percent / 100 * count)`, from 1.
fn rank(percent: u64, count: u64) -> u64 {
    (percent * count).div_ceil(100).max(1)
}

/// The percentile by nearest rank, always a value that was measured.
pub(super) fn nearest_rank(sorted: &[f64], percent: u64) -> Option<f64> {
    let place = rank(percent, sorted.len() as u64) - 1;
    sorted.get(usize::try_from(place).ok()?).copied()
}

/// The same of a histogram.
#[expect(clippy::cast_precision_loss, reason = "counts of probes and microseconds are far below 2^53")]
fn binned_rank(bins: &Histogram<u32>, percent: u64) -> f64 {
    // It is asked by a share, which it multiplies by the count and rounds up: from the middle between two
    // ranks that comes out right whatever the product is rounded to.
    let share = (rank(percent, bins.len()) as f64 - 0.5) / bins.len() as f64;
    bins.value_at_quantile(share) as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rtts(ms: &[f64]) -> Rtts {
        let mut rtts = Rtts::default();
        ms.iter().for_each(|ms| rtts.push(*ms));
        rtts
    }

    /// The same times with their percentiles from a histogram.
    fn binned(ms: &[f64]) -> Rtts {
        Rtts { values: Values::Binned(bins(ms)), ..rtts(ms) }
    }

    /// Within what is promised of percentiles.
    fn agree(exact_ms: f64, binned_ms: f64) -> bool {
        (exact_ms - binned_ms).abs() <= (exact_ms / 1e3).max(1e-3)
    }

    #[test]
    fn worked_by_hand() {
        let times = rtts(&[4.0, 2.0, 9.0, 5.0]);
        let rtt = times.summary().unwrap();
        assert_eq!((rtt.min_ms, rtt.mean_ms, rtt.max_ms), (2.0, 5.0, 9.0));
        // Squares of the deviations: 1 + 9 + 16 + 0 = 26, over 3.
        assert_eq!(rtt.stddev_ms, Some((26.0_f64 / 3.0).sqrt()));
        // Ranks 2, 4 and 4 of 2, 4, 5, 9.
        assert_eq!((rtt.p50_ms, rtt.p90_ms, rtt.p99_ms), (4.0, 9.0, 9.0));
        assert_eq!(times.jitter_ms(), Some((2.0 + 7.0 + 4.0) / 3.0));
    }

    #[test]
    fn one_time_has_no_spread_and_none_has_nothing() {
        let (one, none) = (rtts(&[3.0]), Rtts::default());
        let rtt = one.summary().unwrap();
        assert_eq!((rtt.p50_ms, rtt.p99_ms, rtt.stddev_ms, one.jitter_ms()), (3.0, 3.0, None, None));
        assert_eq!((none.summary(), none.median_ms(), none.jitter_ms()), (None, None, None));
    }

    #[test]
    fn ranks_of_a_hundred() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        for times in [rtts(&hundred), binned(&hundred)] {
            let rtt = times.summary().unwrap();
            let found = [rtt.p50_ms, rtt.p90_ms, rtt.p99_ms];
            assert!([50.0, 90.0, 99.0].into_iter().zip(found).all(|(a, b)| agree(a, b)), "{found:?}");
        }
    }

    #[test]
    fn memory_does_not_grow_with_the_number_of_times() {
        let mut times = Rtts::default();
        for k in 0..100_000_u32 {
            // Up to a second, as of a long and bad path.
            times.push(f64::from(k * 7919 % 1_000_003) / 1e3);
            match &times.values {
                Values::Exact(values) => assert!(values.capacity() <= EXACT),
                // Four bytes in each: 44 KiB.
                Values::Binned(bins) => assert!(bins.distinct_values() * size_of::<u32>() <= 44 << 10),
            }
        }
        assert!(matches!(times.values, Values::Binned(_)));
        assert_eq!(times.count(), 100_000);
    }

    proptest! {
        #[test]
        fn the_numbers_are_in_order(ms in prop::collection::vec(0.0_f64..1e5, 1..100)) {
            let exact = rtts(&ms).summary().unwrap();
            for rtt in [exact, binned(&ms).summary().unwrap()] {
                let order = [rtt.min_ms, rtt.p50_ms, rtt.p90_ms, rtt.p99_ms, rtt.max_ms];
                prop_assert!(order.is_sorted());
                prop_assert!((rtt.min_ms..=rtt.max_ms).contains(&rtt.mean_ms));
            }
            for percentile in [exact.p50_ms, exact.p90_ms, exact.p99_ms] {
                prop_assert!(ms.contains(&percentile));
            }
            // At least the share that the percentile promises is not above it.
            let not_above = ms.iter().filter(|x| **x <= exact.p90_ms).count();
            prop_assert!(not_above * 100 >= ms.len() * 90);
        }

        /// From a microsecond to a minute and more, evenly over the orders of magnitude.
        #[test]
        fn a_histogram_says_what_the_times_themselves_say(
            ms in prop::collection::vec((-3.0_f64..5.0).prop_map(|e| 10_f64.powf(e)), 1..400),
        ) {
            let (exact, binned) = (rtts(&ms).summary().unwrap(), binned(&ms).summary().unwrap());
            let percentiles = |rtt: RttSummary| [rtt.p50_ms, rtt.p90_ms, rtt.p99_ms];
            for (exact, binned) in percentiles(exact).into_iter().zip(percentiles(binned)) {
                prop_assert!(agree(exact, binned), "{} and {}", exact, binned);
            }
        }

        #[test]
        fn sums_that_run_are_the_sums_of_all(ms in prop::collection::vec(0.0_f64..1e5, 2..400)) {
            let (times, n) = (rtts(&ms), ms.len() as f64);
            let rtt = times.summary().unwrap();
            let mean = ms.iter().sum::<f64>() / n;
            let stddev = (ms.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
            let jitter = ms.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum::<f64>() / (n - 1.0);
            for (whole, running) in
                [(mean, rtt.mean_ms), (stddev, rtt.stddev_ms.unwrap()), (jitter, times.jitter_ms().unwrap())]
            {
                // Far above what 400 roundings of doubles add up to.
                prop_assert!((whole - running).abs() <= whole.max(1.0) * 1e-9, "{} and {}", whole, running);
            }
        }

        #[test]
        fn the_same_times_have_no_jitter(ms in 0.0_f64..1e5, count in 2_usize..50) {
            let times = rtts(&vec![ms; count]);
            prop_assert_eq!(times.jitter_ms(), Some(0.0));
            prop_assert_eq!(times.summary().unwrap().stddev_ms, Some(0.0));
        }
    }

    /// Past the limit the times that came before it count as well.
    #[test]
    fn the_change_to_a_histogram_loses_no_time() {
        let ms: Vec<f64> = (0..3 * EXACT).map(|k| 20.0 + (k * 7919 % 10_007) as f64 / 1e3).collect();
        let times = rtts(&ms);
        let mut sorted = ms.clone();
        sorted.sort_by(f64::total_cmp);
        let rtt = times.summary().unwrap();
        for (percent, binned) in [(50, rtt.p50_ms), (90, rtt.p90_ms), (99, rtt.p99_ms)] {
            let exact = nearest_rank(&sorted, percent).unwrap();
            assert!(agree(exact, binned), "{percent} %: {exact} and {binned}");
        }
        assert_eq!((rtt.min_ms, rtt.max_ms), (sorted[0], sorted[sorted.len() - 1]));
        assert_eq!(times.median_ms(), Some(rtt.p50_ms));
    }
}
