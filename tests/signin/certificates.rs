//! Certificates: of files, beside keys, in the agent, and what is wrong with them.

use super::*;

/// A certificate authority that a server trusts, and keys that it certifies.
struct Authority {
    dir: tempfile::TempDir,
    server: TestSshd,
}

impl Authority {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = stranger(dir.path(), "ca");
        let server = TestSshd::start(&[&format!("TrustedUserCAKeys {}.pub", ca.display())]);
        fs::write(server.dir().join("authorized_keys"), "").unwrap();
        Self { dir, server }
    }

    /// A new key with a certificate beside it. `more` are words of ssh-keygen.
    fn certified(&self, name: &str, kind: &[&str], more: &[&str]) -> PathBuf {
        let key = self.dir.path().join(name);
        keygen(&[kind, &["-N", "", "-C", name, "-f", text(&key)]].concat());
        let ca = self.dir.path().join("ca");
        keygen(&[&["-s", text(&ca), "-I", name], more, &[&format!("{}.pub", key.display())]].concat());
        key
    }

    fn certificate(&self, key: &Path) -> PathBuf {
        self.dir.path().join(format!("{}-cert.pub", text(key)))
    }

    fn principal(&self) -> [&str; 2] {
        ["-n", self.server.user()]
    }
}

#[tokio::test]
async fn certificates_of_every_kind_sign_in() {
    let authority = Authority::new();
    for (name, kind) in [
        ("ed25519", &["-t", "ed25519"][..]),
        ("ecdsa", &["-t", "ecdsa", "-b", "384"]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
    ] {
        let key = authority.certified(name, kind, &authority.principal());
        signed_in(
            try_connect(&authority.server, with_files(&authority.server, &[key])).await,
            &authority.server,
        );
    }
    // With SHA-2, or a server of today would not take it.
    assert!(authority.server.log().contains("RSA-CERT"), "{}", authority.server.log());
}

#[tokio::test]
async fn a_named_certificate_is_joined_to_its_key() {
    let authority = Authority::new();
    let server = &authority.server;
    let key = authority.certified("key", &["-t", "rsa", "-b", "2048"], &authority.principal());
    let elsewhere = authority.dir.path().join("elsewhere.pub");
    fs::rename(authority.certificate(&key), &elsewhere).unwrap();
    let options = LoginOptions {
        certificate_files: vec![elsewhere.clone()],
        ..with_files(server, std::slice::from_ref(&key))
    };
    signed_in(try_connect(server, options).await, server);

    // The key in the agent alone: the agent does not know the certificate and signs with the key.
    let agent = Agent::start(server.dir());
    agent.add(&key);
    let options = LoginOptions {
        certificate_files: vec![elsewhere.clone()],
        agent_socket: Some(agent.socket.clone()),
        agent_keys: AgentKeys::Named,
        ..with_files(server, &[])
    };
    signed_in(try_connect(server, options).await, server);

    let options = LoginOptions { certificate_files: vec![elsewhere], ..with_files(server, &[]) };
    let failure = try_connect(server, options).await.unwrap_err();
    assert!(failure.message.contains("certificate elsewhere.pub (its private key is neither"), "{failure}");

    let options = LoginOptions { certificate_files: vec![key], ..with_files(server, &[]) };
    let error = Visitor::new(options, &Arc::default()).await.err().unwrap();
    assert!(matches!(error, ClientError::NotACertificate { .. }), "{error}");
}

#[tokio::test]
async fn an_agent_s_certificate_signs_in() {
    let authority = Authority::new();
    let server = &authority.server;
    let key = authority.certified("key", &["-t", "rsa", "-b", "2048"], &authority.principal());
    let agent = Agent::start(server.dir());
    // ssh-add takes the certificate beside the key along.
    agent.add(&key);
    let options = LoginOptions { agent_socket: Some(agent.socket.clone()), ..with_files(server, &[]) };
    signed_in(try_connect(server, options).await, server);
    assert!(server.log().contains("RSA-CERT"), "{}", server.log());
}

#[tokio::test]
async fn what_az_ssh_writes_signs_in() {
    let authority = Authority::new();
    let server = &authority.server;
    // `az ssh config`: an RSA key, and a certificate named after its public half.
    let key = authority.certified("id_rsa", &["-t", "rsa", "-b", "2048"], &authority.principal());
    fs::rename(authority.certificate(&key), format!("{}.pub-aadcert.pub", text(&key))).unwrap();
    signed_in(try_connect(server, with_files(server, &[key])).await, server);
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_told() {
    let authority = Authority::new();
    let server = &authority.server;
    let user = server.user();
    for (name, words, told) in [
        ("expired", &["-n", user, "-V", "20200101:20200102"][..], "it expired "),
        ("early", &["-n", user, "-V", "20400101:20400102"], "it is not valid before "),
        ("others", &["-n", "somebody,else"], "it is for somebody, else"),
    ] {
        let key = authority.certified(name, &["-t", "ed25519"], words);
        let failure = try_connect(server, with_files(server, &[key])).await.unwrap_err();
        let expected = format!("{user} is not let in with certificate of {name} ({told}");
        assert!(failure.message.starts_with(&expected), "{failure}");
    }
}
