//! The agent: which of its keys are offered, keys without a private file, many sign-ins.

use super::*;

#[tokio::test]
async fn only_named_keys_are_offered_where_that_is_wanted() {
    let server = TestSshd::start(&[]);
    let agent = Agent::start(server.dir());
    let known = server.key();
    for key in [&stranger(server.dir(), "first"), &stranger(server.dir(), "second"), &known] {
        agent.add(key);
    }
    let only = |identity_files: &[PathBuf]| LoginOptions {
        agent_socket: Some(agent.socket.clone()),
        agent_keys: AgentKeys::Named,
        ..with_files(&server, identity_files)
    };
    let failure = try_connect(&server, only(&[])).await.unwrap_err();
    assert!(failure.message.starts_with("nothing to sign in with as "), "{failure}");

    // The public half is enough: named itself, or beside a name without a file.
    fs::rename(&known, server.dir().join("put away")).unwrap();
    for name in [known.with_extension("pub"), known.clone()] {
        signed_in(try_connect(&server, only(&[name])).await, &server);
    }
    assert!(!server.log().contains("Failed publickey"), "{}", server.log());
}

#[tokio::test]
async fn a_public_half_without_a_private_one_says_where_that_is_missing() {
    let server = TestSshd::start(&[]);
    let public = server.key().with_extension("pub");
    let failure = try_connect(&server, with_files(&server, &[public])).await.unwrap_err();
    assert!(
        failure.message.contains("left out: user_ed25519.pub (its private half is not here"),
        "{failure}"
    );
    assert!(failure.message.contains("`ssh-add` it"), "{failure}");
}

#[tokio::test]
async fn the_named_key_gets_in_where_the_server_takes_few_tries() {
    let server = TestSshd::start(&["MaxAuthTries 2"]);
    let agent = Agent::start(server.dir());
    for n in 0..7 {
        agent.add(&stranger(server.dir(), &format!("key{n}")));
    }
    let with_agent = |options| LoginOptions { agent_socket: Some(agent.socket.clone()), ..options };
    signed_in(try_connect(&server, with_agent(options(&server))).await, &server);
    let failure = try_connect(&server, with_agent(with_files(&server, &[]))).await.unwrap_err();
    assert!(failure.message.contains("with agent key \"key0\", agent key \"key1\" ("), "{failure}");
    assert!(failure.hint.as_ref().unwrap().contains("MaxAuthTries"), "{failure:?}");

    let server = TestSshd::start(&[]);
    let failure = try_connect(&server, with_agent(with_files(&server, &[]))).await.unwrap_err();
    assert!(failure.message.contains("left out: 2 more (a server takes no more tries)"), "{failure}");
    assert!(failure.hint.as_ref().unwrap().contains("-i KEY"), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_sign_ins_share_an_agent_and_one_decrypted_key() {
    const SIGN_INS: usize = 200;
    let server = TestSshd::start(&[]);
    let agent = Agent::start(server.dir());
    agent.add(&server.key());
    let locked = server.new_key("locked", &["-t", "ed25519"], "opensesame");
    let of_agent = LoginOptions { agent_socket: Some(agent.socket.clone()), ..with_files(&server, &[]) };
    for (options, questions) in [(of_agent, 0), (with_files(&server, &[locked]), 1)] {
        let person = Person::who_types(&["opensesame"]);
        let options = LoginOptions { connect_timeout: Duration::from_secs(120), ..options };
        let visitor = Visitor::new(options, &person).await.unwrap();
        let endpoint = server.endpoint();
        let mut failed = Vec::new();
        // As many at once as a fan-out has.
        for _ in 0..SIGN_INS / 50 {
            let round = (0..50).map(|_| visitor.connect(&endpoint));
            failed.extend(futures_util::future::join_all(round).await.into_iter().filter_map(Result::err));
        }
        assert!(failed.is_empty(), "{failed:?}\n{}", person.notes());
        assert_eq!(person.asked().len(), questions);
    }
    until_logged(&server, "Accepted publickey", 2 * SIGN_INS);
}
