//! The client that all connections of a run share, and how a connection comes about.

use std::{borrow::Cow, sync::Arc};

use russh::{
    Preferred, SshId,
    client::{self, Handle},
    keys::Algorithm,
};
use tokio_util::sync::CancellationToken;

use super::{
    ClientError, Destination, Login, LoginOptions, PasswordUse, Prompt, algorithms, auth,
    certificate::CertificateNames,
    forward::Incoming,
    greeting,
    handler::{Banners, Ending, Watch},
    known_hosts::ServerName,
    limit::Limit,
    person::Person,
    session::{Link, Session},
    shared::Shared,
    stage::{self, Progress},
    transport::{Cutter, Listening, Wire},
};
use crate::{
    clean::clean_line,
    event::{Failure, Stage},
    natmap::{Endpoint, HostKeyAlias},
    net::{connect, proxy_command::ProxyCommand, resolve::Resolver},
};

/// The window for shells and commands: 20 MB/s at a round trip of 100 ms, and little memory.
const WINDOW: u32 = 2 << 20;

/// Makes connections. Cheap to clone: clones share the known host keys, the keys that were decrypted
/// and the answers that were given.
#[derive(Clone)]
pub struct Client {
    pub(super) shared: Arc<Shared>,
    window: u32,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// A client that asks and tells this person.
    #[must_use]
    pub fn new(resolver: Resolver, prompt: Arc<dyn Prompt>) -> Self {
        Self { shared: Arc::new(Shared::new(resolver, Person::new(prompt))), window: WINDOW }
    }

    /// The same with another window for its connections: bytes that a server may send on a channel before it
    /// hears that they were taken, which is what can be under way on a long path. Files want more of it than
    /// commands.
    #[must_use]
    pub fn with_window(self, window: u32) -> Self {
        Self { window, ..self }
    }

    /// So many servers will be connected to. With more than one, new host keys are one question, and notes
    /// about them are told together at the end ([`Client::settle`]).
    pub fn expect(&self, servers: usize) {
        self.shared.reports.expect(servers);
    }

    /// Reads the known host keys and the key files, each file once for all logins. Pass phrases are asked
    /// when they are needed.
    ///
    /// # Errors
    /// When a known_hosts file or a key file that was named can't be used.
    pub async fn login(&self, options: LoginOptions) -> Result<Arc<Login>, ClientError> {
        let shared = self.shared.clone();
        match tokio::task::spawn_blocking(move || Login::read(&shared, options)).await {
            Ok(read) => read.map(Arc::new),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Connects and signs in.
    ///
    /// # Errors
    /// With the stage that failed, why, and what to do.
    pub async fn connect(&self, destination: &Destination) -> Result<Session, Failure> {
        let limit = Limit::new(destination.login.options.connect_timeout);
        let progress = Progress::default();
        tokio::select! {
            result = Box::pin(self.attempt(destination, &limit, &progress)) => result,
            () = limit.run_out() => Err(progress.timed_out(limit.whole())),
        }
    }

    /// Signs in to a server that is to carry others, and keeps that session for them.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn reach(&self, hop: &Arc<Destination>) -> Result<(), Failure> {
        self.carrier(hop).await.map(drop)
    }

    /// The session of a server that carries others, for something else to be asked over it.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn carrying(&self, hop: &Arc<Destination>) -> Result<Arc<Session>, Failure> {
        self.carrier(hop).await
    }

    /// The same sign-in for another user. A password that was given for the first one is not the other's: it is
    /// asked for.
    ///
    /// # Errors
    /// As [`login`](Self::login).
    pub async fn login_as(&self, login: &Login, user: String) -> Result<Arc<Login>, ClientError> {
        let options = login.options.clone();
        let password = match options.password {
            PasswordUse::Given(_) => PasswordUse::Ask,
            other => other,
        };
        self.login(LoginOptions { user, password, host_key_alias: None, ..options }).await
    }

    /// Waits until the connections that were dropped have said goodbye: a second at most for each,
    /// all at once. What is still on its way when the runtime ends is cut off. Sessions that only carried
    /// others are among them.
    pub async fn settle(&self) {
        self.shared.reports.tell(&self.shared.person);
        self.shared.forget_hops();
        self.shared.goodbyes.wait().await;
    }

    async fn attempt(
        &self,
        destination: &Destination,
        limit: &Arc<Limit>,
        progress: &Progress,
    ) -> Result<Session, Failure> {
        let Destination { endpoint, login, .. } = destination;
        let (wire, carrier) = self.wire(destination, limit, progress).await?;
        let cutter = Cutter::new(&wire).map_err(|e| stage::local_trouble(&e))?;
        progress.reach(Stage::Banner);
        tracing::debug!(%endpoint, "connected");

        let alias = destination.host_key_alias();
        let (name, label) = (server_name(&alias), label(endpoint, &alias));
        let server = label.clone();
        let config = config(&login.known_hosts.types(&name), &login.options, self.window);
        let certificates = CertificateNames::of(endpoint, login.options.host_key_alias.as_deref());
        let config = Arc::new(with_certificates(config, login.known_hosts.has_authority(&certificates)));
        let ending = Ending::default();
        let (incoming, ended) = (Arc::<Incoming>::default(), CancellationToken::new());
        let watch = Watch {
            shared: self.shared.clone(),
            login: login.clone(),
            name,
            label,
            endpoint: endpoint.clone(),
            limit: limit.clone(),
            checking_key: progress.checking_key.clone(),
            ending: ending.clone(),
            cut: cutter.token(),
            key_type: None,
            banners: Banners::default(),
            incoming: incoming.clone(),
            _alive: ended.clone().drop_guard(),
        };
        let stream = Listening::new(wire, progress.first.clone(), cutter.token());
        let handle: Handle<Watch> = client::connect_stream(config, stream, watch)
            .await
            .map_err(|error| stage::no_transport(error, progress))?;
        progress.reach(Stage::Auth);
        tracing::debug!(%endpoint, server = %greeting::identification(&progress.first.get()), "keys exchanged, host key accepted");

        // From here on the session's drop says goodbye, also when this future is dropped.
        let link = Link { handle, _cutter: cutter, _carrier: carrier, incoming, ended };
        let mut session = Session::new(self.shared.clone(), login.clone(), ending, link);
        auth::sign_in(&self.shared, &mut session, limit, &server, progress).await?;
        tracing::debug!(%endpoint, user = %login.options.user, "signed in");
        Ok(session)
    }

    /// The connection below SSH, and the session that carries it where there is one.
    async fn wire(
        &self,
        destination: &Destination,
        limit: &Arc<Limit>,
        progress: &Progress,
    ) -> Result<(Wire, Option<Arc<Session>>), Failure> {
        let endpoint = &destination.endpoint;
        if let (Some(proxy), None) = (&destination.proxy, &destination.via) {
            progress.reach(Stage::Connect);
            let program = ProxyCommand::start(&proxy.shell, &proxy.command)
                .map_err(|e| stage::local_trouble(&e).with_hint("ProxyCommand is started by $SHELL"))?;
            tracing::debug!(%endpoint, command = %clean_line(&proxy.command), "program started");
            return Ok((Wire::Program(program), None));
        }
        let Some(hop) = &destination.via else {
            progress.reach(Stage::Resolve);
            let addresses = self
                .shared
                .resolver
                .resolve(&endpoint.host)
                .await
                .map_err(|e| stage::unresolved(&e, &endpoint.host))?;
            progress.reach(Stage::Connect);
            tracing::debug!(%endpoint, ?addresses, "resolved");
            let stream = connect::connect(&addresses, endpoint.port.get(), limit.left())
                .await
                .map_err(|e| stage::unconnected(&e, limit.whole()))?;
            return Ok((Wire::Tcp(stream), None));
        };
        progress.reach(Stage::Connect);
        let carrier = {
            // It has a limit of its own, and others may be waiting for it too.
            let _pause = limit.pause();
            self.carrier(hop).await?
        };
        let channel = carrier.open_tunnel(endpoint).await?;
        tracing::debug!(%endpoint, via = %hop.endpoint, "carried");
        Ok((Wire::Tunnel(channel.into_stream()), Some(carrier)))
    }

    /// The session of a hop, which all who go that way share. One that has broken is made anew.
    async fn carrier(&self, hop: &Arc<Destination>) -> Result<Arc<Session>, Failure> {
        let shared = self.shared.hop(hop);
        let mut session = shared.session.lock().await;
        match &*session {
            Some(Ok(session)) if !session.is_closed() => return Ok(session.clone()),
            Some(Err(failure)) => return Err(failure.clone()),
            _ => {}
        }
        let connected = Box::pin(self.connect(hop)).await;
        let connected = connected.map(Arc::new).map_err(|failure| failure.on_the_way(&hop.endpoint));
        *session = Some(connected.clone());
        connected
    }
}

/// What people call the server: where its key is not filed under what was dialled, the instance and where that
/// was as well.
pub(super) fn label(endpoint: &Endpoint, alias: &HostKeyAlias) -> String {
    match &endpoint.instance {
        Some(instance) if *alias != endpoint.dialled_alias() => {
            format!("instance {instance} at {endpoint} ({alias})")
        }
        None if *alias != endpoint.dialled_alias() => format!("{endpoint} ({alias})"),
        _ => alias.to_string(),
    }
}

pub(super) fn server_name(alias: &HostKeyAlias) -> ServerName {
    let alias = alias.as_str().to_ascii_lowercase();
    // An instance that is known by its `vmId` is not whoever else has answered at that address.
    let bare = alias.strip_prefix('[').and_then(|rest| rest.rsplit_once("]:"));
    ServerName { bare: bare.map(|(host, _)| host.to_owned()), alias }
}

fn config(known_types: &[Algorithm], options: &LoginOptions, window: u32) -> client::Config {
    client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-vmssh_", env!("CARGO_PKG_VERSION")))),
        nodelay: true,
        keepalive_interval: options.keepalive.interval,
        keepalive_max: options.keepalive.most_unanswered,
        window_size: window,
        preferred: algorithms::preferred(known_types, &options.algorithms),
        ..client::Config::default()
    }
}

/// Host certificates are asked for before plain keys where somebody is trusted to sign them.
fn with_certificates(config: client::Config, has_authority: bool) -> client::Config {
    if !has_authority {
        return config;
    }
    let mut types: Vec<Algorithm> = config.preferred.key.to_vec();
    // There is one name for certificates of RSA keys for each hash, as for plain ones.
    types.dedup();
    let preferred = Preferred { host_key_certificates: Cow::Owned(types), ..config.preferred };
    client::Config { preferred, ..config }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_filed_as_openssh_files_them() {
        let endpoint = |port: u64| Endpoint {
            instance: None,
            name: None,
            vm_id: None,
            host: "Web.Example".parse().unwrap(),
            port: port.try_into().unwrap(),
        };
        let name = server_name(&endpoint(50000).host_key_alias());
        assert_eq!((name.alias.as_str(), name.bare.as_deref()), ("[web.example]:50000", Some("web.example")));
        assert_eq!(server_name(&endpoint(22).host_key_alias()).bare, None);
    }
}
