//! `vmssh demo`: the main job from start to end, on a lab with one instance that does not answer.
//!
//! Every step prints the command that it runs; each can be typed as it stands.

use std::io::Write;

use super::{context::Context, dispatch, error::Error, exit::Exit, parse};

/// The lab of all steps. Instance 3 answers no SYN, as a stopped machine's port does.
const LAB: [&str; 3] = ["lab", "--lab-fault", "3=drop"];

/// What is shown, and how. Counts and limits are short so that the whole takes some seconds.
const STEPS: [(&str, &[&str], &[&str]); 4] = [
    ("Which port leads to which instance?", &["map"], &[]),
    ("Do they answer, and how fast?", &["probe"], &["-n", "3", "-w", "0", "--timeout", "1s"]),
    ("A command on all of them:", &["exec"], &["--connect-timeout", "3s", "-o", "fold", "--", "hostname; df -h . | tail -1"]),
    ("A look into instance 2:", &["ssh"], &["2", "--", "echo \"this is $(hostname), I am $(whoami)\"; pwd"]),
];

pub(super) async fn run(context: &Context) -> Result<Exit, Error> {
    let mut out = context.ui.out();
    writeln!(out, "A simulated scale set of 4 on loopback; instance 3 does not answer.")?;
    for (what, verb, rest) in STEPS {
        let words: Vec<_> = ["vmssh"].iter().chain(verb).chain(&LAB).chain(rest).copied().collect();
        let line = shlex::try_join(words.iter().copied()).unwrap_or_else(|_| words.join(" "));
        writeln!(out, "\n# {what}\n$ {line}")?;
        out.flush()?;
        let cli = parse(&words).map_err(|error| Error::new(super::error::Kind::Other, error.to_string()))?;
        // That instance 3 fails is what the demo shows.
        match Box::pin(dispatch(context, cli.verb)).await? {
            Exit::Interrupted => return Ok(Exit::Interrupted),
            _ => out.flush()?,
        }
    }
    writeln!(out, "\nYour own scale set: `vmssh probe HOST:50000-50099`; more with `vmssh help`.")?;
    out.flush()?;
    Ok(Exit::Ok)
}
