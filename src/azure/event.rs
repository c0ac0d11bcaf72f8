//! What questions to Azure tell their watcher while they run. Plain values; nothing is printed here.

use std::{fmt, sync::Arc, time::Duration};

/// A step of a question to Azure, or of the sign-in before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArmEvent {
    /// It has begun.
    Started {
        /// What is asked for: `scale set "web"`.
        what: String,
    },
    /// It waits before it asks again.
    Waiting {
        /// As in `Started`.
        what: String,
        /// How long.
        wait: Duration,
        /// What for.
        why: Why,
    },
    /// It is over, well or not, or was given up.
    Finished {
        /// As in `Started`.
        what: String,
    },
}

/// Why a question waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Azure answers 429: too many requests.
    Throttled,
    /// Azure, or something on the way to it, has trouble; the HTTP status.
    Trouble(u16),
    /// No whole answer came: the connection broke or was silent for too long.
    Dropped,
    /// Azure works on the answer (202).
    Working,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Throttled => f.write_str("Azure gets too many requests (429)"),
            Self::Trouble(status) => write!(f, "Azure has trouble ({status})"),
            Self::Dropped => f.write_str("the connection broke"),
            Self::Working => f.write_str("Azure works on the answer"),
        }
    }
}

/// Who is told.
#[derive(Clone)]
pub(super) struct Watcher(Arc<dyn Fn(ArmEvent) + Send + Sync>);

impl Watcher {
    pub(super) fn new(on_event: impl Fn(ArmEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(on_event))
    }

    /// Tells of a start now and of the end when the result is dropped, so also of one that is given up.
    pub(super) fn started(&self, what: &str) -> Watched {
        (self.0)(ArmEvent::Started { what: what.into() });
        Watched { watcher: self.clone(), what: what.into() }
    }
}

/// See [`Watcher::started`].
pub(super) struct Watched {
    watcher: Watcher,
    what: String,
}

impl Watched {
    pub(super) fn waiting(&self, wait: Duration, why: Why) {
        (self.watcher.0)(ArmEvent::Waiting { what: self.what.clone(), wait, why });
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        (self.watcher.0)(ArmEvent::Finished { what: std::mem::take(&mut self.what) });
    }
}
