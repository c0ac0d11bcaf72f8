use std::{collections::VecDeque, num::NonZeroU32, time::Duration};

use super::{Budget, Count, ProbeOptions};

/// When the probes of one endpoint start, as times since the run began. Pure: it is told the time.
///
/// Starts lie on a grid of the interval, so that they do not drift. A probe that took longer than
/// the interval is followed at once; the one after that is on the grid again.
#[derive(Debug)]
pub(super) struct Schedule {
    origin: Duration,
    interval: Duration,
    warm_up: u32,
    count: Count,
    made: u64,
    due: Duration,
    counted_from: Duration,
    budget: Option<Spent>,
}

/// One probe to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// When.
    pub(super) at: Duration,
    /// Whether it is a warm-up.
    pub(super) warm_up: bool,
}

/// A budget, and when the last probes that it allows were made.
#[derive(Debug)]
struct Spent {
    budget: Budget,
    starts: VecDeque<Duration>,
}

impl Schedule {
    /// The schedule of an endpoint whose first probe is due at `origin`.
    pub(super) fn new(options: &ProbeOptions, origin: Duration) -> Self {
        Self {
            origin,
            interval: options.interval,
            warm_up: options.warm_up,
            count: options.count,
            made: 0,
            due: origin,
            counted_from: origin,
            budget: options.budget.map(|budget| Spent { budget, starts: VecDeque::new() }),
        }
    }

    /// The next probe, now that the one before it has ended; `None` when there are no more.
    pub(super) fn next(&mut self, now: Duration) -> Option<Slot> {
        // The first is the origin of the grid, even where the clock is already past it.
        let wanted = if self.made == 0 { self.origin } else { self.due.max(now) };
        let at = self.budget.as_ref().map_or(wanted, |spent| spent.next(wanted));
        let warm_up = self.made < u64::from(self.warm_up);
        if self.made == u64::from(self.warm_up) {
            self.counted_from = at;
        }
        let counted = self.made.saturating_sub(self.warm_up.into());
        let over = match self.count {
            Count::Times(times) => counted >= times.into(),
            Count::For(time) => counted > 0 && at.saturating_sub(self.counted_from) >= time,
            Count::Endless => false,
        };
        if over && !warm_up {
            return None;
        }
        self.made += 1;
        self.due = self.after(at);
        if let Some(spent) = &mut self.budget {
            spent.spend(at);
        }
        Some(Slot { at, warm_up })
    }

    /// The probe that was last scheduled has started, which may be later than it was due.
    pub(super) fn started(&mut self, at: Duration) {
        if let Some(start) = self.budget.as_mut().and_then(|spent| spent.starts.back_mut()) {
            *start = at;
        }
    }

    /// The first point of the grid that lies after `at`.
    fn after(&self, at: Duration) -> Duration {
        if self.interval.is_zero() {
            return at;
        }
        let since = at.saturating_sub(self.origin).as_nanos() % self.interval.as_nanos();
        // A remainder is smaller than the interval, which came from a Duration.
        let since = Duration::from_nanos(u64::try_from(since).unwrap_or(u64::MAX));
        at.saturating_sub(since).saturating_add(self.interval)
    }
}

impl Spent {
    /// When the next probe may start that is wanted at this time.
    fn next(&self, wanted: Duration) -> Duration {
        if self.starts.len() < self.budget.most() {
            return wanted;
        }
        self.starts.front().map_or(wanted, |first| wanted.max(*first + self.budget.per))
    }

    fn spend(&mut self, at: Duration) {
        if self.starts.len() >= self.budget.most() {
            self.starts.pop_front();
        }
        self.starts.push_back(at);
    }
}

/// Where in the interval the first probe of an endpoint lies: those of all are spread over it evenly, so
/// that a thousand do not meet in this machine's own queue. Without an interval all start at once.
pub(super) fn head_start(interval: Duration, place: usize, of: usize) -> Duration {
    let share = interval.as_nanos() * place as u128 / of.max(1) as u128;
    // Less than the interval, which came from a Duration.
    u64::try_from(share).map_or(interval, Duration::from_nanos)
}

/// Holds all SYNs together to so many a second.
#[derive(Debug)]
pub(super) struct Pace {
    gap: Duration,
    next: Duration,
}

/// Waits are as fine as the timers of systems are, a millisecond; what was missed in two of them is made
/// up for, what was missed in a longer wait is not.
const CATCH_UP: Duration = Duration::from_millis(2);

impl Pace {
    /// No limit where there is no rate.
    pub(super) fn new(rate: Option<NonZeroU32>) -> Self {
        let gap = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.get());
        Self { gap, next: Duration::ZERO }
    }

    /// When the next SYN may go.
    pub(super) fn next(&self) -> Duration {
        self.next
    }

    /// One goes.
    pub(super) fn spend(&mut self, now: Duration) {
        if !self.gap.is_zero() {
            self.next = self.next.max(now.saturating_sub(CATCH_UP)) + self.gap;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn options(count: Count, warm_up: u32, interval: u64) -> ProbeOptions {
        ProbeOptions { count, warm_up, interval: ms(interval), ..ProbeOptions::default() }
    }

    /// The starts, in milliseconds, when each probe takes as long as `takes` says; warm-ups negative.
    fn starts(options: &ProbeOptions, takes: &[u64]) -> Vec<i64> {
        let mut schedule = Schedule::new(options, Duration::ZERO);
        let (mut now, mut starts) = (Duration::ZERO, Vec::new());
        for takes in takes.iter().cycle().take(1000) {
            let Some(slot) = schedule.next(now) else { return starts };
            let at = i64::try_from(slot.at.as_millis()).unwrap();
            starts.push(if slot.warm_up { -at } else { at });
            now = slot.at + ms(*takes);
        }
        starts
    }

    fn counted(count: Count, warm_up: u32, interval: u64, takes: &[u64]) -> Vec<i64> {
        starts(&options(count, warm_up, interval), takes)
    }

    #[test]
    fn probes_start_on_the_grid_however_long_they_take() {
        assert_eq!(counted(Count::Times(4), 0, 1000, &[30, 999, 1, 5]), [0, 1000, 2000, 3000]);
    }

    #[test]
    fn a_late_one_is_followed_at_once_and_then_the_grid_holds_again() {
        assert_eq!(counted(Count::Times(5), 0, 1000, &[2300, 10, 10, 10, 10]), [0, 2300, 3000, 4000, 5000]);
        assert_eq!(counted(Count::Times(3), 0, 1000, &[2000]), [0, 2000, 4000]);
    }

    #[test]
    fn the_first_probe_is_the_origin_of_the_grid() {
        let mut schedule = Schedule::new(&options(Count::Times(3), 0, 10), ms(7));
        // The clock is a little past it each time.
        let late = Duration::from_nanos(300);
        let at = [ms(7) + late, ms(12), ms(20)].map(|now| schedule.next(now).unwrap().at);
        assert_eq!(at, [ms(7), ms(17), ms(27)]);
        assert_eq!(schedule.next(ms(30)), None);
    }

    #[test]
    fn no_interval_is_as_fast_as_it_goes() {
        assert_eq!(counted(Count::Times(4), 0, 0, &[7]), [0, 7, 14, 21]);
    }

    #[test]
    fn warm_ups_come_first_and_are_not_counted() {
        assert_eq!(counted(Count::Times(2), 2, 100, &[1]), [0, -100, 200, 300]);
        assert_eq!(counted(Count::Times(0), 1, 100, &[1]).len(), 1);
    }

    #[test]
    fn a_time_counts_from_the_first_counted_probe() {
        assert_eq!(counted(Count::For(ms(300)), 2, 100, &[1]), [0, -100, 200, 300, 400]);
        assert_eq!(counted(Count::For(Duration::ZERO), 0, 100, &[1]), [0]);
        assert_eq!(counted(Count::For(ms(50)), 0, 100, &[500]), [0]);
        assert_eq!(counted(Count::Endless, 0, 100, &[1]).len(), 1000);
    }

    #[test]
    fn a_budget_lets_a_burst_go_and_then_waits_for_its_time_to_pass() {
        let budget = Some(Budget { probes: NonZeroU32::new(3).unwrap(), per: ms(1000) });
        let options = ProbeOptions { budget, ..options(Count::Times(7), 0, 100) };
        assert_eq!(starts(&options, &[1]), [0, 100, 200, 1000, 1100, 1200, 2000]);
    }

    #[test]
    fn first_probes_are_spread_over_the_interval() {
        let starts = [0, 1, 500, 999].map(|place| head_start(ms(250), place, 1000).as_micros());
        assert_eq!(starts, [0, 250, 125_000, 249_750]);
        assert_eq!(head_start(Duration::ZERO, 999, 1000), Duration::ZERO);
        assert_eq!(head_start(ms(250), 0, 0), Duration::ZERO);
    }

    #[test]
    fn a_rate_is_kept_and_what_a_long_wait_missed_is_not_made_up_for() {
        let mut pace = Pace::new(NonZeroU32::new(1000));
        let mut go = |now| {
            let mut gone = 0;
            while pace.next() <= ms(now) {
                pace.spend(ms(now));
                gone += 1;
            }
            gone
        };
        assert_eq!([0, 1, 2, 5, 100].map(&mut go), [1, 1, 1, 3, 3]);
        let mut free = Pace::new(None);
        free.spend(ms(5));
        assert_eq!(free.next(), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn probes_never_overlap_and_are_as_many_as_asked(
            times in 0_u32..50, warm_up in 0_u32..5, interval in 0_u64..500,
            takes in prop::collection::vec(0_u64..2000, 1..20),
        ) {
            let mut schedule = Schedule::new(&options(Count::Times(times), warm_up, interval), Duration::ZERO);
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
        fn the_grid_has_no_point_twice(at in any::<u64>(), origin in any::<u64>(), interval in any::<u64>()) {
            let nanos = Duration::from_nanos;
            let options = ProbeOptions { interval: nanos(interval), ..ProbeOptions::default() };
            let at = nanos(at.max(origin));
            let next = Schedule::new(&options, nanos(origin)).after(at);
            prop_assert!(next > at || interval == 0);
            prop_assert!(next - at <= nanos(interval));
        }

        #[test]
        fn no_time_ever_sees_more_than_the_budget(
            probes in 1_u32..6, per in 1_u64..1000, interval in 0_u64..300,
            takes in prop::collection::vec(0_u64..400, 1..20),
        ) {
            let probes = NonZeroU32::new(probes).unwrap();
            let budget = Some(Budget { probes, per: ms(per) });
            let options = ProbeOptions { budget, ..options(Count::Times(60), 0, interval) };
            let starts = starts(&options, &takes);
            for window in starts.windows(probes.get() as usize + 1) {
                prop_assert!(window[window.len() - 1] - window[0] >= i64::try_from(per).unwrap());
            }
        }
    }
}
