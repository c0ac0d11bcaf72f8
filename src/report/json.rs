//! JSON that is safe to print: characters that would steer a terminal are escaped even where JSON
//! allows them as they are.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

use crate::clean::is_steering;

/// Writes a value as one line.
///
/// # Errors
/// When `out` fails.
pub fn write_line(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    write(out, value)?;
    writeln!(out)
}

/// Writes a value without an end of line.
///
/// # Errors
/// When `out` fails.
pub fn write(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, Escaping(CompactFormatter));
    Ok(value.serialize(&mut serializer)?)
}

/// The compact form, with steering characters as `\u009b`.
struct Escaping(CompactFormatter);

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // Nearly all text is of this kind, and the search below is slow.
        if fragment.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
            return self.0.write_string_fragment(writer, fragment);
        }
        let mut rest = fragment;
        while let Some(at) = rest.find(is_hidden) {
            let (before, after) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            let mut characters = after.chars();
            if let Some(c) = characters.next() {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
            rest = characters.as_str();
        }
        self.0.write_string_fragment(writer, rest)
    }
}

fn is_hidden(c: char) -> bool {
    c == '\u{7f}' || is_steering(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steering_characters_are_escaped_and_read_back() {
        let text = "a\u{9b}31m\u{202e}b\u{e0041}\x7f\x1b ü\"";
        let mut out = Vec::new();
        write_line(&mut out, &text).unwrap();
        let line = String::from_utf8(out).unwrap();
        assert_eq!(line, "\"a\\u009b31m\\u202eb\\udb40\\udc41\\u007f\\u001b ü\\\"\"\n");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }
}
