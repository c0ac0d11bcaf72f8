//! `Host` and `Match`: when a block is in force.

use std::borrow::Cow;

use super::lex;
use crate::pattern;

/// What a block begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    Host(Vec<String>),
    Match(Vec<Criterion>),
}

/// A criterion of a `Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Criterion {
    pub(super) negated: bool,
    pub(super) test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    All,
    /// `final`, and `canonical`, which holds in the same pass.
    Final {
        asks_for_it: bool,
    },
    Host(String),
    OriginalHost(String),
    User(String),
    LocalUser(String),
    Tagged(String),
    /// What can't be told here, by its name.
    Unknowable(String),
}

/// Whom a block is compared with.
pub(super) struct Subject<'a> {
    /// The names as they were typed or are known: a block for one of them is in force.
    pub(super) originals: &'a [Cow<'a, str>],
    /// The same after `HostName`.
    pub(super) hosts: &'a [Cow<'a, str>],
    pub(super) user: &'a str,
    pub(super) local_user: &'a str,
    pub(super) tag: &'a str,
    pub(super) is_final: bool,
}

/// Whether a block is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Yes,
    No,
    /// It depends on this alone, which can't be told here.
    Depends(String),
}

impl Condition {
    pub(super) fn holds(&self, subject: &Subject<'_>) -> Verdict {
        match self {
            Self::Host(patterns) => {
                // In the last pass `HostName` has replaced what was typed.
                let names = if subject.is_final { subject.hosts } else { subject.originals };
                if block(patterns.iter().map(String::as_str), names) { Verdict::Yes } else { Verdict::No }
            }
            Self::Match(criteria) => {
                let mut open = None;
                for Criterion { negated, test } in criteria {
                    match test.holds(subject) {
                        Some(true) if *negated => return Verdict::No,
                        Some(false) if !*negated => return Verdict::No,
                        Some(_) => {}
                        None => open = open.or_else(|| test.name()),
                    }
                }
                open.map_or(Verdict::Yes, Verdict::Depends)
            }
        }
    }

    /// Whether the configuration must be gone through a second time.
    pub(super) fn asks_for_final(&self) -> bool {
        let Self::Match(criteria) = self else { return false };
        criteria.iter().any(|c| matches!(c.test, Test::Final { asks_for_it: true }))
    }

    /// Reads the arguments of `Host`.
    pub(super) fn host(rest: &str) -> Result<Self, String> {
        let patterns = lex::arguments(rest).ok_or("a quote behind Host is never closed")?;
        if patterns.is_empty() || patterns.iter().any(String::is_empty) {
            return Err("Host names no host".into());
        }
        Ok(Self::Host(patterns))
    }

    /// Reads the criteria of `Match`.
    pub(super) fn criteria(rest: &str) -> Result<Self, String> {
        let words = lex::arguments(rest).ok_or("a quote behind Match is never closed")?;
        let mut words = words.into_iter().peekable();
        let mut criteria: Vec<Criterion> = Vec::new();
        while let Some(word) = words.next() {
            let (word, negated) = match word.strip_prefix('!') {
                Some(word) => (word.to_owned(), true),
                None => (word, false),
            };
            // `host=NAME` is the same as `host NAME`.
            let (name, joined) = match word.split_once('=') {
                Some((name, value)) => (name.to_ascii_lowercase(), Some(value.to_owned())),
                None => (word.to_ascii_lowercase(), None),
            };
            let mut argument = || {
                let missing = || format!("Match {name} has no argument");
                joined.clone().or_else(|| words.next()).ok_or_else(missing)
            };
            let test = match name.as_str() {
                "all" => Test::All,
                "canonical" => Test::Final { asks_for_it: false },
                "final" => Test::Final { asks_for_it: true },
                "host" => Test::Host(argument()?),
                "originalhost" => Test::OriginalHost(argument()?),
                "user" => Test::User(argument()?),
                "localuser" => Test::LocalUser(argument()?),
                "tagged" => Test::Tagged(argument()?),
                "exec" | "localnetwork" | "version" | "sessiontype" | "command" => {
                    argument()?;
                    Test::Unknowable(name.clone())
                }
                _ => return Err(format!("there is no criterion `{word}` of Match")),
            };
            let alone = criteria.iter().all(|c| matches!(c.test, Test::Final { .. })) && criteria.len() < 2;
            if test == Test::All && (!alone || negated || words.peek().is_some()) {
                return Err("`all` stands alone, or behind canonical or final".into());
            }
            criteria.push(Criterion { negated, test });
        }
        if criteria.is_empty() {
            return Err("Match names no criterion".into());
        }
        Ok(Self::Match(criteria))
    }
}

impl Test {
    /// `None` where it can't be told.
    fn holds(&self, subject: &Subject<'_>) -> Option<bool> {
        let host = |list: &str, names: &[Cow<'_, str>]| block(list.split(','), names);
        Some(match self {
            Self::All => true,
            Self::Final { .. } => subject.is_final,
            Self::Host(list) => host(list, subject.hosts),
            Self::OriginalHost(list) => host(list, subject.originals),
            Self::User(list) => in_list(list, subject.user, pattern::matches_exactly),
            Self::LocalUser(list) => in_list(list, subject.local_user, pattern::matches_exactly),
            Self::Tagged(list) => in_list(list, subject.tag, pattern::matches_exactly),
            Self::Unknowable(_) => return None,
        })
    }

    fn name(&self) -> Option<String> {
        match self {
            Self::Unknowable(name) => Some(name.clone()),
            _ => None,
        }
    }
}

/// Patterns of a `Host` line: one must match, and none that is negated.
fn block<'a>(patterns: impl Iterator<Item = &'a str>, names: &[Cow<'_, str>]) -> bool {
    let is_there = |pattern: &str| names.iter().any(|name| pattern::matches(pattern, name));
    let mut found = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(negated) if is_there(negated) => return false,
            Some(_) => {}
            None => found |= is_there(pattern),
        }
    }
    found
}

/// Whether a name is in a list of patterns (ssh_config(5), PATTERNS).
pub(super) fn in_list(list: &str, name: &str, matches: fn(&str, &str) -> bool) -> bool {
    let mut found = false;
    for pattern in list.split(',') {
        match pattern.strip_prefix('!') {
            Some(negated) if matches(negated, name) => return false,
            Some(_) => {}
            None => found |= matches(pattern, name),
        }
    }
    found
}
