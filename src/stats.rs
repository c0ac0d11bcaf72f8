//! What many probes of one endpoint add up to, and what many endpoints do. Values and formulas;
//! no clock, no socket.

mod rtt;
mod siblings;
mod verdict;

pub use rtt::RttSummary;
use rtt::Rtts;
pub use siblings::Siblings;
pub use verdict::{State, Verdict};

use crate::event::{Clock, ProbeEvent, ProbeOutcome};

/// The tally of one endpoint. Warm-up probes are not in it.
///
/// `sent = answered + refused + timed_out + unreachable`. What could not be tried (`not_sent`,
/// `not_resolved`) is apart and never loss. However many probes there are, it takes about
/// 50 KiB where times are up to a second, and 90 KiB where they are up to a minute.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProbeStats {
    /// Probes whose SYN was answered.
    pub answered: u64,
    /// Probes that were refused (RST).
    pub refused: u64,
    /// Probes that nothing came back for within the time limit.
    pub timed_out: u64,
    /// Probes that a router, a firewall or this machine's routing turned away.
    pub unreachable: u64,
    /// Probes that this machine could not make.
    pub not_sent: u64,
    /// Times that the frontend's name had no address.
    pub not_resolved: u64,
    /// Answered probes whose SYN had to be sent again.
    pub retransmitted: u64,
    /// What was last said of a probe that was unreachable, not sent or not resolved.
    pub error: Option<String>,
    clock: Option<Clock>,
    rtts: Rtts,
}

impl ProbeStats {
    /// Adds one probe. Warm-ups change nothing.
    pub fn record(&mut self, event: &ProbeEvent) {
        if event.warm_up {
            return;
        }
        match &event.outcome {
            ProbeOutcome::Answered { rtt, clock, retransmitted } => {
                self.answered += 1;
                self.retransmitted += u64::from(*retransmitted > 0);
                if let Some(rtt) = rtt {
                    self.rtts.push(rtt.as_secs_f64() * 1e3);
                    self.clock = self.clock.max(Some(*clock));
                }
            }
            ProbeOutcome::Refused { .. } => self.refused += 1,
            ProbeOutcome::TimedOut => self.timed_out += 1,
            ProbeOutcome::Unreachable(text) => {
                self.unreachable += 1;
                self.error = Some(text.clone());
            }
            ProbeOutcome::NotResolved(text) => {
                self.not_resolved += 1;
                self.error = Some(text.clone());
            }
            ProbeOutcome::NotSent(text) => {
                self.not_sent += 1;
                self.error = Some(text.clone());
            }
        }
    }

    /// Probes that were made.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.answered + self.refused + self.lost()
    }

    /// Probes that did not get there and back: timed out, or turned away on the way or by this
    /// machine's routing. A refusal is an answer, so it is no loss, and neither is what was never
    /// sent.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.timed_out + self.unreachable
    }

    /// `100 * lost / sent`; `None` where nothing was sent.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "nobody sends 2^53 probes")]
    pub fn loss_pct(&self) -> Option<f64> {
        (self.sent() > 0).then(|| 100.0 * self.lost() as f64 / self.sent() as f64)
    }

    /// How many round-trip times there are. An answer whose time is not known (its SYN was sent again)
    /// has none.
    #[must_use]
    pub fn rtt_count(&self) -> u64 {
        self.rtts.count()
    }

    /// The median of the round-trip times, as in [`RttSummary`]; `None` where there is none.
    #[must_use]
    pub fn median_rtt_ms(&self) -> Option<f64> {
        self.rtts.median_ms()
    }

    /// The round-trip times summed up; `None` where there is none.
    #[must_use]
    pub fn rtt(&self) -> Option<RttSummary> {
        self.rtts.summary()
    }

    /// Jitter: the mean absolute difference between each answer's time and the one before it, of all of
    /// them. A lost probe in between is skipped. `None` for fewer than two times.
    #[must_use]
    pub fn jitter_ms(&self) -> Option<f64> {
        self.rtts.jitter_ms()
    }

    /// The worst clock among the times: one that the program measured makes the whole its own.
    #[must_use]
    pub fn clock(&self) -> Option<Clock> {
        self.clock
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn answered(ms: u64) -> ProbeOutcome {
        let rtt = Some(Duration::from_millis(ms));
        ProbeOutcome::Answered { rtt, clock: Clock::Kernel, retransmitted: 0 }
    }

    fn tally(outcomes: impl IntoIterator<Item = ProbeOutcome>) -> ProbeStats {
        let mut stats = ProbeStats::default();
        for outcome in outcomes {
            stats.record(&ProbeEvent { index: 0, warm_up: false, outcome });
        }
        stats
    }

    #[test]
    fn one_lost_of_four() {
        let stats = tally([answered(10), answered(12), ProbeOutcome::TimedOut, answered(11)]);
        assert_eq!((stats.sent(), stats.answered, stats.loss_pct()), (4, 3, Some(25.0)));
        // Differences 2 and 1; the loss in between is skipped.
        assert_eq!(stats.jitter_ms(), Some(1.5));
        assert_eq!(stats.clock(), Some(Clock::Kernel));
    }

    #[test]
    fn what_was_not_sent_is_no_loss_and_a_refusal_is_none_either() {
        let stats = tally([
            ProbeOutcome::NotSent("no file handle".into()),
            ProbeOutcome::Refused { after: Duration::ZERO },
        ]);
        assert_eq!((stats.sent(), stats.not_sent, stats.loss_pct()), (1, 1, Some(0.0)));
        let stats = tally([ProbeOutcome::NotResolved("no such name".into())]);
        assert_eq!((stats.sent(), stats.loss_pct()), (0, None));
        let stats = tally([ProbeOutcome::Unreachable("no route".into()), answered(1)]);
        assert_eq!((stats.loss_pct(), stats.error.as_deref()), (Some(50.0), Some("no route")));
    }

    #[test]
    fn warm_ups_do_not_count() {
        let mut stats = ProbeStats::default();
        stats.record(&ProbeEvent { index: 0, warm_up: true, outcome: answered(900) });
        assert_eq!(stats, ProbeStats::default());
    }

    #[test]
    fn a_time_that_is_not_known_is_left_out_and_the_worst_clock_wins() {
        let again = ProbeOutcome::Answered { rtt: None, clock: Clock::Monotonic, retransmitted: 2 };
        let stats = tally([answered(5), again]);
        assert_eq!((stats.answered, stats.retransmitted, stats.rtt_count()), (2, 1, 1));
        assert_eq!(stats.median_rtt_ms(), Some(5.0));
        assert_eq!(stats.clock(), Some(Clock::Kernel));
        let rtt = Some(Duration::from_millis(6));
        let own = ProbeOutcome::Answered { rtt, clock: Clock::Monotonic, retransmitted: 0 };
        assert_eq!(tally([own, answered(5)]).clock(), Some(Clock::Monotonic));
    }

    fn any_outcome() -> impl Strategy<Value = ProbeOutcome> {
        prop_oneof![
            (0_u64..2000).prop_map(answered),
            Just(ProbeOutcome::Refused { after: Duration::ZERO }),
            Just(ProbeOutcome::TimedOut),
            Just(ProbeOutcome::Unreachable("no route".into())),
            Just(ProbeOutcome::NotResolved("no name".into())),
            Just(ProbeOutcome::NotSent("no handle".into())),
        ]
    }

    proptest! {
        #[test]
        fn every_probe_is_counted_once(outcomes in prop::collection::vec(any_outcome(), 0..60)) {
            let count = outcomes.len() as u64;
            let stats = tally(outcomes);
            prop_assert_eq!(stats.sent() + stats.not_sent + stats.not_resolved, count);
            prop_assert_eq!(stats.loss_pct().is_some(), stats.sent() > 0);
            prop_assert!(stats.loss_pct().is_none_or(|pct| (0.0..=100.0).contains(&pct)));
        }
    }
}
