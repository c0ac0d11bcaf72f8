//! Questions to the person at the terminal.

use std::{
    io::{self, BufRead, BufReader, IsTerminal, Write},
    sync::Arc,
};

use secrecy::SecretString;

use super::ui::Ui;
use crate::{
    fanout::Interrupt,
    ssh::{NewHostKey, Prompt},
    term,
};

/// A typing error at the host key question is asked again; after this many it counts as a no.
const MOST_TRIES: usize = 3;

/// Asks on the controlling terminal, so that a piped standard input is left to the remote command.
pub(super) struct TerminalPrompt {
    pub(super) ui: Arc<Ui>,
    pub(super) interrupt: Interrupt,
}

impl Prompt for TerminalPrompt {
    fn secret(&self, question: &str) -> io::Result<Option<SecretString>> {
        if terminal().is_none() {
            return Ok(None);
        }
        // Interrupted, the program ends while this still waits, without echo: what was is put back then.
        term::remember();
        let _no_bars = self.ui.without_bars();
        match rpassword::prompt_password(question) {
            // Without echo, Ctrl-C is a key like any other and no signal: it means the same.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.interrupt.stop();
                Ok(None)
            }
            answer => answer.map(|secret| Some(secret.into())),
        }
    }

    fn trust_host_key(&self, new: &NewHostKey) -> io::Result<bool> {
        let Some(mut answers) = terminal() else { return Ok(false) };
        let _no_bars = self.ui.without_bars();
        let mut err = io::stderr();
        write_new_key(&mut err, new)?;
        for _ in 0..MOST_TRIES {
            write!(err, "Trust it and go on? (yes/no) ")?;
            err.flush()?;
            let mut line = String::new();
            if answers.read_line(&mut line)? == 0 {
                return Ok(false);
            }
            match line.trim().to_ascii_lowercase().as_str() {
                "yes" => return Ok(true),
                "no" => return Ok(false),
                _ => writeln!(err, "Please type yes or no.")?,
            }
        }
        Ok(false)
    }

    fn note(&self, text: &str) {
        self.ui.note(text);
    }
}

/// What the person needs to know to decide.
fn write_new_key(out: &mut dyn Write, new: &NewHostKey) -> io::Result<()> {
    writeln!(out, "The host key of {} is not known.", new.label)?;
    writeln!(out, "  {} {}", new.key_type, new.fingerprint)?;
    for known in &new.other_types {
        writeln!(out, "  Known for it is another type: {} at {}", known.fingerprint, known.place())?;
    }
    for known in &new.same_key {
        writeln!(out, "  The same key is known for another name, at {}", known.place())?;
    }
    Ok(())
}

/// The terminal to read answers from; `None` where there is nobody to ask.
fn terminal() -> Option<Box<dyn BufRead>> {
    let path = if cfg!(windows) { "CONIN$" } else { "/dev/tty" };
    // stderr is where the question shows.
    if !io::stderr().is_terminal() {
        return None;
    }
    std::fs::File::open(path).ok().map(|file| Box::new(BufReader::new(file)) as Box<dyn BufRead>)
}
