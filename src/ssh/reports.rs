//! Notes about host keys: at once where one server is meant, folded at the end of a fan-out.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use super::{
    NewHostKey,
    host_key::{self, KnownKey},
    person::Person,
};
use crate::{
    fold::Fold,
    natmap::{Endpoint, display_endpoints},
};

/// What there is to say, and how many servers the run is for.
#[derive(Debug, Default)]
pub(super) struct Reports {
    expected: AtomicUsize,
    folded: Mutex<Folded>,
}

#[derive(Debug, Default)]
struct Folded {
    filed: Vec<NewHostKey>,
    moved: Vec<Endpoint>,
    others: Vec<(String, Endpoint)>,
}

impl Reports {
    /// So many servers will be connected to: with more than one, notes wait for the end.
    pub(super) fn expect(&self, servers: usize) {
        self.expected.store(servers, Ordering::Relaxed);
    }

    /// Whether more than one server is meant.
    pub(super) fn is_fan_out(&self) -> bool {
        self.expected.load(Ordering::Relaxed) > 1
    }

    pub(super) fn filed(&self, person: &Person, shown: NewHostKey) {
        if self.is_fan_out() {
            self.folded().filed.push(shown);
        } else {
            person.note(host_key::filed(&shown));
        }
    }

    /// Another machine answers at a port than before.
    pub(super) fn moved(&self, person: &Person, before: &KnownKey, shown: &NewHostKey) {
        if self.is_fan_out() {
            self.folded().moved.push(shown.endpoint.clone());
        } else if let Some(note) = host_key::moved(before, shown) {
            person.note(note);
        }
    }

    pub(super) fn flawed_certificate(&self, person: &Person, endpoint: &Endpoint, label: &str, flaw: &str) {
        self.fold(person, endpoint, label, format!("host certificate does not count: {flaw}"));
    }

    /// A note that may be the same for many.
    pub(super) fn fold(&self, person: &Person, endpoint: &Endpoint, label: &str, text: String) {
        if self.is_fan_out() {
            self.folded().others.push((text, endpoint.clone()));
        } else {
            person.note(format!("{label}: {text}"));
        }
    }

    /// Says what has waited.
    pub(super) fn tell(&self, person: &Person) {
        let Folded { filed, moved, others } = std::mem::take(&mut *self.folded());
        let set = |endpoints: &[&Endpoint]| display_endpoints(endpoints);
        if !filed.is_empty() {
            let all: Vec<_> = filed.iter().map(|new| &new.endpoint).collect();
            person.note(format!("host keys of {} filed", set(&all)));
        }
        let keys: Fold<_, _> = filed.iter().map(|new| (&new.fingerprint, new)).collect();
        for (fingerprint, sharing) in keys.groups() {
            let endpoints: Vec<_> = sharing.iter().map(|new| &new.endpoint).collect();
            let elsewhere = sharing.iter().any(|new| !new.same_key.is_empty());
            if sharing.len() > 1 {
                person.note(format!(
                    "{} have the same host key ({fingerprint}): an image that was not generalised; make new ones on \
                     each (`sudo rm /etc/ssh/ssh_host_*_key* && sudo ssh-keygen -A`)",
                    set(&endpoints)
                ));
            } else if elsewhere {
                person.note(format!(
                    "the host key of {} is filed for other names too ({fingerprint}): the same machine, or an image that \
                     was not generalised",
                    set(&endpoints)
                ));
            }
        }
        if !moved.is_empty() {
            let all: Vec<_> = moved.iter().collect();
            person.note(format!(
                "the ports of {} lead to other machines now than when keys were filed",
                set(&all)
            ));
        }
        let others: Fold<_, _> = others.iter().map(|(text, endpoint)| (text, endpoint)).collect();
        for (text, endpoints) in others.groups() {
            person.note(format!("{}: {text}", set(endpoints)));
        }
    }

    fn folded(&self) -> std::sync::MutexGuard<'_, Folded> {
        self.folded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
