//! What can be typed, by verb. What was typed and what it means are two things: nothing is looked
//! up here.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum, builder::styling};

use super::duration;
use crate::{
    lab::FaultSpec,
    natmap::{BackendPort, Host, InstanceSet},
    target::UserTarget,
};

/// SSH, which is what most rules of a scale set lead to.
const DEFAULT_BACKEND_PORT: &str = "22";

/// A flaky path still connects within this, and an administrator in a hurry still waits for it.
const DEFAULT_CONNECT_TIMEOUT: &str = "10s";

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
    /// Probe the TCP ports of all instances at once: do they answer, and how fast
    Probe(ProbeArgs),
    /// Open a session on one instance, or run one command there
    Ssh(SshArgs),
    /// Run a command on all instances, with one outcome for each
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
    /// How many instances the target `lab` has
    #[arg(long, value_name = "N", default_value_t = 4, help_heading = "Lab", value_parser = lab_size)]
    pub(super) lab_instances: usize,
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

#[derive(Debug, Args)]
pub(super) struct MapArgs {
    #[command(flatten)]
    pub(super) target: TargetArgs,
    /// Which instances to show [default: all]
    pub(super) instances: Option<InstanceSet>,
    /// Show only rules for this port on the instances
    #[arg(long, value_name = "PORT")]
    pub(super) backend_port: Option<BackendPort>,
    /// How to show it
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub(super) output: Format,
}

/// Probe the TCP ports of all instances at once: do they answer, and how fast.
///
/// The round-trip time is the kernel's own measure of the handshake on Linux, where the handshake is
/// also never completed: the server's program does not see the probe, so sshd neither logs it nor
/// counts it (MaxStartups, PerSourcePenalties). Elsewhere the connection is opened and reset.
///
/// Exit status: 0 every endpoint answers, 1 some don't, 3 no name could be resolved.
#[derive(Debug, Args)]
pub(super) struct ProbeArgs {
    #[command(flatten)]
    pub(super) target: TargetArgs,
    #[command(flatten)]
    pub(super) instances: InstancesArgs,
    /// Probes per endpoint, or for how long: 100, 10s
    #[arg(short = 'n', long, value_name = "N|TIME", default_value = "4", value_parser = count)]
    pub(super) count: Count,
    /// Time from one probe of an endpoint to its next; 0 is as fast as it goes
    #[arg(short, long, value_name = "TIME", default_value = "250ms", value_parser = duration::parse)]
    pub(super) interval: Duration,
    /// Probes at the start that are not counted: the first pays for routes and address look-ups
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    pub(super) warm_up: u32,
    /// How long to wait for one answer; 2s is the time for two SYNs
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration::parse_limit)]
    pub(super) timeout: Duration,
    /// IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub(super) ipv4: bool,
    /// IPv6 only
    #[arg(short = '6', long)]
    pub(super) ipv6: bool,
    /// How to show it
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub(super) output: Format,
}

/// How long to probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    Probes(NonZeroU32),
    Time(Duration),
}

/// How to sign in.
#[derive(Debug, Clone, Args)]
pub(super) struct SignInArgs {
    /// The user to sign in as; also as USER@TARGET [default: your own name]
    #[arg(short = 'l', long, value_name = "NAME", help_heading = "Signing in")]
    pub(super) user: Option<String>,
    /// A private key file; tried first, before the agent's and the default keys
    #[arg(short, long, value_name = "FILE", help_heading = "Signing in")]
    pub(super) identity: Vec<PathBuf>,
    /// Ask for a password once, for when no key is taken
    #[arg(long, help_heading = "Signing in")]
    pub(super) ask_password: bool,
    /// What to do with a host key that is not known yet; a changed one is always refused
    #[arg(long, value_enum, default_value = "ask", value_name = "POLICY", help_heading = "Signing in")]
    pub(super) host_keys: HostKeys,
    /// The file of known host keys to use, and no other
    #[arg(long, value_name = "FILE", env = "VMSSH_KNOWN_HOSTS", help_heading = "Signing in")]
    pub(super) known_hosts: Option<PathBuf>,
    /// Time limit from the name to being signed in
    #[arg(long, value_name = "TIME", default_value = DEFAULT_CONNECT_TIMEOUT, value_parser = duration::parse_limit, help_heading = "Signing in")]
    pub(super) connect_timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum HostKeys {
    /// Show it and ask
    Ask,
    /// Take it and say so
    AcceptNew,
    /// Refuse it
    Strict,
}

/// Open a session on one instance, or run one command there.
///
/// Without a command: a shell on a terminal of its own; `~.` at the start of a line ends it, `~?` tells
/// more. With one: one word is shell text, several are an argument vector, as in `vmssh exec`.
///
/// Exit status: the remote one; 255 where the session itself failed.
#[derive(Debug, Args)]
pub(super) struct SshArgs {
    #[command(flatten)]
    pub(super) target: TargetArgs,
    #[command(flatten)]
    pub(super) instances: InstancesArgs,
    #[command(flatten)]
    pub(super) sign_in: SignInArgs,
    /// Use a remote terminal for the command too
    #[arg(short, long)]
    pub(super) tty: bool,
    /// The command to run
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<String>,
}

/// Run a command on all instances, with one outcome for each.
///
/// One word is shell text (`-- 'df -h | tail -1'`); several words are an argument vector, and the
/// program there gets exactly these (`-- grep 'a b' /etc/hosts`).
///
/// Ctrl-C once starts nothing new, twice ends what runs, three times quits.
///
/// Exit status: 0 all well, 1 some failed, 130 interrupted; on one instance the command's own, or 255
/// where the session failed.
#[derive(Debug, Args)]
pub(super) struct ExecArgs {
    #[command(flatten)]
    pub(super) target: TargetArgs,
    #[command(flatten)]
    pub(super) instances: InstancesArgs,
    #[command(flatten)]
    pub(super) sign_in: SignInArgs,
    /// Most instances worked on at once
    #[arg(short = 'P', long, value_name = "N", default_value = "100")]
    pub(super) parallel: NonZeroUsize,
    /// Time limit of the command on each instance [default: none]
    #[arg(long, value_name = "TIME", value_parser = duration::parse_limit)]
    pub(super) timeout: Option<Duration>,
    /// How to show outputs [default: fold on a terminal, lines in a pipe]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub(super) output: Option<ExecFormat>,
    /// Most MiB kept of one instance's output where it must be kept (fold, json, jsonl)
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    pub(super) max_output: u32,
    /// The command to run
    #[arg(last = true, value_name = "COMMAND", required = true)]
    pub(super) command: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ExecFormat {
    /// Identical outputs once, under the set of their instances
    #[value(alias = "table")]
    Fold,
    /// Every line as it comes, with its instance in front
    Lines,
    /// One document
    Json,
    /// One object per instance, as they end
    Jsonl,
}

#[derive(Debug, Args)]
pub(super) struct LabArgs {
    #[command(subcommand)]
    pub(super) verb: LabVerb,
}

#[derive(Debug, Subcommand)]
pub(super) enum LabVerb {
    /// Start a lab, say how other terminals use it, and keep it until Ctrl-C
    Up(LabUpArgs),
}

#[derive(Debug, Args)]
pub(super) struct LabUpArgs {
    /// How many instances
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = lab_size)]
    pub(super) instances: usize,
    /// What is wrong with some of them: 3=drop, 0-1=slow; drop|refuse|slow|hostkey|auth
    #[arg(long, value_name = "N=FAULT")]
    pub(super) fault: Vec<FaultSpec>,
    /// The first frontend port [default: a free range]
    #[arg(long, value_name = "PORT")]
    pub(super) port: Option<u16>,
}

/// What Azure allows in one scale set.
fn lab_size(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|n| (1..=1000).contains(n))
        .ok_or_else(|| "a scale set has 1 to 1000 instances".into())
}

/// psping's habit: a number of probes, or a time.
fn count(text: &str) -> Result<Count, String> {
    if text.ends_with(|c: char| c.is_ascii_alphabetic()) {
        return duration::parse_limit(text).map(Count::Time);
    }
    text.parse()
        .map(Count::Probes)
        .map_err(|_| format!("\"{text}\" is neither a number of probes nor a time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_numbers_or_times() {
        assert_eq!(count("100"), Ok(Count::Probes(NonZeroU32::new(100).unwrap())));
        assert_eq!(count("10s"), Ok(Count::Time(Duration::from_secs(10))));
        for wrong in ["0", "-1", "", "0s", "ten"] {
            assert!(count(wrong).is_err(), "{wrong}");
        }
    }
}
