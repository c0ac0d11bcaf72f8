use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::{
    event::{Answer, Clock, ProbeOutcome, Unreachable},
    net::{connect::cause, tcp_info},
};

/// How often a probe is tried when this machine has no descriptor, port or buffer for it.
const LOCAL_TRIES: u32 = 5;
/// Between two tries. Together they give other probes time to end and bound the wait to 0.4 s.
const LOCAL_PAUSE: Duration = Duration::from_millis(100);

/// Makes one probe. Its time begins with its SYN: what went before is not part of it.
pub(super) async fn attempt(target: SocketAddr, limit: Duration) -> ProbeOutcome {
    let mut tries = 1;
    loop {
        match once(target, limit).await {
            Ok(outcome) => return outcome,
            Err(error) if tries >= LOCAL_TRIES => return ProbeOutcome::NotSent(cause(&error)),
            Err(_) => sleep(LOCAL_PAUSE).await,
        }
        tries += 1;
    }
}

/// One try. An error is this machine's own and says nothing about the endpoint.
async fn once(target: SocketAddr, limit: Duration) -> io::Result<ProbeOutcome> {
    let socket = open(target)?;
    let start = Instant::now();
    if let Err(error) = socket.connect(&target.into())
        && !is_under_way(&error)
    {
        return judge(&error, start.elapsed()).ok_or(error);
    }
    let stream = TcpStream::from_std(socket.into())?;
    let Ok(ready) = timeout(limit, stream.writable()).await else {
        return Ok(ProbeOutcome::TimedOut { syns: None });
    };
    ready?;
    // From here to the return, which closes the socket, nothing may wait: the kernel holds the
    // last packet of the handshake back for a fifth of a second at most.
    let after = start.elapsed();
    Ok(match stream.take_error()? {
        Some(error) => judge(&error, after).unwrap_or_else(|| turned_away(cause(&error))),
        None if is_self_connected(&stream, target) => ProbeOutcome::Refused { after },
        None => answered(&stream, after),
    })
}

/// A socket that connects without waiting, and that is reset when it is closed: no `TIME_WAIT`, so
/// that probing does not use up the local ports.
fn open(target: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_linger(Some(Duration::ZERO))?;
    // Half-open (tcp(7), TCP_QUICKACK): without it the handshake completes, and all else is the same.
    #[cfg(target_os = "linux")]
    socket.set_tcp_quickack(false)?;
    Ok(socket)
}

fn turned_away(error: String) -> ProbeOutcome {
    ProbeOutcome::Unreachable(Unreachable { error, icmp: None })
}

fn is_under_way(error: &io::Error) -> bool {
    #[cfg(unix)]
    return error.raw_os_error() == Some(libc::EINPROGRESS);
    #[cfg(not(unix))]
    return error.kind() == ErrorKind::WouldBlock;
}

/// The answer's time by the kernel, else by the program's clock.
fn answered(stream: &TcpStream, after: Duration) -> ProbeOutcome {
    match tcp_info::handshake(stream) {
        Some(kernel) if kernel.rtt.is_some() || kernel.retransmitted > 0 => ProbeOutcome::Answered(Answer {
            rtt: kernel.rtt,
            clock: Clock::Kernel,
            elapsed: after,
            retransmitted: kernel.retransmitted,
        }),
        _ => ProbeOutcome::Answered(Answer {
            rtt: Some(after),
            clock: Clock::Monotonic,
            elapsed: after,
            retransmitted: 0,
        }),
    }
}

/// A closed port in the range that local ports are taken from may be given to the very socket that
/// dials it, which then answers itself (RFC 9293 section 3.5, simultaneous open).
fn is_self_connected(stream: &TcpStream, target: SocketAddr) -> bool {
    stream.local_addr().is_ok_and(|local| local == target)
}

/// What an error of a connect says about the endpoint; `None` where it says nothing.
fn judge(error: &io::Error, after: Duration) -> Option<ProbeOutcome> {
    match error.kind() {
        // A reset is a refusal that came a moment after the answer.
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Some(ProbeOutcome::Refused { after }),
        // The system's own limit, shorter than ours.
        ErrorKind::TimedOut => Some(ProbeOutcome::TimedOut { syns: None }),
        // No route here, or an ICMP error from a hop.
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            Some(turned_away(cause(error)))
        }
        // How Linux reports ICMPv6 type 1 code 1.
        ErrorKind::PermissionDenied => Some(turned_away("administratively prohibited".into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn errors_are_told_apart() {
        let judge = |errno| judge(&io::Error::from_raw_os_error(errno), Duration::ZERO);
        assert_eq!(judge(libc::ECONNREFUSED), Some(ProbeOutcome::Refused { after: Duration::ZERO }));
        assert_eq!(judge(libc::ETIMEDOUT), Some(ProbeOutcome::TimedOut { syns: None }));
        for (errno, text) in [
            (libc::EHOSTUNREACH, "no route to host"),
            (libc::ENETUNREACH, "network unreachable"),
            (libc::EACCES, "administratively prohibited"),
        ] {
            assert_eq!(judge(errno), Some(turned_away(text.into())));
        }
        for ours in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::EADDRNOTAVAIL, libc::EAFNOSUPPORT] {
            assert_eq!(judge(ours), None);
        }
    }

    /// Linux connects to no link-local address without an interface, with and without IPv6.
    #[cfg(target_os = "linux")]
    #[tokio::test(start_paused = true)]
    async fn what_this_machine_cannot_send_is_tried_again_and_then_not_sent() {
        let start = Instant::now();
        let outcome = attempt("[fe80::1]:50000".parse().unwrap(), Duration::from_secs(1)).await;
        assert!(matches!(outcome, ProbeOutcome::NotSent(_)), "{outcome:?}");
        // The clock stands still but for the pauses.
        assert!(start.elapsed() >= LOCAL_PAUSE * (LOCAL_TRIES - 1), "{:?}", start.elapsed());
    }
}
