//! What work tells its watchers: plain values, made by the working modules and shown by `report`.

mod key;
mod probe;

use std::{fmt, time::Duration};

use bytes::Bytes;
use serde::Serialize;
use thiserror::Error;

pub use self::{
    key::Key,
    probe::{Answer, Clock, IcmpError, ProbeEvent, ProbeOutcome, ProbeSample, ServiceOutcome, Unreachable},
};

/// How far an attempt to run a command on an instance got. In the order in which they happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The frontend's name is turned into an address.
    Resolve,
    /// TCP connection.
    Connect,
    /// The server's identification line is awaited (RFC 4253 section 4.2).
    Banner,
    /// Key exchange (RFC 4253 section 7).
    KeyExchange,
    /// The server's host key is checked.
    HostKey,
    /// User authentication (RFC 4252).
    Auth,
    /// A session channel is opened and the command or shell requested (RFC 4254).
    Channel,
    /// The command runs.
    Command,
    /// Files are copied.
    Copy,
}

/// The stage as it is named in outputs: `key exchange`.
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Banner => "banner",
            Self::KeyExchange => "key exchange",
            Self::HostKey => "host key",
            Self::Auth => "auth",
            Self::Channel => "channel",
            Self::Command => "command",
            Self::Copy => "copy",
        })
    }
}

/// Why an instance gave no exit status: the stage that failed, what happened, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{stage}: {message}")]
pub struct Failure {
    /// Where it ended.
    pub stage: Stage,
    /// What happened, in a few words without the instance's name, so that equal causes compare equal.
    pub message: String,
    /// The next thing to do.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(stage: Stage, message: impl Into<String>) -> Self {
        Self { stage, message: message.into(), hint: None }
    }

    /// The same failure with the next thing to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure of a server that stands on the way to the one that is meant.
    #[must_use]
    pub fn on_the_way(self, server: &impl fmt::Display) -> Self {
        Self { message: format!("jump host {server}: {}", self.message), ..self }
    }
}

/// How a remote command ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Exit {
    /// With an exit status.
    Status(u32),
    /// By a signal, named without `SIG` (RFC 4254 section 6.10).
    Signal(String),
}

impl Exit {
    /// The status as a shell would give it: 128 + number for a signal it knows, else 255.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            // ssh(1) passes the low byte on, as exit(3) would.
            Self::Status(status) => (status & 0xff) as u8,
            Self::Signal(name) => signal_number(name).map_or(255, |n| 128 + n),
        }
    }

    /// True for status 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        *self == Self::Status(0)
    }
}

/// `exit 2` or `signal TERM`.
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exit {status}"),
            Self::Signal(name) => write!(f, "signal {name}"),
        }
    }
}

/// The signals of RFC 4254 section 6.10 whose numbers are the same on all POSIX systems; those of USR1
/// and USR2 differ.
const SIGNALS: [(&str, u8); 11] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("ABRT", 6),
    ("FPE", 8),
    ("KILL", 9),
    ("SEGV", 11),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
];

/// The number of a signal named without `SIG`, where it is the same on all POSIX systems.
#[must_use]
pub fn signal_number(name: &str) -> Option<u8> {
    SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// The name, without `SIG`, of a signal whose number is the same on all POSIX systems.
#[must_use]
pub fn signal_name(number: u8) -> Option<&'static str> {
    SIGNALS.iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
}

/// What became of one instance in a fan-out. Every instance gets exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The command ran to its end.
    Exited(Exit),
    /// It did not: unreachable, refused, timed out or cut off.
    Error(Failure),
    /// It was never started; why.
    Skipped(String),
}

impl Outcome {
    /// The outcome's name in JSON: `ok`, `failed` (the command said so), `error` (there was no
    /// command, or no end of it), `skipped`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exited(exit) if exit.is_success() => "ok",
            Self::Exited(_) => "failed",
            Self::Error(_) => "error",
            Self::Skipped(_) => "skipped",
        }
    }

    /// True where the command ended with status 0.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Exited(exit) if exit.is_success())
    }
}

/// What became of it, as a cause to fold by: `exit 2`, `connect: connection refused`.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(exit) => write!(f, "{exit}"),
            Self::Error(failure) => write!(f, "{failure}"),
            Self::Skipped(why) => write!(f, "skipped: {why}"),
        }
    }
}

/// Which of a command's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The size of a terminal, as one is told (RFC 4254 section 6.2). Zero is a size that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TerminalSize {
    /// Characters in a row.
    pub columns: u32,
    /// Rows.
    pub rows: u32,
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
}

/// What a fan-out tells while it runs. Instances are named by their place in the list of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FanoutEvent {
    /// Work on the instance began.
    Started {
        /// Which instance.
        index: usize,
    },
    /// The command printed.
    Output {
        /// Which instance.
        index: usize,
        /// Where to.
        stream: Stream,
        /// What: raw bytes of a remote, not to be shown uncleaned.
        bytes: Bytes,
    },
    /// The instance's one outcome.
    Finished {
        /// Which instance.
        index: usize,
        /// What became of it.
        outcome: Outcome,
        /// From its start, zero for a skipped one.
        duration: Duration,
    },
    /// No more instances are started; those named still run.
    Draining {
        /// Which still run.
        running: Vec<usize>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_become_statuses_as_a_shell_would_say_them() {
        assert_eq!(Exit::Status(7).status(), 7);
        assert_eq!(Exit::Status(256 + 3).status(), 3);
        assert_eq!(Exit::Signal("TERM".into()).status(), 143);
        assert_eq!(Exit::Signal("NONSENSE@example.com".into()).status(), 255);
    }
}
