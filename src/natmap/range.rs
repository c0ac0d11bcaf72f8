use std::{fmt, str::FromStr};

use thiserror::Error;

use super::{FrontendPort, Host, HostError, PortError};

/// Azure allows 1,000 instances in a scale set, and pools are made with twice that; a longer range is
/// a typing error, and probing it would be a port scan.
const MOST_PORTS: u16 = 5_000;

/// A plain NAT range on one host: `HOST:PORT` or `HOST:START-END`, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRange {
    /// The frontend.
    pub host: Host,
    /// The first port, instance 0's.
    pub start: FrontendPort,
    /// The last port.
    pub end: FrontendPort,
}

/// Why a text is not `HOST:PORT` or `HOST:START-END`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RangeError {
    /// There is no `:PORT` part.
    #[error("\"{0}\" has no port")]
    NoPort(String),
    /// An IPv6 address without brackets: which colon starts the port can't be told.
    #[error("\"{0}\" is ambiguous: put an IPv6 address in brackets")]
    BareIpv6(String),
    /// The host part is none.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A port is none.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The range ends before it starts.
    #[error("the range {start}-{end} ends before it starts")]
    Backwards {
        /// First port, as given.
        start: FrontendPort,
        /// Last port, as given.
        end: FrontendPort,
    },
    /// The range is longer than any scale set.
    #[error("the range {start}-{end} has more than {MOST_PORTS} ports, more than any scale set uses")]
    TooLong {
        /// First port, as given.
        start: FrontendPort,
        /// Last port, as given.
        end: FrontendPort,
    },
}

impl PortRange {
    /// Checks the ends.
    ///
    /// # Errors
    /// When the range ends before it starts, or is longer than any scale set's.
    pub fn new(host: Host, start: FrontendPort, end: FrontendPort) -> Result<Self, RangeError> {
        match end.get().checked_sub(start.get()) {
            None => Err(RangeError::Backwards { start, end }),
            Some(more) if more >= MOST_PORTS => Err(RangeError::TooLong { start, end }),
            Some(_) => Ok(Self { host, start, end }),
        }
    }

    /// How many ports it has.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::from(self.end.get().saturating_sub(self.start.get())) + 1
    }

    /// The ports in order.
    pub fn ports(&self) -> impl Iterator<Item = FrontendPort> + use<> {
        (self.start.get()..=self.end.get()).filter_map(|port| FrontendPort::try_from(u64::from(port)).ok())
    }
}

impl FromStr for PortRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let (host, ports) = text.rsplit_once(':').ok_or_else(|| RangeError::NoPort(text.into()))?;
        if host.starts_with('[') && !host.ends_with(']') {
            return Err(RangeError::NoPort(text.into()));
        }
        if host.contains(':') && !host.starts_with('[') {
            return Err(RangeError::BareIpv6(text.into()));
        }
        let (start, end) = ports.split_once('-').unwrap_or((ports, ports));
        Self::new(host.parse()?, start.parse()?, end.parse()?)
    }
}

/// As it is typed: `20.1.2.3:50000-50003`.
impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", super::endpoint::socket_text(&self.host, self.start))?;
        if self.end == self.start { Ok(()) } else { write!(f, "-{}", self.end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_printed() {
        for text in ["20.1.2.3:50000", "20.1.2.3:50000-50119", "[::1]:22-23", "vmss.example.com:1-5000"] {
            assert_eq!(text.parse::<PortRange>().unwrap().to_string(), text);
        }
        let ports: Vec<_> =
            "h:65534-65535".parse::<PortRange>().unwrap().ports().map(FrontendPort::get).collect();
        assert_eq!(ports, [65534, 65535]);
    }

    #[test]
    fn wrong_ranges_say_what_is_wrong() {
        let message = |text: &str| text.parse::<PortRange>().unwrap_err().to_string();
        assert_eq!(message("20.1.2.3:50010-50000"), "the range 50010-50000 ends before it starts");
        assert_eq!(message("20.1.2.3:0"), "\"0\" is not a port: a port is a number from 1 to 65535");
        assert_eq!(message("20.1.2.3:70000"), "\"70000\" is not a port: a port is a number from 1 to 65535");
        assert_eq!(message("20.1.2.3:+22"), "\"+22\" is not a port: a port is a number from 1 to 65535");
        assert_eq!(message("20.1.2.3:-22"), "\"\" is not a port: a port is a number from 1 to 65535");
        assert_eq!(message("::1:22"), "\"::1:22\" is ambiguous: put an IPv6 address in brackets");
        assert_eq!(message("[::1]"), "\"[::1]\" has no port");
        assert!(message("h:1-65535").contains("more than 5000 ports"));
        assert_eq!(message("20.1.2:50000"), "\"20.1.2\" is neither an IP address nor a host name");
    }
}
