//! The password of a run.

use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::Mutex;

use crate::ssh::{PasswordUse, client::Shared, identity::TRIES, limit::Limit};

/// Asked once, used for all instances.
#[derive(Default)]
pub(in crate::ssh) struct Password(Mutex<Known>);

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
    /// The password, asked for unless there is one newer than the `tried`th answer. `None`: there is
    /// no (other) one to be had.
    pub(super) async fn get(
        &self,
        tried: usize,
        shared: &Shared,
        limit: &Arc<Limit>,
    ) -> Option<(usize, SecretString)> {
        if let PasswordUse::Given(secret) = &shared.options.password {
            return (tried == 0).then(|| (1, secret.clone()));
        }
        let mut known = {
            let _pause = limit.pause();
            self.0.lock().await
        };
        if let Some(secret) = known.secret.as_ref().filter(|_| known.asked > tried) {
            return Some((known.asked, secret.clone()));
        }
        if known.accepted || known.nobody || known.asked >= TRIES {
            return None;
        }
        let turn = shared.person.turn(limit).await;
        let question = format!("{}'s password: ", shared.options.user);
        match shared.person.secret(turn, limit, question).await {
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
        self.0.lock().await.accepted = true;
    }
}
