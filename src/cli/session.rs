//! A session joined to the process's streams: what `vmssh ssh` and `vmssh openssh` do once it is known where to.

use std::{future::pending, io, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{process::Command, sync::mpsc, time::timeout};

use super::{
    context::Context,
    error::{Error, Kind},
    exit::Exit,
    forward::{self, Notices, Wanted},
    sign_in,
};
use crate::{
    event::TerminalSize,
    forward::Place,
    openssh_config::{AgentSocket, HostConfig, Terminal},
    ssh::{
        Client, Destination, Forwards, Session,
        pty::Modes,
        shell::{self, PtyRequest, ShellEnd, ShellIo, ShellRequest, Start},
    },
    term::{self, RawMode},
};

/// What sets off our own commands from the instance's, as `ssh` has it.
const ESCAPE: u8 = b'~';

/// After `~.`, a terminal that works shows all that waits to be shown within this.
const LAST_LINES: Duration = Duration::from_millis(500);

/// For surroundings that do not tell the terminal's type: the least that all know.
const UNKNOWN_TERMINAL: &str = "dumb";

/// What is to run on the instance, and what goes with it.
pub(super) struct Asked {
    request: ShellRequest,
    pty: bool,
    /// Whether it reads standard input.
    input: Input,
    /// The agent that the instance may use.
    pub(super) agent: Option<PathBuf>,
    /// What is forwarded beside it.
    pub(super) forwards: Wanted,
    /// A command to run here once signed in (`LocalCommand`).
    pub(super) local_command: Option<String>,
    /// What to say where the connection is lost.
    pub(super) come_back: Option<String>,
}

/// What becomes of standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// What runs on the instance reads it.
    Ours,
    /// It is left alone.
    None,
}

impl Asked {
    pub(super) fn new(
        context: &Context,
        start: Start,
        wish: Wish,
        input: Input,
        host: &HostConfig,
        env: Vec<(String, String)>,
    ) -> Self {
        let is_shell = start == Start::Shell;
        let interactive = term::stdin_is_terminal() && input == Input::Ours;
        let pty = terminal(wish, is_shell, interactive);
        if !interactive && !pty && terminal(wish, is_shell, true) {
            context.ui.note(
                "no remote terminal, as standard input is none here (-tt wants one all the same, -T says nothing)",
            );
        }
        let request = ShellRequest {
            pty: None,
            env,
            start,
            escape: pty.then(|| host.escape_char().unwrap_or(Some(ESCAPE))).flatten(),
        };
        Self {
            request,
            pty,
            input,
            agent: match &host.forward_agent {
                AgentSocket::None => None,
                AgentSocket::Environment => context.config.agent_socket.clone(),
                AgentSocket::Path(path) => Some(path.into()),
            },
            forwards: Wanted::configured(host),
            local_command: host.local_command.clone(),
            come_back: None,
        }
    }
}

/// A shell or command, with forwards beside it on a session of their own.
///
/// # Errors
/// When the session can't be had, or is lost.
pub(super) async fn session(
    context: &Context,
    client: &Client,
    destination: &Destination,
    mut asked: Asked,
) -> Result<ShellEnd, Error> {
    let session = context.unless_interrupted(async { Ok(client.connect(destination).await?) }).await?;
    if let Some(socket) = asked.agent.take() {
        session.forward_agent(socket);
    }
    if let Some(command) = asked.local_command.take() {
        context.unless_interrupted(run_here(context, &command)).await?;
    }
    let come_back = asked.come_back.take();
    let notices = Notices::new(context);
    let forwards = if asked.forwards.is_empty() {
        None
    } else {
        let beside = destination.apart();
        let opening = forward::open(context, client, &beside, &asked.forwards, &notices);
        Some(context.unless_interrupted(opening).await?)
    };
    let end = {
        let list = forwards.as_ref().map(|forwards| Box::new(forwards.list()) as shell::List);
        let talk = talk(context, &session, asked, list, &notices);
        let mut talk = std::pin::pin!(context.unless_interrupted(talk));
        let lost = async {
            match &forwards {
                Some(forwards) => forwards.lost().await,
                None => pending().await,
            }
        };
        tokio::select! {
            end = &mut talk => end,
            // The shell goes on without them.
            lost = lost => {
                notices.say(&format!("the forwards have ended: {}", lost.message));
                talk.await
            }
        }
    };
    let end = end.map_err(|error| if session.is_lost() { error.hints(come_back) } else { error });
    session.close().await;
    say_repeated(context, forwards.as_ref());
    end
}

/// Runs a command of the user's own configuration here and waits for its end, as ssh(1) does.
async fn run_here(context: &Context, command: &str) -> Result<(), Error> {
    let failed =
        |error: &io::Error| Error::new(Kind::Session, "LocalCommand can't be started").caused_by(Some(error));
    let mut child = Command::new(sign_in::shell(context));
    child.args(["-c", command]).stdin(Stdio::inherit()).kill_on_drop(true);
    // What it comes to is its own business.
    child.status().await.map(drop).map_err(|error| failed(&error))
}

/// Forwards, until the user or the instance ends it.
///
/// # Errors
/// When there is nothing left to forward, or the session is lost.
pub(super) async fn forward_only(
    context: &Context,
    client: &Client,
    destination: &Destination,
    wanted: &Wanted,
) -> Result<Exit, Error> {
    let notices = Notices::new(context);
    let opening = forward::open(context, client, destination, wanted, &notices);
    let forwards = context.unless_interrupted(opening).await?;
    for line in forwards.list()() {
        context.ui.note(&format!("forwarding {line}"));
    }
    let lost = tokio::select! {
        lost = forwards.lost() => Err(lost.into()),
        () = context.interrupt.drain.cancelled() => Err(Error::interrupted()),
    };
    say_repeated(context, Some(&forwards));
    lost
}

fn say_repeated(context: &Context, forwards: Option<&Forwards>) {
    forwards.map(Forwards::repeated).unwrap_or_default().iter().for_each(|line| context.ui.note(line));
}

/// Joins standard input and output to one connection.
///
/// # Errors
/// When the instance can't connect there, or the session is lost.
pub(super) async fn stdio(client: &Client, destination: &Destination, place: &Place) -> Result<Exit, Error> {
    let session = Arc::new(client.connect(destination).await?);
    let stdout = term::stdout().map_err(terminal_gone)?;
    let ended = session.join(place, term::stdin().map_err(terminal_gone)?, stdout.sender()).await;
    match stdout.finish().await {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::output(&error)),
        _ => Ok(ended.map(|()| Exit::Ok)?),
    }
}

/// Joins the session to the process's streams, raw while a remote terminal is used.
async fn talk(
    context: &Context,
    session: &Session,
    asked: Asked,
    list: Option<shell::List>,
    notices: &Notices,
) -> Result<ShellEnd, Error> {
    let Asked { mut request, pty, input, .. } = asked;
    let size = term::size().unwrap_or_default();
    request.pty = pty.then(|| pty_request(context, size));
    let (stdout, stderr) = (term::stdout().map_err(terminal_gone)?, term::stderr().map_err(terminal_gone)?);
    let typed = pty && term::stdin_is_terminal();
    let raw = typed.then(RawMode::enter).transpose().map_err(terminal_gone)?;
    let io = ShellIo {
        input: if input == Input::Ours { term::stdin().map_err(terminal_gone)? } else { nothing() },
        stdout: stdout.sender(),
        stderr: stderr.sender(),
        resizes: Box::pin(term::resizes(size).map_err(terminal_gone)?),
        suspend: typed.then(|| Box::new(suspend) as shell::Suspend),
        list,
    };
    notices.raw(raw.as_ref().map(|_| stderr.sender()));
    let end = shell::run(session, request, io).await;
    // Standard error is finished once nobody can send to it.
    notices.raw(None);
    // What came last must be seen before the terminal is ours again.
    let written = async {
        let written = stdout.finish().await;
        stderr.finish().await.and(written)
    };
    let written = match end {
        // The user has had enough, perhaps just because the terminal stands still.
        Ok(ShellEnd::Disconnected) => timeout(LAST_LINES, written).await.unwrap_or(Ok(())),
        _ => written.await,
    };
    drop(raw);
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::output(&error)),
        _ => Ok(end?),
    }
}

/// Input that ends before it begins.
fn nothing() -> mpsc::Receiver<Bytes> {
    mpsc::channel(1).1
}

fn pty_request(context: &Context, size: TerminalSize) -> PtyRequest {
    PtyRequest {
        term: context.config.term.clone().unwrap_or_else(|| UNKNOWN_TERMINAL.into()),
        size,
        modes: term::attributes().as_ref().map(Modes::of).unwrap_or_default(),
    }
}

/// A terminal that has gone away ends the session by itself.
fn suspend() -> Option<TerminalSize> {
    let _ = term::suspend();
    term::size()
}

/// What was said about a remote terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing: a shell gets one.
    Unsaid,
    /// `-T`: none.
    Never,
    /// `-t`: a command gets one too.
    Wanted,
    /// `-tt`: whatever standard input is.
    Forced,
}

impl Wish {
    /// What the configuration says about it, which counts where nothing was said (`Unsaid`).
    pub(super) fn or(self, host: &HostConfig) -> Self {
        if self != Self::Unsaid {
            return self;
        }
        match host.terminal() {
            Some(Terminal::Never) => Self::Never,
            Some(Terminal::Yes) => Self::Wanted,
            Some(Terminal::Force) => Self::Forced,
            Some(Terminal::Auto) | None => Self::Unsaid,
        }
    }
}

/// Whether a remote terminal is asked for: ssh(1), `-t` and `-T`.
fn terminal(wish: Wish, is_shell: bool, stdin_is_terminal: bool) -> bool {
    match wish {
        Wish::Never => false,
        Wish::Forced => true,
        Wish::Wanted => stdin_is_terminal,
        Wish::Unsaid => is_shell && stdin_is_terminal,
    }
}

fn terminal_gone(error: io::Error) -> Error {
    Error::new(Kind::Session, "can't use the terminal").caused_by(Some(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_asked_for_as_ssh_asks() {
        for (wish, is_shell, stdin, expected) in [
            (Wish::Unsaid, true, true, true),
            (Wish::Unsaid, true, false, false),
            (Wish::Unsaid, false, true, false),
            (Wish::Wanted, false, true, true),
            (Wish::Wanted, false, false, false),
            (Wish::Wanted, true, false, false),
            (Wish::Forced, false, false, true),
            (Wish::Forced, true, false, true),
        ] {
            assert_eq!(terminal(wish, is_shell, stdin), expected, "{wish:?} {is_shell:?} {stdin}");
        }
        assert!(!terminal(Wish::Never, true, true));
    }
}
