//! The sign-in: the managed identity of an App Service, as Azure's client libraries ask for it
//! (learn.microsoft.com, "How to use managed identities for App Service", REST endpoint reference).

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hyper::StatusCode;
use serde_json::json;

use super::{answer::Answer, request::Request, secret};

/// Where tokens are given out.
pub(super) const SIGN_IN_PATH: &str = "/msi/token";

/// How long a token is good: what Azure gives managed identities.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// A token with less left than this is not given out again.
const LEAST_LEFT: Duration = Duration::from_secs(60 * 60);

/// Tokens that are remembered, to say of an old one that it expired.
const REMEMBERED: usize = 100;

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Good,
    Expired,
    /// Not given out here.
    Unknown,
}

#[derive(Debug)]
struct Token {
    text: String,
    expires: SystemTime,
}

/// The tokens that were given out, and the word that is asked for them.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) secret: String,
    given: Mutex<VecDeque<Token>>,
}

impl Tokens {
    pub(super) fn new() -> Self {
        Self { secret: secret(), given: Mutex::default() }
    }

    /// Answers a request for a token.
    pub(super) fn sign_in(&self, request: &Request) -> Answer {
        let refusal = |message: &str| {
            let status = StatusCode::BAD_REQUEST;
            Answer::json(status, &json!({"statusCode": status.as_u16(), "message": message}))
        };
        if request.method != hyper::Method::GET {
            return Answer::wrong_method(&request.method, "GET");
        }
        if request.header("x-identity-header") != Some(&self.secret) {
            return refusal("The X-IDENTITY-HEADER header is missing or wrong.");
        }
        let parameters = [request.parameter("api-version"), request.parameter("resource")];
        let [Some(_), Some(resource)] = parameters.map(|text| text.filter(|text| !text.is_empty())) else {
            return refusal("The parameters api-version and resource are required.");
        };
        let (token, expires) = self.give();
        Answer::ok(&json!({
            "access_token": token,
            // A text, as App Service has it.
            "expires_on": expires.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string(),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": super::NO_GUID,
        }))
    }

    fn give(&self) -> (String, SystemTime) {
        let now = SystemTime::now();
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        match given.back() {
            Some(last) if last.expires > now + LEAST_LEFT => (last.text.clone(), last.expires),
            _ => {
                let token = Token { text: secret(), expires: now + LIFE };
                let answer = (token.text.clone(), token.expires);
                given.push_back(token);
                if given.len() > REMEMBERED {
                    given.pop_front();
                }
                answer
            }
        }
    }

    /// What a token is good for.
    pub(super) fn standing(&self, token: &str) -> Standing {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        match given.iter().find(|given| given.text == token) {
            Some(given) if given.expires > SystemTime::now() => Standing::Good,
            Some(_) => Standing::Expired,
            None => Standing::Unknown,
        }
    }

    /// Lets a token expire before its time.
    pub(super) fn expire(&self, token: &str) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(given) = given.iter_mut().find(|given| given.text == token) {
            given.expires = UNIX_EPOCH;
        }
    }
}

/// The token of a request's `Authorization` header.
pub(super) fn bearer(request: &Request) -> Option<&str> {
    let (scheme, token) = request.header("authorization")?.split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}
