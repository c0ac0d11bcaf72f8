use std::fmt;

use super::{ProbeStats, ServiceStats};

/// What the probes of one endpoint say about it, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// All that was sent was answered; by the service too, where it was asked.
    Answered,
    /// Some of it.
    Partly,
    /// The port answers, and the service behind it says something that is not of its kind.
    Foreign,
    /// The port answers, and connections are closed without a word.
    Closed,
    /// The port answers, and the service says nothing.
    Silent,
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
            s if s.answered > 0 => Self::of_service(&s.service).unwrap_or_else(|| {
                let all = s.answered == s.sent() && s.service.answered == s.service.asked();
                if all { Self::Answered } else { Self::Partly }
            }),
            s if s.refused > 0 => Self::Refused,
            s if s.unreachable > 0 => Self::Unreachable,
            s if s.timed_out > 0 => Self::TimedOut,
            s if s.not_resolved > 0 => Self::NotResolved,
            s if s.not_sent > 0 => Self::NotSent,
            _ => Self::NotProbed,
        }
    }

    /// The state that the service is to blame for; `None` where it was not asked or has answered.
    fn of_service(service: &ServiceStats) -> Option<Self> {
        match service {
            s if s.asked() == 0 || s.answered > 0 => None,
            s if s.foreign > 0 => Some(Self::Foreign),
            s if s.closed > 0 => Some(Self::Closed),
            _ => Some(Self::Silent),
        }
    }

    /// True where at least one probe was answered, by the service too where it was asked.
    #[must_use]
    pub fn is_reachable(self) -> bool {
        matches!(self, Self::Answered | Self::Partly)
    }

    /// As it stands in a sentence: `timed out`.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Partly => "answered in part",
            Self::Foreign => "answered by another service",
            Self::Closed => "closed at once",
            Self::Silent => "no word from the service",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed out",
            Self::NotResolved => "name not resolved",
            Self::NotSent => "not sent",
            Self::NotProbed => "not probed",
        }
    }

    /// Where to look when some of the endpoints are in this state and others are well.
    pub(super) fn look_at(self) -> Option<&'static str> {
        match self {
            Self::Foreign => Some("backend port, or the server turned this address away: see what it said"),
            Self::Closed => Some(
                "sshd turns this address away for a while (MaxStartups, PerSourcePenalties), or another does",
            ),
            Self::Silent => Some("the service hangs, or something on the way answered for it"),
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
            Self::Foreign => "foreign",
            Self::Closed => "closed",
            Self::Silent => "silent",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed-out",
            Self::NotResolved => "not-resolved",
            Self::NotSent => "not-sent",
            Self::NotProbed => "not-probed",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::{Answer, ProbeOutcome, ProbeSample, ServiceOutcome};

    fn answered() -> ProbeOutcome {
        ProbeOutcome::Answered(Answer::kernel(Duration::from_millis(1)))
    }

    #[test]
    fn the_reply_that_says_most_is_the_state() {
        let mut mixed = ProbeStats::default();
        assert_eq!(State::of(&mixed), State::NotProbed);
        for (outcome, state) in [
            (ProbeOutcome::NotSent("no handle".into()), State::NotSent),
            (ProbeOutcome::TimedOut { syns: Some(2) }, State::TimedOut),
            (ProbeOutcome::Refused { after: Duration::ZERO }, State::Refused),
            (answered(), State::Partly),
        ] {
            mixed.record(&ProbeSample::of(outcome));
            assert_eq!(State::of(&mixed), state);
        }
    }

    #[test]
    fn a_port_that_answers_for_a_service_that_does_not_is_not_reached() {
        let after = Duration::ZERO;
        let mut stats = ProbeStats::default();
        for (service, state) in [
            (ServiceOutcome::Silent, State::Silent),
            (ServiceOutcome::Closed { after }, State::Closed),
            (ServiceOutcome::Foreign { after, said: "220 mail".into() }, State::Foreign),
            (ServiceOutcome::Answered { after, said: "SSH-2.0-x".into() }, State::Partly),
        ] {
            stats.record(&ProbeSample { service: Some(service), ..ProbeSample::of(answered()) });
            assert_eq!((State::of(&stats), state.is_reachable()), (state, state == State::Partly));
        }
    }
}
