//! A command on an instance: its streams, its end, and its being stopped.

use std::sync::Arc;

use bytes::Bytes;
use russh::{ChannelReadHalf, ChannelWriteHalf, client::Msg};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::mpsc,
};

use super::{
    channel::{Output, Running, read_to_end},
    session::Session,
};
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
    reader: ChannelReadHalf,
    writer: Arc<ChannelWriteHalf<Msg>>,
    running: Running,
}

impl std::fmt::Debug for RemoteCommand<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RemoteCommand")
    }
}

impl Session {
    /// Starts a command.
    ///
    /// # Errors
    /// When there is no session to be had for it, or the connection is lost.
    pub async fn start(&self, command: &str) -> Result<RemoteCommand<'_>, Failure> {
        self.start_with(command, &[]).await
    }

    /// Starts a command with an environment. Servers take what they please of it (sshd: `AcceptEnv`) and don't say.
    ///
    /// # Errors
    /// When there is no session to be had for it, or the connection is lost.
    pub async fn start_with(
        &self,
        command: &str,
        environment: &[(String, String)],
    ) -> Result<RemoteCommand<'_>, Failure> {
        let (reader, writer) = self.open_channel().await?.split();
        let writer = Arc::new(writer);
        let running = Running::new(writer.clone(), self.goodbyes());
        for (name, value) in environment {
            writer.set_env(false, name, value).await.map_err(|_| self.lost(Stage::Channel))?;
        }
        writer.exec(true, command).await.map_err(|_| self.lost(Stage::Channel))?;
        Ok(RemoteCommand { session: self, reader, writer, running })
    }

    /// Starts a command and sees it to its end: [`start`](Self::start) and
    /// [`RemoteCommand::finish`] without a time limit of its own between them.
    ///
    /// # Errors
    /// Those of both.
    pub async fn exec(
        &self,
        command: &str,
        stdin: Stdin,
        output: mpsc::Sender<(Stream, Bytes)>,
    ) -> Result<Exit, Failure> {
        self.start(command).await?.finish(stdin, output).await
    }
}

impl RemoteCommand<'_> {
    /// Sees the command to its end. What it prints is sent to `output` as it comes; a slow reader
    /// slows the command down, a closed one is no error.
    ///
    /// # Errors
    /// When the server did not start the command, or the connection is lost before its end is known.
    pub async fn finish(self, stdin: Stdin, output: mpsc::Sender<(Stream, Bytes)>) -> Result<Exit, Failure> {
        let Self { session, reader, writer, running } = self;
        let lost = |stage| session.lost(stage);
        let mut writing = std::pin::pin!(feed(stdin, &writer));
        let mut reading = std::pin::pin!(read_to_end(reader, Output::Tagged(output), lost));
        let mut fed = false;
        let exit = loop {
            // Both go on independently: neither a full window nor a full output may stop the other.
            tokio::select! {
                exit = &mut reading => break exit,
                result = &mut writing, if !fed => {
                    fed = true;
                    result?;
                }
            }
        };
        running.end(&exit);
        // Tagged output always goes on to the end.
        exit?.ok_or_else(|| session.lost(Stage::Command))
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
                    let failure = Failure::new(Stage::Command, format!("its input can't be read: {error}"));
                    return Err(failure.with_hint(
                        "the command was stopped in the middle of it: mend the input and run it again",
                    ));
                }
            }
        }
    }
    let _ = writer.eof().await;
    Ok(())
}
