//! What is on the screen. Changed by events only: no drawing, no clock, no terminal.

use std::time::Duration;

use ratatui::layout::Rect;

use super::{
    columns::NameWidths,
    help,
    order::{self, Direction, SortBy},
    recent::{Height, Mark, Recent},
    words,
};
use crate::{
    clean::clean_line,
    event::{Key, ProbeEvent, TerminalSize},
    natmap::Endpoint,
    stats::{ProbeStats, Siblings, State, Verdict},
};

/// From one verdict to the next: it compares all endpoints, and nobody reads faster.
const VERDICT: Duration = Duration::from_secs(1);

/// No terminal is larger; some say that they are.
const LARGEST: (u32, u32) = (1000, 500);

/// What the oldest terminals have, for those that say nothing.
const USUAL: (u32, u32) = (80, 24);

/// Whether colours are used. They never tell anything that the text does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Palette {
    /// They are.
    Colored,
    /// They are not; bold, underlined and reversed text is.
    Plain,
}

/// What the screen does when the run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtEnd {
    /// It stays until the person leaves it.
    Stay,
    /// It goes.
    Leave,
}

/// What a screen is about.
#[derive(Debug, Clone)]
pub struct Screened {
    /// The target as it was given.
    pub target: String,
    /// The endpoints that are probed.
    pub endpoints: Vec<Endpoint>,
    /// Whether to use colours.
    pub palette: Palette,
}

/// What whoever holds the terminal has to do about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Effect {
    /// Draw, if at all.
    None,
    /// End the run and leave the screen.
    Quit,
    /// What Ctrl-C does without a screen.
    Interrupt,
    /// What Ctrl-Z does without a screen.
    Suspend,
    /// Draw all of it again.
    Repaint,
}

/// Which page is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    List,
    /// All about one endpoint, by its place in the list of work.
    Details(usize),
    /// The keys, from this line on.
    Help(usize),
}

/// Which rows are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    All,
    Bad,
}

/// An endpoint's names, fit for a terminal.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) instance: Option<String>,
    pub(super) name: Option<String>,
    pub(super) endpoint: String,
}

/// What is compared over all endpoints, once in a while.
#[derive(Debug, Clone, Default)]
pub(super) struct Judged {
    at: Option<Duration>,
    pub(super) verdict: String,
    slow: Vec<bool>,
    /// The median of the endpoints' medians: what a bar's height is told against.
    pub(super) usual: Option<Height>,
}

/// The figures: those of now, or of when the picture was held.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    pub(super) now: Duration,
    pub(super) stats: Vec<ProbeStats>,
    pub(super) recent: Vec<Recent>,
    pub(super) judged: Judged,
}

/// The screen.
#[derive(Debug)]
pub struct ScreenState {
    pub(super) target: String,
    pub(super) palette: Palette,
    pub(super) names: Vec<Names>,
    pub(super) widths: NameWidths,
    endpoints: Vec<Endpoint>,
    live: Figures,
    held: Option<Figures>,
    is_over: bool,
    pub(super) page: Page,
    pub(super) filter: Filter,
    pub(super) sort: (SortBy, Direction),
    /// Places of the endpoints that are listed, in order.
    pub(super) order: Vec<usize>,
    /// The row that the keys are about, and the first that is shown, by their place in `order`.
    pub(super) selected: usize,
    pub(super) top: usize,
    size: (u16, u16),
}

impl ScreenState {
    /// A screen before the first probe.
    #[must_use]
    pub fn new(about: Screened, size: TerminalSize) -> Self {
        let name = |endpoint: &Endpoint| Names {
            instance: endpoint.instance.as_ref().map(|id| words::tidy(&id.to_string())),
            name: endpoint.name.as_deref().map(words::tidy),
            endpoint: words::tidy(&endpoint.to_string()),
        };
        let names: Vec<Names> = about.endpoints.iter().map(name).collect();
        let live = Figures {
            stats: vec![ProbeStats::default(); about.endpoints.len()],
            recent: vec![Recent::default(); about.endpoints.len()],
            ..Figures::default()
        };
        let mut state = Self {
            target: words::tidy(&about.target),
            palette: about.palette,
            widths: NameWidths::of(&names),
            names,
            endpoints: about.endpoints,
            live,
            held: None,
            is_over: false,
            page: Page::List,
            filter: Filter::All,
            sort: (SortBy::Instance, Direction::Natural),
            order: Vec::new(),
            selected: 0,
            top: 0,
            size: (0, 0),
        };
        state.resize(size);
        state.settle(Duration::ZERO);
        state
    }

    /// Takes a probe into account.
    pub fn probed(&mut self, event: &ProbeEvent) {
        let live = &mut self.live;
        if let (Some(stats), Some(recent)) =
            (live.stats.get_mut(event.index), live.recent.get_mut(event.index))
        {
            stats.record(&event.sample);
            recent.push(&event.sample);
        }
    }

    /// The tallies so far, also while the picture is held.
    #[must_use]
    pub fn stats(&self) -> &[ProbeStats] {
        &self.live.stats
    }

    /// The tallies, when there will be no more.
    #[must_use]
    pub fn into_stats(self) -> Vec<ProbeStats> {
        self.live.stats
    }

    /// True while the picture is held: probes and time change nothing of it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// True when no more probes will come.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// No more probes will come. `now` is the time since the run began.
    pub fn over(&mut self, now: Duration) {
        self.is_over = true;
        self.live.now = now;
        self.judge();
    }

    /// The terminal has another size.
    pub fn resize(&mut self, size: TerminalSize) {
        let (columns, rows) = match (size.columns, size.rows) {
            (0, _) | (_, 0) => USUAL,
            (columns, rows) => (columns.min(LARGEST.0), rows.min(LARGEST.1)),
        };
        self.size = (columns.try_into().unwrap_or(u16::MAX), rows.try_into().unwrap_or(u16::MAX));
    }

    /// All of the terminal.
    #[must_use]
    pub fn area(&self) -> Rect {
        Rect::new(0, 0, self.size.0, self.size.1)
    }

    /// Puts the rows in order, before a page is drawn. `now` is the time since the run began.
    pub fn settle(&mut self, now: Duration) {
        if !self.is_over {
            self.live.now = now;
        }
        if self.live.judged.at.is_none_or(|at| self.live.now >= at + VERDICT) {
            self.judge();
        }
        let mut order: Vec<usize> = match self.filter {
            Filter::All => (0..self.names.len()).collect(),
            Filter::Bad => (0..self.names.len()).filter(|place| self.is_bad(*place)).collect(),
        };
        let figures = self.figures();
        order::sort(&mut order, self.sort.0, self.sort.1, &figures.stats, &figures.recent);
        self.order = order;
        self.follow();
    }

    fn judge(&mut self) {
        let live = &mut self.live;
        let siblings = Siblings::of(&live.stats);
        let mut medians: Vec<_> = live.stats.iter().filter_map(|s| s.rtts.percentile_ms(50)).collect();
        medians.sort_by(f64::total_cmp);
        live.judged = Judged {
            at: Some(live.now),
            verdict: clean_line(&Verdict::of(&self.endpoints, &live.stats).to_string()),
            slow: live.stats.iter().map(|s| siblings.is_some_and(|all| all.is_slow(s))).collect(),
            usual: medians.get(medians.len() / 2).map(|ms| Height::of_ms(*ms)),
        };
    }

    /// What is shown.
    pub(super) fn figures(&self) -> &Figures {
        self.held.as_ref().unwrap_or(&self.live)
    }

    /// True for an endpoint that needs a look.
    pub(super) fn is_bad(&self, place: usize) -> bool {
        self.figures().is_bad(place)
    }

    /// A key was pressed.
    pub fn key(&mut self, key: Key) -> Effect {
        match key {
            Key::Ctrl('c') => return Effect::Interrupt,
            Key::Ctrl('z') => return Effect::Suspend,
            Key::Ctrl('l') => return Effect::Repaint,
            Key::Char('q') => return Effect::Quit,
            Key::Char('p' | ' ') => self.hold(),
            _ => {}
        }
        match self.page {
            Page::List => return self.key_in_list(key),
            Page::Details(place) => self.key_in_details(key, place),
            Page::Help(top) => self.key_in_help(key, top),
        }
        Effect::None
    }

    fn hold(&mut self) {
        self.held = match self.held {
            Some(_) => None,
            None => Some(self.live.clone()),
        };
    }

    fn key_in_list(&mut self, key: Key) -> Effect {
        let page = usize::from(self.rows_shown().max(1));
        match key {
            Key::Escape => return Effect::Quit,
            Key::Char('h' | '?') => self.page = Page::Help(0),
            Key::Enter => {
                if let Some(place) = self.order.get(self.selected) {
                    self.page = Page::Details(*place);
                }
            }
            Key::Char('s') => self.sort = (self.sort.0.next(), Direction::Natural),
            Key::Char('S') => self.sort.1 = self.sort.1.turned(),
            Key::Char('f') => {
                self.filter = match self.filter {
                    Filter::All => Filter::Bad,
                    Filter::Bad => Filter::All,
                };
                self.selected = 0;
            }
            _ => self.selected = moved(self.selected, key, page),
        }
        self.follow();
        Effect::None
    }

    /// Keeps the selected row among those that there are and those that are shown.
    fn follow(&mut self) {
        let rows = usize::from(self.rows_shown().max(1));
        self.selected = self.selected.min(self.order.len().saturating_sub(1));
        self.top = self
            .top
            .min(self.order.len().saturating_sub(rows))
            .min(self.selected)
            .max((self.selected + 1).saturating_sub(rows));
    }

    fn key_in_details(&mut self, key: Key, place: usize) {
        if matches!(key, Key::Escape | Key::Enter) {
            self.page = Page::List;
        } else if let Key::Char('h' | '?') = key {
            self.page = Page::Help(0);
        } else if matches!(key, Key::Up | Key::Down | Key::Char('j' | 'k')) {
            // From where the endpoint stands now to its neighbour.
            let at = self.order.iter().position(|there| *there == place).unwrap_or(self.selected);
            let at = moved(at, key, 1).min(self.order.len().saturating_sub(1));
            if let Some(next) = self.order.get(at) {
                self.selected = at;
                self.page = Page::Details(*next);
            }
            self.follow();
        }
    }

    fn key_in_help(&mut self, key: Key, top: usize) {
        self.page = match key {
            Key::Escape | Key::Enter | Key::Char('h' | '?') => Page::List,
            _ => {
                let rows = usize::from(self.size.1);
                let last = help::LINES.len().saturating_sub(rows);
                Page::Help(moved(top, key, rows.max(1)).min(last))
            }
        };
    }

    /// How many rows of the list are shown.
    pub(super) fn rows_shown(&self) -> u16 {
        self.size.1.saturating_sub(Bands::of(self.size.1).sum())
    }
}

/// A place moved by a key, by a row or by a page, as far up as there is anything.
fn moved(at: usize, key: Key, page: usize) -> usize {
    match key {
        Key::Down | Key::Char('j') => at.saturating_add(1),
        Key::Up | Key::Char('k') => at.saturating_sub(1),
        Key::PageDown => at.saturating_add(page),
        Key::PageUp => at.saturating_sub(page),
        Key::Home | Key::Char('g') => 0,
        Key::End | Key::Char('G') => usize::MAX - 1,
        _ => at,
    }
}

/// Which lines there are beside the rows of the list; on a low screen they go one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bands {
    pub(super) title: u16,
    pub(super) verdict: u16,
    pub(super) header: u16,
    pub(super) footer: u16,
}

impl Bands {
    /// Those of a screen of this height.
    pub(super) fn of(height: u16) -> Self {
        let from = |least: u16| u16::from(height >= least);
        // Where there is room, a verdict that is longer than a line, or a blank line.
        Self { title: from(1), header: from(4), footer: from(5), verdict: from(7) + from(16) }
    }

    fn sum(self) -> u16 {
        self.title + self.verdict + self.header + self.footer
    }
}

impl Figures {
    /// True for an endpoint that needs a look: not all was answered, it does not answer now, it is slow among
    /// its siblings, or the service behind the port failed.
    fn is_bad(&self, place: usize) -> bool {
        let Some(stats) = self.stats.get(place) else { return false };
        let state = State::of(stats);
        !matches!(state, State::Answered | State::NotProbed)
            || stats.outages.down_since.is_some()
            || self.is_slow(place)
            || stats.service.answered < stats.service.asked()
    }

    pub(super) fn is_slow(&self, place: usize) -> bool {
        self.judged.slow.get(place).copied().unwrap_or_default()
    }

    /// How many endpoints answered their last probe, and how many need a look.
    pub(super) fn counts(&self) -> (usize, usize) {
        let well = self
            .recent
            .iter()
            .filter(|recent| recent.last(1).all(Mark::is_well) && recent.last(1).count() > 0);
        (well.count(), (0..self.stats.len()).filter(|place| self.is_bad(*place)).count())
    }

    /// What the state is called: its name, or what is more to the point.
    pub(super) fn state_words(&self, place: usize) -> String {
        let Some(stats) = self.stats.get(place) else { return String::new() };
        match State::of(stats) {
            State::Answered if self.is_slow(place) => "slow".into(),
            State::Partly if stats.outages.down_since.is_some() => "partly, down".into(),
            State::NotProbed => "waiting".into(),
            state => state.to_string(),
        }
    }
}
