//! The password of a run.

use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::Mutex;

use super::{LoginOptions, PasswordUse, limit::Limit, person::Person};

/// Asked once, used for all instances.
pub(super) struct Password {
    wanted: PasswordUse,
    user: String,
    most: usize,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    secret: Option<SecretString>,
    /// Counts the answers.
    asked: usize,
    /// Some server took it: where another does not, asking again would not help.
    accepted: bool,
    nobody: bool,
}

impl Password {
    /// Of the user that signs in, to be had in the way that is wanted.
    pub(super) fn new(options: &LoginOptions) -> Self {
        Self {
            wanted: options.password.clone(),
            user: options.user.clone(),
            most: options.most_passwords,
            known: Mutex::default(),
        }
    }

    /// The password, asked for unless there is one newer than the `tried`th answer. `None`: there is
    /// no (other) one to be had.
    pub(super) async fn get(
        &self,
        tried: usize,
        person: &Person,
        limit: &Arc<Limit>,
    ) -> Option<(usize, SecretString)> {
        if let PasswordUse::Given(secret) = &self.wanted {
            return (tried == 0).then(|| (1, secret.clone()));
        }
        let mut known = {
            let _pause = limit.pause();
            self.known.lock().await
        };
        if let Some(secret) = known.secret.as_ref().filter(|_| known.asked > tried) {
            return Some((known.asked, secret.clone()));
        }
        if known.accepted || known.nobody || known.asked >= self.most {
            return None;
        }
        let turn = person.turn(limit).await;
        let question = format!("{}'s password: ", self.user);
        match person.secret(turn, limit, question).await {
            Ok(Some(secret)) => {
                known.asked += 1;
                known.secret = Some(secret.clone());
                Some((known.asked, secret))
            }
            Ok(None) | Err(_) => {
                known.nobody = true;
                None
            }
        }
    }

    /// Some server took it.
    pub(super) async fn accept(&self) {
        self.known.lock().await.accepted = true;
    }
}
