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
    rows: impl IntoIterator<Item = impl IntoIterator<Item = String>>,
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
    rows: impl IntoIterator<Item = impl IntoIterator<Item = String>>,
) -> io::Result<()> {
    let mut grid = Grid { columns, text: String::new(), ends: Vec::new(), widths: vec![0; columns.len()] };
    grid.add(columns.iter().map(|(header, _)| header.as_str()));
    for row in rows {
        let row = row.into_iter().map(|cell| if cell.is_empty() { "-".into() } else { cell });
        grid.add(row);
    }
    grid.write(out)
}

/// All cells of a table, one text behind the other: a thousand rows of a text for each cell cost more than the
/// probes that they tell of.
struct Grid<'a> {
    columns: &'a [Named],
    text: String,
    /// Where each cell ends in the text.
    ends: Vec<usize>,
    widths: Vec<usize>,
}

impl Grid<'_> {
    /// Adds a row. What it lacks of the columns is empty, what it has beyond them is left out.
    fn add(&mut self, row: impl IntoIterator<Item = impl AsRef<str>>) {
        let mut row = row.into_iter();
        for width in &mut self.widths {
            if let Some(cell) = row.next() {
                *width = cell.as_ref().width().max(*width);
                self.text.push_str(cell.as_ref());
            }
            self.ends.push(self.text.len());
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let (mut start, mut line) = (0, String::new());
        for ends in self.ends.chunks(self.columns.len().max(1)) {
            line.clear();
            for ((end, (_, numeric)), width) in ends.iter().zip(self.columns).zip(&self.widths) {
                let cell = self.text.get(start..*end).unwrap_or_default();
                start = *end;
                let blanks = width.saturating_sub(cell.width());
                let (before, behind) = if *numeric { (blanks, 0) } else { (0, blanks) };
                push_blanks(&mut line, before);
                line.push_str(cell);
                // Two between columns.
                push_blanks(&mut line, behind + 2);
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Wider columns are rare.
const BLANKS: &str = "                                                                ";

fn push_blanks(line: &mut String, mut count: usize) {
    while count > 0 {
        let some = BLANKS.get(..count).unwrap_or(BLANKS);
        line.push_str(some);
        count -= some.len();
    }
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

    #[test]
    fn columns_may_be_wider_than_most() {
        let mut out = Vec::new();
        let wide = "x".repeat(200);
        write(
            &mut out,
            &[text("A"), text("B")],
            [vec![wide.clone(), "1".into()], vec!["y".into(), "2".into()]],
        )
        .unwrap();
        let blanks = |count| " ".repeat(count);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!("A{}B\n{wide}  1\ny{}2\n", blanks(201), blanks(201))
        );
    }
}
