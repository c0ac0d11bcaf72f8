//! The process's own terminal: raw mode, alternate screen, keys, size, standard streams, signals.
//!
//! Whatever way a session ends, the terminal is left as it was found: [`RawMode`] and [`Screen`] restore it
//! when dropped and before a panic is reported, the signals that end a program are [waited for](Termination)
//! instead of obeyed, so that ending is a return, and [`restore`] is for whoever ends it at once.

mod keys;
mod raw;
mod screen;
mod signals;
mod streams;

use std::io::{self, IsTerminal as _};

pub use self::{
    keys::keys,
    raw::{Attributes, RawMode, attributes, remember, restore, suspend},
    screen::Screen,
    signals::{Termination, resizes},
    streams::{Writer, stderr, stdin, stdout},
};
use crate::event::TerminalSize;

/// True where standard input is a terminal.
#[must_use]
pub fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// True where standard output is a terminal.
#[must_use]
pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// True where standard error is a terminal.
#[must_use]
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// The size of the terminal that any of the standard streams is.
#[cfg(unix)]
#[must_use]
pub fn size() -> Option<TerminalSize> {
    use rustix::termios::{Winsize, tcgetwinsize};

    // The screen that is written to counts; input may come from somewhere else.
    let Winsize { ws_col, ws_row, ws_xpixel, ws_ypixel } = tcgetwinsize(io::stdout())
        .or_else(|_| tcgetwinsize(io::stdin()))
        .or_else(|_| tcgetwinsize(io::stderr()))
        .ok()?;
    Some(TerminalSize {
        columns: ws_col.into(),
        rows: ws_row.into(),
        width_px: ws_xpixel.into(),
        height_px: ws_ypixel.into(),
    })
}

/// The size of the terminal that any of the standard streams is.
#[cfg(not(unix))]
#[must_use]
pub fn size() -> Option<TerminalSize> {
    let (columns, rows) = crossterm::terminal::size().ok()?;
    Some(TerminalSize { columns: columns.into(), rows: rows.into(), ..TerminalSize::default() })
}
