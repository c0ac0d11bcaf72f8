//! Tables as `kubectl get` prints them: upper-case header, two blanks between columns, no borders,
//! `-` for nothing.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr as _;

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The header, upper case.
    pub header: &'static str,
    /// Numbers are set to the right.
    pub numeric: bool,
}

/// A column of text.
#[must_use]
pub const fn text(header: &'static str) -> Column {
    Column { header, numeric: false }
}

/// A column of numbers.
#[must_use]
pub const fn number(header: &'static str) -> Column {
    Column { header, numeric: true }
}

/// A header that is known only at run time, and whether its column is numeric.
pub type Named = (String, bool);

impl From<Column> for Named {
    fn from(column: Column) -> Self {
        (column.header.to_string(), column.numeric)
    }
}

/// Writes a table. An empty cell shows as `-`; rows are never wrapped, whatever the terminal's width.
///
/// # Errors
/// When `out` fails.
pub fn write(
    out: &mut dyn Write,
    columns: &[Column],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> io::Result<()> {
    let columns: Vec<Named> = columns.iter().copied().map(Named::from).collect();
    write_named(out, &columns, rows)
}

/// The same with headers that are known only at run time.
///
/// # Errors
/// When `out` fails.
pub fn write_named(
    out: &mut dyn Write,
    columns: &[Named],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> io::Result<()> {
    let headers = columns.iter().map(|(header, _)| header.clone()).collect();
    let mut lines: Vec<Vec<String>> = std::iter::once(headers).chain(rows).collect();
    for cell in lines.iter_mut().skip(1).flatten().filter(|cell| cell.is_empty()) {
        cell.push('-');
    }
    let mut widths = vec![0; columns.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.width().max(*width);
        }
    }
    lines.iter().try_for_each(|line| write_line(out, line, columns, &widths))
}

fn write_line(out: &mut dyn Write, cells: &[String], columns: &[Named], widths: &[usize]) -> io::Result<()> {
    let mut line = String::new();
    for ((cell, (_, numeric)), width) in cells.iter().zip(columns).zip(widths) {
        let blanks = width.saturating_sub(cell.width());
        let (before, behind) = if *numeric { (blanks, 0) } else { (0, blanks) };
        line.push_str(&" ".repeat(before));
        line.push_str(cell);
        // Two between columns.
        line.push_str(&" ".repeat(behind + 2));
    }
    writeln!(out, "{}", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_and_nothing_is_a_dash() {
        let mut out = Vec::new();
        let rows = [["web", "1.50 ms", "日本"], ["", "12.00 ms", ""]];
        let rows = rows.map(|row| row.map(String::from).to_vec());
        write(&mut out, &[text("NAME"), number("P50"), text("NOTE")], rows).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "NAME       P50  NOTE\nweb    1.50 ms  日本\n-     12.00 ms  -\n"
        );
    }
}
