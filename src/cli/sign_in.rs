//! From the sign-in options, the surroundings and the target to an SSH client and its destinations.

mod config;
mod hop;
mod plain;
mod plan;

use std::{
    collections::{HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

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
    clean::clean_line,
    lab::Lab,
    natmap::{Endpoint, FrontendPort, Host},
    net::resolve::{Family, Resolver},
    openssh_config::{Config, HostConfig, HostNameUse, Keyword, Local, Lookup},
    ssh::{
        Client, Destination, KnownHostsFiles, Login, NewHostKey, PasswordUse, Prompt, Proxy, SecretString,
    },
};
use config::Here;
use hop::Hops;
pub(super) use plain::Plain;
use plan::{Filing, Plan, Planner, Whose};

/// A flaky path still connects within this, and an administrator in a hurry still waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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
    /// [default: the configuration's, else ask]
    #[arg(long, value_enum, value_name = "POLICY", help_heading = "Signing in")]
    pub(super) host_keys: Option<HostKeys>,
    /// The file of known host keys to use, and no other
    #[arg(long, value_name = "FILE", env = "VMSSH_KNOWN_HOSTS", help_heading = "Signing in")]
    pub(super) known_hosts: Option<PathBuf>,
    /// File new host keys under hashed names, as `HashKnownHosts` of OpenSSH does
    #[arg(long, help_heading = "Signing in")]
    pub(super) hash: bool,
    /// Time limit from the name to being signed in [default: the configuration's, else 10s]
    #[arg(long, value_name = "TIME", value_parser = duration::parse_limit, help_heading = "Signing in")]
    pub(super) connect_timeout: Option<Duration>,
    /// A file in the format of ssh_config(5) in place of ~/.ssh/config and the system's; `none` for none
    #[arg(short = 'F', long = "config-file", value_name = "FILE", help_heading = "Signing in")]
    pub(super) config_file: Option<PathBuf>,
    /// A line of ssh_config(5) that goes before the files: `--ssh-option 'Ciphers +aes128-cbc'`
    #[arg(long = "ssh-option", value_name = "OPTION", help_heading = "Signing in")]
    pub(super) ssh_options: Vec<String>,
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
    /// What the configuration says about each, in the same order.
    pub(super) configs: Vec<Arc<HostConfig>>,
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
    let settings = Settings::read(context, target, args, loaded).await?;
    let env = |name: &str| config::variable(context, name);
    let here = Here::new(context, &env);
    let mut found = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        let host = settings.lookup(&endpoint, here.local())?;
        let user = settings.user(&host)?;
        found.push((endpoint, Arc::new(host), user));
    }
    let configs: Vec<_> = found.iter().map(|(_, host, _)| host.clone()).collect();
    let prompt = prompt(context, &configs);
    let given = match &args.password_file {
        Some(_) => PasswordUse::Given(given_password(args).await?),
        None if args.ask_password => ask_password(&prompt, &users(&found)).await?,
        None => PasswordUse::Never,
    };
    let client = Client::new(Resolver::new(family(context, &configs)), prompt);
    let mut logins =
        Logins { planner: settings.planner()?, client: &client, password, given, made: HashMap::new() };
    let mut hops = Hops::new(&settings.for_hops, here.local());
    let mut destinations = Vec::with_capacity(found.len());
    for (endpoint, host, user) in found {
        let idle = settings.idle.get(&(endpoint.host.clone(), endpoint.port)).copied();
        let login = logins.login(&host, user, Whose::Instance, idle).await?;
        let via = hops.way(&host.jumps, &mut logins).await?;
        let proxy = proxy(context, &host);
        destinations.push(Destination { via, proxy, ..Destination::direct(endpoint, login) });
    }
    say(&configs, logins.planner.notes);
    Ok(Access { client, destinations, configs })
}

impl Access {
    /// The environment that is sent to each destination.
    pub(super) fn environments(&self, context: &Context) -> Vec<Arc<[(String, String)]>> {
        self.configs.iter().map(|host| host.environment(&context.config.environment).into()).collect()
    }
}

/// The settings that would be used for an endpoint, as `ssh -G` prints them: each keyword in lower case.
pub(super) async fn settings(
    context: &Context,
    target: &TargetArgs,
    args: &SignInArgs,
    loaded: &Loaded,
    endpoint: &Endpoint,
) -> Result<String, Error> {
    let settings = Settings::read(context, target, args, loaded).await?;
    let env = |name: &str| config::variable(context, name);
    let host = settings.lookup(endpoint, Here::new(context, &env).local())?;
    let user = settings.user(&host)?;
    let mut planner = settings.planner()?;
    let idle = settings.idle.get(&(endpoint.host.clone(), endpoint.port)).copied();
    let plan = planner.plan(&host, user, idle)?;
    let mut lines = vec![
        ("Host", endpoint.name.clone().unwrap_or_else(|| endpoint.host.to_string())),
        ("HostName", endpoint.host.to_string()),
        ("Port", endpoint.port.to_string()),
    ];
    lines.extend(plan.lines());
    let ours: HashSet<_> = lines.iter().map(|(name, _)| *name).collect();
    lines.extend(host.lines().into_iter().filter(|(name, _)| !ours.contains(name)));
    say(&[Arc::new(host)], planner.notes);
    Ok(lines.iter().map(|(name, value)| format!("{} {}\n", name.to_lowercase(), clean_line(value))).collect())
}

/// Everything that endpoints are looked up in.
struct Settings<'a> {
    context: &'a Context,
    target: &'a TargetArgs,
    args: &'a SignInArgs,
    loaded: &'a Loaded,
    config: Config,
    /// The same without what the command line says.
    for_hops: Config,
    /// After how long the load balancer forgets a silent connection, by what is dialled.
    idle: HashMap<(Host, FrontendPort), Duration>,
}

impl<'a> Settings<'a> {
    async fn read(
        context: &'a Context,
        target: &'a TargetArgs,
        args: &'a SignInArgs,
        loaded: &'a Loaded,
    ) -> Result<Self, Error> {
        // The lab is a world of its own.
        let file = if loaded.lab.is_some() { Some(Path::new("none")) } else { args.config_file.as_deref() };
        let config = config::read(context, file, &args.ssh_options)?;
        let for_hops =
            if args.ssh_options.is_empty() { config.clone() } else { config::read(context, file, &[])? };
        let idle = loaded.map.entries.iter().filter_map(|entry| {
            let minutes = entry.rule.idle_timeout_minutes?;
            let place = (entry.address.clone()?, entry.port);
            Some((place, Duration::from_secs(60 * u64::from(minutes))))
        });
        Ok(Self { context, target, args, loaded, config, for_hops, idle: idle.collect() })
    }

    /// What the configuration says about an endpoint: blocks for the frontend as it is dialled and for the instance's
    /// name are in force alike, in the order of the file.
    fn lookup(&self, endpoint: &Endpoint, local: Local<'_>) -> Result<HostConfig, Error> {
        let host = endpoint.host.to_string();
        let names: Vec<&str> = endpoint.name.as_deref().into_iter().collect();
        Ok(self.config.lookup(&Lookup {
            host: &host,
            other_names: &names,
            host_name: HostNameUse::LeaveOut,
            user: self.args.user.as_deref().or(self.target.target.user.as_deref()),
            fallback_user: self.fallback_user().unwrap_or_default(),
            port: Some(endpoint.port.get()),
            tag: None,
            local,
        })?)
    }

    fn fallback_user(&self) -> Option<&str> {
        let lab = self.loaded.lab.as_ref().map(|lab| lab.user());
        // The one user that Azure made there: likelier than one's own name here.
        lab.or(self.loaded.map.admin_username.as_deref()).or(self.context.config.user.as_deref())
    }

    fn user(&self, host: &HostConfig) -> Result<String, Error> {
        host.user.clone().or_else(|| self.fallback_user().map(str::to_owned)).ok_or_else(|| {
            Error::new(Kind::Usage, "there is no user name to sign in as").hint("give one: `-l NAME`")
        })
    }

    fn planner(&self) -> Result<Planner<'a>, Error> {
        Ok(Planner {
            context: self.context,
            args: self.args,
            lab: self.loaded.lab.as_deref(),
            known_hosts: known_hosts(
                self.context,
                self.args.known_hosts.as_ref(),
                self.loaded.lab.as_deref(),
            )?,
            scale_set: self.loaded.map.scale_set.as_ref().map(|set| set.name.clone()),
            filing: Filing::Own,
            notes: Vec::new(),
        })
    }
}

/// The logins of a run: one for all who are signed in to alike.
struct Logins<'a> {
    planner: Planner<'a>,
    client: &'a Client,
    password: Password,
    given: PasswordUse,
    made: HashMap<(Plan, Whose), Arc<Login>>,
}

impl Logins<'_> {
    async fn login(
        &mut self,
        host: &HostConfig,
        user: String,
        whose: Whose,
        idle: Option<Duration>,
    ) -> Result<Arc<Login>, Error> {
        let key = (self.planner.plan(host, user, idle)?, whose);
        if let Some(login) = self.made.get(&key) {
            return Ok(login.clone());
        }
        // The instances' password is no business of a server on the way.
        let given = if whose == Whose::Instance { &self.given } else { &PasswordUse::Never };
        let login = self.client.login(key.0.options(self.password, given)).await?;
        self.made.insert(key, login.clone());
        Ok(login)
    }
}

/// Asks nobody where that was said (`BatchMode`).
struct Nobody(TerminalPrompt);

impl Prompt for Nobody {
    fn secret(&self, _question: &str) -> io::Result<Option<SecretString>> {
        Ok(None)
    }

    fn trust_host_key(&self, _new: &NewHostKey) -> io::Result<bool> {
        Ok(false)
    }

    fn note(&self, text: &str) {
        self.0.note(text);
    }

    fn banner(&self, text: &str) {
        self.0.banner(text);
    }
}

fn prompt(context: &Context, configs: &[Arc<HostConfig>]) -> Arc<dyn Prompt> {
    let prompt = TerminalPrompt {
        ui: context.ui.clone(),
        interrupt: context.interrupt.clone(),
        askpass: context.config.askpass.clone(),
    };
    if configs.iter().any(|host| host.flag(Keyword::BATCH_MODE) == Some(true)) {
        return Arc::new(Nobody(prompt));
    }
    Arc::new(prompt)
}

/// A client for those who do not sign in.
pub(super) fn client(context: &Context) -> Client {
    Client::new(Resolver::new(Family::Any), prompt(context, &[]))
}

/// `AddressFamily`, where all agree on one.
fn family(context: &Context, configs: &[Arc<HostConfig>]) -> Family {
    let mut all = configs.iter().map(|host| host.address_family().unwrap_or("any"));
    let first = all.next().unwrap_or("any");
    if all.any(|other| other != first) {
        context.ui.warn("AddressFamily differs between these instances: any family is used");
        return Family::Any;
    }
    match first {
        "inet" => Family::V4,
        "inet6" => Family::V6,
        _ => Family::Any,
    }
}

/// The program that is the connection, where the configuration names one.
fn proxy(context: &Context, host: &HostConfig) -> Option<Proxy> {
    let command = host.proxy_command.clone()?;
    Some(Proxy { shell: shell(context), command })
}

/// The user's shell, which starts what the configuration names.
pub(super) fn shell(context: &Context) -> String {
    config::variable(context, "SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into())
}

fn users(found: &[(Endpoint, Arc<HostConfig>, String)]) -> String {
    let mut users: Vec<&str> = found.iter().map(|(.., user)| user.as_str()).collect();
    users.sort_unstable();
    users.dedup();
    users.join(", ")
}

/// Says under `--verbose` what the configuration has that is not used, each once.
fn say(configs: &[Arc<HostConfig>], mut notes: Vec<String>) {
    let mut seen: HashSet<String> = HashSet::new();
    for host in configs {
        for keyword in [Keyword::HOST_NAME, Keyword::PORT] {
            if let Some(place) = host.place(keyword) {
                let name = keyword.name();
                notes.push(format!("{place}: {name} is left out: the NAT map says what is dialled"));
            }
        }
        notes.extend(host.notes());
    }
    for note in notes.into_iter().filter(|note| seen.insert(note.clone())) {
        tracing::debug!("{note}");
    }
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

/// The files of known host keys: the given one, the lab's or vmssh's own with OpenSSH's.
pub(super) fn known_hosts(
    context: &Context,
    given: Option<&PathBuf>,
    lab: Option<&Lab>,
) -> Result<KnownHostsFiles, Error> {
    let only = given.cloned().or_else(|| lab.map(|lab| lab.known_hosts_file().to_owned()));
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
