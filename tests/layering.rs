//! The layers of ARCHITECTURE.md, checked: arrows between modules point down, and what a layer must
//! not use is not named in it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Layer of each module, 0 the ground.
const LAYERS: [(&str, &[&str]); 4] = [
    ("ground", &["natmap", "target", "stats", "event", "fold", "script", "clean"]),
    ("io", &["azure", "net", "ssh", "term"]),
    ("app", &["fanout", "report", "lab"]),
    ("cli", &["cli"]),
];

/// Arrows between modules of one layer that are meant.
const SIDEWAYS: [(&str, &str); 1] = [("ssh", "net")];

/// What must not be named, by layer.
const FORBIDDEN: [(&str, &[&str]); 3] = [
    (
        "ground",
        &[
            "std::fs",
            "std::env",
            "std::process",
            "std::thread",
            "std::io",
            "Instant::now",
            "SystemTime",
            "tokio",
            "russh",
            "clap",
            "socket2",
            "async fn",
        ],
    ),
    ("io", &["clap", "comfy_table", "indicatif", "process::exit"]),
    ("app", &["clap", "process::exit", "stdout()", "stderr()", "std::env", "crossterm"]),
];

/// russh's API breaks with every minor version: only these know it.
const RUSSH: [&str; 2] = ["ssh", "lab"];

/// The environment and the process's own streams belong to these.
const ENVIRONMENT: [&str; 2] = ["cli", "term"];

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

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|(_, modules)| modules.contains(&module))
}

/// The code of a file without comments and without its test module.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    code.lines().map(|l| l.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The modules of the crate that a file names: `crate::x`, `crate::{x, y::Z}`.
fn modules_named(code: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut named = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(group) = rest.strip_prefix('{') {
            let (mut depth, mut start) = (0, true);
            for (at, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if start && c.is_alphanumeric() => {
                        named.insert(word(&group[at..]));
                        start = false;
                    }
                    _ => {}
                }
            }
        } else {
            named.insert(word(rest));
        }
    }
    named
}

#[test]
fn arrows_point_down_and_nothing_forbidden_is_named() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 20, "only {} files found under {}", files.len(), root.display());
    let mut wrong = Vec::new();
    for path in files {
        let relative = path.strip_prefix(&root).unwrap().with_extension("");
        let module = relative.components().next().unwrap().as_os_str().to_str().unwrap().to_owned();
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let shown = relative.display();
        let Some(layer) = layer_of(&module) else {
            wrong.push(format!("{shown}: module `{module}` is in no layer"));
            continue;
        };
        let code = code(&path);
        for other in modules_named(&code) {
            let sideways = SIDEWAYS.contains(&(&module, &other));
            match layer_of(&other) {
                Some(below) if below < layer || other == module || sideways => {}
                // The ground's modules are values of one another.
                Some(0) if layer == 0 => {}
                Some(_) => wrong.push(format!("{shown}: `{module}` must not use `{other}`")),
                None => wrong.push(format!("{shown}: `crate::{other}` is in no layer")),
            }
        }
        let name = LAYERS[layer].0;
        let forbidden = FORBIDDEN.iter().filter(|(l, _)| *l == name).flat_map(|(_, words)| *words);
        wrong.extend(
            forbidden.filter(|w| code.contains(**w)).map(|w| format!("{shown}: `{w}` in layer {name}")),
        );
        if code.contains("russh::") && !RUSSH.contains(&module.as_str()) {
            wrong.push(format!("{shown}: russh outside of {RUSSH:?}"));
        }
        if code.contains("env::var") && !ENVIRONMENT.contains(&module.as_str()) {
            wrong.push(format!("{shown}: environment outside of {ENVIRONMENT:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn grouped_imports_are_seen() {
    let named =
        modules_named("use crate::{event::{Exit, Stage}, natmap::InstanceId};\nuse crate::clean::clean;");
    assert_eq!(named.into_iter().collect::<Vec<_>>(), ["clean", "event", "natmap"]);
}
