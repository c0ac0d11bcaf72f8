use std::{
    io::{self, ErrorKind},
    net::IpAddr,
    time::Duration,
};

use crate::{
    event::{IcmpError, ProbeOutcome, Unreachable},
    net::connect::cause,
};

/// What an error of a connect says about the endpoint, given the ICMP message that it came with and the
/// time that it took; `None` where it says nothing: then it is this machine's own.
pub(super) fn judge(error: &io::Error, icmp: Option<IcmpError>, after: Duration) -> Option<ProbeOutcome> {
    let turned_away = |error| Some(ProbeOutcome::Unreachable(Unreachable { error, icmp }));
    match error.kind() {
        // Whatever the system makes of it (of "port unreachable" it makes a refusal): no TCP sends it, so a
        // firewall or a router did.
        _ if icmp.is_some() => turned_away(cause(error)),
        ErrorKind::ConnectionRefused => Some(ProbeOutcome::Refused { after }),
        // The system's own limit, shorter than ours.
        ErrorKind::TimedOut => Some(ProbeOutcome::TimedOut { syns: None }),
        // No route here, a neighbour that is not there, or an ICMP error that the system does not show.
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            turned_away(cause(error))
        }
        // A route that prohibits.
        ErrorKind::PermissionDenied => turned_away("administratively prohibited".into()),
        _ => None,
    }
}

/// The outcome with what this machine said of itself told apart from what others said: its own firewall, and
/// its own word that a neighbour is not there, come from its own address.
pub(super) fn by_whom(outcome: ProbeOutcome, own: Option<IpAddr>) -> ProbeOutcome {
    match outcome {
        ProbeOutcome::Unreachable(Unreachable { icmp: Some(icmp), .. }) if own == Some(icmp.sender) => {
            let error = format!("{}, says this machine", icmp.words());
            ProbeOutcome::Unreachable(Unreachable { error, icmp: None })
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn errors_are_told_apart() {
        let judge = |errno| judge(&io::Error::from_raw_os_error(errno), None, Duration::ZERO);
        assert_eq!(judge(libc::ECONNREFUSED), Some(ProbeOutcome::Refused { after: Duration::ZERO }));
        assert_eq!(judge(libc::ETIMEDOUT), Some(ProbeOutcome::TimedOut { syns: None }));
        for (errno, text) in [
            (libc::EHOSTUNREACH, "no route to host"),
            (libc::ENETUNREACH, "network unreachable"),
            (libc::EACCES, "administratively prohibited"),
        ] {
            let away = Unreachable { error: text.into(), icmp: None };
            assert_eq!(judge(errno), Some(ProbeOutcome::Unreachable(away)));
        }
        for ours in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::EADDRNOTAVAIL, libc::EAFNOSUPPORT] {
            assert_eq!(judge(ours), None);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_refusal_by_icmp_is_not_the_port_s() {
        let icmp = IcmpError { sender: "10.0.0.1".parse().unwrap(), kind: 3, code: 3 };
        let outcome =
            judge(&io::Error::from_raw_os_error(libc::ECONNREFUSED), Some(icmp), Duration::ZERO).unwrap();
        assert!(matches!(outcome, ProbeOutcome::Unreachable(Unreachable { icmp: Some(_), .. })));
    }
}
