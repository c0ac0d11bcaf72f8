//! Signals: the first Ctrl-C asks the work to drain, the second to end, the third ends the program.

use std::sync::Arc;

use super::{context::Context, error::Error, error::Kind, exit::Exit, ui::Ui};
use crate::{
    fanout::Interrupt,
    term::{self, Termination},
};

/// SIGINT, on every system that has signals.
const SIGINT: u8 = 2;

/// Starts listening; the listener ends with the runtime.
pub(super) fn listen(context: &Context) -> Result<(), Error> {
    let signals = Termination::listen()
        .map_err(|error| Error::new(Kind::Other, "can't listen to signals").caused_by(Some(&error)))?;
    tokio::spawn(step(signals, context.ui.clone(), context.interrupt.clone()));
    Ok(())
}

async fn step(mut signals: Termination, ui: Arc<Ui>, interrupt: Interrupt) {
    loop {
        if signals.received().await != SIGINT {
            // A polite kill or a closed terminal: no steps, just the end, with everything put back.
            interrupt.drain.cancel();
            interrupt.end.cancel();
        } else if interrupt.end.is_cancelled() {
            ui.warn("interrupted a third time: quitting at once");
            quit();
        } else {
            interrupt.next();
        }
    }
}

#[expect(clippy::exit, reason = "the user's third demand: nothing may hold the program back any more")]
fn quit() -> ! {
    term::restore();
    std::process::exit(Exit::Interrupted.code().into())
}
