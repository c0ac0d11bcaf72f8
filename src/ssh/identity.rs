//! Keys and certificates in files.

mod padded;

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use russh::keys::{
    Algorithm, Certificate, Error as KeyError, PrivateKey, PublicKey, decode_secret_key, ssh_key,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::{ClientError, limit::Limit, person::Person};
use crate::clean::clean_line;

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
    certificates: Vec<Certificate>,
    /// Why it can't sign by itself, where its private half is elsewhere: in the agent, or nowhere.
    elsewhere: Option<&'static str>,
    secret: Mutex<Secret>,
}

enum Secret {
    Open(Arc<PrivateKey>),
    Locked(SecretString),
    /// The pass phrase was not to be had; nobody is asked again.
    Lost(&'static str),
}

/// Why only the agent can sign with a key whose public half alone is there.
const PUBLIC_ONLY: &str =
    "its private half is not here and in no agent: `ssh-add` it, or name its file with -i";

/// Why only the agent can sign with a security key: it takes the program that talks to the key.
const SECURITY_KEY: &str = "a security key signs through the agent: `ssh-add` it";

/// Endings of certificates that lie beside their keys: OpenSSH's (which takes one in the public half's place too), and what `az ssh` makes of the name of a
/// public key (`id_rsa.pub` becomes `id_rsa.pub-aadcert.pub`).
const CERTIFICATES: [&str; 4] = ["-cert.pub", ".pub", ".pub-aadcert.pub", "-aadcert.pub"];

impl Identity {
    /// Reads a key file. Where there is only its public half (the file itself, or one beside it that ends in
    /// `.pub`), the private one is expected in the agent.
    pub(super) fn read(path: &Path, origin: Origin) -> Result<Self, ClientError> {
        let trouble = |source| ClientError::KeyFile { file: path.into(), source };
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && origin == Origin::Named => {
                return match public_file(path) {
                    Some(public) => Ok(Self::in_agent(path, origin, public)),
                    None => Err(trouble(error)),
                };
            }
            opened => opened.map_err(trouble)?,
        };
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
        // A public key's file is everybody's; its mode is nobody's concern.
        if !matches!(parsed, Parsed::Public) {
            check_mode(path, &file)?;
        }
        let (public, secret) = match parsed {
            Parsed::Open(key) => (Some(key.public_key().clone()), Secret::Open(Arc::new(*key))),
            Parsed::Locked(public) => {
                (public.or_else(|| public_file(path)), Secret::Locked(SecretString::from(text.as_str())))
            }
            Parsed::Public => {
                return match PublicKey::from_openssh(text.trim()) {
                    Ok(public) => Ok(Self::in_agent(path, origin, public)),
                    Err(_) => Err(ClientError::PublicKey { file: path.into() }),
                };
            }
            Parsed::Short => return Err(ClientError::Short { file: path.into() }),
            Parsed::Sealed(how) => return Err(ClientError::Sealed { file: path.into(), how }),
            Parsed::Not(reason) => return Err(not_a_key(&reason)),
        };
        if let Some(public) = public.as_ref().filter(|public| is_security_key(public)) {
            return Ok(Self {
                elsewhere: Some(SECURITY_KEY),
                ..Self::in_agent(path, origin, public.clone())
            });
        }
        Ok(Self {
            path: path.into(),
            origin,
            certificates: certificates(path),
            public,
            elsewhere: None,
            secret: Mutex::new(secret),
        })
    }

    fn in_agent(path: &Path, origin: Origin, public: PublicKey) -> Self {
        Self {
            path: path.into(),
            origin,
            certificates: certificates(path),
            public: Some(public),
            elsewhere: Some(PUBLIC_ONLY),
            secret: Mutex::new(Secret::Lost(PUBLIC_ONLY)),
        }
    }

    /// Whether it can sign without an agent; the error says why not.
    pub(super) fn is_here(&self) -> Result<(), &'static str> {
        self.elsewhere.map_or(Ok(()), Err)
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

    /// The user certificates beside it.
    pub(super) fn certificates(&self) -> &[Certificate] {
        &self.certificates
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
            if phrase.expose_secret().is_empty() {
                return Err("no pass phrase was given");
            }
            let text = text.clone();
            let decoded = tokio::task::spawn_blocking(move || {
                decode_secret_key(text.expose_secret(), Some(phrase.expose_secret()))
            });
            match decoded.await {
                Ok(Ok(key)) => return Ok(Arc::new(key)),
                Ok(Err(error)) if is_unknown_cipher(&error) || is_short(&error) => {
                    return Err(
                        "it can't be read in its container: `ssh-keygen -p -m PKCS8 -f` changes that",
                    );
                }
                _ => {}
            }
        }
        Err("the pass phrase was wrong three times")
    }
}

/// A certificate that was named.
pub(super) struct CertificateFile {
    path: PathBuf,
    pub(super) certificate: Certificate,
}

impl CertificateFile {
    /// Reads one.
    pub(super) fn read(path: &Path) -> Result<Self, ClientError> {
        let text = public_text(path).map_err(|source| ClientError::KeyFile { file: path.into(), source })?;
        match Certificate::from_openssh(text.trim()) {
            Ok(certificate) => Ok(Self { path: path.into(), certificate }),
            Err(_) => Err(ClientError::NotACertificate { file: path.into() }),
        }
    }

    /// Where it is from, for messages.
    pub(super) fn label(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }
}

enum Parsed {
    Open(Box<PrivateKey>),
    Locked(Option<PublicKey>),
    Public,
    /// Encrypted in a way that can't be read here: the cipher.
    Sealed(String),
    /// An ECDSA key whose number is shorter than others, as one of 256 is: russh reads it in other containers
    /// than OpenSSH's.
    Short,
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
    if let Some(how) = sealed(start) {
        return Parsed::Sealed(how);
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
        Err(error) if is_short(&error) && start.starts_with("-----BEGIN OPENSSH") => short_or_cut(text),
        Err(KeyError::SshKey(ssh_key::Error::AlgorithmUnknown)) => Parsed::Not("unknown kind of key".into()),
        Err(error) => Parsed::Not(error.to_string().to_lowercase()),
    }
}

/// The cipher of a PEM key of the old kind (RFC 1421) that russh does not decrypt: it knows AES-128-CBC
/// around RSA keys.
fn sealed(text: &str) -> Option<String> {
    let kind = text.lines().next()?.trim();
    let info = text.lines().find_map(|line| line.strip_prefix("DEK-Info:"))?;
    let cipher = info.split(',').next()?.trim();
    let is_known = cipher == "AES-128-CBC" && kind == "-----BEGIN RSA PRIVATE KEY-----";
    (!is_known).then(|| clean_line(cipher))
}

/// True for the error that a number of another length than usual gives.
fn is_short(error: &KeyError) -> bool {
    matches!(error, KeyError::SshKey(ssh_key::Error::Encoding(ssh_key::encoding::Error::Length)))
}

/// A container that was cut off gives the same error as a short number, and has no end.
fn short_or_cut(text: &str) -> Parsed {
    let mended = padded::padded(text).and_then(|text| decode_secret_key(&text, None).ok());
    if let Some(key) = mended {
        return Parsed::Open(Box::new(key));
    }
    if text.contains("-----END OPENSSH") { Parsed::Short } else { Parsed::Not("it is cut off".into()) }
}

/// True for an error that no other pass phrase would mend.
fn is_unknown_cipher(error: &KeyError) -> bool {
    matches!(
        error,
        KeyError::SshKey(ssh_key::Error::AlgorithmUnknown | ssh_key::Error::AlgorithmUnsupported { .. })
            | KeyError::UnsupportedKeyType { .. }
            | KeyError::UnknownAlgorithm(_)
    )
}

fn is_security_key(key: &PublicKey) -> bool {
    matches!(key.algorithm(), Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256)
}

/// The certificates beside a key, or beside the public half that was named in its place.
fn certificates(path: &Path) -> Vec<Certificate> {
    let stem = path.extension().is_some_and(|e| e == "pub").then(|| path.with_extension(""));
    let places = [Some(path), stem.as_deref()];
    let texts = places
        .into_iter()
        .flatten()
        .flat_map(|path| CERTIFICATES.iter().filter_map(|suffix| beside(path, suffix)));
    texts.filter_map(|text| Certificate::from_openssh(text.trim()).ok()).collect()
}

fn public_file(path: &Path) -> Option<PublicKey> {
    beside(path, ".pub").and_then(|text| PublicKey::from_openssh(text.trim()).ok())
}

/// The file whose name is the key's with something added.
fn beside(path: &Path, suffix: &str) -> Option<String> {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    public_text(Path::new(&name)).ok()
}

/// A file that is no secret, as much of it as a key or certificate may have.
fn public_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
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
        let old =
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,0011\n\nAAAA\n";
        let Parsed::Sealed(cipher) = parse(old) else { panic!() };
        assert_eq!(cipher, "DES-EDE3-CBC");
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
