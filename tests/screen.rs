//! The live screen of `vmssh probe` as a person meets it: the whole program in a terminal, its target the lab.
//!
//! What the terminal shows is read by an emulator of one, not from the bytes. Whatever happens, the terminal is
//! afterwards what it was before.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/pty.rs"]
mod pty;
#[path = "support/vmssh.rs"]
mod vmssh;

use std::{
    fs::File,
    net::TcpListener,
    process::{ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use pty_process::blocking::Command;
use rustix::process::Signal;

use self::{pty::Terminal, vmssh::Surroundings};

/// Longer than anything takes that works, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);
/// How often to look at the screen.
const LOOK: Duration = Duration::from_millis(20);

/// A lab with an instance that is silent and one that refuses, probed for as long as a test takes.
const LAB: &[&str] = &[
    "lab",
    "--lab-instances",
    "6",
    "--lab-fault",
    "3=drop",
    "--lab-fault",
    "4=refuse",
    "--timeout",
    "200ms",
    "-i",
    "50ms",
    "-n",
    "1h",
];

/// The program in a terminal, and an emulator that has been told all that it printed so far.
struct Screen {
    terminal: Terminal,
    emulator: vt100::Parser,
    told: usize,
    modes_before: String,
    _surroundings: Surroundings,
}

impl Screen {
    fn watch(arguments: &[&str]) -> Self {
        Self::start(&[&["probe", "--watch"], arguments].concat(), &[])
    }

    fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let surroundings = Surroundings::new();
        let modes_before = Terminal::run(Command::new("true")).modes();
        let command = Command::new(env!("CARGO_BIN_EXE_vmssh"))
            .args(arguments)
            .env_clear()
            .env("HOME", surroundings.home.path())
            .env("TERM", "xterm-256color")
            .envs(environment.iter().copied());
        let terminal = Terminal::run(command);
        let emulator = vt100::Parser::new(24, 80, 0);
        Self { terminal, emulator, told: 0, modes_before, _surroundings: surroundings }
    }

    /// What is to be seen now.
    fn look(&mut self) -> &vt100::Screen {
        let printed = self.terminal.screen();
        self.emulator.process(&printed.as_bytes()[self.told..]);
        self.told = printed.len();
        self.emulator.screen()
    }

    fn lines(&mut self) -> Vec<String> {
        let columns = self.look().size().1;
        self.emulator.screen().rows(0, columns).map(|line| line.trim_end().to_owned()).collect()
    }

    /// Waits until what is seen is so.
    #[track_caller]
    fn until(&mut self, what: &str, holds: impl Fn(&[String]) -> bool) -> Vec<String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let lines = self.lines();
            if holds(&lines) {
                return lines;
            }
            assert!(Instant::now() < deadline, "not {what}:\n{}", lines.join("\n"));
            thread::sleep(LOOK);
        }
    }

    /// Waits until a line has the text.
    #[track_caller]
    fn see(&mut self, text: &str) -> Vec<String> {
        self.until(text, |lines| lines.iter().any(|line| line.contains(text)))
    }

    fn press(&mut self, keys: &str) {
        self.terminal.send(keys);
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        self.look();
        self.emulator.screen_mut().set_size(rows, columns);
        self.terminal.resize(columns, rows);
    }

    /// Ends, with the terminal as it was, the cursor to be seen and the lines before the screen in their place.
    #[track_caller]
    fn ends(&mut self) -> (ExitStatus, String) {
        let status = self.terminal.end();
        let screen = self.look();
        assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste());
        let contents = screen.contents();
        assert_eq!(self.terminal.modes(), self.modes_before, "{contents}");
        (status, contents)
    }
}

/// The first words of the rows of the list.
fn rows(lines: &[String]) -> String {
    let start = lines.iter().position(|line| line.starts_with("INSTANCE"));
    let rows = lines.iter().skip(start.map_or(lines.len(), |start| start + 1));
    rows.filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

#[test]
fn keys_sort_filter_hold_and_show_all_about_one() {
    let mut screen = Screen::watch(LAB);
    let lines = screen.see("4 of 6 answer  2 bad");
    assert!(lines[0].starts_with("vmssh probe lab  0:"), "{lines:?}");
    assert_eq!(rows(&lines), "012345");
    assert!(screen.look().alternate_screen() && screen.look().hide_cursor());
    assert!(screen.terminal.is_raw());

    screen.press("f");
    screen.until("only the bad ones", |lines| rows(lines) == "34");
    screen.press("f");
    screen.until("all of them", |lines| rows(lines) == "012345");
    screen.press("S");
    screen.until("turned", |lines| rows(lines) == "543210");
    screen.press("s");
    screen.see("s sort: state");
    screen.until("the worst first", |lines| rows(lines).starts_with("34"));

    screen.press("j\x1b[B\x1b[A\r");
    screen.see("instance 4  lab_4  127.0.0.1:");
    screen.see("down since");
    screen.press("k");
    screen.see("instance 3  lab_3");
    screen.see(" timed out");
    screen.press("\x1b");
    screen.see("s sort: state");
    screen.press("G\r");
    // Times as bars, and whose clock it was.
    screen.see("clock       ");
    screen.see("█");
    screen.press("\r?");
    screen.see("KEYS");
    screen.press("?");
    screen.see("s sort: state");

    screen.press("p");
    let held = screen.see("HELD: the probes go on");
    screen.press(" ");
    screen.until("going on", |lines| lines[0] != held[0] && !lines[23].contains("HELD"));

    screen.press("q");
    let (status, contents) = screen.ends();
    assert_eq!(status.code(), Some(1), "{contents}");
    assert!(contents.contains("4 of 6 endpoints answered"), "{contents}");
    assert!(!contents.contains("q quit"), "{contents}");
}

#[test]
fn a_new_size_is_a_new_page() {
    let mut screen = Screen::watch(LAB);
    screen.see("RECENT");
    screen.resize(160, 30);
    screen.see("NOTE");
    screen.see("127.0.0.1:");
    screen.resize(40, 10);
    screen.until("narrow", |lines| lines.iter().any(|line| line == "INSTANCE  STATE         P50 ms  LOSS"));
    screen.resize(3, 1);
    screen.until("tiny", |lines| lines == ["la…"]);
    screen.resize(80, 24);
    screen.see("RECENT");
    screen.press("q");
    screen.ends();
}

#[test]
fn signals_and_ctrl_c_leave_the_terminal_as_it_was() {
    for signal in [Some(Signal::TERM), Some(Signal::HUP), Some(Signal::INT), None] {
        let mut screen = Screen::watch(LAB);
        screen.see("4 of 6 answer");
        match signal {
            Some(signal) => screen.terminal.signal(signal),
            None => screen.press("\x03"),
        }
        let (status, contents) = screen.ends();
        assert_eq!(status.code(), Some(130), "{signal:?}: {contents}");
        assert!(contents.contains("4 of 6 endpoints answered"), "{signal:?}: {contents}");
    }
}

#[test]
fn a_finished_run_stays_until_the_person_leaves() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let mut screen = Screen::watch(&[&target, "-n", "3", "-i", "10ms"]);
    let lines = screen.see("THE RUN IS OVER: q leaves and prints the table");
    assert!(lines[0].contains("1 of 1 answer  0 bad  3 sent"), "{lines:?}");
    screen.press("s");
    // It lives on.
    screen.press("?");
    screen.see("KEYS");
    screen.press("\x1b");
    screen.see("THE RUN IS OVER");
    screen.press("\x1b");
    let (status, contents) = screen.ends();
    assert_eq!(status.code(), Some(0), "{contents}");
    assert!(contents.contains("answered       3/3"), "{contents}");
    assert!(contents.contains("the endpoint answered"), "{contents}");
}

#[test]
fn what_is_pasted_is_no_key_and_noise_does_no_harm() {
    let mut screen = Screen::watch(LAB);
    screen.see("4 of 6 answer");
    screen.press("\x1b[200~quit now: q\x1b\x03");
    // Ctrl-C would have been one, so this run has ended.
    let (status, contents) = screen.ends();
    assert_eq!(status.code(), Some(130), "{contents}");

    let mut screen = Screen::watch(LAB);
    screen.see("4 of 6 answer");
    screen.press("\x1b[200~quit now: q\x1b[201~\x1b[<0;0;0M\x1b[0;0R\x1b[99999999999~\u{9b}äöü日本語\x7f\0");
    screen.press("f");
    screen.until("only the bad ones", |lines| rows(lines) == "34");
    screen.press("q");
    assert_eq!(screen.ends().0.code(), Some(1));
}

#[test]
fn a_terminal_that_stands_still_holds_up_nothing() {
    let mut screen = Screen::watch(LAB);
    screen.see("4 of 6 answer");
    screen.terminal.freeze();
    screen.terminal.signal(Signal::TERM);
    screen.terminal.thaw();
    let (status, contents) = screen.ends();
    assert_eq!(status.code(), Some(130), "{contents}");
    assert!(contents.contains("4 of 6 endpoints answered"), "{contents}");

    // Not even if it never moves again.
    let mut screen = Screen::watch(LAB);
    screen.see("4 of 6 answer");
    screen.terminal.freeze();
    screen.terminal.signal_until_ended(Signal::TERM);
    assert_eq!(screen.terminal.end().code(), Some(130));
}

#[test]
fn a_suspended_screen_gives_the_terminal_back_and_takes_it_again() {
    let surroundings = Surroundings::new();
    let shell = Command::new("bash")
        .args(["--norc", "--noprofile", "-i"])
        .env_clear()
        .env("HOME", surroundings.home.path())
        .env("TERM", "xterm-256color")
        .env("PS1", "prompt> ");
    let mut terminal = Terminal::run(shell);
    terminal.see("prompt> ");
    let program = env!("CARGO_BIN_EXE_vmssh");
    let line = shlex::try_join([&[program, "probe", "--watch"], LAB].concat()).unwrap();
    terminal.send(&format!("{line}\r"));
    terminal.see("\x1b[?1049h");
    terminal.see("RECENT");
    terminal.send("\x1a");
    terminal.see("\x1b[?1049l");
    terminal.see("Stopped");
    terminal.see("prompt> ");
    terminal.send("fg\r");
    terminal.see("\x1b[?1049h");
    terminal.see("RECENT");
    terminal.send("q");
    terminal.see("\x1b[?1049l");
    terminal.see("4 of 6 endpoints answered");
    terminal.see("prompt> ");
    terminal.send("exit\r");
    terminal.end();
}

#[test]
fn colours_are_as_asked_for() {
    let run = ["probe", "--watch", "lab", "-n", "3", "-i", "10ms", "--color"];
    for (when, environment, colored) in [
        ("auto", &[][..], true),
        ("auto", &[("NO_COLOR", "1")][..], false),
        ("always", &[("NO_COLOR", "1")][..], true),
        ("never", &[][..], false),
    ] {
        let mut screen = Screen::start(&[&run[..], &[when]].concat(), environment);
        screen.see("THE RUN IS OVER");
        let shown = screen.look();
        let cells = (0..24).flat_map(|y| (0..80).map(move |x| (y, x)));
        let any = cells.filter_map(|(y, x)| shown.cell(y, x)).any(|c| c.fgcolor() != vt100::Color::Default);
        assert_eq!(any, colored, "{when} {environment:?}");
        screen.press("q");
        screen.ends();
    }
}

#[test]
fn without_a_terminal_to_look_at_it_is_wrong_usage() {
    let surroundings = Surroundings::new();
    let ran = surroundings.run(&["probe", "lab", "--watch"]).expect_status(2);
    assert!(ran.stderr.contains("`--watch` needs a terminal"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");

    // Standard output into a file, and all else a terminal.
    let out = surroundings.home.path().join("out");
    let command = Command::new(env!("CARGO_BIN_EXE_vmssh"))
        .args(["probe", "lab", "--watch"])
        .env_clear()
        .env("HOME", surroundings.home.path())
        .stdout(Stdio::from(File::create(&out).unwrap()));
    let mut terminal = Terminal::run(command);
    terminal.see("`--watch` needs a terminal");
    assert_eq!(terminal.end().code(), Some(2));
    assert_eq!(std::fs::read_to_string(out).unwrap(), "");

    let mut terminal = Terminal::run(
        Command::new(env!("CARGO_BIN_EXE_vmssh")).args(["probe", "lab", "--watch", "-o", "json"]),
    );
    terminal.see("`--output` asks for something else");
    assert_eq!(terminal.end().code(), Some(2));
}
