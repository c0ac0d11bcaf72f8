//! Host keys: what is known about one, and what follows from it.
//!
//! Plain rules over values; the files are read in `known_hosts`.

mod filed;

use std::path::{Path, PathBuf};

pub use self::filed::Filed;
use super::greeting::quote;
use crate::{
    event::{Failure, Stage},
    natmap::Endpoint,
};

/// What to do with a host key that was never seen before. A changed or revoked one is always
/// refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum HostKeyPolicy {
    /// Ask the person; refused where there is none.
    #[default]
    Ask,
    /// File it, with a note.
    AcceptNew,
    /// Refuse it.
    Strict,
}

/// What a known_hosts line is for (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mark {
    /// A host's own key.
    #[default]
    None,
    /// `@cert-authority`: the key of one who signs host certificates.
    CertAuthority,
    /// `@revoked`: a key that must not be taken.
    Revoked,
}

/// A key that a known_hosts file has for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// The names it is filed under, as the file has them; `None` where they are hashed.
    pub names: Option<String>,
    /// What the line is for.
    pub mark: Mark,
    /// `ssh-ed25519`, `ecdsa-sha2-nistp256`, ...
    pub key_type: String,
    /// `SHA256:...`, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    /// When and for whom vmssh filed it, where it did.
    pub filed: Option<Filed>,
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1; `None` for a key that this run has added.
    pub line: Option<usize>,
}

impl KnownKey {
    /// `FILE:LINE`.
    #[must_use]
    pub fn place(&self) -> String {
        match self.line {
            Some(line) => format!("{}:{line}", self.file.display()),
            None => self.file.display().to_string(),
        }
    }
}

/// What the known_hosts files say about a key that a server showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HostKeyStatus {
    /// It is filed under the server's name.
    Known,
    /// Nothing of its type is filed under the server's name.
    New {
        /// Keys of other types that are. A server that had them would have shown one of them: they
        /// are asked for first.
        other_types: Vec<KnownKey>,
    },
    /// Another key of its type is filed under the server's name.
    Changed {
        /// What is filed.
        known: Vec<KnownKey>,
    },
    /// It is marked `@revoked` for the server's name.
    Revoked {
        /// The mark.
        known: KnownKey,
    },
}

/// A host key that nobody has vouched for yet, as it is shown to the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHostKey {
    /// The name under which it would be filed: `[20.1.2.3]:50000`.
    pub name: String,
    /// What people call the server: the same, or the instance where the name is a GUID.
    pub label: String,
    /// Its type: `ssh-ed25519`.
    pub key_type: String,
    /// `SHA256:...`, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    /// Keys of other types that are filed under the name: a reason to be careful.
    pub other_types: Vec<KnownKey>,
    /// Where the same key is filed under other names: the same machine, or an image that was made
    /// with its host keys in it.
    pub same_key: Vec<KnownKey>,
    /// Where it was shown.
    pub endpoint: Endpoint,
    /// Why a certificate that came with it does not count, where one did.
    pub flawed_certificate: Option<String>,
    /// vmssh's own file, from which `vmssh trust forget` takes keys.
    pub own_file: PathBuf,
}

/// What is done about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Go on.
    Trust,
    /// File it, then go on.
    TrustAndFile(NewHostKey),
    /// Ask the person.
    Ask(NewHostKey),
    /// Stop before anything is sent.
    Refuse(Failure),
}

/// The decision.
pub(super) fn judge(status: HostKeyStatus, policy: HostKeyPolicy, shown: NewHostKey) -> Verdict {
    match status {
        HostKeyStatus::Known => Verdict::Trust,
        HostKeyStatus::Changed { known } => Verdict::Refuse(changed(&known, &shown)),
        HostKeyStatus::Revoked { known } => Verdict::Refuse(revoked(&known, &shown)),
        HostKeyStatus::New { other_types } => match policy {
            HostKeyPolicy::Ask => Verdict::Ask(NewHostKey { other_types, ..shown }),
            HostKeyPolicy::AcceptNew if other_types.is_empty() => Verdict::TrustAndFile(shown),
            HostKeyPolicy::AcceptNew => Verdict::Refuse(other_type(&other_types, &shown)),
            HostKeyPolicy::Strict => Verdict::Refuse(unknown(&shown)),
        },
    }
}

// Messages say nothing of one instance, so that the same trouble on many reads as one. What is
// particular stands in the hint.

fn changed(known: &[KnownKey], shown: &NewHostKey) -> Failure {
    let Some(vm_id) = &shown.endpoint.vm_id else {
        return Failure::new(Stage::HostKey, "changed: the server's key is not the one on file").with_hint(format!(
            "it shows {} {}, on file is {}; the instance was reimaged, the port leads to another instance now, or \
             somebody is in between; if you know that it is one of the first two, forget the old key: {}",
            shown.key_type,
            shown.fingerprint,
            places(known),
            forget(known, shown)
        ));
    };
    let message = "changed: the same machine shows another key than the one on file";
    Failure::new(Stage::HostKey, message).with_hint(format!(
        "it shows {} {}, on file is {}; for Azure it is still machine {}: a reimage keeps that id and makes new \
         host keys, and if nobody reimaged it, somebody is in between; compare with the console's log (`vmssh trust \
         add`), or forget the old key: {}",
        shown.key_type,
        shown.fingerprint,
        places(known),
        quote(vm_id),
        forget(known, shown)
    ))
}

fn revoked(known: &KnownKey, shown: &NewHostKey) -> Failure {
    Failure::new(Stage::HostKey, "revoked: the server's key is marked @revoked").with_hint(format!(
        "{} {} at {}: its private half may be in other hands; give the instance new host keys \
         (`sudo rm /etc/ssh/ssh_host_*_key* && sudo ssh-keygen -A`)",
        shown.key_type,
        shown.fingerprint,
        known.place()
    ))
}

fn other_type(known: &[KnownKey], shown: &NewHostKey) -> Failure {
    Failure::new(Stage::HostKey, "changed: the server no longer has the type of key that is on file").with_hint(
        format!(
            "it shows {} {}, on file is {}; if you know that the instance was reimaged, forget the old key: {}",
            shown.key_type,
            shown.fingerprint,
            places(known),
            forget(known, shown)
        ),
    )
}

fn unknown(shown: &NewHostKey) -> Failure {
    Failure::new(Stage::HostKey, "unknown: no key of this server is on file").with_hint(format!(
        "it shows {} {}{}: compare that with what the instance's console printed at its first start (`vmssh trust \
         add` does), then use --host-keys ask or accept-new",
        shown.key_type,
        shown.fingerprint,
        certificate(shown)
    ))
}

/// What is said when a key was filed. Nobody was asked; that it is not this machine's alone is said
/// here.
pub(super) fn filed(shown: &NewHostKey) -> String {
    let note = format!("host key of {} filed: {}", shown.label, shown.fingerprint);
    let Some((first, others)) = shown.same_key.split_first() else { return note };
    let first = first.names.as_deref().map_or_else(|| first.place(), quote);
    // An image may have made hundreds.
    let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
    format!(
        "{note}; the same key is filed for {first}{more}: the same machine, or an image that was not generalised"
    )
}

/// Nobody said yes.
pub(super) fn not_trusted(shown: &NewHostKey) -> Failure {
    Failure::new(Stage::HostKey, "unknown: the server's key was not accepted").with_hint(format!(
        "it shows {} {}; where nobody can be asked, --host-keys accept-new files new keys",
        shown.key_type, shown.fingerprint
    ))
}

fn certificate(shown: &NewHostKey) -> String {
    let flaw = shown.flawed_certificate.as_deref();
    flaw.map_or_else(String::new, |flaw| format!(", and its certificate does not count ({flaw})"))
}

/// A server whose certificate or authority is marked.
pub(super) fn revoked_certificate(known: &KnownKey) -> Failure {
    Failure::new(Stage::HostKey, "revoked: the server's certificate or its authority is marked @revoked")
        .with_hint(format!("{} {} at {}", known.key_type, known.fingerprint, known.place()))
}

/// A server whose RSA key is shorter than the configuration allows.
pub(super) fn too_short(why: &str) -> Failure {
    Failure::new(Stage::HostKey, format!("the server's host key is not taken: {why}")).with_hint(
        "ask for a key of another kind, where the server has one: `--ssh-option HostKeyAlgorithms=ssh-ed25519`, \
         or make a longer one there: `ssh-keygen -t rsa -b 4096 -f /etc/ssh/ssh_host_rsa_key`",
    )
}

/// Said where another machine answers at a port.
pub(super) fn moved(before: &KnownKey, shown: &NewHostKey) -> Option<String> {
    let filed = before.filed.as_ref()?;
    let instance =
        filed.instance.as_deref().map_or_else(String::new, |id| format!("instance {}, ", quote(id)));
    Some(format!(
        "port {} leads to another machine now: it was {} ({instance}{}), it is {}",
        shown.endpoint.port,
        quote(before.names.as_deref()?),
        filed.date,
        shown.name
    ))
}

fn places(known: &[KnownKey]) -> String {
    let since = |k: &KnownKey| k.filed.as_ref().map_or_else(String::new, |f| format!(", since {}", f.date));
    let places =
        known.iter().map(|k| format!("{} {} at {}{}", k.key_type, k.fingerprint, k.place(), since(k)));
    places.collect::<Vec<_>>().join(" and ")
}

/// The command that forgets what is filed under a name, for every file that has something.
fn forget(known: &[KnownKey], shown: &NewHostKey) -> String {
    let mut files: Vec<&Path> = known.iter().map(|k| k.file.as_path()).collect();
    files.sort_unstable();
    files.dedup();
    let commands =
        files.into_iter().map(|file| format!("`{}`", forget_in(file, &shown.name, &shown.own_file)));
    commands.collect::<Vec<_>>().join(" and ")
}

/// The command that forgets a name in a file: vmssh's own, or one that OpenSSH keeps.
#[must_use]
pub fn forget_in(file: &Path, name: &str, own: &Path) -> String {
    let text = file.to_string_lossy();
    let words: &[&str] = if file == own {
        &["vmssh", "trust", "forget", name, "--known-hosts", &text]
    } else {
        &["ssh-keygen", "-R", name, "-f", &text]
    };
    // A path with a NUL byte does not exist; anything else can be quoted.
    shlex::try_join(words.iter().copied()).unwrap_or_else(|_| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> NewHostKey {
        NewHostKey {
            name: "[20.1.2.3]:50000".into(),
            label: "[20.1.2.3]:50000".into(),
            key_type: "ssh-ed25519".into(),
            fingerprint: "SHA256:new".into(),
            other_types: Vec::new(),
            same_key: Vec::new(),
            endpoint: Endpoint {
                instance: None,
                name: None,
                vm_id: None,
                host: "20.1.2.3".parse().unwrap(),
                port: 50000.try_into().unwrap(),
            },
            flawed_certificate: None,
            own_file: "/own".into(),
        }
    }

    fn filed(key_type: &str) -> KnownKey {
        KnownKey {
            names: Some("[20.1.2.3]:50001".into()),
            mark: Mark::None,
            filed: None,
            key_type: key_type.into(),
            fingerprint: "SHA256:old".into(),
            file: "/home/jo hn/known_hosts".into(),
            line: Some(7),
        }
    }

    #[test]
    fn a_changed_key_is_refused_whatever_the_policy() {
        for policy in [HostKeyPolicy::Ask, HostKeyPolicy::AcceptNew, HostKeyPolicy::Strict] {
            let status = HostKeyStatus::Changed { known: vec![filed("ssh-ed25519")] };
            let Verdict::Refuse(failure) = judge(status, policy, shown()) else { panic!() };
            assert_eq!(failure.message, "changed: the server's key is not the one on file");
            let hint = failure.hint.unwrap();
            let on_file = "ssh-ed25519 SHA256:old at /home/jo hn/known_hosts:7";
            assert!(
                hint.starts_with(&format!("it shows ssh-ed25519 SHA256:new, on file is {on_file};")),
                "{hint}"
            );
            assert!(
                hint.ends_with("`ssh-keygen -R '[20.1.2.3]:50000' -f '/home/jo hn/known_hosts'`"),
                "{hint}"
            );
            let status = HostKeyStatus::Revoked { known: filed("ssh-ed25519") };
            assert!(matches!(judge(status, policy, shown()), Verdict::Refuse(_)));
            assert_eq!(judge(HostKeyStatus::Known, policy, shown()), Verdict::Trust);
        }
    }

    #[test]
    fn a_changed_key_of_one_machine_is_an_alarm_that_says_since_when() {
        let filed = Filed { date: "2026-11-01".into(), ..Filed::default() };
        let known = KnownKey { filed: Some(filed), file: "/own".into(), ..filed_key() };
        let mut shown = shown();
        shown.endpoint.vm_id = Some("ab-1".into());
        shown.name = "ab-1".into();
        let failure = changed(&[known], &shown);
        assert!(failure.message.contains("the same machine"), "{failure}");
        let hint = failure.hint.unwrap();
        for part in [
            "SHA256:old at /own:7, since 2026-11-01",
            "still machine ab-1",
            "`vmssh trust forget ab-1 --known-hosts /own`",
        ] {
            assert!(hint.contains(part), "{part}: {hint}");
        }
    }

    fn filed_key() -> KnownKey {
        filed("ssh-ed25519")
    }

    #[test]
    fn a_new_key_is_for_the_policy_to_decide() {
        let new = |others: &[KnownKey]| HostKeyStatus::New { other_types: others.to_vec() };
        assert_eq!(judge(new(&[]), HostKeyPolicy::AcceptNew, shown()), Verdict::TrustAndFile(shown()));
        assert_eq!(judge(new(&[]), HostKeyPolicy::Ask, shown()), Verdict::Ask(shown()));
        assert!(matches!(judge(new(&[]), HostKeyPolicy::Strict, shown()), Verdict::Refuse(_)));
        // A server that suddenly has only another type of key is not a first contact.
        let others = [filed("ssh-rsa")];
        assert!(matches!(judge(new(&others), HostKeyPolicy::AcceptNew, shown()), Verdict::Refuse(_)));
        let Verdict::Ask(question) = judge(new(&others), HostKeyPolicy::Ask, shown()) else { panic!() };
        assert_eq!(question.other_types, others);
    }

    #[test]
    fn a_key_that_another_name_has_too_is_noted() {
        let shown = |same_key: &[KnownKey]| NewHostKey { same_key: same_key.to_vec(), ..shown() };
        assert_eq!(super::filed(&shown(&[])), "host key of [20.1.2.3]:50000 filed: SHA256:new");
        let key = filed("ssh-ed25519");
        assert_eq!(
            super::filed(&shown(std::slice::from_ref(&key))),
            "host key of [20.1.2.3]:50000 filed: SHA256:new; the same key is filed for [20.1.2.3]:50001: the same \
             machine, or an image that was not generalised"
        );
        let hashed = KnownKey { names: None, ..key.clone() };
        let note = super::filed(&shown(&[hashed, key.clone(), key]));
        assert!(note.contains("filed for /home/jo hn/known_hosts:7 and 2 more:"), "{note}");
    }
}
