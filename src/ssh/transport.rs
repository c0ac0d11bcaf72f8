//! The connection below SSH: what the server said first, and a way to cut it.

use std::{
    io,
    net::Shutdown,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use socket2::{SockRef, Socket};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use super::greeting;

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

/// A TCP stream that keeps the first bytes it reads.
#[derive(Debug)]
pub(super) struct Listening {
    stream: TcpStream,
    first: FirstBytes,
    full: bool,
}

impl Listening {
    pub(super) fn new(stream: TcpStream, first: FirstBytes) -> Self {
        Self { stream, first, full: false }
    }
}

impl AsyncRead for Listening {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        if !self.full {
            let kept = self.first.keep(buf.filled().get(before..).unwrap_or_default());
            self.full = kept >= greeting::KEPT;
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for Listening {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Cuts the connection when dropped, whoever else still holds it: russh's task reads from its own
/// handle of the socket and would wait for a silent server for ever.
#[derive(Debug)]
pub(super) struct Cutter {
    socket: Socket,
    token: CancellationToken,
}

impl Cutter {
    pub(super) fn new(stream: &TcpStream) -> io::Result<Self> {
        Ok(Self { socket: SockRef::from(stream).try_clone()?, token: CancellationToken::new() })
    }

    /// Cancelled when the connection is cut.
    pub(super) fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.token.cancel();
        // An error means that the connection is gone already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}
