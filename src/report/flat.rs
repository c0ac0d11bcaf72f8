//! CSV from the same rows that JSON is made of.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use crate::clean::clean_line;

/// Writes rows as CSV (RFC 4180): a column for each field of a row, those of an inner object named
/// after both (`rtt_ms_min`), empty where there is no value. Text is cleaned: CSV has no escapes.
pub(super) fn write_csv<R: Serialize>(out: &mut dyn Write, rows: &[R]) -> io::Result<()> {
    match rows.first() {
        Some(first) => write_csv_like(out, first, rows),
        None => Ok(()),
    }
}

/// The same with the header of a row like the others, where there may be none.
pub(super) fn write_csv_like<R: Serialize>(out: &mut dyn Write, like: &R, rows: &[R]) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(fields(like)?.iter().map(|(name, _)| name)).map_err(io_error)?;
    for row in rows {
        csv.write_record(fields(row)?.iter().map(|(_, value)| value)).map_err(io_error)?;
    }
    csv.flush()
}

fn fields(row: &impl Serialize) -> io::Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    flatten("", serde_json::to_value(row)?, &mut fields);
    Ok(fields)
}

/// The writer's own error: the crate's conversion hides its kind, and a closed pipe is an end.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

fn flatten(name: &str, value: Value, fields: &mut Vec<(String, String)>) {
    let text = match value {
        Value::Object(inner) => {
            for (key, value) in inner {
                let name = if name.is_empty() { key } else { format!("{name}_{key}") };
                flatten(&name, value, fields);
            }
            return;
        }
        Value::Null => String::new(),
        Value::String(text) => clean_line(&text),
        other => other.to_string(),
    };
    fields.push((name.to_string(), text));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_closed_pipe_stays_one() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        // More than the writer keeps to itself.
        let rows = vec![json!({"id": "x".repeat(1000)}); 100];
        assert_eq!(write_csv(&mut Closed, &rows).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn inner_fields_become_columns() {
        let rows = [json!({"id": "a,b\u{1b}", "rtt_ms": {"min": 1.5, "max": null}})];
        let mut out = Vec::new();
        write_csv(&mut out, &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "id,rtt_ms_min,rtt_ms_max\n\"a,b^[\",1.5,\n");
    }
}
