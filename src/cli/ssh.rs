//! `vmssh ssh`: a session on one instance.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use clap::Args;
use tokio::time::timeout;

use super::{
    args::{DEFAULT_BACKEND_PORT, TargetArgs},
    context::Context,
    error::{Error, Kind},
    exit::Exit,
    load,
    sign_in::{self, Access, Password, SignInArgs},
};
use crate::{
    azure::Depth,
    event::TerminalSize,
    natmap::{BackendPort, Endpoint, InstanceSet, display_endpoints, one_per_instance},
    openssh_config::{HostConfig, Keyword, Terminal},
    script,
    ssh::{
        Session,
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
    /// Use a remote terminal for the command too
    #[arg(short, long)]
    pub(super) tty: bool,
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
    let endpoint = one(one_per_instance(loaded.map.select(&set, Some(args.backend_port))?))?;
    if args.print_settings {
        let settings = sign_in::settings(context, &args.target, &args.sign_in, &loaded, &endpoint);
        let settings = context.unless_interrupted(settings).await?;
        context.ui.out_sink().writer.write_all(settings.as_bytes()).map_err(|error| Error::output(&error))?;
        return Ok(Exit::Ok);
    }
    let to = vec![endpoint];
    let access = sign_in::access(context, &args.target, &args.sign_in, &loaded, to, Password::OnNeed);
    let access = context.unless_interrupted(access).await?;
    let environment = access.environments(context).into_iter().next();
    let Access { client, destinations, configs } = access;
    let nowhere = || Error::new(Kind::Usage, "no instance is left to work on");
    let host = configs.first().ok_or_else(nowhere)?;
    let command = command(given, host)?;
    let pty = wants_terminal(&args, command.as_deref(), host)?;
    let mut request = ShellRequest {
        pty: None,
        env: environment.map(|environment| environment.to_vec()).unwrap_or_default(),
        command,
        escape: pty.then(|| host.escape_char().unwrap_or(Some(ESCAPE))).flatten(),
    };
    // What the configuration sets wins over what is always sent.
    let is_new = |(name, _): &&(String, String)| !request.env.iter().any(|(there, _)| there == name);
    let locale: Vec<_> = context.config.locale.iter().filter(is_new).cloned().collect();
    request.env.extend(locale);
    let connect =
        async { client.connect(destinations.first().ok_or_else(nowhere)?).await.map_err(Error::from) };
    let session = context.unless_interrupted(connect).await?;
    let end = context.unless_interrupted(talk(context, &session, request, pty)).await;
    session.close().await;
    client.settle().await;
    match end? {
        ShellEnd::Exit(exit) => Ok(Exit::Remote(exit.status())),
        // It has said so itself, where the terminal could take it.
        ShellEnd::Disconnected => Ok(Exit::SESSION),
        ShellEnd::OutputClosed => Ok(Exit::Ok),
    }
}

/// Joins the session to the process's streams, raw while a remote terminal is used.
async fn talk(
    context: &Context,
    session: &Session,
    mut request: ShellRequest,
    pty: bool,
) -> Result<ShellEnd, Error> {
    let size = term::size().unwrap_or_default();
    request.pty = pty.then(|| pty_request(context, size));
    let (stdout, stderr) = (term::stdout().map_err(terminal_gone)?, term::stderr().map_err(terminal_gone)?);
    let raw = pty.then(RawMode::enter).transpose().map_err(terminal_gone)?;
    let io = ShellIo {
        input: term::stdin().map_err(terminal_gone)?,
        stdout: stdout.sender(),
        stderr: stderr.sender(),
        resizes: Box::pin(term::resizes(size).map_err(terminal_gone)?),
        suspend: pty.then(|| Box::new(suspend) as shell::Suspend),
    };
    let end = shell::run(session, request, io).await;
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

/// Whether a remote terminal is asked for: for a shell, and where the command line or `RequestTTY` says so.
fn wants_terminal(args: &SshArgs, command: Option<&str>, host: &HostConfig) -> Result<bool, Error> {
    let there = term::stdin_is_terminal() && term::stdout_is_terminal();
    let (wants, asked_for) = match host.terminal() {
        _ if args.tty => (true, true),
        Some(Terminal::Never) if command.is_some() => (false, false),
        // Without a terminal there is nothing that raw keys could go to.
        Some(Terminal::Yes | Terminal::Force) if there => (true, false),
        _ => (command.is_none(), false),
    };
    if wants && !there { Err(no_terminal(asked_for)) } else { Ok(wants) }
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

fn no_terminal(asked_for: bool) -> Error {
    let what = if asked_for { "`--tty`" } else { "a shell" };
    Error::new(Kind::Usage, format!("{what} needs a terminal, and standard input or output is none"))
        .hint("run a command instead: `vmssh ssh TARGET N -- COMMAND`")
}

fn terminal_gone(error: io::Error) -> Error {
    Error::new(Kind::Session, "can't use the terminal").caused_by(Some(&error))
}
