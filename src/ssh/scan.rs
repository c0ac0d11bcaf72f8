//! Host keys without a sign-in: what an endpoint shows, as ssh-keyscan(1) asks for it.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use russh::{
    Preferred,
    client::{self, Handler},
    keys::{Algorithm, EcdsaCurve, HashAlg, PublicKey, PublicKeyOrCertificate},
};

use super::{
    Client,
    handler::WatchError,
    limit::Limit,
    stage::{self, Progress},
    transport::{Cutter, Listening, Wire},
};
use crate::{
    event::{Failure, Stage},
    natmap::Endpoint,
    net::connect,
};

/// A key that a server has shown to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey(PublicKey);

impl HostKey {
    /// Reads a type and a key in base 64; whatever follows is left out.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let words: Vec<_> = text.split_whitespace().take(2).collect();
        let key = PublicKey::from_openssh(&words.join(" ")).ok()?;
        Some(Self(PublicKey::new(key.key_data().clone(), "")))
    }

    /// Its type: `ssh-ed25519`.
    #[must_use]
    pub fn key_type(&self) -> String {
        self.0.algorithm().to_string()
    }

    /// `SHA256:...`, as `ssh-keygen -l` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Type and key as files have them; empty for one that can't be written.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.to_openssh().map(|text| text.trim_end().to_owned()).unwrap_or_default()
    }

    pub(super) fn public(&self) -> &PublicKey {
        &self.0
    }
}

/// One of each type, the best first; an RSA key signs with either hash.
fn types() -> [Algorithm; 5] {
    let ecdsa = |curve| Algorithm::Ecdsa { curve };
    [
        Algorithm::Ed25519,
        ecdsa(EcdsaCurve::NistP256),
        ecdsa(EcdsaCurve::NistP384),
        ecdsa(EcdsaCurve::NistP521),
        Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    ]
}

impl Client {
    /// The keys of all types that an endpoint shows, a connection for each, within a time limit for each.
    /// The server proves that it has them; nobody says whose they are.
    ///
    /// # Errors
    /// When it can't be reached, or shows no key.
    pub async fn scan(&self, endpoint: &Endpoint, limit: Duration) -> Result<Vec<HostKey>, Failure> {
        let mut found = Vec::new();
        for algorithm in types() {
            let (limit, progress) = (Limit::new(limit), Progress::default());
            let shown = tokio::select! {
                shown = Box::pin(self.scan_one(endpoint, algorithm, &limit, &progress)) => shown?,
                () = limit.run_out() => return Err(stage::timed_out(progress.stage(), limit.whole())),
            };
            found.extend(shown.map(HostKey));
        }
        if found.is_empty() {
            return Err(Failure::new(Stage::KeyExchange, "no host key of a type that is known here"));
        }
        Ok(found)
    }

    async fn scan_one(
        &self,
        endpoint: &Endpoint,
        algorithm: Algorithm,
        limit: &Arc<Limit>,
        progress: &Progress,
    ) -> Result<Option<PublicKey>, Failure> {
        progress.reach(Stage::Resolve);
        let addresses = self.shared.resolver.resolve(&endpoint.host).await;
        let addresses = addresses.map_err(|e| stage::unresolved(&e, &endpoint.host))?;
        progress.reach(Stage::Connect);
        let stream = connect::connect(&addresses, endpoint.port.get(), limit.left()).await;
        let wire = Wire::Tcp(stream.map_err(|e| stage::unconnected(&e, limit.whole()))?);
        let cutter = Cutter::new(&wire).map_err(|e| stage::local_trouble(&e))?;
        progress.reach(Stage::Banner);
        let config = client::Config {
            nodelay: true,
            preferred: Preferred { key: Cow::Owned(vec![algorithm]), ..Preferred::default() },
            ..client::Config::default()
        };
        let shown = Shown::default();
        let stream = Listening::new(wire, progress.first.clone(), cutter.token());
        let result = client::connect_stream(Arc::new(config), stream, shown.clone()).await;
        let key = shown.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (key, result) {
            (Some(key), _) => Ok(Some(key)),
            // It has none of this type.
            (None, Err(WatchError::Russh(russh::Error::NoCommonAlgo { .. }))) => Ok(None),
            (None, Err(error)) => Err(stage::no_transport(error, progress)),
            (None, Ok(_)) => Ok(None),
        }
    }
}

/// Takes the key and goes.
#[derive(Debug, Clone, Default)]
struct Shown(Arc<Mutex<Option<PublicKey>>>);

impl Handler for Shown {
    type Error = WatchError;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, WatchError> {
        let key = PublicKey::new(key.public_key().key_data().clone(), "");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        Ok(false)
    }
}
