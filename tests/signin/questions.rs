//! Questions of the server's own, from servers that no sshd would be.

use russh::{
    MethodKind, MethodSet,
    keys::{Algorithm, PrivateKey},
    server::{self, Auth, Response},
};
use tokio::net::TcpListener;

use super::*;

type Heard = Arc<Mutex<Vec<String>>>;

/// A conversation: rounds of name, instructions and prompts (shown while typed or not).
type Rounds = &'static [(&'static str, &'static str, &'static [(&'static str, bool)])];

/// What comes after the last round.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Accept,
    Reject,
    /// The first round again.
    Never,
}

/// A server that asks these questions and then says this.
#[derive(Clone)]
struct Asking {
    rounds: Rounds,
    end: End,
    heard: Heard,
    round: usize,
}

impl server::Handler for Asking {
    type Error = russh::Error;

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        match response {
            None => self.round = 0,
            Some(response) => {
                let answers = response.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
                self.heard.lock().unwrap().extend(answers);
            }
        }
        let Some((name, instructions, prompts)) = self.rounds.get(self.round % self.rounds.len().max(1))
        else {
            return Ok(Auth::reject());
        };
        self.round += 1;
        match self.end {
            End::Accept if self.round > self.rounds.len() => return Ok(Auth::Accept),
            End::Reject if self.round > self.rounds.len() => return Ok(Auth::reject()),
            _ => {}
        }
        let prompts: Vec<_> = prompts.iter().map(|(text, echo)| ((*text).into(), *echo)).collect();
        Ok(Auth::Partial {
            name: (*name).into(),
            instructions: (*instructions).into(),
            prompts: prompts.into(),
        })
    }

    async fn auth_password(&mut self, _: &str, password: &str) -> Result<Auth, Self::Error> {
        self.heard.lock().unwrap().push(format!("password {password}"));
        if password == "expired" {
            // What a request to change it looks like from a client that does not understand it.
            std::future::pending::<()>().await;
        }
        Ok(Auth::Accept)
    }
}

/// Starts one; gives its port. It ends with the test.
async fn serve(rounds: Rounds, end: End, methods: &[MethodKind]) -> (u16, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(server::Config {
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        inactivity_timeout: None,
        methods: MethodSet::from(methods),
        keys: vec![PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()],
        ..server::Config::default()
    });
    let heard = Heard::default();
    let handler = Asking { rounds, end, heard: heard.clone(), round: 0 };
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (config, handler) = (config.clone(), handler.clone());
            tokio::spawn(async move { server::run_stream(config, stream, handler).await?.await });
        }
    });
    (port, heard)
}

async fn answer(port: u16, password: PasswordUse, person: &Arc<Person>) -> Result<Session, Failure> {
    answer_within(LIMIT, port, password, person).await
}

async fn answer_within(
    connect_timeout: Duration,
    port: u16,
    password: PasswordUse,
    person: &Arc<Person>,
) -> Result<Session, Failure> {
    let dir = tempfile::tempdir().unwrap();
    let known_hosts = KnownHostsFiles { own: dir.path().join("known_hosts"), also: vec![] };
    let options = LoginOptions {
        host_keys: HostKeyPolicy::AcceptNew,
        connect_timeout,
        password,
        ..LoginOptions::new("anybody", known_hosts)
    };
    Visitor::new(options, person).await.unwrap().connect(&endpoint(port)).await
}

const QUESTIONS: [MethodKind; 1] = [MethodKind::KeyboardInteractive];

#[tokio::test]
async fn several_questions_are_asked_as_the_server_wants_them() {
    const ROUNDS: Rounds = &[
        ("Two factors", "Line one\nline\x1b[2J two", &[("Password: ", false), ("Code: ", true)]),
        ("", "Nothing to answer\x07", &[]),
        ("", "", &[("Colour\x1b]0;owned\x07? ", false)]),
    ];
    let (port, heard) = serve(ROUNDS, End::Accept, &QUESTIONS).await;
    let person = Person::who_types(&["secret", "123456", "blue"]);
    answer(port, PasswordUse::Ask, &person).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), ["secret", "123456", "blue"]);
    let whom = format!("(anybody@[127.0.0.1]:{port})");
    let asked = person.asked();
    assert_eq!(asked[0], "anybody's password: ");
    assert!(asked[1].starts_with("[seen] ") && asked[1].ends_with(&format!("{whom} Code: ")), "{asked:?}");
    assert!(asked[2].starts_with(&whom), "{asked:?}");
    assert!(person.notes().contains(&format!("{whom} Nothing to answer^G")), "{}", person.notes());
    let all = asked.concat() + &person.notes();
    assert!(!all.contains(['\x1b', '\x07']), "{all:?}");
}

#[tokio::test]
async fn instructions_stand_before_the_first_question() {
    const ROUNDS: Rounds = &[("Vault", "Look at your token", &[("Code: ", true)])];
    let (port, _) = serve(ROUNDS, End::Accept, &QUESTIONS).await;
    let person = Person::who_types(&["123456"]);
    answer(port, PasswordUse::Ask, &person).await.unwrap();
    let whom = format!("(anybody@[127.0.0.1]:{port})");
    let expected = format!("[seen] {whom} Vault\n{whom} Look at your token\n{whom} Code: ");
    assert_eq!(person.asked(), [expected]);
}

#[tokio::test]
async fn questions_that_nobody_answers_leave_the_other_methods_open() {
    const ROUNDS: Rounds = &[("", "", &[("One-time password: ", false), ("Again: ", false)])];
    let methods = [MethodKind::KeyboardInteractive, MethodKind::Password];
    let (port, heard) = serve(ROUNDS, End::Never, &methods).await;
    let failure = answer(port, PasswordUse::Given("secret".into()), &Arc::default()).await;
    // This server asks without end: whoever has no answer leaves.
    let failure = failure.unwrap_err();
    assert!(failure.message.contains("the server's question \"One-time password:\""), "{failure}");
    assert!(heard.lock().unwrap().iter().all(String::is_empty));
}

#[tokio::test]
async fn a_server_that_asks_nothing_does_not_keep_the_password_out() {
    let methods = [MethodKind::KeyboardInteractive, MethodKind::Password];
    let (port, heard) = serve(&[], End::Accept, &methods).await;
    answer(port, PasswordUse::Given("secret".into()), &Arc::default()).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), ["password secret"]);
}

#[tokio::test]
async fn a_person_is_asked_three_times_and_no_more() {
    const ROUNDS: Rounds = &[("", "", &[("Code: ", false)])];
    let (port, _) = serve(ROUNDS, End::Reject, &QUESTIONS).await;
    let person = Person::who_types(&["1", "2", "3", "4", "5"]);
    let failure = answer(port, PasswordUse::Ask, &person).await.unwrap_err();
    assert_eq!(person.asked().len(), 3);
    assert!(failure.message.starts_with("anybody is not let in with a password"), "{failure}");
}

#[tokio::test]
async fn a_password_that_is_not_answered_ends_with_what_it_may_be() {
    let (port, _) = serve(&[], End::Reject, &[MethodKind::Password]).await;
    let given = PasswordUse::Given("expired".into());
    let failure = answer_within(Duration::from_secs(3), port, given, &Arc::default()).await.unwrap_err();
    assert_eq!(
        (failure.stage, failure.message.as_str()),
        (Stage::Auth, "no answer to the password within 3s")
    );
    assert!(failure.hint.unwrap().contains("may want the password changed"));
}
