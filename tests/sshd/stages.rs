//! What happens before there is a connection worth the name.

use super::*;

/// Connects to what is no SSH server. Gives the failure once the other side has seen the end.
async fn connect_to(
    limit: Duration,
    serve: impl AsyncFnOnce(&mut TcpStream) + Send + 'static,
) -> (Failure, Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (options, _dir) = options_without_keys();
    let options = LoginOptions { connect_timeout: limit, ..options };
    let client = client(options, &Arc::default()).await;
    let start = Instant::now();
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        serve(&mut stream).await;
        // The client's end of the connection goes away, whatever was said on it.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    };
    let endpoint = endpoint(port);
    let (result, ()) = tokio::join!(client.connect(&endpoint), serving);
    (result.unwrap_err(), start.elapsed())
}

#[tokio::test]
async fn a_silent_server_is_given_up_and_leaves_nothing_behind() {
    let limit = Duration::from_millis(300);
    let (failure, took) = connect_to(limit, async |_| {}).await;
    assert_eq!(failure.stage, Stage::Banner);
    assert_eq!(failure.message, "no identification line within 300ms");
    assert!(took >= limit);

    // One that is silent after its identification line, when russh has a task of its own.
    let (failure, _) = connect_to(limit, async |stream| {
        stream.write_all(b"SSH-2.0-silent\r\n").await.unwrap();
    })
    .await;
    assert_eq!(failure.stage, Stage::KeyExchange);
    let metrics = tokio::runtime::Handle::current().metrics();
    let end = Instant::now() + Duration::from_secs(20);
    while metrics.num_alive_tasks() > 0 {
        assert!(Instant::now() < end, "{} tasks are left", metrics.num_alive_tasks());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_is_no_ssh_server_is_named() {
    let limit = Duration::from_secs(20);
    let message = async |text: &'static [u8]| {
        let (failure, _) = connect_to(limit, async move |stream| {
            let _ = stream.write_all(text).await;
            let _ = stream.shutdown().await;
        })
        .await;
        assert_eq!(failure.stage, Stage::Banner, "{failure}");
        failure.message
    };
    assert_eq!(message(b"").await, "the connection was closed before an identification line");
    assert_eq!(
        message(b"Not allowed at this time\r\n").await,
        "sshd refuses this address for a while (\"Not allowed at this time\")"
    );
    assert_eq!(
        message(b"Exceeded MaxStartups\r\n").await,
        "sshd has too many sign-ins going on (\"Exceeded MaxStartups\")"
    );
    assert_eq!(
        message(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await,
        "an HTTP server answers, not SSH (\"HTTP/1.1 400 Bad Request\")"
    );
    assert_eq!(
        message(b"220 ftp.example\x1b[2J ready\r\n").await,
        "the server's first line is no SSH identification (\"220 ftp.example^[[2J ready\")"
    );
}

#[tokio::test]
async fn endless_garbage_is_cut_off() {
    for piece in [&[0u8; 4096][..], b"no line of SSH\n"] {
        let (failure, _) =
            connect_to(
                Duration::from_secs(20),
                async move |stream| {
                    while stream.write_all(piece).await.is_ok() {}
                },
            )
            .await;
        assert_eq!(failure.stage, Stage::Banner, "{failure}");
        assert!(failure.message.starts_with("the server's first line is no SSH"), "{failure}");
        assert!(failure.message.len() < 500, "{failure}");
    }
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let server = TestSshd::start(&[]);
    let client = client(options(&server), &Arc::default()).await;
    let failure = client.connect(&endpoint(port)).await.unwrap_err();
    assert_eq!((failure.stage, failure.message.as_str()), (Stage::Connect, "connection refused"));
    assert!(failure.hint.unwrap().contains("sshd is stopped"));
}
