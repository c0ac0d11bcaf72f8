//! Security keys (PROTOCOL.u2f), in an agent that the test plays: sshd checks signatures, not hardware.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    thread,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use russh::keys::{
    Algorithm, EcdsaCurve, PrivateKey,
    signature::Signer as _,
    ssh_key::{Signature, public::KeyData},
};
use sha2::{Digest as _, Sha256};

use super::*;

const APPLICATION: &str = "ssh:";

/// The wire's string (RFC 4251 section 5).
fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn take<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let (length, rest) = bytes.split_at(4);
    let (taken, rest) = rest.split_at(u32::from_be_bytes(length.try_into().unwrap()) as usize);
    *bytes = rest;
    taken
}

/// A security key: its inner key, and how it is called.
#[derive(Clone)]
struct SecurityKey {
    inner: PrivateKey,
    kind: &'static str,
    blob: Vec<u8>,
}

impl SecurityKey {
    fn new(algorithm: Algorithm) -> Self {
        let inner = PrivateKey::random(&mut rand::rng(), algorithm).unwrap();
        let (kind, key) = match inner.public_key().key_data() {
            KeyData::Ed25519(key) => ("sk-ssh-ed25519@openssh.com", string(&key.0)),
            KeyData::Ecdsa(key) => {
                let point = string(key.as_sec1_bytes());
                ("sk-ecdsa-sha2-nistp256@openssh.com", [string(b"nistp256"), point].concat())
            }
            other => panic!("{other:?}"),
        };
        let blob = [string(kind.as_bytes()), key, string(APPLICATION.as_bytes())].concat();
        Self { inner, kind, blob }
    }

    fn line(&self) -> String {
        format!("{} {} touch me\n", self.kind, STANDARD.encode(&self.blob))
    }

    /// As an authenticator signs that was touched.
    fn sign(&self, data: &[u8]) -> Vec<u8> {
        let (touched, counter) = ([1], 7_u32.to_be_bytes());
        let hash = |bytes: &[u8]| Sha256::digest(bytes).to_vec();
        let message = [&hash(APPLICATION.as_bytes())[..], &touched, &counter, &hash(data)].concat();
        let signature: Signature = self.inner.key_data().try_sign(&message).unwrap();
        [&string(self.kind.as_bytes())[..], &string(signature.as_bytes()), &touched, &counter].concat()
    }
}

/// Answers a client of the agent's protocol until it goes.
fn answer(mut client: UnixStream, key: &SecurityKey) {
    let mut length = [0; 4];
    while client.read_exact(&mut length).is_ok() {
        let mut message = vec![0; u32::from_be_bytes(length) as usize];
        client.read_exact(&mut message).unwrap();
        let reply = match message[0] {
            // SSH_AGENTC_REQUEST_IDENTITIES
            11 => [&[12, 0, 0, 0, 1][..], &string(&key.blob), &string(b"touch me")].concat(),
            // SSH_AGENTC_SIGN_REQUEST
            13 => {
                let mut rest = &message[1..];
                assert_eq!(take(&mut rest), key.blob);
                [&[14][..], &string(&key.sign(take(&mut rest)))].concat()
            }
            // SSH_AGENT_FAILURE
            _ => vec![5],
        };
        client.write_all(&string(&reply)).unwrap();
    }
}

#[tokio::test]
async fn security_keys_sign_through_the_agent() {
    for algorithm in [Algorithm::Ed25519, Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }] {
        let server = TestSshd::start(&[]);
        let key = SecurityKey::new(algorithm);
        fs::write(server.dir().join("authorized_keys"), key.line()).unwrap();
        let named = server.dir().join("id_sk.pub");
        fs::write(&named, key.line()).unwrap();
        let socket = server.dir().join("agent");
        let listener = UnixListener::bind(&socket).unwrap();
        let holder = key.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                answer(client.unwrap(), &holder);
            }
        });
        for (identity_files, agent_keys) in [(vec![], AgentKeys::All), (vec![named], AgentKeys::Named)] {
            let options = LoginOptions {
                agent_socket: Some(socket.clone()),
                agent_keys,
                ..with_files(&server, &identity_files)
            };
            signed_in(try_connect(&server, options).await, &server);
        }
        assert!(server.log().contains(if key.kind.contains("ed25519") { "ED25519-SK" } else { "ECDSA-SK" }));
    }
}

/// The container of OpenSSH's private keys around a security key (PROTOCOL.key, PROTOCOL.u2f).
fn container(key: &SecurityKey) -> String {
    let mut inside = [7_u32.to_be_bytes(), 7_u32.to_be_bytes()].concat();
    inside.extend_from_slice(&key.blob);
    inside.push(1);
    for part in [&b"a handle"[..], b"", b"touch me"] {
        inside.extend(string(part));
    }
    inside.extend((1..).take((8 - inside.len() % 8) % 8));
    let text = [
        &b"openssh-key-v1\0"[..],
        &string(b"none"),
        &string(b"none"),
        &string(b""),
        &1_u32.to_be_bytes(),
        &string(&key.blob),
        &string(&inside),
    ]
    .concat();
    let text = STANDARD.encode(text);
    let lines: Vec<_> = text.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n", lines.join("\n"))
}

#[tokio::test]
async fn a_security_key_s_file_says_how_to_use_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let server = TestSshd::start(&[]);
    let path = server.dir().join("id_ed25519_sk");
    let key = SecurityKey::new(Algorithm::Ed25519);
    fs::write(&path, container(&key)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    // It is one.
    assert!(run("ssh-keygen", &["-y", "-f", text(&path)]).contains(&STANDARD.encode(&key.blob)));
    let failure = try_connect(&server, with_files(&server, &[path])).await.unwrap_err();
    let expected = "left out: id_ed25519_sk (a security key signs through the agent: `ssh-add` it)";
    assert!(failure.message.contains(expected), "{failure}");
}
