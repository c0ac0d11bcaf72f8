//! The NAT frontend: one real port per instance on 127.0.0.1, and on no other address.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::Range,
};

use rand::RngExt as _;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{Fault, LabError};

/// Ports below this one are left alone: many well-known services sit there.
const LOWEST_BASE: u16 = 20_000;

/// Where the search ends when the ephemeral range is not known or leaves no room below itself.
/// Ephemeral ports start above it on every system's default.
const HIGHEST_PORT: u16 = 30_000;

/// Places tried for a contiguous range. Each is refused only when some program sits in it; eight
/// times in a row means a crowded machine, where single ports are still to be had.
const TRIES: usize = 8;

/// Connections that a listener may have waiting; all instances of a fan-out dial at once, but
/// each instance is dialled a few times only.
const BACKLOG: i32 = 128;

/// Connections of our own that fill the accept queue of a port that drops. Linux takes one more
/// than the backlog of 0; other systems round the backlog up.
const FILLERS: usize = if cfg!(target_os = "linux") { 1 } else { 16 };

/// What is behind one frontend port.
pub(super) enum Port {
    /// Accepts connections.
    Open(TcpListener),
    /// Answers no SYN: its accept queue is full of the connections kept here.
    Dropping {
        /// Nobody accepts from it.
        _listener: Socket,
        /// Never written to, never closed.
        _fillers: Vec<Socket>,
    },
    /// Bound, so that nobody else can listen there, and not listening: answers RST.
    Refusing {
        /// Holds the port.
        _socket: Socket,
    },
}

/// Binds one port per instance, contiguous where that is possible: from `base` where one is
/// given, else from a place below the ephemeral range, so that no outgoing connection of this
/// machine can take a port of the range first.
pub(super) fn open(faults: &[Option<Fault>], base: Option<u16>) -> Result<Vec<(u16, Port)>, LabError> {
    if let Some(base) = base {
        let fits = usize::from(u16::MAX - base) + 1 >= faults.len();
        if base == 0 || !fits {
            return Err(LabError::BasePort { base, instances: faults.len() });
        }
        return contiguous(faults, base).map_err(|(port, source)| LabError::PortTaken { port, source });
    }
    let bases = bases(&std::fs::read_to_string(RANGE_FILE).unwrap_or_default(), faults.len());
    for _ in 0..TRIES {
        if !bases.is_empty()
            && let Ok(ports) = contiguous(faults, rand::rng().random_range(bases.clone()))
        {
            return Ok(ports);
        }
    }
    faults.iter().map(|fault| bind(0, *fault).map_err(LabError::Ports)).collect()
}

/// Two numbers: the first and last port that Linux gives outgoing connections (ip(7)).
const RANGE_FILE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// Where a contiguous range of `count` ports may start.
fn bases(ip_local_port_range: &str, count: usize) -> Range<u16> {
    let count = u16::try_from(count).unwrap_or(u16::MAX);
    let first_ephemeral = ip_local_port_range.split_whitespace().next().and_then(|n| n.parse().ok());
    let room_below = |end: &u16| *end >= LOWEST_BASE.saturating_add(count);
    let end = first_ephemeral.filter(room_below).unwrap_or(HIGHEST_PORT);
    LOWEST_BASE..end.saturating_sub(count)
}

fn contiguous(faults: &[Option<Fault>], base: u16) -> Result<Vec<(u16, Port)>, (u16, io::Error)> {
    (base..=u16::MAX)
        .zip(faults)
        .map(|(port, fault)| bind(port, *fault).map_err(|error| (port, error)))
        .collect()
}

fn bind(port: u16, fault: Option<Fault>) -> io::Result<(u16, Port)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    // Lets a lab start again on the ports of one that just ended. On Windows the option means
    // something else. Not for a port that refuses: two sockets that don't listen could share it.
    #[cfg(unix)]
    if fault != Some(Fault::Refuse) {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    let address = socket.local_addr()?;
    let port = address.as_socket().map_or(port, |address| address.port());
    Ok((
        port,
        match fault {
            Some(Fault::Refuse) => Port::Refusing { _socket: socket },
            Some(Fault::Drop) => dropping(socket, &address)?,
            _ => {
                // Before listening: connections inherit it, and the handshake announces it.
                socket.set_recv_buffer_size(super::server::RECEIVE_BUFFER)?;
                socket.listen(BACKLOG)?;
                socket.set_nonblocking(true)?;
                Port::Open(socket.into())
            }
        },
    ))
}

/// A full accept queue makes the kernel ignore further SYNs, as a firewall would.
fn dropping(listener: Socket, address: &SockAddr) -> io::Result<Port> {
    listener.listen(0)?;
    let mut fillers = Vec::new();
    for _ in 0..FILLERS {
        let filler = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        // The first is in the queue when `connect` returns. Those beyond the queue's size would
        // wait, so none of the others is waited for.
        filler.set_nonblocking(!fillers.is_empty())?;
        let connected = filler.connect(address);
        if fillers.is_empty() {
            connected?;
        }
        fillers.push(filler);
    }
    Ok(Port::Dropping { _listener: listener, _fillers: fillers })
}

#[cfg(test)]
mod tests {
    use std::{net::TcpStream, time::Duration};

    use super::*;

    /// Long beside a handshake on loopback (microseconds), short beside the first SYN's repeat (1 s).
    const LIMIT: Duration = Duration::from_millis(300);

    fn connect(port: u16) -> io::Result<TcpStream> {
        TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), LIMIT)
    }

    #[test]
    fn ranges_lie_below_the_ephemeral_ports() {
        assert_eq!(bases("32768\t60999\n", 1000), 20_000..31_768);
        assert_eq!(bases("1024 65535", 1000), 20_000..29_000);
        assert_eq!(bases("", 3), 20_000..29_997);
        assert_eq!(bases("20500 60999", 1000), 20_000..29_000);
    }

    #[test]
    fn each_port_answers_as_its_fault_says() {
        let faults = [None, Some(Fault::Drop), Some(Fault::Refuse), Some(Fault::Slow)];
        let ports: Vec<_> = open(&faults, None).unwrap();
        let answer = |k: usize| connect(ports[k].0).map(drop).map_err(|error| error.kind());
        assert_eq!(answer(0), Ok(()));
        assert_eq!(answer(1), Err(io::ErrorKind::TimedOut));
        assert_eq!(answer(2), Err(io::ErrorKind::ConnectionRefused));
        assert_eq!(answer(3), Ok(()));
    }

    #[test]
    fn a_given_base_that_is_taken_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        for fault in [None, Some(Fault::Refuse), Some(Fault::Drop)] {
            let error = open(&[fault], Some(port)).err().unwrap();
            assert_eq!(error.to_string(), format!("port {port} of 127.0.0.1 can't be had"));
        }
        let error = open(&[None; 3], Some(65534)).err().unwrap();
        assert_eq!(error.to_string(), "3 ports from 65534 on are not all between 1 and 65535");
    }
}
