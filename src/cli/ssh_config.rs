//! `vmssh ssh-config`: the map as OpenSSH client configuration.

use clap::Args;

use super::{
    context::Context,
    error::Error,
    exit::Exit,
    view::{self, ViewArgs},
};
use crate::report::{hosts::Prefix, ssh_config};

/// Arguments of `vmssh ssh-config`.
#[derive(Debug, Args)]
pub(super) struct SshConfigArgs {
    #[command(flatten)]
    pub(super) view: ViewArgs,
    /// Stands in front of every host's name, to tell one scale set from another
    #[arg(long, value_name = "TEXT")]
    pub(super) prefix: Option<Prefix>,
}

pub(super) async fn run(context: &Context, args: &SshConfigArgs) -> Result<Exit, Error> {
    let view = view::view(context, &args.view, args.prefix.as_ref()).await?;
    let hosts = view.hosts(context)?;
    context.ui.write(|out| ssh_config::write(out, &hosts, &view.access))?;
    Ok(Exit::Ok)
}
