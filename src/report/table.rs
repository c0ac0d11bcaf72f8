//! Tables as `kubectl get` prints them: upper-case header, two blanks between columns, no borders,
//! `-` for nothing.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

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
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|(header, _)| header));
    for row in rows {
        table.add_row(row.into_iter().map(|cell| if cell.is_empty() { "-".into() } else { cell }));
    }
    for (column, (_, numeric)) in table.column_iter_mut().zip(columns) {
        column.set_padding((0, 2));
        if *numeric {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
}
