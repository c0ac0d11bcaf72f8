//! Servers that want several methods (AuthenticationMethods), and the order of methods.

use super::*;

const PASSWORD: &str = "correct horse";

fn server(methods: &str) -> TestSshd {
    let methods = format!("AuthenticationMethods {methods}");
    let words = ["PasswordAuthentication yes", "KbdInteractiveAuthentication yes", "UsePAM yes", &methods];
    TestSshd::with_user(PASSWORD, &words)
}

#[tokio::test]
async fn a_key_and_then_questions_or_a_password() {
    for methods in ["publickey,password", "publickey,keyboard-interactive", "password,publickey"] {
        let server = server(methods);
        let options = LoginOptions { password: PasswordUse::Ask, ..options(&server) };
        let person = Person::who_types(&["wrong", PASSWORD]);
        signed_in(ask_and_connect(&server, options.clone(), &person).await, &server);
        assert_eq!(person.asked(), ["vmsshtest's password: "; 2], "{methods}");

        let given = LoginOptions { password: PasswordUse::Given(PASSWORD.into()), ..options };
        signed_in(try_connect(&server, given).await, &server);
    }
}

#[tokio::test]
async fn what_is_still_wanted_is_said() {
    let server = server("publickey,password");
    let failure = try_connect(&server, options(&server)).await.unwrap_err();
    assert_eq!(failure.stage, Stage::Auth);
    let expected = "vmsshtest got through with user_ed25519 and needs more; the server still wants password";
    assert_eq!(failure.message, expected);
    assert!(failure.hint.as_ref().unwrap().contains("--ask-password"), "{failure:?}");

    let wrong = LoginOptions { password: PasswordUse::Given("wrong".into()), ..options(&server) };
    let failure = try_connect(&server, wrong).await.unwrap_err();
    assert!(failure.message.contains("needs more; not taken: a password"), "{failure}");
}

#[tokio::test]
async fn two_keys_in_a_row() {
    let server = server("publickey,publickey");
    let second = server.new_key("second", &["-t", "ed25519"], "");
    let unknown = stranger(server.dir(), "unknown");
    let failure = try_connect(&server, options(&server)).await.unwrap_err();
    assert!(failure.message.ends_with("needs more; the server still wants publickey"), "{failure}");
    assert!(failure.hint.as_ref().unwrap().contains("second -i KEY"), "{failure:?}");
    let both = with_files(&server, &[unknown, server.key(), second]);
    signed_in(try_connect(&server, both).await, &server);
}

#[tokio::test]
async fn methods_are_used_in_the_order_that_is_wanted() {
    let server = server("any");
    let base = LoginOptions { password: PasswordUse::Given(PASSWORD.into()), ..options(&server) };
    for (methods, accepted) in [
        (&Method::DEFAULT[..], "Accepted publickey"),
        (&[Method::Password, Method::PublicKey], "Accepted password"),
        (&[Method::KeyboardInteractive], "Accepted keyboard-interactive/pam"),
    ] {
        signed_in(
            try_connect(&server, LoginOptions { methods: methods.into(), ..base.clone() }).await,
            &server,
        );
        // sshd lets in first and writes then.
        until_logged(&server, accepted, 1);
    }
}

#[tokio::test]
async fn a_password_still_has_its_try_after_many_keys() {
    let server = server("any");
    let keys: Vec<_> = (0..7).map(|n| stranger(server.dir(), &format!("key{n}"))).collect();
    let options =
        LoginOptions { password: PasswordUse::Given(PASSWORD.into()), ..with_files(&server, &keys) };
    signed_in(try_connect(&server, options).await, &server);
}

#[tokio::test]
async fn a_password_is_asked_for_as_often_as_is_wanted() {
    let server = server("any");
    for most in [1, 3] {
        let person = Person::who_types(&["a", "b", "c", PASSWORD]);
        let options =
            LoginOptions { password: PasswordUse::Ask, most_passwords: most, ..with_files(&server, &[]) };
        let failure = ask_and_connect(&server, options, &person).await.unwrap_err();
        assert_eq!(person.asked().len(), most);
        assert!(failure.message.contains("is not let in with a password"), "{failure}");
    }
}
