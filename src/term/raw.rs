//! Raw mode, and the way back from it.

use std::{io, panic, sync::Once};

pub use self::system::Attributes;

/// Standard input's terminal in raw mode: every key goes to the instance, none to the local line
/// discipline. Restored when this is dropped, and before a panic is reported.
#[derive(Debug)]
#[must_use = "the terminal is restored when this is dropped"]
pub struct RawMode(());

impl RawMode {
    /// Makes the terminal raw. Where it is raw already, the modes to return to stay the first ones.
    ///
    /// # Errors
    /// When standard input is not a terminal, or it has gone away.
    pub fn enter() -> io::Result<Self> {
        restore_before_panics();
        system::enter()?;
        Ok(Self(()))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

/// The modes of standard input's terminal, to be read before it is made raw. `None` where it is none.
#[must_use]
pub fn attributes() -> Option<Attributes> {
    system::attributes()
}

/// Keeps the modes of the terminal for [`restore`], before something else changes them: a question
/// for a password switches the echo off.
pub fn remember() {
    restore_before_panics();
    system::remember();
}

/// Puts the terminal back in order: as it was before a [`Screen`](super::Screen), raw mode or [`remember`].
/// Does nothing where nothing was changed.
pub fn restore() {
    super::screen::restore();
    system::restore();
}

/// Stops the process as ^Z would, with the terminal restored while it is stopped and made raw again
/// when it is continued. Returns at once where nobody could continue it, or the system has no such thing.
///
/// # Errors
/// When the terminal has gone away meanwhile.
pub fn suspend() -> io::Result<()> {
    super::screen::restore();
    system::suspend()
}

/// The message of a panic is for a terminal that shows it.
fn restore_before_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            restore();
            report(info);
        }));
    });
}

#[cfg(unix)]
mod system {
    use std::{
        fs::File,
        io,
        os::fd::{AsFd as _, OwnedFd},
        sync::{Mutex, MutexGuard, PoisonError},
    };

    use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

    /// The modes of a terminal.
    pub type Attributes = Termios;

    /// A terminal and the modes to return to, while it has others. Of the process, as the terminal
    /// is: the panic hook has nothing else to find them by.
    static SAVED: Mutex<Option<(OwnedFd, Termios)>> = Mutex::new(None);

    /// Nothing panics while holding it.
    fn saved() -> MutexGuard<'static, Option<(OwnedFd, Termios)>> {
        SAVED.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn attributes() -> Option<Termios> {
        tcgetattr(io::stdin()).ok()
    }

    pub(super) fn enter() -> io::Result<()> {
        let mut saved = saved();
        let terminal = io::stdin().as_fd().try_clone_to_owned()?;
        let now = tcgetattr(&terminal)?;
        let mut raw = now.clone();
        raw.make_raw();
        tcsetattr(&terminal, OptionalActions::Now, &raw)?;
        saved.get_or_insert((terminal, now));
        Ok(())
    }

    /// Of the terminal that questions are asked on, whatever standard input is.
    pub(super) fn remember() {
        let mut saved = saved();
        if saved.is_none()
            && let Ok(terminal) = File::options().read(true).write(true).open("/dev/tty")
            && let Ok(now) = tcgetattr(&terminal)
        {
            *saved = Some((terminal.into(), now));
        }
    }

    /// At once, not after what is still to be printed: a terminal that stands still would keep us.
    pub(super) fn restore() {
        if let Some((terminal, modes)) = saved().take() {
            // A terminal that has gone away needs no restoring.
            let _ = tcsetattr(terminal, OptionalActions::Now, &modes);
        }
    }

    #[expect(unsafe_code, reason = "rustix can't send a signal to the calling thread alone")]
    pub(super) fn suspend() -> io::Result<()> {
        restore();
        // SAFETY: raise takes a number and touches no memory of ours. The signal goes to this thread,
        // which therefore stops before it returns from here; one for the process may be taken by
        // another thread while this one makes the terminal raw again.
        unsafe { libc::raise(libc::SIGTSTP) };
        enter()
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;

    use crossterm::terminal;

    /// The modes of a terminal: nothing that could be read here.
    pub type Attributes = ();

    pub(super) fn attributes() -> Option<()> {
        None
    }

    pub(super) fn enter() -> io::Result<()> {
        terminal::enable_raw_mode()
    }

    /// The console's questions restore it themselves, also when interrupted.
    pub(super) fn remember() {}

    pub(super) fn restore() {
        let _ = terminal::disable_raw_mode();
    }

    pub(super) fn suspend() -> io::Result<()> {
        Ok(())
    }
}
