use std::sync::Arc;

use super::Login;
use crate::natmap::Endpoint;

/// Where a session goes to, how to sign in there, and the way.
#[derive(Debug, Clone)]
pub struct Destination {
    /// What is dialled, by whoever stands before it on the way.
    pub endpoint: Endpoint,
    /// How to sign in there.
    pub login: Arc<Login>,
    /// The server whose session carries this one; `None`: it is dialled from here. That server may stand
    /// behind another one in turn.
    pub via: Option<Arc<Destination>>,
}

impl Destination {
    /// One that is dialled from here.
    #[must_use]
    pub fn direct(endpoint: Endpoint, login: Arc<Login>) -> Self {
        Self { endpoint, login, via: None }
    }
}
