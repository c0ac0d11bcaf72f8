//! Settings as `ssh -G` prints them.

use super::{
    keyword::{Keyword, Kind},
    settings::HostConfig,
    value::Value,
};
use crate::forward::{BindAddress, Forward, Listen, Place, To};

impl HostConfig {
    /// The values that something sets, as `ssh -G` prints them: a keyword in lower case and its value, paths and tokens
    /// as they are written.
    #[must_use]
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        for (keyword, _, value) in self.values.all() {
            match (keyword.kind(), value) {
                (Kind::Gathered, Value::List(list)) => {
                    lines.extend(list.iter().map(|one| (keyword.name(), one.clone())));
                }
                (Kind::List, Value::List(list)) if keyword == Keyword::SET_ENV => {
                    lines.extend(list.iter().map(|one| (keyword.name(), one.clone())));
                }
                (_, Value::Text(text)) if keyword == Keyword::HOST_KEY_ALIAS => {
                    lines.push((keyword.name(), text.to_ascii_lowercase()));
                }
                // A control character, in the notation of vis(3).
                (_, Value::Text(text)) if keyword == Keyword::ESCAPE_CHAR && text.len() == 2 => {
                    lines.push((keyword.name(), format!("\\{}", text.to_ascii_uppercase())));
                }
                (kind, value) => lines.push((keyword.name(), text(kind, value))),
            }
        }
        lines
    }
}

fn text(kind: Kind, value: &Value) -> String {
    match value {
        // What is more than yes or no is printed by the other names of the two.
        Value::Word("yes") if matches!(kind, Kind::States(_)) => "true".into(),
        Value::Word("no" | "off") if matches!(kind, Kind::States(_)) => "false".into(),
        Value::Word(word) => (*word).into(),
        Value::Number(number) => number.to_string(),
        Value::Seconds(seconds) => seconds.map_or_else(|| "none".into(), |seconds| seconds.to_string()),
        Value::Text(text) | Value::Jumps(_, text) => text.clone(),
        Value::List(list) => list.join(" "),
        Value::Forward(forward) => forward_text(forward),
    }
}

fn forward_text(forward: &Forward) -> String {
    let listen = match &forward.listen {
        Listen::Socket(path) => path.clone(),
        Listen::Port { at: BindAddress::Unsaid, port } => port.to_string(),
        Listen::Port { at: BindAddress::All, port } => format!("[*]:{port}"),
        Listen::Port { at: BindAddress::Given(address), port } => format!("[{address}]:{port}"),
    };
    match &forward.to {
        To::Socks => listen,
        To::Fixed(Place::Socket(path)) => format!("{listen} {path}"),
        To::Fixed(Place::Port { host, port }) => format!("{listen} [{host}]:{port}"),
    }
}
