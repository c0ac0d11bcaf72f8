//! The layers of ARCHITECTURE.md, checked: arrows between modules point down, and what a module must
//! not use is not named in it. Paths are read as the compiler reads them: groups, `as`, `self`, `super`
//! and names that an import of the same file brought in are followed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

const GROUND: &[&str] = &[
    "natmap",
    "resource",
    "resolver",
    "target",
    "stats",
    "merge",
    "event",
    "fold",
    "forward",
    "script",
    "clean",
    "pattern",
    "console",
    "openssh_config",
    "copy",
];

/// The layers' modules, the ground first.
const LAYERS: [&[&str]; 4] =
    [GROUND, &["azure", "net", "serve", "ssh", "term", "tree"], &["fanout", "report", "lab"], &["cli"]];

/// Arrows between modules of one layer that are meant.
const SIDEWAYS: [(&str, &str); 1] = [("ssh", "net")];

/// Arrows down that are not meant. The lab is the other side of what these do: a mistake in something
/// shared would not show.
const NOT_DOWN: [(&str, &[&str]); 1] = [("lab", LAYERS[1])];

/// The ground: no io, no clock, no async. Paths of the standard library and crates.
const NOT_IN_GROUND: &[&str] = &[
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::io",
    "std::os",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::time::Instant",
    "std::time::SystemTime",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "directories",
    "futures_util",
    "libc",
    "mio",
    "rand",
    "rlimit",
    "rustix",
    "tempfile",
    "tokio",
    "tokio_util",
    "tracing",
];

/// What only some modules may use; a path with `/` is one file.
const ONLY: &[(&str, &[&str])] = &[
    // The process's own environment, streams and end.
    ("std::env", &["cli", "term"]),
    ("std::io::stdin", &["cli", "term"]),
    ("std::io::stdout", &["cli", "term"]),
    ("std::io::stderr", &["cli", "term"]),
    ("std::process::exit", &["cli"]),
    ("std::process::abort", &[]),
    ("clap", &["cli"]),
    ("rpassword", &["cli"]),
    ("glob", &["cli"]),
    ("directories", &["cli"]),
    ("tracing_subscriber", &["cli"]),
    ("crossterm", &["term"]),
    ("tokio::signal", &["cli", "term"]),
    // Starting processes: nobody shells out but the lab, whose instances run commands, and where the user names a
    // program: in place of a connection, or to ask for passwords.
    ("std::process::Command", &["lab", "cli/askpass"]),
    ("tokio::process", &["lab", "net", "cli/session"]),
    ("pty_process", &["lab"]),
    // Folders that no path leads out of.
    ("cap_std", &["lab"]),
    // Files: documents, open descriptors, host keys and identities, the terminal, spooled output, the
    // lab's folder.
    ("std::fs", &["cli", "azure", "net", "ssh", "term", "tree", "report", "lab"]),
    ("tempfile", &["cli", "azure", "ssh", "report", "lab"]),
    // The network.
    ("std::net::TcpStream", &["net", "lab"]),
    ("std::net::TcpListener", &["net", "lab"]),
    ("std::net::UdpSocket", &["net"]),
    ("tokio::net", &["net", "serve", "ssh", "lab"]),
    ("socket2", &["net", "ssh", "lab"]),
    ("mio", &["net"]),
    ("hickory_resolver", &["net"]),
    // HTTP, and Microsoft's crates with their own idea of an environment.
    ("reqwest", &["azure"]),
    ("azure_core", &["azure"]),
    ("azure_identity", &["azure"]),
    // russh's API breaks with every minor version.
    ("russh", &["ssh", "lab"]),
    // The lab's Azure is an HTTP server, and metrics are served by one.
    ("hyper", &["lab", "serve"]),
    ("hyper_util", &["lab", "serve"]),
    ("http_body_util", &["lab", "serve"]),
    // What people see is made in one place.
    ("indicatif", &["report", "cli"]),
    ("csv", &["report"]),
    ("maud", &["report"]),
    // When a run was, and a key filed; what time it is, only where the person or the file is.
    ("jiff", &["merge", "report", "ssh", "cli"]),
    ("jiff::Timestamp::now", &["ssh", "cli"]),
    ("jiff::Zoned::now", &["cli"]),
    ("ratatui", &["report"]),
    ("unicode_width", &["report"]),
];

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    /// `::`
    Sep,
    Open,
    Close,
    Comma,
    Star,
    Other,
}

fn tokens(code: &str) -> Vec<Token> {
    let mut rest = code;
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let length = match first {
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            c => c.len_utf8(),
        };
        let (token, behind) = rest.split_at(length);
        match token {
            "::" => tokens.push(Token::Sep),
            "{" => tokens.push(Token::Open),
            "}" => tokens.push(Token::Close),
            "," => tokens.push(Token::Comma),
            "*" => tokens.push(Token::Star),
            _ if is_word(first) => tokens.push(Token::Word(token.into())),
            _ if first.is_whitespace() => {}
            _ => tokens.push(Token::Other),
        }
        rest = behind;
    }
    tokens
}

/// A path that code names, and what it is called from there on if an import says so.
#[derive(Debug)]
struct Named {
    path: Vec<String>,
    called: Option<String>,
}

/// Reads `a::{b, c::d as e}` from `at`; gives where it ends.
fn read(tokens: &[Token], mut at: usize, path: &[String], imported: bool, found: &mut Vec<Named>) -> usize {
    let mut path = path.to_vec();
    loop {
        match tokens.get(at) {
            Some(Token::Word(word)) => {
                // `a::{self}` is `a`.
                if word != "self" || path.is_empty() {
                    path.push(word.clone());
                }
                at += 1;
            }
            Some(Token::Star) => {
                found.push(Named { path: [path, vec!["*".into()]].concat(), called: None });
                return at + 1;
            }
            Some(Token::Open) => {
                at += 1;
                while !matches!(tokens.get(at), Some(Token::Close) | None) {
                    let end = read(tokens, at, &path, imported, found);
                    // What is no path (code that only looks like one) is stepped over.
                    at = end.max(at + 1);
                    at += usize::from(tokens.get(at) == Some(&Token::Comma));
                }
                return at + 1;
            }
            _ => break,
        }
        if tokens.get(at) != Some(&Token::Sep) {
            break;
        }
        at += 1;
    }
    let called = match (tokens.get(at), tokens.get(at + 1)) {
        (Some(Token::Word(word)), Some(Token::Word(name))) if word == "as" => {
            at += 2;
            Some(name.clone())
        }
        _ => path.last().cloned(),
    };
    if !path.is_empty() {
        found.push(Named { path, called: called.filter(|_| imported) });
    }
    at
}

/// All paths of a file, from the crate's or a library's root on. `module` is the file's own path.
fn paths(code: &str, module: &[&str]) -> Vec<Vec<String>> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let before = |n: usize| at.checked_sub(n).map(|at| &tokens[at]);
        let is_use = |n: usize| before(n) == Some(&Token::Word("use".into()));
        let imported = is_use(1) || (before(1) == Some(&Token::Sep) && is_use(2));
        let is_path = imported || tokens.get(at + 1) == Some(&Token::Sep);
        at = match &tokens[at] {
            Token::Word(word) if is_path && word != "use" => read(&tokens, at, &[], imported, &mut found),
            _ => at + 1,
        };
    }
    let mut names = HashMap::new();
    let mut resolved = Vec::new();
    // Imports first: they may stand below what uses them.
    found.sort_by_key(|named| named.called.is_none());
    for Named { path, called } in found {
        let path = from_root(&path, module, &names);
        if let Some(called) = called {
            names.entry(called).or_insert_with(|| path.clone());
        }
        resolved.push(path);
    }
    resolved
}

fn from_root(path: &[String], module: &[&str], names: &HashMap<String, Vec<String>>) -> Vec<String> {
    let own = || ["crate"].iter().chain(module).map(ToString::to_string).collect::<Vec<_>>();
    let supers = path.iter().take_while(|word| *word == "super").count();
    let (mut start, behind) = match path[0].as_str() {
        "super" => {
            let mut own = own();
            own.truncate((own.len() - supers.min(own.len() - 1)).max(1));
            (own, supers)
        }
        "self" => (own(), 1),
        // `use a;` must not be looked up under its own name.
        name if path.len() > 1 && names.contains_key(name) => (names[name].clone(), 1),
        _ => (Vec::new(), 0),
    };
    start.extend(path[behind..].iter().cloned());
    start
}

/// Whether a path names something or what is in it, also among all that a `*` names.
fn is_in(path: &[String], forbidden: &str) -> bool {
    let path = path.join("::");
    let under =
        |path: &str, parent: &str| path.strip_prefix(parent).is_some_and(|rest| rest.starts_with("::"));
    path == forbidden
        || under(&path, forbidden)
        || path.strip_suffix("::*").is_some_and(|all| under(forbidden, all))
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// What is wrong with an arrow from a module to another, if anything is.
fn wrong_arrow(from: &str, to: &str) -> Option<String> {
    let (above, Some(below)) = (layer_of(from)?, layer_of(to)) else {
        return Some(format!("`crate::{to}` is in no layer"));
    };
    let sideways = above == below && (above == 0 || from == to || SIDEWAYS.contains(&(from, to)));
    let not_down = NOT_DOWN.iter().any(|(module, of)| *module == from && of.contains(&to));
    let good = sideways || (below < above && !not_down);
    (!good).then(|| format!("`{from}` must not use `{to}`"))
}

/// What is wrong with a file, whose own path is `module`.
fn wrong(code: &str, module: &[&str]) -> Vec<String> {
    let own = module[0];
    let Some(layer) = layer_of(own) else { return vec![format!("module `{own}` is in no layer")] };
    let file = module.join("/");
    let mut wrong = Vec::new();
    for path in paths(code, module) {
        if path[0] == "crate"
            && let Some(to) = path.get(1)
        {
            wrong.extend(wrong_arrow(own, to));
        }
        let not_in_ground = NOT_IN_GROUND.iter().filter(|_| layer == 0);
        let not_here = ONLY
            .iter()
            .filter(|(_, who)| !who.contains(&own) && !who.contains(&file.as_str()))
            .map(|(what, _)| what);
        if let Some(what) = not_in_ground.chain(not_here).find(|what| is_in(&path, what)) {
            wrong.push(format!("`{what}` has no place in `{own}`: {}", path.join("::")));
        }
    }
    let is_async = |token: &Token| matches!(token, Token::Word(word) if word == "async" || word == "await");
    if layer == 0 && tokens(code).iter().any(is_async) {
        wrong.push("the ground is not async".into());
    }
    wrong
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file without comments and without its test module.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("\nmod tests {").next().unwrap();
    code.lines().map(|l| l.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn arrows_point_down_and_nothing_forbidden_is_named() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 20, "only {} files found under {}", files.len(), root.display());
    let mut all = Vec::new();
    for path in files {
        let relative = path.strip_prefix(&root).unwrap().with_extension("");
        let module: Vec<_> = relative.iter().map(|part| part.to_str().unwrap()).collect();
        if ["lib", "main"].contains(&module[0]) || module.last() == Some(&"tests") {
            continue;
        }
        all.extend(wrong(&code(&path), &module).iter().map(|w| format!("{}: {w}", relative.display())));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn every_way_to_name_a_thing_is_seen() {
    let seen = |code: &str, module: &str| wrong(code, &module.split('/').collect::<Vec<_>>()).len();
    for (code, module, count) in [
        ("use std::{fs, io};", "natmap/document", 2),
        ("use std::{collections::HashMap, io::{self, Write as _}, net::IpAddr};", "stats", 2),
        ("use std::time::{Duration, Instant};", "event", 1),
        ("use ::std::fs;", "fold", 1),
        ("use std::*;", "fold", 1),
        ("fn f() { std::fs::read(p); }", "clean", 1),
        ("async fn f() {}", "script", 1),
        ("use russh;", "net/probe", 1),
        ("use russh as r;\nfn f() { r::keys::x(); }", "report", 2),
        ("use std::io;\nfn f() { io::stdout(); }", "report/table", 1),
        ("use std::{io as i};\nfn f() { i::stderr(); }", "fanout", 1),
        ("use std::io::*;", "report", 1),
        ("use std::process;\nfn f() { process::exit(1); }", "report/map", 1),
        ("use super::super::cli::Ui;", "net/probe", 1),
        ("use super::super::super::lab;", "net/probe/attempt", 1),
        ("use super::super::*;", "net/probe", 1),
        ("use super::fanout;\nuse self::x::y;", "net", 1),
        ("use crate::{event::{Exit, Stage}, lab::Lab, natmap::InstanceId};", "ssh/auth", 1),
        ("use crate::{ssh, net::{self, probe}};", "lab/server", 3),
        ("use std::process::Command;", "cli/prompt", 1),
        ("use crate as c;\nfn f() { c::report::x(); }", "ssh", 1),
    ] {
        assert_eq!(seen(code, module), count, "{code} in {module}");
    }
}

#[test]
fn what_is_meant_is_let_through() {
    for (code, module) in [
        ("use std::{fs, io, process::Stdio, thread};\nuse russh::server;", "lab/process"),
        ("use std::io::{self, Write};\nuse crate::event::Exit;", "report/exec"),
        ("use crate::{net::connect, natmap::Host};\nuse super::super::net::resolve;", "ssh/client"),
        ("use std::{fmt, net::IpAddr, time::Duration};\nuse crate::fold::Fold;", "stats/verdict"),
        ("mod a { use super::b; }\nfn f() { fs::x(); }", "net/probe"),
    ] {
        assert_eq!(wrong(code, &module.split('/').collect::<Vec<_>>()), [""; 0], "{code} in {module}");
    }
}
