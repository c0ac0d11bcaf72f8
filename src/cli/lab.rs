//! `vmssh lab up`: a lab for other terminals.

use std::{io::Write, path::Path};

use clap::{Args, Subcommand};

use super::{args::lab_size, context::Context, error::Error, exit::Exit};
use crate::{
    lab::{FaultSpec, Lab, LabOptions, azure::AzureFaultSpec},
    report,
};

/// Arguments of `vmssh lab`.
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
    /// Answer for the lab as Azure would, on a port of its own
    #[arg(long)]
    pub(super) azure: bool,
    /// What is wrong with that Azure: throttle, slow=3s, forbidden=networkSecurityGroups, throttle=5s,3x,loadBalancers;
    /// throttle|slow|broken|html|forbidden|unavailable|drop|expired
    #[arg(long, value_name = "FAULT", requires = "azure")]
    pub(super) azure_fault: Vec<AzureFaultSpec>,
}

pub(super) async fn run(context: &Context, args: LabArgs) -> Result<Exit, Error> {
    let LabVerb::Up(args) = args.verb;
    let options = LabOptions {
        instances: args.instances,
        faults: args.fault,
        base_port: args.port,
        azure: args.azure.then_some(args.azure_fault),
        state_dir: context.config.temp_dir.clone(),
    };
    let lab = context.lab(|| options).await?;
    lab.write_documents()?;
    context.ui.write(|out| {
        report::map::write_table(out, lab.map())?;
        write_use(out, &lab)
    })?;
    drop(lab);
    context.ui.note("The lab runs until Ctrl-C.");
    context.interrupt.drain.cancelled().await;
    Ok(Exit::Ok)
}

/// Says how other terminals use the lab, in commands to paste.
fn write_use(out: &mut dyn Write, lab: &Lab) -> std::io::Result<()> {
    let files = [lab.connection_info_file(), lab.nat_pool_file(), lab.key_file(), lab.known_hosts_file()];
    let [info, pool, key, known_hosts] = files.map(quoted);
    let user = lab.user();
    writeln!(out, "\nFrom another terminal:")?;
    writeln!(out, "  vmssh map @{info}")?;
    writeln!(out, "  vmssh map @{pool} --address 127.0.0.1")?;
    writeln!(out, "  vmssh probe @{info}")?;
    writeln!(out, "  vmssh ssh {user}@@{info} 0 -i {key} --known-hosts {known_hosts}")?;
    writeln!(out, "  vmssh exec {user}@@{info} -i {key} --known-hosts {known_hosts} -- hostname")?;
    writeln!(out, "  vmssh cp {user}@@{info} FILE : -i {key} --known-hosts {known_hosts}")?;
    if let Some(first) = lab.map().entries.first() {
        writeln!(
            out,
            "  ssh {user}@127.0.0.1 -p {} -i {key} -o IdentitiesOnly=yes -o UserKnownHostsFile={known_hosts}",
            first.port
        )?;
    }
    write_azure_use(out, lab)
}

/// Says how the lab is asked for as from Azure: by the variables of a managed identity.
fn write_azure_use(out: &mut dyn Write, lab: &Lab) -> std::io::Result<()> {
    let Some(azure) = lab.azure() else { return Ok(()) };
    let (group, name) = lab.group_and_name();
    writeln!(
        out,
        "  export AZURE_RESOURCE_MANAGER_ENDPOINT={} IDENTITY_ENDPOINT={} IDENTITY_HEADER={} AZURE_SUBSCRIPTION_ID={}",
        azure.endpoint(),
        azure.identity_endpoint(),
        azure.identity_header(),
        azure.world().subscription()
    )?;
    let [key, known_hosts] = [lab.key_file(), lab.known_hosts_file()].map(quoted);
    writeln!(out, "  vmssh map {group}/{name}")?;
    writeln!(out, "  vmssh exec {group}/{name} -i {key} --known-hosts {known_hosts} -- hostname")
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    shlex::try_quote(&text).map_or_else(|_| text.to_string(), Into::into)
}
