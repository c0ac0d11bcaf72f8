//! From the sign-in options, the surroundings and the target to an SSH client and its destinations.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::{Args, ValueEnum, builder::NonEmptyStringValueParser};

use super::{
    args::TargetArgs,
    context::Context,
    duration,
    error::{Error, Kind},
    load::Loaded,
    password_file,
    prompt::TerminalPrompt,
};
use crate::{
    natmap::Endpoint,
    net::resolve::{Family, Resolver},
    ssh::{
        Client, Destination, HostKeyPolicy, KnownHostsFiles, LoginOptions, PasswordUse, Prompt, SecretString,
    },
};

/// A flaky path still connects within this, and an administrator in a hurry still waits for it.
const DEFAULT_CONNECT_TIMEOUT: &str = "10s";

/// How to sign in.
#[derive(Debug, Clone, Args)]
pub(super) struct SignInArgs {
    /// The user to sign in as; also as USER@TARGET [default: the scale set's administrator where Azure tells it, else
    /// your own name]
    #[arg(short = 'l', long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), help_heading = "Signing in")]
    pub(super) user: Option<String>,
    /// A private key file; tried first, before the agent's and the default keys
    #[arg(short, long, value_name = "FILE", help_heading = "Signing in")]
    pub(super) identity: Vec<PathBuf>,
    /// Ask for a password first, for when no key is taken
    #[arg(long, help_heading = "Signing in")]
    pub(super) ask_password: bool,
    /// Read the password from the first line of a file, for when no key is taken; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "ask_password", help_heading = "Signing in")]
    pub(super) password_file: Option<PathBuf>,
    /// What to do with a host key that is not known yet; a changed one is always refused
    #[arg(long, value_enum, default_value = "ask", value_name = "POLICY", help_heading = "Signing in")]
    pub(super) host_keys: HostKeys,
    /// The file of known host keys to use, and no other
    #[arg(long, value_name = "FILE", env = "VMSSH_KNOWN_HOSTS", help_heading = "Signing in")]
    pub(super) known_hosts: Option<PathBuf>,
    /// Time limit from the name to being signed in
    #[arg(long, value_name = "TIME", default_value = DEFAULT_CONNECT_TIMEOUT, value_parser = duration::parse_limit, help_heading = "Signing in")]
    pub(super) connect_timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum HostKeys {
    /// Show it and ask
    Ask,
    /// Take it and say so
    AcceptNew,
    /// Refuse it
    Strict,
}

/// The default keys, in OpenSSH's order of strength (ssh(1), IdentityFile).
const DEFAULT_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// When a password may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Password {
    /// At the moment a server wants one: one instance, one person.
    OnNeed,
    /// Only with `--ask-password`: a fan-out must not stop at a question.
    IfToldSo,
}

/// A client, and where it is to go.
pub(super) struct Access {
    /// Makes the sessions.
    pub(super) client: Client,
    /// Where to, in the order of the endpoints that were asked for.
    pub(super) destinations: Vec<Destination>,
}

/// Finds out how to sign in on endpoints. Keys that need a pass phrase are asked for when they are needed.
pub(super) async fn access(
    context: &Context,
    target: &TargetArgs,
    args: &SignInArgs,
    loaded: &Loaded,
    endpoints: Vec<Endpoint>,
    password: Password,
) -> Result<Access, Error> {
    let prompt: Arc<dyn Prompt> = Arc::new(TerminalPrompt {
        ui: context.ui.clone(),
        interrupt: context.interrupt.clone(),
        askpass: context.config.askpass.clone(),
    });
    let user = user(context, target, args, loaded)?;
    let password = match password {
        _ if args.password_file.is_some() => PasswordUse::Given(given_password(args).await?),
        _ if args.ask_password => ask_password(&prompt, &user).await?,
        Password::OnNeed => PasswordUse::Ask,
        Password::IfToldSo => PasswordUse::Never,
    };
    let (identity_files, default_keys, agent_socket) = keys(context, args, loaded);
    let known_hosts = known_hosts(context, args.known_hosts.as_ref(), loaded)?;
    let options = LoginOptions {
        identity_files,
        default_keys,
        agent_socket,
        password,
        host_keys: match args.host_keys {
            HostKeys::Ask => HostKeyPolicy::Ask,
            HostKeys::AcceptNew => HostKeyPolicy::AcceptNew,
            HostKeys::Strict => HostKeyPolicy::Strict,
        },
        connect_timeout: args.connect_timeout,
        ..LoginOptions::new(user, known_hosts)
    };
    let client = Client::new(Resolver::new(Family::Any), prompt);
    let login = client.login(options).await?;
    let to = |endpoint| Destination::direct(endpoint, login.clone());
    Ok(Access { destinations: endpoints.into_iter().map(to).collect(), client })
}

fn user(context: &Context, target: &TargetArgs, args: &SignInArgs, loaded: &Loaded) -> Result<String, Error> {
    args.user
        .clone()
        .or_else(|| target.target.user.clone())
        .or_else(|| loaded.lab.as_ref().map(|lab| lab.user().to_owned()))
        // The one user that Azure made there: likelier than one's own name here.
        .or_else(|| loaded.map.admin_username.clone())
        .or_else(|| context.config.user.clone())
        .ok_or_else(|| {
            Error::new(Kind::Usage, "there is no user name to sign in as").hint("give one: `-l NAME`")
        })
}

/// The password of `--password-file`. Reading blocks: it may be a pipe.
async fn given_password(args: &SignInArgs) -> Result<SecretString, Error> {
    let path = args.password_file.clone().unwrap_or_default();
    tokio::task::spawn_blocking(move || password_file::read(&path))
        .await
        .map_err(|error| Error::from_chain(Kind::Other, &error))?
}

async fn ask_password(prompt: &Arc<dyn Prompt>, user: &str) -> Result<PasswordUse, Error> {
    let (prompt, question) = (prompt.clone(), format!("Password of {user}: "));
    let answer = tokio::task::spawn_blocking(move || prompt.secret(&question))
        .await
        .map_err(|error| Error::from_chain(Kind::Other, &error))?
        .map_err(|error| Error::new(Kind::Other, "can't ask for the password").caused_by(Some(&error)))?;
    answer.map(PasswordUse::Given).ok_or_else(|| {
        Error::new(Kind::Usage, "there is no terminal to ask for the password on")
            .hint("sign in with a key: `-i FILE`")
    })
}

/// The lab takes its own key and no other, so no other is shown to it.
fn keys(
    context: &Context,
    args: &SignInArgs,
    loaded: &Loaded,
) -> (Vec<PathBuf>, Vec<PathBuf>, Option<PathBuf>) {
    match &loaded.lab {
        Some(lab) if args.identity.is_empty() => (vec![lab.key_file().to_owned()], Vec::new(), None),
        _ => {
            let defaults =
                context.config.ssh_dir.iter().flat_map(|dir| DEFAULT_KEYS.map(|key| dir.join(key)));
            (args.identity.clone(), defaults.collect(), context.config.agent_socket.clone())
        }
    }
}

/// The files of known host keys: the given one, the lab's or vmssh's own with OpenSSH's.
pub(super) fn known_hosts(
    context: &Context,
    given: Option<&PathBuf>,
    loaded: &Loaded,
) -> Result<KnownHostsFiles, Error> {
    let only = given.cloned().or_else(|| loaded.lab.as_ref().map(|lab| lab.known_hosts_file().to_owned()));
    if let Some(own) = only {
        return Ok(KnownHostsFiles { own, also: Vec::new() });
    }
    let own = context.config.known_hosts.clone().ok_or_else(|| {
        Error::new(Kind::Usage, "there is no home folder to keep known host keys in")
            .hint("name a file: `--known-hosts FILE`")
    })?;
    let also = context.config.ssh_dir.iter().map(|dir| dir.join("known_hosts")).collect();
    Ok(KnownHostsFiles { own, also })
}
