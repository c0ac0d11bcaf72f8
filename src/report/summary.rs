//! What a fan-out came to, said in a few lines: how many were well, and the rest folded by cause.

use std::io::{self, Write};

use crate::{
    clean::clean_line,
    event::{Failure, Outcome},
    fold::Fold,
    natmap::{Endpoint, display_endpoints},
};

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
        .map(|(outcome, endpoint)| (cause(outcome), (outcome, endpoint)))
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
        if let Some((Outcome::Error(Failure { hint: Some(hint), .. }), _)) = members.first() {
            writeln!(out, "  hint: {}", clean_line(hint))?;
        }
    }
    Ok(())
}

fn cause(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Exited(exit) => exit.to_string(),
        Outcome::Error(failure) => failure.to_string(),
        Outcome::Skipped(why) => format!("skipped: {why}"),
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
