//! `vmssh trust forget`.

use clap::Args;

use super::{
    super::{
        args::{AzureArgs, InstancesArgs, LabShape, TargetArgs},
        context::Context,
        error::Error,
        exit::Exit,
    },
    FileArgs,
};
use crate::{
    natmap::Host,
    ssh::{KnownKey, forget_in},
    target::UserTarget,
};

#[derive(Debug, Args)]
pub(super) struct ForgetArgs {
    /// A target, as of all verbs, or a name as known_hosts has it: a vmId, `[20.1.2.3]:50003`
    #[arg(value_name = "TARGET|NAME")]
    what: String,
    #[command(flatten)]
    instances: InstancesArgs,
    #[command(flatten)]
    file: FileArgs,
    /// The frontend's address, where the document does not tell it
    #[arg(long, value_name = "HOST")]
    address: Option<Host>,
    /// Which scale set, where saved documents speak of several
    #[arg(long, value_name = "NAME")]
    scale_set: Option<String>,
    #[command(flatten)]
    azure: AzureArgs,
    #[command(flatten)]
    lab: LabShape,
}

pub(super) async fn run(context: &Context, args: &ForgetArgs) -> Result<Exit, Error> {
    let (loaded, names) = match args.what.parse::<UserTarget>() {
        // What is no target is a name.
        Err(_) => (None, vec![args.what.clone()]),
        Ok(target) => {
            let target = TargetArgs {
                target,
                address: args.address.clone(),
                scale_set: args.scale_set.clone(),
                azure: args.azure.clone(),
                lab: args.lab.clone(),
            };
            let (loaded, endpoints) = super::chosen(context, &target, &args.instances).await?;
            (Some(loaded), endpoints.iter().map(|endpoint| endpoint.host_key_alias().to_string()).collect())
        }
    };
    let keyring = super::keyring(context, &args.file, loaded.as_ref())?;
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let forgotten = keyring.forget(&names).map_err(|error| super::cannot_write(&keyring, &error))?;
    context.ui.write(|out| {
        for key in &forgotten {
            writeln!(out, "forgotten: {}", described(key))?;
        }
        if forgotten.is_empty() {
            writeln!(out, "nothing is on file in {}", keyring.own().display())?;
        }
        Ok(())
    })?;
    let mut commands: Vec<_> = Vec::new();
    for name in &names {
        for key in keyring.elsewhere(&[name]) {
            let command = forget_in(&key.file, name, keyring.own());
            if !commands.contains(&command) {
                context.ui.warn(&format!("still on file, where vmssh does not write: {}", described(&key)));
                context.ui.hint(&format!("`{command}`"));
                commands.push(command);
            }
        }
    }
    Ok(Exit::Ok)
}

fn described(key: &KnownKey) -> String {
    let names = key.names.as_deref().unwrap_or("a hashed name");
    format!("{names} {} {} ({})", key.key_type, key.fingerprint, key.place())
}
