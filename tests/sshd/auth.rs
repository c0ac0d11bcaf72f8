//! Signing in.

use russh::{MethodKind, MethodSet, server::Response};

use super::*;
use crate::ssh_agent::Agent;

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
async fn many_keys_do_not_use_up_the_tries_of_the_server() {
    let server = TestSshd::start(&[]);
    let mut options = options(&server);
    options.identity_files = (0..7).map(|n| server.dir().join(format!("key{n}"))).collect();
    for path in &options.identity_files {
        keygen(&["-t", "ed25519", "-N", "", "-f", path.to_str().unwrap()]);
    }
    let failure = try_connect(&server, options).await.unwrap_err();
    let user = server.user();
    let expected = format!(
        "{user} is not let in with key0, key1, key2, key3, key4; left out: 2 more (a server takes no more \
         tries); the server takes publickey"
    );
    assert_eq!(failure.message, expected);
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
async fn key_files_that_cannot_be_used_are_named() {
    let server = TestSshd::start(&[]);
    let person = Person::who_types(&[]);
    let new = async |file: PathBuf| {
        let mut options = options(&server);
        options.identity_files = vec![file];
        Visitor::new(options, &person).await.err().unwrap()
    };
    let loose = server.new_key("loose", &["-t", "ed25519"], "");
    fs::set_permissions(&loose, fs::Permissions::from_mode(0o640)).unwrap();
    let error = new(loose.clone()).await;
    assert!(matches!(error, ClientError::LooseMode { mode: 0o640, .. }), "{error:?}");
    assert!(error.to_string().contains("mode 0640") && error.is_refusal(), "{error}");
    assert_eq!(error.hint().unwrap(), format!("`chmod 600 {}`", loose.display()));

    let public = server.key().with_extension("pub");
    fs::set_permissions(&public, fs::Permissions::from_mode(0o600)).unwrap();
    let ssh2 = server.dir().join("ssh2.pub");
    fs::write(&ssh2, run("ssh-keygen", &["-e", "-f", public.to_str().unwrap()])).unwrap();
    assert!(matches!(new(ssh2).await, ClientError::PublicKey { .. }));
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
async fn a_key_that_somebody_else_owns_may_be_open_to_others() {
    let server = TestSshd::start(&[]);
    let key = server.new_key("mounted", &["-t", "ed25519"], "");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o440)).unwrap();
    std::os::unix::fs::chown(&key, Some(64999), None)
        .expect("giving a file away takes root: run the tests as root");
    let mut options = options(&server);
    options.identity_files = vec![key];
    try_connect(&server, options).await.unwrap();
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

/// A server whose password has expired: it wants that one, then a new one twice.
struct Expired(Arc<Mutex<Vec<String>>>);

impl server::Handler for Expired {
    type Error = russh::Error;

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        let prompts: &[(_, bool)] = match response {
            None => &[("Password: ".into(), false)],
            Some(response) => {
                let mut heard = self.0.lock().unwrap();
                heard.extend(response.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()));
                if heard.len().is_multiple_of(3) {
                    return Ok(Auth::Accept);
                }
                &[("New password: ".into(), false), ("Retype new password:".into(), false)]
            }
        };
        Ok(Auth::Partial { name: "".into(), instructions: "".into(), prompts: prompts.to_vec().into() })
    }
}

#[tokio::test]
async fn a_new_password_is_asked_for_as_such_and_kept_to_its_server() {
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let config = server::Config {
        methods: MethodSet::from(&[MethodKind::KeyboardInteractive][..]),
        ..server::Config::default()
    };
    let server_heard = heard.clone();
    let port = serve(config, move |_| Expired(server_heard.clone())).await;
    let (options, _dir) = options_without_keys();
    let options = LoginOptions { password: PasswordUse::Ask, ..options };
    let person = Person::who_types(&["old", "fresh", "fresh", "other", "other"]);
    let client = client(options, &person).await;
    client.connect(&endpoint(port)).await.unwrap();
    client.connect(&endpoint(port)).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), ["old", "fresh", "fresh", "old", "other", "other"]);
    let [new, again] = ["New password: ", "Retype new password: "]
        .map(|text| format!("(anybody@[127.0.0.1]:{port}) {text}"));
    let expected = ["anybody's password: ", &new, &again, &new, &again];
    assert_eq!(person.asked(), expected);
}
