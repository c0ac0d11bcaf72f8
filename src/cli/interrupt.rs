//! Signals: the first Ctrl-C asks the work to drain, the second to end, the third ends the program. A
//! termination signal asks it to end, a second one ends it.

use std::{io, thread};

use tokio::runtime::Builder;

use super::{
    context::Context,
    error::{Error, Kind},
    exit::Exit,
};
use crate::{
    fanout::Interrupt,
    term::{self, Termination},
};

/// On every system that has signals.
const SIGHUP: u8 = 1;

/// Likewise, and Ctrl-C where there are none.
const SIGINT: u8 = 2;

/// Starts listening, on a thread that nothing else works on: an output that nobody takes may hold up all
/// others. It ends with the program.
pub(super) fn listen(context: &Context) -> Result<(), Error> {
    let interrupt = context.interrupt.clone();
    start(interrupt)
        .map_err(|error| Error::new(Kind::Other, "can't listen to signals").caused_by(Some(&error)))
}

fn start(interrupt: Interrupt) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let signals = {
        let _inside = runtime.enter();
        Termination::listen()?
    };
    let listen = move || runtime.block_on(step(signals, interrupt));
    thread::Builder::new().name("signals".into()).spawn(listen).map(drop)
}

async fn step(mut signals: Termination, interrupt: Interrupt) {
    loop {
        let signal = signals.received().await;
        if signal == SIGHUP {
            // A closed terminal may be told twice, by the kernel and by the shell: no hurry is meant.
            interrupt.stop();
        } else if interrupt.end.is_cancelled() {
            // Nothing is said: whatever holds the program up may hold up stderr as well.
            quit();
        } else if signal == SIGINT {
            interrupt.next();
        } else {
            // A polite kill: no steps, just the end, with everything put back.
            interrupt.stop();
        }
    }
}

#[expect(clippy::exit, reason = "the user's third demand: nothing may hold the program back any more")]
fn quit() -> ! {
    term::restore();
    std::process::exit(Exit::Interrupted.code().into())
}
