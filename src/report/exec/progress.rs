//! How far a fan-out is, on a line of stderr that goes away.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::event::{FanoutEvent, Outcome};

/// Redraws of the clock in the line; people read seconds.
const TICK: Duration = Duration::from_millis(200);

/// The line: done, running, failed, time.
pub struct ExecProgress {
    bar: ProgressBar,
    running: usize,
    failed: usize,
}

impl ExecProgress {
    /// A line for `count` instances, drawn where `bars` draws: nowhere, if that is hidden.
    #[must_use]
    pub fn new(bars: &MultiProgress, count: usize) -> Self {
        let bar = bars.add(ProgressBar::new(count as u64));
        if let Ok(style) = ProgressStyle::with_template("{pos}/{len} done{msg}  {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self { bar, running: 0, failed: 0 }
    }

    /// Takes an event into account.
    pub fn event(&mut self, event: &FanoutEvent) {
        match event {
            FanoutEvent::Started { .. } => self.running += 1,
            FanoutEvent::Finished { outcome, .. } => {
                // A skipped instance never started.
                self.running =
                    self.running.saturating_sub(usize::from(!matches!(outcome, Outcome::Skipped(_))));
                self.failed += usize::from(!outcome.is_ok());
                self.bar.inc(1);
            }
            FanoutEvent::Output { .. } | FanoutEvent::Draining { .. } => return,
        }
        let failed = if self.failed == 0 { String::new() } else { format!(", {} failed", self.failed) };
        self.bar.set_message(format!(", {} running{failed}", self.running));
    }
}

/// The line goes with its owner.
impl Drop for ExecProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
