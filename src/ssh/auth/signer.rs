//! Signatures with the keys that are offered.

use std::sync::Arc;

use russh::{
    SendError, Signer,
    keys::{
        HashAlg, PrivateKey,
        agent::AgentIdentity,
        signature,
        ssh_encoding::Encode as _,
        ssh_key::{Signature, private::KeypairData},
    },
};

use crate::ssh::{agent::Conversation, identity::Identity, limit::Limit, person::Person};

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

/// Whoever has the private half.
pub(super) enum KeySigner<'a> {
    /// A key file, which is decrypted when the server has said that it takes the key.
    File(&'a Identity),
    /// The agent. It is asked by the name it knows, which for a certificate from a file is the bare key's.
    Agent { conversation: &'a mut Conversation, known_as: &'a AgentIdentity },
}

/// Signs for one offer.
pub(super) struct OfferSigner<'a> {
    pub(super) key: KeySigner<'a>,
    pub(super) person: &'a Person,
    pub(super) limit: &'a Arc<Limit>,
}

impl Signer for OfferSigner<'_> {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _key: &AgentIdentity,
        hash: Option<HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        match &mut self.key {
            KeySigner::File(identity) => {
                let key = identity.unlock(self.person, self.limit).await.map_err(SignError::Refused)?;
                let signature = sign(&key, hash, &data).ok_or(SignError::Refused("it can't sign"))?;
                signature.encode(&mut data).map_err(|_| SignError::Refused("it can't sign"))?;
                Ok(data)
            }
            KeySigner::Agent { conversation, known_as } => {
                let signed = conversation.sign(known_as, hash, data, self.person, self.limit);
                signed.await.map_err(SignError::Refused)
            }
        }
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
