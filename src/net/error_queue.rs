//! Who said that a connection can't be made: the error queue of a socket (ip(7), `IP_RECVERR`), which needs
//! no privilege. Linux only; elsewhere there is none.

use std::{io, net::SocketAddr};

use mio::net::TcpStream;
use socket2::Socket;

use crate::event::IcmpError;

/// An error from the queue. Taking it there also takes it from `SO_ERROR`.
#[derive(Debug)]
pub(super) struct QueuedError {
    /// What the system makes of it.
    pub(super) error: io::Error,
    /// The message that it came with, where it came from the network.
    pub(super) icmp: Option<IcmpError>,
}

/// Nothing to ask for.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature on all systems")]
pub(super) fn ask_for(_socket: &Socket, _to: SocketAddr) -> io::Result<()> {
    Ok(())
}

/// There is no queue.
#[cfg(not(target_os = "linux"))]
pub(super) fn take(_stream: &TcpStream) -> Option<QueuedError> {
    None
}

/// Asks the system to keep errors with those who sent them, for a socket that is to dial this address.
#[cfg(target_os = "linux")]
pub(super) fn ask_for(socket: &Socket, to: SocketAddr) -> io::Result<()> {
    let (level, name) = if to.is_ipv4() {
        (libc::IPPROTO_IP, libc::IP_RECVERR)
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
    };
    super::socket_option::set(socket, level, name, 1)
}

/// Takes the first error from the queue; `None` where it is empty.
#[cfg(target_os = "linux")]
pub(super) fn take(stream: &TcpStream) -> Option<QueuedError> {
    use std::os::fd::AsRawFd;

    /// An error and an address: 16 + 16 + 28 bytes. Aligned as the kernel's headers are.
    #[repr(C, align(8))]
    struct Control([u8; 128]);

    let mut control = Control([0; 128]);
    // SAFETY: all zero is a valid `msghdr`: no name, no parts, no control.
    #[expect(unsafe_code, reason = "no crate reads the error queue")]
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    // SAFETY: the descriptor is open as long as `stream` is borrowed, and `message` points to `control`,
    // which outlives the call, with its length.
    #[expect(unsafe_code, reason = "no crate reads the error queue")]
    let received = unsafe { libc::recvmsg(stream.as_raw_fd(), &raw mut message, libc::MSG_ERRQUEUE) };
    if received < 0 {
        return None;
    }
    linux::parse(control.0.get(..message.msg_controllen)?)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        io,
        net::{IpAddr, Ipv4Addr, Ipv6Addr},
    };

    use super::QueuedError;
    use crate::event::IcmpError;

    /// `struct cmsghdr` before its data: length, level, type (a word and two integers, cmsg(3)).
    const HEADER: usize = size_of::<usize>() + 8;
    /// `struct sock_extended_err` of <linux/errqueue.h>.
    const ERROR: usize = 16;
    /// `SO_EE_ORIGIN_ICMP` and `SO_EE_ORIGIN_ICMP6`.
    const ORIGINS: [u8; 2] = [2, 3];

    /// Reads the first control message. The socket asked for no other kind.
    pub(super) fn parse(control: &[u8]) -> Option<QueuedError> {
        let data = control.get(HEADER..)?;
        let errno = i32::from_ne_bytes(data.get(..4)?.try_into().ok()?);
        let &[origin, kind, code] = data.get(4..7)? else { return None };
        let sender = data.get(ERROR..).and_then(offender);
        let icmp =
            sender.filter(|_| ORIGINS.contains(&origin)).map(|sender| IcmpError { sender, kind, code });
        Some(QueuedError { error: io::Error::from_raw_os_error(errno), icmp })
    }

    /// The sender's address: `struct sockaddr_in` or `sockaddr_in6`; of an unknown one the family is 0.
    fn offender(bytes: &[u8]) -> Option<IpAddr> {
        let family = u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?);
        match i32::from(family) {
            libc::AF_INET => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(4..8)?).ok()?).into()),
            libc::AF_INET6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(8..24)?).ok()?).into()),
            _ => None,
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn control(origin: u8, address: &[u8]) -> Vec<u8> {
            let mut bytes = vec![0; HEADER];
            bytes.extend(libc::EHOSTUNREACH.to_ne_bytes());
            bytes.extend([origin, 3, 13, 0]);
            bytes.extend([0; 8]);
            bytes.extend(address);
            bytes
        }

        fn ipv4() -> Vec<u8> {
            let family = u16::try_from(libc::AF_INET).unwrap();
            [&family.to_ne_bytes()[..], &[0, 0, 10, 1, 2, 3]].concat()
        }

        #[test]
        fn the_sender_is_read_where_the_network_said_so() {
            let queued = parse(&control(2, &ipv4())).unwrap();
            assert_eq!(queued.error.raw_os_error(), Some(libc::EHOSTUNREACH));
            assert_eq!(
                queued.icmp.unwrap().to_string(),
                "administratively prohibited (ICMP 3/13), says 10.1.2.3"
            );
            // This machine's own word has no sender.
            assert_eq!(parse(&control(1, &ipv4())).unwrap().icmp, None);
            assert_eq!(parse(&control(2, &[0; 8])).unwrap().icmp, None);
        }

        #[test]
        fn a_short_message_is_none() {
            let whole = control(2, &ipv4());
            for length in 0..whole.len() {
                let read = parse(&whole[..length]);
                assert!(read.is_none_or(|queued| queued.icmp.is_none()), "{length}");
            }
        }
    }
}
