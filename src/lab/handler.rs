//! What a client can ask for on a connection: to sign in, to run commands and work on
//! files in sessions, and to be led to another instance.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use russh::{
    Channel, ChannelId, ChannelOpenFailure, ChannelWriteHalf, Pty, Sig,
    keys::PublicKey,
    server::{self, Auth, ChannelOpenHandle, Msg, PublicKeyOffer, Session, VerifiedPublicKey},
};
use tokio::sync::{
    Notify,
    mpsc::{UnboundedSender, unbounded_channel},
};
use tokio_util::sync::DropGuard;

use super::{
    Fault, USER,
    command::{self, Wishes},
    instance::Instance,
    line::{self, Input, Line},
    process::Group,
    socket::Gate,
};
use crate::event::TerminalSize;

/// Sessions on one connection: sshd's default (MaxSessions in sshd_config(5)).
const MAX_SESSIONS: usize = 10;

/// Environment variables that a client may set on one session: `LANG` and all of `LC_*` are 13.
const MAX_ENV: usize = 32;

/// One connection's state.
pub(super) struct Handler {
    instance: Arc<Instance>,
    gate: Arc<Gate>,
    signed_in: Arc<Notify>,
    ssh_connection: String,
    sessions: HashMap<ChannelId, SessionState>,
}

/// One session channel's state.
enum SessionState {
    /// Nothing runs yet.
    Open(Box<(ChannelWriteHalf<Msg>, Wishes)>),
    /// A command or shell runs, or ran.
    Runs {
        input: UnboundedSender<Input>,
        group: Group,
        /// Tells the command's task that the client is gone.
        _gone: DropGuard,
    },
    /// The instance's files are worked on, or were.
    Files {
        input: UnboundedSender<Input>,
        /// Tells the task that the client is gone.
        _gone: DropGuard,
    },
    /// Leads to another instance.
    Leads {
        input: UnboundedSender<Input>,
        /// Tells the task that the client is gone.
        _gone: DropGuard,
    },
}

impl SessionState {
    fn input(&self) -> Option<&UnboundedSender<Input>> {
        match self {
            Self::Open(_) => None,
            Self::Runs { input, .. } | Self::Files { input, .. } | Self::Leads { input, .. } => Some(input),
        }
    }
}

impl Handler {
    /// The state at the start; `ssh_connection` is what sshd would put into SSH_CONNECTION.
    pub(super) fn new(
        instance: Arc<Instance>,
        gate: Arc<Gate>,
        signed_in: Arc<Notify>,
        ssh_connection: String,
    ) -> Self {
        Self { instance, gate, signed_in, ssh_connection, sessions: HashMap::new() }
    }

    fn sign_in(&self, user: &str, key: &PublicKey) -> Auth {
        // Comments are not part of a key, so the keys themselves are compared.
        let accepted = user == USER && *key.key_data() == *self.instance.accepted_key;
        if accepted && self.instance.fault != Some(Fault::Auth) { Auth::Accept } else { Auth::reject() }
    }

    fn wishes(&mut self, id: ChannelId) -> Option<&mut Wishes> {
        match self.sessions.get_mut(&id) {
            Some(SessionState::Open(open)) => Some(&mut open.1),
            _ => None,
        }
    }

    /// Starts a command, or a shell where there is none; false where it can't be.
    fn start(&mut self, id: ChannelId, command: Option<&[u8]>, handle: server::Handle) -> bool {
        let Some(SessionState::Open(open)) = self.sessions.remove(&id) else { return false };
        let (to_client, wishes) = *open;
        let mut home = self.instance.home.clone();
        home.env.push(("SSH_CONNECTION", self.ssh_connection.clone().into()));
        let Ok(started) = command::start(&self.instance.processes, &home, &wishes, command) else {
            return false;
        };
        let gone = self.instance.end.child_token();
        let (input, from_client) = unbounded_channel();
        let group = started.leader.group();
        let line = Line { to_client, handle, gate: Arc::clone(&self.gate), gone: gone.clone() };
        tokio::spawn(line::serve(started, from_client, line));
        self.sessions.insert(id, SessionState::Runs { input, group, _gone: gone.drop_guard() });
        true
    }

    /// Starts SFTP; false where it can't be.
    #[cfg(unix)]
    fn start_files(&mut self, id: ChannelId, handle: server::Handle) -> bool {
        let Some(SessionState::Open(open)) = self.sessions.remove(&id) else { return false };
        let (to_client, _) = *open;
        let Ok(files) = super::sftp::Files::open(&self.instance.home.folder) else { return false };
        let gone = self.instance.end.child_token();
        let (input, from_client) = unbounded_channel();
        let line = Line { to_client, handle, gate: Arc::clone(&self.gate), gone: gone.clone() };
        tokio::spawn(super::sftp::serve(files, from_client, line));
        self.sessions.insert(id, SessionState::Files { input, _gone: gone.drop_guard() });
        true
    }

    fn send(&mut self, id: ChannelId, next: Input) {
        let Some(state) = self.sessions.get(&id) else { return };
        let Some(input) = state.input() else { return };
        let cost = next.cost();
        let fits = self.gate.came(cost);
        if input.send(next).is_err() {
            self.gate.went(cost);
        }
        if !fits {
            // It takes input without end and its output is not taken: no buffer is big enough.
            match state {
                SessionState::Runs { group, .. } => group.signal("KILL"),
                _ => drop(self.sessions.remove(&id)),
            }
        }
    }

    /// A channel that this side closed first is not heard of again.
    fn forget_ended(&mut self) {
        self.sessions.retain(|_, state| state.input().is_none_or(|input| !input.is_closed()));
    }
}

fn answer(session: &mut Session, id: ChannelId, granted: bool) -> Result<(), russh::Error> {
    if granted { session.channel_success(id) } else { session.channel_failure(id) }
}

// What is not here is refused: russh's defaults for other channels and for requests to listen say no.
impl server::Handler for Handler {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.sign_in(user, offer.public_key))
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(self.sign_in(user, key.public_key))
    }

    async fn auth_succeeded(&mut self, _session: &mut Session) -> Result<(), Self::Error> {
        self.signed_in.notify_one();
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.forget_ended();
        let sessions = self.sessions.values().filter(|state| !matches!(state, SessionState::Leads { .. }));
        if sessions.count() >= MAX_SESSIONS {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let id = channel.id();
        // Messages come by the methods below. The reading half goes: unread, it would fill up and
        // stop the whole connection.
        let (_, write) = channel.split();
        self.sessions.insert(id, SessionState::Open(Box::new((write, Wishes::default()))));
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _from: &str,
        _from_port: u32,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.forget_ended();
        let Some(network) = self.instance.network.upgrade() else { return Ok(()) };
        let (input, mut from_client) = unbounded_channel();
        let gone = self.instance.end.child_token();
        let id = channel.id();
        let (_, to_client) = channel.split();
        let gate = Arc::clone(&self.gate);
        let line = Line { to_client, handle: session.handle(), gate, gone: gone.clone() };
        let (number, host) = (self.instance.number, host.to_owned());
        // Not here: the whole connection would wait for it.
        tokio::spawn(async move {
            match network.dial(number, &host, port).await {
                Ok(tcp) => {
                    reply.accept().await;
                    line::carry(tcp, from_client, line).await;
                }
                Err(_) => {
                    reply.reject(ChannelOpenFailure::ConnectFailed).await;
                    line::discard(&mut from_client, &line.gate);
                }
            }
        });
        self.sessions.insert(id, SessionState::Leads { input, _gone: gone.drop_guard() });
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        self.sessions.remove(&id);
        Ok(())
    }

    async fn channel_eof(&mut self, id: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        self.send(id, Input::Eof);
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], _session: &mut Session) -> Result<(), Self::Error> {
        self.send(id, Input::Data(Bytes::copy_from_slice(data)));
        Ok(())
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        width_px: u32,
        height_px: u32,
        modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        #[cfg(unix)]
        let granted = self.wishes(id).map(|wishes| {
            let size = TerminalSize { columns, rows, width_px, height_px };
            wishes.pty = Some(super::pty::PtyWish { term: term.into(), size, modes: modes.into() });
        });
        #[cfg(not(unix))]
        let granted: Option<()> = {
            let _ = (term, columns, rows, width_px, height_px, modes);
            None
        };
        answer(session, id, granted.is_some())
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let wishes = self.wishes(id).filter(|wishes| wishes.env.len() < MAX_ENV && lets_through(name));
        let granted = wishes.map(|wishes| wishes.env.push((name.into(), value.into())));
        answer(session, id, granted.is_some())
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        let started = self.start(id, None, session.handle());
        answer(session, id, started)
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let started = self.start(id, Some(command), session.handle());
        answer(session, id, started)
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        #[cfg(unix)]
        let started = name == "sftp" && self.start_files(id, session.handle());
        #[cfg(not(unix))]
        let started = {
            let _ = name;
            false
        };
        answer(session, id, started)
    }

    async fn x11_request(
        &mut self,
        id: ChannelId,
        _single_connection: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(id)
    }

    async fn window_change_request(
        &mut self,
        id: ChannelId,
        columns: u32,
        rows: u32,
        width_px: u32,
        height_px: u32,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.send(id, Input::Resize(TerminalSize { columns, rows, width_px, height_px }));
        Ok(())
    }

    async fn signal(
        &mut self,
        id: ChannelId,
        signal: Sig,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(SessionState::Runs { group, .. }) = self.sessions.get(&id) {
            group.signal(&line::signal_name(signal));
        }
        Ok(())
    }
}

/// The variables that a client may set: those of AcceptEnv in Debian's and Ubuntu's sshd_config.
fn lets_through(name: &str) -> bool {
    let rest = if name == "LANG" { Some("X") } else { name.strip_prefix("LC_") };
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_locale_is_let_through() {
        for good in ["LANG", "LC_ALL", "LC_CTYPE"] {
            assert!(lets_through(good), "{good}");
        }
        for bad in ["LC_", "LANGUAGE", "PATH", "LD_PRELOAD", "LC_A=B", "lc_all", ""] {
            assert!(!lets_through(bad), "{bad}");
        }
    }
}
