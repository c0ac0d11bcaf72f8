//! One forwarded connection: a channel joined to something on this side, each direction on its own, with
//! its own end.

use std::{future::Future, io, time::Duration};

use bytes::{Bytes, BytesMut};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client::Msg};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};

use super::room::{Room, Slot};
use crate::ssh::session::GOODBYE;

/// One read: what a channel's packet holds with most servers.
const PIECE: usize = 32 * 1024;

/// What is read from.
pub(super) trait Source: Send {
    /// The next bytes; none at the end.
    fn next(&mut self) -> impl Future<Output = io::Result<Bytes>> + Send;
}

/// What is written to.
pub(super) trait Sink: Send {
    /// Takes bytes.
    fn put(&mut self, bytes: Bytes) -> impl Future<Output = io::Result<()>> + Send;
    /// Takes the end.
    fn end(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}

/// Reads a stream; what it has read too much of before comes first.
pub(super) struct Reading<R> {
    stream: R,
    buffer: BytesMut,
}

impl<R> Reading<R> {
    pub(super) fn new(stream: R) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    pub(super) fn after(ahead: &[u8], stream: R) -> Self {
        Self { stream, buffer: ahead.into() }
    }
}

impl<R: AsyncRead + Send + Unpin> Source for Reading<R> {
    async fn next(&mut self) -> io::Result<Bytes> {
        if self.buffer.is_empty() {
            self.buffer.reserve(PIECE);
            self.stream.read_buf(&mut self.buffer).await?;
        }
        Ok(self.buffer.split().freeze())
    }
}

/// Writes a stream.
pub(super) struct Writing<W>(pub(super) W);

impl<W: AsyncWrite + Send + Unpin> Sink for Writing<W> {
    async fn put(&mut self, bytes: Bytes) -> io::Result<()> {
        self.0.write_all(&bytes).await
    }

    async fn end(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}

impl Source for mpsc::Receiver<Bytes> {
    async fn next(&mut self) -> io::Result<Bytes> {
        Ok(self.recv().await.unwrap_or_default())
    }
}

impl Sink for Option<mpsc::Sender<Bytes>> {
    async fn put(&mut self, bytes: Bytes) -> io::Result<()> {
        let Some(queue) = self else { return Err(io::ErrorKind::BrokenPipe.into()) };
        queue.send(bytes).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    async fn end(&mut self) -> io::Result<()> {
        *self = None;
        Ok(())
    }
}

/// Why a forwarded connection did not come to the end that its two sides gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The session was lost.
    Lost,
    /// Its reader here took nothing while too much came in.
    Slow,
}

/// A channel, and what was read from it already.
pub(super) struct Far {
    pub(super) from: ChannelReadHalf,
    pub(super) to: ChannelWriteHalf<Msg>,
    pub(super) ahead: Bytes,
}

impl From<Channel<Msg>> for Far {
    fn from(channel: Channel<Msg>) -> Self {
        let (from, to) = channel.split();
        Self { from, to, ahead: Bytes::new() }
    }
}

/// How reading a channel ended.
enum Received {
    Closed,
    Cut(Cut),
}

/// Carries bytes both ways until both directions have ended, or one side is gone.
pub(super) async fn join(
    far: Far,
    mut source: impl Source,
    mut sink: impl Sink,
    slot: &Slot,
) -> Result<(), Cut> {
    let Far { from, to, ahead } = far;
    // Bounded by the room that its pieces take.
    let (queue, queued) = mpsc::unbounded_channel();
    let end = {
        let mut receive = std::pin::pin!(receive(from, ahead, queue, slot));
        let mut deliver = std::pin::pin!(deliver(queued, &mut sink));
        let mut send = std::pin::pin!(send(&mut source, &to));
        let (mut closed, mut delivered, mut sent) = (false, false, false);
        loop {
            tokio::select! {
                received = &mut receive, if !closed => match received {
                    Received::Closed => closed = true,
                    Received::Cut(cut) => break Err(cut),
                },
                done = &mut deliver, if !delivered => {
                    delivered = true;
                    if done.is_err() {
                        break Ok(closed);
                    }
                }
                done = &mut send, if !sent && !closed => {
                    sent = true;
                    if done.is_err() {
                        break Ok(closed);
                    }
                }
            }
            if delivered && (sent || closed) {
                break Ok(closed);
            }
        }
    };
    if !matches!(end, Ok(true) | Err(Cut::Lost)) {
        let _ = timeout(GOODBYE, to.close()).await;
    }
    end.map(drop)
}

/// Takes what comes as it comes: the session stands still where it isn't taken.
async fn receive(
    mut from: ChannelReadHalf,
    ahead: Bytes,
    queue: mpsc::UnboundedSender<(Bytes, Option<Room>)>,
    slot: &Slot,
) -> Received {
    let mut queue = Some(queue);
    if let Some(queue) = queue.as_ref().filter(|_| !ahead.is_empty()) {
        let _ = queue.send((ahead, None));
    }
    loop {
        match from.wait().await {
            Some(ChannelMsg::Data { data }) => {
                let Some(queue) = &queue else { continue };
                let Some(room) = slot.room(data.len()).await else { return Received::Cut(Cut::Slow) };
                // Where nobody delivers any more, the end is near.
                let _ = queue.send((data, Some(room)));
            }
            Some(ChannelMsg::Eof) => queue = None,
            Some(ChannelMsg::Close) => return Received::Closed,
            None => return Received::Cut(Cut::Lost),
            Some(_) => {}
        }
    }
}

async fn deliver(
    mut queued: mpsc::UnboundedReceiver<(Bytes, Option<Room>)>,
    sink: &mut impl Sink,
) -> io::Result<()> {
    while let Some((bytes, room)) = queued.recv().await {
        sink.put(bytes).await?;
        drop(room);
    }
    sink.end().await
}

async fn send(source: &mut impl Source, to: &ChannelWriteHalf<Msg>) -> io::Result<()> {
    let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
    loop {
        let bytes = source.next().await?;
        if bytes.is_empty() {
            return to.eof().await.map_err(|_| gone());
        }
        // Waits for the window, so that one that is not read over there holds up no other.
        to.data_bytes(bytes).await.map_err(|_| gone())?;
    }
}

/// The end of a connection on this side.
pub(super) enum Near {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}

impl Near {
    /// A TCP connection, whose bytes go on as they come.
    pub(super) fn tcp(stream: TcpStream) -> Self {
        // What can't be set costs time only.
        let _ = stream.set_nodelay(true);
        Self::Tcp(stream)
    }

    /// Joins it to a channel; `ahead` was read from it already. Cut off, it is reset: half of something
    /// must not look like the whole.
    pub(super) async fn join(self, far: Far, ahead: &[u8], slot: &Slot) -> Result<(), Cut> {
        match self {
            Self::Tcp(mut stream) => {
                let (read, write) = stream.split();
                let end = join(far, Reading::after(ahead, read), Writing(write), slot).await;
                if end.is_err() {
                    reset(&stream);
                }
                end
            }
            #[cfg(unix)]
            Self::Unix(mut stream) => {
                let (read, write) = stream.split();
                join(far, Reading::after(ahead, read), Writing(write), slot).await
            }
        }
    }

    /// Closes it so that the other end sees that it has failed.
    pub(super) fn refuse(self) {
        if let Self::Tcp(stream) = self {
            reset(&stream);
        }
    }
}

fn reset(stream: &TcpStream) {
    // An error means that it is gone already.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
