//! Values: what is written behind a keyword, read by what the keyword takes.

use super::{
    jump::Jump,
    keyword::{Keyword, Kind},
    lex,
};
use crate::forward::Forward;

/// A value that has been read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Value {
    /// One of a keyword's own words, in its own spelling.
    Word(&'static str),
    Number(u32),
    /// Seconds; `None` for `none`.
    Seconds(Option<u32>),
    Text(String),
    List(Vec<String>),
    Forward(Forward),
    Jumps(Vec<Jump>, String),
}

const FLAG: [(&str, &str); 4] = [("yes", "yes"), ("no", "no"), ("true", "yes"), ("false", "no")];

/// Reads what stands behind a keyword; says what is wrong with it.
pub(super) fn read(keyword: Keyword, rest: &str) -> Result<Value, String> {
    let name = keyword.name();
    if rest.is_empty() {
        return Err(format!("{name} has no value"));
    }
    let kind = keyword.kind();
    // What is a command belongs to a shell: quotes, backslashes and all.
    if kind == Kind::Rest {
        return Ok(Value::Text(rest.to_owned()));
    }
    let arguments = lex::arguments(rest).ok_or_else(|| format!("a quote behind {name} is never closed"))?;
    match kind {
        Kind::Forwards => {
            // Both halves may stand in one argument or in two (ssh_config(5), LocalForward).
            let text = arguments.join(":");
            let forward = match keyword {
                Keyword::LOCAL_FORWARD => Forward::local(&text),
                Keyword::REMOTE_FORWARD => Forward::remote(&text),
                _ => Forward::dynamic(&text),
            };
            forward.map(Value::Forward).map_err(|error| error.to_string())
        }
        Kind::List | Kind::Gathered if arguments.is_empty() => Err(format!("{name} has no value")),
        Kind::List if arguments.len() > 1 && arguments.iter().any(|a| a.eq_ignore_ascii_case("none")) => {
            Err(format!("{name} takes `none` alone"))
        }
        Kind::Gathered | Kind::List if matches!(keyword, Keyword::SEND_ENV | Keyword::SET_ENV) => {
            variables(keyword, arguments).map(Value::List)
        }
        Kind::Gathered | Kind::List => Ok(Value::List(arguments)),
        Kind::Any => Ok(Value::Text(arguments.join(" "))),
        _ => match <[String; 1]>::try_from(arguments) {
            Ok([one]) if !one.is_empty() => single(name, kind, one),
            Err(several) if several.len() > 1 => Err(format!("{name} takes one value, and there are more")),
            _ => Err(format!("{name} has no value")),
        },
    }
}

fn single(name: &str, kind: Kind, text: String) -> Result<Value, String> {
    let bad = |what: &str| format!("{name} takes {what}, not `{text}`");
    let word = |words: &[&'static str]| {
        words.iter().find(|word| word.eq_ignore_ascii_case(&text)).map(|word| Value::Word(word))
    };
    let flag = || {
        let found = FLAG.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text));
        found.map(|(_, meaning)| Value::Word(meaning))
    };
    match kind {
        Kind::Flag => flag().ok_or_else(|| bad("yes or no")),
        Kind::States(words) => {
            word(words).or_else(flag).ok_or_else(|| bad(&format!("yes, no, {}", words.join(", "))))
        }
        Kind::Words(words) => word(words).ok_or_else(|| bad(&words.join(", "))),
        Kind::Number => text.parse().map(Value::Number).map_err(|_| bad("a number")),
        Kind::Port => match text.parse::<u16>() {
            Ok(port) if port > 0 => Ok(Value::Number(port.into())),
            _ => Err(bad("a port")),
        },
        Kind::Time if text.eq_ignore_ascii_case("none") => Ok(Value::Seconds(None)),
        Kind::Time => {
            seconds(&text).map(|s| Value::Seconds(Some(s))).ok_or_else(|| bad("a time like 30 or 1m30s"))
        }
        Kind::Jumps => Jump::parse_list(&text).map(|jumps| Value::Jumps(jumps, text.clone())),
        Kind::Algorithms if text.trim_start_matches(['+', '-', '^']).is_empty() => {
            Err(bad("names with commas"))
        }
        _ => Ok(Value::Text(text)),
    }
}

/// A time as sshd_config(5) has it (TIME FORMATS): numbers with `s`, `m`, `h`, `d`, `w` or nothing behind them, added up.
fn seconds(text: &str) -> Option<u32> {
    let mut total: u32 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, behind) = rest.split_at_checked(digits)?;
        let number: u32 = number.parse().ok()?;
        let mut chars = behind.chars();
        let unit: u32 = match chars.next() {
            None | Some('s' | 'S') => 1,
            Some('m' | 'M') => 60,
            Some('h' | 'H') => 60 * 60,
            Some('d' | 'D') => 24 * 60 * 60,
            Some('w' | 'W') => 7 * 24 * 60 * 60,
            Some(_) => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = chars.as_str();
    }
    (!text.is_empty()).then_some(total)
}

fn variables(keyword: Keyword, arguments: Vec<String>) -> Result<Vec<String>, String> {
    let (name, set) = (keyword.name(), keyword == Keyword::SET_ENV);
    for argument in &arguments {
        let has_value = argument.split_once('=').is_some_and(|(name, _)| !name.is_empty());
        if set && !has_value {
            return Err(format!("{name} takes NAME=VALUE, not `{argument}`"));
        }
        if !set && argument.contains('=') {
            return Err(format!("{name} takes names without values, not `{argument}`"));
        }
    }
    Ok(arguments)
}
