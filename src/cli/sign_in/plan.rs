//! From options and configuration to how one endpoint is signed in to.

use std::{path::PathBuf, time::Duration};

use super::{HostKeys, Password, SignInArgs};
use crate::{
    cli::{
        context::Context,
        error::{Error, Kind},
    },
    lab::Lab,
    openssh_config::{AgentSocket, HostConfig, HostKeyChecking, Keyword},
    ssh::{
        AgentKeys, Algorithms, HostKeyPolicy, Keepalive, KnownHostsFiles, LoginOptions, Method, NameHashing,
        Offered, PasswordUse,
    },
};

/// The default keys, in OpenSSH's order of strength (ssh(1), IdentityFile). Those of security keys, which
/// only an agent can use here, count where `IdentitiesOnly` asks for keys of files.
const DEFAULT_KEYS: [&str; 5] = ["id_ed25519", "id_ecdsa", "id_rsa", "id_ecdsa_sk", "id_ed25519_sk"];

/// The system's files of known host keys (ssh_config(5), GlobalKnownHostsFile).
const SYSTEM_KNOWN_HOSTS: [&str; 2] = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];

/// How to sign in, before any file is read: equal plans are one login.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Plan {
    pub(super) user: String,
    identity_files: Vec<PathBuf>,
    default_keys: Vec<PathBuf>,
    certificate_files: Vec<PathBuf>,
    agent_socket: Option<PathBuf>,
    agent_keys: AgentKeys,
    takes_password: bool,
    methods: Vec<Method>,
    most_passwords: usize,
    host_keys: HostKeyPolicy,
    known_hosts: KnownHostsFiles,
    host_key_alias: Option<String>,
    algorithms: Algorithms,
    least_rsa_bits: u32,
    keepalive: Keepalive,
    connect_timeout: Duration,
    name_hashing: NameHashing,
    scale_set: Option<String>,
}

/// What a plan is made of besides the host's own configuration.
pub(super) struct Planner<'a> {
    pub(super) context: &'a Context,
    pub(super) args: &'a SignInArgs,
    pub(super) lab: Option<&'a Lab>,
    /// What the scale set is called, where the target is one.
    pub(super) scale_set: Option<String>,
    /// The files where nothing is configured.
    pub(super) known_hosts: KnownHostsFiles,
    /// Where new keys are filed.
    pub(super) filing: Filing,
    /// What is worth a word, once.
    pub(super) notes: Vec<String>,
}

/// Where new host keys are filed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filing {
    /// In vmssh's own file, or the one that was named.
    Own,
    /// As ssh(1) does: in the first of the user's files (`UserKnownHostsFile`).
    AsSsh,
}

/// Whose options apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    /// The instance's: a password that was asked for or given is meant for it.
    Instance,
    /// A server on the way. Keys that were named are shown to it too, as the agent's are; a password is not.
    Hop,
}

impl Planner<'_> {
    pub(super) fn plan(
        &mut self,
        config: &HostConfig,
        user: String,
        idle: Option<Duration>,
    ) -> Result<Plan, Error> {
        let by_key = config.signs_in_by("publickey");
        let (identity_files, default_keys) = if by_key { self.keys(config) } else { Default::default() };
        let no_prompts = config.password_prompts() == Some(0);
        let by_password = config.signs_in_by("password") || config.signs_in_by("keyboard-interactive");
        Ok(Plan {
            user,
            identity_files,
            default_keys,
            certificate_files: config.certificate_files.iter().map(PathBuf::from).collect(),
            agent_socket: self.agent(config).filter(|_| by_key),
            agent_keys: match config.flag(Keyword::IDENTITIES_ONLY) {
                Some(true) => AgentKeys::Named,
                _ => AgentKeys::All,
            },
            takes_password: by_password && !no_prompts,
            methods: methods(config),
            most_passwords: config
                .password_prompts()
                .and_then(|most| usize::try_from(most).ok())
                .unwrap_or(LoginOptions::MOST_PASSWORDS),
            host_keys: self.host_keys(config),
            known_hosts: self.known_hosts(config),
            host_key_alias: config.host_key_alias.clone(),
            algorithms: self.algorithms(config)?,
            // As in ssh, less than what is ever taken asks for nothing.
            least_rsa_bits: config.required_rsa_size().unwrap_or_default().max(LoginOptions::LEAST_RSA_BITS),
            keepalive: self.keepalive(config, idle),
            connect_timeout: self
                .args
                .connect_timeout
                .or_else(|| config.connect_timeout())
                .unwrap_or(super::CONNECT_TIMEOUT),
            name_hashing: self.name_hashing(config),
            scale_set: self.scale_set.clone(),
        })
    }

    /// The lab takes its own key and no other, so no other is shown to it.
    fn keys(&mut self, config: &HostConfig) -> (Vec<PathBuf>, Vec<PathBuf>) {
        if let Some(lab) = self.lab.filter(|_| self.args.identity.is_empty()) {
            return (vec![lab.key_file().to_owned()], Vec::new());
        }
        let mut named = self.args.identity.clone();
        let Some(configured) = &config.identity_files else {
            let dir = self.context.config.ssh_dir.iter();
            return (named, dir.flat_map(|dir| DEFAULT_KEYS.map(|key| dir.join(key))).collect());
        };
        // A file that is written for many hosts may name keys that this machine does not have.
        for file in configured.iter().map(PathBuf::from) {
            if file.exists() {
                named.push(file);
            } else {
                self.note(format!("there is no key file {}", file.display()));
            }
        }
        (named, Vec::new())
    }

    fn agent(&self, config: &HostConfig) -> Option<PathBuf> {
        if self.lab.is_some() && self.args.identity.is_empty() {
            return None;
        }
        match &config.identity_agent {
            AgentSocket::Environment => self.context.config.agent_socket.clone(),
            AgentSocket::None => None,
            AgentSocket::Path(path) => Some(path.into()),
        }
    }

    fn host_keys(&mut self, config: &HostConfig) -> HostKeyPolicy {
        let policy = match (self.args.host_keys, config.host_key_checking()) {
            (Some(HostKeys::Ask), _) => HostKeyPolicy::Ask,
            (Some(HostKeys::AcceptNew), _) => HostKeyPolicy::AcceptNew,
            (Some(HostKeys::Strict), _) => HostKeyPolicy::Strict,
            (None, Some(HostKeyChecking::Strict)) => HostKeyPolicy::Strict,
            (None, Some(HostKeyChecking::AcceptNew)) => HostKeyPolicy::AcceptNew,
            (None, Some(HostKeyChecking::Off)) => {
                let place = config.place(Keyword::STRICT_HOST_KEY_CHECKING).map(ToString::to_string);
                self.note(format!(
                    "{}: StrictHostKeyChecking no takes unknown host keys; changed ones are refused all the same",
                    place.unwrap_or_default()
                ));
                HostKeyPolicy::AcceptNew
            }
            (None, Some(HostKeyChecking::Ask) | None) => HostKeyPolicy::Ask,
        };
        let nobody = config.flag(Keyword::BATCH_MODE) == Some(true);
        if nobody && policy == HostKeyPolicy::Ask { HostKeyPolicy::Strict } else { policy }
    }

    /// New keys are always filed in vmssh's own file; the configuration says where else known ones are.
    fn known_hosts(&self, config: &HostConfig) -> KnownHostsFiles {
        let KnownHostsFiles { own, also } = &self.known_hosts;
        // Files that were named on the command line, or the lab's, are used alone.
        if self.args.known_hosts.is_some() || self.lab.is_some() {
            return self.known_hosts.clone();
        }
        let paths = |list: &Vec<String>| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        let mut user = config.user_known_hosts.as_ref().map_or_else(|| also.clone(), paths);
        let own = match self.filing {
            Filing::Own => own.clone(),
            Filing::AsSsh => user.first().cloned().unwrap_or_else(|| "/dev/null".into()),
        };
        if self.filing == Filing::AsSsh {
            user = user.split_off(user.len().min(1));
        }
        let system = config.global_known_hosts.as_ref();
        let system = system.map_or_else(|| SYSTEM_KNOWN_HOSTS.map(PathBuf::from).into(), paths);
        // `/dev/null` is how ssh is told to know none.
        let is_file = |path: &PathBuf| path.as_os_str() != "/dev/null" && *path != own;
        KnownHostsFiles { also: user.into_iter().chain(system).filter(is_file).collect(), own }
    }

    fn algorithms(&mut self, config: &HostConfig) -> Result<Algorithms, Error> {
        let mut list = |keyword: Keyword, offered: fn() -> Offered| {
            if config.text(keyword).is_none() {
                return Ok(None);
            }
            let Offered { default, supported } = offered();
            let list = config.algorithms(keyword, &default, &supported).unwrap_or_default();
            if list.names.is_empty() {
                return Err(nothing_left(config, keyword, &supported));
            }
            if !list.unknown.is_empty() {
                let place = config.place(keyword).map(ToString::to_string).unwrap_or_default();
                self.note(format!(
                    "{place}: {} without {}, which is not there",
                    keyword.name(),
                    list.unknown.join(", ")
                ));
            }
            Ok(Some(list.names))
        };
        Ok(Algorithms {
            kex: list(Keyword::KEX_ALGORITHMS, Algorithms::kex)?,
            ciphers: list(Keyword::CIPHERS, Algorithms::ciphers)?,
            macs: list(Keyword::MACS, Algorithms::macs)?,
            host_keys: list(Keyword::HOST_KEY_ALGORITHMS, Algorithms::keys)?,
            signatures: list(Keyword::PUBKEY_ACCEPTED_ALGORITHMS, Algorithms::signatures)?,
        })
    }

    /// `HashKnownHosts` is about OpenSSH's files, and Debian sets it for all users. In vmssh's own file names say
    /// which instance it was, unless `--hash` wants otherwise.
    fn name_hashing(&self, config: &HostConfig) -> NameHashing {
        let configured = self.filing == Filing::AsSsh && config.flag(Keyword::HASH_KNOWN_HOSTS) == Some(true);
        if self.args.hash || configured { NameHashing::Always } else { NameHashing::AsTheFile }
    }

    /// `idle`: after so long without traffic the load balancer forgets the connection.
    fn keepalive(&mut self, config: &HostConfig, idle: Option<Duration>) -> Keepalive {
        let default = Keepalive::default();
        let mut interval = config.keepalive_interval().unwrap_or(default.interval);
        // Half of it: one sign of life may be late.
        if let (Some(wanted), Some(idle)) = (interval, idle)
            && wanted >= idle
        {
            self.note(format!(
                "ServerAliveInterval is kept under the load balancer's idle timeout of {} s",
                idle.as_secs()
            ));
            interval = Some(idle / 2);
        }
        let count = config.keepalive_count().and_then(|count| usize::try_from(count).ok());
        Keepalive { interval, most_unanswered: count.unwrap_or(default.most_unanswered) }
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// The ways to sign in that are left, in the order that is preferred.
fn methods(config: &HostConfig) -> Vec<Method> {
    let preferred = config.text(Keyword::PREFERRED_AUTHENTICATIONS);
    let all: Vec<_> = match preferred {
        Some(list) => list.split(',').filter_map(Method::from_name).collect(),
        None => Method::DEFAULT.into(),
    };
    all.into_iter().filter(|method| config.signs_in_by(method.name())).collect()
}

fn nothing_left(config: &HostConfig, keyword: Keyword, supported: &[&str]) -> Error {
    let place = config.place(keyword).map(ToString::to_string).unwrap_or_default();
    let name = keyword.name();
    Error::new(Kind::Usage, format!("{place}: nothing of what {name} asks for is there")).hint(format!(
        "there are {}; leave the line out this once: `--ssh-option {name}=^{}`",
        supported.join(", "),
        supported.first().unwrap_or(&"")
    ))
}

impl Plan {
    /// What a client needs; `given` is the password that was asked for in advance.
    pub(super) fn options(&self, password: Password, given: &PasswordUse) -> LoginOptions {
        LoginOptions {
            identity_files: self.identity_files.clone(),
            default_keys: self.default_keys.clone(),
            certificate_files: self.certificate_files.clone(),
            agent_socket: self.agent_socket.clone(),
            agent_keys: self.agent_keys,
            password: match (given, password) {
                _ if !self.takes_password => PasswordUse::Never,
                (PasswordUse::Given(secret), _) => PasswordUse::Given(secret.clone()),
                (_, Password::OnNeed) => PasswordUse::Ask,
                (_, Password::IfToldSo) => PasswordUse::Never,
            },
            methods: self.methods.clone(),
            most_passwords: self.most_passwords,
            host_keys: self.host_keys,
            host_key_alias: self.host_key_alias.clone(),
            algorithms: self.algorithms.clone(),
            least_rsa_bits: self.least_rsa_bits,
            keepalive: self.keepalive,
            connect_timeout: self.connect_timeout,
            name_hashing: self.name_hashing,
            scale_set: self.scale_set.clone(),
            ..LoginOptions::new(self.user.clone(), self.known_hosts.clone())
        }
    }

    /// What is in force as `ssh -G` names it, where the configuration says nothing or something else.
    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let Algorithms { kex, ciphers, macs, host_keys, signatures } = &self.algorithms;
        let names = |names: &Option<Vec<String>>, offered: Offered| {
            names.as_ref().map_or_else(|| offered.default.join(","), |names| names.join(","))
        };
        let files: Vec<_> = std::iter::once(&self.known_hosts.own).chain(&self.known_hosts.also).collect();
        let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
        let mut lines = vec![
            ("User", self.user.clone()),
            ("ConnectTimeout", self.connect_timeout.as_secs().to_string()),
            ("ServerAliveInterval", self.keepalive.interval.map_or(0, |i| i.as_secs()).to_string()),
            ("ServerAliveCountMax", self.keepalive.most_unanswered.to_string()),
            ("RequiredRSASize", self.least_rsa_bits.to_string()),
            ("IdentitiesOnly", if self.agent_keys == AgentKeys::Named { "yes" } else { "no" }.into()),
            ("IdentityAgent", self.agent_socket.as_ref().map_or("none".into(), |s| s.display().to_string())),
            ("UserKnownHostsFile", files.join(" ")),
            (
                "StrictHostKeyChecking",
                match self.host_keys {
                    HostKeyPolicy::Ask => "ask",
                    HostKeyPolicy::AcceptNew => "accept-new",
                    HostKeyPolicy::Strict => "true",
                }
                .into(),
            ),
            ("KexAlgorithms", names(kex, Algorithms::kex())),
            ("Ciphers", names(ciphers, Algorithms::ciphers())),
            ("MACs", names(macs, Algorithms::macs())),
            ("HostKeyAlgorithms", names(host_keys, Algorithms::keys())),
            ("PubkeyAcceptedAlgorithms", names(signatures, Algorithms::signatures())),
        ];
        let keys = self.identity_files.iter().chain(&self.default_keys);
        lines.extend(keys.map(|key| ("IdentityFile", key.display().to_string())));
        lines
    }
}
