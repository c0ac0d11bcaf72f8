//! How far a run of probes is, on a line of stderr that goes away.

use std::io;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::watch::ProbeWatch;
use crate::{
    event::{ProbeEvent, ProbeOutcome},
    stats::ProbeStats,
};

/// The line: probes done, answered, not answered, time.
#[derive(Debug)]
pub struct ProbeProgress {
    bar: ProgressBar,
    per_endpoint: Option<u64>,
    done: u64,
    answered: u64,
    others: u64,
}

impl ProbeProgress {
    /// A line for so many endpoints with so many probes each, warm-ups included (`None` where a
    /// time ends the run and not a number), drawn where `bars` draws: nowhere, if that is hidden.
    #[must_use]
    pub fn new(bars: &MultiProgress, endpoints: usize, per_endpoint: Option<u64>) -> Self {
        let total = per_endpoint.map(|each| each.saturating_mul(endpoints as u64));
        let (bar, template) = match total {
            Some(total) => (ProgressBar::new(total), "{pos}/{len} probes{msg}  {elapsed}"),
            None => (ProgressBar::no_length(), "{pos} probes{msg}  {elapsed}"),
        };
        let bar = bars.add(bar);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, per_endpoint, done: 0, answered: 0, others: 0 }
    }
}

impl ProbeWatch for ProbeProgress {
    fn probed(&mut self, event: &ProbeEvent, _stats: &[ProbeStats]) -> io::Result<()> {
        let done = match &event.sample.outcome {
            // There are no more probes of this endpoint.
            ProbeOutcome::NotResolved(_) => self.per_endpoint.unwrap_or(1),
            _ => 1,
        };
        match &event.sample.outcome {
            ProbeOutcome::Answered(_) => self.answered += done,
            _ => self.others += done,
        }
        self.done += done;
        Ok(())
    }

    /// Drawing costs more than a probe.
    fn told(&mut self) -> io::Result<()> {
        self.bar.set_message(format!(", {} answered, {} not", self.answered, self.others));
        self.bar.set_position(self.done);
        Ok(())
    }
}

/// The line goes with its owner.
impl Drop for ProbeProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use indicatif::ProgressDrawTarget;

    use super::*;
    use crate::event::ProbeSample;

    #[test]
    fn a_name_without_address_is_done_with_all_its_probes() {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let mut progress = ProbeProgress::new(&bars, 2, Some(3));
        for outcome in [
            ProbeOutcome::Refused { after: Duration::ZERO },
            ProbeOutcome::NotResolved("no such name".into()),
        ] {
            progress.probed(&ProbeEvent { index: 0, sample: ProbeSample::of(outcome) }, &[]).unwrap();
        }
        progress.told().unwrap();
        assert_eq!((progress.bar.position(), progress.bar.length()), (4, Some(6)));
        assert_eq!(progress.bar.message(), ", 0 answered, 4 not");
    }
}
