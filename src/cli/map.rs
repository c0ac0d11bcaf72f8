//! `vmssh map`: shows the NAT map.

use clap::Args;

use super::{
    args::{Format, TargetArgs},
    context::Context,
    error::Error,
    exit::Exit,
    load,
};
use crate::{
    natmap::{BackendPort, InstanceSet},
    report::map::{write_csv, write_json, write_jsonl, write_table},
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
    /// How to show it
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub(super) output: Format,
}

pub(super) async fn run(context: &Context, args: &MapArgs) -> Result<Exit, Error> {
    let loaded = load::load(context, &args.target).await?;
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
    Ok(Exit::Ok)
}
