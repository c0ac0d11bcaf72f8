//! Connections that the instance makes for us.

use std::{sync::Arc, time::Duration};

use russh::{Channel, ChannelOpenFailure, client::Msg};
use tokio::{sync::oneshot, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    event::{Failure, Stage},
    forward::{Place, socks::Reply},
    net::connect::seconds,
    ssh::{Session, greeting::quote},
};

/// Linux gives a connection up after 127 s (tcp_syn_retries): then the instance itself says so.
const LIMIT: Duration = Duration::from_secs(150);

/// Why the instance makes no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoWay {
    /// Its sshd does not allow it.
    Prohibited,
    /// It could not: refused, unknown, or no answer from there. Its own words, fit to be shown; perhaps none.
    Failed(String),
    /// It has no room for more.
    Shortage,
    /// It said nothing within this time.
    Silent(Duration),
    /// Another reason, fit to be shown.
    Other(String),
    /// The session is lost.
    Lost,
}

impl NoWay {
    fn of(reason: &ChannelOpenFailure, words: String) -> Self {
        match reason {
            ChannelOpenFailure::AdministrativelyProhibited => Self::Prohibited,
            ChannelOpenFailure::ConnectFailed => Self::Failed(words),
            ChannelOpenFailure::ResourceShortage => Self::Shortage,
            ChannelOpenFailure::UnknownChannelType => Self::Other("it knows no such connections".into()),
            ChannelOpenFailure::Other { reason, .. } => Self::Other(quote(reason)),
        }
    }

    /// What it is, in words that are the same each time.
    pub(super) fn words(&self) -> &'static str {
        match self {
            Self::Prohibited => "the instance's sshd forbids it",
            Self::Failed(_) => "the instance can't connect there",
            Self::Shortage => "the instance has no room for more connections",
            Self::Silent(_) => "no answer from the instance",
            Self::Other(_) => "the instance refuses it",
            Self::Lost => "the session is lost",
        }
    }

    /// What the server says of it, in brackets.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::Other(why) | Self::Failed(why) if !why.is_empty() => format!(" ({why})"),
            _ => String::new(),
        }
    }

    /// For a SOCKS client.
    pub(super) fn reply(&self) -> Reply {
        match self {
            Self::Prohibited => Reply::NotAllowed,
            Self::Failed(_) => Reply::Refused,
            Self::Silent(_) => Reply::Unreachable,
            Self::Shortage | Self::Other(_) | Self::Lost => Reply::Failed,
        }
    }

    /// As what a whole command failed of.
    pub(super) fn failure(&self, to: &Place, session: &Session) -> Failure {
        let detail = match self {
            Self::Lost => return session.lost(Stage::Channel),
            Self::Silent(limit) => format!(" (within {})", seconds(*limit)),
            _ => self.detail(),
        };
        Failure::new(Stage::Channel, format!("no connection to {to}: {}{detail}", self.words())).with_hint(
            match self {
                Self::Prohibited => "AllowTcpForwarding, AllowStreamLocalForwarding and PermitOpen in its sshd_config",
                _ => "is it there as the instance sees it? look on the instance: `ss -ltn`, `getent hosts NAME`",
            },
        )
    }
}

impl Session {
    /// Has the instance connect there.
    pub(super) async fn open_place(
        self: &Arc<Self>,
        to: &Place,
        stop: &CancellationToken,
    ) -> Result<Channel<Msg>, NoWay> {
        self.open_within(to, LIMIT, stop).await
    }

    /// The same within a time of one's own.
    pub(in crate::ssh) async fn open_within(
        self: &Arc<Self>,
        to: &Place,
        limit: Duration,
        stop: &CancellationToken,
    ) -> Result<Channel<Msg>, NoWay> {
        let (answer, answered) = oneshot::channel();
        let (session, place, stop) = (self.clone(), to.clone(), stop.clone());
        // Goes on where nobody waits any more: a channel that opens late must be closed again.
        tokio::spawn(async move {
            let opened = tokio::select! {
                opened = session.ask_for(&place) => opened,
                () = stop.cancelled() => return,
            };
            if let Err(Ok(channel)) = answer.send(opened) {
                let _ = channel.close().await;
            }
        });
        match timeout(limit, answered).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(_)) => Err(NoWay::Lost),
            Err(_) => Err(NoWay::Silent(limit)),
        }
    }

    async fn ask_for(&self, to: &Place) -> Result<Channel<Msg>, NoWay> {
        let handle = self.handle_ref().ok_or(NoWay::Lost)?;
        let opened = match to {
            // Where a connection came from is for the server's log; it is this machine's affair.
            Place::Port { host, port } => {
                handle.channel_open_direct_tcpip(host, u32::from(*port), "127.0.0.1", 0).await
            }
            Place::Socket(path) => handle.channel_open_direct_streamlocal(path).await,
        };
        opened.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(reason) => {
                let words = self.incoming().and_then(|incoming| incoming.reason());
                NoWay::of(&reason, words.unwrap_or_default())
            }
            _ => NoWay::Lost,
        })
    }
}
