//! `vmssh exec`: a command on all instances.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use clap::{Args, ValueEnum};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    args::{InstancesArgs, TargetArgs},
    context::Context,
    duration,
    error::{Error, Kind},
    exit::Exit,
    load,
    sign_in::{Access, Password, SignInArgs},
    ui::Ui,
    way::{self, WayArgs},
};
use crate::{
    azure::Depth,
    event::{FanoutEvent, Outcome},
    fanout::{self, command::CommandJob},
    natmap::{Endpoint, display_endpoints},
    net::descriptors,
    report::{
        exec::{ExecProgress, ExecReport, Options, View},
        summary,
    },
    script,
};

/// Arguments of `vmssh exec`.
#[derive(Debug, Args)]
pub(super) struct ExecArgs {
    #[command(flatten)]
    pub(super) target: TargetArgs,
    #[command(flatten)]
    pub(super) instances: InstancesArgs,
    #[command(flatten)]
    pub(super) sign_in: SignInArgs,
    #[command(flatten)]
    pub(super) way: WayArgs,
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

/// Events on their way to the screen. With at most 32 KiB of output each, 8 MiB of memory.
const EVENTS: usize = 256;

/// Descriptors a connection takes: its socket, and the copy that can end it.
pub(super) const DESCRIPTORS_EACH: usize = 2;

pub(super) async fn run(context: &Context, args: ExecArgs) -> Result<Exit, Error> {
    let command = script::command_line(&args.command)?;
    let wanted = load::Wanted { depth: Depth::Identity, backend_port: Some(args.instances.backend_port) };
    let loaded = load::load(context, &args.target, wanted).await?;
    let set = args.instances.instances.clone().unwrap_or_default();
    load::say_warnings(context, &loaded.map, &set);
    let wish = way::Wish {
        target: &args.target,
        sign_in: &args.sign_in,
        way: &args.way,
        loaded: &loaded,
        set: &set,
        backend_port: args.instances.backend_port,
        password: Password::IfToldSo,
    };
    // Two ways in are still one instance: the command must not run there twice.
    let access = context.unless_interrupted(way::access(context, &wish)).await?;
    let environments = access.environments(context);
    let Access { client, destinations, .. } = access;
    let endpoints: Vec<_> = destinations.iter().map(|destination| destination.endpoint.clone()).collect();
    raise_descriptors(context, args.parallel.get().min(endpoints.len()), DESCRIPTORS_EACH);

    let view = view(args.output);
    let (events, watcher) = watch_events(context, view, &args, &endpoints);
    let job =
        CommandJob { client: client.clone(), destinations, command, environments, timeout: args.timeout };
    let outcomes =
        fanout::run(Arc::new(job), endpoints.len(), args.parallel, &context.interrupt, events).await;
    client.settle().await;
    watcher.await.map_err(|error| Error::from_chain(Kind::Other, &error))??;
    conclude(context, view, &endpoints, &outcomes)
}

/// Says what the run came to, where the view has not, and gives the exit status.
fn conclude(
    context: &Context,
    view: View,
    endpoints: &[Endpoint],
    outcomes: &[Outcome],
) -> Result<Exit, Error> {
    let exit = exit(outcomes, context.interrupt.drain.is_cancelled());
    match outcomes {
        // One instance is like `ssh`: its failure is ours.
        [Outcome::Error(failure)] if exit != Exit::Interrupted => return Err(failure.clone().into()),
        [Outcome::Exited(_)] => {}
        _ if exit == Exit::Ok && view != View::Fold => {}
        _ => {
            let mut text = Vec::new();
            summary::write(&mut text, endpoints, outcomes).map_err(|error| Error::output(&error))?;
            context.ui.note(String::from_utf8_lossy(&text).trim_end());
        }
    }
    Ok(exit)
}

/// Makes room for so many instances at once, and says where there is none.
pub(super) fn raise_descriptors(context: &Context, at_once: usize, each: usize) {
    let wanted = at_once * each;
    if descriptors::raise(wanted) < wanted {
        context.ui.warn("this shell's limit of open files is low: with many instances at once some may fail");
        context.ui.hint("use fewer at once: `-P 32`, or raise the limit: `ulimit -n 4096`");
    }
}

/// Starts the thread that shows events, and gives the way to it.
fn watch_events(
    context: &Context,
    view: View,
    args: &ExecArgs,
    endpoints: &[Endpoint],
) -> (mpsc::Sender<FanoutEvent>, JoinHandle<Result<(), Error>>) {
    let report = ExecReport::new(Options {
        view,
        endpoints: endpoints.to_vec(),
        most_output: u64::from(args.max_output) << 20,
        out: context.ui.out_sink(),
        err: context.ui.err_sink(),
    });
    let (events, arriving) = mpsc::channel(EVENTS);
    let (ui, endpoints) = (context.ui.clone(), endpoints.to_vec());
    let watcher = tokio::task::spawn_blocking(move || watch(&ui, arriving, report, view, &endpoints));
    (events, watcher)
}

fn view(chosen: Option<ExecFormat>) -> View {
    match chosen {
        Some(ExecFormat::Fold) => View::Fold,
        Some(ExecFormat::Lines) => View::Lines,
        Some(ExecFormat::Json) => View::Json,
        Some(ExecFormat::Jsonl) => View::Jsonl,
        None if crate::term::stdout_is_terminal() => View::Fold,
        None => View::Lines,
    }
}

/// Shows events until there are no more. Runs on a thread of its own: a stopped terminal or a slow
/// pipe holds up this thread and, by the channel's bound, the instances, but no timer.
fn watch(
    ui: &Ui,
    mut arriving: mpsc::Receiver<FanoutEvent>,
    mut report: ExecReport,
    view: View,
    endpoints: &[Endpoint],
) -> Result<(), Error> {
    // Lines go to the terminal themselves; a bar would run between them.
    let mut progress = (view != View::Lines).then(|| ExecProgress::new(&ui.bars, endpoints.len()));
    while let Some(event) = arriving.blocking_recv() {
        if let Some(progress) = &mut progress {
            progress.event(&event);
        }
        if let FanoutEvent::Draining { running } = &event {
            say_draining(ui, running, endpoints);
        }
        report.event(event).map_err(|error| Error::output(&error))?;
        if arriving.is_empty() {
            report.flush().map_err(|error| Error::output(&error))?;
        }
    }
    drop(progress);
    report.finish().map_err(|error| Error::output(&error))
}

pub(super) fn say_draining(ui: &Ui, running: &[usize], endpoints: &[Endpoint]) {
    let still: Vec<_> = running.iter().filter_map(|index| endpoints.get(*index)).collect();
    ui.warn(&format!(
        "interrupted: nothing new is started; {} still running ({}); Ctrl-C again ends them",
        still.len(),
        display_endpoints(&still)
    ));
}

/// The exit status of a fan-out: on one instance what the command said, as `ssh` would.
pub(super) fn exit(outcomes: &[Outcome], interrupted: bool) -> Exit {
    match outcomes {
        _ if interrupted => Exit::Interrupted,
        [Outcome::Exited(exit)] => Exit::Remote(exit.status()),
        [_] => Exit::SESSION,
        outcomes if outcomes.iter().all(Outcome::is_ok) => Exit::Ok,
        _ => Exit::SomeFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Exit as RemoteExit, Failure, Stage};

    #[test]
    fn the_exit_status_says_what_became_of_the_run() {
        let ok = || Outcome::Exited(RemoteExit::Status(0));
        let failed = || Outcome::Exited(RemoteExit::Status(7));
        let error = || Outcome::Error(Failure::new(Stage::Connect, "connection refused"));
        assert_eq!(exit(&[ok(), ok()], false), Exit::Ok);
        assert_eq!(exit(&[ok(), failed()], false), Exit::SomeFailed);
        assert_eq!(exit(&[failed()], false).code(), 7);
        assert_eq!(exit(&[error()], false).code(), 255);
        assert_eq!(exit(&[ok(), ok()], true), Exit::Interrupted);
    }
}
