//! Copying files: what the words of a command line mean, how files are called on their way, and which names of
//! a remote are let in. Rules only; `tree` and `ssh` do the work.

pub mod name;
pub mod pace;
pub mod place;
pub mod request;

use std::fmt;

use sha2::{Digest as _, Sha256};

pub use name::is_safe_name;

/// What is known of a file or folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Details {
    /// Bytes.
    pub size: u64,
    /// Permission bits, as chmod(2) has them.
    pub mode: Option<u32>,
    /// Last use, in seconds since 1970.
    pub accessed: Option<u32>,
    /// Last change, in seconds since 1970.
    pub modified: Option<u32>,
}

/// How files are copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Manner {
    /// Folders too, with all that is in them.
    pub folders: Choice,
    /// Modes and times are those of the source.
    pub preserve: Choice,
    /// What an earlier run left is gone on with.
    pub resume: Choice,
    /// Both sides are read again and compared.
    pub verify: Choice,
}

/// Whether something is wished.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Choice {
    /// It is not.
    #[default]
    No,
    /// It is.
    Yes,
}

impl Choice {
    /// True for `Yes`.
    #[must_use]
    pub fn is_wished(self) -> bool {
        self == Self::Yes
    }
}

impl From<bool> for Choice {
    fn from(wished: bool) -> Self {
        if wished { Self::Yes } else { Self::No }
    }
}

/// Who wants to know how far copying is. Called from the middle of the work: must not wait.
pub trait Watch: Send + Sync {
    /// So many more bytes are to be copied to or from instance `index`.
    fn planned(&self, index: usize, bytes: u64);
    /// So many more bytes are there.
    fn moved(&self, index: usize, bytes: u64);
    /// One more file is there, whole.
    fn arrived(&self, index: usize);
    /// Something was left out that is no file or folder.
    fn skipped(&self, index: usize);
}

/// Bytes that a file's name may have (NAME_MAX nearly everywhere).
const LONGEST_NAME: usize = 255;

/// What stands between a file's name and the tag in the name of its temporary.
const MARK: &[u8] = b".vmssh-";

/// Characters of a tag: 64 bits, so that two states of a file never share one by chance.
const TAG: usize = 16;

/// What a file was when it was copied, as text: of two that have the same, one goes on where the other ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(String);

impl Tag {
    /// The tag of a file of this name.
    #[must_use]
    pub fn of(name: &[u8], details: &Details) -> Self {
        let mut hash = Sha256::new();
        hash.update(details.size.to_be_bytes());
        hash.update(details.modified.unwrap_or(0).to_be_bytes());
        hash.update(name);
        let hash = hash.finalize();
        Self(hash.iter().take(TAG / 2).map(|byte| format!("{byte:02x}")).collect())
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The name of a file while it is not whole: hidden, beside the file, and of one run only (`random`).
#[must_use]
pub fn temporary_name(name: &[u8], tag: &Tag, random: u32) -> Vec<u8> {
    let mut temporary = temporary_start(name, tag);
    temporary.extend(format!("-{random:08x}").bytes());
    temporary
}

/// Whether this is a temporary of a file of this name and tag.
#[must_use]
pub fn is_temporary_of(found: &[u8], name: &[u8], tag: &Tag) -> bool {
    found.strip_prefix(temporary_start(name, tag).as_slice()).is_some_and(|random| {
        random.strip_prefix(b"-").is_some_and(|r| r.len() == 8 && r.iter().all(u8::is_ascii_hexdigit))
    })
}

fn temporary_start(name: &[u8], tag: &Tag) -> Vec<u8> {
    // A dot in front, mark and tag, and `-01234567` behind.
    let room = LONGEST_NAME - 1 - MARK.len() - TAG - 9;
    let mut start = vec![b'.'];
    start.extend(name.iter().take(room));
    start.extend(MARK);
    start.extend(tag.0.bytes());
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_is_known_again_and_fits() {
        let details = Details { size: 5, modified: Some(7), ..Details::default() };
        for name in [b"app.conf".to_vec(), vec![b'x'; 255], b"\xff\n".to_vec()] {
            let tag = Tag::of(&name, &details);
            let temporary = temporary_name(&name, &tag, 9);
            assert!(temporary.len() <= LONGEST_NAME && temporary.starts_with(b"."));
            assert!(is_temporary_of(&temporary, &name, &tag));
            let changed = Tag::of(&name, &Details { size: 6, ..details });
            assert!(!is_temporary_of(&temporary, &name, &changed), "another state of the file");
        }
    }
}
