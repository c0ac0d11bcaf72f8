//! The alternate screen: a page of its own that leaves the lines before it as they were.

use std::io;

use bytes::Bytes;
use crossterm::style;
use tokio::sync::mpsc::error::TrySendError;

use super::{RawMode, Writer, raw};

/// The whole terminal for pages, in raw mode and without a cursor. Left when this is dropped, before a panic
/// is reported, and by [`super::restore`]; nothing of a page is written after that.
#[derive(Debug)]
#[must_use = "the screen is left when this is dropped"]
pub struct Screen {
    // Dropped first: what is to be written is written before the terminal is restored.
    pages: Writer,
    raw: RawMode,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When standard input is not a terminal, or it has gone away.
    pub fn enter() -> io::Result<Self> {
        // Who draws has been told whether to use colours; the library is not to look at NO_COLOR again.
        style::force_color_output(true);
        let raw = RawMode::enter()?;
        system::enter()?;
        Ok(Self { pages: Writer::new("screen", system::Pages)?, raw })
    }

    /// False while the page before is still being written. A terminal that stands still holds up no one: it
    /// gets no more pages until it moves.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.pages.is_idle()
    }

    /// Shows a page, or what has changed of it: what to write to the terminal.
    ///
    /// # Errors
    /// [`io::ErrorKind::BrokenPipe`] when the terminal has gone away, [`io::ErrorKind::WouldBlock`] when it
    /// is not [ready](Screen::is_ready).
    pub fn show(&self, page: Vec<u8>) -> io::Result<()> {
        self.pages.sender().try_send(Bytes::from(page)).map_err(|error| match error {
            TrySendError::Full(_) => io::ErrorKind::WouldBlock.into(),
            TrySendError::Closed(_) => io::ErrorKind::BrokenPipe.into(),
        })
    }

    /// Stops the process as ^Z does (see [`super::suspend`]). All has to be drawn again afterwards.
    ///
    /// # Errors
    /// When the terminal has gone away meanwhile.
    pub fn suspend(&self) -> io::Result<()> {
        raw::suspend()?;
        system::enter()
    }

    /// Leaves the screen, with the last page shown. That takes as long as the terminal takes; dropping the
    /// future gives it up.
    pub async fn leave(self) {
        let Self { pages, raw } = self;
        // Nobody is there to look any more where it fails.
        let _ = pages.finish().await;
        drop(raw);
    }
}

/// Alternate screen, no cursor, and pastes marked, which are text and must not be taken for keys: xterm's
/// DECSET 1049, 25 and 2004, which terminals that don't know them pass over.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?2004h";

/// The same undone, in the other direction.
const LEAVE: &[u8] = b"\x1b[?2004l\x1b[?25h\x1b[?1049l";

/// Gives the screen back where it was taken, and lets nothing more of a page be written.
pub(super) fn restore() {
    system::leave();
}

#[cfg(unix)]
mod system {
    use std::{
        fs::File,
        io::{self, Write},
        os::fd::{AsFd as _, OwnedFd},
        sync::{
            Mutex, MutexGuard, PoisonError,
            atomic::{AtomicBool, Ordering},
        },
    };

    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        io::write,
    };

    /// A terminal that takes nothing for so long stands still: it is left as it is, until somebody tries again.
    const STANDS_STILL: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };

    /// Standard output's terminal while it shows our pages. Of the process, as in [`super::raw`].
    static TAKEN: Mutex<Option<OwnedFd>> = Mutex::new(None);

    /// The same without the lock, which whoever restores may hold for a while.
    static SHOWN: AtomicBool = AtomicBool::new(false);

    /// Nothing panics while holding it.
    fn taken() -> MutexGuard<'static, Option<OwnedFd>> {
        TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter() -> io::Result<()> {
        let terminal = io::stdout().as_fd().try_clone_to_owned()?;
        let mut taken = taken();
        File::from(terminal.try_clone()?).write_all(super::ENTER)?;
        *taken = Some(terminal);
        SHOWN.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// What is being written of a page goes on until the kernel has it, and only then comes this: two
    /// writes to a terminal do not mix.
    pub(super) fn leave() {
        SHOWN.store(false, Ordering::SeqCst);
        let mut taken = taken();
        let Some(terminal) = &*taken else { return };
        let mut writable = [PollFd::new(terminal, PollFlags::OUT)];
        if poll(&mut writable, Some(&STANDS_STILL)).is_ok_and(|ready| ready > 0) {
            // Few enough bytes to be taken whole. A terminal that has gone away needs no restoring.
            let _ = write(terminal, super::LEAVE);
            *taken = None;
        }
    }

    /// Where pages are written to: past the buffer of standard output, and nowhere once the screen is left.
    #[derive(Debug)]
    pub(super) struct Pages;

    impl Write for Pages {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if SHOWN.load(Ordering::SeqCst) { Ok(write(io::stdout(), bytes)?) } else { Ok(bytes.len()) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::{
        io::{self, Write},
        sync::atomic::{AtomicBool, Ordering},
    };

    static SHOWN: AtomicBool = AtomicBool::new(false);

    pub(super) fn enter() -> io::Result<()> {
        // Asking makes the console understand what is written.
        if !crossterm::ansi_support::supports_ansi() {
            return Err(io::Error::other("this console can't show a screen"));
        }
        io::stdout().write_all(super::ENTER)?;
        SHOWN.store(true, Ordering::SeqCst);
        io::stdout().flush()
    }

    pub(super) fn leave() {
        if SHOWN.swap(false, Ordering::SeqCst) {
            let mut out = io::stdout();
            let _ = out.write_all(super::LEAVE).and_then(|()| out.flush());
        }
    }

    #[derive(Debug)]
    pub(super) struct Pages;

    impl Write for Pages {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if SHOWN.load(Ordering::SeqCst) { io::stdout().write(bytes) } else { Ok(bytes.len()) }
        }

        fn flush(&mut self) -> io::Result<()> {
            io::stdout().flush()
        }
    }
}
