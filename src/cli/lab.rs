//! `vmssh lab up`: a lab for other terminals.

use std::{io::Write, path::Path};

use clap::{Args, Subcommand};

use super::{args::lab_size, context::Context, error::Error, exit::Exit};
use crate::{
    lab::{FaultSpec, Lab, LabOptions},
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
}

pub(super) async fn run(context: &Context, args: LabArgs) -> Result<Exit, Error> {
    let LabVerb::Up(LabUpArgs { instances, fault, port }) = args.verb;
    let options =
        LabOptions { instances, faults: fault, base_port: port, state_dir: context.config.temp_dir.clone() };
    let lab = context.lab(|| options).await?;
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
    if let Some(first) = lab.map().entries.first() {
        writeln!(
            out,
            "  ssh {user}@127.0.0.1 -p {} -i {key} -o IdentitiesOnly=yes -o UserKnownHostsFile={known_hosts}",
            first.port
        )?;
    }
    Ok(())
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    shlex::try_quote(&text).map_or_else(|_| text.to_string(), Into::into)
}
