//! `vmssh trust`: the known host keys of instances.

mod add;
mod forget;
mod scan;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{
    args::{InstancesArgs, TargetArgs},
    context::Context,
    error::{Error, Kind},
    exit::Exit,
    load::{self, Loaded},
    sign_in,
};
use crate::{
    azure::Depth,
    natmap::{Endpoint, one_per_instance},
    ssh::Keyring,
};

/// Arguments of `vmssh trust`.
#[derive(Debug, Args)]
pub(super) struct TrustArgs {
    #[command(subcommand)]
    verb: TrustVerb,
}

#[derive(Debug, Subcommand)]
enum TrustVerb {
    /// Show what is on file for each instance
    Show(show::ShowArgs),
    /// File the host keys that instances have printed on their consoles, so that nobody has to say a blind yes.
    ///
    /// cloud-init prints keys and fingerprints at an instance's first start. The log is fetched from Azure's boot
    /// diagnostics (target GROUP/NAME) or read from a file. Keys are filed as they are; where the log has only
    /// fingerprints, the instance is asked for its keys and those that match are filed. What vmssh had on file of
    /// an earlier life goes.
    ///
    /// Exit status: 0 all are filed, 1 some could not be, 4 an instance shows other keys than its console.
    Add(add::AddArgs),
    /// Print the host keys that instances show, as known_hosts lines; nothing is filed
    Scan(scan::ScanArgs),
    /// Forget the host keys of instances, or of a name as known_hosts has it
    Forget(forget::ForgetArgs),
}

/// The file of known host keys.
#[derive(Debug, Clone, Args)]
struct FileArgs {
    /// The file of known host keys to use, and no other
    #[arg(long, value_name = "FILE", env = "VMSSH_KNOWN_HOSTS")]
    known_hosts: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, args: TrustArgs) -> Result<Exit, Error> {
    match args.verb {
        TrustVerb::Show(args) => show::run(context, &args).await,
        TrustVerb::Add(args) => add::run(context, &args).await,
        TrustVerb::Scan(args) => scan::run(context, &args).await,
        TrustVerb::Forget(args) => forget::run(context, &args).await,
    }
}

/// The instances that are meant, and the map that they are from.
async fn chosen(
    context: &Context,
    target: &TargetArgs,
    instances: &InstancesArgs,
) -> Result<(Loaded, Vec<Endpoint>), Error> {
    let wanted = load::Wanted { depth: Depth::Identity, backend_port: Some(instances.backend_port) };
    let loaded = load::load(context, target, wanted).await?;
    let set = instances.instances.clone().unwrap_or_default();
    load::say_warnings(context, &loaded.map, &set);
    let endpoints = one_per_instance(loaded.map.select(&set, Some(instances.backend_port))?);
    Ok((loaded, endpoints))
}

/// Reads what is on file.
fn keyring(context: &Context, file: &FileArgs, loaded: Option<&Loaded>) -> Result<Keyring, Error> {
    let files =
        sign_in::known_hosts(context, file.known_hosts.as_ref(), loaded.and_then(|l| l.lab.as_deref()))?;
    let keyring = Keyring::read(&files)?;
    keyring.notes().iter().for_each(|note| context.ui.note(note));
    Ok(keyring)
}

fn cannot_write(keyring: &Keyring, error: &std::io::Error) -> Error {
    let message = format!("can't change {}", keyring.own().display());
    Error::new(Kind::Other, message).caused_by(Some(error))
}
