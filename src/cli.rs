//! The command line: arguments in, exit status out. Everything of the process's own (streams,
//! environment, signals, prompts) is here and in `term`; the rules are below.

mod args;
mod askpass;
mod azure;
mod config;
mod context;
mod cp;
mod demo;
mod duration;
mod error;
mod exec;
mod exit;
mod forward;
mod interrupt;
mod inventory;
mod lab;
mod load;
mod map;
mod merge;
mod openssh;
mod password_file;
mod probe;
mod prompt;
mod session;
mod sign_in;
mod ssh;
mod ssh_config;
mod trust;
mod ui;
mod view;
mod way;

use std::{ffi::OsString, process::ExitCode, time::Duration};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, builder::styling};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt::writer::BoxMakeWriter,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use self::{
    args::GlobalArgs,
    context::Context,
    cp::CpArgs,
    error::{Error, Kind},
    exec::ExecArgs,
    exit::Exit,
    inventory::InventoryArgs,
    lab::LabArgs,
    map::MapArgs,
    merge::MergeArgs,
    probe::ProbeArgs,
    ssh::SshArgs,
    ssh_config::SshConfigArgs,
    trust::TrustArgs,
    ui::Messages,
};

/// As in the rest of the family (cargo, gh): headings and names set off, nothing garish.
const STYLES: styling::Styles = styling::Styles::styled()
    .header(styling::AnsiColor::Green.on_default().bold())
    .usage(styling::AnsiColor::Green.on_default().bold())
    .literal(styling::AnsiColor::Cyan.on_default());

/// Reach the instances of an Azure scale set: which port leads where, does it answer, get in.
///
/// TARGET is one of: `GROUP/NAME` or a full id (a scale set, asked from Azure), `@FILE`, `@DIR` or `-`
/// (what `az` printed of it), `HOST:PORT` or `HOST:START-END` (a plain NAT range, instance k = START +
/// k), `lab` (a simulated scale set on loopback, nothing else needed).
/// INSTANCES is a set: `3`, `0-9,12`, `web_*`, `!4` (all but).
#[derive(Debug, Parser)]
#[command(name = "vmssh", version, styles = STYLES, max_term_width = 100)]
#[command(
    after_help = "New here? `vmssh demo` shows the main job from start to end, on a simulated scale set."
)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show which frontend port leads to which instance, and what is wrong with the rules.
    ///
    /// Findings go to stderr, in JSON into the document; docs/findings.md explains each.
    ///
    /// Exit status: 0 the map could be made, 3 it could not, or what leads to the instances could not be read.
    Map(MapArgs),
    /// Probe the TCP ports of all instances at once: do they answer, and how fast.
    ///
    /// The round-trip time is the kernel's own measure of the handshake on Linux, where the handshake is
    /// also never completed: the server's program does not see the probe, so sshd neither logs it nor
    /// counts it (MaxStartups, PerSourcePenalties). Elsewhere the connection is opened and reset.
    ///
    /// Exit status: 0 every endpoint answers, 1 some don't, 3 no name could be resolved.
    // Here `-i` is the interval, as psping has it.
    #[command(mut_arg("identity", |arg| arg.short(None)))]
    Probe(ProbeArgs),
    /// Put runs of `vmssh probe -o json` together: shards, runs after each other, places side by side.
    ///
    /// The same endpoints' figures add up exactly, of each place (`--place`); of several places the table has
    /// a row per endpoint with each place's figures, and says what answers from one place and not from another.
    ///
    /// Exit status: 0 every endpoint answers everywhere, 1 some don't, 3 nothing could be read or resolved.
    Merge(MergeArgs),
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
    /// Copy files to all instances, or from them.
    ///
    /// What is on the instances has a colon in front: `cp TARGET 0-3 ./app.conf :/etc/app/` goes there,
    /// `cp TARGET 3 :/var/log/syslog .` comes from there. `{instance}` and `{name}` in paths are each instance's own.
    ///
    /// A file arrives under a temporary name beside its place and takes it when it is whole: what was there stays
    /// until then. Symbolic links and special files in folders are left out, with a note.
    ///
    /// Ctrl-C once starts nothing new, twice ends what runs, three times quits.
    ///
    /// Exit status: 0 all well, 1 some failed, 130 interrupted; 255 where the only instance failed.
    #[command(after_long_help = cp::EXAMPLES)]
    Cp(Box<CpArgs>),
    /// Print the instances as OpenSSH client configuration, for ssh, scp, rsync and git.
    ///
    /// `vmssh ssh-config TARGET > ~/.ssh/vmss.conf`, then `ssh -F ~/.ssh/vmss.conf web_3`; or for good with
    /// `Include vmss.conf` at the top of ~/.ssh/config, and then `ssh web_3`.
    ///
    /// A host is called as Azure calls the instance (`web_3`) and `SCALESET-ID` (`web-3`) where nobody else is;
    /// a second way in to one instance has `-2` behind it. Characters other than letters, digits, `_` and `-`
    /// become `_`. Host keys are looked up where vmssh files them, under the same names.
    SshConfig(SshConfigArgs),
    /// Print the instances as an Ansible inventory: a group by the scale set's name, a host for each instance.
    ///
    /// `vmssh inventory TARGET > vmss.yml`, then `ansible -i vmss.yml web -m ping`. Host keys are looked up
    /// where vmssh files them, under the same names. What is known of an instance is in its variables:
    /// vmss_instance_id, vmss_vm_id, vmss_power, vmss_private_address, vmss_scale_set, vmss_resource_group.
    #[command(after_long_help = inventory::SCRIPT)]
    Inventory(InventoryArgs),
    /// Take the command line of ssh(1), for programs that start `ssh`: rsync, git, scp, sftp, Ansible.
    ///
    /// `rsync -e 'vmssh openssh --target rg/web' file 3:/tmp/`, `GIT_SSH_COMMAND='vmssh openssh'`,
    /// `scp -S`, `ansible_ssh_executable`. With `--target TARGET` (or VMSSH_TARGET in the environment) HOST is an
    /// instance's id or name: the NAT map says what is dialled, and its key is filed under the instance. Without
    /// it HOST is any host, and ~/.ssh/config and ~/.ssh/known_hosts are used as ssh uses them.
    ///
    /// The program called by the name `ssh` (a link) is the same. Exit status: as ssh.
    #[command(disable_help_flag = true)]
    Openssh(OpensshArgs),
    /// Host keys: show what is on file, add what consoles have printed, scan, forget.
    ///
    /// Keys are filed in vmssh's own file, under the machine's vmId where Azure tells it. `~/.ssh/known_hosts` is
    /// read as well and never written.
    Trust(TrustArgs),
    /// A simulated scale set on loopback, to try things on
    Lab(LabArgs),
    /// Show the main job from start to end on a lab: map, probe, a command on all, a look inside
    Demo,
}

/// For the help only: the words are read by [`openssh`].
#[derive(Debug, clap::Args)]
struct OpensshArgs {
    /// The scale set whose instance HOST is
    #[arg(long, value_name = "TARGET")]
    target: Option<OsString>,
    /// Options, host and command as ssh(1) has them
    #[arg(value_name = "SSH ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
    /// Print help
    #[arg(long, action = clap::ArgAction::HelpLong)]
    help: Option<bool>,
}

/// After the verb has ended, tasks that still close connections get this long; nothing that matters
/// to the user waits for them.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Runs the program with the process's own arguments and gives its exit status.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let Some(line) = openssh::line(arguments.clone()) {
        return openssh::main(line);
    }
    let cli = match parse(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout with status 0, the rest to stderr with 2.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() };
        }
    };
    log(cli.global.verbose, &Messages::Stderr);
    let context = Context::new(&cli.global);
    work(&context, dispatch(&context, cli.verb)).into()
}

/// Does the work with all that it needs around it: the runtime, the stop signals, an orderly end.
fn work(context: &Context, work: impl Future<Output = Result<Exit, Error>>) -> Exit {
    // One thread does the network's work: a quarter less CPU than several, measured with 100 instances
    // (scripts/bench). Signals are listened to on another, as what is written here may block.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            ui::fatal(&format!("can't start: {error}"));
            return Exit::SomeFailed;
        }
    };
    let result = runtime.block_on(async {
        interrupt::listen(context)?;
        work.await
    });
    context.end_lab();
    runtime.shutdown_timeout(LAST_WORDS);
    let exit = match result {
        Err(error) if error.kind == Kind::ClosedPipe && context.interrupt.drain.is_cancelled() => {
            Exit::Interrupted
        }
        result => result.unwrap_or_else(|error| context.ui.error(&error)),
    };
    crate::term::restore();
    exit
}

/// Writes what happens on the way to stderr, as much as `--verbose` asks for. Only our own events: a
/// library's log of packets may have passwords in it.
fn log(verbose: u8, messages: &Messages) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let writer = match messages {
        Messages::Stderr => BoxMakeWriter::new(std::io::stderr),
        Messages::File(file) => BoxMakeWriter::new(file.clone()),
        Messages::Nowhere => BoxMakeWriter::new(std::io::sink),
    };
    // A file is read by programs.
    let colors = matches!(messages, Messages::Stderr);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false);
    let lines = if colors { lines } else { lines.with_ansi(false) };
    tracing_subscriber::registry().with(lines).with(Targets::new().with_target("vmssh", level)).init();
}

/// Reads arguments; the first is the program's name.
fn parse<I, T>(arguments: I) -> Result<Cli, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    Cli::from_arg_matches(&Cli::command().try_get_matches_from(arguments)?)
}

/// Runs one verb.
async fn dispatch(context: &Context, verb: Verb) -> Result<Exit, Error> {
    match verb {
        Verb::Map(args) => map::run(context, &args).await,
        Verb::Probe(args) => probe::run(context, &args).await,
        Verb::Merge(args) => merge::run(context, &args).await,
        Verb::Ssh(args) => ssh::run(context, args).await,
        Verb::Exec(args) => exec::run(context, args).await,
        Verb::Cp(args) => Box::pin(cp::run(context, *args)).await,
        Verb::SshConfig(args) => ssh_config::run(context, &args).await,
        Verb::Inventory(args) => inventory::run(context, &args).await,
        Verb::Openssh(OpensshArgs { .. }) => {
            Err(Error::new(Kind::Usage, "openssh takes no options of vmssh before it")
                .hint("name it first: `vmssh openssh ...`"))
        }
        Verb::Trust(args) => trust::run(context, args).await,
        Verb::Lab(args) => lab::run(context, args).await,
        Verb::Demo => Box::pin(demo::run(context)).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_defined() {
        super::Cli::command().debug_assert();
    }
}
