//! Commands over a connection, and its end.

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
    client.settle().await;
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
    client.settle().await;
    assert_eq!(connections_to(port), 0);
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}
