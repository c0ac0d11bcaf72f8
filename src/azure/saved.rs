//! Saved documents: files, folders and streams of JSON that `az` printed, or that `map --save` wrote.
//!
//! What each document is, [`wire`] sees from its shape. One that is no JSON is an error, as what it was to
//! tell would be missing in silence; one of an unknown shape among others is named in the map's findings.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde_json::Value;
use thiserror::Error;

use super::wire::{self, Read, WireError};
use crate::resource::{Resources, UnknownDocument};

/// A thousand instances with their views are about 10 MB of JSON; more than this is no az output,
/// and reading `/dev/zero` has to end.
const MOST_BYTES: u64 = 64 << 20;

/// One scale set makes a dozen documents, one mapping a file at worst a thousand.
const MOST_FILES: usize = 2_000;

/// Why saved documents can't be used.
#[derive(Debug, Error)]
#[error("{name}: {problem}")]
pub struct SavedError {
    /// The file, or `standard input`, with the document's place where there are several.
    pub name: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a saved document.
#[derive(Debug, Error)]
pub enum Problem {
    /// The file can't be read.
    #[error("can't read the document: {0}")]
    Read(io::Error),
    /// A folder has no documents.
    #[error("there is no .json file in this folder")]
    EmptyFolder,
    /// A folder has more files than a scale set makes.
    #[error("there are more than {MOST_FILES} .json files in this folder")]
    TooMany,
    /// There is nothing in it: az failed and the shell made the file all the same.
    #[error("the document is empty")]
    Empty,
    /// It is too long to be an az output.
    #[error("the document is longer than {} MiB", MOST_BYTES >> 20)]
    TooLong,
    /// It is no text.
    #[error("the document is not UTF-8 or UTF-16 text")]
    NotText,
    /// It is no JSON.
    #[error("the document is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// It is JSON of a shape that is not known here; what it looks like.
    #[error("the document is not one that vmssh reads: {0}")]
    Unknown(String),
    /// The shape is known, but a value is wrong.
    #[error(transparent)]
    Value(WireError),
}

/// Reads a file, or all `.json` files of a folder in the order of their names.
///
/// # Errors
/// When something can't be read, is no JSON or contradicts its own shape, or when nothing is known.
pub fn read_path(path: &Path) -> Result<Resources, SavedError> {
    let name = path.display().to_string();
    let error = |problem| SavedError { name: name.clone(), problem };
    if !path.is_dir() {
        let file = File::open(path).map_err(|e| error(Problem::Read(e)))?;
        return read(file, &name);
    }
    let files = files_of(path).map_err(error)?;
    let mut documents = Vec::new();
    for file in files {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let failed = |problem| SavedError { name: file.display().to_string(), problem };
        let opened = File::open(&file).map_err(|e| failed(Problem::Read(e)))?;
        documents.extend(documents_of(opened, &name).map_err(|mut error| {
            error.name = path.join(&error.name).display().to_string();
            error
        })?);
    }
    join(documents, &name)
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Problem::Read)? {
        let path = entry.map_err(Problem::Read)?.path();
        let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        if is_json && path.is_file() {
            files.push(path);
        }
        if files.len() > MOST_FILES {
            return Err(Problem::TooMany);
        }
    }
    files.sort();
    if files.is_empty() { Err(Problem::EmptyFolder) } else { Ok(files) }
}

/// Reads a stream of one or more documents to its end; `name` is for messages.
///
/// # Errors
/// As [`read_path`].
pub fn read(stream: impl io::Read, name: &str) -> Result<Resources, SavedError> {
    join(documents_of(stream, name)?, name)
}

/// A document with its name.
type Named = (String, Read);

fn documents_of(stream: impl io::Read, name: &str) -> Result<Vec<Named>, SavedError> {
    let error = |problem| SavedError { name: name.to_owned(), problem };
    let mut bytes = Vec::new();
    stream.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|e| error(Problem::Read(e)))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(error(Problem::TooLong));
    }
    let text = decode(bytes).ok_or_else(|| error(Problem::NotText))?;
    if text.trim().is_empty() {
        return Err(error(Problem::Empty));
    }
    let values = serde_json::Deserializer::from_str(&text)
        .into_iter::<Value>()
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| error(Problem::NotJson(e)))?;
    let several = values.len() > 1;
    let read = |(place, value): (usize, &Value)| {
        let name = if several { format!("{name}, document {}", place + 1) } else { name.to_owned() };
        match wire::read(value) {
            Ok(read) => Ok((name, read)),
            Err(wrong) => Err(SavedError { name, problem: Problem::Value(wrong) }),
        }
    };
    values.iter().enumerate().map(read).collect()
}

fn join(documents: Vec<Named>, name: &str) -> Result<Resources, SavedError> {
    let mut resources = Resources::default();
    let mut first_unknown = None;
    for (name, read) in documents {
        match read {
            Read::Resources(more) => resources.merge(*more),
            Read::Unknown(looks_like) => {
                first_unknown.get_or_insert_with(|| looks_like.clone());
                if looks_like == wire::EMPTY_LIST {
                    resources.empty.push(name);
                } else {
                    resources.unknown.push(UnknownDocument { name, looks_like });
                }
            }
        }
    }
    match first_unknown {
        Some(looks_like) if resources.is_empty() => {
            Err(SavedError { name: name.to_owned(), problem: Problem::Unknown(looks_like) })
        }
        _ => Ok(resources),
    }
}

/// UTF-8, or UTF-16 with a byte order mark (what `>` writes in Windows PowerShell).
fn decode(bytes: Vec<u8>) -> Option<String> {
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, odd) = rest.as_chunks::<2>();
        odd.is_empty()
            .then(|| String::from_utf16(&pairs.iter().map(|p| unit(*p)).collect::<Vec<_>>()).ok())?
    };
    match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes).ok(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &[u8]) -> Result<Resources, SavedError> {
        read(text, "x.json")
    }

    fn error(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn connection_info_is_read_as_az_prints_it() {
        let text = r#"{"instance 0": "20.71.10.4:50000", "instance web_0e": "2603:1030::1a:50001", "instance 2": "None:50002"}"#;
        let lines: Vec<_> = parse(text.as_bytes()).unwrap().connection_info.unwrap();
        let lines: Vec<_> = lines
            .iter()
            .map(|l| (l.instance.as_str(), l.address.as_ref().map(ToString::to_string), l.port.get()))
            .collect();
        assert_eq!(
            lines,
            [
                ("0", Some("20.71.10.4".into()), 50000),
                ("web_0e", Some("2603:1030::1a".into()), 50001),
                ("2", None, 50002),
            ]
        );
    }

    #[test]
    fn utf_16_with_a_mark_is_read() {
        let mut bytes = vec![0xff, 0xfe];
        bytes.extend("{\"instance 0\": \"20.1.2.3:50000\"}".encode_utf16().flat_map(u16::to_le_bytes));
        assert_eq!(parse(&bytes).unwrap().connection_info.unwrap().len(), 1);
    }

    #[test]
    fn a_stream_may_have_several_documents() {
        let text = r#"{"instance 0": "20.1.2.3:50000"} [] {"hello": 1}
            {"name":"ssh","backendPort":"22","frontendPortRangeStart":"50000","frontendPortRangeEnd":50119}"#;
        let resources = parse(text.as_bytes()).unwrap();
        assert_eq!(resources.load_balancers[0].nat_pools[0].end.get(), 50119);
        assert_eq!(resources.empty, ["x.json, document 2"]);
        assert_eq!(resources.unknown[0].name, "x.json, document 3");
        assert_eq!(resources.unknown[0].looks_like, "an object with \"hello\"");
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(error(" \n"), "x.json: the document is empty");
        assert!(error("<html>").starts_with("x.json: the document is not JSON: expected value at line 1"));
        assert_eq!(error("[]"), "x.json: the document is not one that vmssh reads: an empty list");
        assert_eq!(
            error(r#"{"type":"Microsoft.Network/loadBalancers","name":"lb"}"#),
            "x.json: the document is not one that vmssh reads: it says that it is a Microsoft.Network/loadBalancers"
        );
        assert_eq!(
            error(r#"{"instance 0": "20.1.2.3"}"#),
            "x.json: \"instance 0\": \"20.1.2.3\" is not ADDRESS:PORT"
        );
        assert_eq!(
            error(r#"{"instance 0": 7}"#),
            "x.json: \"instance 0\": its value is not a text \"ADDRESS:PORT\""
        );
        assert!(error(r#"{"instance 0": "20.1.2.3:70000"}"#).contains("\"70000\" is not a port"));
        let backwards =
            r#"{"name":"r","backendPort":22,"frontendPortRangeStart":3,"frontendPortRangeEnd":2}"#;
        assert_eq!(error(backwards), "x.json: frontendPortRangeEnd: the range 3-2 ends before it starts");
        let deep = r#"{"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/loadBalancers/lb","name":"lb",
            "inboundNatRules":[{"id":"x","frontendPort":70000}]}"#;
        assert_eq!(
            error(deep),
            "x.json: lb.inboundNatRules[0].frontendPort: \"70000\" is not a port: a port is a number from 1 to 65535"
        );
        let cut = deep.replace(r#"[{"id":"x","frontendPort":70000}]"#, r#""System.Object[]""#);
        assert!(error(&cut).contains("ConvertTo-Json -Depth 20"));
        assert!(matches!(parse(&[0xc3, 0x28]).unwrap_err().problem, Problem::NotText));
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
