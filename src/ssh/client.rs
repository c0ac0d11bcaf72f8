//! The client that all connections of a run share, and how a connection comes about.

use std::{borrow::Cow, sync::Arc};

use russh::{
    Preferred, SshId, cipher,
    client::{self, Handle},
    keys::Algorithm,
};

use super::{
    ClientError, Destination, Login, LoginOptions, Prompt, auth, greeting,
    handler::{Ending, Watch},
    known_hosts::ServerName,
    limit::Limit,
    person::Person,
    session::{Link, Session},
    shared::Shared,
    stage::{self, Progress},
    transport::{Cutter, Listening, Wire},
};
use crate::{
    event::{Failure, Stage},
    natmap::Endpoint,
    net::{connect, resolve::Resolver},
};

/// The window for shells and commands: 20 MB/s at a round trip of 100 ms, and little memory.
const WINDOW: u32 = 2 << 20;

/// Makes connections. Cheap to clone: clones share the known host keys, the keys that were decrypted
/// and the answers that were given.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
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
            () = limit.run_out() => Err(stage::timed_out(progress.stage(), limit.whole())),
        }
    }

    /// Waits until the connections that were dropped have said goodbye: a second at most for each,
    /// all at once. What is still on its way when the runtime ends is cut off. Sessions that only carried
    /// others are among them.
    pub async fn settle(&self) {
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

        let name = server_name(endpoint);
        let label = label(endpoint);
        let server = label.clone();
        let config = Arc::new(config(&login.known_hosts.types(&name), &login.options, self.window));
        let ending = Ending::default();
        let watch = Watch {
            shared: self.shared.clone(),
            login: login.clone(),
            name,
            label,
            limit: limit.clone(),
            checking_key: progress.checking_key.clone(),
            ending: ending.clone(),
            cut: cutter.token(),
        };
        let stream = Listening::new(wire, progress.first.clone(), cutter.token());
        let handle: Handle<Watch> = client::connect_stream(config, stream, watch)
            .await
            .map_err(|error| stage::no_transport(error, progress))?;
        progress.reach(Stage::Auth);
        tracing::debug!(%endpoint, server = %greeting::identification(&progress.first.get()), "keys exchanged, host key accepted");

        // From here on the session's drop says goodbye, also when this future is dropped.
        let link = Link { handle, _cutter: cutter, _carrier: carrier };
        let mut session = Session::new(self.shared.clone(), login.clone(), ending, link);
        auth::sign_in(&self.shared, &mut session, limit, &server).await?;
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

/// What people call the server: where its key is filed under a GUID, the instance and where it was dialled
/// as well.
fn label(endpoint: &Endpoint) -> String {
    let alias = endpoint.host_key_alias();
    match (&endpoint.vm_id, &endpoint.instance) {
        (Some(_), Some(instance)) => format!("instance {instance} at {endpoint} ({alias})"),
        _ => alias.to_string(),
    }
}

fn server_name(endpoint: &Endpoint) -> ServerName {
    let alias = endpoint.host_key_alias().as_str().to_ascii_lowercase();
    // An instance that is known by its `vmId` is not whoever else has answered at that address.
    let bare = endpoint.vm_id.is_none().then(|| endpoint.host.to_string().to_ascii_lowercase());
    ServerName { bare: bare.filter(|bare| *bare != alias), alias }
}

fn config(known_types: &[Algorithm], options: &LoginOptions, window: u32) -> client::Config {
    client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-vmssh_", env!("CARGO_PKG_VERSION")))),
        nodelay: true,
        keepalive_interval: options.keepalive.interval,
        keepalive_max: options.keepalive.most_unanswered,
        window_size: window,
        preferred: Preferred {
            key: Cow::Owned(host_key_order(known_types)),
            // AES has an instruction of its own on both sides nearly everywhere: a third of the CPU.
            cipher: Cow::Borrowed(&[
                cipher::AES_256_GCM,
                cipher::AES_128_GCM,
                cipher::CHACHA20_POLY1305,
                cipher::AES_256_CTR,
                cipher::AES_192_CTR,
                cipher::AES_128_CTR,
            ]),
            ..Preferred::default()
        },
        ..client::Config::default()
    }
}

/// The types that are known for the server first, so that it shows a key that can be compared. RSA
/// with SHA-1 is not among them.
fn host_key_order(known: &[Algorithm]) -> Vec<Algorithm> {
    let is_known = |algorithm: &Algorithm| match algorithm {
        Algorithm::Rsa { .. } => known.iter().any(|k| matches!(k, Algorithm::Rsa { .. })),
        other => known.contains(other),
    };
    let usable =
        Preferred::DEFAULT.key.iter().filter(|a| !matches!(a, Algorithm::Rsa { hash: None })).cloned();
    let (mut first, rest): (Vec<_>, Vec<_>) = usable.partition(is_known);
    first.extend(rest);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_types_of_host_keys_are_asked_for_first() {
        let names = |known: &[Algorithm]| {
            host_key_order(known).iter().map(|a| a.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&[])[0], "ssh-ed25519");
        assert_eq!(
            names(&[Algorithm::Rsa { hash: None }])[..3],
            ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]
        );
        assert!(!names(&[Algorithm::Rsa { hash: None }]).contains(&"ssh-rsa".to_owned()));
        assert_eq!(names(&[]).len(), 6);
    }

    #[test]
    fn keys_are_filed_as_openssh_files_them() {
        let endpoint = |port: u64| Endpoint {
            instance: None,
            name: None,
            vm_id: None,
            host: "Web.Example".parse().unwrap(),
            port: port.try_into().unwrap(),
        };
        let name = server_name(&endpoint(50000));
        assert_eq!((name.alias.as_str(), name.bare.as_deref()), ("[web.example]:50000", Some("web.example")));
        assert_eq!(server_name(&endpoint(22)).bare, None);
    }
}
