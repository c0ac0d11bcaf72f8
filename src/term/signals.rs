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

    /// A signal that is ignored from the start stays so: `nohup` and a shell's `&` mean it.
    #[derive(Debug)]
    pub(super) struct Ends {
        hangup: Option<Signal>,
        interrupt: Option<Signal>,
        quit: Option<Signal>,
        terminate: Signal,
    }

    impl Ends {
        pub(super) fn new() -> io::Result<Self> {
            let unless_ignored = |kind: SignalKind| (!is_ignored(kind)).then(|| signal(kind)).transpose();
            Ok(Self {
                hangup: unless_ignored(SignalKind::hangup())?,
                interrupt: unless_ignored(SignalKind::interrupt())?,
                quit: unless_ignored(SignalKind::quit())?,
                terminate: signal(SignalKind::terminate())?,
            })
        }

        /// The numbers are those of POSIX.
        pub(super) async fn next(&mut self) -> u8 {
            tokio::select! {
                () = received(&mut self.hangup) => 1,
                () = received(&mut self.interrupt) => 2,
                () = received(&mut self.quit) => 3,
                _ = self.terminate.recv() => 15,
            }
        }
    }

    async fn received(signal: &mut Option<Signal>) {
        match signal {
            Some(signal) => {
                signal.recv().await;
            }
            None => std::future::pending().await,
        }
    }

    #[expect(unsafe_code, reason = "no safe crate in the tree tells a signal's disposition")]
    fn is_ignored(kind: SignalKind) -> bool {
        let mut now = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: with no new action, sigaction(2) only writes the present one to where `now` is; all
        // zeroes is a valid value of the struct should it fail.
        unsafe {
            libc::sigaction(kind.as_raw_value(), std::ptr::null(), now.as_mut_ptr());
            now.assume_init().sa_sigaction == libc::SIG_IGN
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
