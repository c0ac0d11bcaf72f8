//! Those who want to see each probe as it ends: the line of progress, streams of samples, pictures.

use std::io;

use crate::{event::ProbeEvent, stats::ProbeStats};

/// A consumer of probes. Each is told every event of a run, in the order in which they arrive.
pub trait ProbeWatch: Send {
    /// A probe has ended. `stats` are all endpoints' with this probe in them.
    ///
    /// # Errors
    /// When what it writes can't be written. The run ends then.
    fn probed(&mut self, event: &ProbeEvent, stats: &[ProbeStats]) -> io::Result<()>;

    /// No more probes have ended for the moment: what is kept back to be written is due.
    ///
    /// # Errors
    /// As above.
    fn told(&mut self) -> io::Result<()> {
        Ok(())
    }
}
