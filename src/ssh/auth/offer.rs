//! Keys to offer, their order, and signatures with them.

use std::sync::Arc;

use russh::{
    SendError, Signer,
    keys::{
        Certificate, HashAlg, PrivateKey, PublicKey,
        agent::AgentIdentity,
        signature,
        ssh_encoding::Encode as _,
        ssh_key::{Signature, private::KeypairData, public::KeyData},
    },
};

use crate::ssh::{agent::Conversation, greeting::quote, identity::Identity, limit::Limit, person::Person};

/// A key that is offered, and who signs with it.
pub(super) struct Offer<'a> {
    pub(super) label: String,
    pub(super) proof: Proof,
    pub(super) signer: By<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    Key(PublicKey),
    Certificate(Box<Certificate>),
    /// The public half is behind the pass phrase.
    Unknown,
}

pub(super) enum By<'a> {
    File(&'a Identity),
    Agent,
}

/// All keys in the order in which they are offered: named ones that the agent has, named files, the
/// agent's others, default files. A certificate goes before its key; no key is offered twice.
pub(super) fn offers<'a>(identities: &'a [Arc<Identity>], agent: &[AgentIdentity]) -> Vec<Offer<'a>> {
    let agents = agent.iter().map(|identity| Offer {
        label: format!("agent key \"{}\"", quote(identity.comment())),
        proof: match identity {
            AgentIdentity::PublicKey { key, .. } => Proof::Key(key.clone()),
            AgentIdentity::Certificate { certificate, .. } => {
                Proof::Certificate(Box::new(certificate.clone()))
            }
        },
        signer: By::Agent,
    });
    let named = |proof: &Proof| {
        identities
            .iter()
            .any(|i| i.is_named() && i.public().is_some_and(|p| Some(p.key_data()) == key_of(proof)))
    };
    let (mut all, rest): (Vec<_>, Vec<_>) = agents.partition(|offer| named(&offer.proof));
    all.extend(identities.iter().filter(|i| i.is_named()).flat_map(|i| files(i)));
    all.extend(rest);
    all.extend(identities.iter().filter(|i| !i.is_named()).flat_map(|i| files(i)));

    let mut seen: Vec<Proof> = Vec::new();
    all.retain(|offer| {
        let again = seen.iter().any(|proof| same(proof, &offer.proof));
        seen.push(offer.proof.clone());
        !again
    });
    all
}

fn files(identity: &Identity) -> impl Iterator<Item = Offer<'_>> {
    let key = identity.public().map_or(Proof::Unknown, |key| Proof::Key(key.clone()));
    let certificate = identity.certificate().map(|c| Proof::Certificate(Box::new(c.clone())));
    certificate.into_iter().chain([key]).map(|proof| Offer {
        label: match &proof {
            Proof::Certificate(_) => format!("certificate of {}", identity.label()),
            _ => identity.label(),
        },
        proof,
        signer: By::File(identity),
    })
}

pub(super) fn key_of(proof: &Proof) -> Option<&KeyData> {
    match proof {
        Proof::Key(key) => Some(key.key_data()),
        Proof::Certificate(certificate) => Some(certificate.public_key()),
        Proof::Unknown => None,
    }
}

fn same(a: &Proof, b: &Proof) -> bool {
    match (a, b) {
        // Comments are no part of a key.
        (Proof::Key(a), Proof::Key(b)) => a.key_data() == b.key_data(),
        (Proof::Certificate(a), Proof::Certificate(b)) => a == b,
        _ => false,
    }
}

/// Why a key gave no signature.
#[derive(Debug)]
pub(super) enum SignError {
    /// The connection is gone.
    Gone,
    /// The key can't be used.
    Refused(&'static str),
}

impl From<SendError> for SignError {
    fn from(_: SendError) -> Self {
        Self::Gone
    }
}

/// Signs with a key file, which is decrypted when the server has said that it takes the key.
pub(super) struct FileSigner<'a> {
    pub(super) identity: &'a Identity,
    pub(super) person: &'a Person,
    pub(super) limit: &'a Arc<Limit>,
}

impl Signer for FileSigner<'_> {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _key: &AgentIdentity,
        hash: Option<HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        let key = self.identity.unlock(self.person, self.limit).await.map_err(SignError::Refused)?;
        let signature = sign(&key, hash, &data).ok_or(SignError::Refused("it can't sign"))?;
        signature.encode(&mut data).map_err(|_| SignError::Refused("it can't sign"))?;
        Ok(data)
    }
}

/// Signs with the agent's keys.
pub(super) struct AgentSigner<'a> {
    pub(super) conversation: &'a mut Conversation,
    pub(super) person: &'a Person,
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
        let signed = self.conversation.sign(key, hash, data, self.person, self.limit);
        signed.await.map_err(SignError::Refused)
    }
}

/// The signature as the protocol carries it, without its length.
fn sign(key: &PrivateKey, hash: Option<HashAlg>, data: &[u8]) -> Option<Vec<u8>> {
    use signature::Signer as _;

    let signature: Signature = match key.key_data() {
        KeypairData::Rsa(rsa) => (rsa, hash).try_sign(data).ok()?,
        other => other.try_sign(data).ok()?,
    };
    let mut bytes = Vec::new();
    signature.encode(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use russh::keys::Algorithm;

    use super::*;
    use crate::ssh::identity::Origin;

    fn identity(dir: &std::path::Path, name: &str, key: &PrivateKey, origin: Origin) -> Arc<Identity> {
        let path = dir.join(name);
        key.write_openssh_file(&path, Default::default()).unwrap();
        Arc::new(Identity::read(&path, origin).unwrap())
    }

    #[test]
    fn keys_are_offered_named_first_and_each_once() {
        let dir = tempfile::tempdir().unwrap();
        let keys: Vec<_> =
            (0..4).map(|_| PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()).collect();
        let identities = [
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
        let labels: Vec<_> = offers(&identities, &agent).into_iter().map(|o| o.label).collect();
        assert_eq!(labels, ["agent key \"mine\"", "named", "agent key \"other^[\"", "agent key \"default\""]);
    }
}
