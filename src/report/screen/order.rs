//! In which order the rows stand.

use std::{cmp::Ordering, fmt};

use super::recent::Recent;
use crate::stats::{ProbeStats, State};

/// What the rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    /// The order of the map: by instance.
    Instance,
    /// The state, the worst first.
    State,
    /// The last time.
    Last,
    /// The median.
    P50,
    /// The 99th percentile.
    P99,
    /// The longest time.
    Max,
    /// The loss.
    Loss,
}

/// Which end comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The first instance; of everything else the worst.
    Natural,
    /// The other.
    Reversed,
}

impl SortBy {
    /// The next one, in the order of the columns; after the last the first.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Instance => Self::State,
            Self::State => Self::Last,
            Self::Last => Self::P50,
            Self::P50 => Self::P99,
            Self::P99 => Self::Max,
            Self::Max => Self::Loss,
            Self::Loss => Self::Instance,
        }
    }
}

/// As the footer has it.
impl fmt::Display for SortBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Instance => "instance",
            Self::State => "state",
            Self::Last => "last",
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::Max => "max",
            Self::Loss => "loss",
        })
    }
}

impl Direction {
    pub(super) fn turned(self) -> Self {
        match self {
            Self::Natural => Self::Reversed,
            Self::Reversed => Self::Natural,
        }
    }
}

/// Puts places in `stats` in order. Those without the figure come last in either direction; equal ones stay
/// in the order of the map.
pub(super) fn sort(
    places: &mut [usize],
    by: SortBy,
    direction: Direction,
    stats: &[ProbeStats],
    recent: &[Recent],
) {
    if by == SortBy::Instance {
        if direction == Direction::Reversed {
            places.reverse();
        }
        return;
    }
    // A percentile is looked for in a histogram: once for each row.
    let mut keyed: Vec<(Option<f64>, usize)> =
        places.iter().map(|place| (figure(*place, by, stats, recent), *place)).collect();
    keyed.sort_by(|(a, _), (b, _)| match (a, b) {
        (Some(a), Some(b)) if direction == Direction::Natural => b.total_cmp(a),
        (Some(a), Some(b)) => a.total_cmp(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    });
    for (slot, (_, place)) in places.iter_mut().zip(keyed) {
        *slot = place;
    }
}

/// What is compared; the larger, the worse.
#[expect(clippy::cast_precision_loss, reason = "only compared; far below 2^53 microseconds")]
fn figure(place: usize, by: SortBy, stats: &[ProbeStats], recent: &[Recent]) -> Option<f64> {
    let stats = stats.get(place)?;
    match by {
        SortBy::Instance => None,
        SortBy::State => match State::of(stats) {
            State::NotProbed => None,
            state => Some(f64::from(state as u8)),
        },
        SortBy::Last => recent.get(place)?.last_us().map(|us| us as f64),
        SortBy::P50 => stats.rtts.percentile_ms(50),
        SortBy::P99 => stats.rtts.percentile_ms(99),
        SortBy::Max => (stats.rtts.count() > 0).then(|| stats.rtts.sums().max_us as f64),
        SortBy::Loss => stats.loss_pct(),
    }
}
