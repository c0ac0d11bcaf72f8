//! What `ssh-config` and `inventory` have in common: from the target to hosts with names, and how they are
//! signed in to.

use std::path::{Path, PathBuf};

use clap::{Args, builder::NonEmptyStringValueParser};

use super::{
    args::{InstancesArgs, TargetArgs},
    context::Context,
    error::{Error, Kind},
    load::{self, Loaded},
    sign_in,
};
use crate::{
    azure::Depth,
    natmap::{NatMap, SelectError},
    report::hosts::{Access, ConfigPath, ConfigUser, Hosts, Names, Prefix, Unfit},
    target::Target,
};

/// Arguments of both.
#[derive(Debug, Args)]
pub(super) struct ViewArgs {
    #[command(flatten)]
    pub(super) target: TargetArgs,
    #[command(flatten)]
    pub(super) instances: InstancesArgs,
    /// The user to sign in as; also as USER@TARGET [default: the scale set's, where the target tells it]
    #[arg(short = 'l', long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), help_heading = "Signing in")]
    pub(super) user: Option<String>,
    /// A private key file; no other key is offered then
    #[arg(short, long, value_name = "FILE", help_heading = "Signing in")]
    pub(super) identity: Vec<PathBuf>,
    /// The file of known host keys to use, and no other
    #[arg(long, value_name = "FILE", env = "VMSSH_KNOWN_HOSTS", help_heading = "Signing in")]
    pub(super) known_hosts: Option<PathBuf>,
}

/// A target's map, the part that is wanted, and how to sign in.
pub(super) struct View {
    source: String,
    names: Names,
    part: NatMap,
    pub(super) access: Access,
}

impl View {
    /// The hosts; those that can't be some are told of on stderr.
    pub(super) fn hosts(&self, context: &Context) -> Result<Hosts<'_>, Error> {
        let hosts = Hosts::new(&self.source, &self.part, &self.names);
        if hosts.hosts.is_empty() {
            return Err(no_host(&hosts));
        }
        for without in &hosts.without {
            let id = &without.instance.id;
            context
                .ui
                .note(&format!("note: {} (instance {id}) is left out: {}", without.name, without.reason));
        }
        Ok(hosts)
    }
}

/// Reads the target and checks what was asked for.
pub(super) async fn view(context: &Context, args: &ViewArgs, prefix: Option<&Prefix>) -> Result<View, Error> {
    let port = args.instances.backend_port;
    let wanted = load::Wanted { depth: Depth::Full, backend_port: Some(port) };
    let loaded = load::load(context, &args.target, wanted).await?;
    let set = args.instances.instances.clone().unwrap_or_default();
    load::say_warnings(context, &loaded.map, &set);
    if loaded.lab.is_some() {
        context.ui.warn("this lab ends with this run, and what is printed leads nowhere then");
        context.ui.hint("`vmssh lab up` starts one that stays, and says which target it is");
    }
    // For its errors: it knows why nothing is left.
    loaded.map.select(&set, Some(port))?;
    Ok(View {
        source: source(&args.target.target.target),
        names: Names::new(&loaded.map, prefix),
        part: loaded.map.restricted_to(&set, Some(port))?,
        access: access(context, args, &loaded)?,
    })
}

/// The target as it was typed.
fn source(target: &Target) -> String {
    match target {
        Target::Range(range) => range.to_string(),
        Target::Saved(path) => format!("@{}", path.display()),
        Target::Stdin => "standard input".into(),
        Target::Lab => "a lab".into(),
        Target::Azure(set) => format!("{}/{}", set.group, set.name),
    }
}

fn access(context: &Context, args: &ViewArgs, loaded: &Loaded) -> Result<Access, Error> {
    let identities = match &loaded.lab {
        Some(lab) if args.identity.is_empty() => vec![lab.key_file().to_owned()],
        _ => args.identity.clone(),
    };
    for identity in identities.iter().filter(|path| !path.exists()) {
        context.ui.warn(&format!("there is no file {}", identity.display()));
    }
    let known = sign_in::known_hosts(context, args.known_hosts.as_ref(), loaded.lab.as_deref())?;
    let known: Vec<_> = std::iter::once(known.own).chain(known.also).collect();
    Ok(Access {
        user: user(context, args, loaded)?,
        identities: identities.iter().map(|path| config_path(path)).collect::<Result<_, _>>()?,
        known_hosts: known.iter().map(|path| config_path(path)).collect::<Result<_, _>>()?,
    })
}

/// The user that was given, else the one that Azure made, unless that is none that can be written.
fn user(context: &Context, args: &ViewArgs, loaded: &Loaded) -> Result<Option<ConfigUser>, Error> {
    let given = args.user.as_ref().or(args.target.target.user.as_ref());
    if let Some(name) = given {
        return Ok(Some(ConfigUser::new(name)?));
    }
    let made = match &loaded.lab {
        Some(lab) => Some(lab.user()),
        None => loaded.map.admin_username.as_deref(),
    };
    Ok(made.and_then(|name| match ConfigUser::new(name) {
        Ok(user) => Some(user),
        Err(unfit) => {
            context.ui.warn(&format!("the scale set's user is left out: {unfit}"));
            None
        }
    }))
}

/// Programs that read the configuration stand elsewhere.
fn config_path(path: &Path) -> Result<ConfigPath, Error> {
    let absolute = std::path::absolute(path).map_err(|error| {
        Error::new(Kind::Usage, format!("can't tell where {} is", path.display())).caused_by(Some(&error))
    })?;
    Ok(ConfigPath::new(&absolute)?)
}

/// Why there is nothing to write.
fn no_host(hosts: &Hosts<'_>) -> Error {
    match hosts.without.first() {
        Some(without) => {
            let message = format!("no instance can be a host; {}: {}", without.name, without.reason);
            Error::new(Kind::Target, message).hint("`vmssh map TARGET` shows what is known")
        }
        None => SelectError::OnlyPossible("any".into()).into(),
    }
}

impl From<Unfit> for Error {
    fn from(unfit: Unfit) -> Self {
        Self::from_chain(Kind::Usage, &unfit)
    }
}
