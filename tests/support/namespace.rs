//! Network namespaces (ip-netns(8)) with nothing but their own loopback and what a test lays between
//! them: there is no way out. Takes root, and fails where it is missing.
#![allow(dead_code, reason = "every test that includes this file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs::{self, File},
    os::fd::AsRawFd as _,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// One namespace, with `/etc` files of its own, deleted when dropped.
pub(crate) struct Namespace {
    pub(crate) name: String,
    purpose: &'static str,
}

impl Namespace {
    /// Makes one with its loopback up. The purpose is in its name and the names of its interfaces.
    pub(crate) fn new(purpose: &'static str) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let count = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("vmssh-{}-{count}-{purpose}", std::process::id());
        must(Command::new("ip").args(["netns", "add", &name]));
        let this = Self { name, purpose };
        this.ip(&["link", "set", "lo", "up"]);
        this
    }

    /// Runs ip(8) on its network.
    pub(crate) fn ip(&self, words: &[&str]) {
        must(Command::new("ip").args(["-n", &self.name]).args(words));
    }

    /// Runs a program in it, to a good end.
    pub(crate) fn run(&self, program: &str, words: &[&str]) {
        must(Command::new("ip").args(["netns", "exec", &self.name, program]).args(words));
    }

    /// Sets a kernel parameter of it.
    pub(crate) fn set(&self, parameter: &str, value: &str) {
        self.run("sh", &["-c", &format!("echo '{value}' > /proc/sys/{parameter}")]);
    }

    /// Writes the file that programs in it see in `/etc`.
    pub(crate) fn etc(&self, file: &str, text: &str) {
        let dir = Path::new("/etc/netns").join(&self.name);
        fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        fs::write(dir.join(file), text).unwrap();
    }

    /// The same command in it, with its network and its names.
    pub(crate) fn command(&self, command: &Command) -> Command {
        let mut wrapped = Command::new("ip");
        wrapped.args(["netns", "exec", &self.name]);
        wrapped.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null()).env_clear();
        wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(dir) = command.get_current_dir() {
            wrapped.current_dir(dir);
        }
        wrapped
    }

    /// Does something of this process in it, as making a socket, which then stays there.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = File::open(Path::new("/run/netns").join(&self.name)).unwrap();
        // The namespace is the thread's: a thread of its own takes it along to its end.
        let result = thread::scope(|scope| {
            scope
                .spawn(|| {
                    #[expect(unsafe_code, reason = "no crate of ours enters a namespace")]
                    // SAFETY: the descriptor is open; the call changes this thread's network and no memory.
                    let entered = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
                    assert_eq!(entered, 0, "{}", std::io::Error::last_os_error());
                    work()
                })
                .join()
        });
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A failing test must fail with its own words.
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
        let _ = fs::remove_dir_all(Path::new("/etc/netns").join(&self.name));
    }
}

/// Joins two namespaces, each with addresses on its end, which is the only one of the left: `eth0`.
pub(crate) fn link(left: &Namespace, left_addresses: &[&str], right: &Namespace, right_addresses: &[&str]) {
    // Unlike the namespace's, the name of an interface has 15 characters at most.
    let far = format!("to-{}", left.purpose);
    left.ip(&["link", "add", "eth0", "type", "veth", "peer", "name", &far, "netns", &right.name]);
    for (namespace, interface, addresses) in [(left, "eth0", left_addresses), (right, &far, right_addresses)]
    {
        for address in addresses {
            // An IPv6 address can't be used until nobody else was found to have it, which nobody has.
            let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
            namespace.ip(&[&["address", "add", address, "dev", interface], nodad].concat());
        }
        namespace.ip(&["link", "set", interface, "up"]);
    }
}

/// Runs a command to a good end.
pub(crate) fn must(command: &mut Command) {
    const NEEDS: &str =
        "this test takes root, and: apt-get install iproute2 nftables openssh-server openssh-client";
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}; {NEEDS}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}; {NEEDS}");
}
