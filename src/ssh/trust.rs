//! The check of a server's key on one connection.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use russh::keys::{Certificate, HashAlg, PublicKey};

use super::{
    certificate::{CertificateNames, CertificateStatus},
    handler::Watch,
    host_key::{self, Filed, HostKeyStatus, NewHostKey, Verdict},
    known_hosts::{Filing, NewLine},
    login::Login,
    rsa_size,
};
use crate::{
    event::{Failure, Stage},
    natmap::Endpoint,
};

impl Watch {
    /// Checks a certificate. One that does not count leaves its plain key to be checked, as ssh(1) has it.
    pub(super) async fn check_certificate(&self, certificate: &Certificate) -> Result<(), Failure> {
        let names = CertificateNames::of(&self.endpoint, self.login.options.host_key_alias.as_deref());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let plain = || PublicKey::new(certificate.public_key().clone(), "");
        self.check_length(&plain())?;
        match self.login.known_hosts.certificate(&names, certificate, now) {
            CertificateStatus::Good => Ok(()),
            CertificateStatus::Revoked(known) => Err(host_key::revoked_certificate(&known)),
            CertificateStatus::Stranger => {
                self.check(&plain(), Some("nobody here knows its authority".into())).await
            }
            CertificateStatus::Flawed(flaw) => {
                self.shared.reports.flawed_certificate(
                    &self.shared.person,
                    &self.endpoint,
                    &self.label,
                    &flaw,
                );
                self.check(&plain(), Some(flaw)).await
            }
        }
    }

    /// Checks a plain key; `flaw` is what is wrong with the certificate that it came in.
    pub(super) async fn check(&self, key: &PublicKey, flaw: Option<String>) -> Result<(), Failure> {
        self.check_length(key)?;
        let options = &self.login.options;
        let status = self.login.known_hosts.status(&self.name, key.key_data());
        if status == HostKeyStatus::Known {
            return Ok(());
        }
        let shown = self.shown(key, flaw);
        if let Some(before) = self.machine_before() {
            self.shared.reports.moved(&self.shared.person, &before, &shown);
        }
        match host_key::judge(status.clone(), options.host_keys, shown) {
            Verdict::Trust => Ok(()),
            Verdict::Refuse(failure) => Err(failure),
            Verdict::TrustAndFile(shown) => self.file(key, status, shown).await,
            Verdict::Ask(question) => self.ask(key, status, question).await,
        }
    }

    /// Also a key that is on file, as in ssh: it may have been filed before the rule was made.
    fn check_length(&self, key: &PublicKey) -> Result<(), Failure> {
        match rsa_size::too_short(key.key_data(), self.login.options.least_rsa_bits) {
            None => Ok(()),
            Some(why) => Err(host_key::too_short(&why)),
        }
    }

    /// Another machine that was at this port before: only where machines are known apart from ports.
    fn machine_before(&self) -> Option<host_key::KnownKey> {
        self.endpoint.vm_id.as_ref()?;
        self.login.known_hosts.machine_before(&self.endpoint.to_string(), &self.name.alias)
    }

    fn shown(&self, key: &PublicKey, flawed_certificate: Option<String>) -> NewHostKey {
        NewHostKey {
            name: self.name.alias.clone(),
            label: self.label.clone(),
            key_type: key.algorithm().to_string(),
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
            other_types: Vec::new(),
            same_key: self.login.known_hosts.places(key.key_data()),
            endpoint: self.endpoint.clone(),
            flawed_certificate,
            own_file: self.login.known_hosts.own().into(),
        }
    }

    async fn ask(&self, key: &PublicKey, status: HostKeyStatus, question: NewHostKey) -> Result<(), Failure> {
        let answer = self.shared.questions.ask(&self.shared.person, &self.limit, question.clone()).await;
        match answer {
            Ok(true) => {
                // Another connection to the same server may have had the same answer.
                match self.login.known_hosts.status(&self.name, key.key_data()) {
                    HostKeyStatus::Known => Ok(()),
                    _ => self.file(key, status, NewHostKey { same_key: Vec::new(), ..question }).await,
                }
            }
            Ok(false) => Err(host_key::not_trusted(&question)),
            Err(error) => {
                let failure = Failure::new(Stage::HostKey, format!("the question failed: {error}"));
                Err(failure.with_hint("--host-keys accept-new and --host-keys strict ask nothing"))
            }
        }
    }

    /// A key that can't be filed is trusted for this run: the decision has been made. One that was
    /// overtaken by another connection's is judged by what is known now.
    async fn file(
        &self,
        key: &PublicKey,
        decided_on: HostKeyStatus,
        shown: NewHostKey,
    ) -> Result<(), Failure> {
        let (login, name, data) = (self.login.clone(), self.name.clone(), key.key_data().clone());
        let filed = filed(&self.endpoint, &self.login);
        let filing = tokio::task::spawn_blocking(move || {
            let hashing = login.options.name_hashing;
            let new = NewLine { name: &name.alias, key: &data, filed, hashing };
            login.known_hosts.file(&name, &new, &decided_on)
        });
        let (label, person) = (&self.label, &self.shared.person);
        match filing.await {
            Ok(Filing::Done) => self.shared.reports.filed(person, shown),
            Ok(Filing::Overtaken(status)) => {
                let policy = self.login.options.host_keys;
                return match host_key::judge(status, policy, shown.clone()) {
                    Verdict::Trust => Ok(()),
                    Verdict::Refuse(failure) => Err(failure),
                    _ => Err(host_key::not_trusted(&shown)),
                };
            }
            Ok(Filing::Unwritten(file, error)) => {
                let text = format!("host key can't be filed in {}: {error}", file.display());
                self.shared.reports.fold(person, &self.endpoint, label, text);
            }
            Err(error) => person.note(format!("host key of {label} can't be filed: {error}")),
        }
        Ok(())
    }
}

/// What is noted beside a key that is filed now.
pub(super) fn filed(endpoint: &Endpoint, login: &Login) -> Filed {
    Filed {
        date: Timestamp::now().strftime("%Y-%m-%d").to_string(),
        instance: endpoint.instance.as_ref().map(ToString::to_string),
        scale_set: login.options.scale_set.clone(),
        at: Some(endpoint.to_string()),
    }
}
