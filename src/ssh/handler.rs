//! What russh calls while a connection lives: the host key check, banners, and no to every channel
//! that a server wants to open.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use russh::{
    Channel, ChannelOpenFailure,
    client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session},
    keys::PublicKeyOrCertificate,
};
use tokio_util::sync::CancellationToken;

use super::{Login, greeting::quote, known_hosts::ServerName, limit::Limit, shared::Shared};
use crate::{clean::clean, event::Failure, natmap::Endpoint};

/// Why a connection ended before its time, and what to do about it.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) reason: String,
    pub(super) hint: &'static str,
}

/// How a connection ended, once it has.
#[derive(Debug, Clone, Default)]
pub(super) struct Ending(Arc<Mutex<Option<Ended>>>);

impl Ending {
    pub(super) fn get(&self) -> Option<Ended> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, ended: Ended) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
    }
}

/// For a server that has said or shown that it is going.
pub(super) const RESTARTED: &str =
    "the instance may have restarted or been scaled in: look with `vmssh map` and try again";

/// For one that no longer says anything.
const SILENT: &str = "the instance hangs or was stopped, or the way there is cut: look with `vmssh probe`";

/// One connection's side of russh's callbacks.
pub(super) struct Watch {
    pub(super) shared: Arc<Shared>,
    pub(super) login: Arc<Login>,
    pub(super) name: ServerName,
    /// What people call it: the alias alone may be a GUID.
    pub(super) label: String,
    /// What was dialled.
    pub(super) endpoint: Endpoint,
    pub(super) limit: Arc<Limit>,
    /// Set while the host key is being checked.
    pub(super) checking_key: Arc<AtomicBool>,
    pub(super) ending: Ending,
    /// Cancelled when nobody waits for this connection any more.
    pub(super) cut: CancellationToken,
}

/// What ends a connection from within.
#[derive(Debug)]
pub(super) enum WatchError {
    Refused(Failure),
    Russh(russh::Error),
}

impl From<russh::Error> for WatchError {
    fn from(error: russh::Error) -> Self {
        Self::Russh(error)
    }
}

/// A refusal of one kind of channel.
macro_rules! reject {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {$(
        async fn $name(
            &mut self,
            _channel: Channel<Msg>,
            $($arg: $type,)*
            reply: ChannelOpenHandle,
            _session: &mut Session,
        ) -> Result<(), WatchError> {
            reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            Ok(())
        }
    )*};
}

impl Handler for Watch {
    type Error = WatchError;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, WatchError> {
        self.checking_key.store(true, Ordering::Release);
        let checking = async {
            match key {
                PublicKeyOrCertificate::PublicKey { key, .. } => self.check(key, None).await,
                PublicKeyOrCertificate::Certificate(certificate) => self.check_certificate(certificate).await,
            }
        };
        tokio::select! {
            checked = checking => {
                self.checking_key.store(checked.is_err(), Ordering::Release);
                checked.map(|()| true).map_err(WatchError::Refused)
            }
            () = self.cut.cancelled() => Ok(false),
        }
    }

    async fn auth_banner(&mut self, banner: &str, _session: &mut Session) -> Result<(), WatchError> {
        let text = clean(banner.trim_end().as_bytes());
        if !text.is_empty() {
            self.shared.person.note(text);
        }
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<WatchError>) -> Result<(), WatchError> {
        let hint = match &reason {
            DisconnectReason::Error(WatchError::Russh(russh::Error::KeepaliveTimeout)) => SILENT,
            _ => RESTARTED,
        };
        let told = match &reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                format!("the server ended it: {}", quote(&info.message))
            }
            DisconnectReason::Error(error) => describe(error),
        };
        self.ending.set(Ended { reason: told, hint });
        match reason {
            DisconnectReason::ReceivedDisconnect(_) => Ok(()),
            DisconnectReason::Error(error) => Err(error),
        }
    }

    reject! {
        server_channel_open_session();
        server_channel_open_agent_forward();
        server_channel_open_unknown();
        server_channel_open_forwarded_tcpip(_at: &str, _at_port: u32, _from: &str, _from_port: u32);
        server_channel_open_direct_tcpip(_to: &str, _to_port: u32, _from: &str, _from_port: u32);
        server_channel_open_x11(_from: &str, _from_port: u32);
        server_channel_open_forwarded_streamlocal(_path: &str);
        server_channel_open_direct_streamlocal(_path: &str);
    }
}

/// An error of the protocol in plain words.
pub(super) fn describe(error: &WatchError) -> String {
    use std::io::ErrorKind;

    match error {
        WatchError::Refused(failure) => failure.message.clone(),
        WatchError::Russh(error) => match error {
            russh::Error::Disconnect | russh::Error::HUP | russh::Error::SendError => {
                "the server closed the connection".into()
            }
            russh::Error::IO(error) if error.kind() == ErrorKind::UnexpectedEof => {
                "the server closed the connection".into()
            }
            russh::Error::IO(error) => crate::net::connect::cause(error),
            russh::Error::KeepaliveTimeout => "no sign of life for two minutes".into(),
            russh::Error::NoCommonAlgo { kind, theirs, .. } => {
                let kind = match kind {
                    russh::AlgorithmKind::Kex => "key exchange",
                    russh::AlgorithmKind::Key => "host key",
                    russh::AlgorithmKind::Cipher => "cipher",
                    russh::AlgorithmKind::Compression => "compression",
                    russh::AlgorithmKind::Mac => "MAC",
                };
                format!("no common {kind} algorithm; the server offers {}", quote(&theirs.join(",")))
            }
            russh::Error::WrongServerSig => "the server can't prove that it has its host key".into(),
            // Some of them quote what the server sent.
            other => quote(&other.to_string()),
        },
    }
}
