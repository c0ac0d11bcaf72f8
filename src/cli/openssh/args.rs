//! The command line of ssh(1), read as that program reads it: letters with or without a value, before and once
//! behind the host, then the command.
//!
//! Nearly every letter is a configuration option under a shorter name, and becomes just that.

use std::{collections::VecDeque, ffi::OsString, path::PathBuf};

use thiserror::Error;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// `-V`: which program this is.
    Version,
    /// `-Q QUERY`: names of algorithms, one a line.
    Query(String),
    /// Anything else.
    Session(Box<Arguments>),
}

/// A command line that names a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arguments {
    /// The host as it was given, without user and port.
    pub(super) host: String,
    /// The command, to be joined with blanks; empty for the login shell.
    pub(super) command: Vec<OsString>,
    /// Configuration options, in the order in which they were given: the first of a kind counts.
    pub(super) settings: Vec<Setting>,
    /// `-F`: this configuration file, and no other.
    pub(super) config: Option<PathBuf>,
    /// `-E`: where messages go in place of standard error.
    pub(super) log: Option<PathBuf>,
    /// `-W`: standard input and output are joined to this address.
    pub(super) stdio_forward: Option<String>,
    /// What is done.
    pub(super) action: Action,
    /// How often `-v` was given.
    pub(super) verbosity: u8,
}

/// A configuration option that the command line sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Setting {
    /// A letter's: the option's name, and its value as it is, not quoted.
    Letter(&'static str, String),
    /// A line as in a configuration file (`-o`).
    Line(String),
}

/// What is done with the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// It is connected to.
    Connect,
    /// `-G`: the options that would be used are printed.
    PrintOptions,
}

/// Why a command line can't be read, or not be done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum ArgumentError {
    /// No host.
    #[error("no host is named")]
    NoHost,
    /// ssh(1) has no such letter either.
    #[error("unknown option -{0}")]
    Unknown(char),
    /// A letter without its value.
    #[error("option -{0} needs a value")]
    NoValue(char),
    /// A value that is not UTF-8.
    #[error("the value of -{0} is not UTF-8")]
    NotText(char),
    /// ssh(1) has it, and vmssh does not.
    #[error("option -{0} is not supported: {1}")]
    Unsupported(char, &'static str),
    /// A host that can't be one.
    #[error("\"{0}\" is no host")]
    NoHostName(String),
}

/// Letters that take a value (ssh(1), SYNOPSIS).
const WITH_VALUE: &str = "BbcDEeFIiJLlmOopPQRSWw";

/// What a letter without a value means as a configuration option.
fn flag(letter: char) -> Option<(&'static str, &'static str)> {
    Some(match letter {
        '4' => ("AddressFamily", "inet"),
        '6' => ("AddressFamily", "inet6"),
        'A' => ("ForwardAgent", "yes"),
        'a' => ("ForwardAgent", "no"),
        'C' => ("Compression", "yes"),
        'g' => ("GatewayPorts", "yes"),
        'f' => ("ForkAfterAuthentication", "yes"),
        'k' => ("GSSAPIDelegateCredentials", "no"),
        'N' => ("SessionType", "none"),
        'n' => ("StdinNull", "yes"),
        'q' => ("LogLevel", "QUIET"),
        's' => ("SessionType", "subsystem"),
        'T' => ("RequestTTY", "no"),
        'x' => ("ForwardX11", "no"),
        _ => return None,
    })
}

/// What a letter with a value means as a configuration option.
fn option(letter: char) -> Option<&'static str> {
    Some(match letter {
        'B' => "BindInterface",
        'b' => "BindAddress",
        'c' => "Ciphers",
        'D' => "DynamicForward",
        'e' => "EscapeChar",
        'i' => "IdentityFile",
        'J' => "ProxyJump",
        'L' => "LocalForward",
        'l' => "User",
        'm' => "MACs",
        'P' => "Tag",
        'p' => "Port",
        'R' => "RemoteForward",
        'S' => "ControlPath",
        _ => return None,
    })
}

/// Why a letter of ssh(1) is not there.
fn unsupported(letter: char) -> Option<&'static str> {
    Some(match letter {
        'I' => "keys on a token are used through an agent: `ssh-add -s PROVIDER`",
        'K' => "there is no Kerberos",
        'M' | 'O' => "there are no shared connections of several processes",
        'w' => "there are no network tunnels",
        'X' | 'Y' => "X11 is not forwarded",
        'y' => "there is no system log: use -E FILE",
        _ => return None,
    })
}

/// Reads a command line, without the program's name.
///
/// # Errors
/// Where ssh(1) would not take it, or takes what vmssh does not do.
pub(super) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Wish, ArgumentError> {
    let mut reader = Reader { words: words.into_iter().collect::<Vec<_>>().into(), ..Reader::default() };
    let mut host = None;
    loop {
        if let Some(wish) = reader.letters()? {
            return Ok(wish);
        }
        // Letters may stand behind the host as well; what follows those is the command.
        if host.is_some() {
            break;
        }
        let Some(word) = reader.words.pop_front() else { break };
        let word =
            word.into_string().map_err(|word| ArgumentError::NoHostName(word.to_string_lossy().into()))?;
        host = Some(reader.host(&word)?);
    }
    Ok(Wish::Session(Box::new(reader.finish(host.ok_or(ArgumentError::NoHost)?))))
}

#[derive(Default)]
struct Reader {
    words: VecDeque<OsString>,
    settings: Vec<Setting>,
    config: Option<PathBuf>,
    log: Option<PathBuf>,
    stdio_forward: Option<String>,
    prints: bool,
    terminals: u8,
    verbosity: u8,
}

impl Reader {
    /// Reads words of letters until there is another one, or `--`.
    fn letters(&mut self) -> Result<Option<Wish>, ArgumentError> {
        while let Some(word) = self.words.front() {
            // What is no text is no letters either.
            let Some(letters) = word.to_str().and_then(|word| word.strip_prefix('-')) else {
                return Ok(None);
            };
            if letters.is_empty() {
                return Ok(None);
            }
            let letters = letters.to_owned();
            self.words.pop_front();
            if letters == "-" {
                return Ok(None);
            }
            if let Some(wish) = self.word(&letters)? {
                return Ok(Some(wish));
            }
        }
        Ok(None)
    }

    /// Reads one word of letters, of which the last may have its value behind it.
    fn word(&mut self, word: &str) -> Result<Option<Wish>, ArgumentError> {
        let mut letters = word.chars();
        while let Some(letter) = letters.next() {
            if WITH_VALUE.contains(letter) {
                let value = match letters.as_str() {
                    "" => self.words.pop_front().ok_or(ArgumentError::NoValue(letter))?,
                    rest => rest.into(),
                };
                return self.value(letter, value);
            }
            if letter == 'V' {
                return Ok(Some(Wish::Version));
            }
            self.letter(letter)?;
        }
        Ok(None)
    }

    fn letter(&mut self, letter: char) -> Result<(), ArgumentError> {
        match letter {
            'G' => self.prints = true,
            't' => self.terminals = self.terminals.saturating_add(1),
            'v' => self.verbosity = self.verbosity.saturating_add(1),
            letter => match (flag(letter), unsupported(letter)) {
                (Some((name, value)), _) => self.settings.push(Setting::Letter(name, value.into())),
                (None, Some(why)) => return Err(ArgumentError::Unsupported(letter, why)),
                (None, None) => return Err(ArgumentError::Unknown(letter)),
            },
        }
        Ok(())
    }

    fn value(&mut self, letter: char, value: OsString) -> Result<Option<Wish>, ArgumentError> {
        match letter {
            'F' => self.config = Some(value.into()),
            'E' => self.log = Some(value.into()),
            letter => {
                let value = value.into_string().map_err(|_| ArgumentError::NotText(letter))?;
                match (letter, option(letter), unsupported(letter)) {
                    ('Q', ..) => return Ok(Some(Wish::Query(value))),
                    ('W', ..) => self.stdio_forward = Some(value),
                    ('o', ..) => self.settings.push(Setting::Line(value)),
                    (_, Some(name), _) => self.settings.push(Setting::Letter(name, value)),
                    (_, None, Some(why)) => return Err(ArgumentError::Unsupported(letter, why)),
                    (_, None, None) => return Err(ArgumentError::Unknown(letter)),
                }
            }
        }
        Ok(None)
    }

    /// The host's name. A user and a port beside it count from here on: what stands before it comes first.
    fn host(&mut self, host: &str) -> Result<String, ArgumentError> {
        let Address { user, host, port } = Address::parse(host)?;
        let mut set = |name, value| self.settings.push(Setting::Letter(name, value));
        user.into_iter().for_each(|user| set("User", user));
        port.into_iter().for_each(|port| set("Port", port));
        Ok(host)
    }

    fn finish(mut self, host: String) -> Arguments {
        let mut set = |name, value: &str| self.settings.push(Setting::Letter(name, value.into()));
        match self.terminals {
            0 => {}
            1 => set("RequestTTY", "yes"),
            _ => set("RequestTTY", "force"),
        }
        if self.stdio_forward.is_some() {
            set("ExitOnForwardFailure", "yes");
            set("ClearAllForwardings", "yes");
        }
        Arguments {
            host,
            command: self.words.into(),
            settings: self.settings,
            config: self.config,
            log: self.log,
            stdio_forward: self.stdio_forward,
            action: if self.prints { Action::PrintOptions } else { Action::Connect },
            verbosity: self.verbosity,
        }
    }
}

/// Where to go: `[USER@]HOST` or `ssh://[USER@]HOST[:PORT]`.
struct Address {
    user: Option<String>,
    host: String,
    port: Option<String>,
}

impl Address {
    fn parse(text: &str) -> Result<Self, ArgumentError> {
        let wrong = || ArgumentError::NoHostName(text.into());
        let uri = text.strip_prefix("ssh://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
        // A user may have an @ of its own.
        let (user, rest) = match uri.unwrap_or(text).rsplit_once('@') {
            Some((user, rest)) if !user.is_empty() => (Some(user.to_owned()), rest),
            Some(_) => return Err(wrong()),
            None => (None, uri.unwrap_or(text)),
        };
        let (host, port) = if uri.is_none() {
            (rest, None)
        } else if let Some(rest) = rest.strip_prefix('[') {
            let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
            (host, port.strip_prefix(':'))
        } else {
            rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)))
        };
        // What begins with a dash would be an option to whoever gets it next.
        if host.is_empty() || host.starts_with('-') || user.as_ref().is_some_and(|user| user.starts_with('-'))
        {
            return Err(wrong());
        }
        // In a URI whatever is special is written as its code (RFC 3986 section 2.1).
        let user = if uri.is_some() { user.map(|user| decoded(&user)) } else { user };
        Ok(Self { user, host: host.into(), port: port.filter(|port| !port.is_empty()).map(Into::into) })
    }
}

/// The text with its `%41` read as `A`.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(line: &str) -> Arguments {
        match parse(line.split_whitespace().map(OsString::from)) {
            Ok(Wish::Session(arguments)) => *arguments,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn settings(arguments: &Arguments) -> Vec<String> {
        let text = |setting: &Setting| match setting {
            Setting::Letter(name, value) => format!("{name} {value}"),
            Setting::Line(line) => line.clone(),
        };
        arguments.settings.iter().map(text).collect()
    }

    fn error(line: &str) -> String {
        parse(line.split_whitespace().map(OsString::from)).unwrap_err().to_string()
    }

    #[test]
    fn letters_stand_before_and_behind_the_host_and_then_comes_the_command() {
        let arguments = session("-4p2222 -i key -o Foo=bar -A me@web -N -l you ls -l -- x");
        assert_eq!(arguments.host, "web");
        assert_eq!(arguments.command, ["ls", "-l", "--", "x"]);
        assert_eq!(
            settings(&arguments),
            [
                "AddressFamily inet",
                "Port 2222",
                "IdentityFile key",
                "Foo=bar",
                "ForwardAgent yes",
                "User me",
                "SessionType none",
                "User you"
            ]
        );
    }

    #[test]
    fn a_dash_dash_ends_the_letters() {
        assert_eq!(session("-v web -- -x").command, ["-x"]);
        assert_eq!(session("-- web -v").verbosity, 1);
        assert_eq!(session("-tt -vvv web").verbosity, 3);
        assert_eq!(settings(&session("-tt web")), ["RequestTTY force"]);
        assert_eq!(settings(&session("-t web")), ["RequestTTY yes"]);
    }

    #[test]
    fn hosts_are_names_or_uris() {
        let of = |line: &str| {
            let arguments = session(line);
            (arguments.host.clone(), settings(&arguments).join(", "))
        };
        assert_eq!(of("a@b@web"), ("web".into(), "User a@b".into()));
        assert_eq!(of("ssh://me@web:22/"), ("web".into(), "User me, Port 22".into()));
        assert_eq!(of("ssh://[::1]:22"), ("::1".into(), "Port 22".into()));
        assert_eq!(of("ssh://a%40b@web"), ("web".into(), "User a@b".into()));
        assert_eq!(of("::1"), ("::1".into(), String::new()));
        assert_eq!(error("@web"), "\"@web\" is no host");
        assert_eq!(error("me@-oProxyCommand=x"), "\"me@-oProxyCommand=x\" is no host");
        assert_eq!(error(""), "no host is named");
    }

    #[test]
    fn what_is_not_there_is_refused_by_name() {
        assert_eq!(error("-X web"), "option -X is not supported: X11 is not forwarded");
        assert_eq!(error("-w 0 web"), "option -w is not supported: there are no network tunnels");
        assert_eq!(error("-Z web"), "unknown option -Z");
        assert_eq!(error("web -p"), "option -p needs a value");
    }

    #[test]
    fn questions_need_no_host() {
        assert_eq!(parse(["-V".into()]), Ok(Wish::Version));
        assert_eq!(parse(["-Q".into(), "kex".into()]), Ok(Wish::Query("kex".into())));
        assert_eq!(session("-F none -E log -W h:1 -G web").action, Action::PrintOptions);
        assert_eq!(session("-F none -E log -W h:1 web").stdio_forward.as_deref(), Some("h:1"));
    }
}
