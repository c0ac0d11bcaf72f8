//! What the prober tells while it runs.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// One probe has come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeEvent {
    /// Which endpoint, by its place in the list of work.
    pub index: usize,
    /// What came of the probe.
    pub sample: ProbeSample,
}

/// One timed attempt and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSample {
    /// When it began, since the run did, by a monotonic clock.
    pub start: Duration,
    /// Warm-up probes are shown but not counted.
    pub warm_up: bool,
    /// The address that was dialled; `None` where the name has none.
    pub to: Option<SocketAddr>,
    /// The address that was dialled from, where the system told it.
    pub from: Option<SocketAddr>,
    /// What became of the handshake.
    pub outcome: ProbeOutcome,
    /// What the service behind the port said; `None` where it was not asked, or the port did not answer.
    pub service: Option<ServiceOutcome>,
}

/// What became of one handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// The port answered the SYN.
    Answered(Answer),
    /// The port was refused (RST).
    Refused {
        /// Time from SYN to refusal, by the program's clock.
        after: Duration,
    },
    /// Nothing came back within the time limit.
    TimedOut {
        /// How many SYNs went unanswered; `None` where the system does not tell.
        syns: Option<u32>,
    },
    /// A router, a firewall or this machine's own routing said that there is no way.
    Unreachable(Unreachable),
    /// The name of the frontend has no address; why.
    NotResolved(String),
    /// We could not try: no file handle, no local port. Ours, never counted as loss.
    NotSent(String),
}

/// An answered SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The round-trip time of the handshake; `None` where a SYN was sent again and the time of the
    /// one that was answered can't be told.
    pub rtt: Option<Duration>,
    /// Who measured it.
    pub clock: Clock,
    /// From the SYN until this program noticed the answer, by its own clock: what it is more than the
    /// kernel's time is this machine's delay, not the path's.
    pub elapsed: Duration,
    /// SYNs that had to be sent again before the answer.
    pub retransmitted: u32,
}

/// Whose clock a round-trip time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// The kernel's own measure of the handshake (`TCP_INFO`).
    Kernel,
    /// This program's monotonic clock, which includes the wait until it got to run.
    Monotonic,
}

/// As in outputs: `kernel`, `monotonic`.
impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kernel => "kernel",
            Self::Monotonic => "monotonic",
        })
    }
}

/// Why there is no way to an endpoint, and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    /// What the system made of it, in a few words: `no route to host`.
    pub error: String,
    /// The ICMP message that said so; `None` where it was this machine's own routing, or where the
    /// system does not tell.
    pub icmp: Option<IcmpError>,
}

/// `no route to host`, or what the message said and who sent it.
impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.icmp {
            Some(icmp) => write!(f, "{icmp}"),
            None => f.write_str(&self.error),
        }
    }
}

/// An ICMP error message (RFC 792, RFC 4443) about a SYN of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IcmpError {
    /// The router, firewall or host that sent it.
    pub sender: IpAddr,
    /// The message's type, of ICMP or ICMPv6 as the sender's address has it.
    pub kind: u8,
    /// The message's code.
    pub code: u8,
}

impl IcmpError {
    /// What the message says, in the words of its RFC.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match (self.sender.is_ipv4(), self.kind, self.code) {
            (true, 3, 0) => "network unreachable",
            (true, 3, 1) => "host unreachable",
            (true, 3, 2) | (false, 4, 1) => "protocol unreachable",
            (true, 3, 3) | (false, 1, 4) => "port unreachable",
            (true, 3, 4) | (false, 2, _) => "packet too big",
            (true, 3, 6) => "network unknown",
            (true, 3, 7) => "host unknown",
            (true, 3, 9) => "network administratively prohibited",
            (true, 3, 10) => "host administratively prohibited",
            (true, 3, 13) | (false, 1, 1) => "administratively prohibited",
            (true, 11, _) | (false, 3, _) => "time to live exceeded",
            (false, 1, 0) => "no route to destination",
            (false, 1, 2) => "beyond the scope of the source address",
            (false, 1, 3) => "address unreachable",
            (false, 1, 5) => "source address failed a policy",
            (false, 1, 6) => "reject route to destination",
            (true, 3, _) | (false, 1, _) => "unreachable",
            _ => "refused on the way",
        }
    }
}

/// `port unreachable (ICMP 3/3), says 10.0.0.4`.
impl fmt::Display for IcmpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = if self.sender.is_ipv4() { "ICMP" } else { "ICMPv6" };
        write!(f, "{} ({protocol} {}/{}), says {}", self.words(), self.kind, self.code, self.sender)
    }
}

/// What the service behind an answering port said. A port is answered by the kernel, or by something
/// on the way, even where the service hangs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceOutcome {
    /// It said what a service of its kind says.
    Answered {
        /// From the port's answer to the service's, by the program's clock.
        after: Duration,
        /// What it said: an identification line (RFC 4253 section 4.2), or the security protocol that a
        /// remote desktop chose ([MS-RDPBCGR] 2.2.1.2). Bytes of a remote, not to be shown uncleaned.
        said: String,
    },
    /// It said something else: another service listens there.
    Foreign {
        /// The same time.
        after: Duration,
        /// What it said, cut off where it was long. Bytes of a remote as well.
        said: String,
    },
    /// It closed the connection without a word.
    Closed {
        /// From the port's answer to the end.
        after: Duration,
    },
    /// It said nothing within the time limit.
    Silent,
}

impl ServiceOutcome {
    /// The outcome's name in outputs: `answered`, `foreign`, `closed`, `silent`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Answered { .. } => "answered",
            Self::Foreign { .. } => "foreign",
            Self::Closed { .. } => "closed",
            Self::Silent => "silent",
        }
    }
}

impl ProbeOutcome {
    /// The outcome's name in outputs: `answered`, `refused`, `timed-out`, `unreachable`,
    /// `not-resolved`, `not-sent`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Answered(_) => "answered",
            Self::Refused { .. } => "refused",
            Self::TimedOut { .. } => "timed-out",
            Self::Unreachable(_) => "unreachable",
            Self::NotResolved(_) => "not-resolved",
            Self::NotSent(_) => "not-sent",
        }
    }

    /// The round-trip time, where there is one.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        match self {
            Self::Answered(answer) => answer.rtt,
            _ => None,
        }
    }
}

impl ProbeSample {
    /// True where the port answered and, if it was asked, the service too.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.outcome, ProbeOutcome::Answered(_))
            && self.service.as_ref().is_none_or(|service| matches!(service, ServiceOutcome::Answered { .. }))
    }
}

#[cfg(test)]
impl ProbeSample {
    /// A counted probe with this outcome, of no particular time or address.
    pub(crate) fn of(outcome: ProbeOutcome) -> Self {
        Self { start: Duration::ZERO, warm_up: false, to: None, from: None, outcome, service: None }
    }
}

#[cfg(test)]
impl Answer {
    /// Measured by the kernel, at once noticed.
    pub(crate) fn kernel(rtt: Duration) -> Self {
        Self { rtt: Some(rtt), clock: Clock::Kernel, elapsed: rtt, retransmitted: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_said_so_is_said() {
        let icmp = |sender: &str, kind, code| IcmpError { sender: sender.parse().unwrap(), kind, code };
        let both = |icmp| Unreachable { error: "connection refused".into(), icmp }.to_string();
        assert_eq!(both(None), "connection refused");
        assert_eq!(both(Some(icmp("10.0.0.4", 3, 3))), "port unreachable (ICMP 3/3), says 10.0.0.4");
        assert_eq!(
            icmp("2001:db8::1", 1, 1).to_string(),
            "administratively prohibited (ICMPv6 1/1), says 2001:db8::1"
        );
        assert_eq!(icmp("10.0.0.1", 3, 200).words(), "unreachable");
        assert_eq!(icmp("10.0.0.1", 200, 0).words(), "refused on the way");
    }
}
