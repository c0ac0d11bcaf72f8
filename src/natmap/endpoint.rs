use std::{fmt, net::IpAddr, str::FromStr};

use serde::Serialize;
use thiserror::Error;

use super::{FrontendPort, InstanceId};

/// A frontend address as given: a name to be resolved or an address. Names are kept in lower case,
/// as they compare without it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Host {
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
    /// A name.
    Name(String),
    /// A frontend whose address the document does not tell. Never typed; it resolves to nothing, so
    /// that its instances are named as unreachable and not left out.
    Unknown,
}

/// A text that is neither an address nor a host name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{0}\" is neither an IP address nor a host name")]
pub struct HostError(String);

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        if let Ok(ip) = bare.unwrap_or(text).parse() {
            return Ok(Self::Ip(ip));
        }
        // RFC 1123 letters, digits and hyphens, and the underscore that Azure's and many internal
        // names have. Everything else is a typing error or an attempt at something else.
        let label = |l: &str| {
            !l.is_empty()
                && l.len() <= 63
                && l.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        let name = text.strip_suffix('.').unwrap_or(text);
        // All digits and dots would be a mistyped address ("20.1.2.300"), which resolvers may read
        // as a number.
        let numeric = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if name.len() <= 253 && !numeric && !name.starts_with('-') && name.split('.').all(label) {
            Ok(Self::Name(text.to_ascii_lowercase()))
        } else {
            Err(HostError(text.into()))
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => f.pad(&ip.to_string()),
            Self::Name(name) => f.pad(name),
            Self::Unknown => f.pad("?"),
        }
    }
}

/// What is dialled: a frontend address and port, with the instance that is expected behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The instance behind it; `None` where only the range is known.
    pub instance: Option<InstanceId>,
    /// The instance's name, where known.
    pub name: Option<String>,
    /// Azure's GUID of the machine, where known.
    pub vm_id: Option<String>,
    /// Where to connect to.
    pub host: Host,
    /// The port to connect to.
    pub port: FrontendPort,
}

impl Endpoint {
    /// How this endpoint is named in outputs: the instance's id, else `port 50003`.
    #[must_use]
    pub fn label(&self) -> String {
        self.instance.as_ref().map_or_else(|| format!("port {}", self.port), ToString::to_string)
    }

    /// The name under which this endpoint's host key is filed: the machine's `vmId` where it is known, as
    /// ports pass from one instance to another; else what is dialled.
    #[must_use]
    pub fn host_key_alias(&self) -> HostKeyAlias {
        if let Some(vm_id) = &self.vm_id {
            return HostKeyAlias::of_machine(vm_id);
        }
        self.dialled_alias()
    }

    /// The name of what is dialled, whoever that is.
    #[must_use]
    pub fn dialled_alias(&self) -> HostKeyAlias {
        HostKeyAlias(if self.port.get() == 22 {
            self.host.to_string()
        } else {
            format!("[{}]:{}", self.host, self.port)
        })
    }
}

/// `20.1.2.3:50000`, IPv6 in brackets.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&socket_text(&self.host, self.port))
    }
}

/// An address and a port as they are typed: IPv6 in brackets.
pub(crate) fn socket_text(host: &Host, port: FrontendPort) -> String {
    match host {
        Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

/// The name under which a host key is filed in known_hosts files: a machine's `vmId`, or an endpoint in
/// OpenSSH's spelling, `[20.1.2.3]:50000`, without brackets and port for port 22 (sshd(8),
/// SSH_KNOWN_HOSTS FILE FORMAT).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostKeyAlias(String);

impl HostKeyAlias {
    /// The name that the user has for a server (ssh_config(5), HostKeyAlias).
    #[must_use]
    pub fn given(name: &str) -> Self {
        Self(name.to_ascii_lowercase())
    }

    /// Of a machine that Azure's GUID is known of.
    #[must_use]
    pub fn of_machine(vm_id: &str) -> Self {
        Self(vm_id.to_ascii_lowercase())
    }

    /// Of an address of a network that is reached through a frontend. Private addresses are the same ones
    /// everywhere.
    #[must_use]
    pub fn behind(frontend: &Host, address: IpAddr) -> Self {
        Self(format!("{address}%{frontend}"))
    }

    /// The alias as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostKeyAlias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_and_nothing_else() {
        for good in
            ["20.1.2.3", "::1", "[2603:10a0::1a]", "vmss.westeurope.cloudapp.azure.com", "web_1", "host."]
        {
            assert!(good.parse::<Host>().is_ok(), "{good}");
        }
        for bad in ["", "20.1.2.300", "1.2.3", "a b", "-oProxyCommand=x", "a..b", "[a]", "a/b", "münchen"] {
            assert!(bad.parse::<Host>().is_err(), "{bad}");
        }
    }

    #[test]
    fn endpoints_print_as_they_are_typed() {
        let endpoint = |host: &str, port: u64| Endpoint {
            instance: None,
            name: None,
            vm_id: None,
            host: host.parse().unwrap(),
            port: port.try_into().unwrap(),
        };
        assert_eq!(endpoint("::1", 50000).to_string(), "[::1]:50000");
        assert_eq!(endpoint("Web.Example", 50000).to_string(), "web.example:50000");
        assert_eq!(endpoint("::1", 50000).host_key_alias().as_str(), "[::1]:50000");
        assert_eq!(endpoint("10.0.0.4", 22).host_key_alias().as_str(), "10.0.0.4");
        assert_eq!(endpoint("10.0.0.4", 50003).label(), "port 50003");
    }
}
