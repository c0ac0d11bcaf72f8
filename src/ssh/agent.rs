//! The SSH agent: which keys it has, and signatures with them.
//!
//! Every sign-in has a conversation of its own with the agent, because OpenSSH's agent ties a
//! conversation to one server. An agent answers one request at a time: a few at once keep it busy.

use std::{path::PathBuf, sync::Arc, time::Duration};

use russh::{
    Signer,
    keys::{
        HashAlg,
        agent::{
            AgentIdentity, AgentSessionBinding,
            client::{AgentClient, AgentStream},
        },
    },
};
use tokio::{sync::Semaphore, time::timeout};

use super::{auth::SignError, limit::Limit};

/// An agent is on this machine: one that is silent this long hangs.
const LIST_LIMIT: Duration = Duration::from_secs(5);

/// A key that asks its owner (`ssh-add -c`, a security key) waits for a hand.
const SIGN_LIMIT: Duration = Duration::from_secs(60);

/// Requests under way at once.
const AT_ONCE: usize = 8;

type Stream = Box<dyn AgentStream + Send + Unpin>;

/// Where the agent is.
pub(super) struct Agent {
    socket: PathBuf,
    turns: Arc<Semaphore>,
}

impl Agent {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket, turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Begins a conversation for one server and asks for the keys. The error is for a note.
    pub(super) async fn open(
        &self,
        binding: Option<&AgentSessionBinding>,
    ) -> Result<(Conversation, Vec<AgentIdentity>), String> {
        let turn = self.turns.acquire().await;
        let opening = timeout(LIST_LIMIT, async {
            let mut client = connect(&self.socket).await?;
            if let Some(binding) = binding {
                // Agents before OpenSSH 8.9 and other makes don't know this and say no.
                let _ = client.bind_session(binding, false).await;
            }
            let identities = client.request_identities().await?;
            Ok((client, identities))
        });
        let result = match opening.await {
            Ok(result) => result.map_err(|error: russh::keys::Error| error.to_string()),
            Err(_) => Err(format!("no answer within {LIST_LIMIT:?}")),
        };
        drop(turn);
        let (client, identities) = result?;
        Ok((Conversation { client, turns: self.turns.clone() }, identities))
    }
}

#[cfg(unix)]
async fn connect(socket: &PathBuf) -> Result<AgentClient<Stream>, russh::keys::Error> {
    Ok(AgentClient::connect_uds(socket).await?.dynamic())
}

#[cfg(windows)]
async fn connect(socket: &PathBuf) -> Result<AgentClient<Stream>, russh::keys::Error> {
    Ok(AgentClient::connect_named_pipe(socket).await?.dynamic())
}

/// A conversation with the agent about one server.
pub(super) struct Conversation {
    client: AgentClient<Stream>,
    turns: Arc<Semaphore>,
}

/// Signs with the agent's keys.
pub(super) struct AgentSigner<'a> {
    pub(super) conversation: &'a mut Conversation,
    pub(super) limit: &'a Arc<Limit>,
}

impl Signer for AgentSigner<'_> {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        key: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        let _pause = self.limit.pause();
        let turns = self.conversation.turns.clone();
        let _turn = turns.acquire().await;
        match timeout(SIGN_LIMIT, self.conversation.client.sign_request(key, hash, data)).await {
            Ok(signed) => signed.map_err(|_| SignError::Refused("the agent does not sign with it")),
            Err(_) => Err(SignError::Refused("the agent does not answer")),
        }
    }
}
