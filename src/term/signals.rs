//! Signals as things to wait for.

use std::io;

use futures_util::stream::{self, Stream};

use super::size;
use crate::event::TerminalSize;

/// The changes of the terminal's size, beginning with the first that is not `known`.
///
/// # Errors
/// When the system can't tell of changes.
pub fn resizes(known: TerminalSize) -> io::Result<impl Stream<Item = TerminalSize> + Send + 'static> {
    let changes = system::Changes::new()?;
    Ok(stream::unfold((changes, known), async |(mut changes, known)| {
        loop {
            match size() {
                Some(now) if now != known => return Some((now, (changes, now))),
                _ => changes.next().await?,
            }
        }
    }))
}

/// The signals that end a program. While one of these exists and after it, they end nothing by
/// themselves: whoever holds it must.
#[derive(Debug)]
pub struct Termination(system::Ends);

impl Termination {
    /// Begins to take the signals: SIGTERM, SIGHUP, SIGINT and SIGQUIT, or Ctrl-C and its like where there are none.
    ///
    /// # Errors
    /// When the system won't let us.
    pub fn listen() -> io::Result<Self> {
        system::Ends::new().map(Self)
    }

    /// Waits for the first of them: its number, as in the exit status 128 + number.
    pub async fn received(&mut self) -> u8 {
        self.0.next().await
    }
}

#[cfg(unix)]
mod system {
    use std::io;

    use tokio::signal::unix::{Signal, SignalKind, signal};

    #[derive(Debug)]
    pub(super) struct Changes(Signal);

    impl Changes {
        pub(super) fn new() -> io::Result<Self> {
            signal(SignalKind::window_change()).map(Self)
        }

        pub(super) async fn next(&mut self) -> Option<()> {
            self.0.recv().await
        }
    }

    #[derive(Debug)]
    pub(super) struct Ends {
        hangup: Signal,
        interrupt: Signal,
        quit: Signal,
        terminate: Signal,
    }

    impl Ends {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self {
                hangup: signal(SignalKind::hangup())?,
                interrupt: signal(SignalKind::interrupt())?,
                quit: signal(SignalKind::quit())?,
                terminate: signal(SignalKind::terminate())?,
            })
        }

        /// The numbers are those of POSIX.
        pub(super) async fn next(&mut self) -> u8 {
            tokio::select! {
                _ = self.hangup.recv() => 1,
                _ = self.interrupt.recv() => 2,
                _ = self.quit.recv() => 3,
                _ = self.terminate.recv() => 15,
            }
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::{io, time::Duration};

    use tokio::time::sleep;

    /// Windows tells of a new size only among the keys typed; twice a second looks immediate.
    const POLL: Duration = Duration::from_millis(500);

    #[derive(Debug)]
    pub(super) struct Changes;

    impl Changes {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        pub(super) async fn next(&mut self) -> Option<()> {
            sleep(POLL).await;
            Some(())
        }
    }

    #[derive(Debug)]
    pub(super) struct Ends;

    impl Ends {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        pub(super) async fn next(&mut self) -> u8 {
            match tokio::signal::ctrl_c().await {
                Ok(()) => 2,
                Err(_) => std::future::pending().await,
            }
        }
    }
}
