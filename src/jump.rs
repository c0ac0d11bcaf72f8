//! The way to a server through others, as it is typed: `-J [USER@]HOST[:PORT][,...]` of ssh(1), `ProxyJump` of
//! ssh_config(5). Ground layer: values only.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::natmap::{Endpoint, FrontendPort, Host, HostError};

/// What is dialled where no port is given.
const SSH: u64 = 22;

/// A server on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jump {
    /// The user there; `None` for whoever signs in where nothing is said.
    pub user: Option<String>,
    /// Where it is, as the one before it sees it.
    pub host: Host,
    /// Its port.
    pub port: FrontendPort,
}

/// The servers on the way, the first one dialled from here. Empty for `none`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Jumps(pub Vec<Jump>);

/// Why a text is no way.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JumpError {
    /// Nothing between commas, or before an `@`.
    #[error("\"{0}\" is not [USER@]HOST[:PORT][,...]")]
    Shape(String),
    /// A host that is none.
    #[error("{source} in \"{text}\"")]
    Host {
        /// The part.
        text: String,
        /// Why.
        source: HostError,
    },
    /// A port that is none.
    #[error("\"{0}\" ends in no port: it is a number from 1 to 65535")]
    Port(String),
}

impl Jump {
    /// What is dialled.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint { instance: None, name: None, vm_id: None, host: self.host.clone(), port: self.port }
    }
}

impl FromStr for Jumps {
    type Err = JumpError;

    fn from_str(text: &str) -> Result<Self, JumpError> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self::default());
        }
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Jump {
    type Err = JumpError;

    fn from_str(text: &str) -> Result<Self, JumpError> {
        let shape = || JumpError::Shape(text.into());
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, text),
        };
        if rest.is_empty() || user.as_ref().is_some_and(String::is_empty) {
            return Err(shape());
        }
        let (host, port) = match rest.strip_prefix('[').map(|inner| inner.split_once(']').ok_or_else(shape)) {
            Some(inside) => match inside? {
                (host, "") => (host, None),
                (host, behind) => (host, Some(behind.strip_prefix(':').ok_or_else(shape)?)),
            },
            // More than one colon is an IPv6 address.
            None => match rest.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (rest, None),
            },
        };
        let number = port.map_or(Ok(SSH), str::parse);
        let port = number.ok().and_then(|port| FrontendPort::try_from(port).ok());
        Ok(Self {
            user,
            host: host.parse().map_err(|source| JumpError::Host { text: text.into(), source })?,
            port: port.ok_or_else(|| JumpError::Port(text.into()))?,
        })
    }
}

/// As it is typed.
impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        write!(f, "{}", self.endpoint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_are_spelled_as_ssh_spells_them() {
        let again = |text: &str| -> Vec<_> {
            text.parse::<Jumps>().unwrap().0.iter().map(ToString::to_string).collect()
        };
        assert_eq!(again("bastion"), ["bastion:22"]);
        assert_eq!(again("me@bastion:2222,10.0.0.9"), ["me@bastion:2222", "10.0.0.9:22"]);
        assert_eq!(again("me@corp@[::1]:7,fe80::1"), ["me@corp@[::1]:7", "[fe80::1]:22"]);
        assert_eq!(again("none"), [""; 0]);
        for bad in ["", "a,", "@a", "a:0", "a:b", "a b", "[::1", "[::1]x", "-oProxyCommand=x", "a:65536"] {
            assert!(bad.parse::<Jumps>().is_err(), "{bad}");
        }
    }
}
