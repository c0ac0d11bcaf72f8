//! What many probes of one endpoint add up to, and what many endpoints do. Values and formulas;
//! no clock, no socket.

mod buckets;
mod histogram;
mod loss;
mod outages;
mod remark;
mod rtt;
mod service;
mod siblings;
mod state;
mod timeline;
mod verdict;
mod wire;

use std::{net::SocketAddr, time::Duration};

pub use buckets::Buckets;
pub use histogram::{Bin, Coarse, Histogram};
pub use loss::loss_interval_pct;
pub use outages::Outages;
pub use remark::{Remark, Reply};
pub use rtt::{RttSummary, Rtts, Sums};
pub use service::ServiceStats;
pub use siblings::Siblings;
pub use state::State;
pub use timeline::{Cell, Timeline};
pub use verdict::{Group, Verdict};

use crate::event::{Answer, Clock, ProbeOutcome, ProbeSample};

/// The tally of one endpoint. Warm-up probes are not in it.
///
/// `sent = answered + refused + timed_out + unreachable`. What could not be tried (`not_sent`,
/// `not_resolved`) is apart and never loss. Its memory is bounded by how different the times are, not by
/// how many there are (see [`Histogram`]).
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
    /// SYNs that were sent by the probes that timed out, where the system told.
    pub unanswered_syns: u64,
    /// What was last said of a probe that was unreachable, not sent or not resolved.
    pub error: Option<String>,
    /// The address that was last dialled.
    pub address: Option<SocketAddr>,
    /// The worst clock among the times: one that the program measured makes the whole its own.
    pub clock: Option<Clock>,
    /// The round-trip times. An answer whose time is not known (its SYN was sent again) has none.
    pub rtts: Rtts,
    /// How much later than the kernel this program noticed the answers: this machine's own delay, to 3 %.
    pub own_delay: Coarse,
    /// The times of refusals, by the program's clock.
    pub refusals: Rtts,
    /// When it did not answer.
    pub outages: Outages,
    /// What the service behind the port said, where it was asked.
    pub service: ServiceStats,
}

impl ProbeStats {
    /// Adds one probe. Warm-ups change nothing.
    pub fn record(&mut self, sample: &ProbeSample) {
        if sample.warm_up {
            return;
        }
        self.address = sample.to.or(self.address);
        self.outages.record(sample);
        if let Some(service) = &sample.service {
            self.service.record(service);
        }
        match &sample.outcome {
            ProbeOutcome::Answered(answer) => self.answer(answer),
            ProbeOutcome::Refused { after } => {
                self.refused += 1;
                self.refusals.push(micros(*after));
            }
            ProbeOutcome::TimedOut { syns } => {
                self.timed_out += 1;
                self.unanswered_syns += u64::from(syns.unwrap_or_default());
            }
            ProbeOutcome::Unreachable(why) => {
                self.unreachable += 1;
                self.error = Some(why.to_string());
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

    fn answer(&mut self, answer: &Answer) {
        self.answered += 1;
        self.retransmitted += u64::from(answer.retransmitted > 0);
        let Some(rtt) = answer.rtt else { return };
        self.rtts.push(micros(rtt));
        self.clock = self.clock.max(Some(answer.clock));
        // The wait for an answer to a second SYN is not this machine's delay.
        if answer.clock == Clock::Kernel && answer.retransmitted == 0 {
            self.own_delay.record(micros(answer.elapsed.saturating_sub(rtt)));
        }
    }

    /// Adds the tally of another run or place.
    pub fn merge(&mut self, other: &Self) {
        self.answered += other.answered;
        self.refused += other.refused;
        self.timed_out += other.timed_out;
        self.unreachable += other.unreachable;
        self.not_sent += other.not_sent;
        self.not_resolved += other.not_resolved;
        self.retransmitted += other.retransmitted;
        self.unanswered_syns += other.unanswered_syns;
        self.error = other.error.clone().or_else(|| self.error.take());
        self.address = other.address.or(self.address);
        self.clock = self.clock.max(other.clock);
        self.rtts.merge(&other.rtts);
        self.own_delay.merge(&other.own_delay);
        self.refusals.merge(&other.refusals);
        self.outages.merge(&other.outages);
        self.service.merge(&other.service);
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

    /// How many round-trip times there are.
    #[must_use]
    pub fn rtt_count(&self) -> u64 {
        self.rtts.count()
    }

    /// The median of the round-trip times, as in [`RttSummary`]; `None` where there is none.
    #[must_use]
    pub fn median_rtt_ms(&self) -> Option<f64> {
        self.rtts.percentile_ms(50)
    }

    /// The round-trip times summed up; `None` where there is none.
    #[must_use]
    pub fn rtt(&self) -> Option<RttSummary> {
        self.rtts.summary()
    }

    /// The median of this machine's own delay; `None` where it is not known.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "delays are far below 2^53 microseconds")]
    pub fn own_delay_ms(&self) -> Option<f64> {
        self.own_delay.percentile_us(50).map(|us| us as f64 / 1e3)
    }

    /// Jitter, as [`Rtts::jitter_ms`] has it.
    #[must_use]
    pub fn jitter_ms(&self) -> Option<f64> {
        self.rtts.jitter_ms()
    }
}

fn micros(time: Duration) -> u64 {
    // Half a million years.
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Unreachable;

    fn answered(ms: u64) -> ProbeOutcome {
        ProbeOutcome::Answered(Answer::kernel(Duration::from_millis(ms)))
    }

    fn unreachable() -> ProbeOutcome {
        ProbeOutcome::Unreachable(Unreachable { error: "no route".into(), icmp: None })
    }

    fn tally(outcomes: impl IntoIterator<Item = ProbeOutcome>) -> ProbeStats {
        let mut stats = ProbeStats::default();
        for outcome in outcomes {
            stats.record(&ProbeSample::of(outcome));
        }
        stats
    }

    const SILENT: ProbeOutcome = ProbeOutcome::TimedOut { syns: Some(2) };

    #[test]
    fn one_lost_of_four() {
        let stats = tally([answered(10), answered(12), SILENT, answered(11)]);
        assert_eq!((stats.sent(), stats.answered, stats.loss_pct()), (4, 3, Some(25.0)));
        assert_eq!(stats.unanswered_syns, 2);
        // Differences 2 and 1; the loss in between is skipped.
        assert_eq!(stats.jitter_ms(), Some(1.5));
        assert_eq!(stats.clock, Some(Clock::Kernel));
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
        let stats = tally([unreachable(), answered(1)]);
        assert_eq!((stats.loss_pct(), stats.error.as_deref()), (Some(50.0), Some("no route")));
    }

    #[test]
    fn warm_ups_do_not_count() {
        let mut stats = ProbeStats::default();
        stats.record(&ProbeSample { warm_up: true, ..ProbeSample::of(answered(900)) });
        assert_eq!(stats, ProbeStats::default());
    }

    #[test]
    fn a_time_that_is_not_known_is_left_out_and_the_worst_clock_wins() {
        let answer = Answer::kernel(Duration::from_millis(6));
        let again = ProbeOutcome::Answered(Answer { rtt: None, retransmitted: 2, ..answer });
        let stats = tally([answered(5), again]);
        assert_eq!((stats.answered, stats.retransmitted, stats.rtt_count()), (2, 1, 1));
        assert_eq!(stats.median_rtt_ms(), Some(5.0));
        assert_eq!(stats.clock, Some(Clock::Kernel));
        let own = ProbeOutcome::Answered(Answer { clock: Clock::Monotonic, ..answer });
        assert_eq!(tally([own, answered(5)]).clock, Some(Clock::Monotonic));
    }

    #[test]
    fn this_machines_delay_is_kept_apart_and_a_second_syn_is_none() {
        // The middle of the bin of 3,000 us, from 2,944 to 3,071.
        let answer = Answer::kernel(Duration::from_millis(20));
        let late = Answer { elapsed: Duration::from_millis(23), ..answer };
        let again = Answer { elapsed: Duration::from_millis(1020), retransmitted: 1, ..answer };
        let stats = tally([late, again].map(ProbeOutcome::Answered));
        assert_eq!((stats.own_delay.count(), stats.own_delay.percentile_us(50)), (1, Some(3007)));
        assert_eq!(stats.rtt_count(), 2);
    }

    fn any_outcome() -> impl Strategy<Value = ProbeOutcome> {
        prop_oneof![
            (0_u64..2000).prop_map(answered),
            Just(ProbeOutcome::Refused { after: Duration::from_millis(3) }),
            Just(SILENT),
            Just(unreachable()),
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

        #[test]
        fn two_runs_add_up(
            left in prop::collection::vec(any_outcome(), 0..60),
            right in prop::collection::vec(any_outcome(), 0..60),
        ) {
            let mut merged = tally(left.clone());
            merged.merge(&tally(right.clone()));
            let whole = tally([left, right].concat());
            prop_assert_eq!((merged.sent(), merged.lost(), merged.rtt()), (whole.sent(), whole.lost(), whole.rtt()));
            prop_assert_eq!((merged.not_sent, &merged.error, merged.clock), (whole.not_sent, &whole.error, whole.clock));
            prop_assert_eq!(merged.own_delay, whole.own_delay);
        }
    }
}
