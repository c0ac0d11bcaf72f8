//! `vmssh trust scan`.

use std::time::Duration;

use clap::Args;
use futures_util::{StreamExt as _, stream};

use super::super::{
    args::{InstancesArgs, TargetArgs},
    context::Context,
    duration,
    error::Error,
    exit::Exit,
    sign_in,
};
use crate::{
    event::Failure,
    fold::Fold,
    natmap::{Endpoint, display_endpoints},
    ssh::{Client, HostKey},
};

#[derive(Debug, Args)]
pub(super) struct ScanArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    instances: InstancesArgs,
    /// Time limit of each connection
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration::parse_limit)]
    connect_timeout: Duration,
}

/// Endpoints scanned at once: five connections each, one after the other, and sshd lets ten wait by default
/// (MaxStartups), which behind one address are one machine's each.
const AT_ONCE: usize = 50;

pub(super) async fn run(context: &Context, args: &ScanArgs) -> Result<Exit, Error> {
    let (_loaded, endpoints) = super::chosen(context, &args.target, &args.instances).await?;
    let client = sign_in::client(context);
    let scanned = all(&client, &endpoints, args.connect_timeout);
    let scanned = context.unless_interrupted(async { Ok(scanned.await) }).await?;
    let (mut keys, mut failures) = (Fold::default(), Fold::default());
    for (endpoint, result) in endpoints.iter().zip(scanned) {
        match result {
            Ok(shown) => shown.iter().for_each(|key| keys.add((key.text(), key.fingerprint()), endpoint)),
            Err(failure) => failures.add(failure.to_string(), endpoint),
        }
    }
    context.ui.write(|out| {
        for ((key, fingerprint), endpoints) in keys.groups() {
            let names: Vec<_> =
                endpoints.iter().map(|endpoint| endpoint.host_key_alias().to_string()).collect();
            writeln!(out, "{} {key} {fingerprint}", names.join(","))?;
        }
        out.flush()
    })?;
    for ((_, fingerprint), endpoints) in keys.groups().iter().filter(|(_, sharing)| sharing.len() > 1) {
        let set = display_endpoints(endpoints);
        context.ui.warn(&format!(
            "{set} have the same host key ({fingerprint}): an image that was not generalised"
        ));
    }
    for (failure, endpoints) in failures.groups() {
        context.ui.warn(&format!("{}: {failure}", display_endpoints(endpoints)));
    }
    Ok(if failures.groups().is_empty() { Exit::Ok } else { Exit::SomeFailed })
}

/// The keys of all, in order.
pub(super) async fn all(
    client: &Client,
    endpoints: &[Endpoint],
    limit: Duration,
) -> Vec<Result<Vec<HostKey>, Failure>> {
    let one = |endpoint: Endpoint| {
        let client = client.clone();
        async move { client.scan(&endpoint, limit).await }
    };
    stream::iter(endpoints.to_vec()).map(one).buffered(AT_ONCE).collect().await
}
