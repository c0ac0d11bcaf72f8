//! A host that is no instance of a scale set, looked up in the configuration as ssh(1) does.

use std::{collections::HashMap, path::Path, sync::Arc};

use super::{
    Access, Error, Here, Hops, Kind, Logins, Password, SignInArgs, config,
    plan::{Filing, Plan, Planner, Whose},
    prompt, proxy,
};
use crate::{
    cli::context::Context,
    natmap::{Endpoint, FrontendPort},
    net::resolve::Resolver,
    openssh_config::{Config, HostConfig, HostNameUse, Local, Lookup},
    ssh::{Client, Destination, KnownHostsFiles, PasswordUse},
};

/// SSH's own port.
const SSH_PORT: u16 = 22;

/// The user's files of known host keys (ssh_config(5), UserKnownHostsFile).
const USER_KNOWN_HOSTS: [&str; 2] = ["known_hosts", "known_hosts2"];

/// Settings as `ssh -G` prints them.
pub(in crate::cli) type Lines = Vec<(&'static str, String)>;

/// What is wanted of a host: its name as it was typed, and the options that go before the files.
pub(in crate::cli) struct Plain<'a> {
    pub(in crate::cli) context: &'a Context,
    pub(in crate::cli) host: &'a str,
    pub(in crate::cli) args: &'a SignInArgs,
}

impl Plain<'_> {
    /// How to get there.
    pub(in crate::cli) async fn access(&self) -> Result<Access, Error> {
        let context = self.context;
        let env = |name: &str| config::variable(context, name);
        let here = Here::new(context, &env);
        let (config, for_hops) = (self.config(&self.args.ssh_options)?, self.config(&[])?);
        let host = Arc::new(self.lookup(&config, here.local())?);
        let user = self.user(&host)?;
        let endpoint = endpoint(&host)?;
        let configs = vec![host.clone()];
        let client = Client::new(Resolver::new(super::family(context, &configs)), prompt(context, &configs));
        let mut logins = Logins {
            planner: self.planner(),
            client: &client,
            password: Password::OnNeed,
            given: PasswordUse::Never,
            made: HashMap::new(),
        };
        let login = logins.login(&host, user, Whose::Instance, None).await?;
        let via = Hops::new(&for_hops, here.local()).way(&host.jumps, &mut logins).await?;
        for note in logins.planner.notes.into_iter().chain(host.notes()) {
            tracing::debug!("{note}");
        }
        let proxy = proxy(context, &host);
        let destination = Destination { via, proxy, ..Destination::direct(endpoint, login) };
        Ok(Access { client, destinations: vec![destination], configs })
    }

    /// What the configuration says, and what is made of it.
    pub(in crate::cli) fn settings(&self) -> Result<(HostConfig, Lines), Error> {
        let env = |name: &str| config::variable(self.context, name);
        let here = Here::new(self.context, &env);
        let host = self.lookup(&self.config(&self.args.ssh_options)?, here.local())?;
        let plan: Plan = self.planner().plan(&host, self.user(&host)?, None)?;
        let lines = plan.lines();
        Ok((host, lines))
    }

    fn config(&self, options: &[String]) -> Result<Config, Error> {
        let file: Option<&Path> = self.args.config_file.as_deref();
        config::read(self.context, file, options)
    }

    fn lookup(&self, config: &Config, local: Local<'_>) -> Result<HostConfig, Error> {
        Ok(config.lookup(&Lookup {
            host: self.host,
            other_names: &[],
            host_name: HostNameUse::Dial,
            user: None,
            fallback_user: local.user,
            port: None,
            tag: None,
            local,
        })?)
    }

    fn user(&self, host: &HostConfig) -> Result<String, Error> {
        host.user.clone().or_else(|| self.context.config.user.clone()).ok_or_else(|| {
            Error::new(Kind::Usage, "there is no user name to sign in as").hint("give one: `-l NAME`")
        })
    }

    fn planner(&self) -> Planner<'_> {
        let folder = self.context.config.ssh_dir.iter();
        let also = folder.flat_map(|folder| USER_KNOWN_HOSTS.map(|name| folder.join(name))).collect();
        Planner {
            context: self.context,
            args: self.args,
            lab: None,
            known_hosts: KnownHostsFiles { own: "/dev/null".into(), also },
            filing: Filing::AsSsh,
            scale_set: None,
            notes: Vec::new(),
        }
    }
}

fn endpoint(host: &HostConfig) -> Result<Endpoint, Error> {
    let wrong = |error: &dyn std::error::Error| {
        Error::new(Kind::Usage, format!("can't go to {}", host.host)).caused_by(Some(error))
    };
    let port = u64::from(host.port.unwrap_or(SSH_PORT));
    Ok(Endpoint {
        instance: None,
        name: None,
        vm_id: None,
        host: host.host.parse().map_err(|error| wrong(&error))?,
        port: FrontendPort::try_from(port).map_err(|error| wrong(&error))?,
    })
}
