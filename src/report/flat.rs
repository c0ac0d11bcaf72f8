//! CSV from the same rows that JSON is made of.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use crate::clean::clean_line;

/// Writes rows as CSV (RFC 4180): a column for each field of a row, those of an inner object named
/// after both (`rtt_ms_min`), empty where there is no value. Text is cleaned: CSV has no escapes.
pub(super) fn write_csv<R: Serialize>(out: &mut dyn Write, rows: &[R]) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    for (place, row) in rows.iter().enumerate() {
        let mut fields = Vec::new();
        flatten("", serde_json::to_value(row)?, &mut fields);
        if place == 0 {
            csv.write_record(fields.iter().map(|(name, _)| name))?;
        }
        csv.write_record(fields.iter().map(|(_, value)| value))?;
    }
    csv.flush()
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
    fn inner_fields_become_columns() {
        let rows = [json!({"id": "a,b\u{1b}", "rtt_ms": {"min": 1.5, "max": null}})];
        let mut out = Vec::new();
        write_csv(&mut out, &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "id,rtt_ms_min,rtt_ms_max\n\"a,b^[\",1.5,\n");
    }
}
