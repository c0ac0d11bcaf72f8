//! Servers to jump over.

use std::{collections::HashMap, sync::Arc};

use super::{Logins, plan::Whose, proxy};
use crate::{
    cli::error::{Error, Kind},
    natmap::Endpoint,
    openssh_config::{Config, HostNameUse, Jump, Local, Lookup},
    ssh::Destination,
};

/// The ways over other servers, each made once: those who share one share its session.
pub(super) struct Hops<'a> {
    /// The configuration without what the command line says, which is meant for the instances.
    pub(super) config: &'a Config,
    pub(super) local: Local<'a>,
    made: HashMap<Vec<Jump>, Arc<Destination>>,
}

impl<'a> Hops<'a> {
    pub(super) fn new(config: &'a Config, local: Local<'a>) -> Self {
        Self { config, local, made: HashMap::new() }
    }

    /// The way over these servers, the first to go to first; `None` where there are none. Each is looked up in the
    /// configuration, and the first may stand behind others that are named there.
    pub(super) async fn way(
        &mut self,
        jumps: &[Jump],
        logins: &mut Logins<'_>,
    ) -> Result<Option<Arc<Destination>>, Error> {
        let mut chain = jumps.to_vec();
        // What the first one stands behind comes before it, and so on.
        let mut asked = Vec::new();
        while let Some(first) = chain.first().cloned() {
            if asked.contains(&first) {
                return Err(circle(&asked, &first));
            }
            let before = self.lookup(&first)?.jumps;
            asked.push(first);
            if before.is_empty() {
                break;
            }
            chain.splice(0..0, before);
        }
        let mut way = None;
        for length in 1..=chain.len() {
            let part = chain.get(..length).unwrap_or_default();
            way = match (self.made.get(part), part.last()) {
                (Some(made), _) => Some(made.clone()),
                (None, Some(last)) => {
                    let made = Arc::new(self.hop(last, way, logins).await?);
                    self.made.insert(part.to_vec(), made.clone());
                    Some(made)
                }
                (None, None) => way,
            };
        }
        Ok(way)
    }

    async fn hop(
        &self,
        jump: &Jump,
        via: Option<Arc<Destination>>,
        logins: &mut Logins<'_>,
    ) -> Result<Destination, Error> {
        let config = self.lookup(jump)?;
        let host = config.host.parse().map_err(|error| {
            Error::new(Kind::Usage, format!("can't jump over {}", jump.host)).caused_by(Some(&error))
        })?;
        let port = u64::from(config.port.unwrap_or(22)).try_into().map_err(|error| {
            Error::new(Kind::Usage, format!("can't jump over {}", jump.host)).caused_by(Some(&error))
        })?;
        let user = config.user.clone().unwrap_or_else(|| self.local.user.to_owned());
        let login = logins.login(&config, user, Whose::Hop, None).await?;
        let endpoint = Endpoint { instance: None, name: None, vm_id: None, host, port };
        let proxy = proxy(logins.planner.context, &config);
        Ok(Destination { via, proxy, ..Destination::direct(endpoint, login) })
    }

    fn lookup(&self, jump: &Jump) -> Result<crate::openssh_config::HostConfig, Error> {
        Ok(self.config.lookup(&Lookup {
            host: &jump.host,
            other_names: &[],
            host_name: HostNameUse::Dial,
            user: jump.user.as_deref(),
            fallback_user: self.local.user,
            port: jump.port.map(crate::natmap::FrontendPort::get),
            tag: None,
            local: self.local,
        })?)
    }
}

fn circle(asked: &[Jump], again: &Jump) -> Error {
    let names: Vec<_> = asked.iter().chain([again]).map(|jump| jump.host.as_str()).collect();
    Error::new(Kind::Usage, format!("ProxyJump leads in a circle: {}", names.join(" stands behind ")))
        .hint("say `ProxyJump none` in a block of the first one's own, before the one that names it")
}
