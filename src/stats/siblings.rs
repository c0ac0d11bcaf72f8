use super::ProbeStats;

/// What is usual among the endpoints of one scale set, to tell a slow one by.
///
/// An endpoint's time is the median of its own. With `m` the median of the endpoints' times and
/// MAD the median of their distances from `m`, an endpoint is slow above
/// `m + max(3.5 * 1.4826 * MAD, m / 2, 1 ms)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Siblings {
    /// The median of the endpoints' times.
    pub median_ms: f64,
    /// Above it an endpoint is slow.
    pub limit_ms: f64,
}

/// With fewer endpoints the median may be the odd one itself.
const MIN_ENDPOINTS: usize = 5;
/// With fewer times a single late one would be an endpoint's median.
const MIN_TIMES: u64 = 3;
/// The usual limit for the modified z-score (Iglewicz and Hoaglin, 1993).
const MAX_SCORE: f64 = 3.5;
/// Makes the MAD of normally distributed values their standard deviation.
const MAD_TO_SIGMA: f64 = 1.4826;
/// Within one datacenter differences below this mean nothing to a person, however regular the rest is.
const MIN_EXCESS_MS: f64 = 1.0;

impl Siblings {
    /// What is usual among these endpoints; `None` where there are not enough of them with enough
    /// times to say so.
    #[must_use]
    pub fn of<'a>(stats: impl IntoIterator<Item = &'a ProbeStats>) -> Option<Self> {
        let mut times: Vec<f64> = stats.into_iter().filter_map(own_time).collect();
        if times.len() < MIN_ENDPOINTS {
            return None;
        }
        let median_ms = median(&mut times)?;
        let mut distances: Vec<f64> = times.iter().map(|t| (t - median_ms).abs()).collect();
        let spread = MAX_SCORE * MAD_TO_SIGMA * median(&mut distances)?;
        let limit_ms = median_ms + spread.max(median_ms / 2.0).max(MIN_EXCESS_MS);
        Some(Self { median_ms, limit_ms })
    }

    /// True for an endpoint that is slow among its siblings.
    #[must_use]
    pub fn is_slow(&self, stats: &ProbeStats) -> bool {
        own_time(stats).is_some_and(|time| time > self.limit_ms)
    }
}

fn own_time(stats: &ProbeStats) -> Option<f64> {
    stats.median_rtt_ms().filter(|_| stats.rtt_count() >= MIN_TIMES)
}

/// Of the values of several endpoints; `None` of none.
pub(super) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    // By nearest rank, as elsewhere: of an even number the lower of the middle two.
    values.get(values.len().div_ceil(2).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::{Answer, ProbeOutcome, ProbeSample};

    fn endpoint(rtts_us: &[u64]) -> ProbeStats {
        let mut stats = ProbeStats::default();
        for us in rtts_us {
            let answer = Answer::kernel(Duration::from_micros(*us));
            stats.record(&ProbeSample::of(ProbeOutcome::Answered(answer)));
        }
        stats
    }

    fn slow(times: &[&[u64]]) -> Vec<bool> {
        let stats: Vec<_> = times.iter().map(|t| endpoint(t)).collect();
        let siblings = Siblings::of(&stats);
        stats.iter().map(|s| siblings.is_some_and(|all| all.is_slow(s))).collect()
    }

    #[test]
    fn the_slow_one_is_found_by_its_median_and_not_by_one_late_answer() {
        let usual: &[u64] = &[20_000, 21_000, 20_500];
        let late: &[u64] = &[20_000, 21_000, 900_000];
        let slow_one: &[u64] = &[80_000, 82_000, 81_000];
        assert_eq!(
            slow(&[usual, usual, late, usual, slow_one, usual]),
            [false, false, false, false, true, false]
        );
    }

    #[test]
    fn differences_that_mean_nothing_are_not_pointed_at() {
        let usual: &[u64] = &[300, 300, 300];
        let scatter: &[u64] = &[900, 900, 900];
        assert_eq!(slow(&[usual, usual, usual, usual, usual, scatter]), [false; 6]);
        // All slow alike is the path, not an instance.
        assert_eq!(slow(&[&[900_000; 3][..]; 6]), [false; 6]);
    }

    #[test]
    fn too_few_endpoints_or_times_say_nothing() {
        let (usual, slow_one): (&[u64], &[u64]) = (&[300, 300, 300], &[90_000, 90_000, 90_000]);
        assert_eq!(slow(&[usual, usual, usual, slow_one]), [false; 4]);
        assert_eq!(slow(&[usual, usual, usual, usual, usual, &slow_one[..2]]), [false; 6]);
    }
}
