//! The lab, as OpenSSH's own client and plain sockets see it.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use vmssh::{
    lab::{Lab, LabError, LabOptions, azure::AzureFaultSpec},
    natmap::{InstanceSet, Known, Via},
};

/// Far above what anything here takes, so that only a real hang reaches it.
const LIMIT: Duration = Duration::from_secs(60);

struct Rig {
    lab: Option<Lab>,
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Rig {
    fn new(instances: usize, faults: &[&str]) -> Self {
        Self::with(instances, faults, None)
    }

    fn with(instances: usize, faults: &[&str], azure: Option<Vec<AzureFaultSpec>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let options = LabOptions {
            instances,
            faults: faults.iter().map(|text| text.parse().unwrap()).collect(),
            base_port: None,
            azure,
            state_dir: folder.path().into(),
        };
        let lab = Some(runtime.block_on(Lab::start(options)).unwrap());
        Self { lab, folder, runtime }
    }

    fn lab(&self) -> &Lab {
        self.lab.as_ref().unwrap()
    }

    fn port(&self, instance: usize) -> u16 {
        self.lab().map().entries[instance].port.get()
    }

    fn end(&mut self) {
        let lab = self.lab.take();
        let _inside = self.runtime.enter();
        drop(lab);
    }

    /// OpenSSH's client towards one instance, with nothing of the caller's own configuration.
    fn ssh(&self, instance: usize, options: &[&str], command: &[&str]) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "IdentityAgent=none",
        ]);
        ssh.args(["-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=none"]);
        ssh.arg("-o").arg(format!("UserKnownHostsFile={}", self.lab().known_hosts_file().display()));
        // ssh takes the first value of an option, so a test's own come before the defaults.
        ssh.args(options);
        ssh.arg("-i").arg(self.lab().key_file()).args(["-l", self.lab().user()]);
        ssh.args(["-p", &self.port(instance).to_string(), "127.0.0.1"]).args(command);
        ssh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        ssh
    }

    fn run(&self, instance: usize, command: &[&str]) -> Output {
        output(&mut self.ssh(instance, &[], command))
    }
}

fn output(ssh: &mut Command) -> Output {
    spawn(ssh).wait_with_output().unwrap()
}

fn spawn(ssh: &mut Command) -> std::process::Child {
    ssh.spawn().unwrap_or_else(|error| {
        panic!("these tests need OpenSSH's client (`apt-get install openssh-client`): {error}")
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until something holds; what it waits for is a state, not a time.
fn until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "still not so: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The ids of processes that run and whose fields of /proc/PID/stat, from the state on, are as
/// wanted (proc(5)); those that ended and were not waited for don't run.
fn running(wanted: impl Fn(&str, &[&str]) -> bool) -> usize {
    let processes =
        std::fs::read_dir("/proc").expect("these tests look at processes in /proc, so they need Linux");
    let is_wanted = |entry: &std::fs::DirEntry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields.len() > 3
            && fields[0] != "Z"
            && wanted(entry.file_name().to_str().unwrap_or_default(), &fields)
    };
    processes.flatten().filter(is_wanted).count()
}

fn runs(pid: &str) -> bool {
    running(|id, _| id == pid) > 0
}

fn group_runs(group: &str) -> bool {
    running(|_, fields| fields[2] == group) > 0
}

fn connect(port: u16, limit: Duration) -> Result<TcpStream, ErrorKind> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, limit).map_err(|error| error.kind())
}

#[test]
fn commands_give_output_stderr_and_status() {
    let rig = Rig::new(2, &[]);
    let done = rig.run(1, &["echo out; echo err >&2; exit 7"]);
    assert_eq!((text(&done.stdout), text(&done.stderr)), ("out\n".into(), "err\n".into()));
    assert_eq!(done.status.code(), Some(7));

    let done = rig.run(1, &["hostname; echo $VMSSH_LAB_INSTANCE; whoami >/dev/null; echo $USER"]);
    assert_eq!(text(&done.stdout), "lab000001\n1\nazureuser\n");

    // A command that a signal ends has no status; ssh says 255 for it.
    let done = rig.run(0, &["kill -TERM $$"]);
    assert_eq!(done.status.code(), Some(255));
    let mut verbose = rig.ssh(0, &["-v"], &["kill -TERM $$"]);
    assert!(text(&output(&mut verbose).stderr).contains("rtype exit-signal"));
}

#[test]
fn each_instance_has_a_private_folder_of_its_own() {
    let rig = Rig::new(2, &[]);
    assert!(rig.run(0, &["echo zero > mine"]).status.success());
    assert!(rig.run(1, &["test ! -e mine && echo one > mine"]).status.success());
    assert_eq!(text(&rig.run(0, &["cat ~/mine"]).stdout), "zero\n");
    let home = text(&rig.run(0, &["pwd"]).stdout);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(Path::new(home.trim())), 0o700);
    assert_eq!(mode(rig.lab().key_file()), 0o600);
    assert_eq!(mode(rig.lab().key_file().parent().unwrap()), 0o700);
}

#[test]
fn the_environment_is_clean_but_for_the_locale() {
    let rig = Rig::new(1, &[]);
    let mut ssh = rig.ssh(0, &["-o", "SendEnv=LC_VMSSH EVIL"], &["env"]);
    let done = output(ssh.env("LC_VMSSH", "de_DE").env("EVIL", "yes"));
    let names: Vec<_> =
        text(&done.stdout).lines().filter_map(|l| Some(l.split_once('=')?.0.to_owned())).collect();
    assert!(names.contains(&"LC_VMSSH".into()) && names.contains(&"SSH_CONNECTION".into()), "{names:?}");
    assert!(!names.contains(&"EVIL".into()) && !names.contains(&"CARGO_MANIFEST_DIR".into()), "{names:?}");
}

#[test]
fn input_goes_through_and_ends() {
    let rig = Rig::new(1, &[]);
    // More than windows and pipes hold together, there and back, so that only flow control that
    // works in both directions lets it through.
    let sent: Vec<u8> = (0..20_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let mut ssh = spawn(rig.ssh(0, &[], &["cat; echo end >&2"]).stdin(Stdio::piped()));
    let mut stdin = ssh.stdin.take().unwrap();
    let input = sent.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let done = ssh.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(done.stdout == sent, "{} bytes came back", done.stdout.len());
    assert_eq!(text(&done.stderr), "end\n");
}

#[test]
fn input_that_nobody_reads_does_not_hide_that_the_client_left() {
    let rig = Rig::new(1, &[]);
    let mut ssh = spawn(rig.ssh(0, &[], &["echo $$; exec sleep 1000"]).stdin(Stdio::piped()));
    let mut stdin = ssh.stdin.take().unwrap();
    let writer = std::thread::spawn(move || while stdin.write_all(&[b'x'; 1 << 16]).is_ok() {});
    let mut pid = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(ssh.stdout.take().unwrap()), &mut pid).unwrap();
    assert!(runs(pid.trim()));
    ssh.kill().unwrap();
    ssh.wait().unwrap();
    writer.join().unwrap();
    until("the command ended", || !runs(pid.trim()));
}

#[test]
fn much_output_comes_whole_and_endless_output_ends_with_the_client() {
    let rig = Rig::new(1, &[]);
    let done = rig.run(0, &["head -c 50000000 /dev/zero; echo done >&2"]);
    assert_eq!((done.stdout.len(), text(&done.stderr)), (50_000_000, "done\n".into()));
    assert!(done.stdout.iter().all(|byte| *byte == 0));

    assert_eq!(text(&rig.run(0, &["yes | head -n 2"]).stdout), "y\ny\n");

    let mut ssh = spawn(&mut rig.ssh(0, &[], &["echo $$ >&2; yes & exec yes"]));
    let mut pid = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(ssh.stderr.take().unwrap()), &mut pid).unwrap();
    let mut some = [0; 100_000];
    ssh.stdout.take().unwrap().read_exact(&mut some).unwrap();
    ssh.kill().unwrap();
    ssh.wait().unwrap();
    until("the command and what it started ended", || !group_runs(pid.trim()));
}

#[test]
fn a_terminal_is_a_terminal() {
    let rig = Rig::new(1, &[]);
    let done = output(rig.ssh(0, &["-tt"], &["tty; echo $TERM; exit 3"]).env("TERM", "vt220"));
    let said = text(&done.stdout);
    assert!(said.contains("/dev/pts/") && said.contains("vt220\r\n"), "{said:?}");
    assert_eq!(done.status.code(), Some(3));

    let mut shell = spawn(rig.ssh(0, &["-tt"], &[]).stdin(Stdio::piped()));
    shell.stdin.take().unwrap().write_all(b"echo so-$((6*7)); hostname; exit 5\n").unwrap();
    let done = shell.wait_with_output().unwrap();
    let said = text(&done.stdout);
    assert!(said.contains("so-42\r\n") && said.contains("lab000000\r\n"), "{said:?}");
    assert_eq!(done.status.code(), Some(5));
}

#[test]
fn a_terminal_follows_the_clients_window() {
    let rig = Rig::new(1, &[]);
    let (mut pty, pts) = pty_process::blocking::open().unwrap();
    pty.resize(pty_process::Size::new(30, 100)).unwrap();
    let shown = "stty size; trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.1; done";
    let ssh = rig.ssh(0, &["-t"], &[shown]);
    let pty_file = std::os::fd::AsFd::as_fd(&pty).try_clone_to_owned().unwrap();
    let mut client = pty_process::blocking::Command::new("ssh").args(ssh.get_args()).spawn(pts).unwrap();
    let mut read_until = |end: &str| {
        let mut said = Vec::new();
        while !text(&said).contains(end) {
            let mut byte = [0];
            assert_eq!(pty.read(&mut byte).unwrap_or(0), 1, "no {end:?} in {:?}", text(&said));
            said.extend(byte);
        }
        text(&said)
    };
    assert!(read_until("ready").contains("30 100"));
    // The old size is not shown again, so this can only be the new one.
    rustix::termios::tcsetwinsize(
        &pty_file,
        rustix::termios::Winsize { ws_row: 41, ws_col: 121, ws_xpixel: 0, ws_ypixel: 0 },
    )
    .unwrap();
    read_until("41 121");
    assert!(client.wait().unwrap().success());
}

#[test]
fn a_signal_reaches_the_command_and_is_named_in_the_end() {
    let rig = Rig::new(1, &[]);
    let key = russh::keys::load_secret_key(rig.lab().key_file(), None).unwrap();
    let key = russh::keys::PrivateKeyWithHashAlg::new(std::sync::Arc::new(key), None);
    let _inside = rig.runtime.enter();
    rig.runtime
        .block_on(tokio::time::timeout(LIMIT, async {
            let address = (Ipv4Addr::LOCALHOST, rig.port(0));
            let mut client =
                russh::client::connect(std::sync::Arc::default(), address, AnyHostKey).await.unwrap();
            assert!(client.authenticate_publickey("azureuser", key).await.unwrap().success());
            let mut channel = client.channel_open_session().await.unwrap();
            channel.exec(true, "echo ready; sleep 1000 | sleep 1000").await.unwrap();
            let mut end = None;
            while let Some(message) = channel.wait().await {
                match message {
                    russh::ChannelMsg::Data { .. } => channel.signal(russh::Sig::TERM).await.unwrap(),
                    russh::ChannelMsg::ExitSignal { signal_name, .. } => end = Some(signal_name),
                    _ => {}
                }
            }
            assert!(matches!(end, Some(russh::Sig::TERM)), "{end:?}");
        }))
        .unwrap();
}

/// The test is about something else, on loopback.
struct AnyHostKey;

impl russh::client::Handler for AnyHostKey {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        _key: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

#[test]
fn a_terminal_hangs_up_when_its_client_leaves() {
    let rig = Rig::new(1, &[]);
    let command = "trap 'echo hup > hup; exit' HUP; echo pid-$$; while :; do sleep 0.1; done";
    let mut ssh = spawn(rig.ssh(0, &["-tt"], &[command]).stdin(Stdio::piped()));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(ssh.stdout.take().unwrap()), &mut line).unwrap();
    let pid = line.trim().trim_start_matches("pid-").to_owned();
    assert!(runs(&pid), "{line:?}");
    ssh.kill().unwrap();
    ssh.wait().unwrap();
    until("the command ended", || !runs(&pid));
    assert_eq!(text(&rig.run(0, &["cat hup"]).stdout), "hup\n");
}

#[test]
fn a_shell_that_leaves_a_job_behind_still_ends() {
    let rig = Rig::new(1, &[]);
    let mut shell = spawn(rig.ssh(0, &["-tt"], &[]).stdin(Stdio::piped()));
    shell.stdin.take().unwrap().write_all(b"trap '' HUP; sleep 1000 & exit\n").unwrap();
    assert!(shell.wait_with_output().unwrap().status.success());
}

#[test]
fn one_connection_runs_many_commands_one_after_the_other() {
    let rig = Rig::new(1, &[]);
    let socket = rig.folder.path().join("mux");
    let control = format!("ControlPath={}", socket.display());
    let mut master = spawn(&mut rig.ssh(0, &["-M", "-N", "-o", &control], &[]));
    until("the connection is up", || socket.exists());
    for n in 0..15 {
        let done =
            output(&mut rig.ssh(0, &["-o", &control, "-o", "ControlMaster=no"], &[&format!("echo {n}")]));
        assert_eq!(text(&done.stdout), format!("{n}\n"), "{}", text(&done.stderr));
    }
    master.kill().unwrap();
    master.wait().unwrap();
}

#[test]
fn only_the_runs_own_key_and_user_sign_in() {
    let rig = Rig::new(1, &[]);
    let key = rig.folder.path().join("other");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.unwrap().success());
    let mut ssh = Command::new("ssh");
    let arguments: Vec<_> = rig.ssh(0, &[], &["true"]).get_args().map(ToOwned::to_owned).collect();
    let own = rig.lab().key_file().as_os_str();
    ssh.args(arguments.iter().map(|a| if a == own { key.as_os_str() } else { a }));
    let done = output(ssh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    assert!(text(&done.stderr).contains("Permission denied (publickey)"), "{}", text(&done.stderr));

    let done = output(&mut rig.ssh(0, &["-l", "root"], &["true"]));
    assert!(text(&done.stderr).contains("root@127.0.0.1: Permission denied"), "{}", text(&done.stderr));
    assert!(rig.run(0, &["true"]).status.success());
}

#[test]
fn what_a_lab_does_not_offer_is_refused() {
    let rig = Rig::new(1, &[]);
    let done = output(&mut rig.ssh(0, &["-s"], &["netconf"]));
    assert!(text(&done.stderr).contains("subsystem request failed"), "{}", text(&done.stderr));
    let target = format!("127.0.0.1:{}", rig.port(0));
    let done = output(&mut rig.ssh(0, &["-W", &target], &[]));
    assert!(text(&done.stderr).contains("connect failed"), "{}", text(&done.stderr));
    let done = output(&mut rig.ssh(0, &["-R", "0:127.0.0.1:1", "-o", "ExitOnForwardFailure=yes"], &["true"]));
    assert!(text(&done.stderr).contains("remote port forwarding failed"), "{}", text(&done.stderr));
}

#[test]
fn faults_are_what_they_say() {
    let rig = Rig::new(6, &["1=drop", "2=refuse", "3=slow", "4=hostkey", "5=auth"]);
    assert!(rig.run(0, &["true"]).status.success());
    // Loopback answers in microseconds; a port that is silent that long stays so.
    assert_eq!(connect(rig.port(1), Duration::from_millis(500)).err(), Some(ErrorKind::TimedOut));
    assert_eq!(connect(rig.port(2), LIMIT).err(), Some(ErrorKind::ConnectionRefused));

    let mut slow = connect(rig.port(3), LIMIT).unwrap();
    let start = Instant::now();
    let mut banner = [0; 8];
    slow.set_read_timeout(Some(LIMIT)).unwrap();
    slow.read_exact(&mut banner).unwrap();
    assert_eq!(&banner, b"SSH-2.0-");
    assert!(start.elapsed() >= Duration::from_secs(4));

    let done = rig.run(4, &["true"]);
    assert!(text(&done.stderr).contains("REMOTE HOST IDENTIFICATION HAS CHANGED"), "{}", text(&done.stderr));
    let done = rig.run(5, &["true"]);
    assert!(text(&done.stderr).contains("Permission denied (publickey)"), "{}", text(&done.stderr));
}

#[test]
fn the_map_and_the_documents_agree() {
    let rig = Rig::new(3, &[]);
    let map = rig.lab().map();
    let endpoints = map.select(&InstanceSet::default(), None).unwrap();
    let names: Vec<_> = endpoints.iter().map(|e| e.name.clone().unwrap()).collect();
    assert_eq!(names, ["lab_0", "lab_1", "lab_2"]);
    assert!(map.entries.iter().all(|e| e.known == Known::Listed && e.via == Via::NatPool));

    rig.lab().write_documents().unwrap();
    let read = |path: &Path| -> serde_json::Value {
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let info = read(rig.lab().connection_info_file());
    for (number, endpoint) in endpoints.iter().enumerate() {
        assert_eq!(info[format!("instance {number}")], endpoint.to_string());
    }
    let pool = read(rig.lab().nat_pool_file());
    let ports: Vec<_> = endpoints.iter().map(|e| e.port.get()).collect();
    assert_eq!(pool["frontendPortRangeStart"], *ports.iter().min().unwrap());
    assert_eq!(pool["frontendPortRangeEnd"], *ports.iter().max().unwrap());
    let balancer = read(&rig.lab().azure_folder().join("lb-show.json"));
    for (number, port) in ports.iter().enumerate() {
        assert_eq!(balancer["inboundNatRules"][number]["frontendPort"], *port);
    }
    assert!(rig.lab().azure().is_none());
    assert!(matches!(rig.lab().write_documents(), Err(LabError::Folder { .. })));
}

#[test]
fn its_azure_has_the_documents_that_are_written_and_ends_with_it() {
    let mut rig = Rig::with(2, &[], Some(Vec::new()));
    let lab = rig.lab();
    lab.write_documents().unwrap();
    let azure = lab.azure().unwrap();
    let address = azure.endpoint().strip_prefix("http://").unwrap().to_owned();
    let get = |path: &str, header: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nConnection: close\r\n{header}\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        serde_json::from_str::<serde_json::Value>(reply.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    let word = format!("X-IDENTITY-HEADER: {}", azure.identity_header());
    let token = get("/msi/token?api-version=2019-08-01&resource=https://management.azure.com", &word);
    let bearer = format!("Authorization: Bearer {}", token["access_token"].as_str().unwrap());
    let (group, set) = lab.group_and_name();
    let subscription = azure.world().subscription();
    let path = format!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachineScaleSets/{set}/virtualMachines"
    );
    let served = get(&format!("{path}?api-version=2024-11-01"), &bearer);
    let written = std::fs::read_to_string(lab.azure_folder().join("vmss-list-instances.json")).unwrap();
    let written: serde_json::Value = serde_json::from_str(&written).unwrap();
    for k in 0..2 {
        assert_eq!(served["value"][k]["properties"]["vmId"], written[k]["vmId"]);
    }
    assert_eq!(azure.requests().len(), 2);
    rig.end();
    assert_eq!(TcpStream::connect(&address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn nothing_listens_beyond_loopback() {
    let rig = Rig::new(4, &["1=drop"]);
    let ports: Vec<_> = (0..4).map(|k| format!("{:04X}", rig.port(k))).collect();
    let inodes: Vec<_> = std::fs::read_dir("/proc/self/fd")
        .expect("this test reads /proc, so it needs Linux")
        .filter_map(|fd| Some(std::fs::read_link(fd.ok()?.path()).ok()?.to_str()?.to_owned()))
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let mut listening = Vec::new();
    for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        for line in std::fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            if fields[3] == "0A" && inodes.contains(&fields[9].to_owned()) {
                let (address, port) = fields[1].split_once(':').unwrap();
                assert_eq!(address, "0100007F", "port {port} listens beyond loopback");
                listening.push(port.to_owned());
            }
        }
    }
    assert!(ports.iter().all(|port| listening.contains(port)), "{ports:?} {listening:?}");
}

#[test]
fn everything_ends_with_the_lab() {
    let mut rig = Rig::new(3, &["2=drop"]);
    let pids = rig.folder.path().join("pids");
    // One in the command's group, one that left it, one on a terminal.
    let command = format!(
        "echo $$ >> {0}; setsid sh -c 'echo $$ >> {0}; exec sleep 1000' & sleep 1000",
        pids.display()
    );
    let mut clients = [
        spawn(&mut rig.ssh(0, &[], &[&command])),
        spawn(rig.ssh(1, &["-tt"], &[&command]).stdin(Stdio::piped())),
    ];
    let lines = || std::fs::read_to_string(&pids).unwrap_or_default().lines().count();
    until("all commands run", || lines() == 4);
    let ports: Vec<_> = (0..3).map(|k| rig.port(k)).collect();
    let folder = rig.lab().key_file().parent().unwrap().to_owned();
    assert!(folder.exists());

    rig.end();
    assert!(!folder.exists());
    for port in ports {
        assert_eq!(connect(port, LIMIT).err(), Some(ErrorKind::ConnectionRefused));
    }
    for client in &mut clients {
        assert!(!client.wait().unwrap().success());
    }
    for pid in std::fs::read_to_string(&pids).unwrap().lines() {
        until("the process ended", || !runs(pid));
    }
}

#[test]
fn a_lab_can_start_again_on_its_ports_and_not_twice() {
    let mut rig = Rig::new(2, &[]);
    let base = rig.port(0);
    assert!(rig.run(1, &["true"]).status.success());
    let again = |rig: &Rig| {
        let state_dir = rig.folder.path().into();
        let options =
            LabOptions { instances: 1, faults: Vec::new(), base_port: Some(base), azure: None, state_dir };
        rig.runtime.block_on(Lab::start(options))
    };
    let error = again(&rig).unwrap_err();
    assert!(matches!(error, LabError::PortTaken { port, .. } if port == base), "{error}");
    assert!(error.hint().is_some());
    rig.end();
    assert_eq!(again(&rig).unwrap().map().entries[0].port.get(), base);
    // The lab that could not start left nothing behind either.
    assert_eq!(std::fs::read_dir(rig.folder.path()).unwrap().count(), 0);
}
