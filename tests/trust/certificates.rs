//! Host certificates that ssh-keygen has made, shown by a real sshd.

use super::*;

/// Servers have their key before they start, so it is made here, with a certificate by `words` of ssh-keygen.
struct Signed {
    server: TestSshd,
    dir: tempfile::TempDir,
}

impl Signed {
    fn new(words: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        for name in ["ca", "host", "stranger"] {
            keygen(&["-t", "ed25519", "-N", "", "-C", name, "-f", &path(name)]);
        }
        let by = if words.contains(&"stranger") { "stranger" } else { "ca" };
        let words: Vec<_> = words.iter().filter(|word| **word != "stranger").copied().collect();
        keygen(&[&["-s", &path(by), "-I", "host"], words.as_slice(), &[&path("host.pub")]].concat());
        let config =
            [format!("HostKey {}", path("host")), format!("HostCertificate {}", path("host-cert.pub"))];
        let server = TestSshd::start(&config.each_ref().map(String::as_str));
        Self { server, dir }
    }

    fn public(&self, name: &str) -> String {
        text(&self.dir.path().join(name).with_extension("pub"))
    }

    fn visit(&self, known: &str) -> Ran {
        let file = self.dir.path().join("known_hosts");
        fs::write(&file, known).unwrap();
        visit(&self.server, &file, "strict")
    }

    fn authority(&self) -> String {
        format!("@cert-authority 127.0.0.* {}", self.public("ca"))
    }
}

#[test]
fn a_good_certificate_is_all_that_is_needed() {
    for words in [&["-h", "-n", "127.0.0.1"][..], &["-h", "-n", "other,127.*"], &["-h"]] {
        let signed = Signed::new(words);
        signed.visit(&signed.authority()).expect_status(0);
        let by_port = format!("@cert-authority [127.0.0.1]:* {}", signed.public("ca"));
        signed.visit(&by_port).expect_status(0);
    }
}

#[test]
fn one_that_does_not_count_says_why() {
    for (words, why) in [
        (&["-h", "-n", "127.0.0.1", "-V", "20200101:20210101"][..], "it expired at 202"),
        (&["-h", "-n", "127.0.0.1", "-V", "20990101:21000101"], "it is valid only from 20"),
        (&["-h", "-n", "web.example"], "it is for web.example, not for 127.0.0.1"),
        (&["-n", "127.0.0.1"], "it is a user's certificate"),
        (&["-h", "-n", "127.0.0.1", "-O", "critical:x@y.example=z"], "critical option"),
    ] {
        // Not every sshd shows a user's certificate as its own; then there is a plain key to be judged.
        let signed = Signed::new(words);
        let ran = signed.visit(&signed.authority()).expect_status(255);
        assert!(ran.stderr.contains("unknown: no key of this server is on file"), "{}", ran.stderr);
        let is_user = why.contains("user's");
        assert!(is_user || ran.stderr.contains(why), "{why}: {}", ran.stderr);
        // The plain key in it still counts, as for ssh.
        let known = format!(
            "{}{} {}",
            signed.authority(),
            signed.server.endpoint().host_key_alias(),
            signed.public("host")
        );
        signed.visit(&known).expect_status(0);
        assert!(!is_user || !signed.server.log().contains("fatal"), "{}", signed.server.log());
    }
}

#[test]
fn an_authority_speaks_for_its_own_hosts_only() {
    let signed = Signed::new(&["-h", "-n", "127.0.0.1", "stranger"]);
    signed.visit(&signed.authority()).expect_status(255);
    let signed = Signed::new(&["-h", "-n", "127.0.0.1"]);
    signed.visit(&format!("@cert-authority *.example {}", signed.public("ca"))).expect_status(255);
}

#[test]
fn what_is_revoked_is_refused() {
    let signed = Signed::new(&["-h", "-n", "127.0.0.1"]);
    let alias = signed.server.endpoint().host_key_alias().to_string();
    for name in ["ca", "host"] {
        let known = format!(
            "{}@revoked * {}{alias} {}",
            signed.authority(),
            signed.public(name),
            signed.public("host")
        );
        let ran = signed.visit(&known).expect_status(255);
        assert!(ran.stderr.contains("revoked"), "{}", ran.stderr);
    }
    assert!(!signed.server.log().contains("Accepted"));
}
