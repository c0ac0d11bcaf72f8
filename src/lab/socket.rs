//! The server's side of a connection, with what russh's server leaves out: a way to cut it from
//! outside, and a bound on the input that waits for commands.
//!
//! russh opens the client's window again as soon as input arrives, read or not. So what holds a
//! client back here is the connection itself: while too much input waits, nothing is read from it.

use std::{
    io,
    net::Shutdown,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures_util::{FutureExt as _, task::AtomicWaker};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

/// Input of a connection that may wait for its commands, in bytes: enough to keep a pipe of 64 kB
/// busy, little beside what a session costs anyway.
const WAITING_LIMIT: usize = 1 << 20;

/// Input that may wait while the client takes no output, in bytes. See [`Gate::is_closed`].
const WAITING_CAP: usize = 64 << 20;

/// Says whether a connection is read.
#[derive(Default)]
pub(super) struct Gate {
    waiting: AtomicUsize,
    starving: AtomicUsize,
    left_open: AtomicBool,
    reader: AtomicWaker,
}

impl Gate {
    /// True while too much input waits. An output that waits for the client's window keeps the gate
    /// open: the message that opens the window may be behind the input (`cat` with a big input).
    fn is_closed(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > WAITING_LIMIT
            && self.starving.load(Ordering::SeqCst) == 0
            && !self.left_open.load(Ordering::SeqCst)
    }

    /// Counts input that came; false when it is more than can be kept.
    #[must_use]
    pub(super) fn came(&self, bytes: usize) -> bool {
        self.waiting.fetch_add(bytes, Ordering::SeqCst) + bytes <= WAITING_CAP
    }

    /// Counts input that was passed on or thrown away.
    pub(super) fn went(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Ordering::SeqCst);
        self.reader.wake();
    }

    /// An output waits for the client's window until the guard is dropped.
    pub(super) fn starve(&self) -> Starving<'_> {
        self.starving.fetch_add(1, Ordering::SeqCst);
        self.reader.wake();
        Starving(self)
    }
}

/// See [`Gate::starve`].
pub(super) struct Starving<'a>(&'a Gate);

impl Drop for Starving<'_> {
    fn drop(&mut self) {
        self.0.starving.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A connection that is read only while its gate is open. Clones are the same connection.
#[derive(Clone)]
pub(super) struct Connection {
    tcp: Arc<TcpStream>,
    gate: Arc<Gate>,
}

impl Connection {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp: Arc::new(tcp), gate: Arc::default() }
    }

    pub(super) fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// Ends both directions at once, whoever else holds the connection.
    pub(super) fn cut(&self) {
        // The only error is that the connection has ended already.
        let _ = SockRef::from(&*self.tcp).shutdown(Shutdown::Both);
    }

    /// A client that left is noticed by reading, which a closed gate prevents: opens it for good.
    pub(super) fn open_if_client_left(&self) {
        let ready = self.tcp.ready(Interest::READABLE).now_or_never();
        if self.gate.is_closed() && ready.is_some_and(|r| r.is_ok_and(|r| r.is_read_closed())) {
            self.gate.left_open.store(true, Ordering::SeqCst);
            self.gate.reader.wake();
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.gate.reader.register(cx.waker());
        if self.gate.is_closed() {
            return Poll::Pending;
        }
        loop {
            ready!(self.tcp.poll_read_ready(cx))?;
            match self.tcp.try_read(buf.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(read) => {
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.tcp.poll_write_ready(cx))?;
            match self.tcp.try_write(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.tcp).shutdown(Shutdown::Write))
    }
}
