//! Signals: the first asks the work to drain, the second to end, the third ends the program.

use super::{context::Context, exit::Exit, ui::Ui};
use crate::{fanout::Interrupt, term};

/// Starts listening; the listener ends with the runtime.
pub(super) fn listen(context: &Context) {
    tokio::spawn(step_on_interrupt(context.ui.clone(), context.interrupt.clone()));
    tokio::spawn(end_on_termination(context.interrupt.clone()));
}

async fn step_on_interrupt(ui: std::sync::Arc<Ui>, interrupt: Interrupt) {
    while tokio::signal::ctrl_c().await.is_ok() {
        if interrupt.end.is_cancelled() {
            ui.warn("interrupted a third time: quitting at once");
            quit();
        }
        interrupt.next();
    }
}

/// A polite kill or a closed terminal: no steps, just the end, with everything put back in order.
async fn end_on_termination(interrupt: Interrupt) {
    termination().await;
    interrupt.drain.cancel();
    interrupt.end.cancel();
}

#[cfg(unix)]
async fn termination() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut hang_up)) = (signal(SignalKind::terminate()), signal(SignalKind::hangup())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = hang_up.recv() => {}
    }
}

#[cfg(not(unix))]
async fn termination() {
    std::future::pending::<()>().await;
}

#[expect(clippy::exit, reason = "the user's third demand: nothing may hold the program back any more")]
fn quit() -> ! {
    term::restore();
    std::process::exit(Exit::Interrupted.code().into())
}
