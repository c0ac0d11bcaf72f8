//! From a request to its answer.

use std::sync::Mutex;

use hyper::{Method, StatusCode};
use rand::RngExt as _;

use super::{
    AzureFault, World,
    answer::Answer,
    boot_log, list,
    mapping::{self, Operations},
    missing::Missing,
    request::Request,
    strike::Faults,
    token::{self, Standing, Tokens},
    world::Found,
};

/// What all connections of a server share.
#[derive(Debug)]
pub(super) struct Service {
    base: String,
    pub(super) world: World,
    faults: Faults,
    pub(super) tokens: Tokens,
    operations: Mutex<Operations>,
    /// What the addresses of console logs are signed with.
    storage_secret: String,
    /// Makes skip tokens opaque.
    skip_key: u64,
}

impl Service {
    /// `base` is the server's address: `http://127.0.0.1:PORT`.
    pub(super) fn new(base: String, world: World, faults: Faults) -> Self {
        let operations = Mutex::default();
        Self {
            base,
            world,
            faults,
            tokens: Tokens::new(),
            operations,
            storage_secret: super::secret(),
            skip_key: rand::rng().random(),
        }
    }

    /// The answer; `None` is a closed connection.
    pub(super) async fn answer(&self, request: &Request) -> Option<Answer> {
        if let Some(answer) = boot_log::read(&self.world, &self.storage_secret, request) {
            return Some(answer);
        }
        let sign_in = request.path.eq_ignore_ascii_case(token::SIGN_IN_PATH);
        if !sign_in && let Err(refusal) = self.check_token(request) {
            return Some(*refusal);
        }
        let strike = self.faults.strike(&request.path, sign_in);
        tokio::time::sleep(strike.delay).await;
        let answer = || if sign_in { self.tokens.sign_in(request) } else { self.resource(request) };
        Some(match strike.fault {
            None | Some(AzureFault::Slow(_)) => answer(),
            Some(AzureFault::Drop) => return None,
            Some(AzureFault::Broken) => answer().cut(),
            Some(AzureFault::Html) => Answer::page(),
            Some(AzureFault::Throttle(wait)) => Answer::throttled(wait),
            Some(AzureFault::Unavailable(wait)) => Answer::unavailable(wait),
            Some(AzureFault::Forbidden) => forbidden(request),
            Some(AzureFault::Expired) => {
                self.tokens.expire(token::bearer(request).unwrap_or_default());
                expired()
            }
        })
    }

    fn check_token(&self, request: &Request) -> Result<(), Box<Answer>> {
        let Some(token) = token::bearer(request) else {
            let message = "Authentication failed. The 'Authorization' header is missing.";
            return Err(Box::new(Answer::unauthorized("AuthenticationFailed", message)));
        };
        match self.tokens.standing(token) {
            Standing::Good => Ok(()),
            Standing::Expired => Err(Box::new(expired())),
            Standing::Unknown => {
                let message = "The access token is invalid.";
                Err(Box::new(Answer::unauthorized("InvalidAuthenticationToken", message)))
            }
        }
    }

    /// What Azure Resource Manager says to a request that is signed in.
    fn resource(&self, request: &Request) -> Answer {
        if request.parameter("api-version").is_none_or(str::is_empty) {
            let message = "The api-version query parameter (?api-version=) is required for all requests.";
            return Answer::error(StatusCode::BAD_REQUEST, "MissingApiVersionParameter", message);
        }
        if let Some((pool, action)) = request.path.rsplit_once('/')
            && action.eq_ignore_ascii_case(mapping::ACTION)
        {
            return self.port_mapping(pool, request);
        }
        if let Some((machine, action)) = request.path.rsplit_once('/')
            && action.eq_ignore_ascii_case(boot_log::ACTION)
        {
            return match self.world.find(machine) {
                Err(missing) => missing.answer(&request.path, verb(request)),
                Ok(_) if request.method != Method::POST => Answer::wrong_method(&request.method, "POST"),
                Ok(_) => boot_log::locate(&self.world, &self.base, &self.storage_secret, machine),
            };
        }
        if is_instance_view_of_no_number(&request.path) {
            let message = "The value of parameter instanceId is invalid. Virtual Machine Scale Set VM instanceId must be a number.";
            return Answer::error(StatusCode::BAD_REQUEST, "InvalidParameter", message);
        }
        let operations = format!("/subscriptions/{}{}", self.world.subscription(), mapping::OPERATIONS);
        if let Some(number) = behind(&request.path, &operations) {
            return mapping::poll(&self.world, &self.operations, &self.base, number);
        }
        match self.world.find(&request.path) {
            Err(missing) => missing.answer(&request.path, verb(request)),
            Ok(_) if request.method != Method::GET => Answer::wrong_method(&request.method, "GET"),
            Ok(Found::One(document)) => Answer::ok(&list::as_asked(request, document)),
            Ok(Found::List { items, page_size }) => {
                list::page(&self.base, self.skip_key, request, items, page_size)
            }
        }
    }

    fn port_mapping(&self, pool: &str, request: &Request) -> Answer {
        match self.world.find(pool) {
            Err(missing) => missing.answer(&request.path, verb(request)),
            Ok(_) if request.method != Method::POST => Answer::wrong_method(&request.method, "POST"),
            Ok(Found::One(document)) => {
                mapping::query(&self.world, &self.operations, &self.base, (pool, document), request)
            }
            Ok(Found::List { .. }) => Missing::Path.answer(&request.path, verb(request)),
        }
    }
}

/// What is left of a path behind a start, in any case.
fn behind<'a>(path: &'a str, start: &str) -> Option<&'a str> {
    let is_it = path.get(..start.len()).is_some_and(|own| own.eq_ignore_ascii_case(start));
    path.get(start.len()..).filter(|_| is_it)
}

/// Instances of Flexible scale sets have names, and no instance view under the scale set.
fn is_instance_view_of_no_number(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    match path.split('/').collect::<Vec<_>>().as_slice() {
        [.., "virtualmachinescalesets", _, "virtualmachines", id, "instanceview"] => {
            !id.bytes().all(|b| b.is_ascii_digit())
        }
        _ => false,
    }
}

fn expired() -> Answer {
    let message = "The access token expiry UTC time is earlier than current UTC time.";
    Answer::unauthorized("ExpiredAuthenticationToken", message)
}

/// 403, naming the right that would be needed and where.
fn forbidden(request: &Request) -> Answer {
    let client = super::NO_GUID;
    let message = format!(
        "The client '{client}' with object id '{client}' does not have authorization to perform action '{}' \
         over scope '{}' or the scope is invalid. If access was recently granted, please refresh your credentials.",
        action(request),
        request.path
    );
    Answer::error(StatusCode::FORBIDDEN, "AuthorizationFailed", &message)
}

/// The right that a request needs: provider, types without names, and the verb.
fn action(request: &Request) -> String {
    let segments: Vec<_> = request.path.split('/').collect();
    match segments.as_slice() {
        ["", _, _, _, _, _, provider, types @ ..] => {
            let types: Vec<_> = types.iter().step_by(2).copied().collect();
            format!("{provider}/{}/{}", types.join("/"), verb(request))
        }
        _ => format!("Microsoft.Resources/subscriptions/{}", verb(request)),
    }
}

fn verb(request: &Request) -> &'static str {
    match request.method {
        Method::GET | Method::HEAD => "read",
        Method::POST => "action",
        Method::DELETE => "delete",
        _ => "write",
    }
}
