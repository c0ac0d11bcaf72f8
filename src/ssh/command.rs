//! A command on an instance: its streams, its end, and its being stopped.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig, client::Msg};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::mpsc,
};

use super::{greeting::quote, session::Session};
use crate::event::{Exit, Failure, Stage, Stream};

/// A piece of input: what a channel's packet holds with most servers.
const INPUT_PIECE: usize = 32 * 1024;

/// What a command reads.
pub enum Stdin {
    /// Nothing: the end at once.
    None,
    /// What this gives, to its end.
    Reader(Box<dyn AsyncRead + Send + Unpin>),
}

impl std::fmt::Debug for Stdin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Reader(_) => "Reader",
        })
    }
}

/// A command that was started. Dropped before its end, it is sent SIGTERM and its channel is closed.
pub struct RemoteCommand<'a> {
    session: &'a Session,
    reader: Option<ChannelReadHalf>,
    /// Gone once there is nothing left to be stopped.
    writer: Option<Arc<ChannelWriteHalf<Msg>>>,
}

impl std::fmt::Debug for RemoteCommand<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RemoteCommand")
    }
}

impl<'a> RemoteCommand<'a> {
    pub(super) fn new(session: &'a Session, reader: ChannelReadHalf, writer: ChannelWriteHalf<Msg>) -> Self {
        Self { session, reader: Some(reader), writer: Some(Arc::new(writer)) }
    }

    pub(super) async fn request(&self, command: &str) -> Result<(), Failure> {
        let lost = || self.session.lost(Stage::Channel);
        self.writer.as_ref().ok_or_else(lost)?.exec(true, command).await.map_err(|_| lost())
    }

    /// Sees the command to its end. What it prints is sent to `output` as it comes; a slow reader
    /// slows the command down, a closed one is no error.
    ///
    /// # Errors
    /// When the server did not start the command, or the connection is lost before its end is known.
    pub async fn finish(
        mut self,
        stdin: Stdin,
        output: mpsc::Sender<(Stream, Bytes)>,
    ) -> Result<Exit, Failure> {
        let (Some(reader), Some(writer)) = (self.reader.take(), self.writer.clone()) else {
            return Err(self.session.lost(Stage::Channel));
        };
        let mut writing = std::pin::pin!(feed(stdin, &writer));
        let mut reading = std::pin::pin!(drain(reader, output));
        let mut fed = false;
        let end = loop {
            // Both go on independently: neither a full window nor a full output may stop the other.
            tokio::select! {
                end = &mut reading => break end,
                result = &mut writing, if !fed => {
                    fed = true;
                    result?;
                }
            }
        };
        if !matches!(end, End::Refused) {
            self.writer = None;
        }
        match end {
            End::Exited(exit) => Ok(exit),
            End::Refused => {
                Err(Failure::new(Stage::Channel, "the server does not run commands for this user")
                    .with_hint("check ForceCommand, the user's shell and `command=` in authorized_keys"))
            }
            End::NoStatus => Err(Failure::new(Stage::Command, "ended without an exit status").with_hint(
                "the command or its shell was killed on the instance: see its log (`journalctl -e`)",
            )),
            End::Lost => Err(self.session.lost(Stage::Command)),
        }
    }
}

impl Drop for RemoteCommand<'_> {
    fn drop(&mut self) {
        let Some(writer) = self.writer.take() else { return };
        let mut stop = Box::pin(async move {
            let _ = writer.signal(Sig::TERM).await;
            let _ = writer.close().await;
        });
        // There is nearly always room in the queue; then the messages are ahead of a disconnect.
        if stop.as_mut().now_or_never().is_none() {
            self.session.say_goodbye(stop);
        }
    }
}

/// Sends the input and its end. Ends early without an error when the command wants no more.
async fn feed(stdin: Stdin, writer: &ChannelWriteHalf<Msg>) -> Result<(), Failure> {
    if let Stdin::Reader(mut reader) = stdin {
        let mut piece = bytes::BytesMut::with_capacity(INPUT_PIECE);
        loop {
            piece.reserve(INPUT_PIECE);
            match reader.read_buf(&mut piece).await {
                Ok(0) => break,
                Ok(_) => {
                    if writer.data_bytes(piece.split().freeze()).await.is_err() {
                        return Ok(());
                    }
                }
                // Half an input must not look like a whole one.
                Err(error) => {
                    return Err(Failure::new(Stage::Command, format!("its input can't be read: {error}")));
                }
            }
        }
    }
    let _ = writer.eof().await;
    Ok(())
}

/// How a command's channel ended.
enum End {
    Exited(Exit),
    Refused,
    NoStatus,
    Lost,
}

/// Reads a command's channel to its end. The exit status may come before the last output.
async fn drain(mut reader: ChannelReadHalf, output: mpsc::Sender<(Stream, Bytes)>) -> End {
    let (mut exit, mut refused, mut closed) = (None, false, false);
    while let Some(message) = reader.wait().await {
        let (stream, data) = match message {
            ChannelMsg::Data { data } => (Stream::Stdout, data),
            // 1 is SSH_EXTENDED_DATA_STDERR, the only one there is (RFC 4254 section 5.2).
            ChannelMsg::ExtendedData { data, ext: 1 } => (Stream::Stderr, data),
            ChannelMsg::ExitStatus { exit_status } => {
                exit = Some(Exit::Status(exit_status));
                continue;
            }
            ChannelMsg::ExitSignal { signal_name, .. } => {
                exit = Some(Exit::Signal(signal(signal_name)));
                continue;
            }
            ChannelMsg::Failure => {
                refused = true;
                break;
            }
            ChannelMsg::Close => {
                closed = true;
                continue;
            }
            _ => continue,
        };
        // Where nobody wants the output any more, the command still gets to its end.
        let _ = output.send((stream, data)).await;
    }
    match exit {
        _ if refused => End::Refused,
        Some(exit) => End::Exited(exit),
        None if closed => End::NoStatus,
        None => End::Lost,
    }
}

/// A signal's name, which a server may make up.
pub(super) fn signal(signal: Sig) -> String {
    match signal {
        Sig::Custom(name) => quote(&name),
        other => format!("{other:?}"),
    }
}
