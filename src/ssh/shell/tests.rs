//! Sessions against a server in the same process that follows a script.

use std::{net::Shutdown, sync::Arc};

use futures_util::{FutureExt as _, future::BoxFuture, stream};
use russh::{
    ChannelId, Sig,
    client::{self, AuthResult},
    keys::{Algorithm, PrivateKey, PublicKeyOrCertificate},
    server::{self, Auth},
};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// More than anything here takes; what hangs must not hang the test run.
const LIMIT: Duration = Duration::from_secs(60);

/// The server's side of one channel.
struct Peer {
    channel: Channel<server::Msg>,
    handle: server::Handle,
    socket: socket2::Socket,
}

type Script = Box<dyn FnOnce(Peer) -> BoxFuture<'static, ()> + Send>;

impl Peer {
    fn id(&self) -> ChannelId {
        self.channel.id()
    }

    /// The next thing that is no window message.
    async fn next(&mut self) -> Option<ChannelMsg> {
        loop {
            match self.channel.wait().await {
                Some(ChannelMsg::WindowAdjusted { .. }) => {}
                other => return other,
            }
        }
    }

    /// Takes requests and grants them, up to the shell or command; tells what they were.
    async fn grant(&mut self) -> Vec<ChannelMsg> {
        let mut requests = Vec::new();
        loop {
            let request = self.next().await.unwrap();
            if !matches!(request, ChannelMsg::SetEnv { .. }) {
                self.handle.channel_success(self.id()).await.unwrap();
            }
            let last = matches!(request, ChannelMsg::RequestShell { .. } | ChannelMsg::Exec { .. });
            requests.push(request);
            if last {
                return requests;
            }
        }
    }

    async fn say(&self, text: &str) {
        self.channel.data_bytes(text.as_bytes().to_vec()).await.unwrap();
    }

    /// The next input, up to this many bytes at least.
    async fn hear(&mut self, count: usize) -> Vec<u8> {
        let mut heard = Vec::new();
        while heard.len() < count {
            match self.next().await {
                Some(ChannelMsg::Data { data }) => heard.extend_from_slice(&data),
                other => panic!("{other:?} after {} bytes", heard.len()),
            }
        }
        heard
    }

    async fn exit(&self, status: u32) {
        self.handle.exit_status_request(self.id(), status).await.unwrap();
    }
}

struct Server {
    script: Option<Script>,
    socket: Option<socket2::Socket>,
}

impl server::Handler for Server {
    type Error = russh::Error;

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<server::Msg>,
        reply: server::ChannelOpenHandle,
        session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        let script = self.script.take().unwrap();
        let socket = self.socket.take().unwrap();
        tokio::spawn(script(Peer { channel, handle: session.handle(), socket }));
        Ok(())
    }
}

struct AnyKey;

impl client::Handler for AnyKey {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// The user's side: an open channel and the ends of its streams.
struct User {
    channel: Option<Channel<Msg>>,
    io: Option<ShellIo>,
    input: Option<mpsc::Sender<Bytes>>,
    stdout: mpsc::Receiver<Bytes>,
    stderr: mpsc::Receiver<Bytes>,
    sizes: mpsc::Sender<TerminalSize>,
    _connection: client::Handle<AnyKey>,
}

impl User {
    async fn new<F: Future<Output = ()> + Send + 'static>(
        script: impl FnOnce(Peer) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let config = server::Config {
            auth_rejection_time_initial: Some(Duration::ZERO),
            inactivity_timeout: None,
            keys: vec![PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()],
            ..server::Config::default()
        };
        let server = Server {
            script: Some(Box::new(|peer| script(peer).boxed())),
            socket: Some(SockRef::from(&accepted).try_clone().unwrap()),
        };
        tokio::spawn(async move { server::run_stream(Arc::new(config), accepted, server).await?.await });
        let mut connection =
            client::connect_stream(Arc::new(client::Config::default()), stream, AnyKey).await.unwrap();
        assert!(matches!(connection.authenticate_none("u").await, Ok(AuthResult::Success)));
        let channel = connection.channel_open_session().await.unwrap();
        let (input, typed) = mpsc::channel(4);
        let (stdout, printed) = mpsc::channel(4);
        let (stderr, complained) = mpsc::channel(4);
        let (sizes, resized) = mpsc::channel(4);
        let resizes = stream::unfold(resized, |mut sizes: mpsc::Receiver<_>| async {
            sizes.recv().await.map(|size| (size, sizes))
        });
        Self {
            channel: Some(channel),
            io: Some(ShellIo {
                input: typed,
                stdout,
                stderr,
                resizes: resizes.boxed(),
                suspend: None,
                list: None,
            }),
            input: Some(input),
            stdout: printed,
            stderr: complained,
            sizes,
            _connection: connection,
        }
    }

    /// The session as a future of its own, to be run beside what the user does.
    fn session(
        &mut self,
        request: ShellRequest,
    ) -> impl Future<Output = Result<ShellEnd, Failure>> + 'static {
        let (channel, io) = (self.channel.take().unwrap(), self.io.take().unwrap());
        let lost = |stage| Failure::new(stage, "connection lost");
        async move { timeout(LIMIT, drive(channel, request, io, TaskTracker::new(), lost)).await.unwrap() }
    }

    async fn types(&self, bytes: &[u8]) {
        self.input.as_ref().unwrap().send(Bytes::copy_from_slice(bytes)).await.unwrap();
    }

    /// Reads output until it has this text.
    async fn sees(&mut self, text: &str) {
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(text) {
            let Ok(Some(bytes)) = timeout(LIMIT, self.stdout.recv()).await else {
                panic!("no {text:?} in {:?}", String::from_utf8_lossy(&seen));
            };
            seen.extend_from_slice(&bytes);
        }
    }
}

async fn rest(receiver: &mut mpsc::Receiver<Bytes>) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(bytes) = timeout(LIMIT, receiver.recv()).await.unwrap() {
        all.extend_from_slice(&bytes);
    }
    all
}

fn command(text: &str) -> ShellRequest {
    ShellRequest { pty: None, env: Vec::new(), start: Start::Command(text.into()), escape: None }
}

fn shell() -> ShellRequest {
    let size = TerminalSize { columns: 80, rows: 24, width_px: 0, height_px: 0 };
    ShellRequest {
        pty: Some(PtyRequest { term: "xterm".into(), size, modes: Modes::default() }),
        env: vec![("LANG".into(), "C.UTF-8".into())],
        start: Start::Shell,
        escape: Some(b'~'),
    }
}

fn status(status: u32) -> Result<ShellEnd, Failure> {
    Ok(ShellEnd::Exit(Exit::Status(status)))
}

#[tokio::test]
async fn a_shell_gets_terminal_environment_keys_and_window_changes() {
    let mut user = User::new(async |mut peer: Peer| {
        let requests = peer.grant().await;
        peer.say(&format!("{requests:?}")).await;
        let ChannelMsg::Data { data } = peer.next().await.unwrap() else { panic!("no data") };
        peer.say(&format!("got {data:?}")).await;
        let change = peer.next().await.unwrap();
        peer.say(&format!("{change:?}")).await;
        peer.exit(3).await;
        peer.channel.eof().await.unwrap();
        peer.channel.close().await.unwrap();
    })
    .await;
    let session = tokio::spawn(user.session(shell()));
    user.sees("RequestShell").await;
    user.types(b"ls\r").await;
    user.sees("got b\"ls\\r\"").await;
    user.sizes.send(TerminalSize { columns: 132, rows: 43, ..TerminalSize::default() }).await.unwrap();
    user.sees("col_width: 132, row_height: 43").await;
    assert_eq!(session.await.unwrap(), status(3));
}

#[tokio::test]
async fn the_requests_say_what_the_user_has() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let mut user = User::new(async |mut peer: Peer| {
        tell.send(peer.grant().await).unwrap();
        peer.exit(0).await;
        peer.channel.close().await.unwrap();
    })
    .await;
    assert_eq!(user.session(shell()).await, status(0));
    let requests = told.await.unwrap();
    let [
        ChannelMsg::RequestPty { term, col_width: 80, row_height: 24, terminal_modes, .. },
        ChannelMsg::SetEnv { variable_name, variable_value, .. },
        ChannelMsg::RequestShell { .. },
    ] = &requests[..]
    else {
        panic!("{requests:?}");
    };
    assert_eq!(term, "xterm");
    assert_eq!((&variable_name[..], &variable_value[..]), ("LANG", "C.UTF-8"));
    assert_eq!(terminal_modes[..2], Modes::default().as_slice()[..2]);
}

#[tokio::test]
async fn a_command_reads_its_input_to_the_end_and_errors_stay_apart() {
    let mut user = User::new(async |mut peer: Peer| {
        let requests = peer.grant().await;
        assert!(matches!(&requests[..], [ChannelMsg::Exec { command, .. }] if command == b"cat"));
        let mut heard = Vec::new();
        while let Some(ChannelMsg::Data { data }) = peer.next().await {
            heard.extend_from_slice(&data);
        }
        // The input has ended; the output has not.
        peer.channel.extended_data_bytes(crate::ssh::channel::STDERR, "a complaint").await.unwrap();
        peer.channel.data_bytes(heard).await.unwrap();
        peer.exit(0).await;
        peer.channel.close().await.unwrap();
    })
    .await;
    let session = tokio::spawn(user.session(command("cat")));
    // Not an escape without a terminal, nor is anything else changed.
    let every: Vec<u8> = (0..=255).collect();
    user.types(b"~.\r\n~?").await;
    user.types(&every).await;
    user.input = None;
    assert_eq!(rest(&mut user.stdout).await, [b"~.\r\n~?", &every[..]].concat());
    assert_eq!(rest(&mut user.stderr).await, b"a complaint");
    assert_eq!(session.await.unwrap(), status(0));
}

#[tokio::test]
async fn output_counts_wherever_status_and_eof_stand() {
    for order in ["status first", "eof first", "eof before status", "signal"] {
        let mut user = User::new(async move |mut peer: Peer| {
            peer.grant().await;
            match order {
                "status first" => {
                    peer.exit(5).await;
                    peer.say("late").await;
                    peer.channel.eof().await.unwrap();
                }
                "eof first" => {
                    peer.say("late").await;
                    peer.channel.eof().await.unwrap();
                    peer.exit(5).await;
                }
                "eof before status" => {
                    peer.say("la").await;
                    peer.say("te").await;
                    peer.exit(5).await;
                }
                _ => {
                    peer.say("late").await;
                    let id = peer.id();
                    let (text, lang) = (String::new(), String::new());
                    peer.handle.exit_signal_request(id, Sig::TERM, false, text, lang).await.unwrap();
                }
            }
            peer.channel.close().await.unwrap();
        })
        .await;
        let session = tokio::spawn(user.session(command("x")));
        assert_eq!(rest(&mut user.stdout).await, b"late", "{order}");
        let expected = if order == "signal" { Exit::Signal("TERM".into()) } else { Exit::Status(5) };
        assert_eq!(session.await.unwrap(), Ok(ShellEnd::Exit(expected)), "{order}");
    }
}

#[tokio::test]
async fn tilde_dot_ends_the_session_while_output_stands_still() {
    let mut user = User::new(async |mut peer: Peer| {
        peer.grant().await;
        // Without end, into a terminal that shows nothing.
        while peer.channel.data_bytes(vec![b'y'; 32 * 1024]).await.is_ok() {}
    })
    .await;
    let session = tokio::spawn(user.session(shell()));
    user.types(b"\r~").await;
    user.types(b".").await;
    assert_eq!(session.await.unwrap(), Ok(ShellEnd::Disconnected));
    assert_eq!(rest(&mut user.stderr).await, b"~. session ended\r\n");
}

#[tokio::test]
async fn escapes_are_answered_here_and_not_sent() {
    let stopped = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut user = User::new(async |mut peer: Peer| {
        peer.grant().await;
        let change = peer.next().await.unwrap();
        peer.say(&format!("{change:?}")).await;
        let typed = peer.next().await.unwrap();
        peer.say(&format!("{typed:?}")).await;
        peer.exit(0).await;
        peer.channel.close().await.unwrap();
    })
    .await;
    let flag = Arc::clone(&stopped);
    user.io.as_mut().unwrap().suspend = Some(Box::new(move || {
        flag.store(true, std::sync::atomic::Ordering::SeqCst);
        Some(TerminalSize { columns: 99, rows: 9, ..TerminalSize::default() })
    }));
    let session = tokio::spawn(user.session(shell()));
    user.types(b"~?~#~\x1a").await;
    user.sees("col_width: 99").await;
    assert!(stopped.load(std::sync::atomic::Ordering::SeqCst));
    user.types(b"~~x").await;
    user.sees("b\"~x\"").await;
    assert_eq!(session.await.unwrap(), status(0));
    let notes = String::from_utf8(rest(&mut user.stderr).await).unwrap();
    assert!(notes.contains("end the session") && notes.contains("channel 0: shell on a xterm terminal"));
}

#[tokio::test]
async fn floods_in_both_directions_pass_each_other() {
    const EACH: usize = 16 << 20;
    let mut user = User::new(async |mut peer: Peer| {
        peer.grant().await;
        let id = peer.id();
        let Peer { channel, handle, .. } = peer;
        let (mut reader, writer) = channel.split();
        let print = async {
            for _ in 0..EACH / 32_768 {
                writer.data_bytes(vec![b'o'; 32_768]).await.unwrap();
            }
        };
        let read = async {
            let mut count = 0;
            while count < EACH {
                if let ChannelMsg::Data { data } = reader.wait().await.unwrap() {
                    count += data.len();
                }
            }
            count
        };
        let ((), count) = tokio::join!(print, read);
        handle.exit_status_request(id, u32::from(count == EACH)).await.unwrap();
        writer.close().await.unwrap();
    })
    .await;
    let session = tokio::spawn(user.session(command("x")));
    let input = user.input.take().unwrap();
    let typing = tokio::spawn(async move {
        for _ in 0..EACH / 4096 {
            input.send(Bytes::from_static(&[b'i'; 4096])).await.unwrap();
        }
    });
    let output = rest(&mut user.stdout).await;
    assert_eq!(output.len(), EACH);
    typing.await.unwrap();
    assert_eq!(session.await.unwrap(), status(1));
}

#[tokio::test]
async fn a_server_that_vanishes_is_no_exit() {
    for with_status in [false, true] {
        let mut user = User::new(async move |mut peer: Peer| {
            peer.grant().await;
            peer.say("half of i").await;
            if with_status {
                peer.exit(0).await;
            }
            let heard = peer.hear(1).await;
            assert_eq!(heard, b"x");
            peer.socket.shutdown(Shutdown::Both).unwrap();
        })
        .await;
        let session = tokio::spawn(user.session(command("x")));
        user.sees("half of i").await;
        user.types(b"x").await;
        let failure = session.await.unwrap().unwrap_err();
        assert_eq!((failure.stage, &failure.message[..]), (Stage::Command, "connection lost"));
    }
}

#[tokio::test]
async fn an_end_without_a_status_says_so() {
    let mut user = User::new(async |mut peer: Peer| {
        peer.grant().await;
        peer.channel.close().await.unwrap();
    })
    .await;
    let failure = user.session(command("x")).await.unwrap_err();
    assert_eq!(failure.to_string(), "command: ended without an exit status");
}

#[tokio::test]
async fn what_the_server_refuses_is_named() {
    for (request, expected) in [
        (shell(), "channel: the server refused a terminal"),
        (command("x"), "channel: the server does not run that for this user"),
    ] {
        let mut user = User::new(async |mut peer: Peer| {
            peer.next().await.unwrap();
            peer.handle.channel_failure(peer.id()).await.unwrap();
            // The client closes the channel, or leaves it when it is dropped.
            while peer.next().await.is_some() {}
        })
        .await;
        assert_eq!(user.session(request).await.unwrap_err().to_string(), expected);
    }
}

#[tokio::test]
async fn a_closed_pipe_is_an_end() {
    let mut user = User::new(async |mut peer: Peer| {
        peer.grant().await;
        while peer.channel.data_bytes(&b"y\n"[..]).await.is_ok() {}
    })
    .await;
    let session = tokio::spawn(user.session(command("yes")));
    user.sees("y").await;
    user.stdout.close();
    while user.stdout.recv().await.is_some() {}
    assert_eq!(session.await.unwrap(), Ok(ShellEnd::OutputClosed));
}

#[tokio::test]
async fn what_is_cancelled_is_told_to_stop() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let mut user = User::new(async |mut peer: Peer| {
        peer.grant().await;
        peer.say("running").await;
        let mut heard = Vec::new();
        while let Some(message) = peer.next().await {
            heard.push(message);
        }
        tell.send(heard).unwrap();
    })
    .await;
    let session = tokio::spawn(user.session(command("x")));
    user.sees("running").await;
    session.abort();
    let heard = timeout(LIMIT, told).await.unwrap().unwrap();
    assert!(matches!(&heard[..], [ChannelMsg::Signal { signal: Sig::TERM }, ..]), "{heard:?}");
}
