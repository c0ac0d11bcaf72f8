//! known_hosts files: read once per run, matched here, added to and taken from.
//!
//! The format is OpenSSH's (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): plain and hashed names,
//! `[host]:port`, wildcards, negation, `@revoked` and `@cert-authority`.

mod line;
mod own;
#[cfg(test)]
mod tests;

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, RwLock},
};

use russh::keys::{
    Algorithm, Certificate,
    ssh_key::{
        known_hosts::{HostPatterns, Marker},
        public::KeyData,
    },
};

use self::{
    line::{Line, Rest},
    own::{Locked, Seen},
};
use super::{
    certificate::{self, CertificateNames, CertificateStatus},
    host_key::{Filed, HostKeyStatus, KnownKey},
};

/// Where host keys are looked up and filed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KnownHostsFiles {
    /// Read, and appended to.
    pub own: PathBuf,
    /// Read only: the user's and the system's OpenSSH files.
    pub also: Vec<PathBuf>,
}

/// How names are written into a known_hosts file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum NameHashing {
    /// Hashed where the file has hashed names already, else as they are.
    #[default]
    AsTheFile,
    /// Hashed (`HashKnownHosts yes`): who reads the file can't tell what hosts there are.
    Always,
}

/// All host keys that are known, and the file that gets new ones.
#[derive(Debug)]
pub(super) struct KnownHosts {
    lines: RwLock<Vec<Line>>,
    own: PathBuf,
    /// How much of the own file is in `lines`. Held while a key is checked and filed, so that two first
    /// contacts file it once.
    seen: Mutex<Seen>,
}

/// What came of filing a key.
#[derive(Debug)]
pub(super) enum Filing {
    /// It is filed, now or since another contact did it.
    Done,
    /// The file can't be written; the key is known for this run all the same.
    Unwritten(PathBuf, io::Error),
    /// Nothing was filed: meanwhile something else is known than what was decided on.
    Overtaken(HostKeyStatus),
}

/// What is filed under which name.
#[derive(Debug, Clone)]
pub(super) struct NewLine<'a> {
    pub(super) name: &'a str,
    pub(super) key: &'a KeyData,
    pub(super) filed: Filed,
    pub(super) hashing: NameHashing,
}

/// The names under which a server's key may be filed, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerName {
    /// The alias: `[20.1.2.3]:50000`.
    pub(super) alias: String,
    /// The same without the port, where that differs. As in ssh(1), a key filed there is known and
    /// another one is not a changed one.
    pub(super) bare: Option<String>,
}

impl ServerName {
    fn all(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.alias.as_str()).chain(self.bare.as_deref())
    }
}

impl KnownHosts {
    /// Reads the files. Gives notes about lines that were skipped.
    ///
    /// # Errors
    /// When a file is there and can't be read: to take it as empty would accept changed keys.
    pub(super) fn read(files: &KnownHostsFiles) -> Result<(Self, Vec<String>), (PathBuf, io::Error)> {
        let (mut lines, mut notes, mut seen) = (Vec::new(), Vec::new(), Seen::default());
        for path in std::iter::once(&files.own).chain(files.also.iter().filter(|f| **f != files.own)) {
            let bytes = match own::read_file(path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err((path.clone(), error)),
            };
            if *path == files.own {
                seen = Seen::of(std::fs::metadata(path).ok().as_ref(), &bytes);
            }
            let (more, skipped) = line::parse(&String::from_utf8_lossy(&bytes), 1, path);
            lines.extend(more);
            notes.extend(skipped);
        }
        let known = Self { lines: RwLock::new(lines), own: files.own.clone(), seen: Mutex::new(seen) };
        Ok((known, notes))
    }

    fn look<T>(&self, look: impl FnOnce(&[Line]) -> T) -> T {
        look(&self.lines.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The file that gets new keys.
    pub(super) fn own(&self) -> &Path {
        &self.own
    }

    /// What is known about a key that a server shows.
    pub(super) fn status(&self, name: &ServerName, key: &KeyData) -> HostKeyStatus {
        self.look(|lines| status(lines, name, key))
    }

    /// What a certificate that a server shows is worth at a time, in seconds since 1970.
    pub(super) fn certificate(
        &self,
        names: &CertificateNames,
        shown: &Certificate,
        now: u64,
    ) -> CertificateStatus {
        let hosts = || names.lines.iter().map(String::as_str);
        self.look(|lines| {
            let named = |marker| lines.iter().filter(move |l| l.is(marker) && l.names_one_of(hosts()));
            let is_revoked =
                |line: &&Line| line.key == *shown.public_key() || line.key == *shown.signature_key();
            if let Some(line) = named(Marker::Revoked).find(is_revoked) {
                return CertificateStatus::Revoked(line.known());
            }
            if !named(Marker::CertAuthority).any(|line| line.key == *shown.signature_key()) {
                return CertificateStatus::Stranger;
            }
            match certificate::check(shown, &names.principals, now) {
                Ok(()) => CertificateStatus::Good,
                Err(flaw) => CertificateStatus::Flawed(flaw),
            }
        })
    }

    /// Whether an authority may speak for a server: only then are certificates asked for.
    pub(super) fn has_authority(&self, names: &CertificateNames) -> bool {
        let hosts = || names.lines.iter().map(String::as_str);
        self.look(|lines| lines.iter().any(|l| l.is(Marker::CertAuthority) && l.names_one_of(hosts())))
    }

    /// The types of the keys that are filed for a server: to be asked for first.
    pub(super) fn types(&self, name: &ServerName) -> Vec<Algorithm> {
        self.look(|lines| {
            let filed = lines.iter().filter(|l| l.is_plain() && l.names_one_of([name.alias.as_str()]));
            filed.map(|l| l.key.algorithm()).collect()
        })
    }

    /// Where the key is filed under whatever name.
    pub(super) fn places(&self, key: &KeyData) -> Vec<KnownKey> {
        self.look(|lines| lines.iter().filter(|l| l.is_plain() && l.key == *key).map(Line::known).collect())
    }

    /// All that is on file for a server, marked lines too.
    pub(super) fn of(&self, name: &ServerName, names: &CertificateNames) -> Vec<KnownKey> {
        self.look(|lines| {
            let marked = |l: &Line| !l.is_plain() && l.names_one_of(names.lines.iter().map(String::as_str));
            lines.iter().filter(|l| l.names_one_of(name.all()) || marked(l)).map(Line::known).collect()
        })
    }

    /// What is on file under a name.
    pub(super) fn named(&self, name: &str) -> Vec<KnownKey> {
        self.look(|lines| lines.iter().filter(|l| l.names_one_of([name])).map(Line::known).collect())
    }

    /// The last key that was filed for whatever machine then was at `at` (`20.1.2.3:50000`), where that
    /// was another than `alias`.
    pub(super) fn machine_before(&self, at: &str, alias: &str) -> Option<KnownKey> {
        let before = |l: &&Line| l.is_plain() && l.filed.as_ref().and_then(|f| f.at.as_deref()) == Some(at);
        let last = self.look(|lines| lines.iter().rev().find(before).map(Line::known))?;
        let is_other = last.names.as_deref().is_some_and(|names| names != alias && !names.starts_with('['));
        is_other.then_some(last)
    }

    /// Files a key, here and in the file, if what is known about it is still `decided_on`: of two
    /// first contacts under one name that show different keys, only one may be trusted, also where the other
    /// is another process's. Blocks.
    pub(super) fn file(&self, name: &ServerName, new: &NewLine<'_>, decided_on: &HostKeyStatus) -> Filing {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let locked = Locked::open(&self.own).and_then(|mut file| {
            self.catch_up(&mut file, &mut seen)?;
            Ok(file)
        });
        match self.status(name, new.key) {
            HostKeyStatus::Known => return Filing::Done,
            status if status != *decided_on => return Filing::Overtaken(status),
            _ => {}
        }
        let names = self.names(new);
        let written = locked.and_then(|mut file| {
            *seen = file.append(&line::write(&names, new.key, &new.filed)?, *seen)?;
            Ok(())
        });
        let line = Line {
            marker: None,
            names,
            key: new.key.clone(),
            filed: Some(new.filed.clone()),
            file: self.own.as_path().into(),
            number: written.is_ok().then_some(seen.lines),
        };
        self.lines.write().unwrap_or_else(PoisonError::into_inner).push(line);
        match written {
            Ok(()) => Filing::Done,
            Err(error) => Filing::Unwritten(self.own.clone(), error),
        }
    }

    /// Takes names out of the own file, and gives what was filed under them. Marked lines and wildcards
    /// stay. Blocks.
    ///
    /// # Errors
    /// When the file can't be read or written.
    pub(super) fn forget(&self, names: &[&str]) -> io::Result<Vec<KnownKey>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.own.exists() {
            return Ok(Vec::new());
        }
        let mut file = Locked::open(&self.own)?;
        let (bytes, _) = file.all()?;
        // What is no text stays as it is: it is not ours to mend.
        let (mut kept, mut forgotten) = (Vec::with_capacity(bytes.len()), Vec::new());
        for (number, piece) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
            let text = String::from_utf8_lossy(piece);
            let rest = line::without(&text, names);
            if rest != Rest::Same {
                let (lines, _) = line::parse(&text, number, &self.own);
                forgotten.extend(lines.iter().map(Line::known));
            }
            match rest {
                Rest::Same => kept.extend_from_slice(piece),
                Rest::Shorter(line) => kept.extend_from_slice(line.as_bytes()),
                Rest::Nothing => {}
            }
        }
        if !forgotten.is_empty() {
            file.replace(&self.own, &kept)?;
            let metadata = std::fs::metadata(&self.own).ok();
            *seen = Seen::of(metadata.as_ref(), &kept);
            self.take_over(&String::from_utf8_lossy(&kept), None);
        }
        Ok(forgotten)
    }

    /// Hashed where that is wanted, or is what the file has.
    fn names(&self, new: &NewLine<'_>) -> HostPatterns {
        let is_hashed = |l: &Line| *l.file == *self.own && matches!(l.names, HostPatterns::HashedName { .. });
        let hash = new.hashing == NameHashing::Always || self.look(|lines| lines.iter().any(is_hashed));
        if hash { line::hashed(new.name) } else { HostPatterns::Patterns(vec![new.name.into()]) }
    }

    /// Reads what other programs have done to the file.
    fn catch_up(&self, file: &mut Locked, seen: &mut Seen) -> io::Result<()> {
        match file.news(*seen)? {
            Some(news) => {
                if !news.is_empty() {
                    self.take_over(&String::from_utf8_lossy(&news), Some(seen.lines));
                    seen.bytes += news.len() as u64;
                    seen.lines += news.iter().filter(|byte| **byte == b'\n').count();
                }
            }
            None => {
                let (all, whole) = file.all()?;
                self.take_over(&String::from_utf8_lossy(&all), None);
                *seen = whole;
            }
        }
        Ok(())
    }

    /// Takes lines of the own file: those behind so many that are known, or all in place of those.
    fn take_over(&self, text: &str, behind: Option<usize>) {
        let (more, _) = line::parse(text, behind.unwrap_or(0) + 1, &self.own);
        let mut lines = self.lines.write().unwrap_or_else(PoisonError::into_inner);
        if behind.is_none() {
            // What could not be written is known all the same.
            lines.retain(|line| *line.file != *self.own || line.number.is_none());
        }
        lines.extend(more);
    }
}

fn status(lines: &[Line], name: &ServerName, key: &KeyData) -> HostKeyStatus {
    let either = |line: &&Line| line.names_one_of(name.all());
    // The key is compared first: names may be hashed.
    let same_key = || lines.iter().filter(|line| line.key == *key);
    if let Some(line) = same_key().filter(|l| l.is(Marker::Revoked)).find(either) {
        return HostKeyStatus::Revoked { known: line.known() };
    }
    if same_key().filter(|line| line.is_plain()).any(|line| either(&line)) {
        return HostKeyStatus::Known;
    }
    let filed = lines.iter().filter(|l| l.is_plain() && l.names_one_of([name.alias.as_str()]));
    let (same_type, other_types): (Vec<_>, Vec<_>) =
        filed.map(|l| (l.key.algorithm() == key.algorithm(), l.known())).partition(|(same, _)| *same);
    let keys = |pairs: Vec<(bool, KnownKey)>| pairs.into_iter().map(|(_, key)| key).collect();
    if same_type.is_empty() {
        HostKeyStatus::New { other_types: keys(other_types) }
    } else {
        HostKeyStatus::Changed { known: keys(same_type) }
    }
}
