//! known_hosts files: read once per run, matched here, appended to.
//!
//! The format is OpenSSH's (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): plain and hashed names,
//! `[host]:port`, wildcards, negation, `@revoked` and `@cert-authority`.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    thread,
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use russh::keys::{
    Algorithm, HashAlg, PublicKey,
    ssh_key::{
        known_hosts::{HostPatterns, Marker},
        public::KeyData,
    },
};

use super::host_key::{HostKeyStatus, KnownKey};
use crate::pattern;

/// Another program holds the lock for the few milliseconds that a line takes.
const LOCK_LIMIT: Duration = Duration::from_secs(5);

/// Where host keys are looked up and filed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KnownHostsFiles {
    /// Read, and appended to.
    pub own: PathBuf,
    /// Read only: the user's and the system's OpenSSH files.
    pub also: Vec<PathBuf>,
}

/// All host keys that are known, and the file that gets new ones.
#[derive(Debug)]
pub(super) struct KnownHosts {
    lines: RwLock<Vec<Line>>,
    own: PathBuf,
    /// Held while a key is checked and filed, so that two first contacts file it once.
    filing: Mutex<()>,
}

#[derive(Debug)]
struct Line {
    marker: Option<Marker>,
    names: HostPatterns,
    key: KeyData,
    file: Arc<Path>,
    number: Option<usize>,
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

impl Line {
    fn known(&self) -> KnownKey {
        KnownKey {
            names: match &self.names {
                HostPatterns::Patterns(names) => Some(names.join(",")),
                HostPatterns::HashedName { .. } => None,
            },
            key_type: self.key.algorithm().to_string(),
            fingerprint: self.key.fingerprint(HashAlg::Sha256).to_string(),
            file: self.file.to_path_buf(),
            line: self.number,
        }
    }
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

/// A line takes a hundred bytes, with RSA keys some hundreds: room for tens of thousands of servers,
/// and `/dev/zero` ends.
const LONGEST: u64 = 16 << 20;

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("longer than {} MiB", LONGEST >> 20)));
    }
    Ok(bytes)
}

impl KnownHosts {
    /// Reads the files. Gives notes about lines that were skipped.
    ///
    /// # Errors
    /// When a file is there and can't be read: to take it as empty would accept changed keys.
    pub(super) fn read(files: &KnownHostsFiles) -> Result<(Self, Vec<String>), (PathBuf, io::Error)> {
        let mut lines = Vec::new();
        let mut notes = Vec::new();
        for path in std::iter::once(&files.own).chain(files.also.iter().filter(|f| **f != files.own)) {
            match read_file(path) {
                Ok(bytes) => parse(&String::from_utf8_lossy(&bytes), path, &mut lines, &mut notes),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err((path.clone(), error)),
            }
        }
        let known = Self { lines: RwLock::new(lines), own: files.own.clone(), filing: Mutex::default() };
        Ok((known, notes))
    }

    /// What is known about a key that a server shows.
    pub(super) fn status(&self, name: &ServerName, key: &KeyData) -> HostKeyStatus {
        let lines = self.lines.read().unwrap_or_else(PoisonError::into_inner);
        let bare = name.bare.as_deref();
        let either =
            |line: &&Line| matches(&line.names, &name.alias) || bare.is_some_and(|b| matches(&line.names, b));
        // The key is compared first: names may be hashed.
        let same_key = || lines.iter().filter(|line| line.key == *key);
        if let Some(line) = same_key().filter(|l| l.marker == Some(Marker::Revoked)).find(either) {
            return HostKeyStatus::Revoked { known: line.known() };
        }
        if same_key().filter(|line| line.marker.is_none()).any(|line| either(&line)) {
            return HostKeyStatus::Known;
        }
        let filed = lines.iter().filter(|l| l.marker.is_none() && matches(&l.names, &name.alias));
        let (same_type, other_types): (Vec<_>, Vec<_>) =
            filed.map(|l| (l.key.algorithm() == key.algorithm(), l.known())).partition(|(same, _)| *same);
        let keys = |pairs: Vec<(bool, KnownKey)>| pairs.into_iter().map(|(_, key)| key).collect();
        if same_type.is_empty() {
            HostKeyStatus::New { other_types: keys(other_types) }
        } else {
            HostKeyStatus::Changed { known: keys(same_type) }
        }
    }

    /// The types of the keys that are filed for a server: to be asked for first.
    pub(super) fn types(&self, name: &ServerName) -> Vec<Algorithm> {
        let lines = self.lines.read().unwrap_or_else(PoisonError::into_inner);
        let filed = lines.iter().filter(|l| l.marker.is_none() && matches(&l.names, &name.alias));
        filed.map(|l| l.key.algorithm()).collect()
    }

    /// Where the key is filed under whatever name.
    pub(super) fn places(&self, key: &KeyData) -> Vec<KnownKey> {
        let lines = self.lines.read().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|l| l.marker.is_none() && l.key == *key).map(Line::known).collect()
    }

    /// Files a key, here and in the file, if what is known about it is still `decided_on`: of two
    /// first contacts under one name that show different keys, only one may be trusted. Blocks.
    pub(super) fn file(&self, name: &ServerName, key: &PublicKey, decided_on: &HostKeyStatus) -> Filing {
        let _filing = self.filing.lock().unwrap_or_else(PoisonError::into_inner);
        match self.status(name, key.key_data()) {
            HostKeyStatus::Known => return Filing::Done,
            status if status != *decided_on => return Filing::Overtaken(status),
            _ => {}
        }
        let line = Line {
            marker: None,
            names: HostPatterns::Patterns(vec![name.alias.clone()]),
            key: key.key_data().clone(),
            file: self.own.as_path().into(),
            number: None,
        };
        self.lines.write().unwrap_or_else(PoisonError::into_inner).push(line);
        // The server's key has no comment; nothing of it but the key is written.
        let key = PublicKey::new(key.key_data().clone(), "").to_openssh().map_err(io::Error::other);
        match key.and_then(|key| append(&self.own, &format!("{} {}\n", name.alias, key.trim_end()))) {
            Ok(()) => Filing::Done,
            Err(error) => Filing::Unwritten(self.own.clone(), error),
        }
    }
}

fn parse(text: &str, path: &Path, lines: &mut Vec<Line>, notes: &mut Vec<String>) {
    let file: Arc<Path> = path.into();
    for (number, text) in (1..).zip(text.lines()) {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        match parse_line(text) {
            Some((marker, names, key)) => {
                lines.push(Line { marker, names, key, file: file.clone(), number: Some(number) });
            }
            None => notes.push(format!("{}:{number} is no known_hosts line, skipped", path.display())),
        }
    }
}

fn parse_line(text: &str) -> Option<(Option<Marker>, HostPatterns, KeyData)> {
    let word =
        |text| str::split_once(text, char::is_whitespace).map(|(word, rest)| (word, rest.trim_start()));
    let (first, rest) = word(text)?;
    let (marker, names, rest) = if first.starts_with('@') {
        let (names, rest) = word(rest)?;
        (Some(first.parse().ok()?), names, rest)
    } else {
        (None, first, rest)
    };
    let (key_type, rest) = word(rest)?;
    let key = rest.split_whitespace().next()?;
    let key = PublicKey::from_openssh(&format!("{key_type} {key}")).ok()?;
    Some((marker, names.parse().ok()?, key.key_data().clone()))
}

/// True where a line's names take in `name`.
fn matches(names: &HostPatterns, name: &str) -> bool {
    match names {
        HostPatterns::HashedName { salt, hash } => {
            let Ok(mut mac) = Hmac::<sha1::Sha1>::new_from_slice(salt) else { return false };
            mac.update(name.as_bytes());
            mac.verify_slice(hash).is_ok()
        }
        HostPatterns::Patterns(patterns) => {
            let (mut found, mut denied) = (false, false);
            for pattern in patterns {
                match pattern.strip_prefix('!') {
                    Some(pattern) => denied |= pattern::matches(pattern, name),
                    None => found |= pattern::matches(pattern, name),
                }
            }
            found && !denied
        }
    }
}

/// Appends a line under an exclusive lock. The file and its folder are made for the user's eyes only.
fn append(path: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    lock(&file)?;
    // Somebody's editor may have left the last line without an end: a line glued to it would spoil both.
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let gap = if last == *b"\n" { "" } else { "\n" };
    file.write_all(format!("{gap}{line}").as_bytes())
}

fn lock(file: &File) -> io::Result<()> {
    let end = Instant::now() + LOCK_LIMIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < end => thread::sleep(Duration::from_millis(5)),
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(ErrorKind::TimedOut, "another program holds its lock"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use russh::keys::PrivateKey;

    use super::*;

    fn key(algorithm: Algorithm) -> PublicKey {
        PrivateKey::random(&mut rand::rng(), algorithm).unwrap().public_key().clone()
    }

    const FIRST: HostKeyStatus = HostKeyStatus::New { other_types: vec![] };

    fn ed25519() -> PublicKey {
        key(Algorithm::Ed25519)
    }

    fn name(alias: &str, bare: Option<&str>) -> ServerName {
        ServerName { alias: alias.into(), bare: bare.map(Into::into) }
    }

    fn known(text: &str) -> (KnownHosts, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("known_hosts");
        std::fs::write(&own, text).unwrap();
        KnownHosts::read(&KnownHostsFiles { own, also: vec![dir.path().join("none")] }).unwrap()
    }

    fn line(names: &str, key: &PublicKey) -> String {
        format!("{names} {}\n", PublicKey::new(key.key_data().clone(), "").to_openssh().unwrap().trim_end())
    }

    #[test]
    fn names_are_matched_as_openssh_matches_them() {
        let names = |names: &str, name: &str| matches(&names.parse().unwrap(), name);
        assert!(names("[20.1.2.3]:50000", "[20.1.2.3]:50000"));
        assert!(!names("20.1.2.3", "[20.1.2.3]:50000"));
        assert!(names("a,b,Web.Example", "web.example"));
        assert!(names("*.example,!db.example", "web.example"));
        assert!(!names("*.example,!db.example", "db.example"));
        assert!(!names("!db.example", "web.example"));
        assert!(names("[20.1.2.?]:500*", "[20.1.2.3]:50017"));
        assert!(names("*", "anything"));
        assert!(!names("a*a*a*a*b", &"a".repeat(200)));
        assert!(names("*a*b", "xaxxab") && !names("?", "") && names("**", ""));
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(b"salt").unwrap();
        mac.update(b"[20.1.2.3]:50000");
        let hash = mac.finalize().into_bytes().into();
        let hashed = HostPatterns::HashedName { salt: b"salt".to_vec(), hash };
        assert!(matches(&hashed, "[20.1.2.3]:50000") && !matches(&hashed, "[20.1.2.3]:50001"));
    }

    #[test]
    fn a_key_is_known_new_changed_or_revoked() {
        let (mine, other) = (ed25519(), ed25519());
        let ecdsa = key(Algorithm::Ecdsa { curve: russh::keys::EcdsaCurve::NistP256 });
        let text = format!(
            "# comment\n\n{}{}@revoked {}garbage\n@cert-authority {}@unknown x y z\n",
            line("[h]:50000", &mine),
            line("h", &other),
            line("*", &ecdsa),
            line("*", &other),
        );
        let (known, notes) = known(&text);
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].ends_with(":6 is no known_hosts line, skipped"), "{notes:?}");
        let status = |alias: &str, key: &PublicKey| known.status(&name(alias, Some("h")), key.key_data());
        assert_eq!(status("[h]:50000", &mine), HostKeyStatus::Known);
        let HostKeyStatus::Changed { known: filed } = status("[h]:50000", &ed25519()) else { panic!() };
        assert_eq!(filed[0].line, Some(3));
        assert_eq!(filed[0].fingerprint, mine.fingerprint(HashAlg::Sha256).to_string());
        // Filed without the port: known there, and no reason to call another key changed.
        assert_eq!(status("[h]:50001", &other), HostKeyStatus::Known);
        assert_eq!(status("[h]:50001", &mine), HostKeyStatus::New { other_types: vec![] });
        assert!(matches!(status("[h]:50000", &ecdsa), HostKeyStatus::Revoked { .. }));
        // A certificate authority's key is no host's own key.
        assert_eq!(
            known.status(&name("elsewhere", None), other.key_data()),
            HostKeyStatus::New { other_types: vec![] }
        );
        assert_eq!(known.types(&name("[h]:50000", None)), [Algorithm::Ed25519]);
    }

    #[test]
    fn another_type_is_new_with_a_warning() {
        let ecdsa = key(Algorithm::Ecdsa { curve: russh::keys::EcdsaCurve::NistP384 });
        let (known, _) = known(&line("h", &ecdsa));
        let HostKeyStatus::New { other_types } = known.status(&name("h", None), ed25519().key_data()) else {
            panic!()
        };
        assert_eq!(other_types[0].key_type, "ecdsa-sha2-nistp384");
    }

    #[test]
    fn first_contacts_are_filed_once_each_and_none_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("new/known_hosts");
        let files = KnownHostsFiles { own: own.clone(), also: vec![] };
        let (known, _) = KnownHosts::read(&files).unwrap();
        let keys: Vec<_> = (0..50).map(|_| ed25519()).collect();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for (port, key) in (50000..).zip(&keys) {
                        let filing = known.file(&name(&format!("[h]:{port}"), Some("h")), key, &FIRST);
                        assert!(matches!(filing, Filing::Done), "{filing:?}");
                    }
                });
            }
        });
        let text = std::fs::read_to_string(&own).unwrap();
        assert_eq!(text.lines().count(), 50);
        let (again, notes) = KnownHosts::read(&files).unwrap();
        assert!(notes.is_empty());
        for (port, key) in (50000..).zip(&keys) {
            let status = again.status(&name(&format!("[h]:{port}"), None), key.key_data());
            assert_eq!(status, HostKeyStatus::Known);
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&own), mode(own.parent().unwrap())), (0o600, 0o700));
        }
    }

    #[test]
    fn of_two_first_contacts_with_different_keys_one_is_filed() {
        for other in [ed25519(), key(Algorithm::Ecdsa { curve: russh::keys::EcdsaCurve::NistP256 })] {
            let dir = tempfile::tempdir().unwrap();
            let files = KnownHostsFiles { own: dir.path().join("known_hosts"), also: vec![] };
            let (known, _) = KnownHosts::read(&files).unwrap();
            let server = name("[h]:50000", Some("h"));
            let keys = [ed25519(), other];
            // Both were looked up before either was filed.
            for key in &keys {
                assert_eq!(known.status(&server, key.key_data()), FIRST);
            }
            let filings = thread::scope(|scope| {
                let file = |key| known.file(&server, key, &FIRST);
                let threads = keys.each_ref().map(|key| scope.spawn(move || file(key)));
                threads.map(|thread| thread.join().unwrap())
            });
            let done = filings.iter().filter(|f| matches!(f, Filing::Done)).count();
            let overtaken = filings.iter().filter(|f| matches!(f, Filing::Overtaken(_))).count();
            assert_eq!((done, overtaken), (1, 1), "{filings:?}");
            assert_eq!(std::fs::read_to_string(&files.own).unwrap().lines().count(), 1);
        }
    }

    #[test]
    fn a_last_line_without_an_end_is_not_spoilt() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known_hosts");
        std::fs::write(&path, "a").unwrap();
        append(&path, "b\n").unwrap();
        append(&path, "c\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\nb\nc\n");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let files = KnownHostsFiles { own: dir.path().into(), also: vec![] };
        assert_eq!(KnownHosts::read(&files).unwrap_err().0, dir.path());
    }
}
