//! One session for a person or a pipe: a shell or a command on an instance, joined to streams.
//!
//! Input, output, window changes and what is sent to the channel are four futures that know nothing
//! of each other, so that none of them can hold another up: output that nobody takes does not stop
//! `~.`, and input that the instance doesn't read does not stop output.
//!
//! A terminal that stands still fills the queue behind it, then the connection's own; the connection
//! then reads no more, and TCP holds the instance back. Its kernel keeps asking for room, which
//! keeps the flow alive in the load balancer, and nothing is lost.

use std::{fmt, future::pending, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use russh::{Channel, ChannelMsg, ChannelWriteHalf, client::Msg};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::task::TaskTracker;

use super::{
    channel::{Output, REPLY_LIMIT, Running, no_reply, read_to_end},
    escape::{Escape, Step},
    pty::Modes,
    session::Session,
};
use crate::event::{Exit, Failure, Stage, TerminalSize};

#[cfg(test)]
mod tests;

/// How long the last word to the server may take, where it may never be read.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// Pieces of input that wait for the instance to read them. A person's are keystrokes: as long as
/// there is room, escapes are still seen among them.
const TYPED_AHEAD: usize = 1024;
/// The same for a pipe, whose pieces are large.
const PIPED_AHEAD: usize = 4;

/// What is asked of the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellRequest {
    /// The pseudo-terminal; `None` for plain streams, byte for byte.
    pub pty: Option<PtyRequest>,
    /// Environment to set. Servers take what they please of it (sshd: `AcceptEnv`) and don't say.
    pub env: Vec<(String, String)>,
    /// What to start.
    pub start: Start,
    /// The character that begins escapes; `None` for no escapes.
    pub escape: Option<u8>,
}

/// What is started on the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The login shell.
    Shell,
    /// Shell text.
    Command(String),
    /// A service of the server's, by its name (RFC 4254 section 6.5).
    Subsystem(String),
}

/// A pseudo-terminal like the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PtyRequest {
    /// Its type, as in `TERM`.
    pub term: String,
    /// Its size.
    pub size: TerminalSize,
    /// Its modes.
    pub modes: Modes,
}

/// The streams that a session is joined to.
pub struct ShellIo {
    /// What is typed or piped in; closed at its end.
    pub input: mpsc::Receiver<Bytes>,
    /// Where the instance's output goes, as it comes.
    pub stdout: mpsc::Sender<Bytes>,
    /// Where its standard error goes, and what escapes have to say.
    pub stderr: mpsc::Sender<Bytes>,
    /// The sizes that the terminal takes on.
    pub resizes: BoxStream<'static, TerminalSize>,
    /// Stops the process and returns when it is continued, with the size that the terminal then has.
    pub suspend: Option<Suspend>,
    /// What else there is for `~#` to show, a line each.
    pub list: Option<List>,
}

/// See [`ShellIo::list`].
pub type List = Box<dyn Fn() -> Vec<String> + Send>;

/// See [`ShellIo::suspend`].
pub type Suspend = Box<dyn FnMut() -> Option<TerminalSize> + Send>;

impl fmt::Debug for ShellIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShellIo").finish_non_exhaustive()
    }
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShellEnd {
    /// The shell or command ended.
    Exit(Exit),
    /// The user had enough: `~.`.
    Disconnected,
    /// Nobody takes the output any more. The command may still run.
    OutputClosed,
}

/// Runs the request on the instance until it ends, `~.` is typed or nobody takes the output. Dropped
/// before that, it leaves nothing behind here, and what runs there is sent SIGTERM.
///
/// # Errors
/// When the server refuses what is asked, or the connection is lost before the end is known.
pub async fn run(session: &Session, request: ShellRequest, io: ShellIo) -> Result<ShellEnd, Failure> {
    let mut channel = session.open_channel().await?;
    session.request_agent(&mut channel).await?;
    drive(channel, request, io, session.goodbyes(), |stage| session.lost(stage)).await
}

/// Runs the request on an open session channel. `lost` tells why the connection ended, when it did.
async fn drive(
    mut channel: Channel<Msg>,
    request: ShellRequest,
    io: ShellIo,
    goodbyes: TaskTracker,
    lost: impl Fn(Stage) -> Failure,
) -> Result<ShellEnd, Failure> {
    if let Some(pty) = &request.pty {
        request_pty(&mut channel, pty, &lost).await?;
    }
    start(&channel, &request).await.map_err(|_| lost(Stage::Channel))?;
    let (reader, writer) = channel.split();
    let writer = Arc::new(writer);
    let running = Running::new(writer.clone(), goodbyes);
    let ahead = if request.escape.is_some() { TYPED_AHEAD } else { PIPED_AHEAD };
    let (queue, queued) = mpsc::channel(ahead);
    let keyboard = Keyboard {
        escape: request.escape.map(Escape::new),
        title: title(&request),
        queue,
        notes: io.stderr.clone(),
        suspend: io.suspend,
        list: io.list,
    };
    let output = Output::Apart { stdout: io.stdout, stderr: io.stderr };
    let end = tokio::select! {
        exit = read_to_end(reader, output, lost) => exit.map(|exit| exit.map_or(ShellEnd::OutputClosed, ShellEnd::Exit)),
        end = keyboard.read(io.input, &writer) => Ok(end),
        never = send(queued, &writer) => match never {},
        never = resize(io.resizes, &writer) => match never {},
    };
    if matches!(end, Ok(ShellEnd::Disconnected | ShellEnd::OutputClosed)) {
        // The session may be used for something else, and the instance should know.
        let _ = timeout(CLOSE_LIMIT, writer.close()).await;
    }
    running.end(&end);
    end
}

impl Session {
    /// Lets the instance use the agent, where the user wants that. A server that doesn't is no reason to go
    /// without the rest.
    async fn request_agent(&self, channel: &mut Channel<Msg>) -> Result<(), Failure> {
        if !self.forwards_agent() {
            return Ok(());
        }
        let lost = |_| self.lost(Stage::Channel);
        channel.agent_forward(true).await.map_err(lost)?;
        let answer = async {
            loop {
                match channel.wait().await {
                    Some(ChannelMsg::Success) => return Ok(()),
                    Some(ChannelMsg::Failure) => {
                        self.note(
                            "the server does not take the agent along (AllowAgentForwarding in its sshd_config)",
                        );
                        return Ok(());
                    }
                    Some(ChannelMsg::Close) | None => return Err(self.lost(Stage::Channel)),
                    Some(_) => {}
                }
            }
        };
        timeout(REPLY_LIMIT, answer).await.unwrap_or_else(|_| Err(no_reply("the agent")))
    }
}

/// Asks for the terminal and waits for the answer: a program that expects one must not be started without.
async fn request_pty(
    channel: &mut Channel<Msg>,
    pty: &PtyRequest,
    lost: impl Fn(Stage) -> Failure,
) -> Result<(), Failure> {
    let TerminalSize { columns, rows, width_px, height_px } = pty.size;
    channel
        .request_pty(true, &pty.term, columns, rows, width_px, height_px, pty.modes.as_slice())
        .await
        .map_err(|_| lost(Stage::Channel))?;
    let answer = async {
        loop {
            match channel.wait().await {
                Some(ChannelMsg::Success) => return Ok(()),
                Some(ChannelMsg::Failure) => return Err(no_terminal()),
                Some(ChannelMsg::Close) | None => return Err(lost(Stage::Channel)),
                Some(_) => {}
            }
        }
    };
    timeout(REPLY_LIMIT, answer).await.unwrap_or_else(|_| Err(no_reply("a terminal")))
}

/// Asks for the shell or command; [`read_to_end`] sees the answer.
async fn start(channel: &Channel<Msg>, request: &ShellRequest) -> Result<(), russh::Error> {
    for (name, value) in &request.env {
        channel.set_env(false, name, value).await?;
    }
    match &request.start {
        Start::Shell => channel.request_shell(true).await,
        Start::Command(command) => channel.exec(true, command.as_bytes()).await,
        Start::Subsystem(name) => channel.request_subsystem(true, name).await,
    }
}

/// Sends input as the instance takes it, then the end of it.
async fn send(mut queued: mpsc::Receiver<Bytes>, writer: &ChannelWriteHalf<Msg>) -> Never {
    while let Some(bytes) = queued.recv().await {
        if writer.data_bytes(bytes).await.is_err() {
            // `read_to_end` finds out why.
            return pending().await;
        }
    }
    let _ = writer.eof().await;
    pending().await
}

async fn resize(mut sizes: BoxStream<'static, TerminalSize>, writer: &ChannelWriteHalf<Msg>) -> Never {
    while let Some(size) = sizes.next().await {
        change_window(writer, size).await;
    }
    pending().await
}

async fn change_window(writer: &ChannelWriteHalf<Msg>, size: TerminalSize) {
    let TerminalSize { columns, rows, width_px, height_px } = size;
    // If the connection is lost, `read_to_end` finds out why.
    let _ = writer.window_change(columns, rows, width_px, height_px).await;
}

/// What never comes about.
enum Never {}

/// Tells what is meant for the instance from what is meant for vmssh.
struct Keyboard {
    escape: Option<Escape>,
    title: String,
    queue: mpsc::Sender<Bytes>,
    notes: mpsc::Sender<Bytes>,
    suspend: Option<Suspend>,
    list: Option<List>,
}

impl Keyboard {
    /// Reads until `~.`; after the end of the input it waits for ever, as the instance may still print.
    async fn read(mut self, mut input: mpsc::Receiver<Bytes>, writer: &ChannelWriteHalf<Msg>) -> ShellEnd {
        while let Some(bytes) = input.recv().await {
            let steps = match &mut self.escape {
                Some(escape) => escape.feed(&bytes),
                None => {
                    self.queue(bytes).await;
                    continue;
                }
            };
            for step in steps {
                match step {
                    Step::Send(bytes) => self.queue(bytes.into()).await,
                    Step::Disconnect => {
                        self.note("~. session ended\r\n");
                        return ShellEnd::Disconnected;
                    }
                    Step::Suspend => self.suspend(writer).await,
                    Step::Help => self.note(HELP),
                    Step::List => {
                        let more = self.list.as_ref().map(|list| list()).unwrap_or_default();
                        let more: String = more.iter().map(|line| format!("{line}\r\n")).collect();
                        self.note(&format!("~#\r\nchannel 0: {}\r\n{more}", self.title));
                    }
                }
            }
        }
        if let Some(held) = self.escape.as_mut().and_then(Escape::finish) {
            self.queue(Bytes::copy_from_slice(&[held])).await;
        }
        drop(self);
        pending().await
    }

    async fn queue(&mut self, bytes: Bytes) {
        // The queue is closed only when the session ends.
        let _ = self.queue.send(bytes).await;
    }

    /// Where the output stands still, there is nowhere to say it, and no reason to wait.
    fn note(&self, text: &str) {
        let _ = self.notes.try_send(Bytes::copy_from_slice(text.as_bytes()));
    }

    async fn suspend(&mut self, writer: &ChannelWriteHalf<Msg>) {
        if let Some(suspend) = &mut self.suspend
            && let Some(size) = suspend()
        {
            change_window(writer, size).await;
        }
    }
}

const HELP: &str = "~?\r\n\
    ~.   end the session\r\n\
    ~^Z  suspend vmssh\r\n\
    ~#   what the connection carries\r\n\
    ~?   this help\r\n\
    ~~   a ~ itself\r\n\
    Escapes are seen only at the beginning of a line.\r\n";

fn title(request: &ShellRequest) -> String {
    let what = match request.start {
        Start::Shell => "shell",
        Start::Command(_) => "command",
        Start::Subsystem(_) => "subsystem",
    };
    match &request.pty {
        Some(pty) => format!("{what} on a {} terminal", pty.term),
        None => what.into(),
    }
}

fn no_terminal() -> Failure {
    Failure::new(Stage::Channel, "the server refused a terminal")
        .with_hint("give a command, which needs none: `vmssh ssh TARGET N -- COMMAND`")
}
