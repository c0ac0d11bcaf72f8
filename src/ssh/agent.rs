//! The SSH agent: which keys it has, and signatures with them.
//!
//! Every sign-in has a conversation of its own with the agent, because OpenSSH's agent ties a
//! conversation to one server. An agent answers one request at a time: a few at once keep it busy.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use russh::keys::{
    HashAlg,
    agent::{
        AgentIdentity, AgentSessionBinding,
        client::{AgentClient, AgentStream},
    },
};
use tokio::{sync::Semaphore, time::timeout};

use super::{limit::Limit, person::Person};
use crate::net::connect::seconds;

/// An agent is on this machine: one that is silent this long hangs.
const LIST_LIMIT: Duration = Duration::from_secs(5);

/// A key that asks its owner (`ssh-add -c`, a security key) waits for a hand.
const SIGN_LIMIT: Duration = Duration::from_secs(60);

/// Requests under way at once.
const AT_ONCE: usize = 8;

type Stream = Box<dyn AgentStream + Send + Unpin>;

/// Where the agent is. Once it has failed, it is left alone for the rest of the run: the next
/// instance would only wait for it again.
pub(super) struct Agent {
    socket: PathBuf,
    turns: Semaphore,
    failed: AtomicBool,
}

impl Agent {
    pub(super) fn new(socket: PathBuf) -> Arc<Self> {
        Arc::new(Self { socket, turns: Semaphore::new(AT_ONCE), failed: AtomicBool::new(false) })
    }

    /// Begins a conversation for one server and asks for the keys. The limit stands still meanwhile:
    /// that is this machine's time and not the server's.
    pub(super) async fn open(
        self: &Arc<Self>,
        binding: Option<&AgentSessionBinding>,
        person: &Person,
        limit: &Arc<Limit>,
    ) -> Option<(Conversation, Vec<AgentIdentity>)> {
        let _pause = limit.pause();
        let _turn = self.turns.acquire().await;
        if self.has_failed() {
            return None;
        }
        let opening = timeout(LIST_LIMIT, async {
            let mut client = connect(&self.socket).await?;
            if let Some(binding) = binding {
                // Agents before OpenSSH 8.9 and other makes don't know this and say no.
                let _ = client.bind_session(binding, false).await;
            }
            let identities = client.request_identities().await?;
            Ok((Conversation { client, agent: self.clone() }, identities))
        });
        match opening.await {
            Ok(Ok(opened)) => Some(opened),
            Ok(Err(error)) => {
                let error: russh::keys::Error = error;
                self.fail(&error.to_string(), person);
                None
            }
            Err(_) => {
                self.fail(&format!("no answer within {}", seconds(LIST_LIMIT)), person);
                None
            }
        }
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    fn fail(&self, why: &str, person: &Person) {
        if !self.failed.swap(true, Ordering::AcqRel) {
            person.note(format!("the agent can't be used and is left alone: {why}"));
        }
    }
}

#[cfg(unix)]
async fn connect(socket: &Path) -> Result<AgentClient<Stream>, russh::keys::Error> {
    Ok(AgentClient::connect_uds(socket).await?.dynamic())
}

#[cfg(windows)]
async fn connect(socket: &Path) -> Result<AgentClient<Stream>, russh::keys::Error> {
    Ok(AgentClient::connect_named_pipe(socket).await?.dynamic())
}

/// A conversation with the agent about one server.
pub(super) struct Conversation {
    client: AgentClient<Stream>,
    agent: Arc<Agent>,
}

impl Conversation {
    /// A signature with one of the agent's keys. The limit stands still meanwhile. The error says why
    /// there is none.
    pub(super) async fn sign(
        &mut self,
        key: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
        person: &Person,
        limit: &Arc<Limit>,
    ) -> Result<Vec<u8>, &'static str> {
        let _pause = limit.pause();
        let _turn = self.agent.turns.acquire().await;
        if self.agent.has_failed() {
            return Err("the agent is left alone");
        }
        match timeout(SIGN_LIMIT, self.client.sign_request(key, hash, data)).await {
            Ok(signed) => signed.map_err(|_| "the agent does not sign with it"),
            Err(_) => {
                self.agent.fail(&format!("no signature within {}", seconds(SIGN_LIMIT)), person);
                Err("the agent does not answer")
            }
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::{io, os::unix::net::UnixListener, sync::Mutex};

    use secrecy::SecretString;
    use tokio::time::Instant;

    use super::*;
    use crate::ssh::{NewHostKey, Prompt};

    #[derive(Default)]
    struct Notes(Mutex<Vec<String>>);

    impl Prompt for Notes {
        fn secret(&self, _: &str) -> io::Result<Option<SecretString>> {
            Ok(None)
        }

        fn trust_host_key(&self, _: &NewHostKey) -> io::Result<bool> {
            Ok(false)
        }

        fn note(&self, text: &str) {
            self.0.lock().unwrap().push(text.into());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_hangs_is_waited_for_once_and_on_no_server_s_account() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent");
        // It takes connections and never reads from them.
        let _listener = UnixListener::bind(&socket).unwrap();
        let (agent, notes) = (Agent::new(socket), Arc::new(Notes::default()));
        let person = Person::new(notes.clone());
        let whole = Duration::from_secs(1);
        let start = Instant::now();
        let limits: Vec<_> = (0..20).map(|_| Limit::new(whole)).collect();
        let opened =
            futures_util::future::join_all(limits.iter().map(|limit| agent.open(None, &person, limit))).await;
        assert!(opened.iter().all(Option::is_none));
        assert!(start.elapsed() < 2 * LIST_LIMIT, "{:?}", start.elapsed());
        assert!(limits.iter().all(|limit| limit.left() == whole));
        let expected = ["the agent can't be used and is left alone: no answer within 5s"];
        assert_eq!(*notes.0.lock().unwrap(), expected);
    }
}
