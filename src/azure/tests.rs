//! A stand-in for Azure on loopback, for the tests of this module: it answers as a test says, and gives
//! tokens in App Service's way.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{
    arm::{Arm, Limits},
    cloud::{Cloud, Service},
    credential::SignIn,
    event::ArmEvent,
};

/// What the header of App Service's protocol must be; no test may ever see it anywhere else.
pub(super) const HEADER: &str = "header-secret";
/// Tokens are this and a number.
pub(super) const TOKEN: &str = "token-secret";

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// `GET /path?query`
    pub(super) line: String,
    pub(super) authorization: String,
    pub(super) body: String,
}

/// What to do about one.
pub(super) enum Reply {
    Http {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// Close without a word.
    Drop,
    /// Say that more will come than comes.
    Half,
    /// Say nothing.
    Silence,
}

impl Reply {
    pub(super) fn json(status: u16, body: &str) -> Self {
        Self::Http { status, headers: vec![("Content-Type", "application/json".into())], body: body.into() }
    }

    pub(super) fn html(status: u16, body: &str) -> Self {
        Self::Http { status, headers: vec![("Content-Type", "text/html".into())], body: body.into() }
    }

    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        let error = serde_json::json!({"error": {"code": code, "message": message}});
        Self::json(status, &error.to_string())
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Self::Http { headers, .. } = &mut self {
            headers.push((name, value.into()));
        }
        self
    }
}

type Answers = dyn Fn(usize, &Seen) -> Reply + Send + Sync;

struct State {
    answers: Box<Answers>,
    seen: Mutex<Vec<Seen>>,
    tokens: AtomicUsize,
    token_reply: Option<fn() -> Reply>,
}

/// The stand-in; ends with its owner.
pub(super) struct Server {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Answers the nth request (from 0, without those for tokens) as told.
    pub(super) async fn start(answers: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(answers, None).await
    }

    /// The same, with a reply of its own to requests for tokens.
    pub(super) async fn start_with(
        answers: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static,
        token_reply: Option<fn() -> Reply>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, tokens) = (Mutex::default(), AtomicUsize::new(0));
        let state = Arc::new(State { answers: Box::new(answers), seen, tokens, token_reply });
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { address, state, task }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was asked, without requests for tokens.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// How often a token was asked for.
    pub(super) fn tokens(&self) -> usize {
        self.state.tokens.load(Ordering::SeqCst)
    }

    pub(super) fn sign_in(&self) -> SignIn {
        SignIn {
            identity_endpoint: Some(self.url("/msi/token")),
            identity_header: Some(HEADER.into()),
            ..SignIn::default()
        }
    }

    /// A client of it that has little patience.
    pub(super) fn arm(&self) -> Arm {
        self.arm_with(limits(), |_| {})
    }

    pub(super) fn arm_with(
        &self,
        limits: Limits,
        on_event: impl Fn(ArmEvent) + Send + Sync + 'static,
    ) -> Arm {
        let service = Service::new(Cloud::AzurePublic, Some(&self.url(""))).unwrap();
        Arm::new(service, self.sign_in(), limits, on_event).unwrap()
    }
}

/// Enough time for loopback, and not much more.
pub(super) fn limits() -> Limits {
    Limits {
        connect: Duration::from_secs(5),
        request: Duration::from_secs(5),
        retries: 2,
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_secs(2),
        total: Duration::from_secs(20),
        sign_in: Duration::from_secs(5),
        body: 10_000,
        pages: 4,
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    let mut stream = BufReader::new(stream);
    let Some((seen, headers)) = read(&mut stream).await else { return };
    let reply = if seen.line.starts_with("GET /msi/token") {
        let number = state.tokens.fetch_add(1, Ordering::SeqCst) + 1;
        match state.token_reply {
            Some(reply) => reply(),
            None => token(&seen, &headers, number),
        }
    } else {
        let number = {
            let mut all = state.seen.lock().unwrap();
            all.push(seen.clone());
            all.len() - 1
        };
        (state.answers)(number, &seen)
    };
    write(stream.get_mut(), reply).await;
}

fn token(seen: &Seen, headers: &str, number: usize) -> Reply {
    let good = seen.line
        == "GET /msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fmanagement.azure.com HTTP/1.1"
        && headers.contains(&format!("x-identity-header: {HEADER}\r\n"));
    if !good {
        return Reply::json(400, "{}");
    }
    Reply::json(
        200,
        &format!(r#"{{"access_token": "{TOKEN}-{number}", "expires_on": "1", "token_type": "Bearer"}}"#),
    )
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<(Seen, String)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let (line, headers) = head.split_once("\r\n")?;
    let header = |name: &str| headers.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let length = header("content-length: ").parse().unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let seen = Seen {
        line: line.into(),
        authorization: header("authorization: ").into(),
        body: String::from_utf8(body).ok()?,
    };
    Some((seen, headers.to_owned()))
}

async fn write(stream: &mut TcpStream, reply: Reply) {
    let text = match reply {
        Reply::Http { status, headers, body } => {
            let headers: String =
                headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let length = body.len();
            format!(
                "HTTP/1.1 {status} -\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )
        }
        Reply::Half => "HTTP/1.1 200 -\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{\"a\":".into(),
        Reply::Drop => return,
        Reply::Silence => return tokio::time::sleep(Duration::from_secs(60)).await,
    };
    let _ = stream.write_all(text.as_bytes()).await;
}
