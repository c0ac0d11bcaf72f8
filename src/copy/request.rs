//! From the words of a command line to what is to be copied where.

use thiserror::Error;

/// What is to be copied where. Remote paths are without their colon; places are not filled in yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// From here to instances.
    Push {
        /// Local paths.
        from: Vec<String>,
        /// A remote path.
        to: String,
    },
    /// From instances to here.
    Pull {
        /// Remote paths.
        from: Vec<String>,
        /// A local path.
        to: String,
    },
}

/// Why words do not say what to copy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequestError {
    /// No source, or no destination.
    #[error("there is nothing to copy, or no place to copy it to")]
    TooFew,
    /// No colon.
    #[error("nothing of this is on the instances: `{0}` would be copied to `{1}` here")]
    AllLocal(String, String),
    /// Only colons.
    #[error("nothing of this is here: an instance's files can't be copied to the instances")]
    AllRemote,
    /// Sources of both kinds.
    #[error("some sources are here and some on the instances")]
    Mixed,
    /// A word that may be a file or an instance.
    #[error("`{0}` may be a file or a set of instances")]
    Ambiguous(String),
    /// An empty path.
    #[error("a path is empty")]
    Empty,
}

impl Request {
    /// Reads `[INSTANCES] SOURCE... DEST`, and gives the instances' text apart. `given` tells that the instances
    /// were named elsewhere, and no word is a set.
    ///
    /// A set of numbers or a pattern in front of other words is one; a plain word there, which may also be a
    /// file, is refused.
    ///
    /// # Errors
    /// When it can't be told what is meant.
    pub fn read(words: &[String], given: bool) -> Result<(Option<String>, Self), RequestError> {
        let (to, before) = words.split_last().ok_or(RequestError::TooFew)?;
        let (first, rest) = before.split_first().ok_or(RequestError::TooFew)?;
        let is_set = match () {
            () if given || is_path(first) => false,
            // Nothing else here has no colon.
            () if is_remote(rest) => true,
            () if rest.is_empty() && !looks_like_set(first) => false,
            () if rest.is_empty() => return Err(RequestError::Ambiguous(first.clone())),
            () if looks_like_set(first) => true,
            () => return Err(RequestError::Ambiguous(first.clone())),
        };
        let (set, from) = if is_set { (Some(first.clone()), rest) } else { (None, before) };
        Ok((set, Self::of(from, to)?))
    }

    fn of(from: &[String], to: &str) -> Result<Self, RequestError> {
        let remote: Vec<_> = from.iter().filter_map(|word| word.strip_prefix(':')).collect();
        if to.is_empty() || from.iter().any(String::is_empty) {
            return Err(RequestError::Empty);
        }
        match (to.strip_prefix(':'), remote.len()) {
            (Some(to), 0) => Ok(Self::Push { from: from.to_vec(), to: remote_path(to) }),
            (None, 0) => Err(RequestError::AllLocal(from.join(" "), to.into())),
            (_, some) if some < from.len() => Err(RequestError::Mixed),
            (Some(_), _) => Err(RequestError::AllRemote),
            (None, _) => {
                Ok(Self::Pull { from: remote.into_iter().map(remote_path).collect(), to: to.into() })
            }
        }
    }
}

/// Whether these words are remote paths.
fn is_remote(words: &[String]) -> bool {
    !words.is_empty() && words.iter().all(|word| word.starts_with(':'))
}

/// Whether a word can't be a set of instances.
fn is_path(word: &str) -> bool {
    word.starts_with([':', '.', '~']) || word.contains(['/', '\\']) || word.is_empty()
}

/// Whether a word is written as only sets are: numbers, ranges, patterns, exceptions.
fn looks_like_set(word: &str) -> bool {
    word.split(',').all(|part| {
        let part = part.trim();
        let numbers = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        part.starts_with('!') || part.contains(['*', '?']) || part.split('-').all(numbers)
    })
}

/// A remote path as the server takes it: what is relative, and `~/`, is in the user's home.
fn remote_path(path: &str) -> String {
    match path {
        "" | "~" | "~/" => ".".into(),
        path => path.strip_prefix("~/").map_or_else(|| path.to_owned(), str::to_owned),
    }
}

/// The last name of a path, by which a copy is called in a folder; `None` where it has none (`/`, `.`, `..`):
/// then the copy is of what is in it.
#[must_use]
pub fn base_name(path: &[u8]) -> Option<&[u8]> {
    let mut trimmed = path;
    while let Some(shorter) = trimmed.strip_suffix(b"/") {
        trimmed = shorter;
    }
    let name = trimmed.rsplit(|byte| *byte == b'/').next()?;
    (!matches!(name, b"" | b"." | b"..")).then_some(name)
}

/// A name in a remote folder.
#[must_use]
pub fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = folder.to_vec();
    if !path.is_empty() && !path.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend(name);
    path
}

/// The folder that a remote path is in.
#[must_use]
pub fn parent(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|byte| *byte == b'/') {
        None => b".",
        Some(0) => b"/",
        Some(end) => path.get(..end).unwrap_or(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<(Option<String>, Request), RequestError> {
        let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
        Request::read(&words, false)
    }

    fn push(from: &[&str], to: &str) -> Request {
        Request::Push { from: from.iter().map(ToString::to_string).collect(), to: to.into() }
    }

    fn pull(from: &[&str], to: &str) -> Request {
        Request::Pull { from: from.iter().map(ToString::to_string).collect(), to: to.into() }
    }

    #[test]
    fn words_are_read_by_their_colons() {
        let set = |text: &str| Some(text.to_owned());
        for (words, meant) in [
            ("0-3 ./app.conf :/etc/app/", (set("0-3"), push(&["./app.conf"], "/etc/app/"))),
            ("app.conf :/etc/", (None, push(&["app.conf"], "/etc/"))),
            ("./a b :", (None, push(&["./a", "b"], "."))),
            ("web_*,!4 a b :~/x", (set("web_*,!4"), push(&["a", "b"], "x"))),
            (
                "3 :/var/log/syslog ./logs/{instance}/",
                (set("3"), pull(&["/var/log/syslog"], "./logs/{instance}/")),
            ),
            ("web_3 :a :b .", (set("web_3"), pull(&["a", "b"], "."))),
            (":a b", (None, pull(&["a"], "b"))),
        ] {
            assert_eq!(read(words), Ok(meant), "{words}");
        }
    }

    #[test]
    fn what_may_mean_two_things_is_refused() {
        for (words, error) in [
            ("a", RequestError::TooFew),
            ("web_3 a :b", RequestError::Ambiguous("web_3".into())),
            ("3 :b", RequestError::Ambiguous("3".into())),
            ("a b", RequestError::AllLocal("a".into(), "b".into())),
            ("./a b", RequestError::AllLocal("./a".into(), "b".into())),
            (":a :b", RequestError::AllRemote),
            (":a b ./c", RequestError::Mixed),
        ] {
            assert_eq!(read(words), Err(error), "{words}");
        }
        let words = ["web_3", "a", ":b"].map(str::to_owned);
        assert_eq!(Request::read(&words, true), Ok((None, push(&["web_3", "a"], "b"))));
    }

    #[test]
    fn paths_have_names_and_folders() {
        assert_eq!(base_name(b"/etc/app/"), Some(&b"app"[..]));
        assert_eq!((base_name(b"/"), base_name(b"a/.."), base_name(b".")), (None, None, None));
        assert_eq!((parent(b"a"), parent(b"/a"), parent(b"/a/b")), (&b"."[..], &b"/"[..], &b"/a"[..]));
        assert_eq!((join(b"/", b"a"), join(b"a", b"b")), (b"/a".to_vec(), b"a/b".to_vec()));
    }
}
