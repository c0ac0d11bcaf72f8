use serde::Serialize;

/// How often each time occurred, in microseconds, in bins that are as wide as the times are long: those
/// of an HDR histogram with `2^BITS` bins of a microsecond and half as many more for each doubling.
///
/// Unless said otherwise, times up to 4.1 ms are kept to the microsecond; a longer one is known to be in a bin
/// of which [`Bin::middle_us`] is off by 0.025 % at most. Only bins that hold something take memory (16 bytes),
/// because a path's times lie close together: a thousand endpoints take a few hundred KiB, where a thousand
/// full tables of this precision take 100 MiB. Adding two of them is exact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram<const BITS: u32 = FINE> {
    /// Number of the bin and how many times are in it, in order, none of them 0.
    bins: Vec<(u32, u64)>,
    count: u64,
}

/// One bin of a [`Histogram`] and how many times are in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bin {
    /// The shortest time that belongs to it, in microseconds.
    pub low_us: u64,
    /// The longest time that belongs to it, in microseconds.
    pub high_us: u64,
    /// How many times there are.
    pub count: u64,
}

impl Bin {
    /// The middle of the bin, rounded down.
    #[must_use]
    pub fn middle_us(&self) -> u64 {
        self.low_us + (self.high_us - self.low_us) / 2
    }
}

/// A histogram of times that scatter and of which nobody wants to know more than how long they are: off by
/// 3 % at most, in a few dozen bins.
pub type Coarse = Histogram<5>;

/// 4,096 bins up to 4.1 ms. With fewer the error of a bin is above the 0.02 ms that a path of 20 ms should be
/// known to, with more a scattered path takes more memory.
const FINE: u32 = 12;

impl<const BITS: u32> Default for Histogram<BITS> {
    fn default() -> Self {
        Self { bins: Vec::new(), count: 0 }
    }
}

impl<const BITS: u32> Histogram<BITS> {
    /// Adds a time in microseconds.
    pub fn record(&mut self, us: u64) {
        self.add(bin_of(us, BITS), 1);
    }

    /// Adds so many times of the bin that a time in microseconds is in, as [`Histogram::bins`] gave them.
    pub fn record_many(&mut self, us: u64, count: u64) {
        if count > 0 {
            self.add(bin_of(us, BITS), count);
        }
    }

    /// The shortest time that is in the same bin.
    pub(super) fn low_of(us: u64) -> u64 {
        bounds(bin_of(us, BITS), BITS).0
    }

    /// Adds all times of another.
    pub fn merge(&mut self, other: &Self) {
        other.bins.iter().for_each(|&(bin, count)| self.add(bin, count));
    }

    fn add(&mut self, bin: u32, count: u64) {
        self.count = self.count.saturating_add(count);
        match self.bins.binary_search_by_key(&bin, |(bin, _)| *bin) {
            Ok(place) => {
                if let Some((_, had)) = self.bins.get_mut(place) {
                    *had = had.saturating_add(count);
                }
            }
            Err(place) => self.bins.insert(place, (bin, count)),
        }
    }

    /// How many times there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The bins that hold something, shortest times first.
    #[must_use]
    pub fn bins(&self) -> impl ExactSizeIterator<Item = Bin> + DoubleEndedIterator + '_ {
        self.bins.iter().map(|&(bin, count)| {
            let (low_us, high_us) = bounds(bin, BITS);
            Bin { low_us, high_us, count }
        })
    }

    /// The percentile by nearest rank, `ceil(percent / 100 * count)` counted from 1: the middle of the
    /// bin that the time of that rank is in. `None` of no times.
    #[must_use]
    pub fn percentile_us(&self, percent: u64) -> Option<u64> {
        let rank = u128::from(percent) * u128::from(self.count);
        let rank = u64::try_from(rank.div_ceil(100)).unwrap_or(u64::MAX).max(1);
        let mut below = 0_u64;
        self.bins()
            .find(|bin| {
                below = below.saturating_add(bin.count);
                below >= rank
            })
            .map(|bin| bin.middle_us())
    }
}

/// The number of the bin that a time is in.
fn bin_of(us: u64, bits: u32) -> u32 {
    // How often it must be halved to fall below 2^bits.
    let halvings = (u64::BITS - us.leading_zeros()).saturating_sub(bits);
    // What is left is below 2^bits, and from the first halving on not below half of that.
    let rest = u32::try_from(us >> halvings).unwrap_or(u32::MAX);
    (halvings << (bits - 1)) + rest
}

/// The shortest and the longest time of a bin.
fn bounds(bin: u32, bits: u32) -> (u64, u64) {
    let halvings = (bin >> (bits - 1)).saturating_sub(1);
    let rest = u64::from(bin - (halvings << (bits - 1)));
    let low = rest << halvings;
    (low, low + ((1_u64 << halvings) - 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn histogram(times: &[u64]) -> Histogram {
        let mut histogram: Histogram = Histogram::default();
        times.iter().for_each(|us| histogram.record(*us));
        histogram
    }

    #[test]
    fn bins_worked_by_hand() {
        // Single microseconds up to 4095, then pairs up to 8191, then fours.
        for (us, bin, low, high) in [
            (0, 0, 0, 0),
            (4095, 4095, 4095, 4095),
            (4096, 4096, 4096, 4097),
            (4097, 4096, 4096, 4097),
            (8191, 6143, 8190, 8191),
            (8192, 6144, 8192, 8195),
            (20_001, 8644, 20_000, 20_007),
        ] {
            assert_eq!((bin_of(us, FINE), bounds(bin, FINE)), (bin, (low, high)), "{us}");
        }
        assert_eq!(bounds(bin_of(u64::MAX, FINE), FINE).1, u64::MAX);
    }

    #[test]
    fn ranks_worked_by_hand() {
        let four = histogram(&[4, 2, 9, 5]);
        let ranks = [0, 1, 25, 26, 50, 51, 99, 100].map(|percent| four.percentile_us(percent));
        assert_eq!(ranks, [2, 2, 2, 4, 4, 5, 9, 9].map(Some));
        assert_eq!(Histogram::<FINE>::default().percentile_us(50), None);
    }

    #[test]
    fn a_coarse_one_has_few_bins_however_times_scatter() {
        let mut delays = Coarse::default();
        for k in 0..100_000_u64 {
            delays.record(k * 7919 % 100_003);
        }
        // 32 of a microsecond, and 16 for each of the doublings up to 131 ms.
        assert!(delays.bins().len() <= 32 + 12 * 16, "{}", delays.bins().len());
        let median = delays.percentile_us(50).unwrap();
        assert!(median.abs_diff(50_000) <= 50_000 * 3 / 100 + 100, "{median}");
    }

    #[test]
    fn a_million_times_take_no_more_memory_than_their_bins() {
        let mut times: Histogram = Histogram::default();
        for k in 0..1_000_000_u64 {
            // From 20 to 21 ms, all different: bins of 8 us.
            times.record(20_000 + k * 7919 % 1000);
        }
        assert_eq!((times.count(), times.bins().len()), (1_000_000, 125));
    }

    proptest! {
        #[test]
        fn a_time_is_in_its_bin_and_the_bin_is_narrow(us in any::<u64>(), halvings in 0..64_u32) {
            let us = us >> halvings;
            let (low, high) = bounds(bin_of(us, FINE), FINE);
            prop_assert!((low..=high).contains(&us));
            // Half of it is the error: 0.025 %.
            prop_assert!(high - low <= us / 2048);
            prop_assert!(us == 0 || bounds(bin_of(low - 1_u64.min(low), FINE), FINE).1 + 1 == low || low == 0);
        }

        #[test]
        fn percentiles_are_those_of_the_times_themselves(
            times in prop::collection::vec(0..4096_u64, 1..200), percent in 0..=100_u64,
        ) {
            let mut sorted = times.clone();
            sorted.sort_unstable();
            let rank = (percent as usize * times.len()).div_ceil(100).max(1);
            prop_assert_eq!(histogram(&times).percentile_us(percent), Some(sorted[rank - 1]));
        }

        #[test]
        fn merged_is_as_if_recorded_together(
            left in prop::collection::vec(0..1_000_000_u64, 0..100),
            right in prop::collection::vec(0..1_000_000_u64, 0..100),
        ) {
            let mut merged = histogram(&left);
            merged.merge(&histogram(&right));
            prop_assert_eq!(&merged, &histogram(&[left, right].concat()));
            // And as if carried over bin by bin.
            let mut carried: Histogram = Histogram::default();
            merged.bins().for_each(|bin| carried.record_many(bin.low_us, bin.count));
            prop_assert_eq!(carried, merged);
        }
    }
}
