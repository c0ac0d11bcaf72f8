//! `vmssh ssh`: a session on one instance.

use std::{
    future::pending,
    io::{self, Write as _},
    num::NonZeroU16,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use clap::{ArgAction, Args};
use tokio::{sync::mpsc, time::timeout};

use super::{
    args::{DEFAULT_BACKEND_PORT, TargetArgs},
    context::Context,
    error::{Error, Kind},
    exit::Exit,
    forward::{self, ForwardArgs, Notices},
    load::{self, Loaded},
    sign_in::{self, Access, Password, SignInArgs},
    way::{self, WayArgs},
};
use crate::{
    azure::Depth,
    event::TerminalSize,
    forward::Place,
    natmap::{
        BackendPort, Endpoint, FrontendPort, Host, Instance, InstanceSet, display_endpoints, one_per_instance,
    },
    openssh_config::{HostConfig, Keyword, Terminal},
    script,
    ssh::{
        Client, Destination, Forwards, Session,
        pty::Modes,
        shell::{self, PtyRequest, ShellEnd, ShellIo, ShellRequest},
    },
    term::{self, RawMode},
};

/// Arguments of `vmssh ssh`.
#[derive(Debug, Args)]
pub(super) struct SshArgs {
    #[command(flatten)]
    pub(super) target: TargetArgs,
    /// Which instance; not needed where the target has only one
    pub(super) instance: Option<InstanceSet>,
    /// The port on the instance whose rule to use, where the target tells it
    #[arg(long, value_name = "PORT", default_value = DEFAULT_BACKEND_PORT)]
    pub(super) backend_port: BackendPort,
    #[command(flatten)]
    pub(super) sign_in: SignInArgs,
    #[command(flatten)]
    pub(super) way: WayArgs,
    #[command(flatten)]
    pub(super) forward: ForwardArgs,
    /// Use a remote terminal for the command too; twice: also where standard input is no terminal
    #[arg(short, long, action = ArgAction::Count)]
    pub(super) tty: u8,
    /// Use no remote terminal: input and output are passed on byte for byte
    #[arg(short = 'T', long, conflicts_with = "tty")]
    pub(super) no_tty: bool,
    /// Leave standard input alone: a command reads nothing
    #[arg(short = 'n', long, conflicts_with_all = ["tty", "stdio"])]
    pub(super) no_input: bool,
    /// A line of ssh_config(5) that goes before the files: -o 'Ciphers +aes128-cbc'
    #[arg(short = 'o', value_name = "OPTION", help_heading = "Signing in")]
    pub(super) options: Vec<String>,
    /// Print the settings that would be used, and do nothing else
    #[arg(short = 'G', long)]
    pub(super) print_settings: bool,
    /// The command to run
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<String>,
}

/// What sets off our own commands from the instance's, as `ssh` has it.
const ESCAPE: u8 = b'~';

/// After `~.`, a terminal that works shows all that waits to be shown within this.
const LAST_LINES: Duration = Duration::from_millis(500);

/// For surroundings that do not tell the terminal's type: the least that all know.
const UNKNOWN_TERMINAL: &str = "dumb";

pub(super) async fn run(context: &Context, mut args: SshArgs) -> Result<Exit, Error> {
    args.sign_in.ssh_options.append(&mut args.options);
    let given = match args.command.as_slice() {
        [] => None,
        words => Some(script::command_line(words)?),
    };
    let wanted = load::Wanted { depth: Depth::Identity, backend_port: Some(args.backend_port) };
    let loaded = load::load(context, &args.target, wanted).await?;
    let set = args.instance.clone().unwrap_or_default();
    load::say_warnings(context, &loaded.map, &set);
    if args.print_settings {
        let endpoint = one(one_per_instance(loaded.map.select(&set, Some(args.backend_port))?))?;
        let settings = sign_in::settings(context, &args.target, &args.sign_in, &loaded, &endpoint);
        let settings = context.unless_interrupted(settings).await?;
        context.ui.out_sink().writer.write_all(settings.as_bytes()).map_err(|error| Error::output(&error))?;
        return Ok(Exit::Ok);
    }
    let Reached { client, destination, host, environment } = reach(context, &args, &loaded, &set).await?;
    let ended = if let Some(place) = &args.forward.stdio {
        context.unless_interrupted(stdio(&client, &destination, place)).await
    } else if args.forward.no_shell {
        forward_only(context, &client, &destination, &args.forward).await
    } else {
        let asked = Asked::of(context, &args, given, &host, environment)?;
        Box::pin(session(context, &client, &destination, &args.forward, asked)).await
    };
    client.settle().await;
    ended
}

/// Where to, who signs in there, and what the configuration says about it.
struct Reached {
    client: Client,
    destination: Destination,
    host: Arc<HostConfig>,
    environment: Vec<(String, String)>,
}

/// Finds out where to go and how to sign in there.
async fn reach(
    context: &Context,
    args: &SshArgs,
    loaded: &Loaded,
    set: &InstanceSet,
) -> Result<Reached, Error> {
    let wish = way::Wish {
        target: &args.target,
        sign_in: &args.sign_in,
        way: &args.way,
        loaded,
        set,
        backend_port: args.backend_port,
        password: Password::OnNeed,
    };
    // Before the way is looked for, which may take signing in somewhere.
    if args.way.via.is_none() {
        one(one_per_instance(loaded.map.select(set, Some(args.backend_port))?))?;
    } else {
        one(loaded.map.instances.iter().filter(|instance| set.contains(instance)).map(bare).collect())?;
    }
    let access = context.unless_interrupted(way::access(context, &wish)).await?;
    let environment = access.environments(context).into_iter().next();
    let Access { client, destinations, configs } = access;
    let nowhere = || Error::new(Kind::Usage, "no instance is left to work on");
    Ok(Reached {
        client,
        destination: destinations.into_iter().next().ok_or_else(nowhere)?,
        host: configs.into_iter().next().ok_or_else(nowhere)?,
        environment: environment.map(|environment| environment.to_vec()).unwrap_or_default(),
    })
}

/// An instance as an endpoint of which only the name counts.
fn bare(instance: &Instance) -> Endpoint {
    Endpoint {
        instance: Some(instance.id.clone()),
        name: instance.name.clone(),
        vm_id: None,
        host: Host::Unknown,
        port: FrontendPort::from(NonZeroU16::MIN),
    }
}

/// What is to run on the instance.
struct Asked {
    request: ShellRequest,
    pty: bool,
    /// Whether it reads standard input.
    input: bool,
}

impl Asked {
    fn of(
        context: &Context,
        args: &SshArgs,
        given: Option<String>,
        host: &HostConfig,
        environment: Vec<(String, String)>,
    ) -> Result<Self, Error> {
        let command = command(given, host)?;
        let wish = Wish::of(args, host);
        let interactive = term::stdin_is_terminal() && !args.no_input;
        let pty = terminal(wish, command.as_deref(), interactive);
        if !interactive && !pty && terminal(wish, command.as_deref(), true) {
            context.ui.note(
                "no remote terminal, as standard input is none here (-tt wants one all the same, -T says nothing)",
            );
        }
        // What the configuration sets wins over what is always sent.
        let is_new = |(name, _): &&(String, String)| !environment.iter().any(|(there, _)| there == name);
        let locale: Vec<_> = context.config.locale.iter().filter(is_new).cloned().collect();
        let request = ShellRequest {
            pty: None,
            env: environment.into_iter().chain(locale).collect(),
            command,
            escape: pty.then(|| host.escape_char().unwrap_or(Some(ESCAPE))).flatten(),
        };
        Ok(Self { request, pty, input: !args.no_input })
    }
}

/// A shell or command, with forwards beside it on a session of their own.
async fn session(
    context: &Context,
    client: &Client,
    destination: &Destination,
    args: &ForwardArgs,
    asked: Asked,
) -> Result<Exit, Error> {
    let session = context.unless_interrupted(async { Ok(client.connect(destination).await?) }).await?;
    if args.forward_agent {
        match &context.config.agent_socket {
            Some(socket) => session.forward_agent(socket.clone()),
            None => context.ui.warn("there is no agent to take along (SSH_AUTH_SOCK is not set)"),
        }
    }
    let notices = Notices::new(context);
    let forwards = match args.plan() {
        Some(plan) => {
            let beside = destination.apart();
            let opening = forward::open(context, client, &beside, args, &plan, &notices);
            Some(context.unless_interrupted(opening).await?)
        }
        None => None,
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
    let end = end.map_err(|error| if session.is_lost() { error.hint(again()) } else { error });
    session.close().await;
    say_repeated(context, forwards.as_ref());
    match end? {
        ShellEnd::Exit(exit) => Ok(Exit::Remote(exit.status())),
        // It has said so itself, where the terminal could take it.
        ShellEnd::Disconnected => Ok(Exit::SESSION),
        ShellEnd::OutputClosed => Ok(Exit::Ok),
    }
}

/// Forwards, until the user or the instance ends it.
async fn forward_only(
    context: &Context,
    client: &Client,
    destination: &Destination,
    args: &ForwardArgs,
) -> Result<Exit, Error> {
    if args.forward_agent {
        context.ui.warn("-A takes the agent to a shell or command, and with -N there is none");
    }
    let plan = args.plan().unwrap_or_default();
    let notices = Notices::new(context);
    let opening = forward::open(context, client, destination, args, &plan, &notices);
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
async fn stdio(client: &Client, destination: &Destination, place: &Place) -> Result<Exit, Error> {
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
    let Asked { mut request, pty, input } = asked;
    let size = term::size().unwrap_or_default();
    request.pty = pty.then(|| pty_request(context, size));
    let (stdout, stderr) = (term::stdout().map_err(terminal_gone)?, term::stderr().map_err(terminal_gone)?);
    let typed = pty && term::stdin_is_terminal();
    let raw = typed.then(RawMode::enter).transpose().map_err(terminal_gone)?;
    let io = ShellIo {
        input: if input { term::stdin().map_err(terminal_gone)? } else { nothing() },
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

/// The command that was given, else the configuration's (`RemoteCommand`). As in ssh(1), both are one too many.
fn command(given: Option<String>, host: &HostConfig) -> Result<Option<String>, Error> {
    match (given, &host.remote_command) {
        (Some(_), Some(_)) => {
            let place = host.place(Keyword::REMOTE_COMMAND).map(ToString::to_string).unwrap_or_default();
            Err(Error::new(Kind::Usage, format!("{place}: RemoteCommand is a command already"))
                .hint("leave it out this once: `-o RemoteCommand=none`"))
        }
        (given, configured) => Ok(given.or_else(|| configured.clone())),
    }
}

/// A terminal that has gone away ends the session by itself.
fn suspend() -> Option<TerminalSize> {
    let _ = term::suspend();
    term::size()
}

/// The one endpoint that a session needs.
fn one(endpoints: Vec<Endpoint>) -> Result<Endpoint, Error> {
    let there = display_endpoints(&endpoints.iter().collect::<Vec<_>>());
    match <[Endpoint; 1]>::try_from(endpoints) {
        Ok([endpoint]) => Ok(endpoint),
        Err(several) => {
            let example = several.first().map_or_else(String::new, Endpoint::label);
            Err(Error::new(
                Kind::Usage,
                format!("a session is on one instance, and this names {}: {there}", several.len()),
            )
            .hint(format!("name one behind the target: `vmssh ssh TARGET {example}`"))
            .hint("for a command on all of them: `vmssh exec TARGET -- COMMAND`"))
        }
    }
}

/// What was said about a remote terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
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
    fn of(args: &SshArgs, host: &HostConfig) -> Self {
        match (args.no_tty, args.tty, host.terminal()) {
            (true, ..) | (_, 0, Some(Terminal::Never)) => Self::Never,
            (_, 1, _) | (_, 0, Some(Terminal::Yes)) => Self::Wanted,
            (_, 2.., _) | (_, 0, Some(Terminal::Force)) => Self::Forced,
            (_, 0, _) => Self::Unsaid,
        }
    }
}

/// Whether a remote terminal is asked for: ssh(1), `-t` and `-T`.
fn terminal(wish: Wish, command: Option<&str>, stdin_is_terminal: bool) -> bool {
    match wish {
        Wish::Never => false,
        Wish::Forced => true,
        Wish::Wanted => stdin_is_terminal,
        Wish::Unsaid => command.is_none() && stdin_is_terminal,
    }
}

/// How to come back: what was typed, to be typed again. There are no secrets in it, as none are taken there.
fn again() -> String {
    let words: Vec<_> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let words = shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default();
    format!("what ran there may have ended with the connection; a new one: `vmssh {words}`")
}

fn terminal_gone(error: io::Error) -> Error {
    Error::new(Kind::Session, "can't use the terminal").caused_by(Some(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_asked_for_as_ssh_asks() {
        for (wish, command, stdin, expected) in [
            (Wish::Unsaid, None, true, true),
            (Wish::Unsaid, None, false, false),
            (Wish::Unsaid, Some("ls"), true, false),
            (Wish::Wanted, Some("ls"), true, true),
            (Wish::Wanted, Some("ls"), false, false),
            (Wish::Wanted, None, false, false),
            (Wish::Forced, Some("ls"), false, true),
            (Wish::Forced, None, false, true),
        ] {
            assert_eq!(terminal(wish, command, stdin), expected, "{wish:?} {command:?} {stdin}");
        }
        assert!(!terminal(Wish::Never, None, true));
    }
}
