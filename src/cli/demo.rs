//! `vmssh demo`: the main job from start to end, on a lab with one instance that does not answer.
//!
//! Every step prints the command that it runs; each can be typed as it stands.

use super::{
    context::Context,
    dispatch,
    error::{Error, Kind},
    exit::Exit,
    parse,
};

/// What is shown, and how. All steps use one lab; instance 3 answers no SYN, as a stopped machine's
/// port does. Counts and limits are short, so that the whole takes some seconds.
const STEPS: [(&str, &str); 4] = [
    ("Which port leads to which instance?", "vmssh map lab --lab-fault 3=drop"),
    ("Do they answer, and how fast?", "vmssh probe lab --lab-fault 3=drop -n 3 -w 0 --timeout 1s"),
    (
        "A command on all of them; what is the same is said once:",
        "vmssh exec lab --lab-fault 3=drop --connect-timeout 3s -o fold -- 'uname -sm; df -h / | tail -1'",
    ),
    (
        "A look into instance 2:",
        "vmssh ssh lab 2 --lab-fault 3=drop -- 'echo \"this is $(hostname)\"; pwd; echo \"its shell: $SHELL\"'",
    ),
];

pub(super) async fn run(context: &Context) -> Result<Exit, Error> {
    let say = |text: String| context.ui.write(|out| writeln!(out, "{text}"));
    say("A simulated scale set of 4 on loopback; instance 3 does not answer.".into())?;
    for (what, line) in STEPS {
        say(format!("\n# {what}\n$ {line}"))?;
        let words = shlex::split(line).unwrap_or_default();
        let cli = parse(words).map_err(|error| Error::new(Kind::Other, error.to_string()))?;
        // That instance 3 fails is what the demo shows.
        if Box::pin(dispatch(context, cli.verb)).await? == Exit::Interrupted {
            return Ok(Exit::Interrupted);
        }
    }
    say("\nYour own scale set: `vmssh probe HOST:50000-50099`; more with `vmssh help`.".into())?;
    Ok(Exit::Ok)
}
