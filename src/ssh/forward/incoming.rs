//! Channels that the server opens. Only those that were asked for are taken: a forward's that listens over
//! there, and the agent's.

use std::{
    collections::VecDeque,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use russh::{
    Channel, ChannelOpenFailure,
    client::{ChannelOpenHandle, Msg},
    keys::agent::{AgentSessionBinding, client::AgentClient},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    board::{Counted, Lane},
    local::say_cut,
    room::{Alone, Streams},
    socks::{self, NotAsked, Talk as _},
    stream::{Cut, Far, Near, Reading, Writing, join},
};
use crate::{
    forward::{
        Place, To,
        socks::{Reply, reply},
    },
    net::connect::cause,
    ssh::greeting::quote,
};

/// For a connection that this side makes for the instance.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// Conversations with the agent at once.
const MOST_AGENT: usize = 64;

/// What of a server's channels is expected. Nothing, at first.
#[derive(Default)]
pub(in crate::ssh) struct Incoming {
    expected: Mutex<Vec<Option<Expected>>>,
    agent: Mutex<Option<Arc<Relay>>>,
    /// Why the server did not open channels of ours, in its own words and in order.
    reasons: Mutex<VecDeque<String>>,
}

/// Reasons that nobody has asked for yet: as many as there may be connections, and some.
const MOST_REASONS: usize = 2000;

enum Expected {
    /// At port 0 until the server has chosen one.
    Port {
        address: String,
        port: u16,
        lane: Arc<Lane>,
    },
    Socket {
        path: String,
        lane: Arc<Lane>,
    },
}

/// Where the agent is, and for which session it is asked.
struct Relay {
    socket: PathBuf,
    binding: Option<AgentSessionBinding>,
    streams: Arc<Streams>,
}

impl Incoming {
    fn expected(&self) -> MutexGuard<'_, Vec<Option<Expected>>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect(&self, one: Expected) -> usize {
        let mut expected = self.expected();
        expected.push(Some(one));
        expected.len() - 1
    }

    pub(super) fn expect_port(&self, address: &str, port: u16, lane: Arc<Lane>) -> usize {
        self.expect(Expected::Port { address: address.into(), port, lane })
    }

    pub(super) fn expect_socket(&self, path: &str, lane: Arc<Lane>) -> usize {
        self.expect(Expected::Socket { path: path.into(), lane })
    }

    /// The server has chosen a port.
    pub(super) fn chosen(&self, place: usize, chosen: u16) {
        if let Some(Some(Expected::Port { port, .. })) = self.expected().get_mut(place) {
            *port = chosen;
        }
    }

    pub(super) fn forget(&self, place: usize) {
        if let Some(expected) = self.expected().get_mut(place) {
            *expected = None;
        }
    }

    /// Lets the server talk to the agent.
    pub(in crate::ssh) fn relay_agent(&self, socket: PathBuf, binding: Option<AgentSessionBinding>) {
        let streams = Streams::new(MOST_AGENT, Alone::IsCut);
        *self.agent.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Arc::new(Relay { socket, binding, streams }));
    }

    /// Whether the server may talk to the agent.
    pub(in crate::ssh) fn relays_agent(&self) -> bool {
        self.agent.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The server has said why it does not open a channel.
    pub(in crate::ssh) fn refused(&self, reason: &str) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        if reasons.len() < MOST_REASONS {
            reasons.push_back(if reason.is_empty() { String::new() } else { quote(reason) });
        }
    }

    /// The oldest reason that was not taken. russh gives the code of a failure to who waits for the channel and
    /// the reason to the handler, both in the order of the failures.
    pub(super) fn reason(&self) -> Option<String> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// The forward that listens there. Servers spell the address as they like where it was one of their own
    /// choice, so the port alone will do where it is one forward's only.
    fn of_port(&self, at: &str, at_port: u32) -> Option<Arc<Lane>> {
        let expected = self.expected();
        let ports = || {
            expected.iter().flatten().filter_map(|expected| match expected {
                Expected::Port { address, port, lane } => Some((address, u32::from(*port), lane)),
                Expected::Socket { .. } => None,
            })
        };
        let exact = ports().find(|(address, port, _)| *address == at && *port == at_port);
        let only = |wanted| {
            let mut ports = ports().filter(|(_, port, _)| *port == wanted);
            ports.next().filter(|_| ports.next().is_none())
        };
        // One without a port yet has its answer on the way.
        exact.or_else(|| only(at_port)).or_else(|| only(0)).map(|(_, _, lane)| lane.clone())
    }

    fn of_socket(&self, at: &str) -> Option<Arc<Lane>> {
        self.expected().iter().flatten().find_map(|expected| match expected {
            Expected::Socket { path, lane } if path == at => Some(lane.clone()),
            _ => None,
        })
    }

    /// A connection to a port that the server listens on. Must not wait: the session stands still meanwhile.
    pub(in crate::ssh) fn port(&self, channel: Channel<Msg>, at: &str, port: u32, reply: ChannelOpenHandle) {
        forwarded(self.of_port(at, port), channel, reply);
    }

    /// A connection to a unix socket that the server listens on.
    pub(in crate::ssh) fn socket(&self, channel: Channel<Msg>, at: &str, reply: ChannelOpenHandle) {
        forwarded(self.of_socket(at), channel, reply);
    }

    /// A conversation with the agent, until the session is `cut`.
    pub(in crate::ssh) fn agent(
        &self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        cut: CancellationToken,
    ) {
        let relay = self.agent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        tokio::spawn(async move {
            let Some(relay) = relay else {
                return reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            };
            tokio::select! {
                () = relay.carry(channel, reply) => {}
                () = cut.cancelled() => {}
            }
        });
    }
}

fn forwarded(lane: Option<Arc<Lane>>, channel: Channel<Msg>, reply: ChannelOpenHandle) {
    tokio::spawn(async move {
        let Some(lane) = lane else {
            return reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
        };
        let Some(counted) = lane.enter() else {
            return reply.reject(ChannelOpenFailure::ResourceShortage).await;
        };
        tokio::select! {
            ended = carry(channel, reply, &counted, &lane) => say_cut(&lane, ended),
            () = lane.stop.cancelled() => {}
        }
    });
}

async fn carry(
    channel: Channel<Msg>,
    opening: ChannelOpenHandle,
    counted: &Counted,
    lane: &Lane,
) -> Result<(), Cut> {
    match &lane.forward.to {
        To::Fixed(place) => match connect(place).await {
            Ok(near) => {
                opening.accept().await;
                near.join(channel.into(), &[], &counted.slot).await
            }
            Err(error) => {
                lane.trouble("this machine can't connect there", &format!(" ({})", cause(&error)));
                opening.reject(ChannelOpenFailure::ConnectFailed).await;
                Ok(())
            }
        },
        To::Socks => {
            opening.accept().await;
            socks(channel, counted, lane).await
        }
    }
}

async fn socks(channel: Channel<Msg>, counted: &Counted, lane: &Lane) -> Result<(), Cut> {
    let (mut from, to) = channel.split();
    let mut client = (&mut from, &to);
    let asked = match socks::ask(&mut client).await {
        Ok(asked) => asked,
        Err(not_asked) => {
            if let NotAsked::Refused(why) = not_asked {
                lane.trouble(why, "");
            }
            let _ = to.close().await;
            return Ok(());
        }
    };
    let connected = connect(&asked.to).await;
    let outcome = if connected.is_ok() { Reply::Connected } else { Reply::Refused };
    let said = client.say(&reply(asked.version, outcome)).await;
    match connected {
        Ok(near) if said.is_ok() => {
            near.join(Far { from, to, ahead: asked.ahead.into() }, &[], &counted.slot).await
        }
        Ok(_) => Ok(()),
        Err(error) => {
            lane.trouble("this machine can't connect there", &format!(" ({})", cause(&error)));
            let _ = to.close().await;
            Ok(())
        }
    }
}

async fn connect(place: &Place) -> io::Result<Near> {
    let connecting = async {
        match place {
            Place::Port { host, port } => TcpStream::connect((host.as_str(), *port)).await.map(Near::tcp),
            #[cfg(unix)]
            Place::Socket(path) => tokio::net::UnixStream::connect(path).await.map(Near::Unix),
            #[cfg(not(unix))]
            Place::Socket(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    };
    timeout(CONNECT_LIMIT, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

impl Relay {
    async fn carry(&self, channel: Channel<Msg>, opening: ChannelOpenHandle) {
        let Some(slot) = self.streams.enter() else {
            return opening.reject(ChannelOpenFailure::ResourceShortage).await;
        };
        let connecting = timeout(CONNECT_LIMIT, async {
            #[cfg(unix)]
            let mut agent = AgentClient::connect_uds(&self.socket).await?;
            #[cfg(windows)]
            let mut agent = AgentClient::connect_named_pipe(&self.socket).await?;
            if let Some(binding) = &self.binding {
                // So that a key that is meant for some servers only is used for these only. Agents that don't
                // know of it say no, and have no such keys.
                let _ = agent.bind_session(binding, true).await;
            }
            Ok::<_, russh::keys::Error>(agent.into_inner())
        });
        let Ok(Ok(agent)) = connecting.await else {
            return opening.reject(ChannelOpenFailure::ConnectFailed).await;
        };
        opening.accept().await;
        let (read, write) = tokio::io::split(agent);
        // Cut or whole, it is the end of one conversation.
        let _ = join(channel.into(), Reading::new(read), Writing(write), &slot).await;
    }
}
