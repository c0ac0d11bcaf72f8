//! `vmssh.probe/1` from one machine to another: what is written so that it can be read back exactly, and
//! the reading.

use std::{collections::BTreeMap, fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;
use thiserror::Error;

use super::{ProbeRow, SCHEMA};
use crate::{
    clean::clean_line,
    merge::{Plan, Probed, Run},
    natmap::{Endpoint, FrontendPort, Host, InstanceId, Shard},
    stats::ProbeStats,
};

/// The name and version of the JSON of runs put together. It has the documents of its places in `places`.
pub(super) const MERGED: &str = "vmssh.merge/1";

/// A run as JSON has it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RunOut {
    /// Of the program that wrote it.
    version: &'static str,
    place: String,
    target: Option<String>,
    scale_set: Option<String>,
    /// RFC 3339, in UTC.
    started: Option<String>,
    elapsed_ms: u64,
    options: Option<Options>,
    shard: Option<String>,
}

/// The options that figures depend on. `count` and `duration_ms` are both `null` where only the user ends
/// the run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Options {
    count: Option<u64>,
    duration_ms: Option<u64>,
    interval_ms: u64,
    timeout_ms: u64,
}

impl RunOut {
    pub(super) fn new(run: &Run) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            place: run.place.clone(),
            target: run.target.clone(),
            scale_set: run.scale_set.clone(),
            // A year of five digits has no such form, and no clock has that.
            started: run.started.map(|at| at.to_string()),
            elapsed_ms: millis(run.elapsed),
            options: run.plan.map(|plan| Options {
                count: plan.count,
                duration_ms: plan.duration.map(millis),
                interval_ms: millis(plan.interval),
                timeout_ms: millis(plan.timeout),
            }),
            shard: run.shard.map(|shard| shard.to_string()),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A row for people and scripts, and the tally that it was made of.
#[derive(Serialize)]
pub(super) struct Exact<'a> {
    #[serde(flatten)]
    pub(super) row: ProbeRow,
    pub(super) exact: &'a ProbeStats,
}

/// A document that is not what `vmssh probe -o json` or `vmssh merge -o json` writes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {field}{message}")]
pub struct ReadError {
    /// The line on which the document begins.
    line: usize,
    /// Where in it, with a colon behind.
    field: String,
    message: String,
}

impl ReadError {
    fn of_json(line: usize, error: &serde_json::Error) -> Self {
        let message = match error.is_eof() {
            true => "the document is cut off".to_string(),
            false => format!("this is no JSON: {error}"),
        };
        Self { line, field: String::new(), message }
    }
}

/// What a text held beside runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Documents of other schemas, by name, and how many.
    pub schemas: BTreeMap<String, usize>,
    /// Lines that are no JSON: what was logged beside it.
    pub lines: usize,
}

/// `2 lines that are no JSON, 1 of vmssh.map/1`.
impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = match self.lines {
            0 => None,
            1 => Some("1 line that is no JSON".to_string()),
            n => Some(format!("{n} lines that are no JSON")),
        };
        let others = self.schemas.iter().map(|(schema, count)| format!("{count} of {}", clean_line(schema)));
        f.write_str(&lines.into_iter().chain(others).collect::<Vec<_>>().join(", "))
    }
}

impl Skipped {
    /// True where nothing was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines == 0 && self.schemas.is_empty()
    }
}

/// Reads all runs that a text holds: JSON documents one after the other, on lines of their own or not, or an
/// array of them, with lines of other things in between.
///
/// # Errors
/// When a document is broken, or one of a run's values is not what this program writes.
pub fn read_runs(text: &str) -> Result<(Vec<Probed>, Skipped), ReadError> {
    let mut runs = Vec::new();
    let mut skipped = Skipped::default();
    let mut rest = text.trim_start_matches('\u{feff}');
    let mut line = 1;
    while let Some(at) = rest.find(|c: char| !c.is_whitespace()) {
        let (blank, document) = rest.split_at(at);
        line += newlines(blank);
        let mut values = serde_json::Deserializer::from_str(document).into_iter::<Value>();
        let is_object = document.starts_with('{');
        let value = (is_object || document.starts_with('[')).then(|| values.next()).flatten();
        let end = match value {
            Some(Ok(value)) => {
                take(&value, line, &mut runs, &mut skipped)?;
                values.byte_offset()
            }
            // Nothing else that is logged begins with a brace.
            Some(Err(error)) if is_object => return Err(ReadError::of_json(line, &error)),
            _ => {
                skipped.lines += 1;
                document.find('\n').unwrap_or(document.len())
            }
        };
        let (done, behind) = document.split_at_checked(end).unwrap_or((document, ""));
        line += newlines(done);
        rest = behind;
    }
    Ok((runs, skipped))
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// Takes the runs out of one JSON value.
fn take(value: &Value, line: usize, runs: &mut Vec<Probed>, skipped: &mut Skipped) -> Result<(), ReadError> {
    let schema = value.get("schema").and_then(Value::as_str);
    match (schema, value) {
        (_, Value::Array(values)) => values.iter().try_for_each(|value| take(value, line, runs, skipped)),
        (Some(SCHEMA), value) if value.get("endpoints").is_some() => {
            runs.push(read::<Document>(value, line)?.into());
            Ok(())
        }
        (Some(MERGED), value) => {
            runs.extend(read::<Merged>(value, line)?.places.into_iter().map(Probed::from));
            Ok(())
        }
        (schema, _) => {
            let schema = match schema {
                // A line of it has one endpoint's figures, or one probe's: too little to add up.
                Some(SCHEMA) => format!("{SCHEMA} as JSON lines (write them with `-o json`)"),
                Some(schema) => schema.to_string(),
                None => "no schema".to_string(),
            };
            *skipped.schemas.entry(schema).or_default() += 1;
            Ok(())
        }
    }
}

fn read<'de, T: Deserialize<'de>>(value: &'de Value, line: usize) -> Result<T, ReadError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { format!("{}: ", clean_line(&path)) };
        ReadError { line, field, message: clean_line(&error.inner().to_string()) }
    })
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Merged {
    places: Vec<Document>,
}

/// A document as it is read. What is not in it is nothing.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Document {
    place: Place,
    target: Option<String>,
    scale_set: Option<String>,
    started: Option<Started>,
    elapsed_ms: u64,
    options: Option<Options>,
    shard: Option<Parsed<Shard>>,
    endpoints: Vec<Found>,
}

impl From<Document> for Probed {
    fn from(document: Document) -> Self {
        let plan = document.options.map(|options| Plan {
            count: options.count,
            duration: options.duration_ms.map(Duration::from_millis),
            interval: Duration::from_millis(options.interval_ms),
            timeout: Duration::from_millis(options.timeout_ms),
        });
        let run = Run {
            place: document.place.0,
            target: document.target,
            scale_set: document.scale_set,
            started: document.started.map(|started| started.0),
            elapsed: Duration::from_millis(document.elapsed_ms),
            plan,
            shard: document.shard.map(|shard| shard.0),
        };
        let found = |found: Found| {
            let endpoint = Endpoint {
                instance: found.instance.map(InstanceId::new),
                name: found.name,
                vm_id: None,
                host: found.address.map_or(Host::Unknown, |host| host.0),
                port: found.port.0,
            };
            (endpoint, found.exact)
        };
        Self { run, endpoints: document.endpoints.into_iter().map(found).collect() }
    }
}

#[derive(Deserialize)]
struct Found {
    instance: Option<String>,
    name: Option<String>,
    address: Option<Parsed<Host>>,
    port: Port,
    /// Without it there is nothing to add up.
    exact: ProbeStats,
}

/// The name of a place: what is printed in headers.
struct Place(String);

impl Default for Place {
    fn default() -> Self {
        Self("unnamed".into())
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(place_name(&String::deserialize(deserializer)?).map_or_else(Self::default, Self))
    }
}

/// A place's name on one line and without what steers a terminal; `None` where nothing is left of it.
#[must_use]
pub fn place_name(text: &str) -> Option<String> {
    // Tabs and blanks would break the header that it becomes part of.
    let name = clean_line(text.trim()).split_whitespace().collect::<Vec<_>>().join("_");
    (!name.is_empty()).then_some(name)
}

struct Started(Timestamp);

impl<'de> Deserialize<'de> for Started {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map(Self)
            .map_err(|_| D::Error::custom(format!("\"{text}\" is not a time like 2026-11-25T08:30:00Z")))
    }
}

/// What is written as text and read as it is typed.
struct Parsed<T>(T);

impl<'de, T: std::str::FromStr<Err: fmt::Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

struct Port(FrontendPort);

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer)?.try_into().map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
#[path = "wire/tests.rs"]
mod tests;
