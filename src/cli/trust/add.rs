//! `vmssh trust add`.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use futures_util::{StreamExt as _, stream};

use super::{
    super::{
        args::{InstancesArgs, TargetArgs},
        azure,
        context::Context,
        duration,
        error::{Error, Kind},
        exit::Exit,
        load::Loaded,
        sign_in,
    },
    FileArgs, scan,
};
use crate::{
    azure::boot_log,
    clean::clean_line,
    console::{self, ConsoleKeys},
    fold::Fold,
    natmap::{Endpoint, display_endpoints},
    ssh::{Added, Client, HostKey, Keyring, KnownKey, NameHashing},
    target::Target,
};

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    instances: InstancesArgs,
    /// The console's log of one instance, `-` for standard input [default: asked from Azure]
    #[arg(long, value_name = "FILE")]
    from_console_log: Option<PathBuf>,
    #[command(flatten)]
    file: FileArgs,
    /// File them under hashed names, as `HashKnownHosts` of OpenSSH does
    #[arg(long)]
    hash: bool,
    /// Time limit of each connection, where the log has fingerprints only
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration::parse_limit)]
    connect_timeout: Duration,
}

/// Logs fetched at once: Azure counts these calls, and each is a megabyte.
const AT_ONCE: usize = 8;

/// The longest log that is read, in bytes.
const LONGEST: u64 = 16 << 20;

/// What came of an instance.
enum Done {
    Well(&'static str),
    Failed(String),
    /// Its console and what it shows, or what is on file, are not one.
    Refused(String),
}

pub(super) async fn run(context: &Context, args: &AddArgs) -> Result<Exit, Error> {
    let (loaded, endpoints) = super::chosen(context, &args.target, &args.instances).await?;
    let logs = context.unless_interrupted(logs(context, args, &loaded, &endpoints)).await?;
    let keyring = super::keyring(context, &args.file, Some(&loaded))?;
    let client = sign_in::client(context);
    let (mut well, mut failed, mut refused) = (Fold::default(), Fold::default(), Fold::default());
    for (endpoint, log) in endpoints.iter().zip(logs) {
        let adding = async { Ok(add(args, &loaded, &keyring, &client, endpoint, log).await) };
        match context.unless_interrupted(adding).await? {
            Done::Well(what) => well.add(what, endpoint),
            Done::Failed(why) => failed.add(why, endpoint),
            Done::Refused(why) => refused.add(why, endpoint),
        }
    }
    context.ui.write(|out| {
        well.groups().iter().try_for_each(|(what, set)| writeln!(out, "{}: {what}", display_endpoints(set)))
    })?;
    for (why, set) in failed.groups().iter().chain(refused.groups()) {
        context.ui.warn(&format!("{}: {why}", display_endpoints(set)));
    }
    if !failed.groups().is_empty() {
        context.ui.hint(
            "cloud-init prints host keys at the first start only; `az vmss run-command invoke -g GROUP -n NAME \
             --instance-id N --command-id RunShellScript --scripts 'cat /etc/ssh/ssh_host_*.pub'` asks the instance itself",
        );
    }
    Ok(match (refused.groups(), failed.groups()) {
        ([], []) => Exit::Ok,
        ([], _) => Exit::SomeFailed,
        _ => Exit::Refused,
    })
}

type Logs = Vec<Result<String, String>>;

/// The log of each endpoint, or why there is none.
async fn logs(
    context: &Context,
    args: &AddArgs,
    loaded: &Loaded,
    endpoints: &[Endpoint],
) -> Result<Logs, Error> {
    if let Some(path) = &args.from_console_log {
        if endpoints.len() != 1 {
            let message = format!("a log is of one instance, and this names {}", endpoints.len());
            return Err(Error::new(Kind::Usage, message)
                .hint("name the one that it is of: `vmssh trust add TARGET N --from-console-log FILE`"));
        }
        return Ok(vec![Ok(read(path)?)]);
    }
    if let Some(lab) = &loaded.lab {
        let log = |endpoint: &Endpoint| {
            let log = endpoint.instance.as_ref().and_then(|id| lab.console_log(id));
            log.map(Into::into).ok_or_else(|| "there is no log".into())
        };
        return Ok(endpoints.iter().map(log).collect());
    }
    let Target::Azure(set) = &args.target.target.target else {
        return Err(Error::new(
            Kind::Usage,
            "only for a target GROUP/NAME the console's log can be asked from Azure",
        )
        .hint("give one: `--from-console-log FILE`"));
    };
    let azure = azure::connect(context, &args.target.azure, set.subscription.as_deref())?;
    let machines =
        loaded.resources.as_ref().map(|resources| resources.machines.as_slice()).unwrap_or_default();
    let fetch = |endpoint: &Endpoint| {
        let machine = machines.iter().find(|machine| Some(&machine.instance) == endpoint.instance.as_ref());
        let (arm, machine, what) =
            (azure.arm.clone(), machine.map(|m| m.id.clone()), format!("instance {}", endpoint.label()));
        async move {
            let machine = machine.ok_or("Azure does not list it")?;
            match boot_log::read(&arm, &machine, &what).await {
                Ok(log) => Ok(String::from_utf8_lossy(&log).into_owned()),
                Err(error) => {
                    let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
                    Err(format!("{error}{hint}"))
                }
            }
        }
    };
    let fetching: Vec<_> = endpoints.iter().map(fetch).collect();
    Ok(stream::iter(fetching).buffered(AT_ONCE).collect().await)
}

fn read(path: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(LONGEST).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes))
    };
    read.map_err(|error| {
        Error::new(Kind::Usage, format!("can't read {}", path.display())).caused_by(Some(&error))
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn add(
    args: &AddArgs,
    loaded: &Loaded,
    keyring: &Keyring,
    client: &Client,
    endpoint: &Endpoint,
    log: Result<String, String>,
) -> Done {
    let printed = match log.and_then(|log| console::host_keys(&log).map_err(|error| error.to_string())) {
        Ok(printed) => printed,
        Err(why) => return Done::Failed(why),
    };
    let keys = match vouched(args, client, endpoint, &printed).await {
        Ok(keys) => keys,
        Err(done) => return done,
    };
    let hashing = if args.hash { NameHashing::Always } else { NameHashing::AsTheFile };
    let scale_set = loaded.map.scale_set.as_ref().map(|set| set.name.as_str());
    match keyring.add(endpoint, &keys, scale_set, hashing) {
        Ok(Added::Known) => Done::Well("known already"),
        Ok(Added::Filed) => Done::Well("filed"),
        Ok(Added::Replaced(_)) => Done::Well("filed in place of older keys"),
        Ok(Added::Contradicted(known)) => {
            let places: Vec<_> = known.iter().map(KnownKey::place).collect();
            Done::Refused(format!("another key is on file at {}", places.join(", ")))
        }
        Ok(Added::Revoked(known)) => {
            Done::Refused(format!("the key is marked @revoked at {}", known.place()))
        }
        Err(error) => Done::Failed(format!("can't change {}: {error}", keyring.own().display())),
    }
}

/// The keys that a log vouches for: those that it has, else those that the instance shows and whose
/// fingerprints it has.
async fn vouched(
    args: &AddArgs,
    client: &Client,
    endpoint: &Endpoint,
    printed: &ConsoleKeys,
) -> Result<Vec<HostKey>, Done> {
    let is_printed = |key: &HostKey| printed.fingerprints.contains(&key.fingerprint());
    // Types that are not known here (DSA) and lines that a kernel message has cut are left out.
    let keys: Vec<_> = printed.keys.iter().filter_map(|key| HostKey::read(key)).collect();
    if !keys.is_empty() {
        if !printed.fingerprints.is_empty() && !keys.iter().all(is_printed) {
            return Err(Done::Refused("the log's keys and fingerprints contradict each other".into()));
        }
        return Ok(keys);
    }
    if printed.fingerprints.is_empty() {
        return Err(Done::Failed("the log has no key that can be used".into()));
    }
    let shown = scan::all(client, std::slice::from_ref(endpoint), args.connect_timeout).await;
    match shown.into_iter().next() {
        Some(Ok(shown)) => {
            let (good, strange): (Vec<_>, Vec<_>) = shown.into_iter().partition(is_printed);
            match strange.first() {
                None => Ok(good),
                Some(key) => Err(Done::Refused(format!(
                    "it shows a key that its console did not print ({} {}): reimaged since, or somebody is in between",
                    clean_line(&key.key_type()),
                    key.fingerprint()
                ))),
            }
        }
        Some(Err(failure)) => Err(Done::Failed(failure.to_string())),
        None => Err(Done::Failed("it could not be asked".into())),
    }
}
