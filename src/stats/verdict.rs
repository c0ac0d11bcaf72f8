use std::fmt;

use super::{ProbeStats, Siblings};
use crate::{
    fold::Fold,
    natmap::{Endpoint, display_endpoints},
};

/// What the probes of one endpoint say about it, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// All that was sent was answered.
    Answered,
    /// Some of it.
    Partly,
    /// Nothing was answered, and something was refused: by the instance or by a firewall on the way.
    Refused,
    /// Nothing was answered, and something on the way said that there is no way.
    Unreachable,
    /// Nothing came back.
    TimedOut,
    /// The frontend's name has no address.
    NotResolved,
    /// This machine could not send.
    NotSent,
    /// No probe came to an end, because the run was interrupted.
    NotProbed,
}

impl State {
    /// The state of one endpoint. Where nothing was answered, the reply that says most wins.
    #[must_use]
    pub fn of(stats: &ProbeStats) -> Self {
        match stats {
            s if s.answered > 0 && s.answered == s.sent() => Self::Answered,
            s if s.answered > 0 => Self::Partly,
            s if s.refused > 0 => Self::Refused,
            s if s.unreachable > 0 => Self::Unreachable,
            s if s.timed_out > 0 => Self::TimedOut,
            s if s.not_resolved > 0 => Self::NotResolved,
            s if s.not_sent > 0 => Self::NotSent,
            _ => Self::NotProbed,
        }
    }

    /// True where at least one probe was answered.
    #[must_use]
    pub fn is_reachable(self) -> bool {
        matches!(self, Self::Answered | Self::Partly)
    }

    /// As it stands in a sentence: `timed out`.
    fn words(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Partly => "answered in part",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed out",
            Self::NotResolved => "name not resolved",
            Self::NotSent => "not sent",
            Self::NotProbed => "not probed",
        }
    }

    /// Where to look when some of the endpoints are in this state and others are well.
    fn look_at(self) -> Option<&'static str> {
        match self {
            Self::Refused => Some("nothing listens, or a firewall rejects: sshd, backend port"),
            Self::Unreachable => Some("turned away on the way"),
            Self::TimedOut => Some("stopped, filtered or not mapped"),
            Self::NotSent => Some("this machine's own limits"),
            Self::Answered | Self::Partly | Self::NotResolved | Self::NotProbed => None,
        }
    }
}

/// One word, as in the table: `timed-out`.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Answered => "answered",
            Self::Partly => "partly",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed-out",
            Self::NotResolved => "not-resolved",
            Self::NotSent => "not-sent",
            Self::NotProbed => "not-probed",
        })
    }
}

/// What all endpoints together say: forty silent ones are one fault, not forty.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// How many endpoints there are.
    pub endpoints: usize,
    /// The endpoints of each state as a set (`0-3,7`, `ports 50000-50003`) and their number, in the
    /// order of [`State`].
    pub groups: Vec<(State, usize, String)>,
    /// The slow ones as a set, and the limit that they are above.
    pub slow: Option<(String, Siblings)>,
    /// What was said of the endpoints, where it was the same of all.
    error: Option<String>,
}

impl Verdict {
    /// Judges endpoints by their statistics.
    #[must_use]
    pub fn of(endpoints: &[Endpoint], stats: &[ProbeStats]) -> Self {
        let both = || endpoints.iter().zip(stats);
        let states: Fold<State, &Endpoint> = both().map(|(e, s)| (State::of(s), e)).collect();
        let mut groups: Vec<_> =
            states.groups().iter().map(|(state, of)| (*state, of.len(), display_endpoints(of))).collect();
        groups.sort_by_key(|(state, ..)| *state);
        let slow = Siblings::of(stats).and_then(|siblings| {
            let slow: Vec<_> = both().filter(|(_, s)| siblings.is_slow(s)).map(|(e, _)| e).collect();
            (!slow.is_empty()).then(|| (display_endpoints(&slow), siblings))
        });
        let errors: Fold<Option<&String>, ()> = stats.iter().map(|s| (s.error.as_ref(), ())).collect();
        let error = match errors.groups() {
            [(Some(error), _)] => Some((*error).clone()),
            _ => None,
        };
        Self { endpoints: endpoints.len(), groups, slow, error }
    }

    /// True where every endpoint answered at least one probe.
    #[must_use]
    pub fn all_reachable(&self) -> bool {
        self.groups.iter().all(|(state, ..)| state.is_reachable())
    }

    /// True where not one probe could be sent because no name has an address.
    #[must_use]
    pub fn none_resolved(&self) -> bool {
        matches!(self.groups.as_slice(), [(State::NotResolved, ..)])
    }

    /// All endpoints in one state.
    fn write_one(&self, f: &mut fmt::Formatter<'_>, state: State) -> fmt::Result {
        let one = self.endpoints == 1;
        let all = match self.endpoints {
            1 => "the endpoint".to_string(),
            2 => "both endpoints".to_string(),
            n => format!("all {n} endpoints"),
        };
        let why = self.error.as_ref().map_or_else(String::new, |error| format!(" ({error})"));
        match state {
            State::Answered => write!(f, "{all} answered"),
            State::Partly => write!(f, "{all} answered, but not every time"),
            State::Refused => {
                write!(f, "{all} refused: nothing listens, or a firewall rejects: sshd, backend port")
            }
            State::TimedOut if one => write!(f, "{all} timed out: NSG, address, route or a stopped instance"),
            State::TimedOut => {
                write!(f, "{all} timed out: one fault, not {}: NSG, address or route", self.endpoints)
            }
            State::Unreachable => {
                write!(f, "{all} can't be reached{why}: route, VPN or a firewall on the way")
            }
            State::NotResolved => write!(f, "nothing was probed: the frontend's name was not resolved{why}"),
            State::NotSent => write!(f, "nothing could be sent{why}: this machine's own limits"),
            State::NotProbed => write!(f, "nothing was probed"),
        }
    }

    /// Endpoints in several states.
    fn write_groups(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answered = self.groups.iter().find(|(state, ..)| *state == State::Answered);
        write!(f, "{} of {} endpoints answered", answered.map_or(0, |(_, count, _)| *count), self.endpoints)?;
        for (state, _, set) in self.groups.iter().filter(|(state, ..)| *state != State::Answered) {
            write!(f, "; {}: {set}", state.words())?;
            if let Some(look_at) = state.look_at() {
                write!(f, " ({look_at})")?;
            }
        }
        Ok(())
    }
}

/// One line.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.groups.as_slice() {
            [] => write!(f, "there was nothing to probe")?,
            [(state, ..)] => self.write_one(f, *state)?,
            _ => self.write_groups(f)?,
        }
        match &self.slow {
            Some((set, siblings)) => {
                write!(f, "; slow: {set} (the others' median is {:.2} ms)", siblings.median_ms)
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        event::{Answer, ProbeOutcome, ProbeSample, Unreachable},
        natmap::InstanceId,
    };

    const TIMED_OUT: ProbeOutcome = ProbeOutcome::TimedOut { syns: Some(2) };

    fn stats(outcome: &ProbeOutcome, count: usize) -> ProbeStats {
        let mut stats = ProbeStats::default();
        for _ in 0..count {
            stats.record(&ProbeSample::of(outcome.clone()));
        }
        stats
    }

    fn answered(ms: u64) -> ProbeOutcome {
        ProbeOutcome::Answered(Answer::kernel(Duration::from_millis(ms)))
    }

    fn endpoints(count: usize, with_instance: bool) -> Vec<Endpoint> {
        (0..count)
            .map(|k| Endpoint {
                instance: with_instance.then(|| InstanceId::from(k)),
                name: None,
                vm_id: None,
                host: "20.1.2.3".parse().unwrap(),
                port: (50000 + k as u64).try_into().unwrap(),
            })
            .collect()
    }

    fn verdict(outcomes: &[ProbeOutcome]) -> String {
        let stats: Vec<_> = outcomes.iter().map(|o| stats(o, 4)).collect();
        Verdict::of(&endpoints(outcomes.len(), true), &stats).to_string()
    }

    #[test]
    fn the_same_of_all_is_said_once() {
        let no_route =
            ProbeOutcome::Unreachable(Unreachable { error: "no route to host".into(), icmp: None });
        assert_eq!(verdict(&vec![answered(1); 40]), "all 40 endpoints answered");
        assert_eq!(
            verdict(&vec![TIMED_OUT; 40]),
            "all 40 endpoints timed out: one fault, not 40: NSG, address or route"
        );
        assert_eq!(
            verdict(&[TIMED_OUT]),
            "the endpoint timed out: NSG, address, route or a stopped instance"
        );
        assert_eq!(
            verdict(&vec![no_route; 2]),
            "both endpoints can't be reached (no route to host): route, VPN or a firewall on the way"
        );
        assert_eq!(verdict(&[]), "there was nothing to probe");
    }

    #[test]
    fn different_faults_are_named_with_their_instances() {
        let mut outcomes = vec![answered(1); 12];
        outcomes[5] = ProbeOutcome::Refused { after: Duration::ZERO };
        outcomes[7] = TIMED_OUT;
        outcomes[8] = TIMED_OUT;
        outcomes[9] = TIMED_OUT;
        assert_eq!(
            verdict(&outcomes),
            "8 of 12 endpoints answered; refused: 5 (nothing listens, or a firewall rejects: sshd, backend port); \
             timed out: 7-9 (stopped, filtered or not mapped)"
        );
    }

    #[test]
    fn a_slow_one_is_named_after_the_rest() {
        let mut outcomes = vec![answered(2); 12];
        outcomes[3] = answered(60);
        assert_eq!(verdict(&outcomes), "all 12 endpoints answered; slow: 3 (the others' median is 2.00 ms)");
    }

    #[test]
    fn ports_without_an_instance_are_named_as_ports() {
        let all = [stats(&answered(1), 4), stats(&TIMED_OUT, 4), stats(&answered(1), 4)];
        let verdict = Verdict::of(&endpoints(3, false), &all);
        assert_eq!(verdict.groups[0].2, "ports 50000,50002");
        assert_eq!(verdict.groups[1].2, "port 50001");
        assert!(!verdict.all_reachable());
    }

    #[test]
    fn the_reply_that_says_most_is_the_state() {
        let mut mixed = stats(&TIMED_OUT, 3);
        assert_eq!(State::of(&mixed), State::TimedOut);
        mixed.record(&ProbeSample::of(ProbeOutcome::Refused { after: Duration::ZERO }));
        assert_eq!(State::of(&mixed), State::Refused);
        mixed.record(&ProbeSample::of(answered(1)));
        assert_eq!(State::of(&mixed), State::Partly);
        assert_eq!(State::of(&ProbeStats::default()), State::NotProbed);
    }
}
