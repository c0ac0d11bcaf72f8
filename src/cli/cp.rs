//! `vmssh cp`: files to all instances, or from them.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::{Args, ValueEnum};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    args::{DEFAULT_BACKEND_PORT, TargetArgs},
    context::Context,
    duration,
    error::{Error, Kind},
    exec,
    exit::Exit,
    load,
    sign_in::{Access, Password, SignInArgs},
    way::{self, WayArgs},
};
use crate::{
    azure::Depth,
    copy::{
        Manner,
        place::{PlaceError, collision, fill},
        request::{Request, RequestError, base_name},
    },
    event::{Failure, FanoutEvent, Outcome},
    fanout::{
        self,
        copy::{CopyJob, FILES_AT_ONCE, Source, Work, share},
    },
    natmap::{BackendPort, Endpoint, InstanceSet},
    report::{
        copy::{self as report, CopyProgress, Form, Part},
        summary,
    },
    tree::{self, ItemKind},
};

pub(super) const EXAMPLES: &str = "\
Examples:
  vmssh cp 20.1.2.3:50000-50009 0-3 ./app.conf :/etc/app/       a file into a folder of four instances
  vmssh cp prod-rg/web ./app.conf :                             to the home folder on all of them
  vmssh cp prod-rg/web -rp ./site :/var/www/                    a folder, with modes and times
  vmssh cp prod-rg/web 3 :/var/log/syslog .                     a file from one instance
  vmssh cp prod-rg/web :/var/log/syslog './logs/{instance}/'    from all, to a folder of each one's own
  vmssh cp prod-rg/web './keys/{name}.pem' :key.pem             to each its own

A plain word in front of several files may be a file or an instance's name: write `./NAME` for a file and
`--instances NAME` for an instance. A folder that is written with `/` at its end is made where there is none.";

/// Arguments of `vmssh cp`.
#[derive(Debug, Args)]
pub(super) struct CpArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Which instances (a set: 3 or 0-9,12 or web_*) [default: all]; then what to copy, and where to. `:` in front
    /// means on the instances
    #[arg(value_name = "[INSTANCES] SOURCE... DEST", required = true, num_args = 1..)]
    words: Vec<String>,
    /// Which instances; then every word is a path
    #[arg(long, value_name = "SET")]
    instances: Option<InstanceSet>,
    /// The port on the instances whose rules to use, where the target tells it
    #[arg(long, value_name = "PORT", default_value = DEFAULT_BACKEND_PORT)]
    backend_port: BackendPort,
    #[command(flatten)]
    sign_in: SignInArgs,
    #[command(flatten)]
    way: WayArgs,
    /// Copy folders too, with all that is in them
    #[arg(short, long)]
    recursive: bool,
    /// Keep modes and times; else a new file's mode follows the source's and the umask, and a replaced one's stays
    #[arg(short, long)]
    preserve: bool,
    /// Go on with what an earlier run left of the same file (size, time and name); to an instance every byte of it is
    /// compared, from one the last MiB
    #[arg(long)]
    resume: bool,
    /// Read both sides again before a file takes its place and compare their SHA-256: every file crosses the
    /// network twice
    #[arg(long)]
    checksum: bool,
    /// Most instances worked on at once
    #[arg(short = 'P', long, value_name = "N", default_value = "100")]
    parallel: NonZeroUsize,
    /// Time limit of the copying on each instance [default: none]
    #[arg(long, value_name = "TIME", value_parser = duration::parse_limit)]
    timeout: Option<Duration>,
    /// How to tell what became of each instance
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<CpFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CpFormat {
    /// One document
    Json,
    /// One object per instance
    Jsonl,
}

/// Events on their way to the screen: notes, and what became of instances.
const EVENTS: usize = 256;

pub(super) async fn run(context: &Context, args: CpArgs) -> Result<Exit, Error> {
    let (set, request) = Request::read(&args.words, args.instances.is_some())?;
    let set = match (set, &args.instances) {
        (Some(text), _) => {
            text.parse().map_err(|e: crate::natmap::InstanceSetError| Error::from_chain(Kind::Usage, &e))?
        }
        (None, Some(set)) => set.clone(),
        (None, None) => InstanceSet::default(),
    };
    let wanted = load::Wanted { depth: Depth::Identity, backend_port: Some(args.backend_port) };
    let loaded = load::load(context, &args.target, wanted).await?;
    load::say_warnings(context, &loaded.map, &set);
    let wish = way::Wish {
        target: &args.target,
        sign_in: &args.sign_in,
        way: &args.way,
        loaded: &loaded,
        set: &set,
        backend_port: args.backend_port,
        password: Password::IfToldSo,
    };
    let access = context.unless_interrupted(way::access(context, &wish)).await?;
    let Access { client, destinations, .. } = access;
    let endpoints: Vec<_> = destinations.iter().map(|destination| destination.endpoint.clone()).collect();
    let work = work(context, &request, &endpoints, args.recursive).await?;
    let at_once = args.parallel.get().min(endpoints.len());
    exec::raise_descriptors(context, at_once, exec::DESCRIPTORS_EACH + FILES_AT_ONCE);

    let progress = Arc::new(CopyProgress::new(&context.ui.bars, endpoints.len()));
    let (events, watcher) = watch_events(context, &progress, &endpoints);
    let job = CopyJob {
        client: client.clone().with_window(share(at_once)),
        destinations,
        work,
        manner: manner(&args),
        share: share(at_once),
        timeout: args.timeout,
        watch: progress.clone(),
    };
    let outcomes =
        fanout::run(Arc::new(job), endpoints.len(), args.parallel, &context.interrupt, events).await;
    client.settle().await;
    let times = watcher.await.map_err(|error| Error::from_chain(Kind::Other, &error))?;
    let time = |index| times.get(&index).copied().unwrap_or_default();
    let parts: Vec<Part> = outcomes.into_iter().enumerate().map(|(i, outcome)| (outcome, time(i))).collect();
    conclude(context, args.output, &endpoints, &parts, &progress)
}

fn manner(args: &CpArgs) -> Manner {
    Manner {
        folders: args.recursive.into(),
        preserve: args.preserve.into(),
        resume: args.resume.into(),
        verify: args.checksum.into(),
    }
}

/// What each instance gets or gives.
async fn work(
    context: &Context,
    request: &Request,
    endpoints: &[Endpoint],
    folders: bool,
) -> Result<Vec<Work>, Error> {
    let (request, endpoints) = (request.clone(), endpoints.to_vec());
    let work = tokio::task::spawn_blocking(move || match request {
        Request::Push { from, to } => pushes(&from, &to, &endpoints, folders),
        Request::Pull { from, to } => pulls(&from, &to, &endpoints),
    });
    // Listing a large folder takes its time.
    context
        .unless_interrupted(async { work.await.map_err(|error| Error::from_chain(Kind::Other, &error))? })
        .await
}

fn pushes(from: &[String], to: &str, endpoints: &[Endpoint], folders: bool) -> Result<Vec<Work>, Error> {
    // Read once, however many instances get it.
    let mut known: HashMap<String, Arc<Source>> = HashMap::new();
    let mut work = Vec::new();
    for endpoint in endpoints {
        let mut sources = Vec::new();
        for path in from {
            let path = fill(path, endpoint)?;
            let source = match known.get(&path) {
                Some(source) => source.clone(),
                None => Arc::new(source(&path, folders)?),
            };
            known.insert(path, source.clone());
            sources.push(source);
        }
        work.push(Work::Push { sources, to: fill(to, endpoint)?.into_bytes() });
    }
    Ok(work)
}

fn source(path: &str, folders: bool) -> Result<Source, Error> {
    let failed = |path: &Path, error: &std::io::Error| {
        Error::new(Kind::Usage, format!("can't read {}", path.display())).caused_by(Some(error))
    };
    let listing = tree::list(Path::new(path)).map_err(|(path, error)| failed(&path, &error))?;
    match listing.items.first() {
        None => return Err(Error::new(Kind::Usage, format!("{path} is no file and no folder"))),
        Some(first) if first.kind == ItemKind::Folder && !folders => {
            return Err(Error::new(Kind::Usage, format!("{path} is a folder"))
                .hint("copy it with all that is in it: `-r`"));
        }
        Some(_) => {}
    }
    Ok(Source { name: base_name(path.as_bytes()).map(<[u8]>::to_vec), listing })
}

fn pulls(from: &[String], to: &str, endpoints: &[Endpoint]) -> Result<Vec<Work>, Error> {
    let mut work = Vec::new();
    let mut places = Vec::new();
    for endpoint in endpoints {
        let folder = PathBuf::from(fill(to, endpoint)?);
        let into = folder.is_dir() || to.ends_with('/');
        if from.len() > 1 && !into {
            return Err(Error::new(Kind::Usage, format!("{} is no folder", folder.display()))
                .hint("several files go into a folder: write a `/` behind it, and it is made"));
        }
        let (mut remote, mut local) = (Vec::new(), Vec::new());
        for path in from {
            let path = fill(path, endpoint)?.into_bytes();
            let name = base_name(&path).filter(|_| into).and_then(tree::from_bytes);
            local.push(name.map_or_else(|| folder.clone(), |name| folder.join(name)));
            remote.push(path);
        }
        places.push(local.clone());
        work.push((Work::Pull { from: remote, to: local }, folder, into));
    }
    if let Some((one, other)) = collision(&places) {
        let label = |index: usize| endpoints.get(index).map(Endpoint::label).unwrap_or_default();
        let both = format!("what comes from {} and {} would be one file here", label(one), label(other));
        return Err(Error::new(Kind::Usage, both).hint(format!(
            "give each a place of its own: `{}/{{instance}}/`, or `{{instance}}` in the file's name",
            to.trim_end_matches('/')
        )));
    }
    // Nothing is made before all is known to be right.
    for (_, folder, into) in &work {
        let made = if *into { folder.as_path() } else { folder.parent().unwrap_or(Path::new("")) };
        if *into && !made.as_os_str().is_empty() {
            std::fs::create_dir_all(made).map_err(|error| {
                Error::new(Kind::Other, format!("can't make the folder {}", made.display()))
                    .caused_by(Some(&error))
            })?;
        }
    }
    Ok(work.into_iter().map(|(work, ..)| work).collect())
}

/// Starts the thread that shows events, and gives the way to it. Its end tells how long each instance took.
fn watch_events(
    context: &Context,
    progress: &Arc<CopyProgress>,
    endpoints: &[Endpoint],
) -> (mpsc::Sender<FanoutEvent>, JoinHandle<HashMap<usize, Duration>>) {
    let (events, mut arriving) = mpsc::channel(EVENTS);
    let (ui, progress, endpoints) = (context.ui.clone(), progress.clone(), endpoints.to_vec());
    let watcher = tokio::task::spawn_blocking(move || {
        let mut times = HashMap::new();
        while let Some(event) = arriving.blocking_recv() {
            progress.event(&event);
            match event {
                FanoutEvent::Draining { running } => exec::say_draining(&ui, &running, &endpoints),
                FanoutEvent::Output { index, bytes, .. } => {
                    ui.note(&report::note(endpoints.get(index), &bytes));
                }
                FanoutEvent::Finished { index, duration, .. } => _ = times.insert(index, duration),
                FanoutEvent::Started { .. } => {}
            }
        }
        progress.clear();
        times
    });
    (events, watcher)
}

/// Says what the run came to, and gives the exit status.
fn conclude(
    context: &Context,
    output: Option<CpFormat>,
    endpoints: &[Endpoint],
    parts: &[Part],
    progress: &CopyProgress,
) -> Result<Exit, Error> {
    let form = output.map(|output| match output {
        CpFormat::Json => Form::Json,
        CpFormat::Jsonl => Form::Jsonl,
    });
    if let Some(form) = form {
        context.ui.write(|out| report::write(out, form, endpoints, parts, progress))?;
    }
    let outcomes: Vec<_> = parts.iter().map(|(outcome, _)| outcome.clone()).collect();
    let exit = exec::exit(&outcomes, context.interrupt.drain.is_cancelled());
    match outcomes.as_slice() {
        // One instance is like `scp`: its failure is ours.
        [Outcome::Error(failure)] if exit != Exit::Interrupted => return Err(failure.clone().into()),
        [Outcome::Error(Failure { hint: Some(hint), .. })] => context.ui.hint(hint),
        [_] => {}
        _ if exit == Exit::Ok && form.is_some() => {}
        outcomes => {
            let mut text = Vec::new();
            summary::write(&mut text, endpoints, outcomes).map_err(|error| Error::output(&error))?;
            context.ui.note(String::from_utf8_lossy(&text).trim_end());
        }
    }
    Ok(exit)
}

impl From<PlaceError> for Error {
    fn from(error: PlaceError) -> Self {
        Self::from_chain(Kind::Usage, &error).hint("use `{instance}`, or a target that tells names")
    }
}

impl From<RequestError> for Error {
    fn from(error: RequestError) -> Self {
        let hint = match &error {
            RequestError::TooFew | RequestError::AllLocal(..) => {
                "what is on the instances has a colon in front: `cp TARGET ./FILE :/FOLDER/`, `cp TARGET 3 :/FILE .`".to_owned()
            }
            RequestError::AllRemote | RequestError::Mixed => {
                "copy them here first, with `cp TARGET 3 :/FILE .`, then from here".into()
            }
            RequestError::Ambiguous(word) => {
                format!("write `./{word}` for a file, or `--instances {word}` for instances")
            }
            RequestError::Empty => "write `.` for this folder, `:` for the home folder on the instances".into(),
        };
        Self::from_chain(Kind::Usage, &error).hint(hint)
    }
}
