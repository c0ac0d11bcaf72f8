//! A session's channel: reading it to its end, and stopping what runs on it when nobody waits for
//! that end any more. The same for a command and for a shell.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig, client::Msg};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::task::TaskTracker;

use super::{greeting::quote, session::GOODBYE};
use crate::{
    event::{Exit, Failure, Stage, Stream},
    net::connect::seconds,
};

/// How long the server may take to grant a terminal, a shell or a command. It runs its login
/// procedures first, which may have to wait for a home directory on the network.
pub(super) const REPLY_LIMIT: Duration = Duration::from_secs(60);

/// The stream of standard error, the only one of its kind (RFC 4254 section 5.2).
pub(super) const STDERR: u32 = 1;

/// Where output goes as it comes. A slow reader slows down what prints it.
pub(super) enum Output {
    /// One queue. Where nobody reads it any more, the command still gets to its end.
    Tagged(mpsc::Sender<(Stream, Bytes)>),
    /// A queue each. Without the first there is no reason to go on.
    Apart { stdout: mpsc::Sender<Bytes>, stderr: mpsc::Sender<Bytes> },
}

impl Output {
    /// False where nobody wants any more.
    async fn send(&self, stream: Stream, data: Bytes) -> bool {
        match (self, stream) {
            (Self::Tagged(queue), _) => {
                let _ = queue.send((stream, data)).await;
                true
            }
            (Self::Apart { stdout, .. }, Stream::Stdout) => stdout.send(data).await.is_ok(),
            (Self::Apart { stderr, .. }, Stream::Stderr) => {
                // Whoever closes standard error alone wants the rest.
                let _ = stderr.send(data).await;
                true
            }
        }
    }
}

/// Reads a channel on which something was asked for until it is closed: output may come after the
/// exit status. `lost` tells why the connection ended, when it did. `None`: nobody takes the output.
pub(super) async fn read_to_end(
    mut reader: ChannelReadHalf,
    output: Output,
    lost: impl Fn(Stage) -> Failure,
) -> Result<Option<Exit>, Failure> {
    let (mut exit, mut complete, mut closed) = (None, false, false);
    let Ok(mut next) = timeout(REPLY_LIMIT, first(&mut reader)).await else {
        return Err(no_reply("a shell or a command"));
    };
    while let Some(message) = next {
        let printed = match message {
            ChannelMsg::Data { data } => Some((Stream::Stdout, data)),
            ChannelMsg::ExtendedData { data, ext: STDERR } => Some((Stream::Stderr, data)),
            ChannelMsg::Failure => return Err(not_run()),
            other => {
                match other {
                    ChannelMsg::ExitStatus { exit_status } => exit = Some(Exit::Status(exit_status)),
                    ChannelMsg::ExitSignal { signal_name, .. } => {
                        exit = Some(Exit::Signal(signal(signal_name)));
                    }
                    ChannelMsg::Eof => complete = true,
                    ChannelMsg::Close => closed = true,
                    _ => {}
                }
                None
            }
        };
        if let Some((stream, data)) = printed
            && !output.send(stream, data).await
        {
            return Ok(None);
        }
        next = reader.wait().await;
    }
    match exit {
        Some(exit) if complete || closed => Ok(Some(exit)),
        // A status alone does not say that all of the output is there.
        _ if !closed => Err(lost(Stage::Command)),
        _ => Err(no_status()),
    }
}

/// The first message that says something. Room for input is none: a server may give it before it
/// has decided.
async fn first(reader: &mut ChannelReadHalf) -> Option<ChannelMsg> {
    loop {
        match reader.wait().await {
            Some(ChannelMsg::WindowAdjusted { .. }) => {}
            other => return other,
        }
    }
}

/// What runs on a channel, to be stopped: dropped before its [`end`](Self::end), it is sent SIGTERM
/// and its channel is closed.
pub(super) struct Running {
    /// Gone once there is nothing left to be stopped.
    writer: Option<Arc<ChannelWriteHalf<Msg>>>,
    goodbyes: TaskTracker,
}

impl Running {
    /// `goodbyes` takes what can't be said at once.
    pub(super) fn new(writer: Arc<ChannelWriteHalf<Msg>>, goodbyes: TaskTracker) -> Self {
        Self { writer: Some(writer), goodbyes }
    }

    /// Takes in how it ended. A channel that is closed must be left alone, as its number means
    /// nothing to the server any more; one on which nothing was granted is still open.
    pub(super) fn end<T>(mut self, end: &Result<T, Failure>) {
        if !end.as_ref().is_err_and(|failure| failure.stage == Stage::Channel) {
            self.writer = None;
        }
    }
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
            self.goodbyes.spawn_on(timeout(GOODBYE, stop), &runtime);
        }
    }
}

/// A signal's name, which a server may make up.
fn signal(signal: Sig) -> String {
    match signal {
        Sig::Custom(name) => quote(&name),
        other => format!("{other:?}"),
    }
}

pub(super) fn no_reply(to: &str) -> Failure {
    let limit = seconds(REPLY_LIMIT);
    Failure::new(Stage::Channel, format!("no reply to the request for {to} within {limit}")).with_hint(
        "signed in, but the login procedures hang there, perhaps for a home directory or a directory server on the \
         network: see the instance's log (`journalctl -e`)",
    )
}

fn not_run() -> Failure {
    Failure::new(Stage::Channel, "the server does not run that for this user")
        .with_hint("check ForceCommand, the user's shell and `command=` in authorized_keys")
}

fn no_status() -> Failure {
    Failure::new(Stage::Command, "ended without an exit status")
        .with_hint("the command or its shell was killed on the instance: see its log (`journalctl -e`)")
}
