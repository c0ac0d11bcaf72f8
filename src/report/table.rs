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

/// Writes a table. An empty cell shows as `-`; rows are never wrapped, whatever the terminal's width.
///
/// # Errors
/// When `out` fails.
pub fn write(
    out: &mut dyn Write,
    columns: &[Column],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|c| c.header));
    for row in rows {
        table.add_row(row.into_iter().map(|cell| if cell.is_empty() { "-".into() } else { cell }));
    }
    for (column, shape) in table.column_iter_mut().zip(columns) {
        column.set_padding((0, 2));
        if shape.numeric {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
}
