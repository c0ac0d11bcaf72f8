use std::time::Duration;

use crate::event::ProbeSample;

/// When an endpoint did not answer: probes without an answer that follow each other are one outage, from
/// the start of the first of them to the start of the next answered one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outages {
    /// How many there were, the one that lasts included.
    pub count: u64,
    /// The longest of them; of one that lasts, up to the last probe.
    pub longest: Duration,
    /// When the one that lasts began, since the run did; `None` while the endpoint answers.
    pub down_since: Option<Duration>,
}

impl Outages {
    /// Takes the endpoint's next probe into account. That this machine could not send says nothing.
    pub(super) fn record(&mut self, sample: &ProbeSample) {
        if matches!(sample.outcome, crate::event::ProbeOutcome::NotSent(_)) {
            return;
        }
        let since = match self.down_since {
            None if sample.is_up() => return,
            None => {
                self.count += 1;
                *self.down_since.insert(sample.start)
            }
            Some(since) => since,
        };
        self.longest = self.longest.max(sample.start.saturating_sub(since));
        if sample.is_up() {
            self.down_since = None;
        }
    }

    /// Adds those of another run; one that lasts is the other's, which came later or ran elsewhere.
    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.longest = self.longest.max(other.longest);
        self.down_since = other.down_since;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Answer, ProbeOutcome};

    fn outages(outcomes: &str) -> Outages {
        let mut outages = Outages::default();
        for (second, outcome) in (0..).zip(outcomes.chars()) {
            let outcome = match outcome {
                '.' => ProbeOutcome::Answered(Answer::kernel(Duration::from_millis(1))),
                'x' => ProbeOutcome::TimedOut { syns: Some(1) },
                'r' => ProbeOutcome::Refused { after: Duration::ZERO },
                _ => ProbeOutcome::NotSent("no file handle".into()),
            };
            outages.record(&ProbeSample { start: Duration::from_secs(second), ..ProbeSample::of(outcome) });
        }
        outages
    }

    #[test]
    fn worked_by_hand() {
        let seconds = |text: &str| {
            let found = outages(text);
            (found.count, found.longest.as_secs(), found.down_since.map(|since| since.as_secs()))
        };
        assert_eq!(seconds("...."), (0, 0, None));
        // From 1 to 3, and from 4 to 7.
        assert_eq!(seconds(".xr.rxx."), (2, 3, None));
        assert_eq!(seconds(".xx.xxxx"), (2, 3, Some(4)));
        assert_eq!(seconds("x"), (1, 0, Some(0)));
        // What was not sent neither begins nor ends one.
        assert_eq!(seconds(".?x?.?"), (1, 2, None));
    }
}
