//! Keys to offer, and their order.

use std::{sync::Arc, time::Duration};

use russh::keys::{
    Algorithm, Certificate, HashAlg, PublicKey, agent::AgentIdentity, ssh_key::public::KeyData,
};

use super::certificate::doubt;
use crate::ssh::{
    AgentKeys, Login,
    greeting::quote,
    identity::{CertificateFile, Identity},
    rsa_size,
};

/// A key that is offered, and who signs with it.
pub(super) struct Offer {
    pub(super) label: String,
    pub(super) proof: Proof,
    pub(super) signer: By,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    Key(PublicKey),
    Certificate(Box<Certificate>),
    /// The public half is behind the pass phrase.
    Unknown,
}

pub(super) enum By {
    File(Arc<Identity>),
    /// By the name that the agent knows it by.
    Agent(Box<AgentIdentity>),
}

/// What there is to offer, and what can't be and why.
#[derive(Default)]
pub(super) struct Offers {
    pub(super) offers: Vec<Offer>,
    pub(super) left_out: Vec<String>,
}

/// All keys in the order in which they are offered: certificates that were named, named keys that the
/// agent has, named files, the agent's others, default files. A certificate goes before its key; no key is
/// offered twice. `now` since 1970.
pub(super) fn offers(login: &Login, agent: &[AgentIdentity], now: Duration) -> Offers {
    let kit = Kit { identities: &login.identities, agent, user: &login.options.user, now };
    let mut found = Offers::default();
    for file in &login.certificates {
        kit.certificate_file(file, &mut found);
    }
    let named: Vec<_> = kit.identities.iter().filter(|i| i.is_named()).collect();
    for identity in agent.iter().filter(|i| named.iter().any(|n| is_public_of(n, key_of_agent(i)))) {
        found.offers.push(kit.of_agent(identity));
    }
    named.iter().for_each(|identity| kit.files(identity, &mut found));
    let of_a_file = |i: &&AgentIdentity| kit.identities.iter().any(|f| is_public_of(f, key_of_agent(i)));
    let all = login.options.agent_keys == AgentKeys::All;
    found.offers.extend(agent.iter().filter(|i| all || of_a_file(i)).map(|i| kit.of_agent(i)));
    for identity in kit.identities.iter().filter(|i| !i.is_named()) {
        kit.files(identity, &mut found);
    }

    leave_out_short(&mut found, login.options.least_rsa_bits);
    let mut seen: Vec<Proof> = Vec::new();
    found.offers.retain(|offer| {
        let again = seen.iter().any(|proof| same(proof, &offer.proof));
        seen.push(offer.proof.clone());
        !again
    });
    found
}

/// Takes RSA keys out that are shorter than the user wants any to be.
fn leave_out_short(found: &mut Offers, least_bits: u32) {
    let Offers { offers, left_out } = found;
    offers.retain(|offer| {
        let why = key_of(&offer.proof).and_then(|key| rsa_size::too_short(key, least_bits));
        left_out.extend(why.iter().map(|why| format!("{} ({why})", offer.label)));
        why.is_none()
    });
}

/// What keys there are.
struct Kit<'a> {
    identities: &'a [Arc<Identity>],
    agent: &'a [AgentIdentity],
    user: &'a str,
    now: Duration,
}

impl Kit<'_> {
    fn of_agent(&self, identity: &AgentIdentity) -> Offer {
        let comment = quote(identity.comment());
        let (label, proof) = match identity {
            AgentIdentity::PublicKey { key, .. } => {
                (format!("agent key \"{comment}\""), Proof::Key(key.clone()))
            }
            AgentIdentity::Certificate { certificate, .. } => (
                self.label(format!("agent certificate \"{comment}\""), certificate),
                Proof::Certificate(Box::new(certificate.clone())),
            ),
        };
        Offer { label, proof, signer: By::Agent(Box::new(identity.clone())) }
    }

    /// A key file with the certificates beside it.
    fn files(&self, identity: &Arc<Identity>, found: &mut Offers) {
        let signer = || match identity.public().and_then(|public| self.in_agent(public.key_data())) {
            // No pass phrase, and the only way to a security key.
            Some(known_as) => Some(By::Agent(Box::new(known_as.clone()))),
            None => identity.is_here().is_ok().then(|| By::File(identity.clone())),
        };
        for certificate in identity.certificates() {
            let label = self.label(format!("certificate of {}", identity.label()), certificate);
            let proof = Proof::Certificate(Box::new(certificate.clone()));
            if let Some(signer) = signer() {
                found.offers.push(Offer { label, proof, signer });
            }
        }
        let proof = identity.public().map_or(Proof::Unknown, |key| Proof::Key(key.clone()));
        match (signer(), identity.is_here()) {
            (Some(signer), _) => found.offers.push(Offer { label: identity.label(), proof, signer }),
            (None, Err(why)) if identity.is_named() => {
                found.left_out.push(format!("{} ({why})", identity.label()));
            }
            _ => {}
        }
    }

    fn certificate_file(&self, file: &CertificateFile, found: &mut Offers) {
        let key = file.certificate.public_key();
        let signer = match self.in_agent(key) {
            Some(known_as) => Some(By::Agent(Box::new(known_as.clone()))),
            None => {
                let of_it = |i: &&Arc<Identity>| is_public_of(i, key) && i.is_here().is_ok();
                self.identities.iter().find(of_it).map(|identity| By::File(identity.clone()))
            }
        };
        let label = self.label(format!("certificate {}", file.label()), &file.certificate);
        match signer {
            Some(signer) => {
                let proof = Proof::Certificate(Box::new(file.certificate.clone()));
                found.offers.push(Offer { label, proof, signer });
            }
            None => {
                found.left_out.push(format!("{label} (its private key is neither named nor in the agent)"))
            }
        }
    }

    /// What the agent knows this key as: the bare key, or else a certificate of it.
    fn in_agent(&self, key: &KeyData) -> Option<&AgentIdentity> {
        let mut known = self.agent.iter().filter(|identity| key_of_agent(identity) == key);
        let bare = known.clone().find(|identity| matches!(identity, AgentIdentity::PublicKey { .. }));
        bare.or_else(|| known.next())
    }

    fn label(&self, label: String, certificate: &Certificate) -> String {
        match doubt(certificate, self.user, self.now) {
            Some(why) => format!("{label} ({why})"),
            None => label,
        }
    }
}

fn is_public_of(identity: &Identity, key: &KeyData) -> bool {
    identity.public().is_some_and(|public| public.key_data() == key)
}

fn key_of_agent(identity: &AgentIdentity) -> &KeyData {
    match identity {
        AgentIdentity::PublicKey { key, .. } => key.key_data(),
        AgentIdentity::Certificate { certificate, .. } => certificate.public_key(),
    }
}

pub(super) fn key_of(proof: &Proof) -> Option<&KeyData> {
    match proof {
        Proof::Key(key) => Some(key.key_data()),
        Proof::Certificate(certificate) => Some(certificate.public_key()),
        Proof::Unknown => None,
    }
}

/// The name of the algorithm that signs with this proof.
pub(super) fn algorithm(proof: &Proof, hash: Option<HashAlg>) -> Option<String> {
    let of = |algorithm: Algorithm| match algorithm {
        Algorithm::Rsa { .. } => Algorithm::Rsa { hash },
        other => other,
    };
    match proof {
        Proof::Key(key) => Some(of(key.algorithm()).as_str().to_owned()),
        Proof::Certificate(certificate) => Some(of(certificate.algorithm()).to_certificate_type()),
        Proof::Unknown => None,
    }
}

fn same(a: &Proof, b: &Proof) -> bool {
    match (a, b) {
        // Comments are no part of a key.
        (Proof::Key(a), Proof::Key(b)) => a.key_data() == b.key_data(),
        (Proof::Certificate(a), Proof::Certificate(b)) => a.to_bytes().ok() == b.to_bytes().ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use russh::keys::PrivateKey;

    use super::*;
    use crate::ssh::{KnownHostsFiles, LoginOptions, identity::Origin};

    fn identity(dir: &std::path::Path, name: &str, key: &PrivateKey, origin: Origin) -> Arc<Identity> {
        let path = dir.join(name);
        key.write_openssh_file(&path, Default::default()).unwrap();
        Arc::new(Identity::read(&path, origin).unwrap())
    }

    fn labels(identities: Vec<Arc<Identity>>, agent: &[AgentIdentity], keys: AgentKeys) -> Vec<String> {
        let options = LoginOptions {
            agent_keys: keys,
            ..LoginOptions::new("alice", KnownHostsFiles { own: "none".into(), also: vec![] })
        };
        let login = Login { identities, ..Login::without_files(options) };
        offers(&login, agent, Duration::ZERO).offers.into_iter().map(|o| o.label).collect()
    }

    #[test]
    fn keys_are_offered_named_first_and_each_once() {
        let dir = tempfile::tempdir().unwrap();
        let keys: Vec<_> =
            (0..4).map(|_| PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()).collect();
        let identities = vec![
            identity(dir.path(), "default", &keys[0], Origin::Default),
            identity(dir.path(), "named", &keys[1], Origin::Named),
            identity(dir.path(), "named in agent", &keys[2], Origin::Named),
        ];
        let in_agent = |key: &PrivateKey, comment: &str| AgentIdentity::PublicKey {
            key: key.public_key().clone(),
            comment: comment.into(),
        };
        let agent =
            [in_agent(&keys[3], "other\x1b"), in_agent(&keys[2], "mine"), in_agent(&keys[0], "default")];
        let all = labels(identities.clone(), &agent, AgentKeys::All);
        assert_eq!(all, ["agent key \"mine\"", "named", "agent key \"other^[\"", "agent key \"default\""]);
        let only_named = labels(identities, &agent, AgentKeys::Named);
        assert_eq!(only_named, ["agent key \"mine\"", "named", "agent key \"default\""]);
    }
}
