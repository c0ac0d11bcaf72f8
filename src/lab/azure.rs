//! The lab's Azure: Azure Resource Manager and its sign-in on loopback, over plain HTTP.
//!
//! It serves a [`World`] of documents and answers as ARM does: tokens and api-versions are
//! wanted, lists come in pages, errors have ARM's bodies. Faults can be switched on
//! ([`AzureFaultSpec`]), and what was asked is written down ([`AzureServer::requests`]).
//!
//! The sources of what it imitates: the Azure REST API reference (learn.microsoft.com/rest/api),
//! the specifications in azure-rest-api-specs, and answers recorded in azure-cli's tests.

mod answer;
mod boot_log;
mod documents;
mod fault;
mod flat;
mod list;
mod log;
mod mapping;
mod missing;
mod printed;
mod request;
mod service;
mod strike;
#[cfg(test)]
mod tests;
mod token;
mod world;

use std::{io, net::Ipv4Addr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rand::RngExt as _;
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::sleep,
};

use answer::Answer;
pub(super) use documents::{Description, GROUP, SCALE_SET, instance_ids, world as world_of};
pub use fault::{AzureFault, AzureFaultError, AzureFaultSpec};
pub use log::AzureRequest;
use log::Log;
pub(super) use printed::{CONNECTION_INFO, FOLDER, NAT_POOL, printed};
use request::Request;
use service::Service;
use strike::Faults;
pub use world::World;

/// The GUID that stands for tenants, clients and objects that there are none of.
const NO_GUID: &str = "00000000-0000-0000-0000-000000000000";

/// Connections at a time; more wait. Bounds the file handles that a client in a loop can take, and
/// is above what a client that asks in parallel needs.
const MAX_CONNECTIONS: usize = 64;

/// The longest request body, in bytes: the one that is read names one address.
const MAX_BODY: usize = 64 << 10;

/// The wait after a failed accept: out of file handles, most likely, and nothing tells when there
/// are some again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A simulated Azure on 127.0.0.1, at a port of its own. Dropping it ends it: its port and its connections.
#[derive(Debug)]
pub struct AzureServer {
    endpoint: String,
    service: Arc<Service>,
    log: Arc<Log>,
    listener: Arc<TcpListener>,
    /// The one task that accepts, which holds those of the connections.
    _accepting: JoinSet<()>,
}

impl AzureServer {
    /// Starts a server on the current tokio runtime. Its port answers when this returns.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(world: World, faults: Vec<AzureFaultSpec>) -> io::Result<Self> {
        let listener = Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        let endpoint = format!("http://{}", listener.local_addr()?);
        let service = Arc::new(Service::new(endpoint.clone(), world, Faults::new(faults)));
        let log = Arc::new(Log::default());
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(Arc::clone(&listener), Arc::clone(&service), Arc::clone(&log)));
        Ok(Self { endpoint, service, log, listener, _accepting: accepting })
    }

    /// Where Azure Resource Manager is: `http://127.0.0.1:PORT`, for `AZURE_RESOURCE_MANAGER_ENDPOINT`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Where the managed identity signs in, for `IDENTITY_ENDPOINT`.
    #[must_use]
    pub fn identity_endpoint(&self) -> String {
        format!("{}{}", self.endpoint, token::SIGN_IN_PATH)
    }

    /// The word, made for the run, that the sign-in wants in `X-IDENTITY-HEADER`, for `IDENTITY_HEADER`.
    #[must_use]
    pub fn identity_header(&self) -> &str {
        &self.service.tokens.secret
    }

    /// The documents that it serves.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.service.world
    }

    /// The last requests (10,000 at most), in the order in which they were answered. One that has
    /// been answered is in it.
    #[must_use]
    pub fn requests(&self) -> Vec<AzureRequest> {
        self.log.requests()
    }

    /// How many requests there have been in all, those not in [`AzureServer::requests`] any more too.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.log.count()
    }
}

impl Drop for AzureServer {
    fn drop(&mut self) {
        // At once, even before the task has let go of it; where a system knows no such thing, the
        // end of the task does it.
        let _ = SockRef::from(&*self.listener).shutdown(std::net::Shutdown::Both);
    }
}

/// Accepts connections until it is dropped, and ends them with itself.
async fn accept(listener: Arc<TcpListener>, service: Arc<Service>, log: Arc<Log>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    // Ends only with the semaphore, which nobody closes.
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let (service, log) = (Arc::clone(&service), Arc::clone(&log));
                connections.spawn(async move {
                    let _place = place;
                    serve(stream, service, log).await;
                });
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn serve(stream: TcpStream, service: Arc<Service>, log: Arc<Log>) {
    let answering = service_fn(|request| answer(request, &service, &log));
    // The timer ends connections whose headers never come (hyper's own limit, 30 s).
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), answering)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the lab's Azure ended");
    }
}

/// An error makes hyper close the connection without an answer.
async fn answer(
    request: hyper::Request<Incoming>,
    service: &Service,
    log: &Log,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await;
    let too_long = body.is_err();
    let request = Request::new(parts, body.map(http_body_util::Collected::to_bytes).unwrap_or_default());
    let answer = if too_long {
        let message = "The request content is too long.";
        Some(Answer::error(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message))
    } else {
        service.answer(&request).await
    };
    log.add(&request, answer.as_ref().map(|answer| answer.status.as_u16()));
    answer.map(Answer::into_response).ok_or_else(|| io::ErrorKind::ConnectionAborted.into())
}

/// A random GUID, version 4 (RFC 9562, 5.4).
pub(super) fn guid() -> String {
    let bits: u128 = rand::rng().random();
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let mut text = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if [8, 12, 16, 20].contains(&at) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// A word that nobody guesses: 128 bits.
fn secret() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}
