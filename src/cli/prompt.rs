//! Questions to the person at the terminal.

use std::{
    io::{self, BufRead, BufReader, IsTerminal, Write},
    path::PathBuf,
    sync::Arc,
};

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::{
    askpass::{self, Asking, Askpass},
    ui::Ui,
};
use crate::{
    clean::clean_line,
    fanout::Interrupt,
    fold::Fold,
    natmap::{Endpoint, display_endpoints},
    ssh::{NewHostKey, Prompt, TrustAnswer},
    term,
};

/// A typing error at the host key question is asked again; after this many it counts as a no.
const MOST_TRIES: usize = 3;

/// Asks on the controlling terminal, so that a piped standard input is left to the remote command.
pub(super) struct TerminalPrompt {
    pub(super) ui: Arc<Ui>,
    pub(super) interrupt: Interrupt,
    pub(super) askpass: Askpass,
}

impl Prompt for TerminalPrompt {
    fn secret(&self, question: &str) -> io::Result<Option<SecretString>> {
        if let Some(program) = self.program(terminal().is_some()) {
            return self.ask(program, question, Asking::Text);
        }
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

    fn answer(&self, question: &str) -> io::Result<Option<SecretString>> {
        if let Some(program) = self.program(terminal().is_some()) {
            return self.ask(program, question, Asking::Text);
        }
        let Some(mut answers) = terminal() else { return Ok(None) };
        let _no_bars = self.ui.without_bars();
        let mut err = io::stderr();
        write!(err, "{question}")?;
        err.flush()?;
        let mut line = Zeroizing::new(String::new());
        if answers.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        Ok(Some(line.trim_end_matches(['\r', '\n']).into()))
    }

    fn trust_host_key(&self, new: &NewHostKey) -> io::Result<bool> {
        if let Some(program) = self.program(terminal().is_some()) {
            let mut question = Vec::new();
            write_new_key(&mut question, new)?;
            question.extend_from_slice(b"Trust it and go on? (yes/no) ");
            let answer = self.ask(program, &String::from_utf8_lossy(&question), Asking::Yes)?;
            return Ok(answer.is_some_and(|answer| askpass::is_yes(answer.expose_secret())));
        }
        let Some(mut answers) = terminal() else { return Ok(false) };
        let _no_bars = self.ui.without_bars();
        let mut err = io::stderr();
        write_new_key(&mut err, new)?;
        for _ in 0..MOST_TRIES {
            let Some(line) = answer(&mut err, &mut *answers, "Trust it and go on? (yes/no/[fingerprint]) ")?
            else {
                return Ok(false);
            };
            match line.to_ascii_lowercase().as_str() {
                "yes" => return Ok(true),
                "no" => return Ok(false),
                // As ssh has it: who pastes the right one has compared it.
                _ if line == new.fingerprint => return Ok(true),
                _ if line.starts_with("SHA256:") => writeln!(err, "That is not its fingerprint.")?,
                _ => writeln!(err, "Please type yes, no or the fingerprint.")?,
            }
        }
        Ok(false)
    }

    fn trust_host_keys(&self, new: &[NewHostKey]) -> io::Result<TrustAnswer> {
        let Some(mut answers) = terminal() else { return Ok(TrustAnswer::All(false)) };
        let _no_bars = self.ui.without_bars();
        let mut err = io::stderr();
        write_new_keys(&mut err, new)?;
        let mut tries = 0;
        while tries < MOST_TRIES {
            let question = "Trust all, and those that still come in this run? (yes/no/show/each) ";
            let Some(line) = answer(&mut err, &mut *answers, question)? else { break };
            match line.to_ascii_lowercase().as_str() {
                "yes" => return Ok(TrustAnswer::All(true)),
                "no" => break,
                "show" => {
                    write_fingerprints(&mut err, new)?;
                    continue;
                }
                "each" => {
                    let each = new.iter().map(|new| self.trust_host_key(new));
                    return each.collect::<io::Result<_>>().map(TrustAnswer::Each);
                }
                _ => writeln!(err, "Please type yes, no, show or each.")?,
            }
            tries += 1;
        }
        Ok(TrustAnswer::All(false))
    }

    fn banner(&self, text: &str) {
        self.ui.banner(text);
    }

    fn note(&self, text: &str) {
        self.ui.note(text);
    }
}

impl TerminalPrompt {
    /// The program that asks, where one does.
    fn program(&self, has_terminal: bool) -> Option<&PathBuf> {
        if has_terminal { self.askpass.first() } else { self.askpass.instead() }
    }

    /// A program that can't be started is said and is no answer: there may be other ways in.
    fn ask(&self, program: &PathBuf, question: &str, asking: Asking) -> io::Result<Option<SecretString>> {
        let _no_bars = self.ui.without_bars();
        askpass::ask(program, question, asking, &self.interrupt.drain).inspect_err(|error| {
            self.ui.warn(&format!("nobody can be asked: {error}"));
        })
    }
}

/// What the person needs to know to decide.
fn write_new_key(out: &mut dyn Write, new: &NewHostKey) -> io::Result<()> {
    writeln!(out, "The host key of {} is not known.", new.label)?;
    writeln!(out, "  {} {}", new.key_type, new.fingerprint)?;
    if let Some(flaw) = &new.flawed_certificate {
        writeln!(out, "  Its certificate does not count: {flaw}")?;
    }
    for known in &new.other_types {
        writeln!(out, "  Known for it is another type: {} at {}", known.fingerprint, known.place())?;
    }
    for known in &new.same_key {
        writeln!(out, "  The same key is known for another name, at {}", known.place())?;
    }
    Ok(())
}

/// The same for many: who they are, and whether they have keys of their own.
fn write_new_keys(out: &mut dyn Write, new: &[NewHostKey]) -> io::Result<()> {
    let endpoints: Vec<_> = new.iter().map(|new| &new.endpoint).collect();
    let set = clean_line(&display_endpoints(&endpoints));
    match new.len() {
        1 => writeln!(out, "1 instance shows a key that is not on file: {set}")?,
        many => writeln!(out, "{many} instances show keys that are not on file: {set}")?,
    }
    for (fingerprint, sharing) in by_fingerprint(new).groups() {
        if sharing.len() > 1 {
            let set = clean_line(&display_endpoints(sharing));
            writeln!(out, "  One key for several of them ({fingerprint}): {set}")?;
        }
    }
    let known = new.iter().filter(|new| !new.same_key.is_empty()).count();
    if known > 0 {
        writeln!(out, "  {known} of these keys are known for other names")?;
    }
    Ok(())
}

fn write_fingerprints(out: &mut dyn Write, new: &[NewHostKey]) -> io::Result<()> {
    new.iter().try_for_each(|new| {
        writeln!(out, "  {}: {} {}", clean_line(&new.endpoint.label()), new.key_type, new.fingerprint)
    })
}

fn by_fingerprint(new: &[NewHostKey]) -> Fold<&str, &Endpoint> {
    new.iter().map(|new| (new.fingerprint.as_str(), &new.endpoint)).collect()
}

/// Asks and reads a line; `None` at the end of the terminal.
fn answer(out: &mut dyn Write, answers: &mut dyn BufRead, question: &str) -> io::Result<Option<String>> {
    write!(out, "{question}")?;
    out.flush()?;
    let mut line = String::new();
    let read = answers.read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim().to_owned()))
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
