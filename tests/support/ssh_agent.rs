//! A real ssh-agent of its own.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// It answers at once; a busy machine is given time.
const LIMIT: Duration = Duration::from_secs(20);

/// A running agent.
pub(crate) struct Agent {
    child: Child,
    /// Where it listens.
    pub(crate) socket: PathBuf,
}

impl Agent {
    /// Starts it with its socket in a folder; ends with this value.
    pub(crate) fn start(dir: &Path) -> Self {
        let socket = dir.join("agent.sock");
        let mut agent = Command::new("ssh-agent");
        let child = agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        let end = Instant::now() + LIMIT;
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(Instant::now() < end, "ssh-agent does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { child, socket }
    }

    /// Gives it a key without a pass phrase.
    pub(crate) fn add(&self, key: &Path) {
        let mut add = Command::new("ssh-add");
        let status = add.arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
