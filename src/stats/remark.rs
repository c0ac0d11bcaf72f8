use std::fmt;

use super::{Coarse, ProbeStats, Siblings, loss_interval_pct, siblings::median};
use crate::natmap::{Endpoint, display_endpoints};

/// Something that only a look at all endpoints together shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Remark {
    /// Some are slow among their siblings.
    Slow {
        /// Which, as a set.
        set: String,
        /// The fewest times that one of them is judged by.
        times: u64,
        /// What is usual.
        siblings: Siblings,
    },
    /// Some are refused, or answered for by nobody who speaks, much sooner than the others answer: the
    /// reply comes from something nearer than the instances.
    OnTheWay {
        /// Which, as a set.
        set: String,
        /// What came too soon.
        reply: Reply,
        /// The median of the times that it took, in milliseconds.
        after_ms: f64,
        /// The median of the times that the others take to answer, in milliseconds.
        others_ms: f64,
    },
    /// SYNs had to be sent again.
    Resent {
        /// Answers that needed it.
        resent: u64,
        /// All answers.
        answered: u64,
    },
    /// This machine was slow to notice answers: its own clock, not the kernel's, is off by that much.
    SlowMachine {
        /// The median of how much later, in milliseconds.
        delay_ms: f64,
    },
}

/// What may come from something on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// A refusal.
    Refusal,
    /// An answered port, with no service behind it.
    Answer,
}

/// A delay of its own that a machine should be told of: what is below it nobody sees in a network's times.
const SLOW_MACHINE_MS: f64 = 1.0;
/// How much nearer something on the way must be: in half the time, and sooner by more than a busy machine's
/// own clock is off.
const NEARER: f64 = 0.5;
const SOONER_MS: f64 = 1.0;

impl Remark {
    /// What there is to be said of endpoints by their statistics.
    #[must_use]
    pub fn all_of(endpoints: &[Endpoint], stats: &[ProbeStats]) -> Vec<Self> {
        let both = || endpoints.iter().zip(stats);
        [
            slow(both()),
            on_the_way(both(), Reply::Refusal),
            on_the_way(both(), Reply::Answer),
            resent(stats),
            slow_machine(stats),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn slow<'a>(all: impl Iterator<Item = (&'a Endpoint, &'a ProbeStats)> + Clone) -> Option<Remark> {
    let siblings = Siblings::of(all.clone().map(|(_, stats)| stats))?;
    let slow: Vec<_> = all.filter(|(_, stats)| siblings.is_slow(stats)).collect();
    let times = slow.iter().map(|(_, stats)| stats.rtt_count()).min()?;
    Some(Remark::Slow { set: set_of(&slow), times, siblings })
}

fn on_the_way<'a>(
    all: impl Iterator<Item = (&'a Endpoint, &'a ProbeStats)> + Clone,
    reply: Reply,
) -> Option<Remark> {
    // Where services were asked, only those that spoke are known to be the instances.
    let spoken = |stats: &ProbeStats| stats.service.asked() == 0 || stats.service.answered > 0;
    let of_others = all.clone().filter(|(_, stats)| spoken(stats)).filter_map(|(_, s)| s.median_rtt_ms());
    let others_ms = median(&mut of_others.collect::<Vec<_>>())?;
    let soon = |stats: &ProbeStats| {
        let after = match reply {
            Reply::Refusal => stats.refusals.percentile_ms(50),
            Reply::Answer => stats.median_rtt_ms().filter(|_| !spoken(stats)),
        };
        after.filter(|after| *after < others_ms * NEARER && *after < others_ms - SOONER_MS)
    };
    let found: Vec<_> = all.filter_map(|(endpoint, stats)| Some(((endpoint, stats), soon(stats)?))).collect();
    let after_ms = median(&mut found.iter().map(|(_, after)| *after).collect::<Vec<_>>())?;
    let set = set_of(&found.into_iter().map(|(one, _)| one).collect::<Vec<_>>());
    Some(Remark::OnTheWay { set, reply, after_ms, others_ms })
}

fn resent(stats: &[ProbeStats]) -> Option<Remark> {
    let resent = stats.iter().map(|stats| stats.retransmitted).sum();
    let answered = stats.iter().map(|stats| stats.answered).sum();
    (resent > 0).then_some(Remark::Resent { resent, answered })
}

#[expect(clippy::cast_precision_loss, reason = "delays are far below 2^53 microseconds")]
fn slow_machine(stats: &[ProbeStats]) -> Option<Remark> {
    let mut delays = Coarse::default();
    stats.iter().for_each(|stats| delays.merge(&stats.own_delay));
    let delay_ms = delays.percentile_us(50)? as f64 / 1e3;
    (delay_ms > SLOW_MACHINE_MS).then_some(Remark::SlowMachine { delay_ms })
}

fn set_of(found: &[(&Endpoint, &ProbeStats)]) -> String {
    display_endpoints(&found.iter().map(|(endpoint, _)| *endpoint).collect::<Vec<_>>())
}

/// A part of a sentence.
impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slow { set, times, siblings: Siblings { median_ms, limit_ms } } => write!(
                f,
                "slow: {set} (from {times} times; the others' median is {median_ms:.2} ms, \
                 slow is above {limit_ms:.2} ms)"
            ),
            Self::OnTheWay { set, reply, after_ms, others_ms } => {
                let what = match reply {
                    Reply::Refusal => "refused",
                    Reply::Answer => "answered without a word from the service",
                };
                write!(
                    f,
                    "not by the instance: {set} ({what} in {after_ms:.2} ms where others take {others_ms:.2} ms: \
                     by a firewall or load balancer on the way)"
                )
            }
            Self::Resent { resent, answered } => {
                write!(f, "{resent} of {answered} answers needed a second SYN")?;
                if let Some((low, high)) = loss_interval_pct(*resent, *answered) {
                    write!(f, " (95 % sure of {low:.1} to {high:.1} %)")?;
                }
                write!(f, ": loss, throttled SYNs or a full accept queue")
            }
            Self::SlowMachine { delay_ms } => write!(
                f,
                "this machine is slow, the path is not: it noticed answers {delay_ms:.1} ms late (median), \
                 the times are the kernel's"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        event::{Answer, ProbeOutcome, ProbeSample, ServiceOutcome},
        natmap::InstanceId,
    };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn answered(rtt: u64) -> ProbeSample {
        ProbeSample::of(ProbeOutcome::Answered(Answer::kernel(ms(rtt))))
    }

    fn refused(after: u64) -> ProbeSample {
        ProbeSample::of(ProbeOutcome::Refused { after: ms(after) })
    }

    /// The remarks on instances with four such probes each.
    fn remarks(samples: &[ProbeSample]) -> Vec<String> {
        let endpoints: Vec<_> = (0..samples.len())
            .map(|k| Endpoint {
                instance: Some(InstanceId::from(k)),
                name: None,
                vm_id: None,
                host: "20.1.2.3".parse().unwrap(),
                port: (50000 + k as u64).try_into().unwrap(),
            })
            .collect();
        let mut stats = vec![ProbeStats::default(); samples.len()];
        for (stats, sample) in stats.iter_mut().zip(samples) {
            (0..4).for_each(|_| stats.record(sample));
        }
        Remark::all_of(&endpoints, &stats).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nothing_to_say_is_not_said() {
        assert!(remarks(&vec![answered(20); 8]).is_empty());
        assert!(remarks(&[]).is_empty());
    }

    #[test]
    fn a_slow_one_is_named_with_what_it_is_judged_by() {
        let mut samples = vec![answered(2); 12];
        samples[3] = answered(60);
        assert_eq!(
            remarks(&samples),
            ["slow: 3 (from 4 times; the others' median is 2.00 ms, slow is above 3.00 ms)"]
        );
    }

    #[test]
    fn a_refusal_much_sooner_than_the_others_answers_comes_from_the_way() {
        assert_eq!(
            remarks(&[answered(20), answered(22), refused(3), refused(5)]),
            [
                "not by the instance: 2-3 (refused in 3.00 ms where others take 20.00 ms: by a firewall or load balancer \
              on the way)"
            ]
        );
        // As soon as an instance would, or so near that clocks decide, or with nobody to compare with.
        assert!(remarks(&[answered(20), refused(15)]).is_empty());
        assert!(remarks(&[answered(1), refused(0)]).is_empty());
        assert!(remarks(&[refused(3), refused(5)]).is_empty());
    }

    #[test]
    fn a_port_that_answers_sooner_than_those_that_speak_is_answered_on_the_way() {
        let said = |rtt, service| ProbeSample { service: Some(service), ..answered(rtt) };
        let speaks = ServiceOutcome::Answered { after: ms(1), said: "SSH-2.0-x".into() };
        let found = remarks(&[said(20, speaks.clone()), said(2, ServiceOutcome::Silent), said(20, speaks)]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("not by the instance: 1 (answered without a word"), "{found:?}");
        assert!(remarks(&[said(20, ServiceOutcome::Silent), said(2, ServiceOutcome::Silent)]).is_empty());
    }

    #[test]
    fn lost_syns_and_a_slow_machine_are_said() {
        let answer = Answer { retransmitted: 1, elapsed: ms(1020), ..Answer::kernel(ms(20)) };
        assert_eq!(
            remarks(&[ProbeSample::of(ProbeOutcome::Answered(answer)), answered(20)]),
            [
                "4 of 8 answers needed a second SYN (95 % sure of 21.5 to 78.5 %): loss, throttled SYNs or a full accept \
              queue"
            ]
        );
        let answer = Answer { elapsed: ms(24), ..Answer::kernel(ms(20)) };
        assert_eq!(
            remarks(&[ProbeSample::of(ProbeOutcome::Answered(answer))]),
            [
                "this machine is slow, the path is not: it noticed answers 4.0 ms late (median), the times are the \
              kernel's"
            ]
        );
    }
}
