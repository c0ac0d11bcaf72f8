//! The modes of the local terminal, in the words of RFC 4254 section 8.

use russh::Pty;

/// What the system says about a terminal; nothing where it has no termios.
#[cfg(unix)]
pub type Attributes = rustix::termios::Termios;
/// What the system says about a terminal; nothing where it has no termios.
#[cfg(not(unix))]
pub type Attributes = ();

/// Terminal modes for a pseudo-terminal on the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modes(Vec<(Pty, u32)>);

/// The speed of a terminal that has none: 38400 baud, as the pseudo-terminals of Linux say.
const SPEED: u32 = 38_400;

/// Where nothing is known, nothing is asked for but a speed: the server's own modes are sane.
impl Default for Modes {
    fn default() -> Self {
        Self(vec![(Pty::TTY_OP_ISPEED, SPEED), (Pty::TTY_OP_OSPEED, SPEED)])
    }
}

impl Modes {
    /// The modes of a terminal as they were before it was made raw.
    #[cfg(unix)]
    #[must_use]
    pub fn of(attributes: &Attributes) -> Self {
        Self(unix::modes(attributes))
    }

    /// The modes of a terminal as they were before it was made raw.
    #[cfg(not(unix))]
    #[must_use]
    pub fn of((): &Attributes) -> Self {
        Self::default()
    }

    pub(super) fn as_slice(&self) -> &[(Pty, u32)] {
        &self.0
    }
}

#[cfg(unix)]
mod unix {
    use russh::Pty;
    use rustix::termios::{
        ControlModes, InputModes, LocalModes, OutputModes, SpecialCodeIndex as Code, Termios,
    };

    /// What RFC 4254 section 8 says instead of a character that is switched off.
    const NO_CHARACTER: u32 = 255;
    /// `_POSIX_VDISABLE`: what this system says instead.
    const DISABLED: u8 = if cfg!(any(target_os = "linux", target_os = "android")) { 0 } else { 255 };

    const CHARACTERS: [(Pty, Code); 14] = [
        (Pty::VINTR, Code::VINTR),
        (Pty::VQUIT, Code::VQUIT),
        (Pty::VERASE, Code::VERASE),
        (Pty::VKILL, Code::VKILL),
        (Pty::VEOF, Code::VEOF),
        (Pty::VEOL, Code::VEOL),
        (Pty::VEOL2, Code::VEOL2),
        (Pty::VSTART, Code::VSTART),
        (Pty::VSTOP, Code::VSTOP),
        (Pty::VSUSP, Code::VSUSP),
        (Pty::VREPRINT, Code::VREPRINT),
        (Pty::VWERASE, Code::VWERASE),
        (Pty::VLNEXT, Code::VLNEXT),
        (Pty::VDISCARD, Code::VDISCARD),
    ];

    const INPUT: &[(Pty, InputModes)] = &[
        (Pty::IGNPAR, InputModes::IGNPAR),
        (Pty::PARMRK, InputModes::PARMRK),
        (Pty::INPCK, InputModes::INPCK),
        (Pty::ISTRIP, InputModes::ISTRIP),
        (Pty::INLCR, InputModes::INLCR),
        (Pty::IGNCR, InputModes::IGNCR),
        (Pty::ICRNL, InputModes::ICRNL),
        #[cfg(target_os = "linux")]
        (Pty::IUCLC, InputModes::IUCLC),
        (Pty::IXON, InputModes::IXON),
        (Pty::IXANY, InputModes::IXANY),
        (Pty::IXOFF, InputModes::IXOFF),
        (Pty::IMAXBEL, InputModes::IMAXBEL),
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        (Pty::IUTF8, InputModes::IUTF8),
    ];

    const LOCAL: &[(Pty, LocalModes)] = &[
        (Pty::ISIG, LocalModes::ISIG),
        (Pty::ICANON, LocalModes::ICANON),
        #[cfg(target_os = "linux")]
        (Pty::XCASE, LocalModes::XCASE),
        (Pty::ECHO, LocalModes::ECHO),
        (Pty::ECHOE, LocalModes::ECHOE),
        (Pty::ECHOK, LocalModes::ECHOK),
        (Pty::ECHONL, LocalModes::ECHONL),
        (Pty::NOFLSH, LocalModes::NOFLSH),
        (Pty::TOSTOP, LocalModes::TOSTOP),
        (Pty::IEXTEN, LocalModes::IEXTEN),
        (Pty::ECHOCTL, LocalModes::ECHOCTL),
        (Pty::ECHOKE, LocalModes::ECHOKE),
        (Pty::PENDIN, LocalModes::PENDIN),
    ];

    const OUTPUT: &[(Pty, OutputModes)] = &[
        (Pty::OPOST, OutputModes::OPOST),
        #[cfg(target_os = "linux")]
        (Pty::OLCUC, OutputModes::OLCUC),
        (Pty::ONLCR, OutputModes::ONLCR),
        (Pty::OCRNL, OutputModes::OCRNL),
        (Pty::ONOCR, OutputModes::ONOCR),
        (Pty::ONLRET, OutputModes::ONLRET),
    ];

    pub(super) fn modes(attributes: &Termios) -> Vec<(Pty, u32)> {
        let characters = CHARACTERS.iter().map(|&(name, code)| {
            let character = attributes.special_codes[code];
            (name, if character == DISABLED { NO_CHARACTER } else { character.into() })
        });
        let set = |(name, set): (Pty, bool)| (name, u32::from(set));
        characters
            .chain(INPUT.iter().map(|&(name, flag)| set((name, attributes.input_modes.contains(flag)))))
            .chain(LOCAL.iter().map(|&(name, flag)| set((name, attributes.local_modes.contains(flag)))))
            .chain(OUTPUT.iter().map(|&(name, flag)| set((name, attributes.output_modes.contains(flag)))))
            .chain(control(attributes.control_modes).into_iter().map(set))
            .chain([
                (Pty::TTY_OP_ISPEED, attributes.input_speed()),
                (Pty::TTY_OP_OSPEED, attributes.output_speed()),
            ])
            .collect()
    }

    /// The character size is a field of two bits, not a flag: 8 bits have the bit of 7 set as well.
    fn control(modes: ControlModes) -> [(Pty, bool); 4] {
        let size = modes & ControlModes::CSIZE;
        [
            (Pty::CS7, size == ControlModes::CS7),
            (Pty::CS8, size == ControlModes::CS8),
            (Pty::PARENB, modes.contains(ControlModes::PARENB)),
            (Pty::PARODD, modes.contains(ControlModes::PARODD)),
        ]
    }
}

#[cfg(all(test, unix))]
mod tests {
    use rustix::termios::{InputModes, LocalModes, SpecialCodeIndex, tcgetattr};

    use super::*;

    #[test]
    fn the_modes_of_a_real_terminal_become_opcodes() {
        let (_pty, terminal) = pty_process::blocking::open().unwrap();
        let mut attributes = tcgetattr(&terminal).unwrap();
        attributes.special_codes[SpecialCodeIndex::VINTR] = 3;
        attributes.special_codes[SpecialCodeIndex::VEOL] = 0;
        attributes.input_modes.remove(InputModes::IXON);
        attributes.local_modes.insert(LocalModes::ECHO);
        let modes = Modes::of(&attributes);
        let value = |name| modes.as_slice().iter().find(|(mode, _)| *mode == name).map(|(_, value)| *value);
        assert_eq!(value(Pty::VINTR), Some(3));
        assert_eq!(value(Pty::IXON), Some(0));
        assert_eq!(value(Pty::ECHO), Some(1));
        assert_eq!(value(Pty::CS8), Some(1));
        assert_eq!(value(Pty::CS7), Some(0));
        if cfg!(target_os = "linux") {
            assert_eq!(value(Pty::VEOL), Some(255));
        }
        let last = modes.as_slice().last().copied();
        assert_eq!(last, Some((Pty::TTY_OP_OSPEED, attributes.output_speed())));
    }
}
