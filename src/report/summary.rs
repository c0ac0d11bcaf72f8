//! What a fan-out came to, said in a few lines: how many were well, and the rest folded by cause.

use std::io::{self, Write};

use crate::{
    clean::clean_line,
    event::{Failure, Outcome},
    fold::Fold,
    natmap::{Endpoint, display_endpoints},
};

/// Where every instance of a cause has a hint of its own (a changed host key names its own line), this
/// many show what to do without filling the screen.
const MOST_HINTS: usize = 3;

/// Writes the summary: `6 of 8 ok`, then a line per cause with its instances, and what to do next.
///
/// # Errors
/// When `out` fails.
pub fn write(out: &mut dyn Write, endpoints: &[Endpoint], outcomes: &[Outcome]) -> io::Result<()> {
    let ok = outcomes.iter().filter(|o| o.is_ok()).count();
    writeln!(out, "{ok} of {} ok", outcomes.len())?;
    let causes: Fold<_, _> = outcomes
        .iter()
        .zip(endpoints)
        .filter(|(outcome, _)| !outcome.is_ok())
        .map(|(outcome, endpoint)| (outcome.to_string(), (outcome, endpoint)))
        .collect();
    for (cause, members) in causes.groups() {
        let endpoints: Vec<_> = members.iter().map(|(_, endpoint)| *endpoint).collect();
        writeln!(
            out,
            "{} {} ({})",
            members.len(),
            clean_line(cause),
            clean_line(&display_endpoints(&endpoints))
        )?;
        write_hints(out, members)?;
    }
    Ok(())
}

/// The hints of one cause: one for all, or one for each set of instances that has its own.
fn write_hints(out: &mut dyn Write, members: &[(&Outcome, &Endpoint)]) -> io::Result<()> {
    let hints: Fold<_, _> = members
        .iter()
        .filter_map(|(outcome, endpoint)| match outcome {
            Outcome::Error(Failure { hint: Some(hint), .. }) => Some((hint, *endpoint)),
            _ => None,
        })
        .collect();
    match hints.groups() {
        [(hint, _)] => writeln!(out, "  hint: {}", clean_line(hint)),
        several => {
            for (hint, endpoints) in several.iter().take(MOST_HINTS) {
                writeln!(
                    out,
                    "  hint ({}): {}",
                    clean_line(&display_endpoints(endpoints)),
                    clean_line(hint)
                )?;
            }
            match several.len().saturating_sub(MOST_HINTS) {
                0 => Ok(()),
                more => writeln!(out, "  and {more} more like these: `-o jsonl` has them all"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Exit, Stage},
        natmap::NatMap,
    };

    #[test]
    fn failures_are_folded_by_cause() {
        let map = NatMap::from_range(&"20.1.2.3:50000-50005".parse().unwrap());
        let endpoints = map.select(&"0-5".parse().unwrap(), None).unwrap();
        let refused =
            || Outcome::Error(Failure::new(Stage::Connect, "connection refused").with_hint("look at sshd"));
        let exited = |status| Outcome::Exited(Exit::Status(status));
        let outcomes =
            [exited(0), refused(), exited(2), refused(), refused(), Outcome::Skipped("not started".into())];
        let mut out = Vec::new();
        write(&mut out, &endpoints, &outcomes).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "1 of 6 ok\n3 connect: connection refused (1,3-4)\n  hint: look at sshd\n1 exit 2 (2)\n1 skipped: not started (5)\n"
        );
    }
}
