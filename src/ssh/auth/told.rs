//! What is said when nothing helps: what was offered, what the server takes, what to try.

use russh::MethodKind;

use super::{Attempt, PASSWORD};
use crate::{
    event::{Failure, Stage},
    ssh::{Method, PasswordUse},
};

impl Attempt<'_> {
    pub(super) fn hung_up(&self) -> Failure {
        let why = self.session.ending().unwrap_or_else(|| "no reason given".into());
        let too_many = why.contains("Too many authentication failures");
        let message = format!("the server hung up while signing in{} ({why})", self.with_what());
        Failure::new(Stage::Auth, message).with_hint(if too_many {
            "it takes so many tries and no more (MaxAuthTries): name the key that it knows with -i KEY, which is tried \
             first"
        } else {
            "see what sshd has to say on the instance: `journalctl -u ssh`"
        })
    }

    pub(super) fn failure(&self) -> Failure {
        let user = &self.login().options.user;
        let mut message = if !self.passed.is_empty() {
            format!("{user} got through with {} and needs more", self.passed.join(", "))
        } else if self.refused.is_empty() {
            format!("nothing to sign in with as {user}")
        } else {
            format!("{user} is not let in{}", self.with_what())
        };
        if !self.passed.is_empty() && !self.refused.is_empty() {
            message.push_str(&format!("; not taken: {}", self.refused.join(", ")));
        }
        if !self.left_out.is_empty() {
            message.push_str(&format!("; left out: {}", self.left_out.join(", ")));
        }
        if let Some(methods) = &self.methods {
            let names: Vec<_> = methods.iter().map(<&'static str>::from).collect();
            let names = if names.is_empty() { "nothing that is known here".into() } else { names.join(", ") };
            let takes = if self.passed.is_empty() { "takes" } else { "still wants" };
            message.push_str(&format!("; the server {takes} {names}"));
        }
        Failure::new(Stage::Auth, message).with_hint(self.hint())
    }

    fn with_what(&self) -> String {
        match self.refused.as_slice() {
            [] => String::new(),
            refused => format!(" with {}", refused.join(", ")),
        }
    }

    fn hint(&self) -> String {
        if self.refused.iter().any(|refused| refused == PASSWORD) {
            return "the password was not taken: check it, and the user (-l USER)".into();
        }
        if !self.passed.is_empty() {
            return self.hint_for_more().into();
        }
        let about_keys = if self.too_many {
            "name the key that it knows with -i KEY, which is tried first"
        } else if !self.takes(Method::PublicKey) {
            "the server takes no key from this user"
        } else if self.refused.is_empty() && self.left_out.is_empty() {
            "name a key with -i KEY, or load one into an agent with `ssh-add`"
        } else {
            "check the user (-l USER), and that its ~/.ssh/authorized_keys on the instance has the key; name another \
             with -i KEY"
        };
        match self.login().options.password {
            PasswordUse::Never if self.takes_password() => {
                format!(
                    "{about_keys}; a password, which this server takes too, is asked for with --ask-password"
                )
            }
            _ => about_keys.into(),
        }
    }

    /// Where one method was not enough.
    fn hint_for_more(&self) -> &'static str {
        match self.login().options.password {
            PasswordUse::Never if self.takes_password() => {
                "a password is asked for with --ask-password, or read from a file with --password-file FILE"
            }
            _ if self.takes(Method::PublicKey) => "it wants another key: name it with a second -i KEY",
            _ => "AuthenticationMethods in the instance's sshd_config says what it wants",
        }
    }

    fn takes_password(&self) -> bool {
        let asks = [MethodKind::Password, MethodKind::KeyboardInteractive];
        self.methods.as_ref().is_some_and(|methods| asks.iter().any(|kind| methods.contains(kind)))
    }
}
