//! `--metrics`: the run's figures over HTTP, from before its first probe to its end.

use std::{io, sync::Arc};

use tokio_util::task::AbortOnDropHandle;

use crate::{
    cli::{
        context::Context,
        error::{Error, Kind},
    },
    merge::Run,
    natmap::Endpoint,
    report::metrics::{Format, Metrics, MetricsWatch},
    serve::{ListenAddress, Listener, Page},
};

/// Takes the address, before anything else is done: an address that is taken should not cost a run.
pub(super) async fn listen(
    context: &Context,
    address: Option<ListenAddress>,
) -> Result<Option<Listener>, Error> {
    let Some(address) = address else { return Ok(None) };
    let listener = Listener::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => "another program has it: choose another port, or port 0 for any free one",
            io::ErrorKind::AddrNotAvailable => {
                "it is not one of this machine's addresses: `:9464` is this machine only, `0.0.0.0:9464` all of them"
            }
            io::ErrorKind::PermissionDenied => "ports below 1024 are for root: choose a higher one",
            _ => "choose another address with `--metrics ADDR`",
        };
        Error::new(Kind::Usage, format!("can't serve metrics on {address}")).caused_by(Some(&error)).hint(hint)
    })?;
    context.ui.note(&format!("metrics at http://{}/metrics", listener.address()));
    Ok(Some(listener))
}

/// Serves the figures of a run while the handle is kept; gives who has to be told of its probes.
pub(super) fn serve(
    listener: Listener,
    endpoints: &[Endpoint],
    run: &Run,
) -> (MetricsWatch, AbortOnDropHandle<()>) {
    let started = run.started.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let metrics = Arc::new(Metrics::new(endpoints, run.scale_set.as_deref(), started));
    let shared = Arc::clone(&metrics);
    let page = move |accept: &str| {
        let format = Format::for_accept(accept);
        Page { content_type: format.content_type(), text: shared.text(format) }
    };
    (MetricsWatch(metrics), listener.serve(Arc::new(page)))
}
