//! Forwards as they are typed: what listens where, and what it leads to.
//!
//! The spellings of ssh(1)'s `-L`, `-R`, `-D` and `-W`, which ssh_config(5) has too with a blank in place
//! of one colon. Ground layer: nothing is opened or looked up here.

pub mod socks;

use std::{fmt, str::FromStr};

use thiserror::Error;

/// Which side listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// This machine (`-L`, `-D`).
    Local,
    /// The instance (`-R`).
    Remote,
}

/// One forward: connections to where it listens are carried to where it leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Forward {
    /// Who listens; the other side makes the connections.
    pub side: Side,
    /// Where.
    pub listen: Listen,
    /// Where it leads.
    pub to: To,
}

/// Where a forward listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Listen {
    /// A TCP port; 0 leaves the choice to the side that listens.
    Port {
        /// At which of its addresses.
        at: BindAddress,
        /// The port.
        port: u16,
    },
    /// A unix socket.
    Socket(String),
}

/// At which addresses a port listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BindAddress {
    /// None was given: loopback, or all where the user wants gateway ports.
    Unsaid,
    /// All of them: `*`, or nothing before the colon.
    All,
    /// This address or name.
    Given(String),
}

/// Where connections are carried to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum To {
    /// Always the same place.
    Fixed(Place),
    /// What each connection asks for, in SOCKS.
    Socks,
}

/// What can be connected to, as the side sees it that connects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// A TCP port.
    Port {
        /// A name or an address, without brackets.
        host: String,
        /// The port, never 0.
        port: u16,
    },
    /// A unix socket.
    Socket(String),
}

/// Why a text is no forward.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ForwardError {
    /// Too many or too few parts, or a bracket that is not closed.
    #[error("\"{text}\" is not {expected}")]
    Shape {
        /// As typed.
        text: String,
        /// What it should look like.
        expected: &'static str,
    },
    /// A part that should be a port is none.
    #[error("\"{part}\" in \"{text}\" is not a port: a number from {lowest} to 65535")]
    Port {
        /// As typed.
        text: String,
        /// The part.
        part: String,
        /// 0 where the side that listens may choose, else 1.
        lowest: u16,
    },
    /// A part that should be a host is empty or has blanks or control characters in it.
    #[error("\"{part}\" in \"{text}\" is not a host")]
    Host {
        /// As typed.
        text: String,
        /// The part.
        part: String,
    },
}

const FIXED: &str = "[ADDRESS:]PORT:HOST:HOSTPORT; either side may be the path of a unix socket, and IPv6 \
                     addresses take brackets";
const DYNAMIC: &str = "[ADDRESS:]PORT";
const PLACE: &str = "HOST:PORT, or the path of a unix socket";

impl Forward {
    /// Reads the value of `-L`.
    ///
    /// # Errors
    /// When it is none.
    pub fn local(text: &str) -> Result<Self, ForwardError> {
        fixed(text, Side::Local)
    }

    /// Reads the value of `-R`. Without a place to lead to it is SOCKS, as ssh(1) has it.
    ///
    /// # Errors
    /// When it is none.
    pub fn remote(text: &str) -> Result<Self, ForwardError> {
        fixed(text, Side::Remote)
    }

    /// Reads the value of `-D`.
    ///
    /// # Errors
    /// When it is none.
    pub fn dynamic(text: &str) -> Result<Self, ForwardError> {
        let listen = match fields(text).as_deref() {
            Some([port]) if !port.is_path() => listen(text, None, port)?,
            Some([at, port]) if !port.is_path() => listen(text, Some(at), port)?,
            _ => return Err(ForwardError::Shape { text: text.into(), expected: DYNAMIC }),
        };
        Ok(Self { side: Side::Local, listen, to: To::Socks })
    }

    /// The option that this is the value of.
    #[must_use]
    pub fn option(&self) -> &'static str {
        match (self.side, &self.to) {
            (Side::Remote, _) => "-R",
            (Side::Local, To::Socks) => "-D",
            (Side::Local, To::Fixed(_)) => "-L",
        }
    }

    /// The same with the port that was chosen in the place of 0.
    #[must_use]
    pub fn with_port(&self, chosen: u16) -> Self {
        let mut forward = self.clone();
        if let Listen::Port { port, .. } = &mut forward.listen
            && *port == 0
        {
            *port = chosen;
        }
        forward
    }
}

/// Reads the value of `-W`.
impl FromStr for Place {
    type Err = ForwardError;

    fn from_str(text: &str) -> Result<Self, ForwardError> {
        match fields(text).as_deref() {
            Some([path]) if path.is_path() => Ok(Self::Socket(path.text.clone())),
            Some([host, port]) if !port.is_path() => place(text, host, port),
            _ => Err(ForwardError::Shape { text: text.into(), expected: PLACE }),
        }
    }
}

fn fixed(text: &str, side: Side) -> Result<Forward, ForwardError> {
    let fields = fields(text).unwrap_or_default();
    let to = |place| Ok(To::Fixed(place));
    let (listen, to) = match fields.as_slice() {
        [from, to] if from.is_path() && to.is_path() => {
            (Listen::Socket(from.text.clone()), To::Fixed(Place::Socket(to.text.clone())))
        }
        [port, path] if path.is_path() => {
            (listen(text, None, port)?, To::Fixed(Place::Socket(path.text.clone())))
        }
        [from, host, port] if from.is_path() => {
            (Listen::Socket(from.text.clone()), place(text, host, port).and_then(to)?)
        }
        [at, port, path] if path.is_path() => {
            (listen(text, Some(at), port)?, To::Fixed(Place::Socket(path.text.clone())))
        }
        [from, host, port] => (listen(text, None, from)?, place(text, host, port).and_then(to)?),
        [at, from, host, port] => (listen(text, Some(at), from)?, place(text, host, port).and_then(to)?),
        [path] if side == Side::Remote && path.is_path() => (Listen::Socket(path.text.clone()), To::Socks),
        [port] if side == Side::Remote => (listen(text, None, port)?, To::Socks),
        [at, port] if side == Side::Remote && !at.is_path() => (listen(text, Some(at), port)?, To::Socks),
        _ => return Err(ForwardError::Shape { text: text.into(), expected: FIXED }),
    };
    Ok(Forward { side, listen, to })
}

fn listen(text: &str, at: Option<&Field>, number: &Field) -> Result<Listen, ForwardError> {
    let at = match at {
        None => BindAddress::Unsaid,
        Some(field) if field.text.is_empty() || field.text == "*" => BindAddress::All,
        Some(field) => BindAddress::Given(host(text, field)?),
    };
    Ok(Listen::Port { at, port: port(text, number, 0)? })
}

fn place(text: &str, name: &Field, number: &Field) -> Result<Place, ForwardError> {
    Ok(Place::Port { host: host(text, name)?, port: port(text, number, 1)? })
}

fn port(text: &str, field: &Field, lowest: u16) -> Result<u16, ForwardError> {
    let digits = !field.text.is_empty() && field.text.bytes().all(|byte| byte.is_ascii_digit());
    let port = field.text.parse().ok().filter(|port| digits && *port >= lowest);
    port.ok_or_else(|| ForwardError::Port { text: text.into(), part: field.text.clone(), lowest })
}

/// Any name will do: who connects looks it up.
fn host(text: &str, field: &Field) -> Result<String, ForwardError> {
    let bad = |c: char| c.is_whitespace() || c.is_control();
    if field.text.is_empty() || field.text.contains(bad) || field.is_path() {
        return Err(ForwardError::Host { text: text.into(), part: field.text.clone() });
    }
    Ok(field.text.clone())
}

/// A part between colons.
#[derive(Debug, Default)]
struct Field {
    text: String,
    bracketed: bool,
}

impl Field {
    /// As ssh(1) has it: a path is known by the slash that it begins with.
    fn is_path(&self) -> bool {
        !self.bracketed && self.text.starts_with('/')
    }
}

/// The parts of a text: colons inside brackets and behind a backslash do not part. `None` where a bracket
/// is not closed, or something follows it.
fn fields(text: &str) -> Option<Vec<Field>> {
    let mut fields = vec![Field::default()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut()?;
        match c {
            ':' => fields.push(Field::default()),
            '[' if field.text.is_empty() && !field.bracketed => {
                field.bracketed = true;
                loop {
                    match chars.next()? {
                        ']' => break,
                        c => field.text.push(c),
                    }
                }
                if !matches!(chars.peek(), None | Some(':')) {
                    return None;
                }
            }
            '\\' => field.text.push(chars.next()?),
            c => field.text.push(c),
        }
    }
    Some(fields)
}

/// As it can be typed again: `-L 8080:localhost:80`.
impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.option(), self.listen)?;
        match &self.to {
            To::Fixed(place) => write!(f, ":{place}"),
            To::Socks => Ok(()),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port { at: BindAddress::Unsaid, port } => write!(f, "{port}"),
            Self::Port { at: BindAddress::All, port } => write!(f, "*:{port}"),
            Self::Port { at: BindAddress::Given(host), port } => write!(f, "{}:{port}", Host(host)),
            Self::Socket(path) => f.write_str(path),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port { host, port } => write!(f, "{}:{port}", Host(host)),
            Self::Socket(path) => f.write_str(path),
        }
    }
}

/// A host as it stands before a port.
struct Host<'a>(&'a str);

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') { write!(f, "[{}]", self.0) } else { f.write_str(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(option: &str, text: &str) -> Result<Forward, ForwardError> {
        match option {
            "-L" => Forward::local(text),
            "-R" => Forward::remote(text),
            _ => Forward::dynamic(text),
        }
    }

    #[test]
    fn forwards_are_spelled_as_ssh_spells_them() {
        for (option, text, again) in [
            ("-L", "8080:localhost:80", "8080:localhost:80"),
            ("-L", "127.0.0.1:8080:web:80", "127.0.0.1:8080:web:80"),
            ("-L", "[::1]:8080:[2001:db8::1]:80", "[::1]:8080:[2001:db8::1]:80"),
            ("-L", "*:8080:web:80", "*:8080:web:80"),
            ("-L", ":8080:web:80", "*:8080:web:80"),
            ("-L", "8080:/run/docker.sock", "8080:/run/docker.sock"),
            ("-L", "localhost:8080:/run/docker.sock", "localhost:8080:/run/docker.sock"),
            ("-L", "/tmp/a:/tmp/b", "/tmp/a:/tmp/b"),
            ("-L", "/tmp/a:web:80", "/tmp/a:web:80"),
            ("-L", "/tmp/a\\:b:web:80", "/tmp/a:b:web:80"),
            ("-L", "0:web:80", "0:web:80"),
            ("-R", "0:localhost:22", "0:localhost:22"),
            ("-R", "/tmp/a:localhost:22", "/tmp/a:localhost:22"),
            ("-R", "1080", "1080"),
            ("-R", "*:1080", "*:1080"),
            ("-D", "1080", "1080"),
            ("-D", "[::1]:1080", "[::1]:1080"),
        ] {
            assert_eq!(forward(option, text).unwrap().to_string(), format!("{option} {again}"), "{text}");
        }
    }

    #[test]
    fn what_is_no_forward_is_refused() {
        for (option, text) in [
            ("-L", ""),
            ("-L", "8080"),
            ("-L", "8080:web"),
            ("-L", "8080:web:0"),
            ("-L", "8080:web:http"),
            ("-L", "8080::80"),
            ("-L", "65536:web:80"),
            ("-L", "+80:web:80"),
            ("-L", "8080:we b:80"),
            ("-L", "a:b:c:d:e"),
            ("-L", "[::1:8080:web:80"),
            ("-L", "[::1]x:8080:web:80"),
            ("-L", "::1:8080:web:80"),
            ("-L", "8080:web:80\\"),
            ("-R", "/tmp/a:80"),
            ("-D", ""),
            ("-D", "/tmp/a"),
            ("-D", "1080:web:80"),
        ] {
            assert!(forward(option, text).is_err(), "{option} {text}");
        }
    }

    #[test]
    fn a_place_is_a_port_or_a_socket() {
        let port = |host: &str, port| Place::Port { host: host.into(), port };
        assert_eq!("db:5432".parse(), Ok(port("db", 5432)));
        assert_eq!("[::1]:22".parse(), Ok(port("::1", 22)));
        assert_eq!("/run/x".parse(), Ok(Place::Socket("/run/x".into())));
        for bad in ["", "db", "db:", ":5432", "db:0", "::1:22", "a:b:c"] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_chosen_port_takes_the_place_of_none() {
        assert_eq!(Forward::remote("0:a:1").unwrap().with_port(7).to_string(), "-R 7:a:1");
        assert_eq!(Forward::remote("5:a:1").unwrap().with_port(7).to_string(), "-R 5:a:1");
    }
}
