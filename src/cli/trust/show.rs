//! `vmssh trust show`.

use clap::Args;

use super::{
    super::{
        args::{Format, InstancesArgs, TargetArgs},
        context::Context,
        error::{Error, Kind},
        exit::Exit,
    },
    FileArgs,
};
use crate::{
    fold::Fold,
    natmap::{Endpoint, display_endpoints},
    report::trust::{TrustRow, write_json, write_table},
    ssh::{KnownKey, Mark},
};

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    instances: InstancesArgs,
    #[command(flatten)]
    file: FileArgs,
    /// How to show it: table or json
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    output: Format,
}

pub(super) async fn run(context: &Context, args: &ShowArgs) -> Result<Exit, Error> {
    if !matches!(args.output, Format::Table | Format::Json) {
        return Err(Error::new(Kind::Usage, "`trust show` writes table and json"));
    }
    let (loaded, endpoints) = super::chosen(context, &args.target, &args.instances).await?;
    let keyring = super::keyring(context, &args.file, Some(&loaded))?;
    let known: Vec<_> = endpoints.iter().map(|endpoint| (endpoint, keyring.of(endpoint))).collect();
    let rows: Vec<_> = known.iter().flat_map(|(endpoint, keys)| rows(endpoint, keys)).collect();
    context.ui.write(|out| match args.output {
        Format::Json => write_json(out, &rows),
        _ => write_table(out, &rows),
    })?;
    let mut sharing: Fold<&str, &Endpoint> = Fold::default();
    for (endpoint, keys) in &known {
        let own = keys.iter().filter(|key| key.mark == Mark::None);
        let mut seen: Vec<&str> = own.map(|key| key.fingerprint.as_str()).collect();
        seen.sort_unstable();
        seen.dedup();
        seen.into_iter().for_each(|fingerprint| sharing.add(fingerprint, endpoint));
    }
    for (fingerprint, endpoints) in sharing.groups().iter().filter(|(_, sharing)| sharing.len() > 1) {
        let set = display_endpoints(endpoints);
        context.ui.warn(&format!(
            "{set} have the same host key ({fingerprint}): an image that was not generalised"
        ));
    }
    Ok(Exit::Ok)
}

fn rows(endpoint: &Endpoint, keys: &[KnownKey]) -> Vec<TrustRow> {
    let nothing = TrustRow {
        instance: endpoint.instance.clone(),
        label: endpoint.label(),
        endpoint: endpoint.to_string(),
        filed_under: endpoint.host_key_alias().to_string(),
        status: "none",
        key_type: None,
        fingerprint: None,
        since: None,
        file: None,
        line: None,
    };
    if keys.is_empty() {
        return vec![nothing];
    }
    let row = |key: &KnownKey| TrustRow {
        status: match key.mark {
            Mark::None => "known",
            Mark::CertAuthority => "cert-authority",
            Mark::Revoked => "revoked",
        },
        key_type: Some(key.key_type.clone()),
        fingerprint: Some(key.fingerprint.clone()),
        since: key.filed.as_ref().map(|filed| filed.date.clone()),
        file: Some(key.file.display().to_string()),
        line: key.line,
        ..nothing.clone()
    };
    keys.iter().map(row).collect()
}
