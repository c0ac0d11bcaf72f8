//! Questions through the program that `SSH_ASKPASS` names, as ssh(1) has it: a window, a keyring or a
//! script of the user's. The one place of the command line that starts a program.

use std::{
    io::{self, Read as _},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// ssh(1) reads as much of an answer; no password is longer.
const LONGEST: usize = 1024;

/// How often it is looked whether the user has had enough.
const LOOK: Duration = Duration::from_millis(50);

/// When the program is asked (`SSH_ASKPASS_REQUIRE`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Require {
    /// Where there is no terminal and a display.
    #[default]
    Fallback,
    /// In place of the terminal, where there is a display.
    Prefer,
    /// In place of the terminal, always.
    Force,
    Never,
}

/// What the environment says about it.
#[derive(Debug, Clone, Default)]
pub(super) struct Askpass {
    program: Option<PathBuf>,
    require: Require,
    display: bool,
}

impl Askpass {
    /// From `SSH_ASKPASS`, `SSH_ASKPASS_REQUIRE`, and whether `DISPLAY` or `WAYLAND_DISPLAY` is set. As for
    /// ssh(1), an unknown word is none.
    pub(super) fn new(program: Option<PathBuf>, require: Option<&str>, display: bool) -> Self {
        let require = match require.map(str::to_ascii_lowercase).as_deref() {
            Some("prefer") => Require::Prefer,
            Some("force") => Require::Force,
            Some("never") => Require::Never,
            _ => Require::Fallback,
        };
        Self { program, require, display }
    }

    /// The program to ask in place of the terminal.
    pub(super) fn first(&self) -> Option<&PathBuf> {
        let wanted = match self.require {
            Require::Force => true,
            Require::Prefer => self.display,
            Require::Fallback | Require::Never => false,
        };
        self.program.as_ref().filter(|_| wanted)
    }

    /// The program to ask where there is no terminal.
    pub(super) fn instead(&self) -> Option<&PathBuf> {
        let wanted = match self.require {
            Require::Force => true,
            Require::Prefer | Require::Fallback => self.display,
            Require::Never => false,
        };
        self.program.as_ref().filter(|_| wanted)
    }
}

/// What kind of question it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asking {
    /// For a text.
    Text,
    /// For a yes, which a program with buttons gives by its exit status alone.
    Yes,
}

/// Asks. `Ok(None)`: no answer was given.
pub(super) fn ask(
    program: &PathBuf,
    question: &str,
    asking: Asking,
    stop: &CancellationToken,
) -> io::Result<Option<SecretString>> {
    let mut command = Command::new(program);
    command.arg(question).stdin(Stdio::null()).stdout(Stdio::piped());
    if asking == Asking::Yes {
        command.env("SSH_ASKPASS_PROMPT", "confirm");
    }
    let started = command.spawn();
    let mut child =
        started.map_err(|e| io::Error::new(e.kind(), format!("SSH_ASKPASS {}: {e}", program.display())))?;
    let answer = answer(&mut child, stop);
    let status = end(&mut child, answer.is_some(), stop)?;
    Ok(answer.filter(|_| status.success()))
}

/// Whether the program said yes: its word, or no word at all, as ssh(1) takes it.
pub(super) fn is_yes(answer: &str) -> bool {
    answer.is_empty() || answer.eq_ignore_ascii_case("yes")
}

/// Its first line, once it has ended or closed its output. `None`: it was stopped, or said too much.
fn answer(child: &mut Child, stop: &CancellationToken) -> Option<SecretString> {
    let output = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    // A read can't be given up; the thread ends with the program.
    thread::spawn(move || {
        // With room for all of it from the start: as it grew, it would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 64));
        let read = output.take(LONGEST as u64 + 1).read_to_end(&mut bytes);
        let _ = sender.send(read.ok().filter(|length| *length <= LONGEST).map(|_| bytes));
    });
    let bytes = loop {
        match receiver.recv_timeout(LOOK) {
            Ok(bytes) => break bytes?,
            Err(RecvTimeoutError::Timeout) if !stop.is_cancelled() => {}
            Err(_) => return None,
        }
    };
    let line = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    std::str::from_utf8(line).ok().map(SecretString::from)
}

/// Waits for its end, and makes one where nobody waits for it any more.
fn end(child: &mut Child, answered: bool, stop: &CancellationToken) -> io::Result<ExitStatus> {
    while answered && !stop.is_cancelled() {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(LOOK);
    }
    let _ = child.kill();
    child.wait()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_asked_when_ssh_asks_it() {
        let asked = |require, display| {
            let askpass = Askpass::new(Some("ask".into()), require, display);
            (askpass.first().is_some(), askpass.instead().is_some())
        };
        assert_eq!(asked(None, false), (false, false));
        assert_eq!(asked(None, true), (false, true));
        assert_eq!(asked(Some("prefer"), false), (false, false));
        assert_eq!(asked(Some("prefer"), true), (true, true));
        assert_eq!(asked(Some("FORCE"), false), (true, true));
        assert_eq!(asked(Some("never"), true), (false, false));
        assert_eq!(asked(Some("what"), true), (false, true));
        assert!(Askpass::new(None, Some("force"), true).first().is_none());
    }
}
