//! The address that connections come from.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
};

use socket2::Socket;

/// Gives a socket its source address, and leaves the port to the moment of connecting. A port that is
/// chosen here would be taken from all destinations together, not from each (ip(7),
/// `IP_BIND_ADDRESS_NO_PORT`).
///
/// # Errors
/// When the address is none of this machine's.
pub(super) fn bind(socket: &Socket, source: IpAddr) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    super::socket_option::set(socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
    socket.bind(&SocketAddr::new(source, 0).into())
}

/// Whether connections can come from this address.
///
/// # Errors
/// When the address is none of this machine's.
pub fn check(source: IpAddr) -> io::Result<()> {
    UdpSocket::bind((source, 0)).map(drop)
}
