//! What is wrong with a configuration, and where.

use std::{fmt, sync::Arc};

use thiserror::Error;

use crate::clean::clean_line;

/// A line of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file as it is to be shown; `-o` for options of the command line.
    pub file: Arc<str>,
    /// The line, from 1; for `-o` which of them.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", clean_line(&self.file), self.line)
    }
}

/// A configuration can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {message}")]
pub struct ConfigError {
    /// Where.
    pub place: Place,
    /// What is wrong, on one line and fit for a terminal.
    pub message: String,
    /// The next thing to do, where there is one.
    pub hint: Option<String>,
}

impl ConfigError {
    pub(super) fn new(place: &Place, message: impl AsRef<str>) -> Self {
        // Configuration may have come with somebody else's files.
        Self { place: place.clone(), message: clean_line(message.as_ref()), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
