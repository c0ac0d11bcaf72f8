//! Commands over a connection, and its end.

use std::net::Shutdown;

use russh::{Channel, ChannelId, server::ChannelOpenHandle};

use super::*;

#[tokio::test]
async fn a_command_runs_and_says_how_it_ended() {
    let server = TestSshd::start(&[]);
    let session = connect(&server).await;
    let (end, out, err) = exec(&session, "echo out; echo err >&2", Stdin::None).await;
    assert_eq!((end, out.as_str(), err.as_str()), (Ok(Exit::Status(0)), "out\n", "err\n"));
    // The same connection takes another one.
    let (end, ..) = exec(&session, "exit 7", Stdin::None).await;
    assert_eq!(end, Ok(Exit::Status(7)));
    let (end, ..) = exec(&session, "kill -KILL $$", Stdin::None).await;
    assert_eq!(end, Ok(Exit::Signal("KILL".into())));
    session.close().await;
    assert!(server.log().contains("Accepted publickey"), "{}", server.log());
}

#[tokio::test]
async fn input_reaches_the_command_and_ends() {
    let server = TestSshd::start(&[]);
    let session = connect(&server).await;
    let input = "line of input\n".repeat(200_000);
    let stdin = Stdin::Reader(Box::new(io::Cursor::new(input.clone().into_bytes())));
    // `cat` writes while it reads: both directions must go on at once.
    let (end, out, _) = exec(&session, "cat", stdin).await;
    assert_eq!(end, Ok(Exit::Status(0)));
    assert!(out == input, "{} of {} bytes came back", out.len(), input.len());
    // A command that does not read its input ends all the same.
    let endless = Stdin::Reader(Box::new(tokio::io::repeat(b'x')));
    let (end, ..) = exec(&session, "exec <&-; exit 3", endless).await;
    assert_eq!(end, Ok(Exit::Status(3)));
}

#[tokio::test]
async fn fifty_megabytes_arrive_intact_through_a_slow_reader() {
    const SIZE: usize = 50_000_000;
    let server = TestSshd::start(&["RekeyLimit 8M"]);
    let session = connect(&server).await;
    let command = format!("yes 0123456789abcdef | head -c {SIZE}");
    let (sender, mut receiver) = mpsc::channel::<(Stream, Bytes)>(2);
    let check = async {
        let pattern = b"0123456789abcdef\n";
        let mut at = 0;
        while let Some((stream, bytes)) = receiver.recv().await {
            assert_eq!(stream, Stream::Stdout);
            // Each byte is where it belongs; nothing is kept, so memory stays at what is in flight.
            assert!(bytes.iter().enumerate().all(|(i, b)| *b == pattern[(at + i) % pattern.len()]));
            at += bytes.len();
            if at % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
        at
    };
    let (end, size) = tokio::join!(session.exec(&command, Stdin::None, sender), check);
    assert_eq!((end, size), (Ok(Exit::Status(0)), SIZE));
}

#[tokio::test]
async fn a_connection_that_dies_under_a_command_is_named() {
    let server = TestSshd::start(&[]);
    let session = connect(&server).await;
    let (sender, mut receiver) = mpsc::channel::<(Stream, Bytes)>(4);
    // It waits for an input that does not end, so that it ends with its server.
    let (_keep, input) = tokio::io::duplex(1);
    let killer = async {
        let (_, pid) = receiver.recv().await.unwrap();
        run("kill", &["-KILL", String::from_utf8(pid.to_vec()).unwrap().trim()]);
    };
    let running = session.exec("echo $PPID; cat", Stdin::Reader(Box::new(input)), sender);
    let (end, ()) = tokio::join!(running, killer);
    let failure = end.unwrap_err();
    assert_eq!(failure.stage, Stage::Command);
    assert!(failure.message.starts_with("connection lost (the server closed the connection"), "{failure}");
}

#[tokio::test]
async fn a_cancelled_command_is_stopped_on_the_instance() {
    let server = TestSshd::with_user("unused", &[]);
    let client = client(options(&server), &Arc::default()).await;
    let session = client.connect(&server.endpoint()).await.unwrap();
    let mark = server.dir().join("mark");
    fs::create_dir(&mark).unwrap();
    fs::set_permissions(&mark, fs::Permissions::from_mode(0o777)).unwrap();
    let (sender, mut receiver) = mpsc::channel::<(Stream, Bytes)>(4);
    // SIGTERM goes to the whole group; a shell that tells of its child's end on a closed output would
    // die of that.
    let command = format!(
        "exec 2>/dev/null; trap 'touch {}/stopped; exit' TERM; echo ready; while :; do sleep 0.05; done",
        mark.display()
    );
    {
        let running = session.exec(&command, Stdin::None, sender);
        tokio::select! {
            end = running => panic!("it ended by itself: {end:?}"),
            _ = receiver.recv() => {}
        }
    }
    drop(session);
    client.client.settle().await;
    let end = Instant::now() + Duration::from_secs(20);
    while !mark.join("stopped").exists() {
        assert!(Instant::now() < end, "the command was not stopped:\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_server_that_opens_no_session_is_named() {
    let server = TestSshd::start(&["MaxSessions 0"]);
    let session = connect(&server).await;
    let (end, ..) = exec(&session, "true", Stdin::None).await;
    let failure = end.unwrap_err();
    assert_eq!(failure.stage, Stage::Channel);
    assert!(failure.message.starts_with("the server opens no session"), "{failure}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn connections_that_are_dropped_leave_no_socket_and_no_task() {
    let server = TestSshd::start(&[]);
    let client = client(options(&server), &Arc::default()).await;
    let port = server.endpoint().port.get();
    let mut sessions = Vec::new();
    for _ in 0..5 {
        sessions.push(client.connect(&server.endpoint()).await.unwrap());
    }
    assert_eq!(connections_to(port), 5);
    drop(sessions);
    client.client.settle().await;
    assert_eq!(connections_to(port), 0);
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

/// A server that lets everybody in and then leaves the rails.
struct Odd {
    conduct: Conduct,
    socket: Socket,
}

#[derive(Clone, Copy)]
enum Conduct {
    /// Says that the command succeeded, and is gone in the middle of its output.
    CutAfterStatus,
    /// Never answers the request for the command. Tells here that it has come.
    NoAnswer(&'static tokio::sync::Notify),
    /// Says nothing more once the command is to read something. Tells here that it has come to that.
    Hangs(&'static tokio::sync::Notify),
}

impl server::Handler for Odd {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<server::Msg>,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        _: &[u8],
        session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        match self.conduct {
            Conduct::Hangs(_) => session.channel_success(id),
            Conduct::CutAfterStatus => {
                session.channel_success(id)?;
                session.exit_status_request(id, 0)?;
                session.data(id, &b"half of i"[..])
            }
            Conduct::NoAnswer(asked) => {
                asked.notify_one();
                Ok(())
            }
        }
    }

    async fn data(&mut self, _: ChannelId, _: &[u8], _: &mut server::Session) -> Result<(), Self::Error> {
        if let Conduct::Hangs(heard) = self.conduct {
            heard.notify_one();
            std::future::pending::<()>().await;
        }
        self.socket.shutdown(Shutdown::Both).unwrap();
        Ok(())
    }
}

/// Signs in to such a server.
async fn connect_to(conduct: Conduct) -> Session {
    let port = serve(server::Config::default(), move |socket| Odd { conduct, socket }).await;
    let options = options_without_keys();
    client(options.0, &Arc::default()).await.connect(&endpoint(port)).await.unwrap()
}

#[tokio::test]
async fn output_that_was_cut_off_is_no_success_whatever_the_status() {
    let session = connect_to(Conduct::CutAfterStatus).await;
    let (sender, mut receiver) = mpsc::channel(4);
    let (mut input, read) = tokio::io::duplex(8);
    let cut = async {
        // It has come, and the status before it.
        let (_, half) = receiver.recv().await.unwrap();
        input.write_all(b"x").await.unwrap();
        half
    };
    let (end, half) = tokio::join!(session.exec("x", Stdin::Reader(Box::new(read)), sender), cut);
    assert_eq!(half, b"half of i"[..]);
    let failure = end.unwrap_err();
    assert_eq!(failure.stage, Stage::Command);
    assert!(failure.message.starts_with("connection lost"), "{failure}");
}

#[tokio::test]
async fn a_request_that_is_never_answered_is_given_up() {
    static ASKED: tokio::sync::Notify = tokio::sync::Notify::const_new();
    let session = connect_to(Conduct::NoAnswer(&ASKED)).await;
    let (sender, _receiver) = mpsc::channel(4);
    let hurry = async {
        ASKED.notified().await;
        // From here on nothing happens but time.
        tokio::time::pause();
    };
    let (end, ()) = tokio::join!(session.exec("x", Stdin::None, sender), hurry);
    let failure = end.unwrap_err();
    assert_eq!(failure.to_string(), "channel: no reply to the request for a shell or a command within 60s");
    assert!(failure.hint.is_some());
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up() {
    static HEARD: tokio::sync::Notify = tokio::sync::Notify::const_new();
    let session = connect_to(Conduct::Hangs(&HEARD)).await;
    let (sender, _receiver) = mpsc::channel(4);
    let (mut input, read) = tokio::io::duplex(8);
    let hurry = async {
        input.write_all(b"x").await.unwrap();
        HEARD.notified().await;
        tokio::time::pause();
    };
    let (end, ()) = tokio::join!(session.exec("x", Stdin::Reader(Box::new(read)), sender), hurry);
    let failure = end.unwrap_err();
    assert_eq!(failure.to_string(), "command: connection lost (no sign of life for 120s)");
    assert!(failure.hint.unwrap().contains("vmssh probe"));
}
