//! A terminal with a program in it, as a person would have it: keys in, screen out.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::AsFd as _,
    process::{Child, ExitStatus},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use pty_process::{
    Size,
    blocking::{Command, Pts, Pty, open},
};
use rustix::{
    process::{Pid, Signal, kill_process},
    termios::tcgetattr,
};

/// Longer than anything takes that works, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);
/// How often to look whether a program has ended.
const LOOK: Duration = Duration::from_millis(5);

/// A program that prints without end and has not printed for so long can't.
const STILL: Duration = Duration::from_millis(200);

/// Characters of the screen that a failed test shows.
const SHOWN: usize = 2000;

/// Printed behind everything that the program printed.
const LAST: &str = "[the end of the test]";

/// What a program has printed so far.
#[derive(Default)]
struct Screen {
    printed: Mutex<Vec<u8>>,
    more: Condvar,
    frozen: Mutex<bool>,
    thawed: Condvar,
}

impl Screen {
    fn printed(&self) -> MutexGuard<'_, Vec<u8>> {
        self.printed.lock().unwrap()
    }

    fn freeze(&self, frozen: bool) {
        *self.frozen.lock().unwrap() = frozen;
        self.thawed.notify_all();
    }

    fn until_thawed(&self) {
        drop(self.thawed.wait_while(self.frozen.lock().unwrap(), |frozen| *frozen).unwrap());
    }
}

/// The terminal. Dropping it hangs up and ends the program.
pub(crate) struct Terminal {
    pty: Pty,
    /// Kept open, so that the terminal is there to be asked when the program has ended.
    pts: Pts,
    child: Child,
    screen: Arc<Screen>,
    seen: usize,
}

impl Terminal {
    /// Starts the program in a terminal of 80 by 24.
    pub(crate) fn run(mut command: Command) -> Self {
        let (pty, pts) = open().unwrap();
        pty.resize(Size::new(24, 80)).unwrap();
        let child = command.spawn_borrowed(&pts).unwrap();
        let screen = Arc::new(Screen::default());
        let mut source = File::from(pty.as_fd().try_clone_to_owned().unwrap());
        let sink = Arc::clone(&screen);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // An error is the hang-up: nobody has the terminal open any more.
            while let Ok(count @ 1..) = source.read(&mut buffer) {
                sink.printed().extend_from_slice(&buffer[..count]);
                sink.more.notify_all();
                sink.until_thawed();
            }
        });
        Self { pty, pts, child, screen, seen: 0 }
    }

    /// Types.
    pub(crate) fn send(&mut self, keys: &str) {
        self.pty.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the text appears behind what was seen before; returns what was printed up to it.
    #[track_caller]
    pub(crate) fn see(&mut self, text: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        let mut printed = self.screen.printed();
        loop {
            let new = String::from_utf8_lossy(&printed[self.seen..]).into_owned();
            if let Some(place) = find(&printed[self.seen..], text.as_bytes()) {
                self.seen += place + text.len();
                return new;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {text:?} in {new:?}");
            printed = self.screen.more.wait_timeout(printed, left).unwrap().0;
        }
    }

    /// All that was printed so far.
    pub(crate) fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.printed()).into_owned()
    }

    /// The last lines, for a message.
    fn end_of_screen(&self) -> String {
        let screen = self.screen();
        let start = screen.char_indices().rev().nth(SHOWN).map_or(0, |(place, _)| place);
        screen[start..].to_owned()
    }

    /// Changes the size, and tells the program as a window would.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.pty.resize(Size::new(rows, columns)).unwrap();
    }

    /// The terminal's modes, in a form to be compared and printed.
    pub(crate) fn modes(&self) -> String {
        format!("{:?}", tcgetattr(&self.pts).unwrap())
    }

    /// True where the terminal hands on every key as it is typed, unseen.
    pub(crate) fn is_raw(&self) -> bool {
        use rustix::termios::LocalModes;
        let modes = tcgetattr(&self.pts).unwrap().local_modes;
        !modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Waits until every key is handed on as it is typed.
    #[track_caller]
    pub(crate) fn until_raw(&self) {
        self.until("raw", Self::is_raw);
    }

    /// Waits until what is typed is not shown.
    #[track_caller]
    pub(crate) fn until_silent(&self) {
        use rustix::termios::LocalModes;
        self.until("silent", |terminal| {
            !tcgetattr(&terminal.pts).unwrap().local_modes.contains(LocalModes::ECHO)
        });
    }

    /// Nobody tells of a terminal's modes; one has to look.
    #[track_caller]
    fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !holds(self) {
            assert!(Instant::now() < deadline, "not {what}; the screen: {:?}", self.end_of_screen());
            thread::sleep(LOOK);
        }
    }

    /// Sends the program a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Lets the terminal stand still, as one does whose window is not drawn: it takes nothing more.
    /// Returns when the program can't print any more either.
    pub(crate) fn freeze(&self) {
        self.screen.freeze(true);
        let deadline = Instant::now() + LIMIT;
        let mut before = self.write_that_waits();
        loop {
            thread::sleep(STILL);
            let now = self.write_that_waits();
            if now.is_some() && now == before {
                return;
            }
            assert!(Instant::now() < deadline, "the program never waits for the terminal");
            before = now;
        }
    }

    /// The call of one of its threads that waits to write to standard output, as proc(5) has it, with all its
    /// arguments.
    fn write_that_waits(&self) -> Option<String> {
        let writes = format!("{} 0x1 ", libc::SYS_write);
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).ok()?;
        let calls =
            threads.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("syscall")).ok());
        calls.into_iter().find(|call| call.starts_with(&writes))
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.screen.freeze(false);
    }

    /// Sends a signal until the program has ended: two at once may count as one.
    #[track_caller]
    pub(crate) fn signal_until_ended(&mut self, signal: Signal) {
        let deadline = Instant::now() + LIMIT;
        while self.child.try_wait().unwrap().is_none() {
            self.signal(signal);
            assert!(Instant::now() < deadline, "it does not end; the screen: {:?}", self.end_of_screen());
            thread::sleep(LOOK);
        }
    }

    /// Waits until the program has ended, and all that it printed is on the screen.
    #[track_caller]
    pub(crate) fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.screen.freeze(false);
                File::from(self.pts.as_fd().try_clone_to_owned().unwrap())
                    .write_all(LAST.as_bytes())
                    .unwrap();
                self.see(LAST);
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end; the screen: {:?}", self.end_of_screen());
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.screen.freeze(false);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
