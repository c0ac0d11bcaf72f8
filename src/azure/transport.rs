//! The HTTP client that everything here uses, and what its errors mean.

use std::{error::Error as StdError, io, time::Duration};

use reqwest::{Client, redirect};

/// How the network failed, as far as it changes what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The host's name has no address.
    Name,
    /// Nothing listens there.
    Refused,
    /// No connection within the time limit, or no route.
    Unreachable,
    /// The proxy of the environment did not let us through.
    Proxy,
    /// TLS could not be agreed on: mostly a certificate that is not trusted here.
    Tls,
    /// The connection was there and broke before the answer was whole.
    Dropped,
    /// The connection was there and no whole answer came within the time limit.
    Silent,
    /// Another kind.
    Other,
}

impl Trouble {
    /// The next thing to do.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::Name => {
                "is there a network, and does its name server work? behind a proxy, set HTTPS_PROXY"
            }
            Self::Refused | Self::Unreachable | Self::Other => {
                "is there a way to it from here? behind a proxy, set HTTPS_PROXY"
            }
            Self::Proxy => "see that HTTPS_PROXY is right and lets this host through",
            Self::Tls => {
                "install the system's certificates (`apt install ca-certificates`), or name those of a proxy that opens TLS with SSL_CERT_FILE"
            }
            Self::Dropped | Self::Silent => {
                "try again; a proxy or firewall that ends connections looks like this"
            }
        }
    }

    /// Whether it may well be gone at the next try.
    pub(super) fn is_passing(self) -> bool {
        matches!(self, Self::Dropped | Self::Silent)
    }
}

/// A client that follows no redirect: a token must not travel along.
///
/// Proxies are those of the environment (`HTTPS_PROXY`, `NO_PROXY`, …), which reqwest reads itself;
/// with `direct` none: this machine and its link-local neighbours are never behind one.
pub(super) fn client(connect: Duration, request: Duration, direct: bool) -> Result<Client, reqwest::Error> {
    let builder = Client::builder()
        .user_agent(concat!("vmssh/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(connect)
        .timeout(request);
    if direct { builder.no_proxy() } else { builder }.build()
}

/// What is behind an error of the client. Its own kinds are coarse, so the causes are looked at.
pub(super) fn trouble(error: &reqwest::Error) -> Trouble {
    let causes: Vec<_> = causes(error).map(|cause| cause.to_string().to_ascii_lowercase()).collect();
    let said = |words: &[&str]| causes.iter().any(|cause| words.iter().any(|word| cause.contains(word)));
    let io = causes_of_io(error);
    if !error.is_connect() {
        return match () {
            () if error.is_timeout() => Trouble::Silent,
            () if error.is_request() || error.is_body() || error.is_decode() => Trouble::Dropped,
            () => Trouble::Other,
        };
    }
    match io {
        _ if said(&["dns error"]) => Trouble::Name,
        _ if said(&["tunnel", "proxy"]) => Trouble::Proxy,
        Some(io::ErrorKind::ConnectionRefused) => Trouble::Refused,
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => Trouble::Unreachable,
        _ if error.is_timeout() => Trouble::Unreachable,
        _ if said(&["certificate", "tls", "received fatal alert", "corrupt message", "handshake"]) => {
            Trouble::Tls
        }
        Some(_) => Trouble::Dropped,
        None => Trouble::Other,
    }
}

/// The innermost cause in its own words: the layers above only say "error sending request", some with
/// the address and its query.
pub(super) fn innermost(error: &(dyn StdError + 'static)) -> String {
    causes(error).last().map_or_else(|| "unknown".into(), ToString::to_string)
}

/// The client's error somewhere below another one.
pub(super) fn below<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a reqwest::Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

fn causes_of_io(error: &reqwest::Error) -> Option<io::ErrorKind> {
    causes(error).find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind)
}
