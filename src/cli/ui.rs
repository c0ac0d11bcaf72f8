//! The process's streams, and how we talk on them: results to stdout, everything else to stderr.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    sync::Arc,
};

use indicatif::{MultiProgress, ProgressDrawTarget};

use super::{
    args::{ColorChoice, GlobalArgs},
    error::{Error, Kind},
    exit::Exit,
};
use crate::{clean::clean, report::exec::Sink};

/// Where messages go.
#[derive(Debug, Clone, Default)]
pub(super) enum Messages {
    /// To standard error.
    #[default]
    Stderr,
    /// To a file (`-E` of ssh(1)).
    File(Arc<File>),
    /// Nowhere (`-q` of ssh(1), which leaves errors out as well).
    Nowhere,
}

/// The two streams and what was decided about them once.
pub(super) struct Ui {
    /// `--quiet`.
    pub(super) quiet: bool,
    /// The log of `--verbose` is on.
    pub(super) log: bool,
    /// Standard output is coloured.
    pub(super) out_color: bool,
    err_color: bool,
    show_bars: bool,
    messages: Messages,
    /// Bars are drawn through this, so that notes and prompts can push them aside.
    pub(super) bars: MultiProgress,
}

impl Ui {
    pub(super) fn new(global: &GlobalArgs, no_color: bool, messages: Messages) -> Self {
        let err_terminal = matches!(messages, Messages::Stderr) && io::stderr().is_terminal();
        let out_terminal = io::stdout().is_terminal();
        let color = |terminal: bool| match global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && !no_color,
        };
        let ui = Self {
            quiet: global.quiet,
            log: global.verbose > 0,
            out_color: color(out_terminal),
            err_color: color(err_terminal),
            // The log of `--verbose` and a bar would run through each other.
            show_bars: err_terminal && !global.quiet && global.verbose == 0,
            messages,
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()),
        };
        ui.bars.set_draw_target(ui.bar_target());
        ui
    }

    /// Standard output, buffered.
    fn out(&self) -> BufWriter<io::Stdout> {
        BufWriter::new(io::stdout())
    }

    /// Standard output for a report that may get remote bytes.
    pub(super) fn out_sink(&self) -> Sink {
        Sink { writer: Box::new(self.out()), terminal: io::stdout().is_terminal(), color: self.out_color }
    }

    /// Standard error for the same.
    pub(super) fn err_sink(&self) -> Sink {
        Sink { writer: Box::new(io::stderr()), terminal: io::stderr().is_terminal(), color: self.err_color }
    }

    /// Something the user should know; not with `--quiet`.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            self.say(&clean(text.as_bytes()));
        }
    }

    /// What a server says to the person: to standard error, wherever our own messages go; not with `--quiet`.
    pub(super) fn banner(&self, text: &str) {
        match &self.messages {
            Messages::File(_) if !self.quiet => {
                let _ = writeln!(io::stderr(), "{}", clean(text.as_bytes()));
            }
            _ => self.note(text),
        }
    }

    /// A warning: also with `--quiet`.
    pub(super) fn warn(&self, text: &str) {
        self.labelled("warning", "33", text);
    }

    /// What to do next.
    pub(super) fn hint(&self, text: &str) {
        self.labelled("hint", "36", text);
    }

    /// Shows an error and gives the exit status that belongs to it.
    pub(super) fn error(&self, error: &Error) -> Exit {
        if error.kind != Kind::ClosedPipe {
            self.labelled("error", "1;31", &error.message);
            error
                .causes
                .iter()
                .for_each(|cause| self.say(&clean(format!("  caused by: {cause}").as_bytes())));
            error.hints.iter().for_each(|hint| self.hint(hint));
        }
        error.exit()
    }

    fn labelled(&self, label: &str, color: &str, text: &str) {
        // Names, paths and answers from elsewhere are in it.
        let text = clean(text.as_bytes());
        if self.err_color {
            self.say(&format!("\x1b[{color}m{label}:\x1b[0m {text}"));
        } else {
            self.say(&format!("{label}: {text}"));
        }
    }

    /// Lines on stderr, above the bars. When even that can't be written, there is nobody to tell.
    fn say(&self, text: &str) {
        let _ = match &self.messages {
            Messages::File(file) => writeln!(&**file, "{text}"),
            Messages::Nowhere => Ok(()),
            Messages::Stderr if self.bars.is_hidden() => writeln!(io::stderr(), "{text}"),
            Messages::Stderr => self.bars.println(text),
        };
    }

    /// Takes the bars away while a person is asked something. Nothing else waits meanwhile.
    pub(super) fn without_bars(&self) -> WithoutBars<'_> {
        let _ = self.bars.clear();
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
        WithoutBars(self)
    }

    /// Writes results to standard output.
    pub(super) fn write(&self, results: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
        let mut out = self.out();
        results(&mut out).and_then(|()| out.flush()).map_err(|error| Error::output(&error))
    }

    fn bar_target(&self) -> ProgressDrawTarget {
        if self.show_bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
    }
}

/// See [`Ui::without_bars`]: they come back with the end of this.
pub(super) struct WithoutBars<'a>(&'a Ui);

impl Drop for WithoutBars<'_> {
    fn drop(&mut self) {
        self.0.bars.set_draw_target(self.0.bar_target());
    }
}

/// A last word before there is a `Ui`.
pub(super) fn fatal(text: &str) {
    let _ = writeln!(io::stderr(), "error: {text}");
}
