//! What all connections of a run share.

use std::{
    collections::HashMap,
    convert::Infallible,
    hash::Hash,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Mutex as AsyncMutex;
use tokio_util::task::TaskTracker;

use super::{
    ClientError, Destination, KnownHostsFiles, Session,
    agent::Agent,
    identity::{Identity, Origin},
    known_hosts::KnownHosts,
    person::Person,
    questions::Questions,
    reports::Reports,
};
use crate::{event::Failure, net::resolve::Resolver};

/// What was read or opened is so once for all: a key is decrypted, an agent asked and a host key filed once,
/// however many destinations want it.
pub(super) struct Shared {
    pub(super) resolver: Resolver,
    pub(super) person: Arc<Person>,
    /// Notes about host keys.
    pub(super) reports: Arc<Reports>,
    /// First contacts.
    pub(super) questions: Questions,
    /// What is said as connections are left, which may outlive who wanted them by a second.
    pub(super) goodbyes: TaskTracker,
    known_hosts: Cache<KnownHostsFiles, KnownHosts>,
    identities: Cache<(PathBuf, Origin), Identity>,
    agents: Cache<PathBuf, Agent>,
    hops: Cache<HopKey, Hop>,
}

/// A destination that carries others, by where it lies in memory: those who share a hop share its value.
type HopKey = usize;

/// A server that carries others.
pub(super) struct Hop {
    /// Keeps the key of this entry from being given to another.
    _destination: Arc<Destination>,
    /// Its session once somebody has wanted it, or why there is none: who is behind it is not to wait for
    /// the same failure a thousand times.
    pub(super) session: AsyncMutex<Option<Result<Arc<Session>, Failure>>>,
}

impl Shared {
    pub(super) fn new(resolver: Resolver, person: Person) -> Self {
        let goodbyes = TaskTracker::new();
        // Tasks may still be added; waiting ends whenever there are none.
        goodbyes.close();
        let reports = Arc::<Reports>::default();
        Self {
            resolver,
            person: Arc::new(person),
            questions: Questions::new(reports.clone()),
            reports,
            goodbyes,
            known_hosts: Cache::default(),
            identities: Cache::default(),
            agents: Cache::default(),
            hops: Cache::default(),
        }
    }

    /// The known host keys of these files. Blocks.
    pub(super) fn known_hosts(&self, files: &KnownHostsFiles) -> Result<Arc<KnownHosts>, ClientError> {
        self.known_hosts.get(files, || {
            let (known, notes) =
                KnownHosts::read(files).map_err(|(file, source)| ClientError::KnownHosts { file, source })?;
            notes.into_iter().for_each(|note| self.person.note(note));
            Ok(Arc::new(known))
        })
    }

    /// A key file. Blocks.
    pub(super) fn identity(&self, path: &Path, origin: Origin) -> Result<Arc<Identity>, ClientError> {
        self.identities.get(&(path.into(), origin), || Ok(Arc::new(Identity::read(path, origin)?)))
    }

    /// The agent at a socket.
    pub(super) fn agent(&self, socket: &Path) -> Arc<Agent> {
        self.agents.of(&socket.into(), || Agent::new(socket.into()))
    }

    /// The session that others are carried by.
    pub(super) fn hop(&self, destination: &Arc<Destination>) -> Arc<Hop> {
        let new = || Hop { _destination: destination.clone(), session: AsyncMutex::default() };
        self.hops.of(&(Arc::as_ptr(destination) as HopKey), || Arc::new(new()))
    }

    /// Lets go of the sessions that carry others.
    pub(super) fn forget_hops(&self) {
        self.hops.clear();
    }
}

/// What was made once for a key.
struct Cache<K, V>(Mutex<HashMap<K, Arc<V>>>);

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone, V> Cache<K, V> {
    /// The value of a key, made where there is none yet. Who wants another one waits meanwhile.
    fn get<E>(&self, key: &K, make: impl FnOnce() -> Result<Arc<V>, E>) -> Result<Arc<V>, E> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = values.get(key) {
            return Ok(value.clone());
        }
        let value = make()?;
        values.insert(key.clone(), value.clone());
        Ok(value)
    }

    /// The same where making can't fail.
    fn of(&self, key: &K, make: impl FnOnce() -> Arc<V>) -> Arc<V> {
        match self.get(key, || Ok::<_, Infallible>(make())) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
