//! A signed-in connection, and commands over it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use russh::{
    Channel, ChannelMsg, ChannelOpenFailure, ChannelReadHalf, ChannelWriteHalf, Disconnect, Sig,
    client::{Handle, Msg},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::mpsc,
    time::timeout,
};

use super::{
    client::Shared,
    greeting::quote,
    handler::{Ending, Watch},
    transport::Cutter,
};
use crate::{
    event::{Exit, Failure, Stage, Stream},
    net::connect::seconds,
};

/// Time for a polite end: a round trip to the other side of the world and a busy server.
const GOODBYE: Duration = Duration::from_secs(1);

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

/// A signed-in connection to one instance. Dropping it ends it, politely within a second where the
/// runtime still runs ([`Client::settle`](super::Client::settle) waits for that).
pub struct Session {
    shared: Arc<Shared>,
    ending: Ending,
    /// Gone only while the session is being dropped.
    link: Option<Link>,
}

struct Link {
    handle: Handle<Watch>,
    _cutter: Cutter,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, ending: Ending, handle: Handle<Watch>, cutter: Cutter) -> Self {
        Self { shared, ending, link: Some(Link { handle, _cutter: cutter }) }
    }

    pub(super) fn handle(&mut self) -> Result<&mut Handle<Watch>, Failure> {
        let lost = self.lost(Stage::Auth);
        self.link.as_mut().map(|link| &mut link.handle).ok_or(lost)
    }

    pub(super) fn handle_ref(&self) -> Option<&Handle<Watch>> {
        self.link.as_ref().map(|link| &link.handle)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.handle_ref().is_none_or(Handle::is_closed)
    }

    /// Why the connection ended, if it has.
    pub(super) fn ending(&self) -> Option<String> {
        self.ending.get()
    }

    /// Opens a channel for a command or a shell. The caller must read it until it ends: the
    /// connection stands still when it is full.
    pub(crate) async fn open_channel(&self) -> Result<Channel<Msg>, Failure> {
        let Some(link) = &self.link else { return Err(self.lost(Stage::Channel)) };
        let limit = self.shared.options.connect_timeout;
        match timeout(limit, link.handle.channel_open_session()).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => Err(refused(&reason)),
            Ok(Err(_)) => Err(self.lost(Stage::Channel)),
            Err(_) => Err(Failure::new(Stage::Channel, format!("no session within {}", seconds(limit)))
                .with_hint("the instance is overloaded or hangs: give it more time with --connect-timeout")),
        }
    }

    /// The failure for a connection that ended too early.
    pub(crate) fn lost(&self, stage: Stage) -> Failure {
        let reason = self.ending.get().unwrap_or_else(|| "no reason given".into());
        Failure::new(stage, format!("connection lost ({reason})")).with_hint(
            "the instance may have restarted or been scaled in: look with `vmssh map` and try again",
        )
    }

    /// Runs a command. What it prints is sent to `output` as it comes; a slow reader slows the
    /// command down, a closed one is no error. When this future is dropped the command is sent
    /// SIGTERM and its channel is closed.
    ///
    /// # Errors
    /// When the command can't be started, or the connection is lost before its end is known.
    pub async fn exec(
        &self,
        command: &str,
        stdin: Stdin,
        output: mpsc::Sender<(Stream, Bytes)>,
    ) -> Result<Exit, Failure> {
        let (reader, writer) = self.open_channel().await?.split();
        let mut running = Running { shared: self.shared.clone(), writer: Some(Arc::new(writer)) };
        let Some(writer) = running.writer.clone() else { return Err(self.lost(Stage::Channel)) };
        writer.exec(true, command).await.map_err(|_| self.lost(Stage::Channel))?;

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
            running.writer = None;
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
            End::Lost => Err(self.lost(Stage::Command)),
        }
    }

    /// Ends the connection politely, within a second.
    pub async fn close(mut self) {
        if let Some(link) = self.link.take() {
            goodbye(link).await;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(link) = self.link.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // Cut off at once, a command that was cancelled would never be told.
            self.shared.goodbyes.spawn_on(goodbye(link), &runtime);
        }
    }
}

async fn goodbye(mut link: Link) {
    let _ = timeout(GOODBYE, async {
        if link.handle.disconnect(Disconnect::ByApplication, "", "").await.is_ok() {
            // Ends when russh's task has written what was queued and closed the stream.
            let _ = (&mut link.handle).await;
        }
    })
    .await;
}

/// A command that runs. Dropped before its end, it is stopped.
struct Running {
    shared: Arc<Shared>,
    writer: Option<Arc<ChannelWriteHalf<Msg>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(writer) = self.writer.take() else { return };
        let mut stop = Box::pin(async move {
            let _ = writer.signal(Sig::TERM).await;
            let _ = writer.close().await;
        });
        // There is nearly always room in the queue; then the messages are ahead of a disconnect.
        if stop.as_mut().now_or_never().is_none()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            self.shared.goodbyes.spawn_on(timeout(GOODBYE, stop), &runtime);
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

fn refused(reason: &ChannelOpenFailure) -> Failure {
    let why = match reason {
        ChannelOpenFailure::AdministrativelyProhibited => "administratively prohibited".into(),
        ChannelOpenFailure::ConnectFailed => "connect failed".into(),
        ChannelOpenFailure::ResourceShortage => "resource shortage".into(),
        ChannelOpenFailure::UnknownChannelType => "unknown channel type".into(),
        ChannelOpenFailure::Other { reason, .. } => quote(reason),
    };
    Failure::new(Stage::Channel, format!("the server opens no session ({why})"))
        .with_hint("signed in, but not allowed to run anything: check MaxSessions in sshd_config and the instance's memory")
}
