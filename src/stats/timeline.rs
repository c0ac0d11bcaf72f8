use std::time::Duration;

use super::micros;
use crate::event::{ProbeOutcome, ProbeSample, ServiceOutcome};

/// Columns that a run has at most. On a page of 960 pixels each is 4 wide, the least that is still seen
/// as a cell; and a thousand endpoints take 12 MiB, however long the run is.
const COLUMNS: usize = 240;

/// Columns are not narrower than this: probes that follow each other faster are one to the eye.
const NARROWEST: Duration = Duration::from_millis(1);

/// What became of the probes of each endpoint, over the time of the run: a cell per endpoint and column of
/// time, in memory that does not grow with the run.
///
/// Columns are so wide that each probe of an endpoint has its own, at first. Where the run grows past
/// 240 of them, neighbours are merged two to one, and a column is twice as wide from then on. Warm-up
/// probes are not in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline {
    /// A row per endpoint, as long as the last of its probes wants it.
    rows: Vec<Vec<Cell>>,
    width: Duration,
}

/// The probes of one endpoint that began within one column of time.
///
/// Of their round-trip times the longest is kept, as what is looked for is what went wrong: a spike must not
/// vanish where cells are merged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cell {
    /// Probes that were answered, those whose SYN was sent again among them.
    pub answered: u32,
    /// Answered probes whose SYN had to be sent again.
    pub retransmitted: u32,
    /// Answered probes behind which the service did not say what it should.
    pub service_down: u32,
    /// Probes that were refused.
    pub refused: u32,
    /// Probes that nothing came back for.
    pub timed_out: u32,
    /// Probes that were turned away on the way, or by this machine's routing.
    pub unreachable: u32,
    /// Probes that this machine could not make.
    pub not_sent: u32,
    /// Times that the name had no address.
    pub not_resolved: u32,
    /// Round-trip times there are.
    pub timed: u32,
    /// The longest of them, in microseconds; 0 where there is none.
    pub longest_us: u32,
    /// Their sum, in microseconds.
    pub sum_us: u64,
}

impl Timeline {
    /// Nothing yet, of so many endpoints that are probed each `interval`.
    #[must_use]
    pub fn new(endpoints: usize, interval: Duration) -> Self {
        Self { rows: vec![Vec::new(); endpoints], width: interval.max(NARROWEST) }
    }

    /// Adds a probe of the endpoint at this place. Warm-ups, and places that there are not, change nothing.
    pub fn record(&mut self, index: usize, sample: &ProbeSample) {
        if sample.warm_up || index >= self.rows.len() {
            return;
        }
        let mut column = self.column(sample.start);
        while column >= COLUMNS {
            self.halve();
            column = self.column(sample.start);
        }
        let Some(row) = self.rows.get_mut(index) else { return };
        if row.len() <= column {
            row.resize(column + 1, Cell::default());
        }
        if let Some(cell) = row.get_mut(column) {
            cell.record(sample);
        }
    }

    /// The column that a time is in. The width is never 0.
    fn column(&self, start: Duration) -> usize {
        let column = start.as_nanos().checked_div(self.width.as_nanos()).unwrap_or_default();
        usize::try_from(column).unwrap_or(usize::MAX)
    }

    /// Merges neighbouring columns two to one.
    fn halve(&mut self) {
        self.width = self.width.saturating_mul(2);
        for row in &mut self.rows {
            let merged = row.chunks(2).map(|pair| {
                pair.iter().fold(Cell::default(), |mut sum, cell| {
                    sum.merge(cell);
                    sum
                })
            });
            *row = merged.collect();
        }
    }

    /// How much time a column stands for: column `k` is from `k` to `k + 1` times this.
    #[must_use]
    pub fn width(&self) -> Duration {
        self.width
    }

    /// How many columns there are, up to the last probe of all.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.rows.iter().map(Vec::len).max().unwrap_or_default()
    }

    /// The cells of each endpoint, in order of the endpoints. A row ends with the endpoint's last probe.
    #[must_use]
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[Cell]> + '_ {
        self.rows.iter().map(Vec::as_slice)
    }
}

impl Cell {
    fn record(&mut self, sample: &ProbeSample) {
        let count = match &sample.outcome {
            ProbeOutcome::Answered(answer) => {
                let second = u32::from(answer.retransmitted > 0);
                self.retransmitted = self.retransmitted.saturating_add(second);
                if let Some(rtt) = answer.rtt {
                    self.timed = self.timed.saturating_add(1);
                    self.longest_us = self.longest_us.max(u32::try_from(micros(rtt)).unwrap_or(u32::MAX));
                    self.sum_us = self.sum_us.saturating_add(micros(rtt));
                }
                let up = |service: &ServiceOutcome| matches!(service, ServiceOutcome::Answered { .. });
                let down = u32::from(sample.service.as_ref().is_some_and(|service| !up(service)));
                self.service_down = self.service_down.saturating_add(down);
                &mut self.answered
            }
            ProbeOutcome::Refused { .. } => &mut self.refused,
            ProbeOutcome::TimedOut { .. } => &mut self.timed_out,
            ProbeOutcome::Unreachable(_) => &mut self.unreachable,
            ProbeOutcome::NotSent(_) => &mut self.not_sent,
            ProbeOutcome::NotResolved(_) => &mut self.not_resolved,
        };
        *count = count.saturating_add(1);
    }

    /// Adds the probes of another cell.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.answered, other.answered),
            (&mut self.retransmitted, other.retransmitted),
            (&mut self.service_down, other.service_down),
            (&mut self.refused, other.refused),
            (&mut self.timed_out, other.timed_out),
            (&mut self.unreachable, other.unreachable),
            (&mut self.not_sent, other.not_sent),
            (&mut self.not_resolved, other.not_resolved),
            (&mut self.timed, other.timed),
        ] {
            *mine = mine.saturating_add(theirs);
        }
        self.longest_us = self.longest_us.max(other.longest_us);
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// All probes in it, those that could not be made too.
    #[must_use]
    pub fn probes(&self) -> u64 {
        let all =
            [self.answered, self.refused, self.timed_out, self.unreachable, self.not_sent, self.not_resolved];
        all.into_iter().map(u64::from).sum()
    }

    /// The mean of the round-trip times in milliseconds; `None` where there is none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
    pub fn mean_ms(&self) -> Option<f64> {
        (self.timed > 0).then(|| self.sum_us as f64 / f64::from(self.timed) / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        event::{Answer, Clock, Unreachable},
        stats::ProbeStats,
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn answered(rtt: Option<u64>, retransmitted: u32) -> ProbeOutcome {
        let rtt = rtt.map(Duration::from_micros);
        let clock = Clock::Kernel;
        ProbeOutcome::Answered(Answer { rtt, clock, elapsed: Duration::ZERO, retransmitted })
    }

    fn sample(start: Duration, outcome: ProbeOutcome) -> ProbeSample {
        ProbeSample { start, ..ProbeSample::of(outcome) }
    }

    fn total(row: &[Cell]) -> Cell {
        row.iter().fold(Cell::default(), |mut sum, cell| {
            sum.merge(cell);
            sum
        })
    }

    #[test]
    fn each_probe_has_a_cell_until_there_are_too_many() {
        let mut timeline = Timeline::new(2, SECOND);
        for second in 0..240 {
            timeline.record(0, &sample(second * SECOND, answered(Some(u64::from(second)), 0)));
        }
        assert_eq!((timeline.columns(), timeline.width()), (240, SECOND));
        assert!(timeline.rows().next().unwrap().iter().all(|cell| cell.answered == 1));
        timeline.record(1, &sample(240 * SECOND, ProbeOutcome::TimedOut { syns: None }));
        assert_eq!((timeline.columns(), timeline.width()), (121, 2 * SECOND));
        let rows: Vec<_> = timeline.rows().collect();
        assert_eq!((rows[0].len(), rows[0][119].answered, rows[0][119].longest_us), (120, 2, 239));
        assert_eq!(rows[0][119].mean_ms(), Some(0.2385));
        assert_eq!((rows[1].len(), rows[1][120].timed_out, rows[1][119]), (121, 1, Cell::default()));
    }

    #[test]
    fn what_is_behind_the_port_is_told_apart_and_warm_ups_are_not_there() {
        let mut timeline = Timeline::new(1, Duration::ZERO);
        let good = sample(Duration::ZERO, answered(Some(5), 0));
        timeline.record(0, &ProbeSample { service: Some(ServiceOutcome::Silent), ..good.clone() });
        timeline.record(0, &ProbeSample { warm_up: true, ..good.clone() });
        timeline.record(1, &good);
        let cell = timeline.rows().next().unwrap()[0];
        assert_eq!((cell.probes(), cell.answered, cell.service_down, cell.timed), (1, 1, 1, 1));
        assert_eq!(timeline.width(), NARROWEST);
    }

    fn any_outcome() -> impl Strategy<Value = ProbeOutcome> {
        prop_oneof![
            (prop::option::of(0..5_000_000_u64), 0..3_u32).prop_map(|(rtt, again)| answered(rtt, again)),
            Just(ProbeOutcome::Refused { after: Duration::ZERO }),
            Just(ProbeOutcome::TimedOut { syns: Some(2) }),
            Just(ProbeOutcome::Unreachable(Unreachable { error: "no route".into(), icmp: None })),
            Just(ProbeOutcome::NotResolved("no name".into())),
            Just(ProbeOutcome::NotSent("no handle".into())),
        ]
    }

    proptest! {
        #[test]
        fn no_probe_is_lost_however_long_the_run_is(
            // From a microsecond to a year, in any order.
            probes in prop::collection::vec((0..3_usize, 0..45_u32, any::<u64>(), any_outcome()), 0..300),
            interval_ms in 0..2000_u64,
        ) {
            let mut timeline = Timeline::new(3, Duration::from_millis(interval_ms));
            let mut stats = vec![ProbeStats::default(); 3];
            let mut longest = [0; 3];
            let mut last = Duration::ZERO;
            for (index, bits, random, outcome) in probes {
                let start = Duration::from_micros(random & ((1 << bits) - 1));
                let sample = sample(start, outcome);
                timeline.record(index, &sample);
                stats[index].record(&sample);
                longest[index] = longest[index].max(sample.outcome.rtt().map_or(0, |rtt| rtt.as_micros() as u32));
                last = last.max(start);
            }
            prop_assert!(timeline.columns() <= COLUMNS);
            // The last probe is in the last column.
            let end = timeline.width() * timeline.columns() as u32;
            prop_assert!(timeline.columns() == 0 || (end > last && end - timeline.width() <= last));
            for ((row, stats), longest) in timeline.rows().zip(&stats).zip(longest) {
                let sum = total(row);
                prop_assert_eq!(u64::from(sum.answered), stats.answered);
                prop_assert_eq!(u64::from(sum.retransmitted), stats.retransmitted);
                prop_assert_eq!(u64::from(sum.refused), stats.refused);
                prop_assert_eq!(u64::from(sum.timed_out), stats.timed_out);
                prop_assert_eq!(u64::from(sum.unreachable), stats.unreachable);
                prop_assert_eq!(u64::from(sum.not_sent), stats.not_sent);
                prop_assert_eq!(u64::from(sum.not_resolved), stats.not_resolved);
                prop_assert_eq!(u64::from(sum.timed), stats.rtt_count());
                prop_assert_eq!((sum.sum_us, sum.longest_us), (stats.rtts.sums().sum_us, longest));
                prop_assert_eq!(sum.probes(), stats.sent() + stats.not_sent + stats.not_resolved);
            }
        }
    }
}
