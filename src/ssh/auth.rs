//! Signing in: which keys are offered in which order, passwords, and what is said when nothing helps.

mod offer;

use std::sync::Arc;

use russh::{
    MethodKind, MethodSet,
    client::{AuthResult, KeyboardInteractiveAuthResponse as Reply},
    keys::{HashAlg, PrivateKeyWithHashAlg, agent::AgentIdentity},
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    Login, PasswordUse, agent::Conversation, greeting::quote, identity::TRIES, limit::Limit,
    session::Session, shared::Shared,
};
use crate::event::{Failure, Stage};
use offer::{AgentSigner, By, FileSigner, Offer, Proof, SignError, key_of, offers};

/// sshd hangs up at the sixth failure (MaxAuthTries); one is left for a password.
const MOST_KEYS: usize = 5;

/// Rounds of questions that a server may ask (keyboard-interactive): a password, a code, an expired
/// password and its new one twice are five.
const MOST_ROUNDS: usize = 10;

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
) -> Result<(), Failure> {
    let mut attempt =
        Attempt { shared, session, limit, server, tried: Vec::new(), left_out: Vec::new(), methods: None };
    if attempt.keys().await? || attempt.passwords().await? {
        return Ok(());
    }
    Err(attempt.failure())
}

/// One attempt to sign in. Its steps say whether they got in.
struct Attempt<'a> {
    shared: &'a Shared,
    session: &'a mut Session,
    limit: &'a Arc<Limit>,
    server: &'a str,
    /// What was refused.
    tried: Vec<String>,
    /// What could not be tried, and why.
    left_out: Vec<String>,
    /// What the server takes, once it has said so.
    methods: Option<MethodSet>,
}

impl Attempt<'_> {
    async fn keys(&mut self) -> Result<bool, Failure> {
        let (mut conversation, in_agent) = self.agent().await;
        let login = self.login().clone();
        let offers = offers(&login.identities, &in_agent);
        if offers.is_empty() {
            // Nothing to lose: it tells what the server takes.
            let user = self.user();
            let result = self.session.handle()?.authenticate_none(user).await;
            return self.conclude(result);
        }
        let (mut offered, mut offers) = (0, offers.into_iter());
        while self.takes(MethodKind::PublicKey)
            && let Some(offer) = offers.next()
        {
            if offered >= MOST_KEYS {
                self.left_out.push(format!("{} more (a server takes no more tries)", 1 + offers.len()));
                break;
            }
            let answer = self.offer(&offer, conversation.as_mut()).await;
            tracing::debug!(server = self.server, key = offer.label, ?answer, "offered");
            match answer {
                Ok(result) => {
                    offered += 1;
                    if self.conclude(Ok(result))? {
                        return Ok(true);
                    }
                    self.tried.push(offer.label);
                }
                Err(SignError::Gone) => return Err(self.hung_up()),
                Err(SignError::Refused(why)) => self.left_out.push(format!("{} ({why})", offer.label)),
            }
        }
        Ok(false)
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
        offer: &Offer<'_>,
        conversation: Option<&mut Conversation>,
    ) -> Result<AuthResult, SignError> {
        let (user, limit) = (self.user(), self.limit);
        let proof = match (&offer.proof, &offer.signer) {
            (Proof::Unknown, By::File(identity)) => {
                let key = identity.unlock(&self.shared.person, limit).await.map_err(SignError::Refused)?;
                Proof::Key(key.public_key().clone())
            }
            (proof, _) => proof.clone(),
        };
        let hash = self.rsa_hash(&proof).await?;
        // To ask first whether the key is wanted spares a pass phrase or a touch. Where there is neither, it
        // only costs a round trip.
        if let (Proof::Key(_), By::File(identity)) = (&proof, &offer.signer)
            && let Some(key) = identity.open().await
        {
            let handle = self.session.handle().map_err(|_| SignError::Gone)?;
            let signed = handle.authenticate_publickey(user, PrivateKeyWithHashAlg::new(key, hash)).await;
            return signed.map_err(|_| SignError::Gone);
        }
        let handle = self.session.handle().map_err(|_| SignError::Gone)?;
        match &offer.signer {
            By::File(identity) => {
                let mut signer = FileSigner { identity, person: &self.shared.person, limit };
                match proof {
                    Proof::Key(key) => handle.authenticate_publickey_with(user, key, hash, &mut signer).await,
                    Proof::Certificate(c) => {
                        handle.authenticate_certificate_with(user, *c, hash, &mut signer).await
                    }
                    Proof::Unknown => Err(SignError::Refused("it has no public half")),
                }
            }
            By::Agent => {
                let conversation = conversation.ok_or(SignError::Refused("the agent is gone"))?;
                let mut signer = AgentSigner { conversation, person: &self.shared.person, limit };
                match proof {
                    Proof::Key(key) => handle.authenticate_publickey_with(user, key, hash, &mut signer).await,
                    Proof::Certificate(c) => {
                        handle.authenticate_certificate_with(user, *c, hash, &mut signer).await
                    }
                    Proof::Unknown => Err(SignError::Refused("it has no public half")),
                }
            }
        }
    }

    /// The hash for signatures with an RSA key; other keys have no choice.
    async fn rsa_hash(&self, proof: &Proof) -> Result<Option<HashAlg>, SignError> {
        if !key_of(proof).is_some_and(|key| key.algorithm().is_rsa()) {
            return Ok(None);
        }
        let handle = self.session.handle_ref().ok_or(SignError::Gone)?;
        handle.best_supported_rsa_hash().await.map(Option::flatten).map_err(|_| SignError::Gone)
    }

    async fn passwords(&mut self) -> Result<bool, Failure> {
        if matches!(self.login().options.password, PasswordUse::Never) {
            return Ok(false);
        }
        let mut answer = 0;
        // A password, and what a server may want after it.
        for _ in 0..TRIES + 1 {
            let before = answer;
            let done = if self.takes(MethodKind::Password) {
                let Some((asked, secret)) = self.password(answer).await else { return Ok(false) };
                answer = asked;
                self.tried(PASSWORD);
                let user = self.user();
                let result = self.session.handle()?.authenticate_password(user, secret.expose_secret()).await;
                self.conclude(result)?
            } else if self.takes(MethodKind::KeyboardInteractive) {
                match self.questions(&mut answer).await? {
                    Some(done) => done,
                    None => return Ok(false),
                }
            } else {
                return Ok(false);
            };
            if done {
                if answer > before {
                    self.login().password.accept().await;
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn password(&self, tried: usize) -> Option<(usize, SecretString)> {
        self.login().password.get(tried, &self.shared.person, self.limit).await
    }

    /// keyboard-interactive (RFC 4256). `None`: a question was left without an answer.
    async fn questions(&mut self, answer: &mut usize) -> Result<Option<bool>, Failure> {
        let user = self.user();
        let mut reply = self.session.handle()?.authenticate_keyboard_interactive_start(user, None).await;
        // The account's password is asked for once, and first.
        let mut open = true;
        for _ in 0..MOST_ROUNDS {
            let prompts = match reply {
                Err(_) => return Err(self.hung_up()),
                Ok(Reply::Success) => return Ok(Some(true)),
                Ok(Reply::Failure { remaining_methods, partial_success }) => {
                    self.tried(PASSWORD);
                    let result = AuthResult::Failure { remaining_methods, partial_success };
                    return self.conclude(Ok(result)).map(Some);
                }
                Ok(Reply::InfoRequest { prompts, .. }) => prompts,
            };
            let mut answers = Vec::with_capacity(prompts.len());
            for prompt in prompts {
                let is_password = !prompt.echo && std::mem::take(&mut open) && asks_password(&prompt.prompt);
                let secret = if is_password {
                    self.shared_password(answer).await
                } else {
                    self.question(&prompt.prompt).await
                };
                let Some(secret) = secret else {
                    return Ok(None);
                };
                answers.push(secret.expose_secret().to_owned());
            }
            reply = self.session.handle()?.authenticate_keyboard_interactive_respond(answers).await;
        }
        Ok(None)
    }

    async fn shared_password(&self, answer: &mut usize) -> Option<SecretString> {
        let (asked, secret) = self.password(*answer).await?;
        *answer = asked;
        Some(secret)
    }

    /// A question of the server's own, for this connection alone.
    async fn question(&self, text: &str) -> Option<SecretString> {
        if matches!(self.login().options.password, PasswordUse::Given(_)) {
            return None;
        }
        // The server wrote it: who asks stands before it, or it could pose as ours.
        let question = format!("({}@{}) {} ", self.login().options.user, self.server, quote(text));
        let turn = self.shared.person.turn(self.limit).await;
        self.shared.person.secret(turn, self.limit, question).await.ok().flatten()
    }

    /// Takes in a server's answer. True: signed in.
    fn conclude(&mut self, result: Result<AuthResult, russh::Error>) -> Result<bool, Failure> {
        match result {
            Ok(AuthResult::Success) => Ok(true),
            // An empty list comes from russh when the connection is gone.
            Ok(AuthResult::Failure { remaining_methods, .. })
                if remaining_methods.is_empty() && self.session.is_closed() =>
            {
                Err(self.hung_up())
            }
            Ok(AuthResult::Failure { remaining_methods, .. }) => {
                self.methods = Some(remaining_methods);
                Ok(false)
            }
            Err(_) => Err(self.hung_up()),
        }
    }

    fn takes(&self, method: MethodKind) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.contains(&method))
    }

    fn tried(&mut self, what: &str) {
        if !self.tried.iter().any(|t| t == what) {
            self.tried.push(what.into());
        }
    }

    fn login(&self) -> &Arc<Login> {
        self.session.login()
    }

    fn user(&self) -> String {
        self.login().options.user.clone()
    }

    fn hung_up(&self) -> Failure {
        let why = self.session.ending().unwrap_or_else(|| "no reason given".into());
        Failure::new(Stage::Auth, format!("the server hung up while signing in{} ({why})", self.with_what()))
            .with_hint("see what sshd has to say on the instance: `journalctl -u ssh`")
    }

    fn with_what(&self) -> String {
        match self.tried.as_slice() {
            [] => String::new(),
            tried => format!(" with {}", tried.join(", ")),
        }
    }

    fn failure(&self) -> Failure {
        let user = &self.login().options.user;
        let mut message = if self.tried.is_empty() {
            format!("nothing to sign in with as {user}")
        } else {
            format!("{user} is not let in{}", self.with_what())
        };
        if !self.left_out.is_empty() {
            message.push_str(&format!("; left out: {}", self.left_out.join(", ")));
        }
        if let Some(methods) = &self.methods {
            let names: Vec<_> = methods.iter().map(<&'static str>::from).collect();
            let names = if names.is_empty() { "nothing that is known here".into() } else { names.join(", ") };
            message.push_str(&format!("; the server takes {names}"));
        }
        Failure::new(Stage::Auth, message).with_hint(self.hint())
    }

    fn hint(&self) -> String {
        if self.tried.iter().any(|tried| tried == PASSWORD) {
            return "the password was not taken: check it, and the user (-l USER)".into();
        }
        let takes_password = self.methods.as_ref().is_some_and(|m| {
            m.contains(&MethodKind::Password) || m.contains(&MethodKind::KeyboardInteractive)
        });
        let about_keys = if !self.takes(MethodKind::PublicKey) {
            "the server takes no key from this user"
        } else if self.tried.is_empty() && self.left_out.is_empty() {
            "name a key with -i KEY, or load one into an agent with `ssh-add`"
        } else {
            "check the user (-l USER), and that its ~/.ssh/authorized_keys on the instance has the key; name another \
             with -i KEY"
        };
        match self.login().options.password {
            PasswordUse::Never if takes_password => {
                format!(
                    "{about_keys}; a password, which this server takes too, is asked for with --ask-password"
                )
            }
            _ => about_keys.into(),
        }
    }
}

/// True for a hidden prompt that means the account's password, and neither a new one nor a code.
fn asks_password(prompt: &str) -> bool {
    let prompt = prompt.trim().to_lowercase();
    let others = ["new", "retype", "again", "current", "one-time", "verification"];
    let mut words = prompt.split(|c: char| !(c.is_alphanumeric() || c == '-'));
    prompt.ends_with("password:") && !words.any(|word| others.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::asks_password;

    #[test]
    fn only_the_account_s_password_is_answered_unseen() {
        for prompt in ["Password: ", "password:", "jonw@web's Password: ", "(newton@news) Password:"] {
            assert!(asks_password(prompt), "{prompt}");
        }
        for prompt in [
            "New password: ",
            "Retype new password:",
            "Password again:",
            "(current) UNIX password: ",
            "One-time password:",
            "Verification code: ",
            "Password for the vault",
            "",
        ] {
            assert!(!asks_password(prompt), "{prompt}");
        }
    }
}
