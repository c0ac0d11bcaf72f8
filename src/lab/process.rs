//! The processes that commands run in: who they are, and that none outlives its lab.

use std::{
    collections::HashSet,
    io,
    path::Path,
    process::ExitStatus,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::process::Child;

use crate::event::Exit;

/// The process groups of a lab. On Unix every command leads one, so that what it started ends
/// with it.
#[derive(Default)]
pub(super) struct Processes {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The leaders, none of them waited for yet: their ids can't have been given to others.
    leaders: HashSet<u32>,
    /// Something was started at some time.
    used: bool,
    /// The lab ended: nothing may be started.
    closed: bool,
}

/// Between opening a pseudo-terminal and marking it close-on-exec a process started by another
/// thread would inherit it, and its end would never be seen. So the lab starts one at a time.
static STARTING: Mutex<()> = Mutex::new(());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that could panic is done under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Processes {
    /// Starts a process by `start`, which must make it the leader of a group of its own.
    pub(super) fn start<T>(
        self: &Arc<Self>,
        start: impl FnOnce() -> io::Result<(Child, T)>,
    ) -> io::Result<(Leader, T)> {
        let _one_at_a_time = lock(&STARTING);
        let mut state = lock(&self.state);
        if state.closed {
            return Err(io::Error::other("the lab has ended"));
        }
        let (child, with) = start()?;
        state.used = true;
        state.leaders.extend(child.id());
        Ok((Leader { group: Group { id: child.id(), of: Arc::clone(self) }, child }, with))
    }

    /// Ends every process that was started, at once; nothing can be started from then on.
    /// `folder` is the lab's: whatever has its home there and left its group is ended as well.
    pub(super) fn end_all(&self, folder: &Path) {
        let used = {
            let mut state = lock(&self.state);
            state.closed = true;
            state.leaders.iter().for_each(|id| system::signal_group(*id, "KILL"));
            state.used
        };
        if used {
            system::end_strays(folder);
        }
    }
}

/// A running process. Dropping it kills its group.
pub(super) struct Leader {
    group: Group,
    child: Child,
}

/// Names a process group, for signals.
#[derive(Clone)]
pub(super) struct Group {
    id: Option<u32>,
    of: Arc<Processes>,
}

impl Group {
    /// Sends a signal, named without `SIG`, to the group while its leader has not been waited for.
    /// Names that the system doesn't know are ignored, as sshd does.
    pub(super) fn signal(&self, name: &str) {
        let state = lock(&self.of.state);
        if let Some(id) = self.id.filter(|id| state.leaders.contains(id)) {
            system::signal_group(id, name);
        }
    }
}

impl Leader {
    pub(super) fn group(&self) -> Group {
        self.group.clone()
    }

    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the leader's end.
    pub(super) async fn wait(&mut self) -> io::Result<Exit> {
        let Self { group, child } = self;
        let mut wait = Box::pin(child.wait());
        std::future::poll_fn(|cx| {
            // The lock makes waiting and forgetting one step: no signal can go in between to a
            // process that has got the id since.
            let mut state = lock(&group.of.state);
            let done = wait.as_mut().poll(cx);
            if done.is_ready()
                && let Some(id) = group.id
            {
                state.leaders.remove(&id);
            }
            done
        })
        .await
        .map(exit)
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.group.signal("KILL");
        let mut state = lock(&self.group.of.state);
        if let Some(id) = self.group.id {
            state.leaders.remove(&id);
        }
    }
}

/// How a process ended, in SSH's words.
fn exit(status: ExitStatus) -> Exit {
    #[cfg(unix)]
    if let Some(number) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return Exit::Signal(system::signal_name(number));
    }
    // A status is 0 to 255 on Unix, any 32 bits on Windows.
    Exit::Status(status.code().unwrap_or(-1).cast_unsigned())
}

#[cfg(unix)]
mod system {
    use std::path::Path;

    use rustix::process::{Pid, Signal, kill_process, kill_process_group};

    use crate::event;

    /// The signals whose numbers differ between systems. USR2 is not in RFC 4254; OpenSSH has it.
    const OF_THIS_SYSTEM: [(&str, Signal); 2] = [("USR1", Signal::USR1), ("USR2", Signal::USR2)];

    fn signal(name: &str) -> Option<Signal> {
        let here = OF_THIS_SYSTEM.iter().find(|(known, _)| *known == name).map(|(_, signal)| *signal);
        here.or_else(|| Signal::from_named_raw(event::signal_number(name)?.into()))
    }

    /// The name of a signal; one without a name in SSH is named as OpenSSH's server does.
    pub(super) fn signal_name(number: i32) -> String {
        let here = OF_THIS_SYSTEM.iter().find(|(_, signal)| signal.as_raw() == number).map(|(name, _)| *name);
        let name = here.or_else(|| event::signal_name(u8::try_from(number).ok()?));
        name.unwrap_or("SIG@openssh.com").into()
    }

    fn pid(id: u32) -> Option<Pid> {
        i32::try_from(id).ok().and_then(Pid::from_raw)
    }

    pub(super) fn signal_group(id: u32, name: &str) {
        if let (Some(signal), Some(pid)) = (signal(name), pid(id)) {
            // It fails only when the group is gone.
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Rounds over all processes: one may fork while a round looks elsewhere.
    const ROUNDS: usize = 5;

    /// Ends what left its group (a daemon, a shell's background job). They are told by their
    /// environment: nobody else's home is in the lab's folder. Where there is no `/proc`, they stay.
    pub(super) fn end_strays(folder: &Path) {
        for _ in 0..ROUNDS {
            let strays = strays(folder);
            if strays.is_empty() {
                return;
            }
            for pid in strays {
                // It fails only when the process is gone.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }

    fn strays(folder: &Path) -> Vec<Pid> {
        let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
        let home = [b"HOME=", folder.as_os_str().as_encoded_bytes(), b"/"].concat();
        processes
            .flatten()
            .filter(|process| {
                // Empty for a process that ended and unreadable for other users'.
                let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
                environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(&home))
            })
            .filter_map(|process| process.file_name().to_str()?.parse().ok().and_then(pid))
            .collect()
    }
}

/// Where there are no process groups, dropping the child ends it (`kill_on_drop`).
#[cfg(not(unix))]
mod system {
    pub(super) fn signal_group(_id: u32, _name: &str) {}

    pub(super) fn end_strays(_folder: &std::path::Path) {}
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn every_signal_that_can_be_sent_is_named_in_the_end() {
        use std::os::unix::process::ExitStatusExt as _;

        for (name, number) in [("TERM", 15), ("HUP", 1), ("USR1", rustix::process::Signal::USR1.as_raw())] {
            assert_eq!(exit(ExitStatus::from_raw(number)), Exit::Signal(name.into()));
        }
        let bus = rustix::process::Signal::BUS.as_raw();
        assert_eq!(exit(ExitStatus::from_raw(bus)), Exit::Signal("SIG@openssh.com".into()));
    }
}
