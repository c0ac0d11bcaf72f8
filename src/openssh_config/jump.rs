//! Servers to jump over: `[user@]host[:port]` and `ssh://[user@]host[:port]` (ssh(1), -J).

use crate::natmap::{FrontendPort, Host};

/// A server on the way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Jump {
    /// Whom to sign in as, where it is said.
    pub user: Option<String>,
    /// The server as it is written: the configuration is looked up by it, and may say what to dial.
    pub host: String,
    /// Its port, where it is said.
    pub port: Option<FrontendPort>,
}

impl Jump {
    /// Reads a list with commas, the first server to go to first. `none` is an empty list.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(Vec::new());
        }
        text.split(',').map(Self::parse).collect()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no [user@]host[:port] to jump over");
        let bare = text.trim();
        let bare = bare.strip_prefix("ssh://").map_or(bare, |uri| uri.trim_end_matches('/'));
        // A user may have an `@` in its name, a host not.
        let (user, place) = match bare.rsplit_once('@') {
            Some((user, place)) if !user.is_empty() => (Some(user.to_owned()), place),
            Some(_) => return Err(bad()),
            None => (None, bare),
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => {
                let (host, behind) = rest.split_once(']').ok_or_else(bad)?;
                match behind {
                    "" => (host, None),
                    _ => (host, Some(behind.strip_prefix(':').ok_or_else(bad)?)),
                }
            }
            // More than one colon without brackets is an address of IPv6.
            None => match place.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (place, None),
            },
        };
        let port = port.map(|port| port.parse().map_err(|_| bad())).transpose()?;
        // An alias must be such that it could be a host's name: nothing that a shell or a log would misread. Tokens
        // may stand in it.
        if host.replace('%', "x").parse::<Host>().is_err() {
            return Err(bad());
        }
        Ok(Self { user, host: host.to_owned(), port })
    }
}
