//! Forwards over a session: ports and sockets of one side that lead to the other, and the agent.
//!
//! They take a session of their own: what a person's terminal holds up must not hold up a forward, nor the
//! other way round, and russh has one loop for a session. Only the agent's channels, which carry little, are
//! on the session that asked for them.

mod board;
mod incoming;
mod listen;
mod local;
mod open;
mod room;
mod socks;
mod stream;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::mpsc, task::JoinSet, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{
    board::{Board, Lane},
    room::{Alone, Streams},
    stream::Cut,
};
use super::Session;
use crate::{
    event::{Failure, Stage},
    forward::{BindAddress, Forward, Listen, Place, Side},
    net::connect::{cause, seconds},
};

pub(super) use self::incoming::Incoming;
pub use self::{board::Notes, listen::Gateway, open::NoWay};

/// Forwarded connections of a session at once. A browser opens some hundreds; each takes a descriptor here and
/// one on the instance, where 1024 are usual.
const MOST: usize = 1000;

/// How long a server may take to say whether it listens.
const REPLY_LIMIT: Duration = Duration::from_secs(30);

/// What is to be forwarded.
#[derive(Debug, Clone, Default)]
pub struct ForwardPlan {
    /// The forwards, in the order in which they are set up.
    pub forwards: Vec<Forward>,
    /// Who may use those of this side that name no address.
    pub gateway: Gateway,
}

/// Forwards that work. They end when this is dropped, or with their session.
pub struct Forwards {
    session: Arc<Session>,
    board: Arc<Board>,
    _listeners: JoinSet<()>,
    _stop: DropGuard,
}

impl std::fmt::Debug for Forwards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Forwards")
    }
}

impl Forwards {
    /// Sets forwards up on a session that nothing else uses. Those that can't be are told with their reasons;
    /// the others work. `notes` hears what goes wrong later, each cause once for each forward.
    pub async fn open(session: Arc<Session>, plan: &ForwardPlan, notes: Notes) -> (Self, Vec<Failure>) {
        let remote = plan.forwards.iter().any(|forward| forward.side == Side::Remote);
        let streams = Streams::new(MOST, if remote { Alone::IsCut } else { Alone::Waits });
        let stop = CancellationToken::new();
        let board = Arc::new(Board::new(notes));
        let mut listeners = JoinSet::new();
        let mut failures = Vec::new();
        for forward in &plan.forwards {
            let lane = |forward| Lane::new(forward, &session, &board, &streams, &stop);
            let set_up = match forward.side {
                Side::Local => local(forward, plan.gateway, lane, &mut listeners).await,
                Side::Remote => session.listen_there(forward, lane).await,
            };
            failures.extend(set_up.err());
        }
        let forwards = Self { session, board, _listeners: listeners, _stop: stop.drop_guard() };
        (forwards, failures)
    }

    /// What is forwarded, a line for each.
    pub fn list(&self) -> impl Fn() -> Vec<String> + Send + Sync + 'static {
        let board = self.board.clone();
        move || board.list()
    }

    /// Waits until the session is lost, and tells why.
    pub async fn lost(&self) -> Failure {
        self.session.ended().await;
        self.session.lost(Stage::Channel)
    }

    /// What went wrong more often than it was said.
    #[must_use]
    pub fn repeated(&self) -> Vec<String> {
        self.board.repeated()
    }
}

async fn local(
    forward: &Forward,
    gateway: Gateway,
    lane: impl Fn(Forward) -> Arc<Lane>,
    tasks: &mut JoinSet<()>,
) -> Result<(), Failure> {
    let bound = listen::bind(&forward.listen, gateway).await;
    let (listeners, port) = bound.map_err(|error| not_listening(forward, &error))?;
    let lane = lane(port.map_or_else(|| forward.clone(), |port| forward.with_port(port)));
    if let (Listen::Port { port: 0, .. }, Some(port)) = (&forward.listen, port) {
        lane.note(&format!("{forward} listens on port {port}"));
    }
    for listener in listeners {
        tasks.spawn(local::accept(listener, lane.clone()));
    }
    Ok(())
}

fn not_listening(forward: &Forward, error: &std::io::Error) -> Failure {
    use std::io::ErrorKind;

    let failure = Failure::new(Stage::Channel, format!("{forward}: can't listen there: {}", cause(error)));
    match (error.kind(), &forward.listen) {
        (ErrorKind::AddrInUse, Listen::Port { port, .. }) => failure.with_hint(format!(
            "another program has the port (`ss -ltnp sport = :{port}` names it): take another"
        )),
        (ErrorKind::PermissionDenied, Listen::Port { .. }) => {
            failure.with_hint("ports below 1024 are the system's: take a higher one")
        }
        (ErrorKind::AlreadyExists, Listen::Socket(path)) => failure.with_hint(format!(
            "if no program uses it any more: `rm {}`",
            shlex::try_quote(path).unwrap_or_default()
        )),
        (_, Listen::Port { .. }) => {
            failure.with_hint("it must be an address of this machine: `ip address` shows them")
        }
        (_, Listen::Socket(_)) => failure.with_hint("its folder must be there and yours to write in"),
    }
}

impl Session {
    /// Asks the instance to listen.
    async fn listen_there(
        self: &Arc<Self>,
        forward: &Forward,
        lane: impl Fn(Forward) -> Arc<Lane>,
    ) -> Result<(), Failure> {
        let lost = || self.lost(Stage::Channel);
        let (handle, incoming) = self.handle_ref().zip(self.incoming()).ok_or_else(lost)?;
        let lane = lane(forward.clone());
        // Expected before it is asked for: the first connection may follow on the heels of the answer.
        let (asked, expected) = match &forward.listen {
            Listen::Port { at, port } => {
                let address = there(at);
                let expected = incoming.expect_port(address, *port, lane.clone());
                let asked = timeout(REPLY_LIMIT, handle.tcpip_forward(address, u32::from(*port))).await;
                (asked, expected)
            }
            Listen::Socket(path) => {
                let expected = incoming.expect_socket(path, lane.clone());
                let asked = timeout(REPLY_LIMIT, handle.streamlocal_forward(path)).await;
                (asked.map(|asked| asked.map(|()| 0)), expected)
            }
        };
        match asked {
            Ok(Ok(chosen)) => {
                if let (Ok(chosen @ 1..), Listen::Port { port: 0, .. }) =
                    (u16::try_from(chosen), &forward.listen)
                {
                    incoming.chosen(expected, chosen);
                    lane.listens_on(chosen);
                    lane.note(&format!("{forward} listens on port {chosen} of the instance"));
                }
                return Ok(());
            }
            Ok(Err(russh::Error::RequestDenied)) => lane.withdraw(),
            Ok(Err(_)) => return Err(lost()),
            Err(_) => {
                lane.withdraw();
                incoming.forget(expected);
                let limit = seconds(REPLY_LIMIT);
                return Err(Failure::new(Stage::Channel, format!("{forward}: no answer within {limit}"))
                    .with_hint("the instance hangs or is overloaded: look with `vmssh probe`"));
            }
        }
        incoming.forget(expected);
        Err(Failure::new(Stage::Channel, format!("{forward}: the server does not listen there")).with_hint(
            "the port is taken there (`ss -ltn` on the instance), or its sshd forbids it: AllowTcpForwarding, \
             AllowStreamLocalForwarding, PermitListen in sshd_config",
        ))
    }

    /// Joins one connection from the instance to a pair of streams, as `ssh -W` does, and ends with it.
    ///
    /// # Errors
    /// When the instance can't connect there, or the session is lost.
    pub async fn join(
        self: &Arc<Self>,
        to: &Place,
        input: mpsc::Receiver<Bytes>,
        output: mpsc::Sender<Bytes>,
    ) -> Result<(), Failure> {
        let no_slot = || Failure::new(Stage::Channel, "too many connections");
        // It is alone: what is not taken here waits over there.
        let slot = Streams::new(1, Alone::Waits).enter().ok_or_else(no_slot)?;
        let opened = self.open_place(to, &CancellationToken::new()).await;
        let channel = opened.map_err(|no_way| no_way.failure(to, self))?;
        match stream::join(channel.into(), input, Some(output), &slot).await {
            Ok(()) => Ok(()),
            Err(Cut::Lost | Cut::Slow) => Err(self.lost(Stage::Channel)),
        }
    }
}

/// An address as the protocol has it (RFC 4254 section 7.1).
fn there(at: &BindAddress) -> &str {
    match at {
        BindAddress::Unsaid => "localhost",
        BindAddress::All => "",
        BindAddress::Given(name) => name,
    }
}
