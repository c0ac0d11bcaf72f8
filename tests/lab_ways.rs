//! The lab's files and its private network: `vmssh` and OpenSSH's own clients copy to instances and go
//! through them.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/vmssh.rs"]
mod vmssh;

use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::{PermissionsExt as _, symlink},
    process::{Command, Output, Stdio},
};

use ::vmssh::lab::{Lab, LabOptions};
use vmssh::{Ran, Surroundings};

/// A lab that stays for several runs.
struct Rig {
    here: Surroundings,
    lab: Option<Lab>,
    runtime: tokio::runtime::Runtime,
}

impl Rig {
    fn new(instances: usize, faults: &[&str]) -> Self {
        let here = Surroundings::new();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let options = LabOptions {
            instances,
            faults: faults.iter().map(|text| text.parse().unwrap()).collect(),
            base_port: None,
            azure: None,
            state_dir: here.home.path().into(),
        };
        let lab = runtime.block_on(Lab::start(options)).unwrap();
        lab.write_documents().unwrap();
        Self { here, lab: Some(lab), runtime }
    }

    fn lab(&self) -> &Lab {
        self.lab.as_ref().unwrap()
    }

    /// Runs a verb of vmssh on the lab, asked for by its documents.
    fn run(&self, verb: &str, words: &[&str]) -> Ran {
        let target = format!("azureuser@@{}", self.lab().azure_folder().display());
        let files = [self.lab().key_file(), self.lab().known_hosts_file()].map(|path| path.to_str().unwrap());
        let mut all = vec![verb, "-i", files[0], "--known-hosts", files[1], &target];
        all.extend(words);
        self.here.run(&all)
    }

    /// One of OpenSSH's clients, towards instance 0, with this on its standard input.
    fn openssh(&self, program: &str, words: &[&str], input: &[u8]) -> Output {
        let lab = self.lab();
        let mut command = Command::new(program);
        command.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "IdentityAgent=none",
        ]);
        command.arg("-o").arg(format!("UserKnownHostsFile={}", lab.known_hosts_file().display()));
        command.arg("-o").arg(format!("Port={}", lab.map().entries[0].port));
        command.arg("-i").arg(lab.key_file()).args(words);
        command.current_dir(self.here.home.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().expect("these tests need OpenSSH's client (`apt-get install openssh-client`)");
        // A program that ends early closes it.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.here.home.path().join(name)).unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        drop(self.lab.take());
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Bytes that no fault in the order of pieces leaves as they are.
fn bytes(count: usize) -> Vec<u8> {
    (0_u32..).flat_map(u32::to_le_bytes).take(count).collect()
}

#[test]
fn files_and_folders_go_to_all_instances_and_come_back() {
    let rig = Rig::new(3, &[]);
    let home = rig.here.home.path();
    let big = rig.here.file("big", bytes(3_000_001));
    fs::create_dir_all(home.join("tree/sub")).unwrap();
    fs::write(home.join("tree/sub/note"), "hello").unwrap();
    fs::set_permissions(home.join("tree/sub/note"), fs::Permissions::from_mode(0o640)).unwrap();
    rig.run("cp", &[&big, ":data"]).expect_status(0);
    rig.run("cp", &["-r", "-p", "tree", ":"]).expect_status(0);
    rig.run("exec", &["--", "wc -c <data; ls -l tree/sub/note | cut -c1-10"]).expect_status(0);
    rig.run("cp", &[":data", "back-{instance}"]).expect_status(0);
    rig.run("cp", &["-r", ":tree", "tree-{instance}"]).expect_status(0);
    for instance in 0..3 {
        assert_eq!(rig.read(&format!("back-{instance}")), rig.read("big"));
        let copied = walk(home, &format!("tree-{instance}"));
        assert!(copied.ends_with("sub/note"), "{copied}");
        assert_eq!(rig.read(&copied), b"hello");
    }
    // Nothing is read or written outside of the instance's folder.
    let ran = rig.run("cp", &["0", ":/etc/passwd", "passwd"]).expect_status(255);
    assert!(ran.stdout.contains("ermission denied") || ran.stderr.contains("ermission denied"), "{ran:?}");
    rig.run("cp", &["0", &big, ":../big"]).expect_status(255);
}

/// The path of the one file under a folder.
fn walk(home: &std::path::Path, name: &str) -> String {
    let path = home.join(name);
    if path.is_file() {
        return name.to_owned();
    }
    let only = fs::read_dir(path).unwrap().next().unwrap().unwrap();
    walk(home, &format!("{name}/{}", only.file_name().to_str().unwrap()))
}

#[test]
fn a_hundred_instances_get_a_file() {
    let here = Surroundings::new();
    let file = here.file("motd", "hello");
    // Time enough for a build without optimization beside other tests.
    let words = ["cp", "lab", &file, ":motd", "--lab-instances", "100", "--connect-timeout", "2m"];
    let ran = here.run(&words).expect_status(0);
    assert!(ran.stderr.contains("100 of 100 ok"), "{ran:?}");
}

#[test]
fn openssh_s_sftp_works_on_an_instance() {
    let rig = Rig::new(1, &[]);
    rig.here.file("here", bytes(400_000));
    let batch = "mkdir d\nput -p here d/there\nrename d/there d/moved\nchmod 600 d/moved\nln -s moved d/link\n\
                 get d/link back\nls -l d\npwd\nfsync-not-a-command\n";
    let batch = batch.replace("fsync-not-a-command\n", "put -f here d/synced\nrm d/synced\nrm d/link\n");
    let ran = rig.openssh("sftp", &["-b", "-", "azureuser@127.0.0.1"], batch.as_bytes());
    assert!(ran.status.success(), "{}{}", text(&ran.stdout), text(&ran.stderr));
    assert_eq!(rig.read("back"), rig.read("here"));
    let said = text(&ran.stdout);
    assert!(said.contains("-rw-------    1 azureuser azureuser       400000 "), "{said}");
    assert!(said.contains("/lab_0\n"), "{said}");
    let told = rig.run("exec", &["0", "--", "ls -A d; pwd"]).expect_status(0);
    assert!(told.stdout.contains("moved") && !told.stdout.contains("synced"), "{}", told.stdout);
    for refused in [
        "get /etc/passwd x",
        "get ../id_ed25519 x",
        "ls /",
        "mkdir ../../d",
        "rmdir d",
        "rename d/moved ../m",
    ] {
        let ran = rig.openssh("sftp", &["-b", "-", "azureuser@127.0.0.1"], refused.as_bytes());
        assert!(!ran.status.success(), "{refused}: {}{}", text(&ran.stdout), text(&ran.stderr));
    }
    let ran = rig.openssh("scp", &["-p", "here", "azureuser@127.0.0.1:d/by-scp"], b"");
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let ran = rig.openssh("scp", &["azureuser@127.0.0.1:d/by-scp", "by-scp"], b"");
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    assert_eq!(rig.read("by-scp"), rig.read("here"));
}

#[test]
fn links_that_lead_out_of_an_instance_are_not_followed() {
    let rig = Rig::new(1, &[]);
    rig.run("exec", &["--", "ln -s /etc out; ln -s ../id_ed25519 key; mkfifo pipe"]).expect_status(0);
    symlink("/etc", rig.here.home.path().join("x")).unwrap();
    for refused in ["get out/passwd x1", "get key x1", "get pipe x1"] {
        let ran = rig.openssh("sftp", &["-b", "-", "azureuser@127.0.0.1"], refused.as_bytes());
        assert!(!ran.status.success(), "{refused}: {}{}", text(&ran.stdout), text(&ran.stderr));
    }
}

#[test]
fn packets_that_are_none_end_the_session_and_nothing_else() {
    let rig = Rig::new(1, &[]);
    let hello = [0, 0, 0, 5, 1, 0, 0, 0, 3];
    // An open with a name longer than its packet, one without a greeting, a packet of 4 GB, and an empty one.
    let long_name = [&hello[..], &[0, 0, 0, 9, 3, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]].concat();
    let no_hello = vec![0, 0, 0, 9, 16, 0, 0, 0, 1, 0, 0, 0, 0];
    let huge = [&hello[..], &[0xff; 64]].concat();
    let empty = [&hello[..], &[0; 4]].concat();
    for packets in [long_name, no_hello, huge, empty, b"GET / HTTP/1.0\r\n\r\n".to_vec()] {
        let ran = rig.openssh("ssh", &["-s", "azureuser@127.0.0.1", "sftp"], &packets);
        assert_eq!(ran.status.code(), Some(255), "{packets:?}: {}", text(&ran.stderr));
    }
    // A request that nobody knows is answered.
    let unknown = [&hello[..], &[0, 0, 0, 5, 99, 0, 0, 0, 7]].concat();
    let ran = rig.openssh("ssh", &["-s", "azureuser@127.0.0.1", "sftp"], &unknown);
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    assert!(text(&ran.stdout).contains("Operation unsupported"));
    rig.run("exec", &["--", "true"]).expect_status(0);
}

#[test]
fn a_filtered_instance_is_reached_through_a_sibling() {
    let here = Surroundings::new();
    let lab = ["--lab-fault", "2=drop"];
    let shown = "echo $VMSSH_LAB_COMPUTER_NAME $SSH_CONNECTION";
    let ran = here.run(&["ssh", "lab", "2", "--via", "1", lab[0], lab[1], "--", shown]).expect_status(0);
    let words: Vec<_> = ran.stdout.split_whitespace().collect();
    assert_eq!([words[0], words[1], words[3], words[4]], ["lab000002", "10.0.0.5", "10.0.0.6", "22"]);
    let ran = here.run(&["exec", "lab", "--via", "auto", lab[0], lab[1], "-o", "jsonl", "--", "hostname"]);
    let ran = ran.expect_status(0);
    assert_eq!(ran.json_lines().len(), 4, "{}", ran.stdout);
    assert!(ran.stderr.contains("through instance"), "{}", ran.stderr);
    let file = here.file("note", "hello");
    here.run(&["cp", "lab", "2", &file, ":note", "--via", "auto", lab[0], lab[1]]).expect_status(0);
}

#[test]
fn what_a_sibling_reaches_is_what_the_machines_answer() {
    let here = Surroundings::new();
    // Filtered at the frontend, without a server, with a refused sign-in, with a key that changed.
    let faults = ["--lab-fault", "1=drop", "--lab-fault", "2=refuse", "--lab-fault", "3=auth"];
    let probe = [&["probe", "lab", "--via", "0", "-n", "1", "-w", "0", "-o", "json"], &faults[..]].concat();
    let ran = here.run(&probe).expect_status(1);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let states: Vec<_> = document["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["state"].as_str().unwrap().to_owned())
        .collect();
    // Why a sibling can't connect, SSH's answer has no code for.
    assert_eq!(states, ["answered", "answered", "unreachable", "answered"]);
    let ran = here.run(&[&["ssh", "lab", "3", "--via", "0"], &faults[..], &["--", "true"]].concat());
    let ran = ran.expect_status(255);
    assert!(ran.stderr.contains("instance 3") || ran.stderr.contains("auth"), "{}", ran.stderr);
    let ran = here.run(&["ssh", "lab", "1", "--via", "0", "--lab-fault", "1=hostkey", "--", "true"]);
    assert!(ran.status != 0 && ran.stderr.contains("host key"), "{ran:?}");
}

#[test]
fn forwards_lead_to_instances_and_nowhere_else() {
    let rig = Rig::new(2, &[]);
    let banner = rig.openssh("ssh", &["-W", "10.0.0.5:22", "azureuser@127.0.0.1"], b"SSH-2.0-test\r\n");
    assert!(text(&banner.stdout).starts_with("SSH-2.0-vmssh_lab\r\n"), "{}", text(&banner.stderr));
    let outside = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    outside.set_nonblocking(true).unwrap();
    let port = outside.local_addr().unwrap().port();
    for place in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("10.0.0.5:{port}"),
        "10.0.0.6:22".into(),
    ] {
        let ran = rig.openssh("ssh", &["-W", &place, "azureuser@127.0.0.1"], b"");
        assert_eq!(ran.status.code(), Some(255), "{place}");
        assert!(text(&ran.stderr).contains("connect failed"), "{place}: {}", text(&ran.stderr));
    }
    assert!(outside.accept().is_err(), "the lab dialled out");
    let words = ["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:9", "azureuser@127.0.0.1", "true"];
    let ran = rig.openssh("ssh", &words, b"");
    assert_eq!(ran.status.code(), Some(255), "{}", text(&ran.stderr));
    // vmssh's own -W.
    let target = format!("azureuser@@{}", rig.lab().azure_folder().display());
    let files = [rig.lab().key_file(), rig.lab().known_hosts_file()].map(|path| path.to_str().unwrap());
    let words = ["ssh", "-i", files[0], "--known-hosts", files[1], &target, "0", "-W", "10.0.0.5:22"];
    let ran = rig.here.run_with_input(&words, b"SSH-2.0-test\r\n");
    assert!(ran.stdout.starts_with("SSH-2.0-vmssh_lab\r\n"), "{ran:?}");
}
