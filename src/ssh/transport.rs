//! The connection below SSH: what the server said first, and a way to cut it.

use std::{
    future::Future as _,
    io,
    net::Shutdown,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use russh::{ChannelStream, client::Msg};
use socket2::{SockRef, Socket};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::greeting;
use crate::net::proxy_command::ProxyCommand;

/// The first bytes that a server sent. russh throws text away that is no identification line.
#[derive(Debug, Clone, Default)]
pub(super) struct FirstBytes(Arc<Mutex<Vec<u8>>>);

impl FirstBytes {
    pub(super) fn get(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, bytes: &[u8]) -> usize {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = greeting::KEPT.saturating_sub(first.len());
        first.extend(bytes.iter().take(room));
        first.len()
    }
}

/// What carries a connection.
pub(super) enum Wire {
    /// A connection of this machine's own.
    Tcp(TcpStream),
    /// A way through the session of another server.
    Tunnel(ChannelStream<Msg>),
    /// A program that the user's configuration names. It ends with its stream.
    Program(ProxyCommand),
}

/// Bytes from a server that are acknowledged at once: its part of the handshake and what it says around the first
/// channel are some thousand. sshd sends small messages with Nagle's algorithm, so that each waits for the
/// acknowledgement of the one before, which the system would delay by 40 ms.
const ACKNOWLEDGED: usize = 16 * 1024;

/// A stream that keeps the first bytes it reads, and has come to its end when it is cut.
pub(super) struct Listening {
    wire: Wire,
    first: FirstBytes,
    full: bool,
    /// Bytes that have come, up to [`ACKNOWLEDGED`].
    come: usize,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Listening {
    pub(super) fn new(wire: Wire, first: FirstBytes, cut: CancellationToken) -> Self {
        Self { wire, first, full: false, come: 0, cut: Box::pin(cut.cancelled_owned()) }
    }
}

/// A call of whichever stream it is.
macro_rules! on {
    ($wire:expr, $call:ident($($arg:expr),*)) => {
        match &mut $wire {
            Wire::Tcp(stream) => Pin::new(stream).$call($($arg),*),
            Wire::Tunnel(stream) => Pin::new(stream).$call($($arg),*),
            Wire::Program(stream) => Pin::new(stream).$call($($arg),*),
        }
    };
}

impl AsyncRead for Listening {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let result = ready!(on!(self.wire, poll_read(cx, buf)));
        if !self.full {
            let kept = self.first.keep(buf.filled().get(before..).unwrap_or_default());
            self.full = kept >= greeting::KEPT;
        }
        if self.come < ACKNOWLEDGED {
            self.come += buf.filled().len().saturating_sub(before);
            acknowledge(&self.wire);
        }
        Poll::Ready(result)
    }
}

/// Acknowledges what has come. Where that can't be done the connection works all the same.
fn acknowledge(wire: &Wire) {
    #[cfg(target_os = "linux")]
    if let Wire::Tcp(stream) = wire {
        // The system forgets it by itself.
        let _ = SockRef::from(stream).set_tcp_quickack(true);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = wire;
}

impl AsyncWrite for Listening {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        on!(self.wire, poll_write(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self.wire, poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self.wire, poll_shutdown(cx))
    }
}

/// Cuts the connection when dropped, whoever else still holds it: russh's task reads from its own
/// handle of the socket and would wait for a silent server for ever.
#[derive(Debug)]
pub(super) struct Cutter {
    /// Of a connection of our own; a tunnel ends as its stream is cut.
    socket: Option<Socket>,
    token: CancellationToken,
}

impl Cutter {
    pub(super) fn new(wire: &Wire) -> io::Result<Self> {
        let socket = match wire {
            Wire::Tcp(stream) => Some(SockRef::from(stream).try_clone()?),
            Wire::Tunnel(_) | Wire::Program(_) => None,
        };
        Ok(Self { socket, token: CancellationToken::new() })
    }

    /// Cancelled when the connection is cut.
    pub(super) fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.token.cancel();
        if let Some(socket) = &self.socket {
            // An error means that the connection is gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
