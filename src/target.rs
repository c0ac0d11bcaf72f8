//! What the user names as TARGET, as a value: nothing is read or asked here.

use std::{fmt, path::PathBuf, str::FromStr};

use thiserror::Error;

use crate::{
    natmap::{PortRange, RangeError},
    resource::{Kind, ResourceId},
};

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
    Azure(ScaleSetTarget),
}

/// A scale set as it is named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaleSetTarget {
    /// The subscription, where a full id was given.
    pub subscription: Option<String>,
    /// The resource group.
    pub group: String,
    /// The scale set's name.
    pub name: String,
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
    /// It has slashes, and is neither `GROUP/NAME` nor a scale set's id.
    #[error("\"{0}\" is neither GROUP/NAME nor the id of a scale set")]
    ScaleSet(String),
    /// The path of a file.
    #[error("\"{0}\" looks like a file: write @{0}")]
    Path(String),
    /// A single word.
    #[error("\"{0}\" is not a target: write GROUP/NAME, HOST:PORT, HOST:START-END, @FILE, `-` or `lab`")]
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
                None if text.contains('/') => scale_set(text).map(Self::Azure),
                None if text.contains(':') => text
                    .parse()
                    .map(Self::Range)
                    .map_err(|reason| TargetError::Range { text: text.into(), reason }),
                None => Err(TargetError::Word(text.into())),
            },
        }
    }
}

/// As it is typed, without the subscription of a full id.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) => write!(f, "{range}"),
            Self::Saved(path) => write!(f, "@{}", path.display()),
            Self::Stdin => f.write_str("-"),
            Self::Lab => f.write_str("lab"),
            Self::Azure(set) => write!(f, "{}/{}", set.group, set.name),
        }
    }
}

/// Reads `GROUP/NAME` or `/subscriptions/S/resourceGroups/G/providers/Microsoft.Compute/virtualMachineScaleSets/NAME`.
fn scale_set(text: &str) -> Result<ScaleSetTarget, TargetError> {
    let id = ResourceId::new(text.trim_end_matches('/'));
    if let (Some(Kind::ScaleSet), Some(subscription), Some(group)) =
        (id.kind(), id.subscription(), id.group())
    {
        return Ok(ScaleSetTarget {
            subscription: Some(subscription.into()),
            group: group.into(),
            name: id.name().into(),
        });
    }
    let is_path = text.starts_with(['.', '/', '~']) || text.to_ascii_lowercase().ends_with(".json");
    // Letters, digits and these are what Azure takes in names of groups and scale sets.
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "-_.()".contains(c));
    match text.split_once('/') {
        _ if text.starts_with("/subscriptions/") => Err(TargetError::ScaleSet(text.into())),
        _ if is_path => Err(TargetError::Path(text.into())),
        Some((group, name)) if is_name(group) && is_name(name) => {
            Ok(ScaleSetTarget { subscription: None, group: group.into(), name: name.into() })
        }
        _ => Err(TargetError::ScaleSet(text.into())),
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
        let web = |subscription: Option<&str>| {
            let subscription = subscription.map(Into::into);
            Target::Azure(ScaleSetTarget { subscription, group: "prod-rg".into(), name: "web".into() })
        };
        assert_eq!(target("jonw@prod-rg/web"), Ok((Some("jonw".into()), web(None))));
        let id = "/subscriptions/1-2/resourcegroups/prod-rg/providers/Microsoft.Compute/virtualMachineScaleSets/web";
        assert_eq!(target(id), Ok((None, web(Some("1-2")))));
        assert_eq!(target(&format!("jonw@{id}/")), Ok((Some("jonw".into()), web(Some("1-2")))));
        assert!(
            matches!(target("jonw@20.98.121.11:50000"), Ok((Some(user), Target::Range(_))) if user == "jonw")
        );
        assert!(matches!(target("[::1]:50000-50010"), Ok((None, Target::Range(_)))));
    }

    #[test]
    fn wrong_targets_say_why() {
        let error = |text: &str| text.parse::<UserTarget>().unwrap_err().to_string();
        assert_eq!(error(""), "the target is empty");
        assert!(error("web").starts_with("\"web\" is not a target: write GROUP/NAME"));
        assert_eq!(error("./ports.json"), "\"./ports.json\" looks like a file: write @./ports.json");
        assert_eq!(error("out/ports.json"), "\"out/ports.json\" looks like a file: write @out/ports.json");
        for text in ["a/b/c", "g/", "g/a?b", "/subscriptions/s/resourceGroups/g"] {
            assert!(error(text).ends_with("is neither GROUP/NAME nor the id of a scale set"), "{text}");
        }
        assert_eq!(
            error("h:50001-50000"),
            "\"h:50001-50000\" is not a HOST:PORT or HOST:START-END range: the range 50001-50000 ends before it starts"
        );
    }
}
