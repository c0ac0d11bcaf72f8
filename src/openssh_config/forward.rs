//! Forwards: `[bind_address:]port host:hostport`, and sockets of Unix (ssh_config(5), LocalForward).

/// A forward as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Forward {
    /// Where connections come in.
    pub listen: Listen,
    /// Where they go to; `None` for SOCKS.
    pub to: Option<To>,
}

/// Where a forward listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Listen {
    /// At a port.
    Port {
        /// The address as it is written; `None` where none is, empty or `*` for all.
        bind: Option<String>,
        /// The port; 0: the server's choice (of a `RemoteForward`).
        port: u16,
    },
    /// At a socket of Unix.
    Socket(String),
}

/// Where a forward leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum To {
    /// To a port.
    Port {
        /// The host, as the other side knows it.
        host: String,
        /// The port.
        port: u16,
    },
    /// To a socket of Unix.
    Socket(String),
}

impl Forward {
    /// Reads the arguments of `LocalForward`, `RemoteForward` (which with one argument is SOCKS too) and
    /// `DynamicForward`. As in ssh(1), both halves may also stand in one argument: `port:host:hostport`.
    pub(super) fn parse(arguments: &[String]) -> Result<Self, String> {
        let text = match arguments {
            [one] => return Self::parse_joined(one),
            [listen, to] => (listen, to),
            _ => return Err("a forward has one or two halves".into()),
        };
        let bad = || format!("`{} {}` is no forward", text.0, text.1);
        Ok(Self {
            listen: listen(&fields(text.0)).ok_or_else(bad)?,
            to: Some(to(&fields(text.1)).ok_or_else(bad)?),
        })
    }

    /// Reads `[bind_address:]port[:host:hostport]`, as `-L`, `-R` and `-D` have it.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse_joined(text: &str) -> Result<Self, String> {
        let all = fields(text);
        let part = |from: usize, to: usize| all.get(from..to).unwrap_or_default();
        let is_path = |n: usize| all.get(n).is_some_and(|field| field.starts_with('/'));
        let count = all.len();
        let (first, second) = match count {
            1 => (part(0, 1), None),
            2 if is_path(0) || is_path(1) => (part(0, 1), Some(part(1, 2))),
            2 => (part(0, 2), None),
            3 if is_path(0) => (part(0, 1), Some(part(1, 3))),
            3 if is_path(2) => (part(0, 2), Some(part(2, 3))),
            3 => (part(0, 1), Some(part(1, 3))),
            4 => (part(0, 2), Some(part(2, 4))),
            _ => return Err(format!("`{text}` is no forward")),
        };
        let bad = || format!("`{text}` is no forward");
        Ok(Self {
            listen: listen(first).ok_or_else(bad)?,
            to: second.map(|second| to(second).ok_or_else(bad)).transpose()?,
        })
    }
}

/// Cuts at colons, and at the one slash that may stand for one (`host/port`), outside of brackets.
fn fields(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut in_brackets = false;
    for c in text.chars() {
        match c {
            '[' if !in_brackets => in_brackets = true,
            ']' if in_brackets => in_brackets = false,
            ':' if !in_brackets => fields.push(String::new()),
            c => {
                if let Some(last) = fields.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    fields
}

fn listen(fields: &[String]) -> Option<Listen> {
    match fields {
        [path] if path.starts_with('/') => Some(Listen::Socket(path.clone())),
        [port] => Some(Listen::Port { bind: None, port: port.parse().ok()? }),
        [bind, port] => Some(Listen::Port { bind: Some(bind.clone()), port: port.parse().ok()? }),
        _ => None,
    }
}

fn to(fields: &[String]) -> Option<To> {
    match fields {
        [path] if path.starts_with('/') => Some(To::Socket(path.clone())),
        [host, port] if !host.is_empty() => {
            Some(To::Port { host: host.clone(), port: port.parse().ok().filter(|port| *port != 0)? })
        }
        _ => None,
    }
}
