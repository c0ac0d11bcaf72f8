//! `vmssh openssh`: the client behind the command line of ssh(1), for programs that start `ssh`. The binary called
//! as `ssh` is the same.

mod args;
mod print;
mod query;

use std::{
    ffi::{OsStr, OsString},
    fs::OpenOptions,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use clap::Parser as _;

use self::args::{Action, ArgumentError, Arguments, Setting, Wish};
use super::{
    args::{ColorChoice, DEFAULT_BACKEND_PORT, GlobalArgs, TargetArgs},
    context::Context,
    error::{Error, Kind},
    exit::Exit,
    forward::Wanted,
    load,
    session::{self, Asked, Input},
    sign_in::{self, Access, Password, Plain, SignInArgs},
    ui::Messages,
};
use crate::{
    azure::Depth,
    event,
    forward::Place,
    natmap::{BackendPort, InstanceSet, one_per_instance},
    openssh_config::{HostConfig, Keyword},
    ssh::shell::{ShellEnd, Start},
};

/// The environment's word for `--target`, for programs that can't be told to give an option.
const TARGET_VARIABLE: &str = "VMSSH_TARGET";

/// A scale set whose instances the hosts are.
#[derive(Debug, clap::Parser)]
#[command(name = "vmssh openssh --target")]
struct TargetLine {
    #[command(flatten)]
    target: TargetArgs,
}

/// What was typed behind the program's name, and the TARGET where there is one.
pub(super) struct Line {
    words: Vec<OsString>,
    target: Option<OsString>,
}

/// The command line, where it is meant for this front; `None` where it is vmssh's own.
pub(super) fn line(arguments: Vec<OsString>) -> Option<Line> {
    let mut arguments = arguments.into_iter();
    let called = arguments.next().unwrap_or_default();
    if Path::new(&called).file_stem() != Some(OsStr::new("ssh")) {
        // What is asked about the verb is answered with all the others.
        let first = arguments.next()?;
        let mut rest = arguments.clone();
        if first != "openssh" || matches!(rest.next(), Some(word) if word == "--help") {
            return None;
        }
    }
    let mut words: Vec<_> = arguments.collect();
    let mut target = std::env::var_os(TARGET_VARIABLE).filter(|target| !target.is_empty());
    let joined = words.first().and_then(|word| word.to_str()?.strip_prefix("--target=").map(OsString::from));
    if joined.is_some() {
        target = joined;
        words.remove(0);
    } else if words.len() > 1 && words.first().is_some_and(|word| word == "--target") {
        target = words.drain(..2).nth(1);
    }
    Some(Line { words, target })
}

/// Runs the front and gives its exit status.
pub(super) fn main(line: Line) -> ExitCode {
    let Line { words, target } = line;
    let arguments = match args::parse(words) {
        Ok(Wish::Session(arguments)) => arguments,
        Ok(Wish::Version) => {
            let version = env!("CARGO_PKG_VERSION");
            let _ = writeln!(io::stderr(), "vmssh {version}, OpenSSH-like command line");
            return Exit::Ok.into();
        }
        Ok(Wish::Query(query)) => return answer(&query),
        Err(error) => return refused(&error),
    };
    let global =
        GlobalArgs { color: ColorChoice::Auto, quiet: is_quiet(&arguments), verbose: arguments.verbosity };
    let messages = match messages(&arguments, global.quiet) {
        Ok(messages) => messages,
        Err(error) => {
            super::ui::fatal(&format!("can't write messages to the file of -E: {error}"));
            return Exit::SESSION.into();
        }
    };
    super::log(global.verbose, &messages);
    let context = Context::with_messages(&global, messages);
    let exit = super::work(&context, run(&context, &arguments, target.as_deref()));
    // Whatever went wrong here, ssh(1) has one number for it.
    match exit {
        Exit::Ok | Exit::Remote(_) => exit.into(),
        _ => Exit::SESSION.into(),
    }
}

fn answer(query: &str) -> ExitCode {
    let Some(names) = query::answer(query) else {
        super::ui::fatal(&format!("-Q {}: there is no such list (-Q help)", crate::clean::clean_line(query)));
        return Exit::SESSION.into();
    };
    let text: String = names.iter().map(|name| format!("{name}\n")).collect();
    // Nobody to tell where that can't be written.
    let _ = io::stdout().write_all(text.as_bytes());
    Exit::Ok.into()
}

fn refused(error: &ArgumentError) -> ExitCode {
    super::ui::fatal(&crate::clean::clean_line(&error.to_string()));
    let usage = "Usage: vmssh openssh [--target TARGET] [ssh(1)'s options] [USER@]HOST [COMMAND ...]";
    let _ = writeln!(io::stderr(), "{usage}");
    Exit::SESSION.into()
}

/// Whether nothing but the instance's own output is wanted (`-q`, `-o LogLevel=quiet`): the first word counts.
fn is_quiet(arguments: &Arguments) -> bool {
    let first = arguments.settings.iter().find_map(|setting| match setting {
        Setting::Letter("LogLevel", level) => Some(level.to_ascii_lowercase()),
        Setting::Letter(..) => None,
        Setting::Line(line) => {
            let line = line.to_ascii_lowercase();
            let rest = line.trim_start().strip_prefix("loglevel")?;
            Some(rest.trim_matches([' ', '\t', '=', '"']).to_owned())
        }
    });
    arguments.verbosity == 0 && first.as_deref() == Some("quiet")
}

fn messages(arguments: &Arguments, quiet: bool) -> io::Result<Messages> {
    match &arguments.log {
        _ if quiet => Ok(Messages::Nowhere),
        None => Ok(Messages::Stderr),
        Some(path) => {
            let file = OpenOptions::new().append(true).create(true).open(path)?;
            Ok(Messages::File(Arc::new(file)))
        }
    }
}

async fn run(context: &Context, arguments: &Arguments, target: Option<&OsStr>) -> Result<Exit, Error> {
    let sign_in = sign_in_args(arguments);
    let plain = Plain { context, host: &arguments.host, args: &sign_in };
    if arguments.action == Action::PrintOptions {
        let (host, planned) = plain.settings()?;
        let lines = print::lines(&arguments.host, &host, planned);
        return context.ui.write(|out| out.write_all(lines.as_bytes())).map(|()| Exit::Ok);
    }
    let access = async {
        match target {
            Some(target) => instance(context, arguments, &sign_in, target).await,
            None => plain.access().await,
        }
    };
    let access = context.unless_interrupted(access).await?;
    let environment = access.environments(context).into_iter().next();
    let Access { client, destinations, configs } = access;
    let nowhere = || Error::new(Kind::Usage, "there is nowhere to go");
    let destination = destinations.into_iter().next().ok_or_else(nowhere)?;
    let host = configs.into_iter().next().ok_or_else(nowhere)?;
    if host.flag(Keyword::FORK_AFTER_AUTHENTICATION) == Some(true) {
        return Err(Error::new(Kind::Usage, "option -f (ForkAfterAuthentication) is not supported")
            .hint("start it in the background: `... -N HOST &`"));
    }
    let ended = if let Some(place) = &arguments.stdio_forward {
        let place: Place = place
            .parse()
            .map_err(|error: crate::forward::ForwardError| Error::from_chain(Kind::Usage, &error))?;
        context.unless_interrupted(session::stdio(&client, &destination, &place)).await
    } else if host.session_type() == Some("none") {
        let wanted = Wanted::configured(&host);
        session::forward_only(context, &client, &destination, &wanted).await
    } else {
        let env = environment.map(|env| env.to_vec()).unwrap_or_default();
        let asked = asked(context, arguments, &host, env)?;
        Box::pin(session::session(context, &client, &destination, asked)).await.map(|end| exit(&end))
    };
    client.settle().await;
    ended
}

/// The exit status as ssh(1) has it: it does not tell by which signal a command ended.
fn exit(end: &ShellEnd) -> Exit {
    match end {
        ShellEnd::Exit(event::Exit::Signal(_)) | ShellEnd::Disconnected => Exit::SESSION,
        ShellEnd::Exit(exit) => Exit::Remote(exit.status()),
        ShellEnd::OutputClosed => Exit::Ok,
    }
}

/// What runs there, and what goes with it.
fn asked(
    context: &Context,
    arguments: &Arguments,
    host: &HostConfig,
    env: Vec<(String, String)>,
) -> Result<Asked, Error> {
    let start = start(arguments, host)?;
    let input = match host.flag(Keyword::STDIN_NULL) {
        Some(true) => Input::None,
        _ => Input::Ours,
    };
    Ok(Asked::new(context, start, session::Wish::Unsaid.or(host), input, host, env))
}

/// The command: words joined with blanks, for the shell over there to take apart again.
fn start(arguments: &Arguments, host: &HostConfig) -> Result<Start, Error> {
    let words: Option<Vec<&str>> = arguments.command.iter().map(|word| word.to_str()).collect();
    let words = words.ok_or_else(|| Error::new(Kind::Usage, "the command is not UTF-8"))?;
    let given = (!words.is_empty()).then(|| words.join(" "));
    let command = match (given, &host.remote_command) {
        (Some(_), Some(_)) => {
            return Err(Error::new(Kind::Usage, "there is a command, and RemoteCommand is one already")
                .hint("leave it out this once: `-o RemoteCommand=none`"));
        }
        (given, configured) => given.or_else(|| configured.clone()),
    };
    match (host.session_type(), command) {
        (Some("subsystem"), Some(name)) => Ok(Start::Subsystem(name)),
        (Some("subsystem"), None) => Err(Error::new(Kind::Usage, "-s needs the name of a subsystem")),
        (_, Some(command)) => Ok(Start::Command(command)),
        (_, None) => Ok(Start::Shell),
    }
}

/// The options as lines that go before the files.
fn sign_in_args(arguments: &Arguments) -> SignInArgs {
    let line = |setting: &Setting| match setting {
        Setting::Letter(name, value) => format!("{name} {}", quoted(value)),
        Setting::Line(line) => line.clone(),
    };
    SignInArgs {
        user: None,
        identity: Vec::new(),
        ask_password: false,
        password_file: None,
        host_keys: None,
        known_hosts: None,
        hash: false,
        connect_timeout: None,
        config_file: arguments.config.clone(),
        ssh_options: arguments.settings.iter().map(line).collect(),
    }
}

/// A value as a configuration's line has it, whatever is in it.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The way to an instance: the NAT map says what is dialled, and its key is filed under the instance.
async fn instance(
    context: &Context,
    arguments: &Arguments,
    sign_in: &SignInArgs,
    target: &OsStr,
) -> Result<Access, Error> {
    let line = TargetLine::try_parse_from([OsStr::new("--target"), target])
        .map_err(|error| Error::new(Kind::Usage, error.to_string().trim_end().to_owned()))?;
    let port: BackendPort =
        DEFAULT_BACKEND_PORT.parse().map_err(|_| Error::new(Kind::Other, "the backend port is no port"))?;
    let wanted = load::Wanted { depth: Depth::Identity, backend_port: Some(port) };
    let loaded = load::load(context, &line.target, wanted).await?;
    let is_it = |instance: &&crate::natmap::Instance| {
        let name = instance.name.as_deref();
        instance.id.to_string() == arguments.host
            || name.is_some_and(|name| name.eq_ignore_ascii_case(&arguments.host))
    };
    let Some(instance) = loaded.map.instances.iter().find(is_it) else {
        let (host, target) = (&arguments.host, target.to_string_lossy());
        return Err(Error::new(Kind::Usage, format!("{host} is no instance of {target}"))
            .hint(format!("`vmssh map {target}` shows them; without --target any host will do")));
    };
    let set: InstanceSet = instance.id.to_string().parse().map_err(|_| {
        Error::new(Kind::Other, format!("instance {} can't be selected by its id", instance.id))
    })?;
    load::say_warnings(context, &loaded.map, &set);
    let endpoints = one_per_instance(loaded.map.select(&set, Some(port))?);
    sign_in::access(context, &line.target, sign_in, &loaded, endpoints, Password::OnNeed).await
}
