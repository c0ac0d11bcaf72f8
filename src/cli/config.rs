//! What the environment says, read once and handed down.

use std::{env, path::PathBuf};

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
    /// The terminal's type (`TERM`).
    pub(super) term: Option<String>,
    /// `LANG` and `LC_*`, which sessions pass on.
    pub(super) locale: Vec<(String, String)>,
    /// `NO_COLOR` is set to something (no-color.org).
    pub(super) no_color: bool,
    /// Where temporary folders go.
    pub(super) temp_dir: PathBuf,
}

impl Config {
    /// Reads the environment.
    pub(super) fn from_env() -> Self {
        let text = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let own = directories::ProjectDirs::from("", "", "vmssh");
        Self {
            // The system's word, as ssh has it: cron and containers set no USER.
            user: whoami::username().ok().or_else(|| text("USER")),
            ssh_dir: directories::BaseDirs::new().map(|dirs| dirs.home_dir().join(".ssh")),
            known_hosts: own.map(|dirs| dirs.data_dir().join("known_hosts")),
            agent_socket: text("SSH_AUTH_SOCK").map(Into::into),
            term: text("TERM"),
            locale: env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .filter(|(name, _)| name == "LANG" || name.starts_with("LC_"))
                .collect(),
            no_color: text("NO_COLOR").is_some(),
            temp_dir: env::temp_dir(),
        }
    }
}
