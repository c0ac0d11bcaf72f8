use std::time::Duration;

use thiserror::Error;

use super::{
    super::transport::{self, Trouble},
    CLI,
};
use crate::clean::clean_line;

/// Entra's messages have up to 300 characters before the trace ids; more is not for a terminal.
const MESSAGE_CHARS: usize = 400;

/// No token could be had. It can be shared by all that wait for the same one, and holds no secret.
#[derive(Debug, Clone, Error)]
#[error("can't sign in to Azure{}: {problem}", with(.way))]
pub struct SignInError {
    way: Option<&'static str>,
    problem: String,
    hint: String,
}

fn with(way: &Option<&'static str>) -> String {
    way.map(|way| format!(" with {way}")).unwrap_or_default()
}

impl SignInError {
    /// The next thing to do.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// A way that is named in part.
    pub(super) fn missing(with: &str, name: &str) -> Self {
        Self {
            way: None,
            problem: format!("{with} is set, and {name} is not"),
            hint: format!("set {name}, or unset {with} to use the Azure CLI's login"),
        }
    }

    /// A variable whose value can't be used; the value is not shown.
    pub(super) fn wrong(name: &str, problem: &str) -> Self {
        Self {
            way: None,
            problem: format!("{name} {problem}"),
            hint: format!("see what {name} is, or unset it to use the Azure CLI's login"),
        }
    }

    /// The time limit is over.
    pub(super) fn late(way: &'static str, limit: Duration) -> Self {
        let hint = match way {
            CLI => "try again; `az account get-access-token` shows whether az itself is that slow",
            _ => Trouble::Silent.hint(),
        };
        Self::new(way, &format!("no answer within {} s", limit.as_secs_f32()), hint)
    }

    pub(super) fn new(way: &'static str, problem: &str, hint: &str) -> Self {
        let short: String = problem.chars().take(MESSAGE_CHARS).collect();
        Self { way: Some(way), problem: clean_line(&short), hint: hint.into() }
    }

    /// The request of a sign-in that got no answer.
    pub(super) fn network(way: &'static str, error: &reqwest::Error) -> Self {
        let host = error.url().and_then(|url| url.host_str()).map(|host| format!("{host}: "));
        let problem = format!("{}{}", host.unwrap_or_default(), transport::innermost(error));
        Self::new(way, &problem, transport::trouble(error).hint())
    }
}
