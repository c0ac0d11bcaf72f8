//! A page over HTTP for collectors on the network: one text, made anew for each who asks.
//!
//! Whoever may connect is a stranger: only `GET` and `HEAD` of two paths are answered, nothing that is sent
//! is kept, and how many are served at once and for how long is bounded.

use std::{
    convert::Infallible,
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Response, StatusCode,
    body::Incoming,
    header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

/// Connections at a time; more are closed at once. One or two collectors ask every few seconds, and each
/// connection takes a file descriptor and a copy of the text, some MiB for a thousand endpoints.
const MAX_CONNECTIONS: usize = 8;

/// How long a client may take to say what it wants. Collectors say it at once.
const HEADER_LIMIT: Duration = Duration::from_secs(5);

/// How long one connection may last. Prometheus gives a page up after 10 s (`scrape_timeout`).
const CONNECTION_LIMIT: Duration = Duration::from_secs(15);

/// The most that a request's head may have, in bytes: the least that hyper takes. Collectors send less than
/// a tenth of it.
const MAX_HEAD: usize = 8192;

/// The wait after a failed accept: out of file handles, most likely, and nothing tells when there are some
/// again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where to listen: `127.0.0.1:9464`, `[::]:9464`; `:9464` is this machine only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddress(SocketAddr);

/// A text that is no address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "\"{0}\" is not an address to listen on: write 127.0.0.1:9464, [::1]:9464 or :9464 (this machine only), \
         0.0.0.0:9464 to let others in; port 0 is any free one"
)]
pub struct ListenAddressError(String);

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, ListenAddressError> {
        let local = text.strip_prefix("localhost").unwrap_or(text).strip_prefix(':');
        let address = match local.filter(|port| port.bytes().all(|b| b.is_ascii_digit())) {
            Some(port) => port.parse().ok().map(|port| (IpAddr::from(Ipv4Addr::LOCALHOST), port).into()),
            None => text.parse().ok(),
        };
        address.map(Self).ok_or_else(|| ListenAddressError(text.into()))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A page and its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The header `Content-Type`.
    pub content_type: &'static str,
    /// The text.
    pub text: String,
}

/// Makes the page for whoever sent this `Accept` header. It may take its time: it is called on a thread
/// that may block.
pub type MakePage = Arc<dyn Fn(&str) -> Page + Send + Sync>;

/// A listening socket that nobody is served on yet.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Takes the address. Needs a Tokio runtime.
    ///
    /// # Errors
    /// When it is taken, not this machine's, or not allowed.
    pub async fn bind(address: ListenAddress) -> io::Result<Self> {
        let listener = TcpListener::bind(address.0).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The address that was taken, with the port that the system chose where 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the page at `/metrics` until the handle is dropped.
    pub fn serve(self, page: MakePage) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(accept(self.listener, page)))
    }
}

async fn accept(listener: TcpListener, page: MakePage) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Connections end with this task.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => {
                if let Ok(place) = Arc::clone(&room).try_acquire_owned() {
                    connections.spawn(connection(tcp, Arc::clone(&page), place));
                }
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
        // What has ended is let go of.
        while connections.try_join_next().is_some() {}
    }
}

/// Serves one request. How a client leaves is its own affair.
async fn connection(tcp: TcpStream, page: MakePage, _place: OwnedSemaphorePermit) {
    let answer = service_fn(move |request| {
        let page = Arc::clone(&page);
        async move { Ok::<_, Infallible>(answer(&request, page).await) }
    });
    // A connection for each request: an idle one would keep its place from others.
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(tcp), answer);
    let _ = timeout(CONNECTION_LIMIT, serving).await;
}

async fn answer(request: &hyper::Request<Incoming>, page: MakePage) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if !matches!(path, "/" | "/metrics") {
        return text(StatusCode::NOT_FOUND, "nothing here: the metrics are at /metrics\n");
    }
    // hyper leaves out the body of an answer to HEAD.
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    if path == "/" {
        return text(StatusCode::OK, "vmssh probe: the metrics are at /metrics\n");
    }
    let accept: Vec<_> =
        request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let accept = accept.join(",");
    match tokio::task::spawn_blocking(move || page(&accept)).await {
        Ok(Page { content_type, text }) => {
            let mut answer = Response::new(Full::from(text));
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            answer
        }
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be made\n"),
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_port_is_for_this_machine_only() {
        let read = |text: &str| text.parse::<ListenAddress>().map(|address| address.to_string());
        for (text, address) in [
            (":9464", "127.0.0.1:9464"),
            ("localhost:9464", "127.0.0.1:9464"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("0.0.0.0:9464", "0.0.0.0:9464"),
            ("[::1]:9464", "[::1]:9464"),
        ] {
            assert_eq!(read(text), Ok(address.into()), "{text}");
        }
        for wrong in ["", "9464", ":", ":70000", ":+1", "example.com:80", "::1:80", "127.0.0.1", "localhost"]
        {
            assert!(read(wrong).unwrap_err().to_string().contains("write 127.0.0.1:9464"), "{wrong}");
        }
    }
}
