//! The way of bytes between a channel and a running command or another instance, both ways bounded.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::future::join_all;
use russh::{ChannelId, ChannelWriteHalf, Sig, server};
use tokio::{
    io::AsyncReadExt as _,
    net::TcpStream,
    sync::{Mutex, mpsc::UnboundedReceiver},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

#[cfg(unix)]
use super::pty;
use super::{
    command::{Reader, Started, Writer},
    process::Leader,
    socket::Gate,
};
use crate::event::{Exit, TerminalSize};

/// Output read at once, in bytes: the most that a packet carries with common clients (RFC 4253
/// section 6.1), so none has to be split.
pub(super) const CHUNK: usize = 32 << 10;

/// How long a command may put its affairs in order after a hang-up, before it is killed.
const HANG_UP_GRACE: Duration = Duration::from_secs(1);

/// How long a terminal whose command ended must be quiet for its output to be whole. What was
/// written before is on its way through the kernel; nothing new can be written.
const TERMINAL_QUIET: Duration = Duration::from_millis(100);

/// SSH_EXTENDED_DATA_STDERR of RFC 4254 section 5.2.
const STDERR: u32 = 1;

/// What a client sends to a running command.
pub(super) enum Input {
    /// Standard input.
    Data(Bytes),
    /// The end of standard input.
    Eof,
    /// A new size of the terminal.
    Resize(TerminalSize),
}

impl Input {
    /// The memory that it takes while it waits, in bytes, about: empty messages count as well.
    pub(super) fn cost(&self) -> usize {
        let data = if let Self::Data(bytes) = self { bytes.len() } else { 0 };
        size_of::<Self>() + data
    }
}

/// The channel that a command runs on, or that leads to another instance.
pub(super) struct Line {
    /// Where output goes.
    pub(super) to_client: ChannelWriteHalf<server::Msg>,
    /// For what the channel itself can't send.
    pub(super) handle: server::Handle,
    /// The connection's gate for input.
    pub(super) gate: Arc<Gate>,
    /// Set when the client is gone or has closed the channel.
    pub(super) gone: CancellationToken,
}

/// Runs a command to its end: all output, then the exit status, then the end of the channel; or,
/// when the client goes first, a hang-up.
pub(super) async fn serve(started: Started, mut input: UnboundedReceiver<Input>, line: Line) {
    let Started { mut leader, stdin, stdout, stderr } = started;
    let exit = {
        let turn = Mutex::new(());
        let ended = CancellationToken::new();
        let on_terminal = stderr.is_none();
        let work = async {
            let outputs = [(None, Some(stdout)), (Some(STDERR), stderr)];
            let outputs = outputs.into_iter().filter_map(|(kind, from)| Some(Output { kind, from: from? }));
            let outputs = join_all(outputs.map(|output| output.pass_on(&line, &turn, &ended)));
            if on_terminal {
                // A job left behind keeps the terminal open, but it is of no use any more: the
                // kernel hung it up when the session's leader ended.
                let exit = async { (leader.wait().await, ended.cancel()) };
                tokio::join!(exit, outputs).0.0
            } else {
                // Not waited for before: until then its id stays its own, and a hang-up reaches
                // whatever it left behind holding the pipes.
                outputs.await;
                leader.wait().await
            }
        };
        tokio::select! {
            exit = work => Some(exit),
            () = line.gone.cancelled() => None,
            () = feed(stdin, &mut input, &line.gate) => None,
        }
    };
    discard(&mut input, &line.gate);
    match exit {
        // The only error is that the client has gone just now.
        Some(Ok(exit)) => drop(say_exit(&line, exit).await),
        Some(Err(_)) => drop(line.to_client.close().await),
        None => hang_up(leader).await,
    }
}

/// Carries a connection to another instance until either side has had enough of it.
pub(super) async fn carry(tcp: TcpStream, mut input: UnboundedReceiver<Input>, line: Line) {
    let (from, to) = tcp.into_split();
    let (turn, ended) = (Mutex::new(()), CancellationToken::new());
    let output = Output { kind: None, from: Box::new(from) };
    tokio::select! {
        () = output.pass_on(&line, &turn, &ended) => {}
        () = line.gone.cancelled() => {}
        () = feed(Writer::Pipe(Box::new(to)), &mut input, &line.gate) => {}
    }
    discard(&mut input, &line.gate);
    // The only error is that the client has gone just now.
    drop(end(&line).await);
}

/// Throws away input that nobody will read.
pub(super) fn discard(input: &mut UnboundedReceiver<Input>, gate: &Gate) {
    input.close();
    while let Ok(left) = input.try_recv() {
        gate.went(left.cost());
    }
}

/// One of a command's outputs, with its type of extended data.
struct Output {
    kind: Option<u32>,
    from: Reader,
}

impl Output {
    /// Passes it on until its end. What the client doesn't take stays in the pipe, where it holds
    /// the command up: never more than one chunk is kept here.
    async fn pass_on(mut self, line: &Line, turn: &Mutex<()>, ended: &CancellationToken) {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(CHUNK);
            // A pseudo-terminal ends with an error (EIO) instead of an end of file.
            tokio::select! {
                read = self.from.read_buf(&mut buffer) => if !matches!(read, Ok(1..)) { return },
                () = quiet_after(ended) => return,
            }
            // Both outputs share the window; one after the other, each knows what there is for it.
            let _turn = turn.lock().await;
            if send(self.kind, buffer.split().freeze(), line).await.is_err() {
                return;
            }
        }
    }
}

/// Sends output of at most [`CHUNK`] bytes, once the client's window has room for it.
pub(super) async fn send(kind: Option<u32>, chunk: Bytes, line: &Line) -> Result<(), russh::Error> {
    let starves = line.to_client.writable_packet_size().await < chunk.len();
    let _starving = starves.then(|| line.gate.starve());
    match kind {
        None => line.to_client.data_bytes(chunk).await,
        Some(kind) => line.to_client.extended_data_bytes(kind, chunk).await,
    }
}

async fn quiet_after(ended: &CancellationToken) {
    ended.cancelled().await;
    sleep(TERMINAL_QUIET).await;
}

/// Passes input on. Doesn't end: a command may run on without its input, and without reading it.
async fn feed(to: Writer, input: &mut UnboundedReceiver<Input>, gate: &Gate) {
    let mut to = Some(to);
    while let Some(next) = input.recv().await {
        gate.went(next.cost());
        let alive = match (next, &mut to) {
            (Input::Data(bytes), Some(writer)) => writer.write_all(&bytes).await.is_ok(),
            // As with sshd, the end of input is not the end of a terminal.
            (Input::Eof, Some(Writer::Pipe(_))) => false,
            #[cfg(unix)]
            (Input::Resize(size), Some(Writer::Pty(pty))) => {
                // It fails only when the terminal is gone, which writing tells as well.
                let _ = pty.resize(pty::size(size));
                true
            }
            _ => true,
        };
        if !alive {
            to = None;
        }
    }
    std::future::pending().await
}

/// Says how what ran has ended, and ends the channel.
pub(super) async fn say_exit(line: &Line, exit: Exit) -> Result<(), russh::Error> {
    let id: ChannelId = line.to_client.id();
    match exit {
        Exit::Status(status) => line.to_client.exit_status(status).await?,
        Exit::Signal(name) => {
            // On the wire a signal is its name, whichever variant it comes from.
            let signal = Sig::Custom(name);
            let said = line.handle.exit_signal_request(id, signal, false, String::new(), String::new());
            said.await.map_err(|()| russh::Error::SendError)?;
        }
    }
    end(line).await
}

async fn end(line: &Line) -> Result<(), russh::Error> {
    line.to_client.eof().await?;
    line.to_client.close().await
}

/// The name of a signal that a client sends.
pub(super) fn signal_name(signal: Sig) -> String {
    match signal {
        Sig::Custom(name) => name,
        // The others are called what they are.
        known => format!("{known:?}"),
    }
}

/// Ends a command whose client is gone. The pipes and the terminal are closed already.
async fn hang_up(mut leader: Leader) {
    let group = leader.group();
    group.signal("HUP");
    sleep(HANG_UP_GRACE).await;
    group.signal("KILL");
    // Killed processes end at once, unless the kernel holds them; then dropping them must do.
    drop(timeout(HANG_UP_GRACE, leader.wait()).await);
}
