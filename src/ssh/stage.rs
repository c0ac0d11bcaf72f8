//! How far a connection attempt got, and what is said where it ended.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use super::{
    greeting,
    handler::{WatchError, describe},
    transport::FirstBytes,
};
use crate::{
    event::{Failure, Stage},
    natmap::Host,
    net::{
        connect::{self, ConnectError, seconds},
        resolve::ResolveError,
    },
};

/// How far an attempt got.
#[derive(Debug, Default)]
pub(super) struct Progress {
    stage: AtomicU8,
    pub(super) first: FirstBytes,
    /// While the host key is being checked.
    pub(super) checking_key: Arc<AtomicBool>,
    /// While the server has a password and has not answered.
    password_sent: AtomicBool,
}

impl Progress {
    const STAGES: [Stage; 4] = [Stage::Resolve, Stage::Connect, Stage::Banner, Stage::Auth];

    pub(super) fn reach(&self, stage: Stage) {
        let place = Self::STAGES.iter().position(|s| *s == stage).unwrap_or_default();
        self.stage.store(u8::try_from(place).unwrap_or_default(), Ordering::Release);
    }

    pub(super) fn password_sent(&self, sent: bool) {
        self.password_sent.store(sent, Ordering::Release);
    }

    /// The attempt's time limit has run out.
    pub(super) fn timed_out(&self, limit: Duration) -> Failure {
        if self.password_sent.load(Ordering::Acquire) {
            let message = format!("no answer to the password within {}", seconds(limit));
            // russh takes no notice of that request (RFC 4252 section 8).
            return Failure::new(Stage::Auth, message).with_hint(
                "the server may want the password changed, which can't be done from here: change it with another                  client or on the console; or it is overloaded: give it more time with --connect-timeout",
            );
        }
        timed_out(self.stage(), limit)
    }

    pub(super) fn stage(&self) -> Stage {
        let place = usize::from(self.stage.load(Ordering::Acquire));
        match Self::STAGES.get(place) {
            // The next two happen inside russh; what it read and asked tells them apart.
            Some(Stage::Banner) if self.checking_key.load(Ordering::Acquire) => Stage::HostKey,
            Some(Stage::Banner) if greeting::is_ssh(&self.first.get()) => Stage::KeyExchange,
            Some(stage) => *stage,
            None => Stage::Resolve,
        }
    }
}

const UNREACHED: &str = "nothing answers there: check that the instance runs and that the network security group, the NAT rule and the \
     firewall let the port through, for example with `vmssh probe`";

pub(super) fn unresolved(error: &ResolveError, host: &Host) -> Failure {
    let hint = match error {
        ResolveError::NotTold => {
            "look it up (`az network public-ip list -g GROUP -o table`) and give it with --address".into()
        }
        _ => format!("check the name, for example with `getent hosts {host}`"),
    };
    Failure::new(Stage::Resolve, error.to_string()).with_hint(hint)
}

const NO_WAY: &str = "there is no way there from here: check the address, this machine's route or VPN, and firewalls on the way";

/// No connection within `limit`, the time limit of the whole attempt.
pub(super) fn unconnected(error: &ConnectError, limit: Duration) -> Failure {
    // What the name left of the limit differs from instance to instance; the cause is the same.
    if let [(_, only)] = error.attempts.as_slice()
        && only.kind() == io::ErrorKind::TimedOut
        && only.raw_os_error().is_none()
    {
        return timed_out(Stage::Connect, limit);
    }
    let failure = Failure::new(Stage::Connect, error.to_string());
    match error.main().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => failure.with_hint(
            "the port is reached, but nothing listens there: sshd is stopped or still starting, try again in a minute",
        ),
        Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable) => {
            failure.with_hint(NO_WAY)
        }
        Some(io::ErrorKind::AddrNotAvailable) => failure.with_hint("fewer at once with -P"),
        Some(_) if is_local(error) => failure.with_hint("raise the limit with `ulimit -n`, or fewer at once with -P"),
        _ => failure.with_hint(UNREACHED),
    }
}

/// True where this machine has no file handle left (EMFILE, ENFILE).
fn is_local(error: &ConnectError) -> bool {
    #[cfg(unix)]
    return error
        .main()
        .and_then(io::Error::raw_os_error)
        .is_some_and(|n| n == libc::EMFILE || n == libc::ENFILE);
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}

pub(super) fn local_trouble(error: &io::Error) -> Failure {
    Failure::new(Stage::Connect, connect::cause(error))
        .with_hint("raise the limit with `ulimit -n`, or fewer at once with -P")
}

pub(super) fn timed_out(stage: Stage, limit: Duration) -> Failure {
    let limit = seconds(limit);
    let (message, hint) = match stage {
        Stage::Resolve => {
            (format!("no address within {limit}"), "check the name servers, or name the address")
        }
        Stage::Connect => (format!("no answer within {limit}"), UNREACHED),
        Stage::Banner => (
            format!("no identification line within {limit}"),
            "the port is open and sshd says nothing: the instance hangs, is overloaded or waits for a name server; \
             give it more time with --connect-timeout",
        ),
        Stage::Auth => (
            format!("not signed in within {limit}"),
            "the instance is overloaded or waits for a directory server; give it more time with --connect-timeout",
        ),
        _ => (
            format!("not finished within {limit}"),
            "the instance is overloaded, or something in between drops long packets (MTU); give it more time with \
             --connect-timeout",
        ),
    };
    Failure::new(stage, message).with_hint(hint)
}

pub(super) fn no_transport(error: WatchError, progress: &Progress) -> Failure {
    match (error, progress.stage()) {
        (WatchError::Refused(failure), _) => failure,
        (WatchError::Russh(russh::Error::IO(error)), Stage::Banner)
            if error.kind() != io::ErrorKind::UnexpectedEof && progress.first.get().is_empty() =>
        {
            Failure::new(Stage::Banner, connect::cause(&error)).with_hint(
                "the connection was cut at once: a firewall does that, or an sshd that is stopping",
            )
        }
        (_, Stage::Banner) => {
            let (message, hint) = greeting::explain(&progress.first.get());
            Failure::new(Stage::Banner, message).with_hint(hint)
        }
        (error, stage) => Failure::new(stage, describe(&error))
            .with_hint("see what sshd has to say on the instance: `journalctl -u ssh`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unconnected(errors: Vec<io::Error>) -> Failure {
        let attempts = errors.into_iter().map(|e| ("192.0.2.1".parse().unwrap(), e)).collect();
        super::unconnected(&ConnectError { attempts }, Duration::from_secs(10))
    }

    fn silent() -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, "no answer within 8.7s")
    }

    #[test]
    fn silence_reads_the_same_however_long_the_name_took() {
        assert_eq!(unconnected(vec![silent()]), timed_out(Stage::Connect, Duration::from_secs(10)));
        let both = unconnected(vec![silent(), io::ErrorKind::ConnectionRefused.into()]);
        assert_eq!(both.message, "192.0.2.1: no answer within 8.7s, 192.0.2.1: connection refused");
    }

    #[test]
    fn without_a_way_there_the_way_is_to_be_checked() {
        for (kind, message) in [
            (io::ErrorKind::NetworkUnreachable, "network unreachable"),
            (io::ErrorKind::HostUnreachable, "no route to host"),
        ] {
            let failure = unconnected(vec![kind.into()]);
            assert_eq!((failure.message.as_str(), failure.hint.as_deref()), (message, Some(NO_WAY)));
        }
    }
}
