//! The standard streams of a session, each with a thread of its own.
//!
//! Reading a terminal can't be given up once begun, and writing to one that stands still takes as
//! long as it stands. A thread does both, behind a bounded channel; the program can go on and end
//! without it.

use std::{
    io::{self, Read, Write},
    thread,
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

/// The size of one read: what an SSH packet takes.
const CHUNK: usize = 32 * 1024;
/// Chunks read ahead of the session.
const READ_AHEAD: usize = 4;
/// Chunks that wait to be written: with packets of 32 KiB, a megabyte. More would only be printed
/// on after the user has interrupted what prints it.
const WRITE_BEHIND: usize = 32;
/// How long to leave a stream alone that some other program has made non-blocking.
const PAUSE: Duration = Duration::from_millis(10);

/// Begins to read standard input. The channel closes at its end.
///
/// From here on, what is typed goes there and nowhere else: ask for passwords before.
///
/// # Errors
/// When there is no thread to be had.
pub fn stdin() -> io::Result<mpsc::Receiver<Bytes>> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    thread::Builder::new().name("stdin".into()).spawn(move || read(io::stdin().lock(), &sender))?;
    Ok(receiver)
}

/// Begins to write standard output.
///
/// # Errors
/// When there is no thread to be had.
pub fn stdout() -> io::Result<Writer> {
    Writer::new("stdout", io::stdout())
}

/// Begins to write standard error.
///
/// # Errors
/// When there is no thread to be had.
pub fn stderr() -> io::Result<Writer> {
    Writer::new("stderr", io::stderr())
}

/// A stream that is written by a thread of its own.
#[derive(Debug)]
pub struct Writer {
    sender: mpsc::Sender<Bytes>,
    end: oneshot::Receiver<io::Result<()>>,
}

impl Writer {
    pub(super) fn new(name: &str, stream: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(WRITE_BEHIND);
        let (ended, end) = oneshot::channel();
        thread::Builder::new().name(name.into()).spawn(move || {
            // Where nobody waits for the end any more, nobody wants to hear of it.
            let _ = ended.send(write(stream, receiver));
        })?;
        Ok(Self { sender, end })
    }

    /// Where to send what is to be written. Closed as soon as the stream takes nothing more.
    #[must_use]
    pub fn sender(&self) -> mpsc::Sender<Bytes> {
        self.sender.clone()
    }

    /// True where nothing that was sent waits to be written, but perhaps what is being written right now.
    pub(super) fn is_idle(&self) -> bool {
        self.sender.capacity() == self.sender.max_capacity()
    }

    /// Waits until all is written that was sent, and every sender dropped. That takes as long as who
    /// reads it takes; dropping the future gives it up.
    ///
    /// # Errors
    /// The error at which writing ended; [`io::ErrorKind::BrokenPipe`] when the reader has had enough.
    pub async fn finish(self) -> io::Result<()> {
        drop(self.sender);
        // The thread always answers; if it panicked, the panic has been reported.
        self.end.await.unwrap_or(Ok(()))
    }
}

fn read(mut stream: impl Read, chunks: &mpsc::Sender<Bytes>) {
    let mut buffer = vec![0; CHUNK];
    loop {
        match stream.read(&mut buffer) {
            Ok(count) => match buffer.get(..count) {
                Some(bytes) if count > 0 => {
                    if chunks.blocking_send(Bytes::copy_from_slice(bytes)).is_err() {
                        return;
                    }
                }
                _ => return,
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            // A terminal that has gone away, or has been taken from us, is an end.
            Err(_) => return,
        }
    }
}

fn write(mut stream: impl Write, mut chunks: mpsc::Receiver<Bytes>) -> io::Result<()> {
    while let Some(bytes) = chunks.blocking_recv() {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let count = retry(|| stream.write(rest))?;
            rest = rest.get(count..).unwrap_or_default();
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        retry(|| stream.flush())?;
    }
    Ok(())
}

fn retry<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a byte at a time, and says "not now" and "again" in between.
    struct Moody {
        written: std::sync::mpsc::Sender<u8>,
        turn: u32,
    }

    impl Write for Moody {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.turn += 1;
            match (self.turn % 3, bytes.first()) {
                (0, _) => Err(io::ErrorKind::WouldBlock.into()),
                (1, _) => Err(io::ErrorKind::Interrupted.into()),
                (_, Some(byte)) => {
                    self.written.send(*byte).map_err(|_| io::ErrorKind::BrokenPipe)?;
                    Ok(1)
                }
                (_, None) => Ok(0),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn every_byte_is_written_before_the_end_is_told() {
        let (written, seen) = std::sync::mpsc::channel();
        let writer = Writer::new("moody", Moody { written, turn: 0 }).unwrap();
        let sender = writer.sender();
        sender.send(Bytes::from_static(b"one ")).await.unwrap();
        sender.send(Bytes::from_static(b"two")).await.unwrap();
        drop(sender);
        writer.finish().await.unwrap();
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), b"one two");
    }

    #[tokio::test]
    async fn a_closed_pipe_closes_the_channel() {
        let (written, seen) = std::sync::mpsc::channel();
        drop(seen);
        let writer = Writer::new("moody", Moody { written, turn: 0 }).unwrap();
        let sender = writer.sender();
        sender.send(Bytes::from_static(b"lost")).await.unwrap();
        sender.closed().await;
        assert_eq!(writer.finish().await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn what_is_read_arrives_in_order_and_then_the_end() {
        let data: Vec<u8> = (0..CHUNK * 3 + 7).map(|i| (i % 251) as u8).collect();
        let (sender, mut receiver) = mpsc::channel(1);
        let source = data.clone();
        let reader = thread::spawn(move || read(&source[..], &sender));
        let mut seen = Vec::new();
        while let Some(bytes) = receiver.recv().await {
            seen.extend_from_slice(&bytes);
        }
        reader.join().unwrap();
        assert!(seen == data);
    }
}
