//! The last probes of an endpoint, small enough to be kept of a thousand of them.

use std::{collections::VecDeque, time::Duration};

use super::words;
use crate::event::{ProbeOutcome, ProbeSample, ServiceOutcome};

/// How many are kept: as wide as the picture of them gets. Two bytes each.
pub(super) const KEPT: usize = 120;

/// Heights of a bar, the lowest first.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A time, in eighths of doublings of a microsecond: exact to 4.5 %, which no bar shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Height(u8);

impl Height {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the logarithm is rounded and clamped to what a byte holds; 2^31 us are 35 minutes"
    )]
    pub(super) fn of_us(us: u64) -> Self {
        Self(((us.max(1) as f64).log2() * 8.0).round().clamp(0.0, 255.0) as u8)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time is not negative")]
    pub(super) fn of_ms(ms: f64) -> Self {
        Self::of_us((ms * 1e3).round() as u64)
    }

    /// The bar of a time where `usual` is the usual one, which has the second height. Each height stands
    /// for 1.41 times the time of the one below; the highest for eight times the usual and more.
    fn bar(self, usual: Self) -> char {
        let steps = (i16::from(self.0) - i16::from(usual.0) + 2).div_euclid(4) + 1;
        let [first, .., last] = BARS;
        match usize::try_from(steps) {
            Ok(steps) => BARS.get(steps).copied().unwrap_or(last),
            Err(_) => first,
        }
    }
}

/// What became of one probe, as far as the picture tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Time(Height),
    /// Answered, but nobody knows when: a SYN was sent again.
    SecondSyn,
    /// The port answered, the service behind it did not do what it should.
    Service,
    Refused,
    TimedOut,
    Unreachable,
    NotResolved,
    NotSent,
}

impl Mark {
    fn of(sample: &ProbeSample) -> Self {
        match (&sample.outcome, &sample.service) {
            (ProbeOutcome::Refused { .. }, _) => Self::Refused,
            (ProbeOutcome::TimedOut { .. }, _) => Self::TimedOut,
            (ProbeOutcome::Unreachable(_), _) => Self::Unreachable,
            (ProbeOutcome::NotResolved(_), _) => Self::NotResolved,
            (ProbeOutcome::NotSent(_), _) => Self::NotSent,
            (
                ProbeOutcome::Answered(_),
                Some(ServiceOutcome::Foreign { .. } | ServiceOutcome::Closed { .. } | ServiceOutcome::Silent),
            ) => Self::Service,
            (ProbeOutcome::Answered(answer), _) => {
                answer.rtt.map_or(Self::SecondSyn, |rtt| Self::Time(Height::of_us(micros(rtt))))
            }
        }
    }

    /// One column of the picture.
    pub(super) fn char(self, usual: Option<Height>) -> char {
        match self {
            // Before anything is usual, each time is.
            Self::Time(height) => height.bar(usual.unwrap_or(height)),
            Self::SecondSyn => '2',
            Self::Service => 's',
            Self::Refused => 'r',
            Self::TimedOut => 'x',
            Self::Unreachable => 'u',
            Self::NotResolved => 'n',
            Self::NotSent => '?',
        }
    }

    /// True where the endpoint answered as it should.
    pub(super) fn is_well(self) -> bool {
        matches!(self, Self::Time(_) | Self::SecondSyn)
    }

    /// In seven columns, what stands in place of a time.
    fn word(self) -> &'static str {
        match self {
            Self::Time(_) => "",
            Self::SecondSyn => "2nd SYN",
            Self::Service => "service",
            Self::Refused => "refused",
            Self::TimedOut => "timeout",
            Self::Unreachable => "unreach",
            Self::NotResolved => "no name",
            Self::NotSent => "unsent",
        }
    }
}

/// The last probes of one endpoint, the latest at the end.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent {
    marks: VecDeque<Mark>,
    /// The time of the last one, in microseconds, where it has one.
    last_us: Option<u64>,
}

impl Recent {
    /// Adds a probe. Warm-ups do not count here either.
    pub(super) fn push(&mut self, sample: &ProbeSample) {
        if sample.warm_up {
            return;
        }
        if self.marks.len() == KEPT {
            self.marks.pop_front();
        }
        self.marks.push_back(Mark::of(sample));
        self.last_us = sample.outcome.rtt().map(micros);
    }

    /// So many of the last ones, in the order in which they happened.
    pub(super) fn last(&self, most: usize) -> impl Iterator<Item = Mark> + '_ {
        self.marks.iter().skip(self.marks.len().saturating_sub(most)).copied()
    }

    /// What the last one gave: a time, or a word. Empty where there was none.
    pub(super) fn last_words(&self) -> String {
        match (self.marks.back(), self.last_us) {
            (Some(Mark::Time(_)), Some(us)) => words::us(us),
            (Some(mark), _) => mark.word().into(),
            (None, _) => String::new(),
        }
    }

    /// The time of the last one, in microseconds; `None` where it has none.
    pub(super) fn last_us(&self) -> Option<u64> {
        self.last_us
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Answer;

    fn answered(us: u64) -> ProbeSample {
        ProbeSample::of(ProbeOutcome::Answered(Answer::kernel(Duration::from_micros(us))))
    }

    #[test]
    fn a_bar_is_as_high_as_its_time_is_unusual() {
        let usual = Height::of_us(20_000);
        let bar = |us| Height::of_us(us).bar(usual);
        // 20 ms, and then 1.41 times more each.
        let times = [1, 14_142, 20_000, 21_000, 28_284, 40_000, 56_569, 80_000, 113_137, 160_000, u64::MAX];
        assert_eq!(times.map(bar).iter().collect::<String>(), "▁▁▂▂▃▄▅▆▇██");
    }

    #[test]
    fn the_last_ones_are_kept_and_warm_ups_are_none() {
        let mut recent = Recent::default();
        recent.push(&ProbeSample { warm_up: true, ..answered(1) });
        assert_eq!((recent.last(9).count(), recent.last_words()), (0, String::new()));
        (0..1000).for_each(|us| recent.push(&answered(us)));
        assert_eq!((recent.last(usize::MAX).count(), recent.last_words()), (KEPT, "1.00".into()));
        for outcome in [
            ProbeOutcome::Refused { after: Duration::ZERO },
            ProbeOutcome::TimedOut { syns: None },
            ProbeOutcome::NotSent(String::new()),
        ] {
            recent.push(&ProbeSample::of(outcome));
        }
        recent.push(&ProbeSample { service: Some(ServiceOutcome::Silent), ..answered(9) });
        let picture: String = recent.last(5).map(|mark| mark.char(Some(Height::of_us(999)))).collect();
        assert_eq!((picture.as_str(), recent.last_words()), ("▂rx?s", "service".into()));
    }
}
