//! What a configuration says about one host.

use std::borrow::Cow;

use super::{
    condition::{Condition, Subject, Verdict, in_list},
    error::{ConfigError, Place},
    expand::{self, Local, Tokens},
    keyword::{Keyword, Standing},
    parse::{Config, Line},
    settings::{HostConfig, Values},
    value::Value,
};
use crate::pattern;

/// What `HostName` and `Port` do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostNameUse {
    /// They say what is dialled, as in ssh(1).
    Dial,
    /// They are left out: what is dialled is known from elsewhere. A port of a NAT map is one instance's, and a
    /// block that leads to another address would lead to another machine under that instance's name.
    LeaveOut,
}

/// For whom a configuration is looked up.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'a> {
    /// What is dialled, as it was typed.
    pub host: &'a str,
    /// Other names of the same: an instance's own. A block is in force that names any of them, and the order of the
    /// file decides between blocks, as ever.
    pub other_names: &'a [&'a str],
    /// What `HostName` and `Port` do.
    pub host_name: HostNameUse,
    /// The user, where the command line says it.
    pub user: Option<&'a str>,
    /// The user where nothing says one.
    pub fallback_user: &'a str,
    /// The port, where it is known from elsewhere.
    pub port: Option<u16>,
    /// The tag of the command line (`-P` of ssh(1)).
    pub tag: Option<&'a str>,
    /// This machine and its user.
    pub local: Local<'a>,
}

impl Config {
    /// Looks a host up. Goes through the configuration once, or twice where it asks for that (`Match final`).
    ///
    /// # Errors
    /// When what is in force for this host can't be had: unknown keywords, tokens without a meaning, conditions that
    /// can't be told, and what is unsafe to leave out.
    pub fn lookup(&self, lookup: &Lookup<'_>) -> Result<HostConfig, ConfigError> {
        let mut pass = Pass { lookup, values: Values::default(), is_final: false };
        pass.run(&self.lines)?;
        if self.asks_for_final {
            pass.is_final = true;
            pass.run(&self.lines)?;
        }
        let Pass { values, .. } = pass;
        refuse(&values)?;
        HostConfig::new(values, lookup)
    }
}

struct Pass<'a> {
    lookup: &'a Lookup<'a>,
    values: Values,
    is_final: bool,
}

/// What blocks are compared with.
struct Names<'a> {
    originals: Vec<Cow<'a, str>>,
    hosts: Vec<Cow<'a, str>>,
}

impl<'a> Pass<'a> {
    fn run(&mut self, lines: &[Line]) -> Result<(), ConfigError> {
        let mut active = true;
        // What blocks are compared with stays the same from one to the next, until a line is in force.
        let mut names = None;
        // Whether the lines that include the present file are in force, outermost first.
        let mut around = Vec::new();
        for line in lines {
            match line {
                Line::Enter => around.push(active),
                Line::Leave => active = around.pop().unwrap_or(true),
                Line::End => active = true,
                // In a file that is included where nothing is in force, nothing is.
                Line::Block(..) if around.last() == Some(&false) => active = false,
                Line::Block(place, condition) => {
                    let names = match &mut names {
                        Some(names) => names,
                        none => none.insert(self.names(place)?),
                    };
                    active = match self.verdict(names, condition) {
                        Verdict::Yes => true,
                        Verdict::No => false,
                        Verdict::Depends(criterion) => return Err(untold(place, &criterion)),
                    };
                }
                Line::Unknown(place, keyword) if !self.ignores(keyword) => {
                    return Err(unknown(place, keyword));
                }
                Line::Set(place, keyword, value) if active => {
                    self.set(place, *keyword, value);
                    names = None;
                }
                Line::Set(..) | Line::Unknown(..) => {}
            }
        }
        Ok(())
    }

    fn names(&self, place: &Place) -> Result<Names<'a>, ConfigError> {
        let lookup = self.lookup;
        let name = self.values.text(Keyword::HOST_NAME).filter(|_| lookup.host_name == HostNameUse::Dial);
        let dialled = name.map(|name| host_name(name, lookup)).transpose();
        let dialled = dialled.map_err(|error| ConfigError::new(place, error))?;
        let others = || lookup.other_names.iter().map(|name| Cow::Borrowed(*name));
        let with_others = |host| std::iter::once(host).chain(others()).collect();
        let hosts = with_others(dialled.map_or(Cow::Borrowed(lookup.host), Cow::Owned));
        Ok(Names { originals: with_others(Cow::Borrowed(lookup.host)), hosts })
    }

    fn verdict(&self, names: &Names<'_>, condition: &Condition) -> Verdict {
        let lookup = self.lookup;
        let user = lookup.user.or_else(|| self.values.text(Keyword::USER)).unwrap_or(lookup.fallback_user);
        condition.holds(&Subject {
            originals: &names.originals,
            hosts: &names.hosts,
            user,
            local_user: lookup.local.user,
            tag: lookup.tag.or_else(|| self.values.text(Keyword::TAG)).unwrap_or_default(),
            is_final: self.is_final,
        })
    }

    fn set(&mut self, place: &Place, keyword: Keyword, value: &Value) {
        // Whichever of the two comes first keeps the other out.
        let rival = match keyword {
            Keyword::PROXY_JUMP => Some(Keyword::PROXY_COMMAND),
            Keyword::PROXY_COMMAND => Some(Keyword::PROXY_JUMP),
            _ => None,
        };
        if rival.is_none_or(|rival| !self.values.has(rival)) {
            self.values.add(place, keyword, value);
        }
    }

    fn ignores(&self, keyword: &str) -> bool {
        let list = self.values.text(Keyword::IGNORE_UNKNOWN);
        list.is_some_and(|list| in_list(list, keyword, pattern::matches))
    }
}

/// What `HostName` comes to.
pub(super) fn host_name(name: &str, lookup: &Lookup<'_>) -> Result<String, String> {
    let tokens = Tokens {
        local: &lookup.local,
        host: lookup.host,
        original: lookup.host,
        port: 0,
        user: "",
        alias: "",
        jumps: "",
    };
    tokens.percent(name, expand::HOST_NAME)
}

/// An error for what must not be left out.
fn refuse(values: &Values) -> Result<(), ConfigError> {
    for (keyword, place, value) in values.all() {
        let Standing::Refused(harmless, why) = keyword.standing() else { continue };
        let written = match value {
            Value::Text(text) => text.clone(),
            Value::Word(word) => (*word).to_owned(),
            Value::Number(number) => number.to_string(),
            Value::List(list) => list.join(" "),
            _ => String::new(),
        };
        if !harmless.iter().any(|word| word.eq_ignore_ascii_case(&written)) {
            let error = ConfigError::new(place, format!("{} is not supported: {why}", keyword.name()));
            return Err(error.hint(
                "set it otherwise for this host in a block before this one, or take another file: `-F FILE`, `-F none`",
            ));
        }
    }
    Ok(())
}

fn untold(place: &Place, criterion: &str) -> ConfigError {
    let why = if criterion == "exec" {
        "runs a command, and other programs are not started"
    } else {
        "can't be told here"
    };
    ConfigError::new(
        place,
        format!("whether this block is in force depends on `Match {criterion}`, which {why}"),
    )
    .hint("put other criteria beside it that leave this host out, or take another file: `-F FILE`, `-F none`")
}

fn unknown(place: &Place, keyword: &str) -> ConfigError {
    let known = Keyword::nearest(keyword);
    let error = ConfigError::new(place, format!("there is no keyword `{keyword}`"));
    match known {
        Some(name) => error.hint(format!("is {name} meant?")),
        None => error.hint(format!("let it pass with a line `IgnoreUnknown {keyword}` before it")),
    }
}
