//! `vmssh ssh`: a session on one instance.

use std::{io::Write as _, num::NonZeroU16, sync::Arc};

use clap::{ArgAction, Args};

use super::{
    args::{DEFAULT_BACKEND_PORT, TargetArgs},
    context::Context,
    error::{Error, Kind},
    exit::Exit,
    forward::ForwardArgs,
    load::{self, Loaded},
    session::{self, Asked, Input, Wish},
    sign_in::{self, Access, Password, SignInArgs},
    way::{self, WayArgs},
};
use crate::{
    azure::Depth,
    natmap::{
        BackendPort, Endpoint, FrontendPort, Host, Instance, InstanceSet, display_endpoints, one_per_instance,
    },
    openssh_config::{HostConfig, Keyword},
    script,
    ssh::{
        Client, Destination,
        shell::{ShellEnd, Start},
    },
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
        context.unless_interrupted(session::stdio(&client, &destination, place)).await
    } else if args.forward.no_shell || (given.is_none() && host.session_type() == Some("none")) {
        if args.forward.forward_agent {
            context.ui.warn("-A takes the agent to a shell or command, and with -N there is none");
        }
        let wanted = args.forward.wanted(&host).alone();
        session::forward_only(context, &client, &destination, &wanted).await
    } else {
        let asked = asked(context, &args, given, &host, environment)?;
        Box::pin(session::session(context, &client, &destination, asked)).await.map(exit)
    };
    client.settle().await;
    ended
}

/// The exit status of a session.
fn exit(end: ShellEnd) -> Exit {
    match end {
        ShellEnd::Exit(exit) => Exit::Remote(exit.status()),
        // It has said so itself, where the terminal could take it.
        ShellEnd::Disconnected => Exit::SESSION,
        ShellEnd::OutputClosed => Exit::Ok,
    }
}

/// What was asked for, by arguments and configuration.
fn asked(
    context: &Context,
    args: &SshArgs,
    given: Option<String>,
    host: &HostConfig,
    environment: Vec<(String, String)>,
) -> Result<Asked, Error> {
    let start = command(given, host)?.map_or(Start::Shell, Start::Command);
    let wish = match (args.no_tty, args.tty) {
        (true, _) => Wish::Never,
        (false, 0) => Wish::Unsaid.or(host),
        (false, 1) => Wish::Wanted,
        (false, 2..) => Wish::Forced,
    };
    let no_input = args.no_input || host.flag(Keyword::STDIN_NULL) == Some(true);
    let input = if no_input { Input::None } else { Input::Ours };
    // What the configuration sets wins over what is always sent.
    let is_new = |(name, _): &&(String, String)| !environment.iter().any(|(there, _)| there == name);
    let locale: Vec<_> = context.config.locale.iter().filter(is_new).cloned().collect();
    let env = environment.into_iter().chain(locale).collect();
    let mut asked = Asked::new(context, start, wish, input, host, env);
    if args.forward.forward_agent {
        asked.agent = context.config.agent_socket.clone();
        if asked.agent.is_none() {
            context.ui.warn("there is no agent to take along (SSH_AUTH_SOCK is not set)");
        }
    }
    asked.forwards = args.forward.wanted(host);
    asked.come_back = Some(again());
    Ok(asked)
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

/// How to come back: what was typed, to be typed again. There are no secrets in it, as none are taken there.
fn again() -> String {
    let words: Vec<_> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let words = shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default();
    format!("what ran there may have ended with the connection; a new one: `vmssh {words}`")
}
