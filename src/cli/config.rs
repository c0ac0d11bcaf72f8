//! What the environment says, read once and handed down.

use std::{env, path::PathBuf};

use secrecy::SecretString;

use super::askpass::Askpass;
use crate::azure::credential::SignIn;

/// The user's surroundings.
#[derive(Debug, Clone, Default)]
pub(super) struct Config {
    /// The local user's name, `ssh`'s default for the remote one.
    pub(super) user: Option<String>,
    /// `~/.ssh`.
    pub(super) ssh_dir: Option<PathBuf>,
    /// vmssh's own known_hosts file.
    pub(super) known_hosts: Option<PathBuf>,
    /// The agent's socket (`SSH_AUTH_SOCK`).
    pub(super) agent_socket: Option<PathBuf>,
    /// The program that asks for passwords (`SSH_ASKPASS`).
    pub(super) askpass: Askpass,
    /// The terminal's type (`TERM`).
    pub(super) term: Option<String>,
    /// `LANG` and `LC_*`, which sessions pass on.
    pub(super) locale: Vec<(String, String)>,
    /// All variables, for a configuration that names some.
    pub(super) environment: Vec<(String, String)>,
    /// The local user's number.
    pub(super) uid: String,
    /// The home folder.
    pub(super) home: Option<PathBuf>,
    /// This machine's name.
    pub(super) hostname: String,
    /// `NO_COLOR` is set to something (no-color.org).
    pub(super) no_color: bool,
    /// Which pod of an Indexed Job of Kubernetes this is (`JOB_COMPLETION_INDEX`, which it sets).
    pub(super) job_index: Option<String>,
    /// How many shards there are (`VMSSH_SHARDS`): Kubernetes does not tell how many pods a Job has.
    pub(super) shards: Option<String>,
    /// What this place is called (`VMSSH_PLACE`).
    pub(super) place: Option<String>,
    /// Where temporary folders go.
    pub(super) temp_dir: PathBuf,
    /// What it says about Azure.
    pub(super) azure: AzureConfig,
}

/// The variables that Azure's tools share.
#[derive(Debug, Clone, Default)]
pub(super) struct AzureConfig {
    /// Another address of the resource manager (`AZURE_RESOURCE_MANAGER_ENDPOINT`).
    pub(super) endpoint: Option<String>,
    /// The Azure CLI's folder (`AZURE_CONFIG_DIR`, else `~/.azure`).
    pub(super) cli_folder: Option<PathBuf>,
    /// How to sign in.
    pub(super) sign_in: SignIn,
}

impl Config {
    /// Reads the environment.
    pub(super) fn from_env() -> Self {
        let own = directories::ProjectDirs::from("", "", "vmssh");
        let environment: Vec<(String, String)> = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let is_locale = |(name, _): &&(String, String)| name == "LANG" || name.starts_with("LC_");
        Self {
            locale: environment.iter().filter(is_locale).cloned().collect(),
            environment,
            uid: uid(),
            home: directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned()),
            hostname: whoami::hostname().unwrap_or_default(),
            // The system's word, as ssh has it: cron and containers set no USER.
            user: whoami::username().ok().or_else(|| text("USER")),
            ssh_dir: directories::BaseDirs::new().map(|dirs| dirs.home_dir().join(".ssh")),
            known_hosts: own.map(|dirs| dirs.data_dir().join("known_hosts")),
            agent_socket: text("SSH_AUTH_SOCK").map(Into::into),
            askpass: Askpass::new(
                text("SSH_ASKPASS").map(Into::into),
                text("SSH_ASKPASS_REQUIRE").as_deref(),
                text("DISPLAY").or_else(|| text("WAYLAND_DISPLAY")).is_some(),
            ),
            term: text("TERM"),
            no_color: text("NO_COLOR").is_some(),
            job_index: text("JOB_COMPLETION_INDEX"),
            shards: text("VMSSH_SHARDS"),
            place: text("VMSSH_PLACE"),
            temp_dir: env::temp_dir(),
            azure: AzureConfig::from_env(),
        }
    }
}

impl AzureConfig {
    fn from_env() -> Self {
        let secret = |name: &str| text(name).map(SecretString::from);
        let home = || Some(directories::BaseDirs::new()?.home_dir().join(".azure"));
        Self {
            endpoint: text("AZURE_RESOURCE_MANAGER_ENDPOINT"),
            cli_folder: text("AZURE_CONFIG_DIR").map(Into::into).or_else(home),
            sign_in: SignIn {
                tenant_id: text("AZURE_TENANT_ID"),
                client_id: text("AZURE_CLIENT_ID"),
                client_secret: secret("AZURE_CLIENT_SECRET"),
                federated_token_file: text("AZURE_FEDERATED_TOKEN_FILE").map(Into::into),
                authority_host: text("AZURE_AUTHORITY_HOST"),
                identity_endpoint: text("IDENTITY_ENDPOINT"),
                identity_header: secret("IDENTITY_HEADER"),
                ..SignIn::default()
            },
        }
    }
}

#[cfg(unix)]
fn uid() -> String {
    rustix::process::getuid().as_raw().to_string()
}

/// Windows has no numbers for users.
#[cfg(not(unix))]
fn uid() -> String {
    String::new()
}

/// A variable's value; an empty one is none.
fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
