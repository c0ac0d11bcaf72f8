use std::time::Duration;

use super::{Count, ProbeOptions};

/// When the probes of one endpoint start, as times since its first. Pure: it is told the time.
///
/// Starts lie on a grid of the interval, so that they do not drift. A probe that took longer than
/// the interval is followed at once; the one after that is on the grid again.
#[derive(Debug)]
pub(super) struct Schedule {
    interval: Duration,
    warm_up: u32,
    count: Count,
    made: u32,
    due: Duration,
    counted_from: Duration,
}

/// One probe to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// When.
    pub(super) at: Duration,
    /// Whether it is a warm-up.
    pub(super) warm_up: bool,
}

impl Schedule {
    pub(super) fn new(options: &ProbeOptions) -> Self {
        Self {
            interval: options.interval,
            warm_up: options.warm_up,
            count: options.count,
            made: 0,
            due: Duration::ZERO,
            counted_from: Duration::ZERO,
        }
    }

    /// The next probe, now that the one before it has ended; `None` when there are no more.
    pub(super) fn next(&mut self, now: Duration) -> Option<Slot> {
        // The first is the origin of the grid, even where the caller's clock is already past it.
        let at = if self.made == 0 { Duration::ZERO } else { self.due.max(now) };
        let warm_up = self.made < self.warm_up;
        if self.made == self.warm_up {
            self.counted_from = at;
        }
        let counted = self.made.saturating_sub(self.warm_up);
        let over = match self.count {
            Count::Times(times) => counted >= times,
            Count::For(time) => counted > 0 && at.saturating_sub(self.counted_from) >= time,
        };
        if over && !warm_up {
            return None;
        }
        self.made = self.made.saturating_add(1);
        self.due = after(at, self.interval);
        Some(Slot { at, warm_up })
    }
}

/// The first point of the grid that lies after `at`.
fn after(at: Duration, interval: Duration) -> Duration {
    if interval.is_zero() {
        return at;
    }
    let since = at.as_nanos() % interval.as_nanos();
    // A remainder is smaller than the interval, which came from a Duration.
    let since = Duration::from_nanos(u64::try_from(since).unwrap_or(u64::MAX));
    (at - since.min(at)).saturating_add(interval)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// The starts, in milliseconds, when each probe takes as long as `takes` says; warm-ups negative.
    fn starts(count: Count, warm_up: u32, interval: u64, takes: &[u64]) -> Vec<i64> {
        let options = ProbeOptions { count, warm_up, interval: ms(interval), timeout: ms(1) };
        let mut schedule = Schedule::new(&options);
        let (mut now, mut starts) = (Duration::ZERO, Vec::new());
        for takes in takes.iter().cycle().take(1000) {
            let Some(slot) = schedule.next(now) else { return starts };
            let at = i64::try_from(slot.at.as_millis()).unwrap();
            starts.push(if slot.warm_up { -at } else { at });
            now = slot.at + ms(*takes);
        }
        starts
    }

    #[test]
    fn probes_start_on_the_grid_however_long_they_take() {
        assert_eq!(starts(Count::Times(4), 0, 1000, &[30, 999, 1, 5]), [0, 1000, 2000, 3000]);
    }

    #[test]
    fn a_late_one_is_followed_at_once_and_then_the_grid_holds_again() {
        assert_eq!(starts(Count::Times(5), 0, 1000, &[2300, 10, 10, 10, 10]), [0, 2300, 3000, 4000, 5000]);
        assert_eq!(starts(Count::Times(3), 0, 1000, &[2000]), [0, 2000, 4000]);
    }

    #[test]
    fn the_first_probe_is_the_origin_of_the_grid() {
        let options =
            ProbeOptions { count: Count::For(ms(10)), warm_up: 0, interval: ms(10), timeout: ms(1) };
        let mut schedule = Schedule::new(&options);
        let first = schedule.next(Duration::from_nanos(300));
        assert_eq!(first, Some(Slot { at: Duration::ZERO, warm_up: false }));
        assert_eq!(schedule.next(ms(5)), None);
    }

    #[test]
    fn no_interval_is_as_fast_as_it_goes() {
        assert_eq!(starts(Count::Times(4), 0, 0, &[7]), [0, 7, 14, 21]);
    }

    #[test]
    fn warm_ups_come_first_and_are_not_counted() {
        assert_eq!(starts(Count::Times(2), 2, 100, &[1]), [0, -100, 200, 300]);
        assert_eq!(starts(Count::Times(0), 1, 100, &[1]).len(), 1);
    }

    #[test]
    fn a_time_counts_from_the_first_counted_probe() {
        assert_eq!(starts(Count::For(ms(300)), 2, 100, &[1]), [0, -100, 200, 300, 400]);
        assert_eq!(starts(Count::For(Duration::ZERO), 0, 100, &[1]), [0]);
        assert_eq!(starts(Count::For(ms(50)), 0, 100, &[500]), [0]);
    }

    proptest! {
        #[test]
        fn probes_never_overlap_and_are_as_many_as_asked(
            times in 0_u32..50, warm_up in 0_u32..5, interval in 0_u64..500,
            takes in prop::collection::vec(0_u64..2000, 1..20),
        ) {
            let options = ProbeOptions { count: Count::Times(times), warm_up, interval: ms(interval), timeout: ms(1) };
            let mut schedule = Schedule::new(&options);
            let (mut now, mut made) = (Duration::ZERO, 0);
            let mut takes = takes.iter().cycle();
            while let Some(slot) = schedule.next(now) {
                prop_assert!(slot.at >= now);
                now = slot.at + ms(*takes.next().unwrap());
                made += 1;
            }
            prop_assert_eq!(made, times + warm_up);
        }

        #[test]
        fn the_grid_has_no_point_twice(at in any::<u64>(), interval in any::<u64>()) {
            let (at, interval) = (Duration::from_nanos(at), Duration::from_nanos(interval));
            let next = after(at, interval);
            prop_assert!(next > at || interval.is_zero());
            prop_assert!(next - at <= interval);
        }
    }
}
