//! What can be typed, by verb. What was typed and what it means are two things: nothing is looked
//! up here.

use clap::{Args, Parser, Subcommand, ValueEnum, builder::styling};

use super::{exec::ExecArgs, lab::LabArgs, map::MapArgs, probe::ProbeArgs, ssh::SshArgs};
use crate::{
    lab::FaultSpec,
    natmap::{BackendPort, Host, InstanceSet},
    target::UserTarget,
};

/// SSH, which is what most rules of a scale set lead to.
pub(super) const DEFAULT_BACKEND_PORT: &str = "22";

/// As in the rest of the family (cargo, gh): headings and names set off, nothing garish.
const STYLES: styling::Styles = styling::Styles::styled()
    .header(styling::AnsiColor::Green.on_default().bold())
    .usage(styling::AnsiColor::Green.on_default().bold())
    .literal(styling::AnsiColor::Cyan.on_default());

/// Reach the instances of an Azure scale set: which port leads where, does it answer, get in.
///
/// TARGET is one of: `HOST:PORT` or `HOST:START-END` (a plain NAT range, instance k = START + k),
/// `@FILE` or `-` (JSON that `az vmss list-instance-connection-info` or `az network lb
/// inbound-nat-pool show` printed), `lab` (a simulated scale set on loopback, nothing else needed).
/// INSTANCES is a set: `3`, `0-9,12`, `web_*`, `!4` (all but).
#[derive(Debug, Parser)]
#[command(name = "vmssh", version, styles = STYLES, max_term_width = 100)]
#[command(
    after_help = "New here? `vmssh demo` shows the main job from start to end, on a simulated scale set."
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: GlobalArgs,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// Options of every verb.
#[derive(Debug, Clone, Args)]
pub(super) struct GlobalArgs {
    /// When to use colour; `NO_COLOR` is honoured
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN",
        help_heading = "Global options"
    )]
    pub(super) color: ColorChoice,
    /// Say only results, warnings and errors
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub(super) quiet: bool,
    /// Say more of what happens on the way (twice: very much), on stderr
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub(super) verbose: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show which frontend port leads to which instance
    Map(MapArgs),
    /// Probe the TCP ports of all instances at once: do they answer, and how fast.
    ///
    /// The round-trip time is the kernel's own measure of the handshake on Linux, where the handshake is
    /// also never completed: the server's program does not see the probe, so sshd neither logs it nor
    /// counts it (MaxStartups, PerSourcePenalties). Elsewhere the connection is opened and reset.
    ///
    /// Exit status: 0 every endpoint answers, 1 some don't, 3 no name could be resolved.
    Probe(ProbeArgs),
    /// Open a session on one instance, or run one command there.
    ///
    /// Without a command: a shell on a terminal of its own; `~.` at the start of a line ends it, `~?` tells
    /// more. With one: one word is shell text, several are an argument vector, as in `vmssh exec`.
    ///
    /// Exit status: the remote one; 255 where the session itself failed.
    Ssh(SshArgs),
    /// Run a command on all instances, with one outcome for each.
    ///
    /// One word is shell text (`-- 'df -h | tail -1'`); several words are an argument vector, and the
    /// program there gets exactly these (`-- grep 'a b' /etc/hosts`).
    ///
    /// Ctrl-C once starts nothing new, twice ends what runs, three times quits.
    ///
    /// Exit status: 0 all well, 1 some failed, 130 interrupted; on one instance the command's own, or 255
    /// where the session failed.
    Exec(ExecArgs),
    /// A simulated scale set on loopback, to try things on
    Lab(LabArgs),
    /// Show the main job from start to end on a lab: map, probe, a command on all, a look inside
    Demo,
}

/// What to work on.
#[derive(Debug, Clone, Args)]
pub(super) struct TargetArgs {
    /// Where the scale set is: HOST:START-END, HOST:PORT, @FILE, `-` or `lab`
    #[arg(value_name = "[USER@]TARGET")]
    pub(super) target: UserTarget,
    /// The frontend's address, where the document does not tell it (a bare NAT pool)
    #[arg(long, value_name = "HOST")]
    pub(super) address: Option<Host>,
    #[command(flatten)]
    pub(super) lab: LabShape,
}

/// Which of the instances.
#[derive(Debug, Clone, Args)]
pub(super) struct InstancesArgs {
    /// Which instances: 3 or 0-9,12 or web_* or !4 (all but) [default: all]
    pub(super) instances: Option<InstanceSet>,
    /// The port on the instances whose rules to use, where the target tells it
    #[arg(long, value_name = "PORT", default_value = DEFAULT_BACKEND_PORT)]
    pub(super) backend_port: BackendPort,
}

/// The shape of the lab that the target `lab` starts.
#[derive(Debug, Clone, Args)]
pub(super) struct LabShape {
    /// How many instances the target `lab` has [default: 4]
    #[arg(long, value_name = "N", help_heading = "Lab", value_parser = lab_size)]
    pub(super) lab_instances: Option<usize>,
    /// What is wrong with some of them: 3=drop, 0-1=slow; drop|refuse|slow|hostkey|auth
    #[arg(long, value_name = "N=FAULT", help_heading = "Lab")]
    pub(super) lab_fault: Vec<FaultSpec>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// One document with a schema name
    Json,
    /// One object a line
    Jsonl,
    /// Comma-separated values with a header
    Csv,
}

/// What Azure allows in one scale set.
pub(super) fn lab_size(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|n| (1..=1000).contains(n))
        .ok_or_else(|| "a scale set has 1 to 1000 instances".into())
}
