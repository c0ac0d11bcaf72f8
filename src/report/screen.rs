//! The live screen of a run of probes: a row per endpoint that changes in place.
//!
//! [`ScreenState`] is changed by events only: probes, keys, sizes, the passing of time, all of them passed
//! in. [`draw`] makes a page of it and changes nothing. [`Painter`] keeps what the terminal shows, and gives
//! what to write to make it show the next page.

mod columns;
mod details;
mod draw;
mod help;
mod order;
mod recent;
mod spread;
mod state;
mod words;

use std::io;

use ratatui::{
    backend::{Backend as _, CrosstermBackend},
    buffer::Buffer,
};

pub use self::{
    draw::draw,
    order::{Direction, SortBy},
    state::{AtEnd, Effect, Palette, ScreenState, Screened},
};

/// What the terminal shows now.
#[derive(Debug, Default)]
pub struct Painter {
    shown: Buffer,
}

impl Painter {
    /// Forgets what the terminal shows: the next page is drawn whole.
    pub fn forget(&mut self) {
        self.shown = Buffer::default();
    }

    /// What to write to the terminal so that it shows the state: only what differs from the page before.
    ///
    /// # Errors
    /// None that memory does not give.
    pub fn paint(&mut self, state: &ScreenState) -> io::Result<Vec<u8>> {
        let mut page = Buffer::empty(state.area());
        draw(state, &mut page);
        let mut bytes = Vec::new();
        let mut terminal = CrosstermBackend::new(&mut bytes);
        if self.shown.area != page.area {
            terminal.clear()?;
            self.shown = Buffer::empty(page.area);
        }
        let changes = self.shown.diff(&page);
        if !changes.is_empty() {
            terminal.draw(changes.into_iter())?;
        }
        self.shown = page;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
