//! Where forwards listen on this side.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

use super::stream::Near;
use crate::forward::{BindAddress, Listen};

/// Who may use a forward whose address was left out (ssh_config(5), `GatewayPorts`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gateway {
    /// Programs of this machine.
    #[default]
    Loopback,
    /// Whoever can reach this machine.
    Everybody,
}

/// Connections that wait to be taken: what `listen` of OpenSSH asks for.
const BACKLOG: i32 = 128;

/// One that listens.
pub(super) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix {
        listener: tokio::net::UnixListener,
        _file: SocketFile,
    },
}

/// A socket's file, which goes with it.
#[cfg(unix)]
pub(super) struct SocketFile {
    path: std::path::PathBuf,
}

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<Near> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| Near::tcp(stream)),
            #[cfg(unix)]
            Self::Unix { listener, .. } => listener.accept().await.map(|(stream, _)| Near::Unix(stream)),
        }
    }
}

/// Begins to listen. Also gives the port, which may have been left to the system.
pub(super) async fn bind(listen: &Listen, gateway: Gateway) -> io::Result<(Vec<Listener>, Option<u16>)> {
    match listen {
        Listen::Port { at, port } => bind_port(at, *port, gateway).await,
        #[cfg(unix)]
        Listen::Socket(path) => Ok((vec![bind_socket(path.as_ref())?], None)),
        #[cfg(not(unix))]
        Listen::Socket(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "no unix sockets here")),
    }
}

const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
const ALL: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

async fn bind_port(
    at: &BindAddress,
    port: u16,
    gateway: Gateway,
) -> io::Result<(Vec<Listener>, Option<u16>)> {
    let addresses = match at {
        BindAddress::Unsaid if gateway == Gateway::Loopback => LOOPBACK.to_vec(),
        BindAddress::Given(name) if name.eq_ignore_ascii_case("localhost") => LOOPBACK.to_vec(),
        BindAddress::Unsaid | BindAddress::All => ALL.to_vec(),
        BindAddress::Given(name) => {
            // This machine's own addresses: its own resolver knows them.
            tokio::net::lookup_host((name.as_str(), port)).await?.map(|address| address.ip()).collect()
        }
    };
    let (mut listeners, mut chosen, mut trouble) = (Vec::new(), port, None);
    for address in addresses {
        match bind_address(SocketAddr::new(address, chosen)) {
            Ok(listener) => {
                // The other addresses of a port that was left to the system get the same.
                chosen = listener.local_addr()?.port();
                listeners.push(Listener::Tcp(listener));
            }
            // A port of another program's must not answer at the one address and not at the other.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && port != 0 => return Err(error),
            // A machine may have no IPv6 at all.
            Err(error) => trouble = Some(error),
        }
    }
    match trouble {
        Some(error) if listeners.is_empty() => Err(error),
        _ if listeners.is_empty() => Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "no such address")),
        _ => Ok((listeners, Some(chosen))),
    }
}

fn bind_address(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // As every server does: a forward that ended a moment ago must not keep its port. On Windows the
    // option means something else.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Nobody else may use it (ssh_config(5), `StreamLocalBindMask 0177`): it is made in a folder that is closed to
/// others, and moved when its mode is right. What is there already stays there.
#[cfg(unix)]
fn bind_socket(path: &std::path::Path) -> io::Result<Listener> {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    if fs::symlink_metadata(path).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let folder = path.parent().ok_or(io::ErrorKind::NotFound)?;
    let closed = tempfile::Builder::new().prefix(".vmssh").tempdir_in(folder)?;
    let made = closed.path().join("s");
    let listener = tokio::net::UnixListener::bind(&made)?;
    fs::set_permissions(&made, fs::Permissions::from_mode(0o600))?;
    fs::rename(&made, path)?;
    Ok(Listener::Unix { listener, _file: SocketFile { path: path.into() } })
}
