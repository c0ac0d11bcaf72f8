//! Host keys.

use super::*;

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
    assert_eq!(failure.message, "changed: the server's key is not the one on file");
    let hint = failure.hint.unwrap();
    let (new, old) = (fingerprint(&server), fingerprint(&other));
    let expected = format!("it shows ssh-ed25519 {new}, on file is ssh-ed25519 {old} at {place};");
    assert!(hint.starts_with(&expected), "{hint}");
    let log = server.log();
    assert!(!log.contains("Accepted") && !log.contains("Failed") && !log.contains("publickey"), "{log}");
    assert!(log.contains("[preauth]"), "{log}");

    // The command that the hint names does what it says.
    let command = hint.rsplit('`').nth(1).unwrap();
    let words = shlex::split(command.strip_prefix("vmssh ").unwrap()).unwrap();
    run(env!("CARGO_BIN_EXE_vmssh"), &words.iter().map(String::as_str).collect::<Vec<_>>());
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
    assert_eq!(line.split_whitespace().take(3).collect::<Vec<_>>(), expected);
    let comment: Vec<_> = line.split_whitespace().skip(3).collect();
    assert_eq!((comment[0], comment[2], comment[3]), ("vmssh", "at", server.endpoint().to_string().as_str()));
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
    assert!(failure.message.starts_with("unknown: no key"), "{failure}");
    assert!(failure.hint.as_ref().unwrap().contains("SHA256:"), "{failure:?}");

    options.host_keys = HostKeyPolicy::Ask;
    let failure = try_connect(&server, options.clone()).await.unwrap_err();
    assert!(failure.message.ends_with("was not accepted"), "{failure}");
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
    assert!(failure.message.starts_with("revoked: "), "{failure}");
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
    assert!(failure.message.contains("no longer has the type of key"), "{failure}");
}
