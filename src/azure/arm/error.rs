//! Why a question to Azure has no answer: what failed, on what, and what to do.

mod display;

use std::{error::Error as StdError, fmt, time::Duration};

use reqwest::StatusCode;

use super::{
    super::{
        credential::SignInError,
        event::Why,
        transport::{self, Trouble},
    },
    answer::{Answer, Strange},
    hint,
};
use crate::clean::clean_line;

/// ARM's messages have up to some hundred characters; more is not for a terminal.
const MESSAGE_CHARS: usize = 600;

/// What kind of failure, for callers that go on without a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArmErrorKind {
    /// No token could be had.
    SignIn,
    /// The token is not accepted (401).
    Unauthorized,
    /// The sign-in lacks a right (403).
    Forbidden,
    /// It, or what it is in, is not there (404).
    NotFound(Missing),
    /// Azure refuses the request itself (400 and its like).
    Invalid,
    /// Azure gets too many requests (429), and waiting as long as we do did not help.
    Throttled,
    /// Azure has trouble (5xx, 408), also after retries.
    Server,
    /// The network does not let us through.
    Network(Trouble),
    /// What answered does not talk as ARM does.
    NotArm,
    /// A limit of ours was reached.
    Limit,
    /// The answer leads to another host, which must not get the token.
    Elsewhere,
}

/// What is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The subscription, or the right to see it.
    Subscription,
    /// The resource group.
    Group,
    /// The resource.
    Resource,
    /// What the resource would be a part of.
    Parent,
    /// Azure does not say.
    Something,
}

/// A question to Azure that has no answer.
///
/// Shown, it says what was asked for and why there is no answer; Azure's own words are its cause. It
/// holds no header of a request, so no token.
#[derive(Debug)]
pub struct ArmError {
    pub(super) what: String,
    pub(super) path: String,
    pub(super) reason: Box<Reason>,
    cause: Option<Cause>,
}

#[derive(Debug)]
pub(super) enum Reason {
    SignIn(SignInError),
    Refused(Refused),
    /// Azure asks for a longer wait than we do.
    AsksTooMuch {
        wait: Duration,
        limit: Duration,
        why: Why,
    },
    TooSlow {
        limit: Duration,
        why: Option<Why>,
    },
    Network {
        host: String,
        trouble: Trouble,
        tries: u32,
    },
    Strange {
        status: StatusCode,
        body: Strange,
    },
    /// There is no list in it.
    NoList,
    TooLong {
        limit: usize,
    },
    TooManyPages {
        limit: usize,
    },
    PagesGoRound,
    Elsewhere {
        link: &'static str,
        origin: String,
    },
    /// The HTTP client can't be made: mostly no certificates to trust.
    NoClient,
}

/// An answer that is an error of ARM's.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) code: Option<String>,
    /// As it came: for taking apart, not for showing.
    pub(super) message: String,
    pub(super) tries: u32,
}

/// What another program said, cleaned.
#[derive(Debug)]
struct Cause(String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Cause {}

/// A text without what looks like a token (RFC 7519: base 64 of `{"`, three parts): an answer may echo ours.
fn without_tokens(text: &str) -> String {
    let is_of_token = |c: char| c.is_ascii_alphanumeric() || "-_.=+/".contains(c);
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("eyJ") {
        let (before, token) = rest.split_at(at);
        shown.push_str(before);
        shown.push_str("[token]");
        rest = token.trim_start_matches(is_of_token);
    }
    shown + rest
}

impl ArmError {
    pub(super) fn new(what: &str, path: &str, reason: Reason) -> Self {
        let cause = match &reason {
            Reason::Refused(refused) => {
                let short: String = without_tokens(&refused.message).chars().take(MESSAGE_CHARS).collect();
                Some(clean_line(&short)).filter(|text| !text.is_empty()).map(|text| format!("Azure: {text}"))
            }
            _ => None,
        };
        Self { what: what.into(), path: path.into(), reason: Box::new(reason), cause: cause.map(Cause) }
    }

    /// An answer that is none of success.
    pub(super) fn refused(what: &str, path: &str, answer: &Answer, tries: u32) -> Self {
        let status = answer.status;
        let refused = |message| Reason::Refused(Refused { status, code: answer.code(), message, tries });
        let reason = match answer.json() {
            Ok(_) => refused(answer.message().unwrap_or_default()),
            // The gateways before ARM say that they have trouble in HTML.
            Err(Strange::Page { title, .. }) if status.is_server_error() => {
                refused(title.unwrap_or_default())
            }
            Err(body) => Reason::Strange { status, body },
        };
        Self::new(what, path, reason)
    }

    /// No answer at all.
    pub(super) fn network(what: &str, path: &str, host: &str, error: &reqwest::Error, tries: u32) -> Self {
        let trouble = transport::trouble(error);
        let reason = Reason::Network { host: host.into(), trouble, tries };
        let cause = Cause(clean_line(&transport::innermost(error)));
        Self { cause: Some(cause), ..Self::new(what, path, reason) }
    }

    /// The client could not be made.
    pub(super) fn no_client(what: &str, error: &reqwest::Error) -> Self {
        let cause = Cause(clean_line(&transport::innermost(error)));
        Self { cause: Some(cause), ..Self::new(what, "", Reason::NoClient) }
    }

    /// What was asked for.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The HTTP status, where Azure answered with an error.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match &*self.reason {
            Reason::Refused(refused) => Some(refused.status.as_u16()),
            Reason::Strange { status, .. } => Some(status.as_u16()),
            _ => None,
        }
    }

    /// ARM's code of the error (`AuthorizationFailed`), cleaned.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match &*self.reason {
            Reason::Refused(refused) => refused.code.as_deref(),
            _ => None,
        }
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> ArmErrorKind {
        match &*self.reason {
            Reason::SignIn(_) => ArmErrorKind::SignIn,
            Reason::Refused(refused) => refused.kind(),
            Reason::AsksTooMuch { why: Why::Throttled, .. }
            | Reason::TooSlow { why: Some(Why::Throttled), .. } => ArmErrorKind::Throttled,
            Reason::AsksTooMuch { .. } => ArmErrorKind::Server,
            Reason::TooSlow { .. }
            | Reason::TooLong { .. }
            | Reason::TooManyPages { .. }
            | Reason::PagesGoRound => ArmErrorKind::Limit,
            Reason::Network { trouble, .. } => ArmErrorKind::Network(*trouble),
            Reason::NoClient => ArmErrorKind::Network(Trouble::Tls),
            Reason::Strange { .. } | Reason::NoList => ArmErrorKind::NotArm,
            Reason::Elsewhere { .. } => ArmErrorKind::Elsewhere,
        }
    }

    /// Whether it says only that this one document can't be read: it is not there, or not for this
    /// sign-in. A caller may then go on with the others.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        matches!(self.kind(), ArmErrorKind::Forbidden | ArmErrorKind::NotFound(_))
    }

    /// Why there is no answer, without what was asked for.
    #[must_use]
    pub fn reason(&self) -> String {
        self.reason.to_string()
    }

    /// The next thing to do, with a command to paste where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        hint::hint(self)
    }
}

impl Refused {
    fn kind(&self) -> ArmErrorKind {
        match self.status.as_u16() {
            401 => ArmErrorKind::Unauthorized,
            403 => ArmErrorKind::Forbidden,
            404 | 410 => ArmErrorKind::NotFound(match self.code.as_deref().unwrap_or_default() {
                "SubscriptionNotFound" => Missing::Subscription,
                "ResourceGroupNotFound" => Missing::Group,
                "ResourceNotFound" | "NotFound" => Missing::Resource,
                "ParentResourceNotFound" => Missing::Parent,
                _ => Missing::Something,
            }),
            429 => ArmErrorKind::Throttled,
            408 | 500.. => ArmErrorKind::Server,
            _ => ArmErrorKind::Invalid,
        }
    }
}

impl StdError for ArmError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &*self.reason {
            Reason::SignIn(error) => Some(error),
            _ => self.cause.as_ref().map(|cause| cause as &dyn StdError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::without_tokens;

    #[test]
    fn tokens_that_are_echoed_are_not_shown() {
        assert_eq!(
            without_tokens("the token 'eyJhbGci.eyJhdWQi.c2ln-_' has expired"),
            "the token '[token]' has expired"
        );
        assert_eq!(without_tokens("no token here"), "no token here");
    }
}
