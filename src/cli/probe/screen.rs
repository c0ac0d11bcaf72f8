//! The live screen: the terminal, the clock and the keys around [`ScreenState`].

use std::{io, pin::Pin, time::Duration};

use futures_util::{Stream, StreamExt as _};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        context::Context,
        error::{Error, Kind},
    },
    args::{ProbeArgs, ProbeFormat},
};
use crate::{
    event::{Key, ProbeEvent, TerminalSize},
    net::probe::Count,
    report::{
        screen::{AtEnd, Effect, Painter, Palette, ScreenState, Screened},
        watch::ProbeWatch,
    },
    stats::ProbeStats,
    term,
};

/// From one page to the next: faster than this nobody reads figures, and it costs.
const PAGE: Duration = Duration::from_millis(100);

/// Batches of events that are taken in one go, with a look at the keys in between.
const BATCH: usize = 16;

/// What decides whether there is a screen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// `--watch`.
    pub(super) watch: bool,
    /// The run ends only when it is stopped.
    pub(super) endless: bool,
    /// The output is the table, for people.
    pub(super) table: bool,
    /// `--quiet`.
    pub(super) quiet: bool,
    /// `--verbose`, whose log goes to standard error.
    pub(super) log: bool,
    /// The standard streams that are terminals.
    pub(super) terminals: Terminals,
}

/// Which of the standard streams are terminals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terminals {
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
}

impl Wish {
    /// What was asked for.
    pub(super) fn of(context: &Context, args: &ProbeArgs) -> Self {
        Self {
            watch: args.show.watch,
            endless: args.options().count == Count::Endless,
            table: matches!(args.show.output, ProbeFormat::Table | ProbeFormat::Wide),
            quiet: context.ui.quiet,
            log: context.ui.log,
            terminals: Terminals::now(),
        }
    }
}

impl Terminals {
    pub(super) fn now() -> Self {
        Self {
            stdin: term::stdin_is_terminal(),
            stdout: term::stdout_is_terminal(),
            stderr: term::stderr_is_terminal(),
        }
    }
}

/// Whether there is a screen, and what it does at the end of the run: asked for it is there, or that is
/// an error; by itself it comes with a run without end that a person looks at.
pub(super) fn wanted(wish: Wish) -> Result<Option<AtEnd>, Error> {
    let Terminals { stdin, stdout, stderr } = wish.terminals;
    let refused = |message: &str, hint: &str| Err(Error::new(Kind::Usage, message).hint(hint));
    if !wish.watch {
        let looked_at = stdin && stdout && stderr && wish.table && !wish.quiet && !wish.log;
        return Ok((wish.endless && looked_at).then_some(AtEnd::Leave));
    }
    if !(stdin && stdout) {
        return refused(
            "`--watch` needs a terminal, and standard input or output is none",
            "leave it out: the table comes at the end of the run",
        );
    }
    if !wish.table {
        return refused(
            "`--watch` shows a screen to a person, and `--output` asks for something else",
            "leave one of them out",
        );
    }
    if wish.log && stderr {
        return refused(
            "`--watch` and the log of `--verbose` would be on the same terminal",
            "send the log elsewhere: `2> FILE`",
        );
    }
    Ok(Some(AtEnd::Stay))
}

/// What a run with a screen works on.
pub(super) struct Run<'a> {
    pub(super) about: Screened,
    pub(super) at_end: AtEnd,
    /// Ends the run.
    pub(super) stop: &'a CancellationToken,
    pub(super) watchers: Vec<Box<dyn ProbeWatch>>,
}

/// Adds up the events of a run while a person looks on. Ends when the person or the run does, as
/// [`AtEnd`] has it, with the terminal as it was before.
pub(super) async fn follow(
    context: &Context,
    run: Run<'_>,
    mut events: mpsc::Receiver<Vec<ProbeEvent>>,
) -> Result<Vec<ProbeStats>, Error> {
    let size = term::size().unwrap_or_default();
    let state = ScreenState::new(run.about, size);
    let mut live = Live { context, state, watchers: run.watchers, stop: run.stop, at_end: run.at_end };
    let mut view = View::open(size).map_err(|error| gone(&error))?;
    live.show(&mut view, &mut events).await?;
    view.screen.leave().await;
    // What was under way when the person left.
    while let Some(batch) = events.recv().await {
        live.take(&batch)?;
    }
    Ok(live.state.into_stats())
}

fn gone(error: &io::Error) -> Error {
    Error::new(Kind::Other, "can't use the terminal").caused_by(Some(error))
}

/// The terminal.
struct View {
    screen: term::Screen,
    painter: Painter,
    keys: Pin<Box<dyn Stream<Item = Key> + Send>>,
    resizes: Pin<Box<dyn Stream<Item = TerminalSize> + Send>>,
    started: Instant,
    /// No page before this.
    due: Instant,
    /// Something is to be shown.
    changed: bool,
}

impl View {
    fn open(size: TerminalSize) -> io::Result<Self> {
        let now = Instant::now();
        Ok(Self {
            resizes: Box::pin(term::resizes(size)?),
            // Raw before anything is read: what was typed ahead counts as typed here.
            screen: term::Screen::enter()?,
            keys: Box::pin(term::keys()?),
            painter: Painter::default(),
            started: now,
            due: now,
            changed: true,
        })
    }

    /// When to draw: as soon as it is time for what has changed, else with the clock's next second.
    fn wakes(&self, state: &ScreenState) -> Option<Instant> {
        if self.changed {
            return Some(self.due);
        }
        let shown = self.started.elapsed().as_secs();
        (!state.is_over() && !state.is_held()).then(|| self.started + Duration::from_secs(shown + 1))
    }

    fn draw(&mut self, state: &mut ScreenState) -> io::Result<()> {
        let now = Instant::now();
        self.due = now + PAGE;
        self.changed = true;
        if !self.screen.is_ready() {
            return Ok(());
        }
        state.settle(now - self.started);
        let page = self.painter.paint(state)?;
        if !page.is_empty() {
            self.screen.show(page)?;
        }
        self.changed = false;
        Ok(())
    }
}

/// A run that is looked at.
struct Live<'a> {
    context: &'a Context,
    state: ScreenState,
    watchers: Vec<Box<dyn ProbeWatch>>,
    stop: &'a CancellationToken,
    at_end: AtEnd,
}

impl Live<'_> {
    /// Until the screen is left, with whatever ends the run being told.
    async fn show(
        &mut self,
        view: &mut View,
        events: &mut mpsc::Receiver<Vec<ProbeEvent>>,
    ) -> Result<(), Error> {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let wakes = view.wakes(&self.state);
            tokio::select! {
                biased;
                () = self.context.interrupt.drain.cancelled() => return Ok(()),
                key = view.keys.next() => if self.key(view, key)? == Then::Leave {
                    return Ok(());
                },
                Some(size) = view.resizes.next() => {
                    self.state.resize(size);
                    // Terminals differ in what they leave of the page.
                    view.painter.forget();
                    view.changed = true;
                }
                // Before the events: a thousand a second must not keep the page from being drawn.
                () = sleep_until(wakes.unwrap_or(view.due)), if wakes.is_some() => {
                    view.draw(&mut self.state).map_err(|error| Error::output(&error))?;
                }
                count = events.recv_many(&mut batch, BATCH), if !self.state.is_over() => {
                    batch.drain(..).try_for_each(|events: Vec<_>| self.take(&events))?;
                    view.changed |= !self.state.is_held();
                    if count == 0 {
                        self.state.over(view.started.elapsed());
                        view.changed = true;
                        if self.at_end == AtEnd::Leave {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }

    /// As without a screen.
    fn take(&mut self, events: &[ProbeEvent]) -> Result<(), Error> {
        for event in events {
            self.state.probed(event);
            for watcher in &mut self.watchers {
                watcher.probed(event, self.state.stats()).map_err(|error| Error::output(&error))?;
            }
        }
        self.watchers.iter_mut().try_for_each(|watcher| watcher.told()).map_err(|error| Error::output(&error))
    }

    /// What a key brings about; no key is the end of the terminal.
    fn key(&mut self, view: &mut View, key: Option<Key>) -> Result<Then, Error> {
        view.changed = true;
        let Some(key) = key else {
            self.context.interrupt.stop();
            return Ok(Then::Leave);
        };
        match self.state.key(key) {
            Effect::None => {}
            Effect::Repaint => view.painter.forget(),
            Effect::Suspend => {
                view.screen.suspend().map_err(|error| gone(&error))?;
                view.painter.forget();
            }
            Effect::Quit => {
                self.stop.cancel();
                return Ok(Then::Leave);
            }
            Effect::Interrupt => {
                self.context.interrupt.next();
                return Ok(Then::Leave);
            }
        }
        Ok(Then::Stay)
    }
}

/// What follows a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Stay,
    Leave,
}

/// Colours as `--color` and `NO_COLOR` have it.
pub(super) fn palette(context: &Context) -> Palette {
    if context.ui.out_color { Palette::Colored } else { Palette::Plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Terminals = Terminals { stdin: true, stdout: true, stderr: true };
    const PLAIN: Wish =
        Wish { watch: false, endless: false, table: true, quiet: false, log: false, terminals: ALL };

    fn decided(wish: Wish) -> Result<Option<AtEnd>, Kind> {
        wanted(wish).map_err(|error| error.kind)
    }

    #[test]
    fn by_itself_it_comes_with_a_run_without_end_that_is_looked_at() {
        let endless = Wish { endless: true, ..PLAIN };
        assert_eq!(decided(PLAIN), Ok(None));
        assert_eq!(decided(endless), Ok(Some(AtEnd::Leave)));
        for terminals in [
            Terminals { stdin: false, ..ALL },
            Terminals { stdout: false, ..ALL },
            Terminals { stderr: false, ..ALL },
        ] {
            assert_eq!(decided(Wish { terminals, ..endless }), Ok(None), "{terminals:?}");
        }
        for other in
            [Wish { table: false, ..endless }, Wish { quiet: true, ..endless }, Wish { log: true, ..endless }]
        {
            assert_eq!(decided(other), Ok(None), "{other:?}");
        }
    }

    #[test]
    fn asked_for_it_is_there_or_that_is_an_error() {
        let watch = Wish { watch: true, ..PLAIN };
        let no_stderr = Terminals { stderr: false, ..ALL };
        for good in [
            watch,
            Wish { quiet: true, endless: true, ..watch },
            Wish { terminals: no_stderr, log: true, ..watch },
        ] {
            assert_eq!(decided(good), Ok(Some(AtEnd::Stay)), "{good:?}");
        }
        for bad in [
            Wish { terminals: Terminals { stdin: false, ..ALL }, ..watch },
            Wish { terminals: Terminals { stdout: false, ..ALL }, ..watch },
            Wish { table: false, ..watch },
            Wish { log: true, ..watch },
        ] {
            assert_eq!(decided(bad), Err(Kind::Usage), "{bad:?}");
        }
    }
}
