//! What the user names as TARGET, as a value: nothing is read or asked here.

use std::{path::PathBuf, str::FromStr};

use thiserror::Error;

use crate::natmap::{PortRange, RangeError};

/// A TARGET of the command line, without its `USER@`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `HOST:PORT` or `HOST:START-END`: a plain range, no Azure.
    Range(PortRange),
    /// `@FILE` or `@DIR`: what `az` printed.
    Saved(PathBuf),
    /// `-`: the same from standard input.
    Stdin,
    /// `lab`: the embedded scale set.
    Lab,
    /// `GROUP/NAME` or a full resource id: asked from Azure.
    Azure(String),
}

/// Why a text is not a TARGET.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TargetError {
    /// Nothing was given, or nothing behind the `@`.
    #[error("the target is empty")]
    Empty,
    /// It looks like `HOST:PORT`, but is none.
    #[error("\"{text}\" is not a HOST:PORT or HOST:START-END range: {reason}")]
    Range {
        /// As typed.
        text: String,
        /// What is wrong with it.
        reason: RangeError,
    },
    /// A single word.
    #[error("\"{0}\" is not a target: write HOST:PORT, HOST:START-END, @FILE, `-` or `lab`")]
    Word(String),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        match text {
            "" | "@" => Err(TargetError::Empty),
            "-" => Ok(Self::Stdin),
            "lab" => Ok(Self::Lab),
            _ => match text.strip_prefix('@') {
                Some(path) => Ok(Self::Saved(path.into())),
                // Neither a host nor a port range has a slash; resource groups and ids have.
                None if text.contains('/') => Ok(Self::Azure(text.into())),
                None if text.contains(':') => text
                    .parse()
                    .map(Self::Range)
                    .map_err(|reason| TargetError::Range { text: text.into(), reason }),
                None => Err(TargetError::Word(text.into())),
            },
        }
    }
}

/// `[USER@]TARGET` as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserTarget {
    /// The part before the first `@`, where there is one.
    pub user: Option<String>,
    /// The rest.
    pub target: Target,
}

impl FromStr for UserTarget {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        // `jonw@@map.json` is user jonw on the file map.json; `@map.json` has no user.
        let (user, target) = match text.split_once('@') {
            Some((user, target)) if !user.is_empty() && !user.contains(['/', ':']) => {
                (Some(user.into()), target)
            }
            _ => (None, text),
        };
        Ok(Self { user, target: target.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_told_by_their_shape() {
        let target = |text: &str| text.parse::<UserTarget>().map(|t| (t.user, t.target));
        assert_eq!(target("lab"), Ok((None, Target::Lab)));
        assert_eq!(target("-"), Ok((None, Target::Stdin)));
        assert_eq!(target("@ports.json"), Ok((None, Target::Saved("ports.json".into()))));
        assert_eq!(target("jonw@@a@b.json"), Ok((Some("jonw".into()), Target::Saved("a@b.json".into()))));
        assert_eq!(
            target("jonw@prod-rg/web"),
            Ok((Some("jonw".into()), Target::Azure("prod-rg/web".into())))
        );
        assert!(
            matches!(target("jonw@20.98.121.11:50000"), Ok((Some(user), Target::Range(_))) if user == "jonw")
        );
        assert!(matches!(target("[::1]:50000-50010"), Ok((None, Target::Range(_)))));
    }

    #[test]
    fn wrong_targets_say_why() {
        let error = |text: &str| text.parse::<UserTarget>().unwrap_err().to_string();
        assert_eq!(error(""), "the target is empty");
        assert!(error("web").starts_with("\"web\" is not a target: write HOST:PORT"));
        assert_eq!(
            error("h:50001-50000"),
            "\"h:50001-50000\" is not a HOST:PORT or HOST:START-END range: the range 50001-50000 ends before it starts"
        );
    }
}
