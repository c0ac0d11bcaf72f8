//! Private keys in files.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use russh::keys::{Certificate, Error as KeyError, PrivateKey, PublicKey, decode_secret_key, ssh_key};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::{ClientError, limit::Limit, person::Person};

/// ssh(1) asks three times as well (NumberOfPasswordPrompts).
pub(super) const TRIES: usize = 3;

/// An RSA key of 16384 bits takes 13 kB; what is longer is no key.
const LONGEST: u64 = 64 * 1024;

/// Room for the longest key, one byte that is too many and what reading looks ahead.
const ROOM: usize = LONGEST as usize + 64;

/// Why a key file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// The user asked for this one.
    Named,
    /// It is one of those that are used if they are there.
    Default,
}

/// A key file: its public half, and its private one once it is needed.
pub(super) struct Identity {
    path: PathBuf,
    origin: Origin,
    public: Option<PublicKey>,
    certificate: Option<Certificate>,
    secret: Mutex<Secret>,
}

enum Secret {
    Open(Arc<PrivateKey>),
    Locked(SecretString),
    /// The pass phrase was not to be had; nobody is asked again.
    Lost(&'static str),
}

impl Identity {
    /// Reads a key file.
    pub(super) fn read(path: &Path, origin: Origin) -> Result<Self, ClientError> {
        let trouble = |source| ClientError::KeyFile { file: path.into(), source };
        let file = File::open(path).map_err(trouble)?;
        if file.metadata().map_err(trouble)?.is_dir() {
            return Err(trouble(io::ErrorKind::IsADirectory.into()));
        }
        // Wiped wherever it is left. With room for all of it from the start: as it grew, it would leave
        // copies behind.
        let mut text = Zeroizing::new(String::with_capacity(ROOM));
        let len = (&file).take(LONGEST + 1).read_to_string(&mut text);
        let not_a_key = |reason: &str| ClientError::NotAKey { file: path.into(), reason: reason.into() };
        match len {
            Ok(len) if len as u64 > LONGEST => return Err(not_a_key("it is too long for one")),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(not_a_key("it is not text"));
            }
            other => other.map_err(trouble)?,
        };
        let parsed = parse(&text);
        // A public key's file is everybody's; its mode is not what is wrong with it.
        if !matches!(parsed, Parsed::Public) {
            check_mode(path, &file)?;
        }
        let (public, secret) = match parsed {
            Parsed::Open(key) => (Some(key.public_key().clone()), Secret::Open(Arc::new(*key))),
            Parsed::Locked(public) => {
                (public.or_else(|| public_file(path)), Secret::Locked(SecretString::from(text.as_str())))
            }
            Parsed::Public => return Err(ClientError::PublicKey { file: path.into() }),
            Parsed::Not(reason) => return Err(not_a_key(&reason)),
        };
        let certificate = beside(path, "-cert.pub").and_then(|text| Certificate::from_openssh(&text).ok());
        Ok(Self { path: path.into(), origin, public, certificate, secret: Mutex::new(secret) })
    }

    /// Where it is from, for messages.
    pub(super) fn label(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    /// True where the user asked for this key.
    pub(super) fn is_named(&self) -> bool {
        self.origin == Origin::Named
    }

    /// The public half, where it can be had without a pass phrase.
    pub(super) fn public(&self) -> Option<&PublicKey> {
        self.public.as_ref()
    }

    /// The user certificate beside it.
    pub(super) fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// The private half, where nobody has to be asked for it any more.
    pub(super) async fn open(&self) -> Option<Arc<PrivateKey>> {
        match &*self.secret.lock().await {
            Secret::Open(key) => Some(key.clone()),
            Secret::Locked(_) | Secret::Lost(_) => None,
        }
    }

    /// The private half. Asks for the pass phrase the first time; whoever comes meanwhile waits for
    /// that answer. The error says why the key can't be used.
    pub(super) async fn unlock(
        &self,
        person: &Person,
        limit: &Arc<Limit>,
    ) -> Result<Arc<PrivateKey>, &'static str> {
        // Also while it is decrypted: that takes this machine's time and not the server's.
        let _pause = limit.pause();
        let mut secret = self.secret.lock().await;
        let text = match &*secret {
            Secret::Open(key) => return Ok(key.clone()),
            Secret::Lost(why) => return Err(why),
            Secret::Locked(text) => text.clone(),
        };
        let result = self.ask(text, person, limit).await;
        *secret = match &result {
            Ok(key) => Secret::Open(key.clone()),
            Err(why) => {
                person.note(format!("key {} is left out: {why}", self.path.display()));
                Secret::Lost(why)
            }
        };
        result
    }

    async fn ask(
        &self,
        text: SecretString,
        person: &Person,
        limit: &Arc<Limit>,
    ) -> Result<Arc<PrivateKey>, &'static str> {
        for _ in 0..TRIES {
            let question = format!("Pass phrase for {}: ", self.path.display());
            let turn = person.turn(limit).await;
            let Ok(Some(phrase)) = person.secret(turn, limit, question).await else {
                return Err("no pass phrase was given");
            };
            let text = text.clone();
            let decoded = tokio::task::spawn_blocking(move || {
                decode_secret_key(text.expose_secret(), Some(phrase.expose_secret()))
            });
            if let Ok(Ok(key)) = decoded.await {
                return Ok(Arc::new(key));
            }
        }
        Err("the pass phrase was wrong three times")
    }
}

enum Parsed {
    Open(Box<PrivateKey>),
    Locked(Option<PublicKey>),
    Public,
    Not(String),
}

fn parse(text: &str) -> Parsed {
    let start = text.trim_start();
    if ["ssh-", "ecdsa-", "sk-", "---- BEGIN SSH2 PUBLIC KEY", "-----BEGIN PUBLIC KEY"]
        .iter()
        .any(|prefix| start.starts_with(prefix))
    {
        return Parsed::Public;
    }
    match decode_secret_key(text, None) {
        Ok(key) => Parsed::Open(Box::new(key)),
        Err(KeyError::KeyIsEncrypted) => {
            Parsed::Locked(PrivateKey::from_openssh(text).ok().map(|key| key.public_key().clone()))
        }
        Err(_) if start.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY") => Parsed::Locked(None),
        Err(_) if start.starts_with("PuTTY-") && !start.contains("Encryption: none") => Parsed::Locked(None),
        Err(KeyError::CouldNotReadKey) if !start.starts_with("-----BEGIN") => {
            Parsed::Not("it does not begin like one".into())
        }
        Err(KeyError::SshKey(ssh_key::Error::AlgorithmUnknown)) => Parsed::Not("unknown kind of key".into()),
        Err(error) => Parsed::Not(error.to_string().to_lowercase()),
    }
}

fn public_file(path: &Path) -> Option<PublicKey> {
    beside(path, ".pub").and_then(|text| PublicKey::from_openssh(text.trim()).ok())
}

/// The file whose name is the key's with something added.
fn beside(path: &Path, suffix: &str) -> Option<String> {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    fs::read_to_string(name).ok()
}

/// A private key of the user's must be the user's alone. As in ssh(1), one that somebody else owns is
/// taken as it is: root's, mounted into a container for a group to read. Windows has no such bits.
fn check_mode(path: &Path, file: &File) -> Result<(), ClientError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let trouble = |source| ClientError::KeyFile { file: path.into(), source };
        let about = file.metadata().map_err(trouble)?;
        if is_loose(about.mode(), about.uid(), rustix::process::geteuid().as_raw()) {
            return Err(ClientError::LooseMode { file: path.into(), mode: about.mode() & 0o7777 });
        }
    }
    #[cfg(not(unix))]
    let _ = (path, file);
    Ok(())
}

#[cfg(unix)]
fn is_loose(mode: u32, owner: u32, user: u32) -> bool {
    owner == user && mode & 0o077 != 0
}

#[cfg(test)]
mod tests {
    use russh::keys::Algorithm;

    use super::*;

    #[test]
    fn wrong_files_are_told_apart() {
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let pem = key.to_openssh(ssh_key::LineEnding::LF).unwrap();
        assert!(matches!(parse(&pem), Parsed::Open(_)));
        assert!(matches!(parse(&key.public_key().to_openssh().unwrap()), Parsed::Public));
        let locked = key.encrypt(&mut rand::rng(), "secret").unwrap();
        let locked = locked.to_openssh(ssh_key::LineEnding::CRLF).unwrap();
        let Parsed::Locked(Some(public)) = parse(&locked) else { panic!() };
        assert_eq!(public.key_data(), key.public_key().key_data());
        let Parsed::Not(reason) = parse("hello") else { panic!() };
        assert_eq!(reason, "it does not begin like one");
        assert!(matches!(parse("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"), Parsed::Not(_)));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_user_s_own_keys_must_be_closed_to_others() {
        assert!(is_loose(0o100_640, 1000, 1000) && is_loose(0o100_604, 0, 0));
        assert!(!is_loose(0o100_600, 1000, 1000) && !is_loose(0o100_400, 1000, 1000));
        assert!(!is_loose(0o100_440, 0, 1000));
    }

    #[test]
    fn a_directory_and_a_missing_file_are_errors_of_reading() {
        let dir = tempfile::tempdir().unwrap();
        let missing = Identity::read(&dir.path().join("none"), Origin::Named).err().unwrap();
        assert!(matches!(missing, ClientError::KeyFile { .. }), "{missing}");
        let folder = Identity::read(dir.path(), Origin::Named).err().unwrap();
        assert!(matches!(folder, ClientError::KeyFile { .. }), "{folder}");
    }
}
