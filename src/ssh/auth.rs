//! Signing in: which methods are used in which order, and which keys are offered.

mod certificate;
mod offer;
mod questions;
mod signer;
mod told;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime},
};

use russh::{
    MethodSet,
    client::AuthResult,
    keys::{Algorithm, HashAlg, agent::AgentIdentity},
};

use super::{
    Login, Method, PasswordUse, agent::Conversation, limit::Limit, session::Session, shared::Shared,
    stage::Progress,
};
use crate::event::Failure;
use offer::{By, Offer, Proof, algorithm, key_of, offers};
use questions::Given;
use signer::{KeySigner, OfferSigner, SignError};

/// sshd hangs up at the sixth failure (MaxAuthTries); one is left for a password.
const MOST_KEYS: usize = 5;

/// Rounds of questions that a server may ask (keyboard-interactive): a password, a code, an expired
/// password and its new one twice are five.
const MOST_ROUNDS: usize = 10;

/// Steps of one attempt: more than a server that counts to six lets anybody take, several times over
/// for one that wants several methods. It ends an attempt with a server that says "go on" for ever.
const MOST_STEPS: usize = 32;

/// How a password is called among what was tried.
const PASSWORD: &str = "a password";

/// Signs in on a connection.
///
/// # Errors
/// When the server takes nothing that there is, or hangs up.
pub(super) async fn sign_in(
    shared: &Shared,
    session: &mut Session,
    limit: &Arc<Limit>,
    server: &str,
    progress: &Progress,
) -> Result<(), Failure> {
    let mut attempt = Attempt {
        shared,
        session,
        limit,
        server,
        progress,
        refused: Vec::new(),
        passed: Vec::new(),
        left_out: Vec::new(),
        too_many: false,
        last: String::new(),
        methods: None,
        exhausted: Vec::new(),
        given: Given::default(),
        given_by_password: false,
        conversations: 0,
    };
    if attempt.is_let_in().await? { Ok(()) } else { Err(attempt.failure()) }
}

/// How one try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Signed in.
    In,
    /// Taken, and the server wants more (RFC 4252 section 5.1, partial success).
    Partly,
    /// Not taken.
    Refused,
    /// Nothing left to try with this method.
    Exhausted,
}

/// One attempt to sign in.
struct Attempt<'a> {
    shared: &'a Shared,
    session: &'a mut Session,
    limit: &'a Arc<Limit>,
    server: &'a str,
    progress: &'a Progress,
    /// What was refused.
    refused: Vec<String>,
    /// What was taken and was not enough.
    passed: Vec<String>,
    /// What could not be tried, and why.
    left_out: Vec<String>,
    /// Keys were left out because a server takes no more tries.
    too_many: bool,
    /// What is being tried.
    last: String,
    /// What the server takes, once it has said so.
    methods: Option<MethodSet>,
    /// Methods that have nothing left to try.
    exhausted: Vec<Method>,
    /// The password that was tried.
    given: Given,
    /// A password that was set has been offered as one, not only as an answer.
    given_by_password: bool,
    /// How often the server was let ask questions.
    conversations: usize,
}

/// The keys of an attempt that have not been offered yet.
struct Keys {
    conversation: Option<Conversation>,
    left: VecDeque<Offer>,
    refused: usize,
}

impl Attempt<'_> {
    async fn is_let_in(&mut self) -> Result<bool, Failure> {
        let mut keys = self.keys().await;
        let begins_with_keys =
            self.login().options.methods.first() == Some(&Method::PublicKey) && !keys.left.is_empty();
        if !begins_with_keys {
            // Nothing to lose: it tells what the server takes.
            let user = self.user();
            let result = self.session.handle()?.authenticate_none(user).await;
            if self.conclude(result)? == Step::In {
                return Ok(true);
            }
            self.refused.clear();
        }
        for _ in 0..MOST_STEPS {
            let Some(method) = self.next_method() else { return Ok(false) };
            let step = match method {
                Method::PublicKey => self.next_key(&mut keys).await?,
                Method::KeyboardInteractive => self.questions().await?,
                Method::Password => self.password().await?,
            };
            tracing::debug!(server = self.server, method = method.name(), what = self.last, ?step, "tried");
            match step {
                Step::In => return Ok(true),
                Step::Partly => self.go_on(),
                Step::Refused => {}
                Step::Exhausted => self.exhausted.push(method),
            }
        }
        Ok(false)
    }

    /// The next method: the best liked of those that the server takes and that are not used up.
    fn next_method(&self) -> Option<Method> {
        let methods = &self.login().options.methods;
        methods.iter().find(|method| self.takes(**method) && !self.exhausted.contains(method)).copied()
    }

    /// After a part of what the server wants, the other methods are open again. A key is never offered
    /// twice, but the server may want two of them.
    fn go_on(&mut self) {
        let what = std::mem::take(&mut self.last);
        self.refused.retain(|refused| *refused != what);
        self.passed.push(what);
        self.exhausted.clear();
        self.given_by_password = false;
        self.conversations = 0;
    }

    async fn keys(&mut self) -> Keys {
        if !self.login().options.methods.contains(&Method::PublicKey) {
            return Keys { conversation: None, left: VecDeque::new(), refused: 0 };
        }
        let (conversation, in_agent) = self.agent().await;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let found = offers(self.login(), &in_agent, now);
        self.left_out = found.left_out;
        Keys { conversation, left: found.offers.into(), refused: 0 }
    }

    /// Offers the next key.
    async fn next_key(&mut self, keys: &mut Keys) -> Result<Step, Failure> {
        while let Some(offer) = keys.left.pop_front() {
            if keys.refused >= MOST_KEYS {
                self.left_out(format!("{} more (a server takes no more tries)", 1 + keys.left.len()));
                self.too_many = true;
                keys.left.clear();
                break;
            }
            self.last.clone_from(&offer.label);
            match self.offer(&offer, keys.conversation.as_mut()).await {
                Ok(result) => {
                    self.tried(&offer.label);
                    let step = self.conclude(Ok(result))?;
                    keys.refused += usize::from(step == Step::Refused);
                    if !self.takes(Method::PublicKey) {
                        // It was not looked at: a server that wants a password first may want it later.
                        keys.left.push_front(offer);
                    }
                    return Ok(step);
                }
                Err(SignError::Gone) => return Err(self.hung_up()),
                Err(SignError::Refused(why)) => self.left_out(format!("{} ({why})", offer.label)),
            }
        }
        Ok(Step::Exhausted)
    }

    async fn agent(&mut self) -> (Option<Conversation>, Vec<AgentIdentity>) {
        let Some(agent) = self.login().agent.clone() else { return (None, Vec::new()) };
        let binding = self.session.handle().ok().and_then(|h| h.agent_session_binding().cloned());
        match agent.open(binding.as_ref(), &self.shared.person, self.limit).await {
            Some((conversation, identities)) => (Some(conversation), identities),
            None => (None, Vec::new()),
        }
    }

    async fn offer(
        &mut self,
        offer: &Offer,
        conversation: Option<&mut Conversation>,
    ) -> Result<AuthResult, SignError> {
        let (user, limit) = (self.user(), self.limit);
        let person = &self.shared.person;
        let proof = match (&offer.proof, &offer.signer) {
            (Proof::Unknown, By::File(identity)) => {
                let key = identity.unlock(person, limit).await.map_err(SignError::Refused)?;
                Proof::Key(key.public_key().clone())
            }
            (proof, _) => proof.clone(),
        };
        let hash = self.hash(&proof).await?;
        let key = match &offer.signer {
            By::File(identity) => KeySigner::File(identity),
            By::Agent(known_as) => KeySigner::Agent {
                conversation: conversation.ok_or(SignError::Refused("the agent is gone"))?,
                known_as,
            },
        };
        let mut signer = OfferSigner { key, person, limit };
        let handle = self.session.handle().map_err(|_| SignError::Gone)?;
        match proof {
            Proof::Key(key) => handle.authenticate_publickey_with(user, key, hash, &mut signer).await,
            Proof::Certificate(c) => handle.authenticate_certificate_with(user, *c, hash, &mut signer).await,
            Proof::Unknown => Err(SignError::Refused("it has no public half")),
        }
    }

    /// The hash for signatures with an RSA key; other keys have no choice. SHA-1, which can be forged, is
    /// never one (RFC 8332). A key whose algorithms are not wanted is refused.
    async fn hash(&self, proof: &Proof) -> Result<Option<HashAlg>, SignError> {
        if key_of(proof).is_some_and(|key| key.algorithm() == Algorithm::Dsa) {
            return Err(SignError::Refused("no server of today takes DSA"));
        }
        let wanted = self.login().options.algorithms.signatures.as_ref();
        let is_wanted = |hash| {
            let name = algorithm(proof, hash);
            wanted.is_none_or(|wanted| name.is_some_and(|name| wanted.contains(&name)))
        };
        let unwanted = SignError::Refused("its algorithms are not among the signatures that are wanted");
        if !key_of(proof).is_some_and(|key| key.algorithm().is_rsa()) {
            return if is_wanted(None) { Ok(None) } else { Err(unwanted) };
        }
        let handle = self.session.handle_ref().ok_or(SignError::Gone)?;
        let hashes: &[HashAlg] = match handle.best_supported_rsa_hash().await {
            Err(_) => return Err(SignError::Gone),
            Ok(Some(None)) => {
                return Err(SignError::Refused(
                    "the server takes RSA keys with SHA-1 only, which can be forged",
                ));
            }
            Ok(Some(Some(HashAlg::Sha256))) => &[HashAlg::Sha256],
            // A server that announces nothing is offered what ssh(1) offers it.
            Ok(_) => &[HashAlg::Sha512, HashAlg::Sha256],
        };
        hashes.iter().copied().map(Some).find(|hash| is_wanted(*hash)).ok_or(unwanted)
    }

    /// Takes in a server's answer.
    fn conclude(&mut self, result: Result<AuthResult, russh::Error>) -> Result<Step, Failure> {
        match result {
            Ok(AuthResult::Success) => Ok(Step::In),
            // An empty list comes from russh when the connection is gone.
            Ok(AuthResult::Failure { remaining_methods, .. })
                if remaining_methods.is_empty() && self.session.is_closed() =>
            {
                Err(self.hung_up())
            }
            Ok(AuthResult::Failure { remaining_methods, partial_success }) => {
                self.methods = Some(remaining_methods);
                Ok(if partial_success { Step::Partly } else { Step::Refused })
            }
            Err(_) => Err(self.hung_up()),
        }
    }

    fn takes(&self, method: Method) -> bool {
        let is_allowed =
            method == Method::PublicKey || !matches!(self.login().options.password, PasswordUse::Never);
        is_allowed && self.methods.as_ref().is_none_or(|methods| methods.contains(&method.kind()))
    }

    fn tried(&mut self, what: &str) {
        self.last = what.into();
        if !self.refused.iter().any(|refused| refused == what) {
            self.refused.push(what.into());
        }
    }

    fn left_out(&mut self, what: String) {
        if !self.left_out.contains(&what) {
            self.left_out.push(what);
        }
    }

    fn login(&self) -> &Arc<Login> {
        self.session.login()
    }

    fn user(&self) -> String {
        self.login().options.user.clone()
    }
}
