use std::sync::Arc;

use super::Login;
use crate::natmap::{Endpoint, HostKeyAlias};

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
    /// A program that is the connection in place of one that is dialled (`ProxyCommand`); not used behind a server
    /// that carries this one.
    pub proxy: Option<Proxy>,
    /// The name that its host key is filed under, where that is not the endpoint's own: an instance has one key,
    /// whichever way it is reached.
    pub known_as: Option<HostKeyAlias>,
}

impl Destination {
    /// One that is dialled from here.
    #[must_use]
    pub fn direct(endpoint: Endpoint, login: Arc<Login>) -> Self {
        Self { endpoint, login, via: None, proxy: None, known_as: None }
    }

    /// The same as one that shares no session on the way with this one: what holds up the one must not hold up
    /// the other.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self { via: self.via.as_ref().map(|hop| Arc::new(hop.apart())), ..self.clone() }
    }

    /// The name that its host key is filed under: the user's own word for it (`HostKeyAlias`) before all.
    #[must_use]
    pub fn host_key_alias(&self) -> HostKeyAlias {
        let given = self.login.options.host_key_alias.as_deref().map(HostKeyAlias::given);
        given.or_else(|| self.known_as.clone()).unwrap_or_else(|| self.endpoint.host_key_alias())
    }
}

/// A program that stands in for a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// The shell that starts it.
    pub shell: String,
    /// Its command, with all tokens put in.
    pub command: String,
}
