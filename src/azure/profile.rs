//! The Azure CLI's own record of subscriptions, `azureProfile.json`: which is the default, and which
//! id a name has. Nothing secret is in it.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use thiserror::Error;

use super::cloud::Cloud;

const FILE: &str = "azureProfile.json";
/// A subscription takes about 500 bytes; a login that sees ten thousand is still below this.
const MOST_BYTES: u64 = 16 << 20;
/// How many names an error lists.
const NAMES_SHOWN: usize = 8;

/// A subscription of the Azure CLI's login.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// Its id, a GUID.
    pub id: String,
    /// Its name, which need not be the only one of its kind.
    #[serde(default)]
    pub name: String,
    /// Whether `az` uses it where none is named; one in each cloud.
    #[serde(default)]
    pub is_default: bool,
    /// The cloud, as the Azure CLI calls it.
    #[serde(default)]
    pub environment_name: Option<String>,
}

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Profile {
    /// In the file's order.
    #[serde(default)]
    pub subscriptions: Vec<Subscription>,
}

/// Why the profile does not help.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// The file is there and can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is not what the Azure CLI writes.
    #[error("{} is not as the Azure CLI writes it", path.display())]
    Broken {
        /// Which.
        path: PathBuf,
        /// Where and how.
        source: serde_json::Error,
    },
    /// No subscription has this name.
    #[error("the Azure CLI knows no subscription \"{name}\"{}", listed(.known))]
    Unknown {
        /// As given.
        name: String,
        /// The names that it knows.
        known: Vec<String>,
    },
    /// Several have it.
    #[error("the subscriptions {} all have the name \"{name}\"", ids.join(", "))]
    Ambiguous {
        /// As given.
        name: String,
        /// Their ids.
        ids: Vec<String>,
    },
}

fn listed(known: &[String]) -> String {
    if known.is_empty() {
        return String::new();
    }
    let more = if known.len() > NAMES_SHOWN { ", …" } else { "" };
    let names: Vec<_> = known.iter().take(NAMES_SHOWN).map(|name| format!("\"{name}\"")).collect();
    format!("; it knows {}{more}", names.join(", "))
}

impl ProfileError {
    /// The next thing to do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read { .. } | Self::Broken { .. } => {
                "name the subscription with `--subscription ID`, or let az write the file anew: `az login`"
            }
            Self::Unknown { .. } => {
                "give its id, or see the names with `az account list --all --refresh -o table`"
            }
            Self::Ambiguous { .. } => "give one of the ids with `--subscription`",
        }
    }
}

impl Profile {
    /// Reads it from the Azure CLI's folder (`AZURE_CONFIG_DIR`, else `~/.azure`). No file is an empty
    /// profile: there is no login.
    ///
    /// # Errors
    /// When the file can't be read or is no profile.
    pub fn read(folder: &Path) -> Result<Self, ProfileError> {
        let path = folder.join(FILE);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(ProfileError::Read { path, source }),
            Ok(_) => {}
        }
        Self::parse(&bytes).map_err(|source| ProfileError::Broken { path, source })
    }

    /// The Azure CLI writes UTF-8 with a byte order mark, others without.
    fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if bytes.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(bytes)
    }

    /// The ids of all subscriptions.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.subscriptions.iter().map(|subscription| subscription.id.clone()).collect()
    }

    /// The default subscription in a cloud, or in any.
    #[must_use]
    pub fn default_in(&self, cloud: Option<Cloud>) -> Option<&Subscription> {
        self.subscriptions.iter().find(|subscription| subscription.is_default && subscription.is_in(cloud))
    }

    /// The id of what was given as id or name. An id need not be in the profile: another sign-in may know
    /// it. Names are compared without case, as `az` does.
    ///
    /// # Errors
    /// When no subscription in the cloud has the name, or several have it.
    pub fn resolve(&self, given: &str, cloud: Option<Cloud>) -> Result<String, ProfileError> {
        if is_guid(given) {
            return Ok(given.to_ascii_lowercase());
        }
        let here = || self.subscriptions.iter().filter(|subscription| subscription.is_in(cloud));
        let lower = given.to_lowercase();
        let ids: Vec<_> = here().filter(|s| s.name.to_lowercase() == lower).map(|s| s.id.clone()).collect();
        match ids.as_slice() {
            [id] => Ok(id.clone()),
            [] => Err(ProfileError::Unknown {
                name: given.into(),
                known: here().map(|s| s.name.clone()).collect(),
            }),
            _ => Err(ProfileError::Ambiguous { name: given.into(), ids }),
        }
    }
}

impl Subscription {
    fn is_in(&self, cloud: Option<Cloud>) -> bool {
        match (cloud, &self.environment_name) {
            (Some(cloud), Some(name)) => name.eq_ignore_ascii_case(cloud.cli_name()),
            _ => true,
        }
    }
}

fn is_guid(text: &str) -> bool {
    let lengths: Vec<_> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0b1f6471-1bf0-4dda-aec3-cb9272f09590";

    fn profile() -> Profile {
        let text = format!(
            r#"{{"installationId": "x", "subscriptions": [
                {{"id": "{ID}", "name": "Prod", "isDefault": true, "environmentName": "AzureCloud", "user": {{}}}},
                {{"id": "2", "name": "Test", "isDefault": false, "environmentName": "AzureCloud"}},
                {{"id": "3", "name": "test", "isDefault": false}},
                {{"id": "4", "name": "Gov", "isDefault": true, "environmentName": "AzureUSGovernment"}}]}}"#
        );
        Profile::parse(&[b"\xef\xbb\xbf", text.as_bytes()].concat()).unwrap()
    }

    #[test]
    fn each_cloud_has_its_default() {
        let id = |cloud| profile().default_in(cloud).map(|s| s.id.clone());
        assert_eq!(id(None).as_deref(), Some(ID));
        assert_eq!(id(Some(Cloud::AzurePublic)).as_deref(), Some(ID));
        assert_eq!(id(Some(Cloud::AzureUSGovernment)).as_deref(), Some("4"));
        assert_eq!(id(Some(Cloud::AzureChina)), None);
    }

    #[test]
    fn names_are_resolved_and_ids_are_taken_as_they_are() {
        let resolve = |given: &str| profile().resolve(given, None).map_err(|e| e.to_string());
        assert_eq!(resolve("pROD"), Ok(ID.into()));
        let other = "A0000000-1bf0-4dda-aec3-cb9272f09590";
        assert_eq!(resolve(other), Ok(other.to_lowercase()));
        assert_eq!(resolve("Test"), Err("the subscriptions 2, 3 all have the name \"Test\"".into()));
        assert_eq!(
            resolve("nope"),
            Err("the Azure CLI knows no subscription \"nope\"; it knows \"Prod\", \"Test\", \"test\", \"Gov\"".into())
        );
        let in_china = profile().resolve("Prod", Some(Cloud::AzureChina));
        assert!(matches!(in_china, Err(ProfileError::Unknown { known, .. }) if known == ["test"]));
    }

    #[test]
    fn no_file_is_no_login_and_a_broken_one_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Profile::read(folder.path()).unwrap(), Profile::default());
        std::fs::write(folder.path().join(FILE), "{\"subscriptions\": [").unwrap();
        let error = Profile::read(folder.path()).unwrap_err();
        assert!(error.to_string().ends_with("is not as the Azure CLI writes it"), "{error}");
        std::fs::write(folder.path().join(FILE), "{}").unwrap();
        assert_eq!(Profile::read(folder.path()).unwrap(), Profile::default());
    }
}
