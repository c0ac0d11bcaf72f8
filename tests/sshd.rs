//! The SSH client against a real OpenSSH server.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/sshd.rs"]
mod sshd;

use std::{
    collections::VecDeque,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use sshd::{TestSshd, endpoint, keygen, run};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use vmssh::{
    event::{Exit, Failure, Stage, Stream},
    net::resolve::{Family, Resolver},
    ssh::{
        Client, ClientError, ClientOptions, HostKeyPolicy, KnownHostsFiles, NewHostKey, PasswordUse, Prompt,
        SecretString, Session, Stdin,
    },
};

/// A person who gives prepared answers and remembers what was asked and said.
#[derive(Default)]
struct Person {
    secrets: Mutex<VecDeque<&'static str>>,
    trust: bool,
    asked: Mutex<Vec<String>>,
    notes: Mutex<Vec<String>>,
    /// Time to think.
    slow: Duration,
}

impl Person {
    fn who_types(secrets: &[&'static str]) -> Arc<Self> {
        Arc::new(Self { secrets: Mutex::new(secrets.iter().copied().collect()), ..Self::default() })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn notes(&self) -> String {
        self.notes.lock().unwrap().join("\n")
    }
}

impl Prompt for Person {
    fn secret(&self, question: &str) -> io::Result<Option<SecretString>> {
        std::thread::sleep(self.slow);
        self.asked.lock().unwrap().push(question.into());
        Ok(self.secrets.lock().unwrap().pop_front().map(SecretString::from))
    }

    fn trust_host_key(&self, new: &NewHostKey) -> io::Result<bool> {
        std::thread::sleep(self.slow);
        self.asked.lock().unwrap().push(format!("{} {}", new.name, new.fingerprint));
        Ok(self.trust)
    }

    fn note(&self, text: &str) {
        self.notes.lock().unwrap().push(text.into());
    }
}

fn options(server: &TestSshd) -> ClientOptions {
    ClientOptions {
        user: server.user().into(),
        identity_files: vec![server.key()],
        default_keys: vec![],
        agent_socket: None,
        password: PasswordUse::Never,
        host_keys: HostKeyPolicy::AcceptNew,
        known_hosts: KnownHostsFiles { own: server.dir().join("known/hosts"), also: vec![] },
        connect_timeout: Duration::from_secs(20),
    }
}

async fn client(options: ClientOptions, person: &Arc<Person>) -> Client {
    Client::new(options, Resolver::new(Family::Any), person.clone()).await.unwrap()
}

async fn connect(server: &TestSshd) -> Session {
    client(options(server), &Arc::default()).await.connect(&server.endpoint()).await.unwrap()
}

async fn try_connect(server: &TestSshd, options: ClientOptions) -> Result<Session, Failure> {
    client(options, &Arc::default()).await.connect(&server.endpoint()).await
}

/// Runs a command and gives its end and its two outputs.
async fn exec(session: &Session, command: &str, stdin: Stdin) -> (Result<Exit, Failure>, String, String) {
    let (sender, mut receiver) = mpsc::channel::<(Stream, Bytes)>(4);
    let collect = async {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        while let Some((stream, bytes)) = receiver.recv().await {
            if stream == Stream::Stdout { &mut out } else { &mut err }.extend(bytes);
        }
        (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    };
    let (end, (out, err)) = tokio::join!(session.exec(command, stdin, sender), collect);
    (end, out, err)
}

/// How many connections to a port of loopback this machine has open (proc_pid_net(5)).
#[cfg(target_os = "linux")]
fn connections_to(port: u16) -> usize {
    let far_end = format!("0100007F:{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    // 01 is ESTABLISHED; a connection that is closed here and not there yet is FIN_WAIT.
    table.lines().filter(|l| l.split_whitespace().skip(2).take(2).eq([far_end.as_str(), "01"])).count()
}

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
    let command = format!(
        "trap 'touch {}/stopped; exit' TERM; echo ready; while :; do sleep 0.05; done",
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
async fn a_key_that_is_not_authorized_says_what_was_tried() {
    let server = TestSshd::start(&[]);
    let stranger = server.dir().join("stranger");
    keygen(&["-t", "ed25519", "-N", "", "-f", stranger.to_str().unwrap()]);
    let mut options = options(&server);
    options.identity_files = vec![stranger];
    let failure = try_connect(&server, options.clone()).await.unwrap_err();
    assert_eq!(failure.stage, Stage::Auth);
    let user = server.user();
    assert_eq!(failure.message, format!("{user} is not let in with stranger; the server takes publickey"));
    assert!(failure.hint.unwrap().contains("authorized_keys"));

    options.identity_files.clear();
    let failure = try_connect(&server, options).await.unwrap_err();
    assert_eq!(failure.message, format!("nothing to sign in with as {user}; the server takes publickey"));
}

#[tokio::test]
async fn a_server_that_hangs_up_while_signing_in_is_quoted() {
    let server = TestSshd::start(&["MaxAuthTries 2"]);
    let mut options = options(&server);
    options.identity_files = ["a", "b", "c"].map(|name| server.dir().join(name)).into();
    for path in &options.identity_files {
        keygen(&["-t", "ed25519", "-N", "", "-f", path.to_str().unwrap()]);
    }
    let failure = try_connect(&server, options).await.unwrap_err();
    assert_eq!(failure.stage, Stage::Auth);
    assert!(failure.message.contains("Too many authentication failures"), "{failure}");
}

#[tokio::test]
async fn keys_of_all_kinds_sign_in() {
    let server = TestSshd::start(&[]);
    for (name, kind) in [
        ("rsa", &["-t", "rsa", "-b", "3072"][..]),
        ("rsa_pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("ecdsa", &["-t", "ecdsa", "-b", "256"]),
        ("ecdsa521", &["-t", "ecdsa", "-b", "521"]),
        ("pkcs8", &["-t", "ecdsa", "-b", "256", "-m", "PKCS8"]),
    ] {
        let mut options = options(&server);
        options.identity_files = vec![server.new_key(name, kind, "")];
        if let Err(failure) = try_connect(&server, options).await {
            panic!("{name}: {failure}\n{}", server.log());
        }
    }
}

#[tokio::test]
async fn a_certificate_beside_the_key_signs_in() {
    let server = TestSshd::start(&[]);
    let dir = server.dir();
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    for name in ["ca", "certified"] {
        keygen(&["-t", "ed25519", "-N", "", "-f", &path(name)]);
    }
    keygen(&["-s", &path("ca"), "-I", "test", "-n", server.user(), &path("certified.pub")]);
    let ca = fs::read_to_string(path("ca.pub")).unwrap();
    fs::write(path("authorized_keys"), format!("cert-authority {ca}")).unwrap();
    let mut options = options(&server);
    options.identity_files = vec![dir.join("certified")];
    try_connect(&server, options).await.unwrap();
    assert!(server.log().contains("ED25519-CERT"), "{}", server.log());
}

#[tokio::test]
async fn a_pass_phrase_is_asked_once_for_all_connections() {
    let server = TestSshd::start(&[]);
    let key = server.new_key("locked", &["-t", "ed25519"], "opensesame");
    let person = Arc::new(Person {
        secrets: Mutex::new(["wrong", "opensesame"].into()),
        slow: Duration::from_millis(2500),
        ..Person::default()
    });
    let mut options = options(&server);
    options.identity_files = vec![key.clone()];
    // Less than the person takes: the time limit stands still meanwhile.
    options.connect_timeout = Duration::from_secs(4);
    options.known_hosts.own = server.dir().join("own");
    fs::write(&options.known_hosts.own, server.known_hosts_line()).unwrap();
    let client = client(options, &person).await;
    let endpoint = server.endpoint();
    let (a, b) = tokio::join!(client.connect(&endpoint), client.connect(&endpoint));
    a.unwrap();
    b.unwrap();
    assert_eq!(person.asked(), vec![format!("Pass phrase for {}: ", key.display()); 2]);
}

#[tokio::test]
async fn three_wrong_pass_phrases_are_enough() {
    let server = TestSshd::start(&[]);
    let key = server.new_key("locked", &["-t", "rsa", "-b", "2048", "-m", "PEM"], "opensesame");
    let person = Person::who_types(&["a", "b", "c", "opensesame"]);
    let mut options = options(&server);
    options.identity_files = vec![key];
    let client = client(options, &person).await;
    for _ in 0..2 {
        let failure = client.connect(&server.endpoint()).await.unwrap_err();
        assert!(
            failure.message.contains("left out: locked (the pass phrase was wrong three times)"),
            "{failure}"
        );
    }
    assert_eq!(person.asked().len(), 3);
}

#[tokio::test]
async fn an_encrypted_key_that_is_not_wanted_costs_no_question() {
    let server = TestSshd::start(&[]);
    let locked = server.dir().join("locked");
    keygen(&["-t", "ed25519", "-N", "opensesame", "-f", locked.to_str().unwrap()]);
    let person = Person::who_types(&[]);
    let mut options = options(&server);
    options.identity_files.insert(0, locked);
    client(options, &person).await.connect(&server.endpoint()).await.unwrap();
    assert!(person.asked().is_empty(), "{:?}", person.asked());
}

#[tokio::test]
async fn passwords_are_asked_given_and_refused() {
    for method in ["PasswordAuthentication yes", "KbdInteractiveAuthentication yes"] {
        let server = TestSshd::with_user("correct horse", &[method, "UsePAM yes"]);
        let mut options = options(&server);
        options.identity_files.clear();

        let failure = try_connect(&server, options.clone()).await.unwrap_err();
        assert!(failure.hint.as_ref().unwrap().contains("password"), "{failure:?}");

        options.password = PasswordUse::Given("correct horse".into());
        if let Err(failure) = try_connect(&server, options.clone()).await {
            panic!("{method}: {failure}\n{}", server.log());
        }
        options.password = PasswordUse::Given("wrong".into());
        let failure = try_connect(&server, options.clone()).await.unwrap_err();
        assert!(failure.message.starts_with("vmsshtest is not let in with a password"), "{failure}");

        // Asked once for two connections, and again after a wrong answer.
        options.password = PasswordUse::Ask;
        let person = Person::who_types(&["wrong", "correct horse"]);
        let client = client(options, &person).await;
        let endpoint = server.endpoint();
        let (a, b) = tokio::join!(client.connect(&endpoint), client.connect(&endpoint));
        a.unwrap();
        b.unwrap();
        assert_eq!(person.asked(), ["vmsshtest's password: "; 2]);
    }
}

#[tokio::test]
async fn a_key_and_then_a_password() {
    let server = TestSshd::with_user(
        "correct horse",
        &["PasswordAuthentication yes", "AuthenticationMethods publickey,password", "UsePAM yes"],
    );
    let mut options = options(&server);
    options.password = PasswordUse::Given("correct horse".into());
    if let Err(failure) = try_connect(&server, options).await {
        panic!("{failure}\n{}", server.log());
    }
}

/// An ssh-agent of the test's own.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(dir: &Path) -> Self {
        let socket = dir.join("agent.sock");
        let mut agent = Command::new("ssh-agent");
        let child = agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(Instant::now() < end, "ssh-agent does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { child, socket }
    }

    fn add(&self, key: &Path) {
        let mut add = Command::new("ssh-add");
        let status = add.arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_agent_signs() {
    let server = TestSshd::start(&[]);
    let agent = Agent::start(server.dir());
    let rsa = server.new_key("rsa", &["-t", "rsa", "-b", "2048"], "");
    let locked = server.new_key("locked", &["-t", "ed25519"], "");
    for key in [&rsa, &locked] {
        agent.add(key);
    }
    // What is in the agent needs no pass phrase, also where the file has one.
    run("ssh-keygen", &["-q", "-p", "-N", "opensesame", "-f", locked.to_str().unwrap()]);
    fs::remove_file(&rsa).unwrap();
    let person = Person::who_types(&[]);
    for identity_files in [vec![locked], vec![]] {
        let mut options = options(&server);
        options.agent_socket = Some(agent.socket.clone());
        options.identity_files = identity_files;
        if let Err(failure) = client(options, &person).await.connect(&server.endpoint()).await {
            panic!("{failure}\n{}", server.log());
        }
    }
    assert!(person.asked().is_empty());
    let log = server.log();
    assert!(log.contains("Accepted publickey") && log.contains("RSA SHA256"), "{log}");

    // An agent that is not there is no reason to fail.
    let mut options = options(&server);
    options.agent_socket = Some(server.dir().join("no such socket"));
    client(options, &person).await.connect(&server.endpoint()).await.unwrap();
    assert!(person.notes().contains("the agent can't be used"), "{}", person.notes());
}

#[tokio::test]
async fn a_changed_host_key_is_refused_before_any_sign_in() {
    let server = TestSshd::start(&[]);
    let other = TestSshd::start(&[]);
    let mut options = options(&server);
    options.known_hosts.own = server.dir().join("known_hosts");
    let key = other.known_hosts_line().split_once(' ').unwrap().1.to_owned();
    let name = server.endpoint().host_key_alias();
    fs::write(&options.known_hosts.own, format!("# filed long ago\n{name} {key}")).unwrap();
    let failure = try_connect(&server, options.clone()).await.unwrap_err();
    assert_eq!(failure.stage, Stage::HostKey);
    let fingerprint = |server: &TestSshd| {
        let text = run("ssh-keygen", &["-lf", server.dir().join("host_ed25519.pub").to_str().unwrap()]);
        text.split_whitespace().nth(1).unwrap().to_owned()
    };
    let place = format!("{}:2", options.known_hosts.own.display());
    assert_eq!(
        failure.message,
        format!("changed: ssh-ed25519 {}, filed is {} at {place}", fingerprint(&server), fingerprint(&other))
    );
    let hint = failure.hint.unwrap();
    let log = server.log();
    assert!(!log.contains("Accepted") && !log.contains("Failed") && !log.contains("publickey"), "{log}");
    assert!(log.contains("[preauth]"), "{log}");

    // The command that the hint names does what it says.
    let command = hint.split('`').nth(1).unwrap();
    run("sh", &["-c", command]);
    try_connect(&server, options).await.unwrap();
}

#[tokio::test]
async fn a_new_host_key_is_filed_and_then_known() {
    let server = TestSshd::start(&[]);
    let person = Person::who_types(&[]);
    let mut options = options(&server);
    client(options.clone(), &person).await.connect(&server.endpoint()).await.unwrap();
    let file = &options.known_hosts.own;
    let line = fs::read_to_string(file).unwrap();
    let expected: Vec<_> = server.known_hosts_line().split(' ').take(3).map(str::to_owned).collect();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), expected);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(file), mode(file.parent().unwrap())), (0o600, 0o700));
    assert!(person.notes().contains("filed: SHA256:"), "{}", person.notes());

    options.host_keys = HostKeyPolicy::Strict;
    try_connect(&server, options.clone()).await.unwrap();
    // OpenSSH reads it as well, hashed or not.
    run("ssh-keygen", &["-q", "-H", "-f", file.to_str().unwrap()]);
    assert!(fs::read_to_string(file).unwrap().starts_with("|1|"));
    try_connect(&server, options).await.unwrap();
}

#[tokio::test]
async fn a_new_host_key_is_asked_about_or_refused() {
    let server = TestSshd::start(&[]);
    let mut options = options(&server);
    options.host_keys = HostKeyPolicy::Strict;
    let failure = try_connect(&server, options.clone()).await.unwrap_err();
    assert_eq!(failure.stage, Stage::HostKey);
    assert!(failure.message.starts_with("unknown: ssh-ed25519 SHA256:"), "{failure}");

    options.host_keys = HostKeyPolicy::Ask;
    let failure = try_connect(&server, options.clone()).await.unwrap_err();
    assert!(failure.message.starts_with("not accepted: "), "{failure}");
    assert!(!options.known_hosts.own.exists());

    let person = Arc::new(Person { trust: true, slow: Duration::from_millis(300), ..Person::default() });
    let client = client(options, &person).await;
    let endpoint = server.endpoint();
    let (a, b) = tokio::join!(client.connect(&endpoint), client.connect(&endpoint));
    a.unwrap();
    b.unwrap();
    assert_eq!(person.asked().len(), 1);
    assert!(person.asked()[0].starts_with(server.endpoint().host_key_alias().as_str()));
}

#[tokio::test]
async fn a_revoked_host_key_is_refused() {
    let server = TestSshd::start(&[]);
    let mut options = options(&server);
    options.known_hosts.own = server.dir().join("known_hosts");
    let line = server.known_hosts_line();
    let key = line.split_once(' ').unwrap().1;
    fs::write(&options.known_hosts.own, format!("{line}@revoked * {key}")).unwrap();
    let failure = try_connect(&server, options).await.unwrap_err();
    assert_eq!(failure.stage, Stage::HostKey);
    assert!(failure.message.starts_with("revoked: ssh-ed25519 SHA256:"), "{failure}");
    assert!(!server.log().contains("Accepted"));
}

#[tokio::test]
async fn the_known_type_of_host_key_is_asked_for() {
    let server = TestSshd::start(&[]);
    let ecdsa = server.dir().join("host_ecdsa");
    keygen(&["-t", "ecdsa", "-N", "", "-f", ecdsa.to_str().unwrap()]);
    let both = TestSshd::start(&[&format!("HostKey {}", ecdsa.display())]);
    let mut options = options(&both);
    options.host_keys = HostKeyPolicy::Strict;
    options.known_hosts.own = both.dir().join("known_hosts");
    let key = fs::read_to_string(ecdsa.with_extension("pub")).unwrap();
    let line = format!("{} {key}", both.endpoint().host_key_alias());
    fs::write(&options.known_hosts.own, &line).unwrap();
    try_connect(&both, options.clone()).await.unwrap();

    // A server that has lost it is not a first contact.
    options.host_keys = HostKeyPolicy::AcceptNew;
    options.user = server.user().into();
    fs::write(&options.known_hosts.own, format!("{} {key}", server.endpoint().host_key_alias())).unwrap();
    let failure = try_connect(&server, options).await.unwrap_err();
    assert!(failure.message.starts_with("new type: "), "{failure}");
}

#[tokio::test]
async fn key_files_that_cannot_be_used_are_named() {
    let server = TestSshd::start(&[]);
    let person = Person::who_types(&[]);
    let new = async |file: PathBuf| {
        let mut options = options(&server);
        options.identity_files = vec![file];
        Client::new(options, Resolver::new(Family::Any), person.clone()).await.unwrap_err()
    };
    let loose = server.new_key("loose", &["-t", "ed25519"], "");
    fs::set_permissions(&loose, fs::Permissions::from_mode(0o640)).unwrap();
    let error = new(loose.clone()).await;
    assert!(matches!(error, ClientError::LooseMode { mode: 0o640, .. }), "{error:?}");
    assert!(error.to_string().contains("mode 0640") && error.is_refusal(), "{error}");
    assert_eq!(error.hint().unwrap(), format!("`chmod 600 {}`", loose.display()));

    let public = server.key().with_extension("pub");
    fs::set_permissions(&public, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(new(public).await, ClientError::PublicKey { .. }));
    let text = server.dir().join("text");
    fs::write(&text, "hello\n").unwrap();
    fs::set_permissions(&text, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(new(text).await, ClientError::NotAKey { .. }));
    assert!(matches!(new("/no/such/key".into()).await, ClientError::KeyFile { .. }));

    // A default key with the same fault is left out with a word.
    let mut options = options(&server);
    options.default_keys = vec![loose, "/no/such/key".into()];
    client(options, &person).await.connect(&server.endpoint()).await.unwrap();
    assert!(
        person.notes().contains("mode 0640") && !person.notes().contains("no/such"),
        "{}",
        person.notes()
    );
}

#[tokio::test]
async fn a_banner_is_shown_once_and_clean() {
    let server = TestSshd::start(&["PrintMotd no"]);
    let banner = server.dir().join("banner");
    fs::write(&banner, "Authorized use only\n\x1b]0;owned\x07\n").unwrap();
    let server = TestSshd::start(&[&format!("Banner {}", banner.display())]);
    let person = Person::who_types(&[]);
    let client = client(options(&server), &person).await;
    client.connect(&server.endpoint()).await.unwrap();
    client.connect(&server.endpoint()).await.unwrap();
    let notes = person.notes();
    assert_eq!(notes.matches("Authorized use only").count(), 1, "{notes}");
    assert!(!notes.contains('\x1b'), "{notes}");
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

/// Connects to what is no SSH server. Gives the failure once the other side has seen the end.
async fn connect_to(
    limit: Duration,
    serve: impl AsyncFnOnce(&mut TcpStream) + Send + 'static,
) -> (Failure, Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let options = ClientOptions {
        user: "nobody".into(),
        identity_files: vec![],
        default_keys: vec![],
        agent_socket: None,
        password: PasswordUse::Never,
        host_keys: HostKeyPolicy::AcceptNew,
        known_hosts: KnownHostsFiles { own: dir.path().join("known_hosts"), also: vec![] },
        connect_timeout: limit,
    };
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

#[tokio::test]
async fn a_closed_port_is_refused() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let server = TestSshd::start(&[]);
    let client = client(options(&server), &Arc::default()).await;
    let failure = client.connect(&endpoint(port)).await.unwrap_err();
    assert_eq!((failure.stage, failure.message.as_str()), (Stage::Connect, "connection refused"));
    assert!(failure.hint.unwrap().contains("sshd is stopped"));
}
