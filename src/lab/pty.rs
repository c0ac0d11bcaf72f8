//! Pseudo-terminals: size and modes as the client wishes them (RFC 4254 sections 6.2 and 8).

use std::{io, os::fd::AsFd};

use pty_process::{OwnedReadPty, OwnedWritePty, Pts, Size};
use russh::Pty;
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, tcgetattr,
    tcsetattr,
};

use crate::event::TerminalSize;

/// What a `pty-req` asks for.
#[derive(Debug, Clone)]
pub(super) struct PtyWish {
    /// The value of TERM.
    pub(super) term: String,
    /// The terminal's size.
    pub(super) size: TerminalSize,
    /// Terminal modes.
    pub(super) modes: Vec<(Pty, u32)>,
}

/// Opens a pseudo-terminal: the halves for the server, and the side that the command gets.
pub(super) fn open(wish: &PtyWish) -> io::Result<(OwnedReadPty, OwnedWritePty, Pts)> {
    let (pty, pts) = pty_process::open().map_err(io::Error::other)?;
    pty.resize(size(wish.size)).map_err(io::Error::other)?;
    set_modes(&pts, &wish.modes)?;
    let (read, write) = pty.into_split();
    Ok((read, write, pts))
}

/// The size as the kernel takes it.
pub(super) fn size(size: TerminalSize) -> Size {
    let TerminalSize { columns, rows, width_px, height_px } = size;
    // A terminal counts in 16 bits; clients send 0 for what they don't know.
    let small = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    Size::new_with_pixel(small(rows), small(columns), small(width_px), small(height_px))
}

fn set_modes(pts: impl AsFd, modes: &[(Pty, u32)]) -> io::Result<()> {
    let mut termios = tcgetattr(&pts)?;
    for (mode, value) in modes {
        set_mode(&mut termios, *mode, *value);
    }
    Ok(tcsetattr(pts, OptionalActions::Now, &termios)?)
}

/// Sets one mode. Unknown ones are left alone, as RFC 4254 section 8 asks.
fn set_mode(termios: &mut Termios, mode: Pty, value: u32) {
    let on = value != 0;
    if let Some(index) = special_code(mode) {
        // 255 stands for "none", which is 0 in a termios on Linux and macOS alike.
        termios.special_codes[index] = u8::try_from(value).ok().filter(|code| *code != 255).unwrap_or(0);
    } else if let Some(flag) = input_mode(mode) {
        termios.input_modes.set(flag, on);
    } else if let Some(flag) = local_mode(mode) {
        termios.local_modes.set(flag, on);
    } else if let Some(flag) = output_mode(mode) {
        termios.output_modes.set(flag, on);
    } else {
        set_control_mode(termios, mode, on);
    }
}

fn special_code(mode: Pty) -> Option<SpecialCodeIndex> {
    Some(match mode {
        Pty::VINTR => SpecialCodeIndex::VINTR,
        Pty::VQUIT => SpecialCodeIndex::VQUIT,
        Pty::VERASE => SpecialCodeIndex::VERASE,
        Pty::VKILL => SpecialCodeIndex::VKILL,
        Pty::VEOF => SpecialCodeIndex::VEOF,
        Pty::VEOL => SpecialCodeIndex::VEOL,
        Pty::VEOL2 => SpecialCodeIndex::VEOL2,
        Pty::VSTART => SpecialCodeIndex::VSTART,
        Pty::VSTOP => SpecialCodeIndex::VSTOP,
        Pty::VSUSP => SpecialCodeIndex::VSUSP,
        Pty::VREPRINT => SpecialCodeIndex::VREPRINT,
        Pty::VWERASE => SpecialCodeIndex::VWERASE,
        Pty::VLNEXT => SpecialCodeIndex::VLNEXT,
        Pty::VDISCARD => SpecialCodeIndex::VDISCARD,
        _ => return None,
    })
}

fn input_mode(mode: Pty) -> Option<InputModes> {
    Some(match mode {
        Pty::IGNPAR => InputModes::IGNPAR,
        Pty::PARMRK => InputModes::PARMRK,
        Pty::INPCK => InputModes::INPCK,
        Pty::ISTRIP => InputModes::ISTRIP,
        Pty::INLCR => InputModes::INLCR,
        Pty::IGNCR => InputModes::IGNCR,
        Pty::ICRNL => InputModes::ICRNL,
        Pty::IXON => InputModes::IXON,
        Pty::IXANY => InputModes::IXANY,
        Pty::IXOFF => InputModes::IXOFF,
        Pty::IMAXBEL => InputModes::IMAXBEL,
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        Pty::IUTF8 => InputModes::IUTF8,
        _ => return None,
    })
}

fn local_mode(mode: Pty) -> Option<LocalModes> {
    Some(match mode {
        Pty::ISIG => LocalModes::ISIG,
        Pty::ICANON => LocalModes::ICANON,
        Pty::ECHO => LocalModes::ECHO,
        Pty::ECHOE => LocalModes::ECHOE,
        Pty::ECHOK => LocalModes::ECHOK,
        Pty::ECHONL => LocalModes::ECHONL,
        Pty::NOFLSH => LocalModes::NOFLSH,
        Pty::TOSTOP => LocalModes::TOSTOP,
        Pty::IEXTEN => LocalModes::IEXTEN,
        Pty::ECHOCTL => LocalModes::ECHOCTL,
        Pty::ECHOKE => LocalModes::ECHOKE,
        Pty::PENDIN => LocalModes::PENDIN,
        _ => return None,
    })
}

fn output_mode(mode: Pty) -> Option<OutputModes> {
    Some(match mode {
        Pty::OPOST => OutputModes::OPOST,
        Pty::ONLCR => OutputModes::ONLCR,
        Pty::OCRNL => OutputModes::OCRNL,
        Pty::ONOCR => OutputModes::ONOCR,
        Pty::ONLRET => OutputModes::ONLRET,
        _ => return None,
    })
}

fn set_control_mode(termios: &mut Termios, mode: Pty, on: bool) {
    match mode {
        // One field of two bits: CS7 and CS8 exclude each other.
        Pty::CS7 | Pty::CS8 if on => {
            let size = if mode == Pty::CS8 { ControlModes::CS8 } else { ControlModes::CS7 };
            termios.control_modes.remove(ControlModes::CSIZE);
            termios.control_modes.insert(size);
        }
        Pty::PARENB => termios.control_modes.set(ControlModes::PARENB, on),
        Pty::PARODD => termios.control_modes.set(ControlModes::PARODD, on),
        // Line speeds mean nothing on a pseudo-terminal.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn modes_and_size_are_as_wished() {
        let modes = vec![(Pty::ECHO, 0), (Pty::ONLCR, 0), (Pty::VINTR, 7), (Pty::VQUIT, 255), (Pty::CS8, 1)];
        let size = TerminalSize { columns: 132, rows: 43, width_px: 0, height_px: 70_000 };
        let wish = PtyWish { term: "xterm".into(), size, modes };
        let (_read, _write, pts) = open(&wish).unwrap();
        let termios = tcgetattr(&pts).unwrap();
        assert!(!termios.local_modes.contains(LocalModes::ECHO));
        assert!(termios.local_modes.contains(LocalModes::ICANON));
        assert!(!termios.output_modes.contains(OutputModes::ONLCR));
        assert_eq!(termios.special_codes[SpecialCodeIndex::VINTR], 7);
        assert_eq!(termios.special_codes[SpecialCodeIndex::VQUIT], 0);
        let size = rustix::termios::tcgetwinsize(&pts).unwrap();
        assert_eq!((size.ws_col, size.ws_row, size.ws_ypixel), (132, 43, u16::MAX));
    }
}
