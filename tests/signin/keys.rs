//! Key files of every kind and container.

use super::*;

#[tokio::test]
async fn keys_of_every_kind_and_container_sign_in() {
    let server = TestSshd::start(&[]);
    for (name, kind) in [
        ("rsa", &["-t", "rsa", "-b", "2048"][..]),
        ("rsa_pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("rsa_pkcs8", &["-t", "rsa", "-b", "2048", "-m", "PKCS8"]),
        ("ecdsa256", &["-t", "ecdsa", "-b", "256", "-m", "PKCS8"]),
        ("ecdsa384", &["-t", "ecdsa", "-b", "384"]),
        ("ecdsa521", &["-t", "ecdsa", "-b", "521"]),
        ("ecdsa_pem", &["-t", "ecdsa", "-b", "256", "-m", "PEM"]),
        ("ecdsa_pkcs8", &["-t", "ecdsa", "-b", "384", "-m", "PKCS8"]),
        ("ed25519", &["-t", "ed25519"]),
        ("aes256cbc", &["-t", "ed25519", "-Z", "aes256-cbc"]),
        ("aes256gcm", &["-t", "ed25519", "-Z", "aes256-gcm@openssh.com"]),
        ("chacha", &["-t", "ed25519", "-Z", "chacha20-poly1305@openssh.com"]),
    ] {
        for phrase in ["", "opensesame"] {
            let key = server.new_key(&format!("{name}{phrase}"), kind, phrase);
            if let Err(error) =
                Visitor::new(with_files(&server, std::slice::from_ref(&key)), &Arc::default()).await
            {
                // What can't be read says how to make it readable, and does not waste a person's time.
                let hint = error.hint().unwrap();
                assert!(!phrase.is_empty() && hint.contains("ssh-keygen -p -f"), "{name}: {error} {hint}");
                continue;
            }
            let person = Person::who_types(&["opensesame"]);
            if let Err(failure) = ask_and_connect(&server, with_files(&server, &[key]), &person).await {
                panic!("{name} {phrase}: {failure}\n{}", server.log());
            }
            assert_eq!(person.asked().len(), usize::from(!phrase.is_empty()), "{name}");
        }
    }
    assert!(!server.log().contains("ssh-rsa "), "{}", server.log());
}

#[tokio::test]
async fn an_old_container_names_the_command_that_mends_it() {
    let server = TestSshd::start(&[]);
    let plain = server.new_key("plain", &["-t", "rsa", "-b", "2048", "-m", "PEM"], "");
    let old = server.dir().join("old key");
    let words = [
        "rsa",
        "-in",
        text(&plain),
        "-out",
        text(&old),
        "-des3",
        "-passout",
        "pass:opensesame",
        "-traditional",
    ];
    run("openssl", &words);
    let error =
        Visitor::new(with_files(&server, std::slice::from_ref(&old)), &Arc::default()).await.err().unwrap();
    assert!(error.to_string().contains("DES-EDE3-CBC"), "{error}");
    assert!(error.hint().unwrap().contains(&format!("`ssh-keygen -p -f '{}'`", old.display())), "{error:?}");
    // It does.
    run("ssh-keygen", &["-q", "-p", "-P", "opensesame", "-N", "opensesame", "-f", text(&old)]);
    let person = Person::who_types(&["opensesame"]);
    signed_in(ask_and_connect(&server, with_files(&server, &[old]), &person).await, &server);
}

#[tokio::test]
async fn an_empty_pass_phrase_gives_the_key_up_and_the_next_one_is_tried() {
    let server = TestSshd::start(&[]);
    let locked = server.new_key("locked", &["-t", "ed25519"], "opensesame");
    let person = Person::who_types(&[""]);
    signed_in(ask_and_connect(&server, with_files(&server, &[locked, server.key()]), &person).await, &server);
    assert_eq!(person.asked().len(), 1);
    assert!(person.notes().contains("no pass phrase was given"), "{}", person.notes());
}

#[tokio::test]
async fn signatures_that_are_not_wanted_are_not_made() {
    let server = TestSshd::start(&[]);
    let rsa = server.new_key("rsa", &["-t", "rsa", "-b", "2048"], "");
    let with = |signatures: &[&str]| {
        let mut options = with_files(&server, &[rsa.clone(), server.key()]);
        options.algorithms.signatures = Some(signatures.iter().map(ToString::to_string).collect());
        try_connect(&server, options)
    };
    signed_in(with(&["rsa-sha2-256"]).await, &server);
    signed_in(with(&["ssh-ed25519"]).await, &server);
    let failure = with(&["ssh-rsa"]).await.unwrap_err();
    assert!(failure.message.starts_with("nothing to sign in with as root; left out: rsa ("), "{failure}");
    let log = server.log();
    assert!(log.contains("Accepted key RSA") && log.contains("Accepted key ED25519"), "{log}");
}

#[tokio::test]
async fn an_old_server_is_never_given_a_sha_1_signature() {
    let server = TestSshd::start(&["PubkeyAcceptedAlgorithms ssh-rsa"]);
    let rsa = server.new_key("rsa", &["-t", "rsa", "-b", "2048"], "");
    let failure = try_connect(&server, with_files(&server, &[rsa])).await.unwrap_err();
    assert!(failure.message.starts_with("root is not let in with rsa") || failure.message.contains("SHA-1"));
    let log = server.log();
    assert!(!log.contains("Accepted publickey") && !log.contains("Postponed publickey"), "{log}");
}

#[tokio::test]
async fn putty_s_keys_sign_in() {
    let server = TestSshd::start(&[]);
    let phrase = server.dir().join("phrase");
    fs::write(&phrase, "opensesame\n").unwrap();
    let nothing = server.dir().join("nothing");
    fs::write(&nothing, "").unwrap();
    let plain = server.key();
    for (name, version, words) in [
        ("2", "version=2", [text(&nothing), ""]),
        ("2locked", "version=2", [text(&phrase), "opensesame"]),
        ("3", "version=3", [text(&nothing), ""]),
        ("3locked", "version=3", [text(&phrase), "opensesame"]),
    ] {
        let [file, answer] = words;
        let key = server.dir().join(format!("{name}.ppk"));
        let param = ["--ppk-param", version, "--new-passphrase", file];
        run("puttygen", &[&[text(&plain), "-O", "private", "-o", text(&key)], &param[..]].concat());
        fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let person =
            if answer.is_empty() { Person::who_types(&[]) } else { Person::who_types(&["opensesame"]) };
        if let Err(failure) = ask_and_connect(&server, with_files(&server, &[key]), &person).await {
            panic!("{name}: {failure}\n{}", server.log());
        }
    }
}

/// A key of nobody's whose number has 31 bytes in place of 32, made once for this test.
const SHORT: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\n\
    b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAaAAAABNlY2RzYS\n\
    1zaGEyLW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQTGfAWOAUUiMxHL9b7JORPsendyhB5y\n\
    33ZL0TvV6cP7cpy5XiHHMhrUJ0Tt/5QTA5oTh4jiDCvAWrFaH4A3kLL5AAAAoE7biOdO24\n\
    jnAAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMZ8BY4BRSIzEcv1\n\
    vsk5E+x6d3KEHnLfdkvRO9Xpw/tynLleIccyGtQnRO3/lBMDmhOHiOIMK8BasVofgDeQsv\n\
    kAAAAfOguaNEjh3MqQQqWyZWbamQETiUXMYHFYYqw3/Vr48QAAAAVzaG9ydAECAwQ=\n\
    -----END OPENSSH PRIVATE KEY-----\n";

#[tokio::test]
async fn an_ecdsa_key_with_a_short_number_signs_in() {
    use std::os::unix::fs::PermissionsExt as _;

    let server = TestSshd::start(&[]);
    let key = server.dir().join("short");
    fs::write(&key, SHORT).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let public = run("ssh-keygen", &["-y", "-f", text(&key)]);
    fs::write(server.dir().join("authorized_keys"), public).unwrap();
    let options = with_files(&server, std::slice::from_ref(&key));
    signed_in(try_connect(&server, options).await, &server);
}
