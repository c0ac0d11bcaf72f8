//! The words of an error: what was asked for, and why there is no answer.

use std::{fmt, time::Duration};

use reqwest::StatusCode;

use super::{
    super::{super::transport::Trouble, answer::Strange, hint},
    ArmError, ArmErrorKind, Missing, Reason, Refused,
};
use crate::clean::clean_line;

impl fmt::Display for ArmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "can't get {} from Azure", self.what)?;
        match &*self.reason {
            // It says all itself.
            Reason::SignIn(_) => Ok(()),
            reason => write!(f, ": {reason}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignIn(error) => error.fmt(f),
            Self::Refused(refused) => refused.fmt(f),
            Self::AsksTooMuch { wait, limit, why } => {
                write!(
                    f,
                    "{why} and asks to wait {}, longer than the {} that vmssh waits",
                    Time(*wait),
                    Time(*limit)
                )
            }
            Self::TooSlow { limit, why: Some(why) } => write!(f, "given up after {}: {why}", Time(*limit)),
            Self::TooSlow { limit, why: None } => write!(f, "given up after {}", Time(*limit)),
            Self::Network { host, trouble, tries } => network(f, host, *trouble, *tries),
            Self::Strange { status, body } => strange(f, *status, body),
            Self::NoList => f.write_str("the answer is no list: it has no \"value\""),
            Self::TooLong { limit } => write!(f, "the answer is longer than {} MiB", limit >> 20),
            Self::TooManyPages { limit } => write!(f, "the list has more than {limit} pages"),
            Self::PagesGoRound => f.write_str("the pages of the list go round in a circle"),
            Self::Elsewhere { link, origin } => {
                write!(
                    f,
                    "its {link} leads to {}, which must not get the sign-in's token",
                    clean_line(origin)
                )
            }
            Self::NoClient => f.write_str("no HTTPS client can be made"),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            ArmErrorKind::Unauthorized => f.write_str("the sign-in is not accepted")?,
            ArmErrorKind::Forbidden => match hint::right(&self.message) {
                Some((action, scope)) => write!(f, "no right to \"{action}\" on {scope}")?,
                None => f.write_str("access is refused")?,
            },
            ArmErrorKind::NotFound(missing) => f.write_str(match missing {
                Missing::Subscription => "the subscription is not there, or this sign-in can't see it",
                Missing::Group => "the resource group does not exist",
                Missing::Resource => "it does not exist",
                Missing::Parent => "what it would be a part of does not exist",
                Missing::Something => "it was not found",
            })?,
            ArmErrorKind::Throttled => write!(f, "too many requests, also at try {}", self.tries)?,
            ArmErrorKind::Server => write!(f, "Azure has trouble, also at try {}", self.tries)?,
            _ => f.write_str("the request is refused")?,
        }
        match &self.code {
            Some(code) => write!(f, " ({} {code})", self.status.as_u16()),
            None => write!(f, " ({})", self.status.as_u16()),
        }
    }
}

fn network(f: &mut fmt::Formatter<'_>, host: &str, trouble: Trouble, tries: u32) -> fmt::Result {
    match trouble {
        Trouble::Name => write!(f, "the name {host} is not resolved"),
        Trouble::Refused => write!(f, "{host} refuses the connection"),
        Trouble::Unreachable => write!(f, "no connection to {host}"),
        Trouble::Proxy => write!(f, "the proxy gives no connection to {host}"),
        Trouble::Tls => write!(f, "no trusted connection to {host}"),
        Trouble::Dropped => write!(f, "the connection to {host} broke, also at try {tries}"),
        Trouble::Silent => write!(f, "{host} did not answer in time, also at try {tries}"),
        Trouble::Other => write!(f, "the request to {host} failed"),
    }
}

fn strange(f: &mut fmt::Formatter<'_>, status: StatusCode, body: &Strange) -> fmt::Result {
    let status = status.as_u16();
    match body {
        Strange::Page { content_type, title: Some(title) } => {
            write!(f, "the answer is not ARM's: {content_type}, titled \"{title}\" ({status})")
        }
        Strange::Page { content_type, title: None } => {
            write!(f, "the answer is not ARM's: {content_type} ({status})")
        }
        Strange::Cut(bytes) => {
            write!(f, "the answer ends in the middle of its JSON, after {bytes} bytes ({status})")
        }
        Strange::Broken => write!(f, "the answer is broken JSON ({status})"),
    }
}

/// A wait in seconds, or in milliseconds where it is shorter than one.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            0 => write!(f, "{} ms", self.0.as_millis()),
            seconds => write!(f, "{seconds} s"),
        }
    }
}
