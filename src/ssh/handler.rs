//! What russh calls while a connection lives: the host key check, banners, and no to every channel
//! that a server wants to open and nobody has asked for.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use russh::{
    Channel, ChannelId, ChannelOpenFailure, Names,
    client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session},
    keys::{Algorithm, PublicKeyOrCertificate},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Keepalive, Login, forward::Incoming, greeting::quote, known_hosts::ServerName, limit::Limit,
    shared::Shared,
};
use crate::{
    clean::clean,
    event::{Failure, Stage},
    natmap::Endpoint,
    net::connect::seconds,
};

/// Why a connection ended before its time, and what to do about it.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) reason: String,
    pub(super) hint: String,
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
    /// The type of host key that the first key exchange was signed with.
    pub(super) key_type: Option<Algorithm>,
    /// Banners of the sign-in so far.
    pub(super) banners: Banners,
    /// The channels that the server may open.
    pub(super) incoming: Arc<Incoming>,
    /// Goes with russh's task, and so with the connection.
    pub(super) _alive: DropGuard,
}

/// How much a server has said before the sign-in.
#[derive(Debug, Default)]
pub(super) struct Banners {
    messages: usize,
    bytes: usize,
}

impl Banners {
    /// sshd sends one, PAM modules a few more; a text of the law is some KiB, and OpenSSH's longest packet has 256.
    const MOST_MESSAGES: usize = 64;
    const MOST_BYTES: usize = 256 << 10;

    /// False once it is too much for any honest server.
    fn take(&mut self, text: &str) -> bool {
        self.messages = self.messages.saturating_add(1);
        self.bytes = self.bytes.saturating_add(text.len());
        self.messages <= Self::MOST_MESSAGES && self.bytes <= Self::MOST_BYTES
    }
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

    /// A re-exchange shows a host key again, and russh asks nobody about it: of that key, only its type is
    /// told. It can't be a stranger's, as it comes through the channel that the first one secured; a server
    /// that changes its type all the same is not what was agreed on, and OpenSSH leaves it too.
    async fn kex_done(
        &mut self,
        _shared_secret: Option<&[u8]>,
        names: &Names,
        _session: &mut Session,
    ) -> Result<(), WatchError> {
        tracing::debug!(
            kex = names.kex.as_ref(),
            host_key = names.key.as_str(),
            cipher = names.cipher.as_ref(),
            "keys exchanged"
        );
        keeps_type(&mut self.key_type, &names.key).map_err(WatchError::Refused)
    }

    async fn auth_banner(&mut self, banner: &str, _session: &mut Session) -> Result<(), WatchError> {
        if !self.banners.take(banner) {
            return Err(WatchError::Refused(flooded()));
        }
        let text = clean(banner.trim_end().as_bytes());
        if !text.is_empty() {
            self.shared.person.banner(&text);
        }
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<WatchError>) -> Result<(), WatchError> {
        let hint = match &reason {
            DisconnectReason::Error(WatchError::Russh(russh::Error::KeepaliveTimeout)) => SILENT.into(),
            DisconnectReason::Error(WatchError::Refused(Failure { hint: Some(hint), .. })) => hint.clone(),
            _ => RESTARTED.into(),
        };
        let told = match &reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                format!("the server ended it: {}", quote(&info.message))
            }
            DisconnectReason::Error(WatchError::Russh(russh::Error::KeepaliveTimeout)) => {
                silent(self.login.options.keepalive)
            }
            DisconnectReason::Error(error) => describe(error),
        };
        self.ending.set(Ended { reason: told, hint });
        match reason {
            DisconnectReason::ReceivedDisconnect(_) => Ok(()),
            DisconnectReason::Error(error) => Err(error),
        }
    }

    async fn channel_open_failure(
        &mut self,
        _channel: ChannelId,
        _reason: ChannelOpenFailure,
        description: &str,
        _language: &str,
        _session: &mut Session,
    ) -> Result<(), WatchError> {
        self.incoming.refused(description);
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        at: &str,
        at_port: u32,
        _from: &str,
        _from_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), WatchError> {
        self.incoming.port(channel, at, at_port, reply);
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        at: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), WatchError> {
        self.incoming.socket(channel, at, reply);
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), WatchError> {
        self.incoming.agent(channel, reply, self.cut.clone());
        Ok(())
    }

    reject! {
        server_channel_open_session();
        server_channel_open_unknown();
        server_channel_open_direct_tcpip(_to: &str, _to_port: u32, _from: &str, _from_port: u32);
        server_channel_open_x11(_from: &str, _from_port: u32);
        server_channel_open_direct_streamlocal(_path: &str);
    }
}

/// For a server that has not answered any of the questions whether it is there.
fn silent(keepalive: Keepalive) -> String {
    let questions = u32::try_from(keepalive.most_unanswered).unwrap_or(u32::MAX).saturating_add(1);
    let whole = keepalive.interval.unwrap_or_default().saturating_mul(questions);
    format!("no sign of life for {}", seconds(whole))
}

/// A session keeps to the type of host key that it began with.
fn keeps_type(first: &mut Option<Algorithm>, now: &Algorithm) -> Result<(), Failure> {
    if first.get_or_insert_with(|| now.clone()) == now { Ok(()) } else { Err(changed_midway()) }
}

fn changed_midway() -> Failure {
    Failure::new(
        Stage::HostKey,
        "changed: the server shows another type of host key in the middle of the session",
    )
    .with_hint("don't go on before you know why: look at the instance by another way (serial console)")
}

fn flooded() -> Failure {
    Failure::new(Stage::Auth, "the server sends banners without end")
        .with_hint("see what sshd has to say on the instance: `journalctl -u ssh`")
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
            russh::Error::KeepaliveTimeout => "no sign of life".into(),
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

#[cfg(test)]
mod tests {
    use russh::keys::HashAlg;

    use super::*;

    #[test]
    fn the_type_of_host_key_stays_what_it_was() {
        let mut first = None;
        assert_eq!(keeps_type(&mut first, &Algorithm::Ed25519), Ok(()));
        assert_eq!(keeps_type(&mut first, &Algorithm::Ed25519), Ok(()));
        let failure = keeps_type(&mut first, &Algorithm::Rsa { hash: Some(HashAlg::Sha512) }).unwrap_err();
        assert_eq!(failure.stage, Stage::HostKey);
    }

    #[test]
    fn silence_is_as_long_as_it_was_waited_for() {
        assert_eq!(silent(Keepalive::default()), "no sign of life for 120s");
    }

    #[test]
    fn banners_come_to_an_end() {
        let mut banners = Banners::default();
        assert!((0..64).all(|_| banners.take("welcome")) && !banners.take("welcome"));
        assert!(!Banners::default().take(&"x".repeat(270_000)));
    }
}
