//! Known host keys as table and JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::{json, table};
use crate::{clean::clean_line, natmap::InstanceId};

/// The schema's name and version.
const SCHEMA: &str = "vmssh.trust/1";

/// A key that is on file for an instance, or that there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrustRow {
    /// The instance, where it is known.
    pub instance: Option<InstanceId>,
    /// How it is called: the id, or its port.
    #[serde(skip)]
    pub label: String,
    /// What is dialled.
    pub endpoint: String,
    /// The name that its keys are filed under.
    pub filed_under: String,
    /// `known`, `cert-authority`, `revoked`, or `none`: nothing is on file.
    pub status: &'static str,
    /// The key's type.
    pub key_type: Option<String>,
    /// `SHA256:...`.
    pub fingerprint: Option<String>,
    /// The day on which vmssh filed it.
    pub since: Option<String>,
    /// The file that has it.
    pub file: Option<String>,
    /// The line in it, from 1.
    pub line: Option<usize>,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    keys: &'a [TrustRow],
}

/// Writes `vmssh.trust/1`, one document.
///
/// # Errors
/// When `out` fails.
pub fn write_json(out: &mut dyn Write, rows: &[TrustRow]) -> io::Result<()> {
    json::write_line(out, &Document { schema: SCHEMA, keys: rows })
}

/// Writes a table.
///
/// # Errors
/// When `out` fails.
pub fn write_table(out: &mut dyn Write, rows: &[TrustRow]) -> io::Result<()> {
    const COLUMNS: [table::Column; 6] = [
        table::text("INSTANCE"),
        table::text("STATUS"),
        table::text("TYPE"),
        table::text("FINGERPRINT"),
        table::text("SINCE"),
        table::text("FILE"),
    ];
    let text = |text: &Option<String>| text.as_deref().map(clean_line).unwrap_or_default();
    let cells = |row: &TrustRow| {
        let file = text(&row.file);
        let place = row.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}"));
        let label = clean_line(&row.label);
        [label, row.status.into(), text(&row.key_type), text(&row.fingerprint), text(&row.since), place]
    };
    table::write(out, &COLUMNS, rows.iter().map(cells))
}
