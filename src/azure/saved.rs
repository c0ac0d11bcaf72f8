//! Saved documents: JSON that `az` printed, recognised by its shape.
//!
//! Nothing is guessed: a document of another shape is named and refused.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde_json::{Map, Value};
use thiserror::Error;

use crate::natmap::{
    BackendPort, ConnectionInfo, ConnectionInfoLine, Document, FrontendPort, Host, InstanceId, NatPool,
    Protocol,
};

/// A thousand instances with their views are about 10 MB of JSON; more than this is no az output,
/// and reading `/dev/zero` has to end.
const MOST_BYTES: u64 = 64 << 20;

/// Why a saved document can't be used.
#[derive(Debug, Error)]
pub enum SavedError {
    /// The file can't be read.
    #[error("can't read the document")]
    Read(#[source] io::Error),
    /// It is a folder.
    #[error("this is a folder, and vmssh reads one document at a time yet")]
    Folder,
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
    #[error("the document is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// It is JSON of a shape that is not known here; what it looks like.
    #[error("the document is not one that vmssh reads: {0}")]
    Unknown(String),
    /// The shape is known, but a value is wrong; where and how.
    #[error("{at}: {problem}")]
    Value {
        /// The member of the document.
        at: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Reads a document from a file.
///
/// # Errors
/// When the file can't be read or [`parse`] refuses what is in it.
pub fn read_file(path: &Path) -> Result<Document, SavedError> {
    let file = File::open(path).map_err(SavedError::Read)?;
    if file.metadata().is_ok_and(|m| m.is_dir()) {
        return Err(SavedError::Folder);
    }
    read(file)
}

/// Reads a document from a stream, to its end.
///
/// # Errors
/// When the stream can't be read, is longer than any az output, or [`parse`] refuses what is in it.
pub fn read(stream: impl Read) -> Result<Document, SavedError> {
    let mut bytes = Vec::new();
    stream.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(SavedError::Read)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(SavedError::TooLong);
    }
    parse(&bytes)
}

/// Reads a document from bytes: UTF-8, or UTF-16 with a byte order mark (what `>` writes in
/// Windows PowerShell).
///
/// # Errors
/// When it is empty, no text, no JSON, of an unknown shape, or has a value that makes no sense.
pub fn parse(bytes: &[u8]) -> Result<Document, SavedError> {
    let text = decode(bytes).ok_or(SavedError::NotText)?;
    if text.trim().is_empty() {
        return Err(SavedError::Empty);
    }
    match serde_json::from_str(&text).map_err(SavedError::NotJson)? {
        Value::Object(object) if object.keys().all(|key| instance_of(key).is_some()) => {
            connection_info(&object)
        }
        Value::Object(object) if is_nat_pool(&object) => Ok(Document::NatPools(vec![nat_pool(&object)?])),
        Value::Array(items) if !items.is_empty() && items.iter().all(is_nat_pool_value) => items
            .iter()
            .filter_map(Value::as_object)
            .map(nat_pool)
            .collect::<Result<_, _>>()
            .map(Document::NatPools),
        other => Err(SavedError::Unknown(description(&other))),
    }
}

fn decode(bytes: &[u8]) -> Option<String> {
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, odd) = rest.as_chunks::<2>();
        odd.is_empty()
            .then(|| String::from_utf16(&pairs.iter().map(|p| unit(*p)).collect::<Vec<_>>()).ok())?
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        bytes => String::from_utf8(bytes.to_vec()).ok(),
    }
}

/// The id in az's key `instance 3`.
fn instance_of(key: &str) -> Option<&str> {
    key.strip_prefix("instance ").filter(|id| !id.trim().is_empty())
}

/// `{"instance 0": "20.1.2.3:50000", …}`. An empty object is what az prints for a load balancer
/// without NAT rules.
fn connection_info(object: &Map<String, Value>) -> Result<Document, SavedError> {
    let lines = object.iter().map(|(key, value)| {
        let wrong = |problem: String| SavedError::Value { at: format!("\"{key}\""), problem };
        let text = value.as_str().ok_or_else(|| wrong("its value is not a text \"ADDRESS:PORT\"".into()))?;
        // az puts no brackets round IPv6: the last colon is the port's.
        let (address, port) =
            text.rsplit_once(':').ok_or_else(|| wrong(format!("\"{text}\" is not ADDRESS:PORT")))?;
        let address = match address {
            "None" => None,
            address => Some(address.parse::<Host>().map_err(|e| wrong(e.to_string()))?),
        };
        let port = port.parse::<FrontendPort>().map_err(|e| wrong(e.to_string()))?;
        Ok(ConnectionInfoLine { instance: InstanceId::new(instance_of(key).unwrap_or(key)), address, port })
    });
    Ok(Document::ConnectionInfo(ConnectionInfo { lines: lines.collect::<Result<_, _>>()? }))
}

/// The member of an object, in az's flattened form or under ARM's `properties`.
fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| object.get("properties")?.get(name)).filter(|v| !v.is_null())
}

/// A range and a backend port, and no backend pool: that would be a NAT rule of version 2.
fn is_nat_pool(object: &Map<String, Value>) -> bool {
    ["frontendPortRangeStart", "frontendPortRangeEnd", "backendPort"]
        .iter()
        .all(|n| member(object, n).is_some())
        && member(object, "backendAddressPool").is_none()
}

fn is_nat_pool_value(value: &Value) -> bool {
    value.as_object().is_some_and(is_nat_pool)
}

fn nat_pool(object: &Map<String, Value>) -> Result<NatPool, SavedError> {
    let number = |name: &str| {
        let value = member(object, name).unwrap_or(&Value::Null);
        // Templates spell ports as texts.
        value.as_u64().or_else(|| value.as_str()?.parse().ok()).ok_or_else(|| SavedError::Value {
            at: format!("\"{name}\""),
            problem: format!("{value} is not a port number"),
        })
    };
    let port = |name: &str| {
        FrontendPort::try_from(number(name)?)
            .map_err(|e| SavedError::Value { at: format!("\"{name}\""), problem: e.to_string() })
    };
    let (start, end) = (port("frontendPortRangeStart")?, port("frontendPortRangeEnd")?);
    if end < start {
        return Err(SavedError::Value {
            at: "\"frontendPortRangeEnd\"".into(),
            problem: format!("the range {start}-{end} ends before it starts"),
        });
    }
    let backend_port = BackendPort::try_from(number("backendPort")?)
        .map_err(|e| SavedError::Value { at: "\"backendPort\"".into(), problem: e.to_string() })?;
    let protocol = match member(object, "protocol").and_then(Value::as_str) {
        Some(p) if p.eq_ignore_ascii_case("udp") => Protocol::Udp,
        _ => Protocol::Tcp,
    };
    let name = object.get("name").and_then(Value::as_str).unwrap_or("(unnamed)").to_owned();
    let load_balancer = object.get("id").and_then(Value::as_str).and_then(load_balancer_of);
    Ok(NatPool { name, load_balancer, start, end, backend_port, protocol })
}

/// Load balancer and resource group out of an id, whose segments Azure spells in any case.
fn load_balancer_of(id: &str) -> Option<(String, String)> {
    let segments: Vec<_> = id.split('/').collect();
    let after = |name: &str| {
        let at = segments.iter().position(|s| s.eq_ignore_ascii_case(name))?;
        segments.get(at + 1).map(ToString::to_string)
    };
    Some((after("resourceGroups")?, after("loadBalancers")?))
}

/// What an unknown document looks like, for the error: its type where it tells one, else its first
/// member names.
fn description(value: &Value) -> String {
    const SHOWN: usize = 5; // enough to recognise a document by, short enough for a line
    match value {
        Value::Array(items) => match items.first() {
            None => "it is an empty list".into(),
            Some(first) => format!("it is a list of {}, the first: {}", items.len(), description(first)),
        },
        Value::Object(object) => {
            let kind = object.get("type").and_then(Value::as_str);
            let id = object.get("id").and_then(Value::as_str).filter(|id| id.starts_with("/subscriptions/"));
            match (kind, id) {
                (Some(kind), _) => format!("it says that it is a {kind}"),
                (None, Some(id)) => format!("it has the id {id}"),
                (None, None) => {
                    let names: Vec<_> = object.keys().take(SHOWN).map(|k| format!("\"{k}\"")).collect();
                    format!("an object with {}", names.join(", "))
                }
            }
        }
        Value::String(_) => "it is a text".into(),
        Value::Number(_) => "it is a number".into(),
        Value::Bool(_) | Value::Null => format!("it is {value}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn connection_info_is_read_as_az_prints_it() {
        let text = r#"{"instance 0": "20.71.10.4:50000", "instance web_0e": "2603:1030::1a:50001", "instance 2": "None:50002"}"#;
        let Document::ConnectionInfo(info) = parse(text.as_bytes()).unwrap() else {
            panic!("not recognised")
        };
        let lines: Vec<_> = info
            .lines
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
        assert!(matches!(parse(&bytes), Ok(Document::ConnectionInfo(info)) if info.lines.len() == 1));
    }

    #[test]
    fn pools_are_read_flattened_and_as_arm_sends_them() {
        let flat = r#"{"name":"ssh","backendPort":22,"frontendPortRangeStart":50000,"frontendPortRangeEnd":50119,"protocol":"Tcp",
            "id":"/subscriptions/s/resourcegroups/Prod/providers/Microsoft.Network/loadBalancers/web-lb/inboundNatPools/ssh"}"#;
        let arm = r#"[{"name":"rdp","properties":{"backendPort":"3389","frontendPortRangeStart":"1","frontendPortRangeEnd":2,"protocol":"Udp"}}]"#;
        let Document::NatPools(pools) = parse(flat.as_bytes()).unwrap() else { panic!("not recognised") };
        assert_eq!(pools[0].load_balancer, Some(("Prod".into(), "web-lb".into())));
        assert_eq!((pools[0].start.get(), pools[0].end.get()), (50000, 50119));
        let Document::NatPools(pools) = parse(arm.as_bytes()).unwrap() else { panic!("not recognised") };
        assert_eq!((pools[0].backend_port.get(), pools[0].protocol), (3389, Protocol::Udp));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(error(" \n"), "the document is empty");
        assert_eq!(error("<html>"), "the document is not JSON");
        assert_eq!(error("[]"), "the document is not one that vmssh reads: it is an empty list");
        assert_eq!(
            error(r#"{"type":"Microsoft.Network/loadBalancers","name":"lb"}"#),
            "the document is not one that vmssh reads: it says that it is a Microsoft.Network/loadBalancers"
        );
        assert_eq!(
            error(r#"{"instance 0": "20.1.2.3"}"#),
            "\"instance 0\": \"20.1.2.3\" is not ADDRESS:PORT"
        );
        assert_eq!(error(r#"{"instance 0": 7}"#), "\"instance 0\": its value is not a text \"ADDRESS:PORT\"");
        assert!(error(r#"{"instance 0": "20.1.2.3:70000"}"#).contains("\"70000\" is not a port"));
        let v2 = r#"{"name":"r","backendPort":22,"frontendPortRangeStart":1,"frontendPortRangeEnd":2,"backendAddressPool":{"id":"x"}}"#;
        assert!(error(v2).starts_with("the document is not one that vmssh reads: an object with \"name\""));
        let backwards =
            r#"{"name":"r","backendPort":22,"frontendPortRangeStart":3,"frontendPortRangeEnd":2}"#;
        assert_eq!(error(backwards), "\"frontendPortRangeEnd\": the range 3-2 ends before it starts");
        assert!(matches!(parse(&[0xc3, 0x28]), Err(SavedError::NotText)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
