//! `vmssh map`: shows the NAT map.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{
    args::{Format, TargetArgs},
    context::Context,
    error::{Error, Kind},
    exit::Exit,
    load,
};
use crate::{
    azure::{Depth, save},
    natmap::{BackendPort, InstanceSet},
    report::{
        file::NewFile,
        map::{write_csv, write_json, write_jsonl, write_table},
    },
    resource::Resources,
};

/// Arguments of `vmssh map`.
#[derive(Debug, Args)]
pub(super) struct MapArgs {
    #[command(flatten)]
    pub(super) target: TargetArgs,
    /// Which instances to show [default: all]
    pub(super) instances: Option<InstanceSet>,
    /// Show only rules for this port on the instances
    #[arg(long, value_name = "PORT")]
    pub(super) backend_port: Option<BackendPort>,
    /// Also write all that is known into one document, which `@FILE` takes again; no keys or tags are in it
    #[arg(long, value_name = "FILE")]
    pub(super) save: Option<PathBuf>,
    /// How to show it
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub(super) output: Format,
}

pub(super) async fn run(context: &Context, args: &MapArgs) -> Result<Exit, Error> {
    let wanted = load::Wanted { depth: Depth::Full, backend_port: args.backend_port };
    let loaded = load::load_to_show(context, &args.target, wanted).await?;
    let set = args.instances.clone().unwrap_or_default();
    let map = loaded.map.restricted_to(&set, args.backend_port)?;
    context.ui.write(|out| match args.output {
        Format::Table => write_table(out, &map),
        Format::Json => write_json(out, &map),
        Format::Jsonl => write_jsonl(out, &map),
        Format::Csv => write_csv(out, &map),
    })?;
    if args.output != Format::Json {
        load::say_findings(context, &map.findings);
    }
    if let Some(path) = &args.save {
        save(path, loaded.resources.as_ref()).await?;
    }
    loaded.failure.map_or(Ok(Exit::Ok), Err)
}

/// Writes the documents that the map was made of.
async fn save(path: &Path, resources: Option<&Resources>) -> Result<(), Error> {
    let resources = resources.cloned().ok_or_else(|| {
        Error::new(Kind::Usage, "`--save` keeps Azure's documents, and this target has none")
    })?;
    let file = path.to_owned();
    tokio::task::spawn_blocking(move || NewFile::prepare(&file)?.write(|out| save::write(out, &resources)))
        .await
        .map_err(|error| Error::from_chain(Kind::Other, &error))?
        .map_err(|error| {
            Error::new(Kind::Other, format!("can't write {}", path.display())).caused_by(Some(&error))
        })
}
