//! `vmssh cp` against real sshds, and against servers that lie.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "cp/liar.rs"]
mod liar;
#[path = "support/pty.rs"]
mod pty;
#[path = "support/sshd.rs"]
mod sshd;
#[path = "support/vmssh.rs"]
mod vmssh;

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use liar::{Liar, Lie};
use rustix::process::{Pid, Signal, kill_process};
use sshd::TestSshd;
use vmssh::{Ran, Surroundings};

/// Longer than anything takes that works, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A server, a home, and two folders: one to copy from, one to copy to.
struct Scene {
    server: TestSshd,
    here: Surroundings,
    from: PathBuf,
    to: PathBuf,
}

impl Scene {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(config: &[&str]) -> Self {
        let (server, here) = (TestSshd::start(config), Surroundings::new());
        let [from, to] = ["from", "to"].map(|name| here.home.path().join(name));
        fs::create_dir(&from).unwrap();
        fs::create_dir(&to).unwrap();
        Self { server, here, from, to }
    }

    fn file(&self, name: &str, contents: &[u8]) -> String {
        let path = self.from.join(name);
        fs::write(&path, contents).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn to(&self, name: &str) -> PathBuf {
        self.to.join(name)
    }

    /// The same path as one on the instance.
    fn remote(&self, name: &str) -> String {
        format!(":{}", self.to(name).display())
    }

    fn arguments(&self, words: &[&str]) -> Vec<String> {
        arguments(self.server.user(), &self.server.endpoint().to_string(), &self.server.key(), words)
    }

    fn cp(&self, words: &[&str]) -> Ran {
        self.command(words).output().unwrap().into()
    }

    fn command(&self, words: &[&str]) -> Command {
        let arguments = self.arguments(words);
        self.here.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Names of unfinished files.
    fn leftovers(&self) -> Vec<PathBuf> {
        leftovers(&self.to)
    }
}

fn arguments(user: &str, target: &str, key: &Path, words: &[&str]) -> Vec<String> {
    let options = ["--host-keys", "accept-new", "-i", key.to_str().unwrap()];
    let start = ["cp".to_owned(), format!("{user}@{target}")];
    start.into_iter().chain(options.iter().chain(words).map(ToString::to_string)).collect()
}

fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.to_string_lossy().contains(".vmssh-")).collect()
}

/// Bytes that do not repeat.
fn bytes(count: usize) -> Vec<u8> {
    let mut state = 1u64;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect()
}

/// Everything below a folder: path, and contents of files.
fn tree(root: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let below = path.strip_prefix(root).unwrap().to_owned();
            if path.is_dir() {
                found.push((below, None));
                folders.push(path);
            } else {
                found.push((below, Some(fs::read(path).unwrap())));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_file_goes_there_and_comes_back_byte_for_byte() {
    let scene = Scene::new();
    for size in [0, 1, 32 * 1024, 255 * 1024 + 1, 9_000_001] {
        let data = bytes(size);
        let file = scene.file("data", &data);
        scene.cp(&["--checksum", &file, &scene.remote("there")]).expect_status(0);
        assert!(fs::read(scene.to("there")).unwrap() == data, "{size} bytes there");
        let back = scene.from.join("back");
        scene.cp(&["--checksum", &scene.remote("there"), back.to_str().unwrap()]).expect_status(0);
        assert!(fs::read(back).unwrap() == data, "{size} bytes back");
    }
    assert!(scene.leftovers().is_empty());
}

#[test]
fn folders_are_copied_whole_with_any_names() {
    let scene = Scene::new();
    let root = scene.from.join("tree");
    fs::create_dir_all(root.join("a/b/empty")).unwrap();
    for name in
        [&b"plain"[..], b"it's \"quoted\" $HOME `x` \\", b" blanks ", b"-rf", b"caf\xe9", b"*", b"{instance}"]
    {
        fs::write(root.join("a").join(OsStr::from_bytes(name)), name).unwrap();
    }
    for number in 0..300 {
        fs::write(root.join(format!("a/b/{number}")), number.to_string()).unwrap();
    }
    let wanted = tree(&root);
    let from = root.to_str().unwrap();
    let refused = scene.cp(&[from, &scene.remote("")]).expect_status(2);
    assert!(refused.stderr.contains("`-r`"), "{}", refused.stderr);
    scene.cp(&["-r", from, &scene.remote("new/deep/")]).expect_status(0);
    assert!(tree(&scene.to("new/deep/tree")) == wanted, "into a folder, which is made");
    scene.cp(&["-r", from, &scene.remote("named")]).expect_status(0);
    assert!(tree(&scene.to("named")) == wanted, "under another name");
    let back = scene.from.join("back");
    scene.cp(&["-r", &scene.remote("named"), &format!("{}/", back.display())]).expect_status(0);
    assert!(tree(&back.join("named")) == wanted, "and back");
    let one = scene.cp(&[&scene.remote("named"), back.to_str().unwrap()]);
    assert!(one.expect_status(255).stderr.contains("`-r`"));
}

#[test]
fn modes_and_times_are_kept_on_request() {
    let scene = Scene::new();
    let file = scene.file("tool", b"#!/bin/sh\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let folder = scene.from.join("sub");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("x"), "x").unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    for path in [Path::new(&file), &folder.join("x"), &folder] {
        sshd::run("touch", &["-d", "2001-02-03 04:05:06 UTC", path.to_str().unwrap()]);
    }
    let kept = |path: &Path| {
        let there = fs::metadata(path).unwrap();
        (there.mode() & 0o7777, there.mtime())
    };
    const THEN: i64 = 981_173_106;
    scene.cp(&["-rp", &file, folder.to_str().unwrap(), &scene.remote("")]).expect_status(0);
    assert_eq!(kept(&scene.to("tool")), (0o640, THEN));
    assert_eq!(kept(&scene.to("sub")), (0o555, THEN));
    let back = scene.from.join("back/");
    let both = [&*scene.remote("tool"), &*scene.remote("sub")];
    scene.cp(&["-rp", both[0], both[1], &format!("{}/", back.display())]).expect_status(0);
    assert_eq!((kept(&back.join("tool")), kept(&back.join("sub"))), ((0o640, THEN), (0o555, THEN)));

    fs::set_permissions(scene.to("tool"), fs::Permissions::from_mode(0o711)).unwrap();
    scene.cp(&[&file, &scene.remote("tool")]).expect_status(0);
    let (mode, time) = kept(&scene.to("tool"));
    assert_eq!(mode, 0o711, "what is replaced keeps its mode");
    assert_ne!(time, THEN);
}

#[test]
fn links_are_left_out_of_folders_and_stay_where_they_are_replaced() {
    let scene = Scene::new();
    let root = scene.from.join("tree");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("file"), "file").unwrap();
    symlink("/etc/passwd", root.join("link")).unwrap();
    symlink("/", root.join("root")).unwrap();
    sshd::run("mkfifo", &[root.join("pipe").to_str().unwrap()]);
    let ran = scene.cp(&["-r", root.to_str().unwrap(), &scene.remote("there")]).expect_status(0);
    assert_eq!(ran.stderr.matches("left out: ").count(), 3, "{}", ran.stderr);
    assert_eq!(tree(&scene.to("there")), [("file".into(), Some(b"file".to_vec()))]);

    let back = scene.from.join("back");
    let ran = scene.cp(&["-r", &format!(":{}", root.display()), back.to_str().unwrap()]).expect_status(0);
    assert_eq!(ran.stderr.matches("left out: ").count(), 3, "{}", ran.stderr);
    assert_eq!(tree(&back), [("file".into(), Some(b"file".to_vec()))]);

    fs::write(scene.to("real"), "old").unwrap();
    symlink("real", scene.to("alias")).unwrap();
    let file = scene.file("new", b"new");
    scene.cp(&[&file, &scene.remote("alias")]).expect_status(0);
    assert!(scene.to("alias").is_symlink());
    assert_eq!(fs::read(scene.to("real")).unwrap(), b"new");
    // A folder of that name here leads elsewhere: nothing is put there.
    let trap = scene.from.join("trap");
    fs::create_dir(&trap).unwrap();
    symlink(&scene.to, trap.join("sub")).unwrap();
    fs::create_dir_all(scene.from.join("source/sub")).unwrap();
    fs::write(scene.from.join("source/sub/planted"), "x").unwrap();
    let source = format!(":{}/.", scene.from.join("source").display());
    scene.cp(&["-r", &source, trap.to_str().unwrap()]).expect_status(255);
    assert!(!scene.to("planted").exists());
}

#[test]
fn what_can_not_be_written_is_told_and_leaves_nothing() {
    let scene = Scene::new();
    let file = scene.file("x", b"new");
    let missing = scene.cp(&[&file, &scene.remote("no/such/x")]).expect_status(255);
    assert!(missing.stderr.contains("no such file or folder there"), "{}", missing.stderr);
    let missing = scene.cp(&[&scene.remote("none"), "."]).expect_status(255);
    assert!(missing.stderr.contains("no such file or folder there"), "{}", missing.stderr);
    fs::create_dir(scene.to("x")).unwrap();
    // Into the folder, then in the way of a file.
    scene.cp(&[&file, &scene.remote("x")]).expect_status(0);
    fs::create_dir(scene.to("x/deep")).unwrap();
    fs::write(scene.from.join("deep"), "").unwrap();
    let deep = scene.from.join("deep");
    let ran = scene.cp(&[deep.to_str().unwrap(), &file, &scene.remote("x")]).expect_status(255);
    assert!(ran.stderr.contains("in the way there"), "{}", ran.stderr);
    assert_eq!(fs::read(scene.to("x/x")).unwrap(), b"new", "the other one is there");
    let here = scene.cp(&["/no/such/file", &scene.remote("y")]).expect_status(2);
    assert!(here.stderr.contains("/no/such/file"), "{}", here.stderr);
}

#[test]
fn a_user_without_leave_is_told_so() {
    let scene = Scene::with(&[]);
    let server = TestSshd::with_user("secret", &[]);
    let file = scene.file("x", b"x");
    let words = [&*file, ":/root/x"];
    let arguments = arguments(server.user(), &server.endpoint().to_string(), &server.key(), &words);
    let ran = scene.here.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).expect_status(255);
    assert!(ran.stderr.contains("permission denied there"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
}

/// A file system of 1 MiB on a folder, as long as this lives. Takes root.
struct Small(PathBuf);

impl Small {
    fn on(folder: &Path) -> Self {
        sshd::run("mount", &["-t", "tmpfs", "-o", "size=1M", "tmpfs", folder.to_str().unwrap()]);
        Self(folder.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_on_either_side_leaves_the_old_file() {
    let scene = Scene::new();
    let small = scene.here.home.path().join("small");
    fs::create_dir(&small).unwrap();
    let small = Small::on(&small);
    fs::write(small.0.join("x"), "old").unwrap();
    let file = scene.file("x", &bytes(3 << 20));
    let ran = scene.cp(&[&file, &format!(":{}/", small.0.display())]).expect_status(255);
    assert!(ran.stderr.contains("full disk"), "{}", ran.stderr);
    let ran = scene.cp(&[&format!(":{file}"), small.0.to_str().unwrap()]).expect_status(255);
    assert!(ran.stderr.contains("No space left"), "{}", ran.stderr);
    assert_eq!(fs::read(small.0.join("x")).unwrap(), b"old");
    assert!(leftovers(&small.0).is_empty());
}

/// Waits until an unfinished file has grown to so much.
fn until_under_way(scene: &Scene, least: u64) -> PathBuf {
    let end = Instant::now() + LIMIT;
    loop {
        let grown =
            scene.leftovers().into_iter().find(|path| fs::metadata(path).is_ok_and(|m| m.len() >= least));
        if let Some(path) = grown {
            return path;
        }
        assert!(Instant::now() < end, "nothing is under way");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn killed_in_the_middle_the_old_file_stays_and_resume_goes_on() {
    let scene = Scene::new();
    let data = bytes(40 << 20);
    let file = scene.file("big", &data);
    for (words, old) in [
        ([&file, &scene.remote("big")].map(String::as_str), scene.to("big")),
        ([&format!(":{file}"), scene.to("pulled").to_str().unwrap()], scene.to("pulled")),
    ] {
        fs::write(&old, "old").unwrap();
        let mut child = scene.command(&words).stderr(Stdio::null()).spawn().unwrap();
        until_under_way(&scene, 1 << 20);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(fs::read(&old).unwrap(), b"old");
        let left = scene.leftovers();
        assert_eq!(left.len(), 1, "{left:?}");
        // A server may still take what was on its way.
        let ran =
            scene.cp(&[&["--resume", "--checksum", "-o", "jsonl"], &words[..]].concat()).expect_status(0);
        assert_eq!(ran.json_lines()[0]["schema"], "vmssh.cp/1");
        assert!(fs::read(&old).unwrap() == data, "whole");
        assert!(scene.leftovers().is_empty(), "nothing is left");
    }
}

#[test]
fn resume_takes_nothing_on_that_is_not_the_same() {
    let scene = Scene::new();
    let data = bytes(5 << 20);
    let file = scene.file("data", &data);
    let resumed = |words: &[&str], at: &Path, spoil: &dyn Fn(&Path)| {
        // A run that could not be finished: its temporary, as one that was stopped leaves it.
        let mut child = scene.command(words).stderr(Stdio::null()).spawn().unwrap();
        let left = until_under_way(&scene, 0);
        child.kill().unwrap();
        child.wait().unwrap();
        if !left.exists() {
            return;
        }
        spoil(&left);
        scene.cp(&[&["--resume"], words].concat()).expect_status(0);
        assert!(fs::read(at).unwrap() == data, "{}", at.display());
    };
    let wrong = |left: &Path| fs::write(left, vec![7; 2 << 20]).unwrap();
    let longer = |left: &Path| fs::write(left, [&data[..], b"more"].concat()).unwrap();
    let half = |left: &Path| fs::write(left, &data[..2 << 20]).unwrap();
    for spoil in [&wrong as &dyn Fn(&Path), &longer, &half] {
        resumed(&[&file, &scene.remote("a")], &scene.to("a"), spoil);
        resumed(&[&format!(":{file}"), scene.to("b").to_str().unwrap()], &scene.to("b"), spoil);
    }
}

#[test]
fn three_instances_have_places_of_their_own() {
    let scene = Scene::new();
    let servers = [TestSshd::start(&[]), TestSshd::start(&[])];
    let port = |server: &TestSshd| server.endpoint().port.get();
    let all = [port(&scene.server), port(&servers[0]), port(&servers[1])];
    let entries: Vec<_> = (0..3).map(|id| format!(r#""instance {id}": "127.0.0.1:{}""#, all[id])).collect();
    let ports = scene.here.file("ports.json", format!("{{{}}}", entries.join(",")));
    // One key for all of them.
    let public = fs::read_to_string(scene.server.key().with_extension("pub")).unwrap();
    for server in &servers {
        fs::write(server.dir().join("authorized_keys"), &public).unwrap();
    }
    let cp = |words: &[&str]| -> Ran {
        let arguments = arguments(scene.server.user(), &format!("@{ports}"), &scene.server.key(), words);
        scene.here.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    for id in 0..3 {
        scene.file(&format!("own-{id}"), format!("I am {id}").as_bytes());
    }
    let own = scene.from.join("own-{instance}");
    let ran = cp(&[own.to_str().unwrap(), &scene.remote("{instance}/who"), "-o", "json"]);
    assert_eq!(ran.status, 1, "the folders are not there: {}", ran.stderr);
    let ran = cp(&[own.to_str().unwrap(), &scene.remote("there/"), "-o", "json"]).expect_status(0);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["schema"], "vmssh.cp/1");
    assert_eq!(document["instances"][2]["files"], 1);

    let mixed = cp(&[&scene.remote("there/own-0"), scene.to("x").to_str().unwrap()]).expect_status(2);
    assert!(mixed.stderr.contains("would be one file here"), "{}", mixed.stderr);
    assert!(mixed.stderr.contains("{instance}/"), "{}", mixed.stderr);
    let into = scene.to("got/{instance}/");
    cp(&[&scene.remote("there/own-{instance}"), into.to_str().unwrap()]).expect_status(0);
    cp(&["1-2", &scene.remote("there/own-1"), into.to_str().unwrap()]).expect_status(0);
    for id in 0..3 {
        assert_eq!(
            fs::read_to_string(scene.to(&format!("got/{id}/own-{id}"))).unwrap(),
            format!("I am {id}")
        );
    }
    assert!(scene.to("got/2/own-1").exists() && !scene.to("got/0/own-1").exists());
    let ambiguous = cp(&["web_1", "./a", ":b"]).expect_status(2);
    assert!(ambiguous.stderr.contains("--instances web_1"), "{}", ambiguous.stderr);
}

#[test]
fn a_server_without_sftp_is_told_so() {
    let scene = Scene::with(&["ForceCommand /bin/false"]);
    let ran = scene.cp(&[&scene.file("x", b"x"), &scene.remote("x")]).expect_status(255);
    assert!(ran.stderr.contains("the server gives no SFTP"), "{}", ran.stderr);
    let scene = Scene::with(&["ForceCommand echo hello hello hello"]);
    let ran = scene.cp(&[&scene.file("x", b"x"), &scene.remote("x")]).expect_status(255);
    assert!(ran.stderr.contains("prints something else there"), "{}", ran.stderr);
}

#[test]
fn progress_is_shown_on_a_terminal_and_ctrl_c_ends_it_well() {
    let scene = Scene::new();
    let file = scene.from.join("endless");
    // A sparse file: there is more of it than time.
    fs::File::create(&file).unwrap().set_len(40 << 30).unwrap();
    fs::write(scene.to("x"), "old").unwrap();
    let mut command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_vmssh"));
    let remote = scene.remote("x");
    command = command
        .args(scene.arguments(&[&format!(":{}", file.display()), scene.to("x").to_str().unwrap()]))
        .env_clear()
        .env("HOME", scene.here.home.path())
        .env("TERM", "xterm");
    let mut terminal = pty::Terminal::run(command);
    terminal.see("/40.00 GiB");
    terminal.see("iB/s");
    terminal.see(" left");
    terminal.send("\x03");
    terminal.see("nothing new is started");
    terminal.send("\x03");
    terminal.see("--resume");
    assert_eq!(terminal.end().code(), Some(130));
    assert_eq!(fs::read(scene.to("x")).unwrap(), b"old", "{remote}");
    assert_eq!(scene.leftovers().len(), 1);
    let quiet = scene.cp(&["-q", &scene.file("y", b"y"), &scene.remote("y")]).expect_status(0);
    // The host key was filed above.
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
}

#[test]
fn interrupted_by_a_signal_it_says_how_to_go_on() {
    let scene = Scene::new();
    let file = scene.from.join("endless");
    fs::File::create(&file).unwrap().set_len(40 << 30).unwrap();
    let remote = scene.remote("x");
    let words = [file.to_str().unwrap(), &remote];
    let child = scene.command(&words).stderr(Stdio::piped()).spawn().unwrap();
    let left = until_under_way(&scene, 1);
    for _ in 0..2 {
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    let ran: Ran = child.wait_with_output().unwrap().into();
    let ran = ran.expect_status(130);
    assert!(ran.stderr.contains("--resume"), "{}", ran.stderr);
    assert!(left.exists() && !scene.to("x").exists());
}

/// Copies everything from a server that lies, and gives what was said.
fn lied_to(lie: Lie) -> (Ran, PathBuf, Surroundings) {
    let here = Surroundings::new();
    let liar = Liar::start(lie);
    let key = here.home.path().join("key");
    sshd::keygen(&["-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()]);
    let to = here.home.path().join("in/to");
    fs::create_dir_all(&to).unwrap();
    let target = format!("127.0.0.1:{}", liar.port);
    let words = ["-r", "--timeout", "5s", ":/any", to.to_str().unwrap()];
    let arguments = arguments("anybody", &target, &key, &words);
    let ran = here.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    (ran, to, here)
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let (ran, to, here) = lied_to(Lie::Names);
    let ran = ran.expect_status(255);
    assert!(ran.stderr.contains("no name of a file here"), "{}", ran.stderr);
    assert!(!ran.stderr.contains('\x1b'), "{:?}", ran.stderr);
    let names: Vec<_> = tree(&to).into_iter().map(|(path, _)| path).collect();
    assert_eq!(names, [PathBuf::from("any"), "any/good".into()]);
    let outside: Vec<_> = tree(&here.home.path().join("in")).into_iter().map(|(path, _)| path).collect();
    assert_eq!(outside, [PathBuf::from("to"), "to/any".into(), "to/any/good".into()]);
}

#[test]
fn servers_that_lie_about_sizes_and_go_on_for_ever_are_refused() {
    for (lie, said) in [
        (Lie::MoreThanAsked, "more than was asked for"),
        (Lie::Shorter, "became shorter"),
        (Lie::UnsizedWithoutEnd, "has no end"),
        (Lie::LongPacket, "a packet is too long"),
        (Lie::WrongId, "belongs to no question"),
        (Lie::Malformed, "a packet is malformed"),
        (Lie::Stalls, "not done after 5s"),
        (Lie::DripsForEver, "not done after 5s"),
        (Lie::FolderWithoutEnd, "not done after 5s"),
    ] {
        let (ran, to, _here) = lied_to(lie);
        assert_eq!(ran.status, 255, "{lie:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{lie:?}: {}", ran.stderr);
        // What is listed again and again is a good file.
        assert_eq!(to.join("any/good").exists(), lie == Lie::FolderWithoutEnd, "{lie:?}");
    }
}
