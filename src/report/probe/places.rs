//! Runs of several places side by side, in every format.

use std::io::{self, Write};

use serde::Serialize;

use super::{
    ProbeReport, ProbeRow,
    table::{Columns, milliseconds},
    wire::MERGED,
};
use crate::{
    clean::clean_line,
    merge::{Difference, Probed, Row, apart, differences, rows},
    natmap::Endpoint,
    report::{flat, json, percent::percent, table},
    stats::{ProbeStats, State},
};

/// What runs put together say.
#[derive(Debug)]
pub struct PlacesReport {
    places: Vec<Probed>,
    /// The endpoints and statistics of each place, apart.
    parts: Vec<(Vec<Endpoint>, Vec<ProbeStats>)>,
}

impl PlacesReport {
    /// A report on runs, one of each place.
    #[must_use]
    pub fn new(places: Vec<Probed>) -> Self {
        let parts = places.iter().map(|probed| probed.endpoints.iter().cloned().unzip()).collect();
        Self { places, parts }
    }

    /// A report for each place.
    fn reports(&self) -> impl Iterator<Item = ProbeReport<'_>> {
        let both = self.places.iter().zip(&self.parts);
        both.map(|(probed, (endpoints, stats))| ProbeReport::new(endpoints, stats).with_run(&probed.run))
    }

    /// True where every endpoint answered every place that probed it.
    #[must_use]
    pub fn all_reachable(&self) -> bool {
        self.reports().all(|report| report.verdict.all_reachable())
    }

    /// True where no place could send a probe because no name has an address.
    #[must_use]
    pub fn none_resolved(&self) -> bool {
        self.reports().all(|report| report.verdict.none_resolved())
    }

    /// Writes what there is to know of each endpoint: of one place the table of `vmssh probe`; of several a row
    /// with each place's figures, what stands out, and a verdict per place.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        if let [(endpoints, stats)] = self.parts.as_slice() {
            return ProbeReport::new(endpoints, stats).write_table(out, Columns::Usual);
        }
        let rows = rows(&self.places);
        self.write_rows(out, &rows)?;
        let differences = differences(&self.places, &rows);
        for difference in &differences {
            writeln!(out, "{}", clean_line(&difference.to_string()))?;
        }
        if let Some(gap) = apart(&self.places).filter(|_| !differences.is_empty()) {
            // Minutes say enough of a gap that is one at least.
            let minutes = gap.as_secs().div_ceil(60);
            writeln!(out, "the runs are {minutes} min apart: what differs may have changed meanwhile")?;
        }
        for (probed, report) in self.places.iter().zip(self.reports()) {
            writeln!(out, "{}", clean_line(&format!("{}: {}", probed.run.place, report.verdict)))?;
        }
        Ok(())
    }

    fn write_rows(&self, out: &mut dyn Write, rows: &[Row<'_>]) -> io::Result<()> {
        // As in the table of one place.
        let named = rows.iter().any(|row| row.endpoint.name.is_some());
        let names = named.then(|| table::text("NAME").into());
        let mut columns = vec![table::text("INSTANCE").into()];
        columns.extend(names.into_iter().chain([table::text("ENDPOINT").into()]));
        for place in &self.places {
            let of = |header: &str| clean_line(&format!("{header}@{}", place.run.place));
            columns.extend([(of("P50"), true), (of("LOSS"), true), (of("STATE"), false)]);
        }
        let cells = |row: &Row<'_>| {
            let instance = row.endpoint.instance.as_ref().map_or_else(String::new, ToString::to_string);
            let name = named.then(|| row.endpoint.name.clone().unwrap_or_default());
            let mut cells = vec![instance];
            cells.extend(name.into_iter().chain([row.endpoint.to_string()]));
            for stats in &row.stats {
                cells.push(milliseconds(stats.and_then(|s| s.median_rtt_ms())));
                let loss = stats.and_then(|s| s.loss_pct());
                cells.push(loss.map_or_else(String::new, percent));
                cells.push(stats.map_or_else(String::new, |s| State::of(s).to_string()));
            }
            cells.iter().map(|cell| clean_line(cell)).collect::<Vec<_>>()
        };
        table::write_named(out, &columns, rows.iter().map(cells))
    }

    /// Writes one JSON object, `vmssh.merge/1`, with a document of `vmssh.probe/1` for each place.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows = rows(&self.places);
        let differences = differences(&self.places, &rows);
        let reports: Vec<_> = self.reports().collect();
        let document = Document {
            schema: MERGED,
            places: reports.iter().map(ProbeReport::document).collect(),
            differences: differences.iter().map(DifferenceOut::new).collect(),
            apart_ms: apart(&self.places).and_then(|gap| u64::try_from(gap.as_millis()).ok()),
        };
        json::write_line(out, &document)
    }

    /// Writes CSV: a row per place and endpoint, with the place before the fields of `vmssh probe -o csv`.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let both = self.places.iter().zip(self.reports());
        let rows: Vec<_> = both
            .flat_map(|(probed, report)| {
                let rows: Vec<_> = report.rows.iter().map(ProbeRow::from).collect();
                rows.into_iter().map(|row| PlacedRow { place: &probed.run.place, row })
            })
            .collect();
        flat::write_csv(out, &rows)
    }
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    places: Vec<super::Document<'a>>,
    differences: Vec<DifferenceOut<'a>>,
    /// How far apart the runs are, where that is more than a minute.
    apart_ms: Option<u64>,
}

#[derive(Serialize)]
struct DifferenceOut<'a> {
    endpoints: &'a str,
    seen: Vec<SeenOut<'a>>,
    message: String,
}

#[derive(Serialize)]
struct SeenOut<'a> {
    place: &'a str,
    is: &'static str,
}

impl<'a> DifferenceOut<'a> {
    fn new(difference: &'a Difference) -> Self {
        let seen = difference.seen.iter().map(|(place, seen)| SeenOut { place, is: seen.name() });
        Self { endpoints: &difference.endpoints, seen: seen.collect(), message: difference.to_string() }
    }
}

#[derive(Serialize)]
struct PlacedRow<'a> {
    place: &'a str,
    #[serde(flatten)]
    row: ProbeRow,
}

#[cfg(test)]
#[path = "places/tests.rs"]
mod tests;
