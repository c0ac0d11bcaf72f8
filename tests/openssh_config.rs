//! OpenSSH's configuration: the same reading as OpenSSH's own, and what comes of it against a real sshd.
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
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use sshd::{TestSshd, run};
use vmssh::openssh_config::{Config, Document, HostConfig, HostNameUse, Local, Lookup};

/// What may stand in a configuration, many times over. Each is looked up for each of [`HOSTS`].
const CONFIGURATIONS: &[&str] = &[
    "",
    "User alice\nPort 2222\nHostName other.example",
    "  uSeR = alice  # a comment\n\tport=2222\nHostName \"other.example\" # more",
    "Host web\n User a\nHost *\n User b\n Port 77",
    "Host * !web\n User a\nHost web\n Port 5",
    "Host !web\n User a\n",
    "Host w?b db*\n User a\nHost *.example\n User b",
    "Host web other\nHostName %h.internal.example\nMatch host *.internal.example\nUser inner",
    "Match host web,db1\nUser m\nMatch all\nPort 9",
    "Match !host web\nUser m\nMatch originalhost web user root\nPort 9",
    "Match localuser nobody\nUser m\nMatch localuser root,x\nPort 8",
    "User x\nMatch user x\nPort 10\nMatch user !x,*\nPort 11",
    "Match final\nUser late\nMatch all\nPort 4",
    "HostName final.example\nMatch final host final.example\nUser late\nHost final.example\nPort 4",
    "Match canonical all\nUser no\n",
    "IdentityFile ~/.ssh/a\nIdentityFile ~/.ssh/b\nIdentityFile ~/.ssh/a\nIdentitiesOnly yes",
    "IdentityFile none\nIdentityAgent none",
    "IdentityAgent SSH_AUTH_SOCK\nIdentityFile \"/with blank/%h-%r\"",
    "CertificateFile /a-cert.pub\nCertificateFile /b-cert.pub",
    "SendEnv LANG LC_*\nSendEnv FOO",
    "SetEnv A=1 B=\"2 3\"\nSetEnv C=4",
    "ServerAliveInterval 1m30s\nServerAliveCountMax 5\nConnectTimeout 10",
    "ConnectTimeout none\nServerAliveInterval 0",
    "StrictHostKeyChecking yes",
    "StrictHostKeyChecking off\nHostKeyAlias Some.Alias",
    "StrictHostKeyChecking accept-new\nCheckHostIP yes",
    "UserKnownHostsFile /a /b\nGlobalKnownHostsFile /c",
    "Ciphers aes128-ctr,aes256-ctr\nMACs hmac-sha2-256\nKexAlgorithms curve25519-sha256",
    "HostKeyAlgorithms ssh-ed25519\nPubkeyAcceptedAlgorithms ssh-ed25519",
    "PreferredAuthentications publickey,password\nPasswordAuthentication no\nKbdInteractiveAuthentication no",
    "PubkeyAuthentication no\nNumberOfPasswordPrompts 1",
    "PubkeyAuthentication unbound",
    "RequestTTY force\nRemoteCommand ls -l \"a b\" # not a comment\nSessionType none",
    "EscapeChar none\nForwardAgent yes",
    "EscapeChar ^X\nForwardAgent /some/socket",
    "LocalForward 8080 db:80\nLocalForward 127.0.0.1:81 [::1]:82\nDynamicForward 1080\nRemoteForward 9000 localhost:9",
    "LocalForward /tmp/s /tmp/t\nExitOnForwardFailure yes\nGatewayPorts yes",
    "AddressFamily inet6\nBatchMode yes\nStdinNull yes",
    "ProxyJump user@bastion:2022",
    "ProxyJump none\nHost web\nProxyJump late",
    "ProxyCommand none\nProxyJump late",
    "IgnoreUnknown Use*,Foo\nUseKeychain yes\nFoo bar\nUser a",
    "TCPKeepAlive no\nHashKnownHosts yes\nCompression yes\nVisualHostKey yes",
    "User \"quoted user\"\n",
    "User 'single'\nHostKeyAlias a\\ b",
    "Host=web\nUser=a",
    "Include included\nUser late",
    "Host web\nInclude included\nPort 99\nHost *\nUser late",
    "Host nobody\nInclude included\nHost *\nUser late",
    "Protocol 2\nUser a",
];

/// What is included above.
const INCLUDED: &str = "User included\nHost db1\n Port 1234\nHost *\nHostKeyAlias inc\n";

const HOSTS: [&str; 4] = ["web", "db1", "www.example", "10.0.0.7"];

/// What OpenSSH refuses, and so do we.
const WRONG: &[&str] = &[
    "Port 0",
    "Port 65536",
    "Port x",
    "User",
    "User a b",
    "User \"open",
    "NoSuchKeyword 1",
    "Host web\nNoSuchKeyword 1",
    "BatchMode maybe",
    "ConnectTimeout soon",
    "Match",
    "Match nonsense x",
    "Match host",
    "Match all host x",
    "LocalForward",
    "LocalForward 80",
    "LocalForward 80 db",
    "SetEnv A",
    "ServerAliveCountMax -1x",
    "StrictHostKeyChecking perhaps",
    "IdentitiesOnly",
    "ProxyJump a:b:c:99999x",
    "Foo bar\nIgnoreUnknown Foo",
];

fn ssh_g(config: &Path, host: &str) -> Output {
    let mut command = Command::new("ssh");
    command.arg("-G").arg("-F").arg(config).arg(host).stdin(Stdio::null());
    command.output().expect("these tests need OpenSSH: apt-get install openssh-client")
}

fn lines(output: &Output) -> BTreeSet<String> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn no_env(_: &str) -> Option<String> {
    None
}

fn ours(text: &str, dir: &Path, host: &str) -> Result<HostConfig, String> {
    let document = |file: &str, text: &str| Document {
        file: file.into(),
        text: text.into(),
        folder: dir.display().to_string(),
    };
    let mut include = |_: vmssh::openssh_config::Include<'_>| Ok(vec![document("included", INCLUDED)]);
    let config =
        Config::parse(&[], &[document("config", text)], &mut include).map_err(|error| error.to_string())?;
    let user = run("id", &["-un"]);
    let lookup = Lookup {
        host,
        other_names: &[],
        host_name: HostNameUse::Dial,
        user: None,
        fallback_user: user.trim(),
        port: None,
        tag: None,
        local: Local { user: user.trim(), uid: "0", home: "/root", hostname: "here", env: &no_env },
    };
    config.lookup(&lookup).map_err(|error| error.to_string())
}

#[test]
fn every_field_is_read_as_ssh_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    fs::write(dir.path().join("included"), INCLUDED).unwrap();
    let empty = dir.path().join("empty");
    fs::write(&empty, "").unwrap();
    let mut wrong = Vec::new();
    for text in CONFIGURATIONS {
        let absolute =
            text.replace("Include included", &format!("Include {}/included", dir.path().display()));
        fs::write(&file, absolute).unwrap();
        for host in HOSTS {
            let theirs = lines(&ssh_g(&file, host));
            let unset = lines(&ssh_g(&empty, host));
            let config = ours(text, dir.path(), host).unwrap_or_else(|e| panic!("{text}\n{e}"));
            let mut printed: BTreeSet<String> = config
                .lines()
                .iter()
                .map(|(name, value)| format!("{} {value}", name.to_lowercase()))
                .collect();
            // What OpenSSH does not print, and what it prints in a form of its own.
            printed.retain(|line| {
                !["protocol ", "proxycommand none", "proxyjump none"].iter().any(|p| line.starts_with(p))
            });
            printed.retain(|line| !line.starts_with("hostname "));
            printed.insert(format!("hostname {}", config.host));
            for line in &printed {
                if !theirs.contains(line) {
                    wrong.push(format!("{text:?} for {host}: ours only: {line}"));
                }
            }
            // What OpenSSH, or Debian's, makes of other values, and a forward that it prints twice.
            let derived = ["updatehostkeys false", "serveraliveinterval 300", "dynamicforward /tmp/s"];
            for line in theirs.difference(&unset).filter(|line| !derived.contains(&line.as_str())) {
                if !printed.contains(line) {
                    wrong.push(format!("{text:?} for {host}: theirs only: {line}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_ssh_refuses_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    let mut taken = Vec::new();
    for text in WRONG {
        fs::write(&file, text).unwrap();
        if ssh_g(&file, "web").status.success() {
            taken.push(format!("ssh takes {text:?}"));
        }
        match ours(text, dir.path(), "web") {
            Ok(_) => taken.push(format!("we take {text:?}")),
            Err(error) => assert!(error.starts_with("config:"), "{error}"),
        }
    }
    assert!(taken.is_empty(), "{}", taken.join("\n"));
}

/// Runs vmssh with a home of its own.
struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ssh = dir.path().join(".ssh");
        fs::create_dir(&ssh).unwrap();
        fs::write(ssh.join("config"), config).unwrap();
        fs::set_permissions(ssh.join("config"), fs::Permissions::from_mode(0o600)).unwrap();
        Self { dir }
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join(".ssh/config")
    }

    fn run(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmssh"));
        command.args(words).env_clear().env("HOME", self.dir.path()).env("PATH", "/usr/bin:/bin");
        command.env("FROM_HERE", "yes").stdin(Stdio::null());
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }
}

#[test]
fn a_block_says_user_key_and_what_to_do_about_host_keys() {
    let server = TestSshd::start(&["AcceptEnv *"]);
    let home = Home::new(&format!(
        "Host 127.*\n User {}\n IdentityFile {}\n IdentitiesOnly yes\n StrictHostKeyChecking accept-new\n \
         HostKeyAlias the-alias\n Ciphers aes128-ctr\n MACs hmac-sha2-256\n SetEnv GIVEN=here\n SendEnv FROM_*\n \
         HostName 192.0.2.1\n Port 1\n",
        server.user(),
        server.key().display()
    ));
    let target = server.endpoint().to_string();
    let (status, out, err) = home.run(&["ssh", &target, "--", "echo $GIVEN $FROM_HERE"]);
    assert_eq!((status, out.as_str()), (Some(0), "here yes\n"), "{err}");
    let (status, out, err) = home.run(&["exec", &target, "--", "echo $GIVEN $FROM_HERE"]);
    assert_eq!((status, out.contains("here yes")), (Some(0), true), "{out}{err}");
    let known = fs::read_to_string(home.dir.path().join(".local/share/vmssh/known_hosts")).unwrap();
    assert!(known.contains("the-alias ssh-"), "{known}");

    // The command line wins over the file, and `-F none` leaves it out.
    let (status, _, err) = home.run(&["ssh", &target, "-o", "User=nobody-there", "--", "true"]);
    assert!(status == Some(255) && err.contains("nobody-there"), "{err}");
    let (status, _, err) = home.run(&["ssh", &target, "-F", "none", "--", "true"]);
    assert_eq!(status, Some(255), "{err}");

    // What would be used, and what is left out.
    let (status, out, err) = home.run(&["-v", "ssh", &target, "-G"]);
    assert_eq!(status, Some(0), "{err}");
    for line in [
        format!("user {}", server.user()),
        "hostname 127.0.0.1".into(),
        format!("port {}", server.endpoint().port),
        "ciphers aes128-ctr".into(),
        "hostkeyalias the-alias".into(),
        "identitiesonly yes".into(),
        "stricthostkeychecking accept-new".into(),
        "setenv GIVEN=here".into(),
    ] {
        assert!(out.lines().any(|there| there == line), "{line} is not in\n{out}");
    }
    assert!(err.contains("HostName is left out"), "{err}");
}

#[test]
fn rsa_keys_are_as_long_as_was_asked_for() {
    let keys = tempfile::tempdir().unwrap();
    let host_key = keys.path().join("rsa");
    run("ssh-keygen", &["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", host_key.to_str().unwrap()]);
    let server = TestSshd::start(&[&format!("HostKey {}", host_key.display())]);
    let target = server.endpoint().to_string();
    let user_key = server.new_key("rsa", &["-t", "rsa", "-b", "2048"], "");
    let by_ed25519 = "HostKeyAlgorithms ssh-ed25519";
    let by_rsa = "HostKeyAlgorithms rsa-sha2-512";
    for (size, host_keys, key, status, word) in [
        (2048, by_rsa, user_key.clone(), 0, ""),
        // To the very bit.
        (2049, by_rsa, server.key(), 255, "the server's host key is not taken: an RSA key of 2048 bits"),
        (2049, by_ed25519, server.key(), 0, ""),
        (2049, by_ed25519, user_key, 255, "(an RSA key of 2048 bits is too short: RequiredRSASize is 2049)"),
    ] {
        let home =
            Home::new(&format!("StrictHostKeyChecking accept-new\nRequiredRSASize {size}\n{host_keys}\n"));
        let (found, _, err) = home.run(&["ssh", &target, "-i", key.to_str().unwrap(), "--", "true"]);
        assert!(found == Some(status) && err.contains(word), "{size} {host_keys}: {found:?} {err}");
    }
}

#[test]
fn algorithms_are_the_ones_that_were_asked_for() {
    let server = TestSshd::start(&["Ciphers aes128-cbc"]);
    let home = Home::new("StrictHostKeyChecking accept-new\n");
    let (target, key) = (server.endpoint().to_string(), server.key());
    let key = key.to_str().unwrap();
    let (status, _, err) = home.run(&["ssh", &target, "-i", key, "--", "true"]);
    assert_eq!(status, Some(255), "{err}");
    let more = ["ssh", &target, "-i", key, "-o", "Ciphers=+aes128-cbc", "--", "true"];
    let (status, _, err) = home.run(&more);
    assert_eq!(status, Some(0), "{err}");
    let (status, _, err) = home.run(&["ssh", &target, "-o", "Ciphers=unheard-of", "--", "true"]);
    assert!(status == Some(2) && err.contains("nothing of what Ciphers asks for"), "{err}");
}

#[test]
fn a_jump_host_is_looked_up_and_jumped_over() {
    let (bastion, server) = (TestSshd::start(&[]), TestSshd::start(&["LogLevel VERBOSE"]));
    let home = Home::new(&format!(
        "Host bastion\n HostName 127.0.0.1\n Port {}\n User {}\n IdentityFile {}\n HostKeyAlias jump\n\
         Host 127.0.0.1\n ProxyJump bastion\n User {}\n IdentityFile {}\n\
         Host *\n StrictHostKeyChecking accept-new\n",
        bastion.endpoint().port,
        bastion.user(),
        bastion.key().display(),
        server.user(),
        server.key().display()
    ));
    let target = server.endpoint().to_string();
    let (status, out, err) = home.run(&["ssh", &target, "--", "echo over"]);
    assert_eq!((status, out.as_str()), (Some(0), "over\n"), "{err}");
    assert!(bastion.log().contains("Accepted publickey"), "{}", bastion.log());
    let known = fs::read_to_string(home.dir.path().join(".local/share/vmssh/known_hosts")).unwrap();
    assert!(known.contains("jump ssh-"), "{known}");

    let (status, _, err) = home.run(&["ssh", &target, "-o", "ProxyJump=none", "--", "true"]);
    assert_eq!(status, Some(0), "{err}");
    fs::write(home.config(), "Host a\nProxyJump b\nHost b\nProxyJump a\nHost 127.*\nProxyJump a\n").unwrap();
    let (status, _, err) = home.run(&["ssh", &target, "--", "true"]);
    assert!(status == Some(2) && err.contains("a stands behind b stands behind a"), "{err}");
}

#[test]
fn what_is_unsafe_to_leave_out_is_refused() {
    let home = Home::new("Host 192.0.2.*\nProxyUseFdpass yes\n");
    let go = ["ssh", "192.0.2.1:22", "--", "true"];
    let (status, _, err) = home.run(&go);
    assert!(status == Some(2) && err.contains("config:2: ProxyUseFdpass"), "{err}");
    for (text, word) in [
        ("KnownHostsCommand /bin/true", "KnownHostsCommand"),
        ("RevokedHostKeys /x", "RevokedHostKeys"),
        ("Match exec true\nUser x", "Match exec"),
        ("Userr x", "is User meant?"),
        ("IdentityFile ~/%q", "%q"),
        ("IdentityFile ${NOT_SET_HERE}", "NOT_SET_HERE"),
    ] {
        fs::write(home.config(), text).unwrap();
        let (status, _, err) = home.run(&go);
        assert!(status == Some(2) && err.contains(word), "{text}: {err}");
    }
    fs::set_permissions(home.config(), fs::Permissions::from_mode(0o666)).unwrap();
    let (status, _, err) = home.run(&go);
    assert!(status == Some(4) && err.contains("chmod go-w"), "{err}");
}
