//! Which columns a terminal has room for.

use super::{recent::KEPT, state::Names, words};

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Instance,
    Name,
    Endpoint,
    State,
    Last,
    P50,
    P99,
    Max,
    Loss,
    Recent,
    Note,
}

/// All of them, in the order in which they stand.
const ALL: [Column; 11] = [
    Column::Instance,
    Column::Name,
    Column::Endpoint,
    Column::State,
    Column::Last,
    Column::P50,
    Column::P99,
    Column::Max,
    Column::Loss,
    Column::Recent,
    Column::Note,
];

/// In this order they go where there is not enough room. What stays to the end says which one and how it is.
const FIRST_TO_GO: [Column; 9] = [
    Column::Note,
    Column::Name,
    Column::Endpoint,
    Column::Max,
    Column::Recent,
    Column::Last,
    Column::P99,
    Column::Loss,
    Column::P50,
];

/// Between two columns, as in the tables.
pub(super) const GAP: usize = 2;

/// A longer name or address is cut.
const LONGEST_NAME: usize = 40;

/// Fewer probes make no picture, and fewer words no note.
const LEAST_RECENT: usize = 8;
const LEAST_NOTE: usize = 16;
/// So many probes are enough while a note needs the room; what a router says of a port takes so much.
const USUAL_RECENT: usize = 24;
const USUAL_NOTE: usize = 60;

impl Column {
    pub(super) fn header(self) -> &'static str {
        match self {
            Self::Instance => "INSTANCE",
            Self::Name => "NAME",
            Self::Endpoint => "ENDPOINT",
            Self::State => "STATE",
            Self::Last => "LAST ms",
            Self::P50 => "P50 ms",
            Self::P99 => "P99 ms",
            Self::Max => "MAX ms",
            Self::Loss => "LOSS",
            Self::Recent => "RECENT",
            Self::Note => "NOTE",
        }
    }

    /// Numbers are set to the right, and probes, whose latest is there.
    pub(super) fn is_right(self) -> bool {
        matches!(self, Self::Last | Self::P50 | Self::P99 | Self::Max | Self::Loss | Self::Recent)
    }
}

/// What the names in a list take. It does not change while the list is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NameWidths {
    /// `None` where no endpoint has one.
    instance: Option<usize>,
    /// Likewise.
    name: Option<usize>,
    endpoint: usize,
}

impl NameWidths {
    pub(super) fn of(names: &[Names]) -> Self {
        let widest = |text: fn(&Names) -> Option<&String>, header: &str| {
            let widest = names.iter().filter_map(|names| text(names).map(|text| words::width(text))).max();
            widest.map(|width| width.clamp(header.len(), LONGEST_NAME))
        };
        Self {
            instance: widest(|names| names.instance.as_ref(), Column::Instance.header()),
            name: widest(|names| names.name.as_ref(), Column::Name.header()),
            endpoint: widest(|names| Some(&names.endpoint), Column::Endpoint.header()).unwrap_or_default(),
        }
    }

    /// The least that a column takes; `None` where there is nothing to put into it.
    fn least(self, column: Column) -> Option<usize> {
        Some(match column {
            Column::Instance => self.instance?,
            Column::Name => self.name?,
            Column::Endpoint => self.endpoint,
            // `not-resolved`
            Column::State => 12,
            Column::Recent => LEAST_RECENT,
            Column::Note => LEAST_NOTE,
            other => other.header().len(),
        })
    }

    /// The columns of a screen of so many columns, with their widths. At least one, whatever its width.
    pub(super) fn fit(self, screen: usize) -> Vec<(Column, usize)> {
        let mut columns: Vec<_> =
            ALL.iter().filter_map(|column| self.least(*column).map(|width| (*column, width))).collect();
        let taken = |columns: &[(Column, usize)]| {
            columns.iter().map(|(_, width)| width + GAP).sum::<usize>().saturating_sub(GAP)
        };
        // Where no instance is known, the endpoint says which one a row is about.
        let goes = |column: &Column| *column != Column::Endpoint || self.instance.is_some();
        for gone in FIRST_TO_GO.iter().filter(|column| goes(column)).chain(&[Column::State]) {
            if taken(&columns) <= screen {
                break;
            }
            columns.retain(|(column, _)| column != gone);
        }
        let mut left = screen.saturating_sub(taken(&columns));
        for (grows, most) in [
            (Column::Recent, USUAL_RECENT),
            (Column::Note, USUAL_NOTE),
            (Column::Recent, KEPT),
            (Column::Note, usize::MAX),
        ] {
            for (_, width) in columns.iter_mut().filter(|(column, _)| *column == grows) {
                let more = left.min(most.saturating_sub(*width));
                *width += more;
                left -= more;
            }
        }
        columns
    }
}
