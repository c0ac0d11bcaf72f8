//! Passwords, and questions that a server asks (keyboard-interactive, RFC 4256).

use russh::client::{AuthResult, KeyboardInteractiveAuthResponse as Reply, Prompt};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Attempt, MOST_ROUNDS, PASSWORD, Step};
use crate::{
    event::Failure,
    ssh::{PasswordUse, greeting::quote},
};

/// As much of a server's introduction as is shown: more would push what was asked off the screen.
const MOST_LINES: usize = 20;

/// The password's way through an attempt.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// Which of the person's answers were refused: all up to this one.
    answer: usize,
    /// A password that was set is offered once by each method.
    spent: bool,
}

impl Attempt<'_> {
    /// One try with a password.
    pub(super) async fn password(&mut self) -> Result<Step, Failure> {
        if matches!(self.login().options.password, PasswordUse::Given(_)) && !self.given_by_password {
            self.given_by_password = true;
            self.given = Given::default();
        }
        let Some(secret) = self.shared_password().await else { return Ok(Step::Exhausted) };
        self.tried(PASSWORD);
        let user = self.user();
        self.progress.password_sent(true);
        let result = self.session.handle()?.authenticate_password(user, secret.expose_secret()).await;
        self.progress.password_sent(false);
        let step = self.conclude(result)?;
        self.accepted(step).await;
        Ok(step)
    }

    /// One conversation of questions and answers.
    pub(super) async fn questions(&mut self) -> Result<Step, Failure> {
        if self.conversations >= self.login().options.most_passwords {
            return Ok(Step::Exhausted);
        }
        self.conversations += 1;
        self.last = PASSWORD.into();
        let user = self.user();
        let mut reply = self.session.handle()?.authenticate_keyboard_interactive_start(user, None).await;
        let (mut open, mut asked, mut unanswered) = (true, false, false);
        for _ in 0..MOST_ROUNDS {
            let (name, instructions, prompts) = match reply {
                Err(_) => return Err(self.hung_up()),
                Ok(Reply::InfoRequest { name, instructions, prompts }) => (name, instructions, prompts),
                Ok(Reply::Success) => {
                    self.accepted(Step::In).await;
                    return Ok(Step::In);
                }
                Ok(Reply::Failure { remaining_methods, partial_success }) => {
                    if asked && !unanswered {
                        self.tried(PASSWORD);
                    }
                    let step =
                        self.conclude(Ok(AuthResult::Failure { remaining_methods, partial_success }))?;
                    self.accepted(step).await;
                    // A server that asks nothing refuses without end; nobody's answer would be better next time.
                    let again = step != Step::Refused || (asked && !unanswered);
                    return Ok(if again { step } else { Step::Exhausted });
                }
            };
            asked |= !prompts.is_empty();
            let told = self.introduction(&name, &instructions, prompts.is_empty());
            let mut answers = Vec::with_capacity(prompts.len());
            for (place, prompt) in prompts.iter().enumerate() {
                let told = if place == 0 { told.as_str() } else { "" };
                let answer = if unanswered { None } else { self.answer(prompt, told, &mut open).await };
                // russh listens to nothing else before there are answers, and sshd cuts a conversation
                // that has too few: what can't be answered is answered with nothing.
                unanswered |= answer.is_none();
                answers.push(answer.map(|secret| secret.expose_secret().to_owned()).unwrap_or_default());
            }
            reply = self.session.handle()?.authenticate_keyboard_interactive_respond(answers).await;
        }
        self.left_out(format!("the server's questions (no end after {MOST_ROUNDS} rounds)"));
        Err(self.failure())
    }

    /// What a server says before its questions. Without questions it is told at once.
    fn introduction(&self, name: &str, instructions: &str, alone: bool) -> String {
        let mut text = String::new();
        for part in [name, instructions].into_iter().filter(|part| !part.trim().is_empty()) {
            for line in part.trim_end().lines().take(MOST_LINES) {
                text.push_str(&format!("({}) {}\n", self.whom(), quote(line)));
            }
        }
        if alone && !text.is_empty() {
            self.shared.person.note(text.trim_end());
            return String::new();
        }
        text
    }

    async fn answer(&mut self, prompt: &Prompt, told: &str, open: &mut bool) -> Option<SecretString> {
        // The account's password is asked for once, and first.
        if !prompt.echo && std::mem::take(open) && asks_password(&prompt.prompt) {
            return self.shared_password().await;
        }
        if matches!(self.login().options.password, PasswordUse::Given(_)) {
            self.left_out(format!("the server's question \"{}\" (nobody answers it)", quote(&prompt.prompt)));
            return None;
        }
        // The server wrote it: who asks stands before it, or it could pose as ours.
        let question = format!("{told}({}) {} ", self.whom(), quote(&prompt.prompt));
        let person = &self.shared.person;
        let turn = person.turn(self.limit).await;
        let answer = if prompt.echo {
            person.answer(turn, self.limit, question).await
        } else {
            person.secret(turn, self.limit, question).await
        };
        answer.ok().flatten()
    }

    /// The run's password; `None`: there is no (other) one to be had.
    async fn shared_password(&mut self) -> Option<SecretString> {
        if self.given.spent {
            return None;
        }
        let login = self.login().clone();
        let (asked, secret) = login.password.get(self.given.answer, &self.shared.person, self.limit).await?;
        self.given = Given { answer: asked, spent: matches!(login.options.password, PasswordUse::Given(_)) };
        Some(secret)
    }

    /// A password that some server took is right: where another does not take it, asking again would not help.
    async fn accepted(&self, step: Step) {
        if matches!(step, Step::In | Step::Partly) && self.given.answer > 0 {
            self.login().password.accept().await;
        }
    }

    fn whom(&self) -> String {
        format!("{}@{}", self.login().options.user, self.server)
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
