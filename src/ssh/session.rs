//! A signed-in connection.

use std::{sync::Arc, time::Duration};

use russh::{
    Channel, ChannelOpenFailure, Disconnect,
    client::{Handle, Msg},
};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Login,
    forward::Incoming,
    greeting::quote,
    handler::{Ended, Ending, RESTARTED, Watch},
    shared::Shared,
    transport::Cutter,
};
use crate::{
    event::{Failure, Stage},
    natmap::Endpoint,
    net::connect::seconds,
};

/// Time for a polite end: a round trip to the other side of the world and a busy server.
pub(super) const GOODBYE: Duration = Duration::from_secs(1);

/// A signed-in connection to one instance. Dropping it ends it, politely within a second where the
/// runtime still runs ([`Client::settle`](super::Client::settle) waits for that).
pub struct Session {
    shared: Arc<Shared>,
    login: Arc<Login>,
    ending: Ending,
    /// Gone only while the session is being dropped.
    link: Option<Link>,
}

/// What a session is made of.
pub(super) struct Link {
    pub(super) handle: Handle<Watch>,
    /// Cuts the connection where nobody holds it any more.
    pub(super) _cutter: Cutter,
    /// The session that carries this one, which must outlive it.
    pub(super) _carrier: Option<Arc<Session>>,
    /// The channels that the server may open.
    pub(super) incoming: Arc<Incoming>,
    /// Cancelled when the connection has ended.
    pub(super) ended: CancellationToken,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, login: Arc<Login>, ending: Ending, link: Link) -> Self {
        Self { shared, login, ending, link: Some(link) }
    }

    /// How it was signed in to.
    pub(super) fn login(&self) -> &Arc<Login> {
        &self.login
    }

    pub(super) fn handle(&mut self) -> Result<&mut Handle<Watch>, Failure> {
        let lost = self.lost(Stage::Auth);
        self.link.as_mut().map(|link| &mut link.handle).ok_or(lost)
    }

    pub(super) fn handle_ref(&self) -> Option<&Handle<Watch>> {
        self.link.as_ref().map(|link| &link.handle)
    }

    /// The channels that the server may open.
    pub(super) fn incoming(&self) -> Option<&Arc<Incoming>> {
        self.link.as_ref().map(|link| &link.incoming)
    }

    /// Lets the instance use the agent at this socket (on Windows its named pipe), with a shell or command that
    /// is begun from now on. Whoever is root over there can use its keys as long as the session lasts.
    pub fn forward_agent(&self, socket: std::path::PathBuf) {
        if let Some(link) = &self.link {
            link.incoming.relay_agent(socket, link.handle.agent_session_binding().cloned());
        }
    }

    /// Whether the instance may.
    pub(super) fn forwards_agent(&self) -> bool {
        self.incoming().is_some_and(|incoming| incoming.relays_agent())
    }

    /// Something the person should know.
    pub(super) fn note(&self, text: &str) {
        self.shared.person.note(text);
    }

    /// Waits for the end of the connection.
    pub(super) async fn ended(&self) {
        if let Some(link) = &self.link {
            link.ended.cancelled().await;
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.handle_ref().is_none_or(Handle::is_closed)
    }

    /// True once the connection has ended, and not because it was left.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.ending.get().is_some()
    }

    /// Why the connection ended, if it has.
    pub(super) fn ending(&self) -> Option<String> {
        self.ending.get().map(|ended| ended.reason)
    }

    /// Opens a channel for a command or a shell. The caller must read it until it ends: the
    /// connection stands still when it is full.
    pub(crate) async fn open_channel(&self) -> Result<Channel<Msg>, Failure> {
        let Some(link) = &self.link else { return Err(self.lost(Stage::Channel)) };
        let limit = self.login.options.connect_timeout;
        match timeout(limit, link.handle.channel_open_session()).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => Err(refused(&reason)),
            Ok(Err(_)) => Err(self.lost(Stage::Channel)),
            Err(_) => Err(Failure::new(Stage::Channel, format!("no session within {}", seconds(limit)))
                .with_hint("the instance is overloaded or hangs: give it more time with --connect-timeout")),
        }
    }

    /// Opens a way through the instance to an endpoint, as seen from there.
    pub(super) async fn open_tunnel(&self, to: &Endpoint) -> Result<Channel<Msg>, Failure> {
        let Some(link) = &self.link else { return Err(self.lost(Stage::Connect)) };
        let limit = self.login.options.connect_timeout;
        let (host, port) = (to.host.to_string(), u32::from(to.port.get()));
        // Where a connection came from is for the server's log; it has none.
        let opening = link.handle.channel_open_direct_tcpip(host, port, "127.0.0.1", 0);
        match timeout(limit, opening).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => Err(no_tunnel(&reason, to)),
            Ok(Err(_)) => Err(self.lost(Stage::Connect)),
            Err(_) => Err(Failure::new(Stage::Connect, format!("no way through within {}", seconds(limit)))
                .with_hint("the jump host can't reach it: look with `vmssh probe --via`")),
        }
    }

    /// The failure for a connection that ended too early.
    pub(crate) fn lost(&self, stage: Stage) -> Failure {
        lost(&self.ending, stage)
    }

    /// The failure of a connection that ends while files are copied, for who outlives this value's borrow.
    pub(super) fn why_lost(&self) -> impl Fn() -> Failure + Send + 'static {
        let ending = self.ending.clone();
        move || lost(&ending, Stage::Copy)
    }

    /// What is said as the connection is left, which may outlive who wanted it by a second.
    pub(super) fn goodbyes(&self) -> TaskTracker {
        self.shared.goodbyes.clone()
    }

    /// Ends the connection politely, within a second.
    pub async fn close(mut self) {
        if let Some(link) = self.link.take() {
            goodbye(link).await;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(link) = self.link.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // Cut off at once, a command that was cancelled would never be told.
            self.shared.goodbyes.spawn_on(goodbye(link), &runtime);
        }
    }
}

async fn goodbye(mut link: Link) {
    let _ = timeout(GOODBYE, async {
        if link.handle.disconnect(Disconnect::ByApplication, "", "").await.is_ok() {
            // Ends when russh's task has written what was queued and closed the stream.
            let _ = (&mut link.handle).await;
        }
    })
    .await;
}

fn lost(ending: &Ending, stage: Stage) -> Failure {
    let (reason, hint) = match ending.get() {
        Some(Ended { reason, hint }) => (reason, hint),
        None => ("no reason given".into(), RESTARTED.into()),
    };
    Failure::new(stage, format!("connection lost ({reason})")).with_hint(hint)
}

fn why(reason: &ChannelOpenFailure) -> String {
    match reason {
        ChannelOpenFailure::AdministrativelyProhibited => "administratively prohibited".into(),
        ChannelOpenFailure::ConnectFailed => "connect failed".into(),
        ChannelOpenFailure::ResourceShortage => "resource shortage".into(),
        ChannelOpenFailure::UnknownChannelType => "unknown channel type".into(),
        ChannelOpenFailure::Other { reason, .. } => quote(reason),
    }
}

fn no_tunnel(reason: &ChannelOpenFailure, to: &Endpoint) -> Failure {
    let failure =
        Failure::new(Stage::Connect, format!("the jump host opens no way to {to} ({})", why(reason)));
    failure.with_hint(match reason {
        ChannelOpenFailure::AdministrativelyProhibited => {
            "its sshd forbids it: AllowTcpForwarding and PermitOpen in sshd_config"
        }
        _ => "seen from there nothing answers on that port: sshd, the NSG or the guest's firewall",
    })
}

fn refused(reason: &ChannelOpenFailure) -> Failure {
    let why = why(reason);
    Failure::new(Stage::Channel, format!("the server opens no session ({why})"))
        .with_hint("signed in, but not allowed to run anything: check MaxSessions in sshd_config and the instance's memory")
}
