//! `vmssh merge`: runs of `vmssh probe` put together.

use std::{
    fs::File,
    io::{self, Read},
};

use clap::{Args, ValueEnum};

use super::{
    context::Context,
    error::{Error, Kind},
    exit::Exit,
};
use crate::{
    merge::{Probed, by_place},
    report::probe::{PlacesReport, Skipped, read_runs},
};

/// The most that is read of one file, in bytes: runs of ten thousand endpoints and more. What is larger is
/// something else.
const MOST_BYTES: u64 = 512 << 20;

/// Arguments of `vmssh merge`.
#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// What `vmssh probe -o json` or `vmssh merge -o json` wrote, one document or more; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// How to show it
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    output: MergeFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MergeFormat {
    /// For people
    Table,
    /// One document with a schema name, which can be merged again
    Json,
    /// Comma-separated values with a header, a row per place and endpoint
    Csv,
}

pub(super) async fn run(context: &Context, args: &MergeArgs) -> Result<Exit, Error> {
    let files = args.files.clone();
    let read = tokio::task::spawn_blocking(move || read_all(&files));
    let found = context
        .unless_interrupted(async { read.await.map_err(|error| Error::from_chain(Kind::Other, &error))? })
        .await?;
    for (file, skipped) in found.skipped.iter().filter(|(_, skipped)| !skipped.is_empty()) {
        context.ui.note(&format!("note: {file}: skipped {skipped}"));
    }
    if found.runs.is_empty() {
        return Err(Error::new(Kind::Target, "there is no run to merge in what was given")
            .hint("give what `vmssh probe TARGET -o json` printed"));
    }
    let (places, twice) = by_place(found.runs).map_err(|error| Error::from_chain(Kind::Target, &error))?;
    match twice {
        0 => {}
        1 => context.ui.note("note: 1 run was given twice and counts once"),
        n => context.ui.note(&format!("note: {n} runs were given more than once and count once")),
    }
    let report = PlacesReport::new(places);
    context.ui.write(|out| match args.output {
        MergeFormat::Table => report.write_table(out),
        MergeFormat::Json => report.write_json(out),
        MergeFormat::Csv => report.write_csv(out),
    })?;
    Ok(match report {
        report if report.none_resolved() => Exit::Target,
        report if report.all_reachable() => Exit::Ok,
        _ => Exit::SomeFailed,
    })
}

/// What files hold.
#[derive(Debug, Default)]
struct Found {
    runs: Vec<Probed>,
    /// By file, what else was in it.
    skipped: Vec<(String, Skipped)>,
}

fn read_all(files: &[String]) -> Result<Found, Error> {
    let mut found = Found::default();
    for file in files {
        let name = if file == "-" { "standard input" } else { file.as_str() };
        let text = read(file).map_err(|error| {
            Error::new(Kind::Target, format!("can't read {name}")).caused_by(Some(&error))
        })?;
        let (runs, skipped) = read_runs(&text).map_err(|error| {
            Error::new(Kind::Target, format!("{name}: {error}"))
                .hint("take it as `vmssh probe -o json` printed it, whole")
        })?;
        found.runs.extend(runs);
        found.skipped.push((name.to_string(), skipped));
    }
    Ok(found)
}

fn read(file: &str) -> io::Result<String> {
    if file == "-" { read_text(io::stdin().lock()) } else { read_text(File::open(file)?) }
}

fn read_text(from: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::other("it is too long to be runs of `vmssh probe`"));
    }
    // Windows PowerShell writes what it is piped so, unless told otherwise.
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(io::Error::other(
            "it is UTF-16: in PowerShell, write it with `| Set-Content -Encoding utf8`",
        ));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is no text in UTF-8"))
}
