use super::Histogram;

/// Times summed up, in milliseconds.
///
/// All but the percentiles are of every time to the microsecond. The percentiles are exact up to 4.1 ms;
/// longer ones are off by 0.025 % at most (see [`Histogram`]).
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

/// The times of one endpoint, in memory that does not grow with their number. Sums of whole
/// microseconds, so that two of them add up exactly.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rtts {
    /// The sums; the count is the histogram's.
    pub(super) sums: Sums,
    /// How often each time occurred.
    pub(super) histogram: Histogram,
    /// The last one, for the step to the next.
    pub(super) last_us: Option<u64>,
}

/// What [`Rtts`] keeps of times beside how often each occurred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// The shortest, in microseconds.
    pub min_us: u64,
    /// The longest, in microseconds.
    pub max_us: u64,
    /// The sum, in microseconds.
    pub sum_us: u64,
    /// The sum of the squares, in square microseconds.
    pub squares_us2: u128,
    /// The sum of the distances between each time and the one before it, in microseconds.
    pub steps_us: u64,
    /// How many such distances there are.
    pub steps: u64,
}

impl Rtts {
    /// Puts together what was taken apart with [`Rtts::sums`] and [`Rtts::histogram`].
    #[must_use]
    pub fn from_parts(sums: Sums, histogram: Histogram) -> Self {
        Self { sums, histogram, last_us: None }
    }

    /// Adds the next time, in microseconds.
    pub fn push(&mut self, us: u64) {
        let sums = &mut self.sums;
        if self.histogram.count() == 0 {
            (sums.min_us, sums.max_us) = (us, us);
        }
        if let Some(last) = self.last_us.replace(us) {
            sums.steps_us = sums.steps_us.saturating_add(us.abs_diff(last));
            sums.steps += 1;
        }
        sums.min_us = sums.min_us.min(us);
        sums.max_us = sums.max_us.max(us);
        sums.sum_us = sums.sum_us.saturating_add(us);
        sums.squares_us2 = sums.squares_us2.saturating_add(u128::from(us).pow(2));
        self.histogram.record(us);
    }

    /// Adds all times of another run. From its first to the last of this one there is no step.
    pub fn merge(&mut self, other: &Self) {
        if other.count() == 0 {
            return;
        }
        let (mine, theirs) = (&mut self.sums, &other.sums);
        if self.histogram.count() == 0 {
            (mine.min_us, mine.max_us) = (theirs.min_us, theirs.max_us);
        }
        mine.min_us = mine.min_us.min(theirs.min_us);
        mine.max_us = mine.max_us.max(theirs.max_us);
        mine.sum_us = mine.sum_us.saturating_add(theirs.sum_us);
        mine.squares_us2 = mine.squares_us2.saturating_add(theirs.squares_us2);
        mine.steps_us = mine.steps_us.saturating_add(theirs.steps_us);
        mine.steps = mine.steps.saturating_add(theirs.steps);
        self.histogram.merge(&other.histogram);
        self.last_us = other.last_us;
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.count()
    }

    /// The sums.
    #[must_use]
    pub fn sums(&self) -> Sums {
        self.sums
    }

    /// How often each time occurred.
    #[must_use]
    pub fn histogram(&self) -> &Histogram {
        &self.histogram
    }

    /// The percentile by nearest rank, in milliseconds, as in [`RttSummary`]; `None` for no times.
    #[must_use]
    pub fn percentile_ms(&self, percent: u64) -> Option<f64> {
        // The middle of a bin may lie beyond all that was measured.
        let us = self.histogram.percentile_us(percent)?;
        Some(ms(us.max(self.sums.min_us).min(self.sums.max_us)))
    }

    /// All of them summed up; `None` for no times.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "sums are far below 2^53 microseconds, which is 285 years"
    )]
    pub fn summary(&self) -> Option<RttSummary> {
        let Sums { min_us, max_us, sum_us, squares_us2, .. } = self.sums;
        let count = u128::from(self.count());
        // n * sum(x^2) - sum(x)^2, in whole numbers: nothing cancels out.
        // Saturated only by times that no network has, which a file may hold.
        let spread = count.saturating_mul(squares_us2).saturating_sub(u128::from(sum_us).pow(2));
        let variance_us2 = (count > 1).then(|| spread as f64 / (count * (count - 1)) as f64);
        Some(RttSummary {
            min_ms: ms(min_us),
            // A mean of no times is asked for nowhere: there is no percentile of them either.
            mean_ms: sum_us as f64 / count as f64 / 1e3,
            max_ms: ms(max_us),
            stddev_ms: variance_us2.map(|variance| variance.sqrt() / 1e3),
            p50_ms: self.percentile_ms(50)?,
            p90_ms: self.percentile_ms(90)?,
            p99_ms: self.percentile_ms(99)?,
        })
    }

    /// Jitter: the mean absolute difference between each time and the one before it. A lost
    /// probe in between is skipped. `None` for fewer than two times.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "sums are far below 2^53 microseconds, which is 285 years"
    )]
    pub fn jitter_ms(&self) -> Option<f64> {
        (self.sums.steps > 0).then(|| self.sums.steps_us as f64 / self.sums.steps as f64 / 1e3)
    }
}

#[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 microseconds, which is 285 years")]
fn ms(us: u64) -> f64 {
    us as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rtts(us: &[u64]) -> Rtts {
        let mut rtts = Rtts::default();
        us.iter().for_each(|us| rtts.push(*us));
        rtts
    }

    #[test]
    fn worked_by_hand() {
        let times = rtts(&[4000, 2000, 9000, 5000]);
        let rtt = times.summary().unwrap();
        assert_eq!((rtt.min_ms, rtt.mean_ms, rtt.max_ms), (2.0, 5.0, 9.0));
        // Squares of the deviations: 1 + 9 + 16 + 0 = 26, over 3.
        assert_eq!(rtt.stddev_ms, Some((26.0_f64 / 3.0).sqrt()));
        // Ranks 2, 4 and 4 of 2, 4, 5, 9.
        assert_eq!((rtt.p50_ms, rtt.p90_ms, rtt.p99_ms), (4.0, 9.0, 9.0));
        assert_eq!(times.jitter_ms(), Some(13.0 / 3.0));
    }

    #[test]
    fn one_time_has_no_spread_and_none_has_nothing() {
        let (one, none) = (rtts(&[3000]), Rtts::default());
        let rtt = one.summary().unwrap();
        assert_eq!((rtt.p50_ms, rtt.p99_ms, rtt.stddev_ms, one.jitter_ms()), (3.0, 3.0, None, None));
        assert_eq!((none.summary(), none.percentile_ms(50), none.jitter_ms()), (None, None, None));
    }

    #[test]
    fn a_percentile_is_never_beyond_what_was_measured() {
        // Both are in the bin from 20,000 to 20,007 us.
        assert_eq!(rtts(&[20_007]).percentile_ms(50), Some(20.007));
        assert_eq!(rtts(&[20_000, 20_001]).percentile_ms(50), Some(20.001));
    }

    proptest! {
        #[test]
        fn the_numbers_are_in_order(us in prop::collection::vec(0..100_000_000_u64, 1..100)) {
            let rtt = rtts(&us).summary().unwrap();
            prop_assert!([rtt.min_ms, rtt.p50_ms, rtt.p90_ms, rtt.p99_ms, rtt.max_ms].is_sorted());
            prop_assert!(rtt.min_ms - 1e-9 <= rtt.mean_ms && rtt.mean_ms <= rtt.max_ms + 1e-9);
        }

        #[test]
        fn sums_that_run_are_the_sums_of_all(us in prop::collection::vec(0..100_000_000_u64, 2..400)) {
            let (rtt, n) = (rtts(&us).summary().unwrap(), us.len() as f64);
            let ms: Vec<f64> = us.iter().map(|us| *us as f64 / 1e3).collect();
            let mean = ms.iter().sum::<f64>() / n;
            let stddev = (ms.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
            for (whole, running) in [(mean, rtt.mean_ms), (stddev, rtt.stddev_ms.unwrap())] {
                // Far above what 400 roundings of doubles add up to.
                prop_assert!((whole - running).abs() <= whole.max(1.0) * 1e-9, "{} and {}", whole, running);
            }
        }

        #[test]
        fn two_runs_add_up_to_one_but_for_the_step_between_them(
            left in prop::collection::vec(0..1_000_000_u64, 0..100),
            right in prop::collection::vec(0..1_000_000_u64, 0..100),
        ) {
            let mut merged = rtts(&left);
            merged.merge(&rtts(&right));
            let whole = rtts(&[left.clone(), right.clone()].concat());
            prop_assert_eq!(merged.summary(), whole.summary());
            let step = match (left.last(), right.first()) {
                (Some(last), Some(first)) => Some(last.abs_diff(*first)),
                _ => None,
            };
            prop_assert_eq!(merged.sums.steps_us + step.unwrap_or(0), whole.sums.steps_us);
            prop_assert_eq!(merged.sums.steps + u64::from(step.is_some()), whole.sums.steps);
        }
    }
}
