use super::{Rtts, micros};
use crate::event::ServiceOutcome;

/// What the service behind one port said, of all the times that it was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceStats {
    /// Times that it said what a service of its kind says.
    pub answered: u64,
    /// Times that it said something else.
    pub foreign: u64,
    /// Times that it closed the connection without a word.
    pub closed: u64,
    /// Times that it said nothing within the time limit.
    pub silent: u64,
    /// From the port's answer to the service's. Not part of any round-trip time.
    pub times: Rtts,
    /// What it last said: bytes of a remote, not to be shown uncleaned.
    pub said: Option<String>,
}

impl ServiceStats {
    pub(super) fn record(&mut self, outcome: &ServiceOutcome) {
        match outcome {
            ServiceOutcome::Answered { after, said } => {
                self.answered += 1;
                self.times.push(micros(*after));
                self.said = Some(said.clone());
            }
            ServiceOutcome::Foreign { said, .. } => {
                self.foreign += 1;
                self.said = Some(said.clone());
            }
            ServiceOutcome::Closed { .. } => self.closed += 1,
            ServiceOutcome::Silent => self.silent += 1,
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.answered += other.answered;
        self.foreign += other.foreign;
        self.closed += other.closed;
        self.silent += other.silent;
        self.times.merge(&other.times);
        self.said = other.said.clone().or_else(|| self.said.take());
    }

    /// How often it was asked.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.answered + self.foreign + self.closed + self.silent
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_answer_is_counted_once_and_only_a_right_one_is_timed() {
        let after = Duration::from_millis(3);
        let mut stats = ServiceStats::default();
        for outcome in [
            ServiceOutcome::Answered { after, said: "SSH-2.0-x".into() },
            ServiceOutcome::Foreign { after, said: "HTTP/1.1 400".into() },
            ServiceOutcome::Closed { after },
            ServiceOutcome::Silent,
        ] {
            stats.record(&outcome);
        }
        assert_eq!((stats.answered, stats.foreign, stats.closed, stats.silent), (1, 1, 1, 1));
        assert_eq!((stats.asked(), stats.times.count(), stats.said.as_deref()), (4, 1, Some("HTTP/1.1 400")));
        let mut twice = stats.clone();
        twice.merge(&stats);
        assert_eq!((twice.asked(), twice.times.count()), (8, 2));
    }
}
