//! What Azure really answered, from the recordings of azure-cli's tests (`tests/data/azure/recorded`).

use std::{fs, path::Path};

use serde_json::Value;

use crate::way::{Shown, try_map};

fn recorded(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/azure/recorded");
    serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()
}

fn map(names: &[&str]) -> Shown {
    let documents: Vec<_> = names.iter().map(|name| recorded(name)).collect();
    try_map(&documents, None).unwrap()
}
