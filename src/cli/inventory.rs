//! `vmssh inventory`: the map as Ansible inventory.

use clap::Args;

use super::{
    context::Context,
    error::Error,
    exit::Exit,
    view::{self, ViewArgs},
};
use crate::report::inventory;

/// How to have Ansible ask each time.
pub(super) const SCRIPT: &str = "\
As an inventory script, asked whenever Ansible runs: make vmss.sh of these two lines and executable, then
`ansible -i ./vmss.sh web -m ping`.

    #!/bin/sh
    exec vmssh inventory TARGET \"$@\"";

/// Arguments of `vmssh inventory`.
#[derive(Debug, Args)]
pub(super) struct InventoryArgs {
    #[command(flatten)]
    pub(super) view: ViewArgs,
    /// Ansible's form: the only one so far, and the default
    #[arg(long)]
    pub(super) ansible: bool,
    /// Answer as an inventory script: all hosts with their variables, as JSON
    #[arg(long, conflicts_with = "host")]
    pub(super) list: bool,
    /// Answer as an inventory script: the variables of one host, as JSON; {} where there is none
    #[arg(long, value_name = "NAME")]
    pub(super) host: Option<String>,
}

pub(super) async fn run(context: &Context, args: &InventoryArgs) -> Result<Exit, Error> {
    let view = view::view(context, &args.view, None).await?;
    let hosts = view.hosts(context)?;
    context.ui.write(|out| match &args.host {
        Some(name) => inventory::write_host(out, &hosts, &view.access, name),
        None if args.list => inventory::write_list(out, &hosts, &view.access),
        None => inventory::write_yaml(out, &hosts, &view.access),
    })?;
    Ok(Exit::Ok)
}
