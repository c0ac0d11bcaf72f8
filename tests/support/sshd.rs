//! A real OpenSSH server on loopback, for one test: own configuration, own keys, a port of the
//! kernel's choice, ended when dropped.
#![allow(dead_code, reason = "every test that includes this file uses a part of it")]

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use base64::Engine as _;
use tempfile::TempDir;
use vmssh::natmap::Endpoint;

/// How long a server may take to listen. It takes 30 ms; a machine that is busy with other tests
/// takes longer.
const START_LIMIT: Duration = Duration::from_secs(20);

/// The user that exists on the server only ([`TestSshd::with_user`]).
pub(crate) const USER: &str = "vmsshtest";

/// A running server.
pub(crate) struct TestSshd {
    child: Child,
    port: u16,
    user: String,
    dir: TempDir,
}

impl TestSshd {
    /// Starts a server that the key [`TestSshd::key`] signs in to, as the user that runs the test.
    /// `config` are lines of sshd_config(5), which win over the ones here.
    pub(crate) fn start(config: &[&str]) -> Self {
        Self::launch(Files::new(config, false), None, None)
    }

    /// Starts one in a network namespace (ip-netns(8)), at port 22 of all its addresses. Takes root.
    pub(crate) fn in_namespace(namespace: &str, config: &[&str]) -> Self {
        Self::launch(Files::new(config, false), None, Some(namespace))
    }

    /// Starts a server that also has the user [`USER`] with this password, in a mount namespace of
    /// its own. Takes root.
    pub(crate) fn with_user(password: &str, config: &[&str]) -> Self {
        assert!(is_root(), "a server with a user of its own takes root: run the tests as root");
        Self::launch(Files::new(config, true), Some(password), None)
    }

    fn launch(files: Files, password: Option<&str>, namespace: Option<&str>) -> Self {
        let Files { dir, config } = files;
        if let Some(password) = password {
            add_user(dir.path(), password);
        }
        let user = if password.is_some() { USER.to_owned() } else { run("id", &["-un"]).trim().to_owned() };
        // Another program may take the port between its choice and its use.
        for _ in 0..5 {
            let (address, port) = match namespace {
                Some(_) => ("0.0.0.0", 22),
                None => ("127.0.0.1", free_port()),
            };
            let listen = format!("{config}\nListenAddress {address}\nPort {port}\n");
            fs::write(dir.path().join("config"), listen).unwrap();
            fs::write(dir.path().join("log"), "").unwrap();
            let mut child = command(dir.path(), password.is_some(), namespace).spawn().unwrap();
            if listens(&mut child, &dir.path().join("log")) {
                return Self { child, port, user, dir };
            }
        }
        let log = fs::read_to_string(dir.path().join("log")).unwrap();
        panic!("sshd does not start:\n{log}");
    }

    /// Where it listens.
    pub(crate) fn endpoint(&self) -> Endpoint {
        endpoint(self.port)
    }

    /// Whom it lets in.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// A scratch folder of this server's own.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The private key that signs in, without a pass phrase.
    pub(crate) fn key(&self) -> PathBuf {
        self.dir().join("user_ed25519")
    }

    /// Makes another key and lets it in: a type and bits as `ssh-keygen` takes them.
    pub(crate) fn new_key(&self, name: &str, kind: &[&str], phrase: &str) -> PathBuf {
        let path = self.dir().join(name);
        let words = [kind, &["-N", phrase, "-f", path.to_str().unwrap()]].concat();
        keygen(&words);
        while is_short(&path) {
            fs::remove_file(&path).unwrap();
            keygen(&words);
        }
        let public = fs::read_to_string(path.with_extension("pub")).unwrap();
        let authorized = self.dir().join("authorized_keys");
        let keys = fs::read_to_string(&authorized).unwrap();
        fs::write(&authorized, keys + &public).unwrap();
        path
    }

    /// The host key as a line of a known_hosts file.
    pub(crate) fn known_hosts_line(&self) -> String {
        let key = fs::read_to_string(self.dir().join("host_ed25519.pub")).unwrap();
        format!("[127.0.0.1]:{} {key}", self.port)
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir().join("log")).unwrap()
    }

    /// The process that listens.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for TestSshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An endpoint on loopback.
pub(crate) fn endpoint(port: u16) -> Endpoint {
    Endpoint {
        instance: None,
        name: None,
        vm_id: None,
        host: "127.0.0.1".parse().unwrap(),
        port: u64::from(port).try_into().unwrap(),
    }
}

/// Runs ssh-keygen.
pub(crate) fn keygen(words: &[&str]) -> String {
    run("ssh-keygen", &[&["-q"], words].concat())
}

/// Runs a program to its end and gives what it printed.
pub(crate) fn run(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|e| {
        panic!("{program}: {e}; these tests need OpenSSH: apt-get install openssh-server openssh-client")
    });
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Whether a key is the one of 256 ECDSA P-256 keys whose number is a byte shorter than its kind, which can't be
/// read in OpenSSH's container (docs/ssh.md): another test has one of its own. Those behind a pass
/// phrase are not looked into.
fn is_short(key: &Path) -> bool {
    let text = fs::read_to_string(key).unwrap();
    if !text.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----") {
        return false;
    }
    let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64).unwrap();
    // Its point (PROTOCOL.key, RFC 5656 section 3.1) comes twice, and the number behind the second.
    let point = b"nistp256\0\0\0\x41\x04";
    let Some(start) = bytes.windows(point.len()).rposition(|there| there == point) else { return false };
    let number = start + point.len() + 64;
    let is_open = bytes.windows(4).any(|there| there == b"none");
    is_open && bytes[number..number + 4] < [0, 0, 0, 32][..]
}

struct Files {
    dir: TempDir,
    config: String,
}

impl Files {
    fn new(extra: &[&str], own_user: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Signing in as another user, sshd reads authorized_keys as that user.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        for name in ["host_ed25519", "user_ed25519"] {
            keygen(&["-t", "ed25519", "-N", "", "-C", name, "-f", &path(name)]);
        }
        fs::copy(path("user_ed25519.pub"), path("authorized_keys")).unwrap();
        let mut lines: Vec<String> = extra.iter().map(ToString::to_string).collect();
        lines.push(format!("HostKey {}", path("host_ed25519")));
        lines.push(format!("AuthorizedKeysFile {}", path("authorized_keys")));
        if !own_user {
            lines.push("UsePAM no".into());
        }
        lines.extend(
            [
                "PidFile none",
                "StrictModes no",
                "LogLevel VERBOSE",
                "MaxStartups 1000",
                "UseDNS no",
                "PermitRootLogin yes",
                "PasswordAuthentication no",
                "KbdInteractiveAuthentication no",
                "Subsystem sftp internal-sftp",
            ]
            .map(Into::into),
        );
        if knows_penalties(&path("host_ed25519")) {
            lines.push("PerSourcePenalties no".into());
        }
        Self { dir, config: lines.join("\n") }
    }
}

/// True for OpenSSH 9.8 and later, which shut out an address that fails often.
fn knows_penalties(host_key: &str) -> bool {
    let words = ["-t", "-f", "/dev/null", "-h", host_key, "-o", "PerSourcePenalties=no"];
    Command::new(sshd()).args(words).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// sshd wants to be called by its full path.
fn sshd() -> PathBuf {
    let folders =
        ["/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/opt/homebrew/sbin"];
    let found = folders.iter().map(|f| Path::new(f).join("sshd")).find(|p| p.exists());
    found.expect("these tests need a real sshd: apt-get install openssh-server")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn is_root() -> bool {
    run("id", &["-u"]).trim() == "0"
}

fn command(dir: &Path, own_user: bool, namespace: Option<&str>) -> Command {
    if is_root() {
        // Where sshd locks its unprivileged half in; the package's service makes it elsewhere.
        fs::create_dir_all("/run/sshd").unwrap();
    }
    let path = |name: &str| dir.join(name);
    let mut command;
    if own_user {
        // exec keeps the process id, so that ending the child ends the server.
        let script = "mount --bind \"$1/passwd\" /etc/passwd && mount --bind \"$1/shadow\" /etc/shadow && \
             mount --bind \"$1/pam\" /etc/pam.d/sshd && shift && exec \"$@\"";
        command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).arg(dir).arg(sshd());
    } else if let Some(namespace) = namespace {
        // ip keeps the process id too.
        command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(sshd());
    } else {
        command = Command::new(sshd());
    }
    command.arg("-D").arg("-f").arg(path("config")).arg("-E").arg(path("log"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Waits until it listens; false when it ended.
fn listens(child: &mut Child, log: &Path) -> bool {
    let end = Instant::now() + START_LIMIT;
    while Instant::now() < end {
        if fs::read_to_string(log).unwrap().contains("Server listening on") {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

/// What is mounted over the system's user files.
fn add_user(dir: &Path, password: &str) {
    let hash = run("perl", &["-e", "print crypt($ARGV[0], '$6$vmssh$')", password]);
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    fs::write(dir.join("passwd"), format!("{passwd}{USER}:x:64999:64999::/:/bin/sh\n")).unwrap();
    let shadow = fs::read_to_string("/etc/shadow").unwrap();
    fs::write(dir.join("shadow"), format!("{shadow}{USER}:{hash}:19000:0:99999:7:::\n")).unwrap();
    let pam = "auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_permit.so\n";
    fs::write(dir.join("pam"), pam).unwrap();
}
