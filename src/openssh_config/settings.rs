//! What holds for one host.

use std::{collections::BTreeMap, time::Duration};

use super::{
    algorithm::{AlgorithmList, assemble},
    error::{ConfigError, Place},
    expand::{self, Tokens},
    jump::Jump,
    keyword::{Keyword, Kind, Standing},
    lookup::{HostNameUse, Lookup, host_name},
    value::Value,
};
use crate::{forward::Forward, pattern};

/// SSH's own port.
const SSH_PORT: u16 = 22;

/// The values that were found, the first of each, or all where they add up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Values(BTreeMap<Keyword, Vec<(Place, Value)>>);

impl Values {
    pub(super) fn add(&mut self, place: &Place, keyword: Keyword, value: &Value) {
        let there = self.0.entry(keyword).or_default();
        let adds_up = matches!(keyword.kind(), Kind::Lines | Kind::Gathered | Kind::Forwards);
        if there.is_empty() || adds_up && !there.iter().any(|(_, other)| other == value) {
            there.push((place.clone(), value.clone()));
        }
    }

    pub(super) fn has(&self, keyword: Keyword) -> bool {
        self.0.contains_key(&keyword)
    }

    /// The value of a keyword that has one.
    pub(super) fn one(&self, keyword: Keyword) -> Option<&(Place, Value)> {
        self.0.get(&keyword)?.first()
    }

    pub(super) fn text(&self, keyword: Keyword) -> Option<&str> {
        match self.one(keyword) {
            Some((_, Value::Text(text))) => Some(text),
            _ => None,
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (Keyword, &Place, &Value)> {
        self.0.iter().flat_map(|(keyword, list)| list.iter().map(|(place, value)| (*keyword, place, value)))
    }

    fn of(&self, keyword: Keyword) -> impl Iterator<Item = &(Place, Value)> {
        self.0.get(&keyword).into_iter().flatten()
    }
}

/// What is done about host keys (`StrictHostKeyChecking`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKeyChecking {
    /// Unknown ones are refused.
    Strict,
    /// The person is asked.
    Ask,
    /// Unknown ones are taken, changed ones are refused.
    AcceptNew,
    /// OpenSSH would go on even where a key has changed (`no`, `off`).
    Off,
}

/// The agent to ask for keys, or to forward.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AgentSocket {
    /// The one of the environment (`SSH_AUTH_SOCK`).
    Environment,
    /// None.
    None,
    /// The one at this path.
    Path(String),
}

/// When a remote terminal is asked for (`RequestTTY`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// Never.
    Never,
    /// For shells.
    Auto,
    /// Where input is a terminal.
    Yes,
    /// Always.
    Force,
}

/// What a configuration says about one host: tokens, `~` and variables have been put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostConfig {
    pub(super) values: Values,
    /// What is dialled.
    pub host: String,
    /// The port, where something says one.
    pub port: Option<u16>,
    /// The user, where the command line or the configuration says one.
    pub user: Option<String>,
    /// Key files (`IdentityFile`); `None` where nothing is said, empty where there are to be none.
    pub identity_files: Option<Vec<String>>,
    /// Certificates besides those that lie beside their keys (`CertificateFile`).
    pub certificate_files: Vec<String>,
    /// The user's files of known host keys; `None` where nothing is said.
    pub user_known_hosts: Option<Vec<String>>,
    /// The system's.
    pub global_known_hosts: Option<Vec<String>>,
    /// The agent (`IdentityAgent`).
    pub identity_agent: AgentSocket,
    /// The agent that is forwarded (`ForwardAgent`).
    pub forward_agent: AgentSocket,
    /// The servers to jump over, the first to go to first (`ProxyJump`).
    pub jumps: Vec<Jump>,
    /// The name that the host key is filed under.
    pub host_key_alias: Option<String>,
    /// The command that is run where none is given.
    pub remote_command: Option<String>,
    /// The program that stands in for a connection (`ProxyCommand`).
    pub proxy_command: Option<String>,
    /// The command to run here once signed in, where that is permitted (`LocalCommand`, `PermitLocalCommand`).
    pub local_command: Option<String>,
}

impl HostConfig {
    pub(super) fn new(values: Values, lookup: &Lookup<'_>) -> Result<Self, ConfigError> {
        let dials = lookup.host_name == HostNameUse::Dial;
        let host = match values.one(Keyword::HOST_NAME) {
            Some((place, Value::Text(name))) if dials => {
                host_name(name, lookup).map_err(|error| ConfigError::new(place, error))?
            }
            _ => lookup.host.to_owned(),
        };
        let port = match values.one(Keyword::PORT) {
            Some((_, Value::Number(port))) if dials => u16::try_from(*port).ok(),
            _ => None,
        };
        let port = lookup.port.or(port);
        let jumps = match values.one(Keyword::PROXY_JUMP) {
            Some((_, Value::Jumps(jumps, text))) => (jumps.clone(), text.as_str()),
            _ => (Vec::new(), ""),
        };
        let mut tokens = Tokens {
            local: &lookup.local,
            host: &host,
            original: lookup.host,
            port: port.unwrap_or(SSH_PORT),
            user: "",
            alias: lookup.host,
            jumps: jumps.1,
        };
        let alias = one(&values, Keyword::HOST_KEY_ALIAS, |text| Ok(text.to_ascii_lowercase()))?;
        if let Some(alias) = &alias {
            tokens.alias = alias;
        }
        let said = one(&values, Keyword::USER, |text| tokens.percent(text, expand::USER))?;
        let user = lookup.user.map(str::to_owned).or(said);
        tokens.user = user.as_deref().unwrap_or(lookup.fallback_user);
        let identity_files = paths(&values, Keyword::IDENTITY_FILE, &tokens)?;
        let agent = |keyword, text: &str| agent(keyword, text, &tokens);
        let identity_agent =
            one(&values, Keyword::IDENTITY_AGENT, |text| agent(Keyword::IDENTITY_AGENT, text))?;
        let forward_agent = one(&values, Keyword::FORWARD_AGENT, |text| agent(Keyword::FORWARD_AGENT, text))?;
        Ok(Self {
            port,
            identity_files: values.has(Keyword::IDENTITY_FILE).then_some(identity_files),
            certificate_files: paths(&values, Keyword::CERTIFICATE_FILE, &tokens)?,
            user_known_hosts: lists(&values, Keyword::USER_KNOWN_HOSTS_FILE, &tokens)?,
            global_known_hosts: lists(&values, Keyword::GLOBAL_KNOWN_HOSTS_FILE, &tokens)?,
            identity_agent: identity_agent.unwrap_or(AgentSocket::Environment),
            forward_agent: forward_agent.unwrap_or(AgentSocket::None),
            jumps: jumps.0.iter().map(|jump| expanded(jump, &values, &tokens)).collect::<Result<_, _>>()?,
            remote_command: one(&values, Keyword::REMOTE_COMMAND, |text| tokens.percent(text, expand::ALL))?
                .filter(|command| !command.eq_ignore_ascii_case("none")),
            proxy_command: one(&values, Keyword::PROXY_COMMAND, |text| {
                command(text, expand::PROXY, &tokens)
            })?
            .flatten(),
            local_command: match values.one(Keyword::PERMIT_LOCAL_COMMAND) {
                Some((_, Value::Word("yes"))) => {
                    one(&values, Keyword::LOCAL_COMMAND, |text| command(text, expand::ALL, &tokens))?
                        .flatten()
                }
                _ => None,
            },
            host_key_alias: alias.clone(),
            user: user.clone(),
            host: host.clone(),
            values,
        })
    }

    fn word(&self, keyword: Keyword) -> Option<&'static str> {
        match self.values.one(keyword) {
            Some((_, Value::Word(word))) => Some(word),
            _ => None,
        }
    }

    fn number(&self, keyword: Keyword) -> Option<u32> {
        match self.values.one(keyword) {
            Some((_, Value::Number(number))) => Some(*number),
            _ => None,
        }
    }

    fn time(&self, keyword: Keyword) -> Option<Option<Duration>> {
        match self.values.one(keyword) {
            Some((_, Value::Seconds(seconds))) => {
                Some(seconds.filter(|s| *s > 0).map(|s| Duration::from_secs(s.into())))
            }
            _ => None,
        }
    }

    /// Whether a keyword that takes yes or no says yes; `None` where nothing is said.
    #[must_use]
    pub fn flag(&self, keyword: Keyword) -> Option<bool> {
        self.word(keyword).map(|word| word != "no")
    }

    /// The text of a keyword that takes one, as it is written.
    #[must_use]
    pub fn text(&self, keyword: Keyword) -> Option<&str> {
        self.values.text(keyword)
    }

    /// The time limit of connecting (`ConnectTimeout`); `None` where nothing is said, or that there be none.
    #[must_use]
    pub fn connect_timeout(&self) -> Option<Duration> {
        self.time(Keyword::CONNECT_TIMEOUT).flatten()
    }

    /// `ServerAliveInterval`; `Some(None)`: no signs of life are asked for.
    #[must_use]
    pub fn keepalive_interval(&self) -> Option<Option<Duration>> {
        self.time(Keyword::SERVER_ALIVE_INTERVAL)
    }

    /// `ServerAliveCountMax`.
    #[must_use]
    pub fn keepalive_count(&self) -> Option<u32> {
        self.number(Keyword::SERVER_ALIVE_COUNT_MAX)
    }

    /// `NumberOfPasswordPrompts`.
    #[must_use]
    pub fn password_prompts(&self) -> Option<u32> {
        self.number(Keyword::NUMBER_OF_PASSWORD_PROMPTS)
    }

    /// `RequiredRSASize`, in bits.
    #[must_use]
    pub fn required_rsa_size(&self) -> Option<u32> {
        self.number(Keyword::REQUIRED_RSA_SIZE)
    }

    /// `StrictHostKeyChecking`.
    #[must_use]
    pub fn host_key_checking(&self) -> Option<HostKeyChecking> {
        Some(match self.word(Keyword::STRICT_HOST_KEY_CHECKING)? {
            "yes" => HostKeyChecking::Strict,
            "ask" => HostKeyChecking::Ask,
            "accept-new" => HostKeyChecking::AcceptNew,
            _ => HostKeyChecking::Off,
        })
    }

    /// `RequestTTY`.
    #[must_use]
    pub fn terminal(&self) -> Option<Terminal> {
        Some(match self.word(Keyword::REQUEST_TTY)? {
            "no" => Terminal::Never,
            "yes" => Terminal::Yes,
            "force" => Terminal::Force,
            _ => Terminal::Auto,
        })
    }

    /// `AddressFamily`: `inet`, `inet6` or `any`.
    #[must_use]
    pub fn address_family(&self) -> Option<&'static str> {
        self.word(Keyword::ADDRESS_FAMILY)
    }

    /// `SessionType`: `none`, `subsystem` or `default`.
    #[must_use]
    pub fn session_type(&self) -> Option<&'static str> {
        self.word(Keyword::SESSION_TYPE)
    }

    /// What sets off escapes (`EscapeChar`): `Some(None)` for nothing.
    #[must_use]
    pub fn escape_char(&self) -> Option<Option<u8>> {
        match self.text(Keyword::ESCAPE_CHAR)?.as_bytes() {
            [byte] => Some(Some(*byte)),
            [b'^', byte @ b'@'..=b'_' | byte @ b'a'..=b'z'] => Some(Some(byte & 31)),
            _ => Some(None),
        }
    }

    /// `LocalForward`, `RemoteForward` or `DynamicForward`, unless all are cleared.
    pub fn forwards(&self, keyword: Keyword) -> impl Iterator<Item = &Forward> {
        let cleared = self.flag(Keyword::CLEAR_ALL_FORWARDINGS) == Some(true);
        self.values.of(keyword).filter(move |_| !cleared).filter_map(|(_, value)| match value {
            Value::Forward(forward) => Some(forward),
            _ => None,
        })
    }

    /// Whether a way of signing in (`publickey`, `password`, `keyboard-interactive`) is to be used.
    #[must_use]
    pub fn signs_in_by(&self, method: &str) -> bool {
        let switch = match method {
            "publickey" => self.flag(Keyword::PUBKEY_AUTHENTICATION),
            "password" => self.flag(Keyword::PASSWORD_AUTHENTICATION),
            _ => self.flag(Keyword::KBD_INTERACTIVE_AUTHENTICATION),
        };
        let preferred = self.text(Keyword::PREFERRED_AUTHENTICATIONS);
        let listed = preferred.is_none_or(|list| list.split(',').any(|there| there == method));
        switch != Some(false) && listed
    }

    /// The algorithms of a keyword that takes a list of them; `None` where nothing is said.
    #[must_use]
    pub fn algorithms(
        &self,
        keyword: Keyword,
        default: &[&str],
        supported: &[&str],
    ) -> Option<AlgorithmList> {
        self.text(keyword).map(|list| assemble(list, default, supported))
    }

    /// The environment to send: what `SetEnv` sets, and what `SendEnv` names of this one.
    #[must_use]
    pub fn environment(&self, here: &[(String, String)]) -> Vec<(String, String)> {
        let set = self.list(Keyword::SET_ENV).filter_map(|text| text.split_once('='));
        let mut sent: Vec<(String, String)> = Vec::new();
        for (name, value) in set {
            if !sent.iter().any(|(there, _)| there == name) {
                sent.push((name.into(), value.into()));
            }
        }
        let mut patterns: Vec<&str> = Vec::new();
        for word in self.list(Keyword::SEND_ENV) {
            match word.strip_prefix('-') {
                Some(gone) => patterns.retain(|pattern| !pattern::matches_exactly(gone, pattern)),
                None => patterns.push(word),
            }
        }
        for (name, value) in here {
            let is_meant = patterns.iter().any(|pattern| pattern::matches_exactly(pattern, name));
            if is_meant && !sent.iter().any(|(there, _)| there == name) {
                sent.push((name.clone(), value.clone()));
            }
        }
        sent
    }

    fn list(&self, keyword: Keyword) -> impl Iterator<Item = &str> {
        self.values
            .of(keyword)
            .flat_map(|(_, value)| match value {
                Value::List(list) => list.as_slice(),
                _ => &[],
            })
            .map(String::as_str)
    }

    /// What is said and left out here, each with its place, for whoever wants to know.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        self.values
            .all()
            .filter(|(keyword, ..)| keyword.standing() == Standing::Noted)
            .map(|(keyword, place, _)| format!("{place}: {} is ignored", keyword.name()))
    }

    /// Where a keyword got its value.
    #[must_use]
    pub fn place(&self, keyword: Keyword) -> Option<&Place> {
        self.values.one(keyword).map(|(place, _)| place)
    }
}

/// The text of a keyword, with what it comes to.
fn one<T>(
    values: &Values,
    keyword: Keyword,
    meaning: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, ConfigError> {
    match values.one(keyword) {
        Some((place, Value::Text(text))) => {
            meaning(text).map(Some).map_err(|error| ConfigError::new(place, error))
        }
        _ => Ok(None),
    }
}

/// A command of this machine's shell; `none` is none.
fn command(text: &str, allowed: &str, tokens: &Tokens<'_>) -> Result<Option<String>, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    tokens.command(text, allowed).map(Some)
}

/// The paths of a keyword whose lines add up; `none` is none.
fn paths(values: &Values, keyword: Keyword, tokens: &Tokens<'_>) -> Result<Vec<String>, ConfigError> {
    let mut paths = Vec::new();
    for (place, value) in values.of(keyword) {
        if let Value::Text(text) = value
            && !text.eq_ignore_ascii_case("none")
        {
            paths.push(tokens.path(text).map_err(|error| ConfigError::new(place, error))?);
        }
    }
    Ok(paths)
}

/// The paths of a keyword that takes several on its one line.
fn lists(values: &Values, keyword: Keyword, tokens: &Tokens<'_>) -> Result<Option<Vec<String>>, ConfigError> {
    let Some((place, Value::List(list))) = values.one(keyword) else { return Ok(None) };
    let named = list.iter().filter(|text| !text.eq_ignore_ascii_case("none"));
    let paths: Result<Vec<_>, _> = named.map(|text| tokens.path(text)).collect();
    paths.map(Some).map_err(|error| ConfigError::new(place, error))
}

/// `none`, `SSH_AUTH_SOCK`, `$NAME` or a path; for a forwarded one also `yes` and `no`.
fn agent(keyword: Keyword, text: &str, tokens: &Tokens<'_>) -> Result<AgentSocket, String> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if keyword == Keyword::FORWARD_AGENT {
        if is("yes") || is("true") {
            return Ok(AgentSocket::Environment);
        }
        if is("no") || is("false") {
            return Ok(AgentSocket::None);
        }
    } else if is("none") {
        return Ok(AgentSocket::None);
    }
    if text == "SSH_AUTH_SOCK" {
        return Ok(AgentSocket::Environment);
    }
    match text.strip_prefix('$') {
        Some(name) if !name.starts_with('{') => (tokens.local.env)(name)
            .map(AgentSocket::Path)
            .ok_or_else(|| format!("the variable {name} is not set")),
        _ => tokens.path(text).map(AgentSocket::Path),
    }
}

/// A jump with its tokens put in.
fn expanded(jump: &Jump, values: &Values, tokens: &Tokens<'_>) -> Result<Jump, ConfigError> {
    let put_in = |text: &str| {
        let place = values.one(Keyword::PROXY_JUMP).map(|(place, _)| place);
        tokens.percent(text, expand::JUMP).map_err(|error| match place {
            Some(place) => ConfigError::new(place, error),
            None => ConfigError::new(&Place { file: "-o".into(), line: 0 }, error),
        })
    };
    Ok(Jump {
        user: jump.user.as_deref().map(put_in).transpose()?,
        host: put_in(&jump.host)?,
        port: jump.port,
    })
}
