//! Raw mode under a real terminal: whatever happens, it is left as it was found.
//!
//! Each test runs this same program again in a terminal of its own, as one of the `child_` tests.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and its child talks to a terminal"
)]

#[path = "support/pty.rs"]
mod pty;

use std::{env, io::Write as _};

use futures_util::StreamExt as _;
use pty_process::blocking::Command;
use vmssh::{event::TerminalSize, term};

use self::pty::Terminal;

/// The words of this program's command line that make it a child.
fn child(name: &str) -> [String; 4] {
    [name.into(), "--exact".into(), "--ignored".into(), "--nocapture".into()]
}

fn run(name: &str) -> (Terminal, String) {
    // The modes that a new terminal has; the child has not been started when these are read.
    let fresh = Terminal::run(Command::new("true")).modes();
    let terminal = Terminal::run(Command::new(env::current_exe().unwrap()).args(child(name)));
    (terminal, fresh)
}

fn say(text: &str) {
    print!("{text}\r\n");
    std::io::stdout().flush().unwrap();
}

#[test]
fn raw_mode_ends_with_its_guard() {
    let (mut terminal, before) = run("child_drops");
    terminal.see("made raw");
    assert!(terminal.is_raw());
    terminal.send("a");
    terminal.see("one guard left");
    assert_eq!(terminal.modes(), before);
    assert!(terminal.end().success());
    assert_eq!(terminal.modes(), before);
    assert!(!terminal.screen().contains("aa"), "nothing is echoed");
}

#[test]
#[ignore = "run by raw_mode_ends_with_its_guard"]
fn child_drops() {
    let mut keys = term::stdin().unwrap();
    let outer = term::RawMode::enter().unwrap();
    // Twice is as good as once: the modes to return to are not the raw ones.
    let inner = term::RawMode::enter().unwrap();
    say("made raw");
    assert_eq!(keys.blocking_recv().unwrap(), "a");
    drop(inner);
    say("one guard left");
    drop(outer);
}

#[test]
fn raw_mode_ends_before_a_panic_is_reported() {
    let (mut terminal, before) = run("child_panics");
    terminal.see("made raw");
    assert!(terminal.is_raw());
    terminal.send("a");
    // The report is printed to a terminal that breaks lines as it should.
    terminal.see("on purpose");
    assert_eq!(terminal.modes(), before);
    assert!(!terminal.end().success());
}

#[test]
#[ignore = "run by raw_mode_ends_before_a_panic_is_reported"]
fn child_panics() {
    let mut keys = term::stdin().unwrap();
    let raw = term::RawMode::enter().unwrap();
    say("made raw");
    assert_eq!(keys.blocking_recv().unwrap(), "a");
    // Even where the guard is not dropped.
    std::mem::forget(raw);
    panic!("on purpose");
}

#[test]
fn the_screen_is_left_before_a_panic_is_reported() {
    let (mut terminal, before) = run("child_panics_on_a_screen");
    let entered = terminal.see("a page");
    assert!(entered.ends_with("\x1b[?1049h\x1b[?25l\x1b[?2004ha page"), "{entered:?}");
    assert!(terminal.is_raw());
    terminal.send("a");
    // The cursor and the lines from before are back, and what is printed then goes there.
    let left = terminal.see("on purpose");
    assert!(left.contains("\x1b[?2004l\x1b[?25h\x1b[?1049l"), "{left:?}");
    assert_eq!(terminal.modes(), before);
    assert!(!terminal.end().success());
    assert!(!terminal.screen().contains("too late"), "{}", terminal.screen());
}

#[test]
#[ignore = "run by the_screen_is_left_before_a_panic_is_reported"]
fn child_panics_on_a_screen() {
    let mut keys = term::stdin().unwrap();
    let screen = term::Screen::enter().unwrap();
    screen.show(b"a page".to_vec()).unwrap();
    assert_eq!(keys.blocking_recv().unwrap(), "a");
    let result = std::panic::catch_unwind(|| panic!("on purpose"));
    // Whatever still works at the next page does no harm.
    screen.show(b"too late".to_vec()).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(screen.leave());
    std::panic::resume_unwind(result.unwrap_err());
}

#[test]
fn a_suspended_program_gives_the_terminal_back_and_takes_it_again() {
    let shell = Command::new("bash").args(["--norc", "--noprofile", "-i"]).env("PS1", "prompt> ");
    let mut terminal = Terminal::run(shell);
    let program = env::current_exe().unwrap();
    let line = shlex::try_join(
        [program.to_str().unwrap()].into_iter().chain(child("child_suspends").iter().map(String::as_str)),
    );
    terminal.see("prompt> ");
    terminal.send(&format!("{}\r", line.unwrap()));
    terminal.see("made raw");
    assert!(terminal.is_raw());
    terminal.send("z");
    terminal.see("Stopped");
    terminal.see("prompt> ");
    terminal.send("stty -a\r");
    let modes = terminal.see("prompt> ");
    assert!(modes.contains(" icanon") && modes.contains(" echo "), "{modes}");
    terminal.send("fg\r");
    terminal.see("back again");
    assert!(terminal.is_raw());
    terminal.send("q");
    terminal.see("prompt> ");
    terminal.send("exit\r");
    terminal.end();
}

#[test]
#[ignore = "run by a_suspended_program_gives_the_terminal_back_and_takes_it_again"]
fn child_suspends() {
    let mut keys = term::stdin().unwrap();
    let _raw = term::RawMode::enter().unwrap();
    say("made raw");
    assert_eq!(keys.blocking_recv().unwrap(), "z");
    term::suspend().unwrap();
    say("back again");
    assert_eq!(keys.blocking_recv().unwrap(), "q");
}

#[test]
fn a_window_change_is_told() {
    let (mut terminal, _) = run("child_is_resized");
    terminal.see("80 by 24");
    terminal.resize(132, 43);
    terminal.see("132 by 43");
    assert!(terminal.end().success());
}

#[test]
#[ignore = "run by a_window_change_is_told"]
fn child_is_resized() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        // Not yet told, so the first is the size as it is.
        let mut sizes = std::pin::pin!(term::resizes(TerminalSize::default()).unwrap());
        for _ in 0..2 {
            let TerminalSize { columns, rows, .. } = sizes.next().await.unwrap();
            say(&format!("{columns} by {rows}"));
        }
    });
}

#[test]
fn what_a_question_changes_is_put_back_when_it_is_given_up() {
    let (mut terminal, before) = run("child_asks");
    terminal.see("Password: ");
    assert_ne!(terminal.modes(), before);
    terminal.send("x\r");
    terminal.see("given up");
    assert_eq!(terminal.modes(), before);
    assert!(terminal.end().success());
}

#[test]
#[ignore = "run by what_a_question_changes_is_put_back_when_it_is_given_up"]
fn child_asks() {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

    term::remember();
    let terminal = std::fs::File::open("/dev/tty").unwrap();
    let mut modes = tcgetattr(&terminal).unwrap();
    modes.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Now, &modes).unwrap();
    say("Password: ");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    term::restore();
    say("given up");
}

#[test]
fn a_signal_that_ends_programs_is_told_instead() {
    for (signal, number) in [(rustix::process::Signal::TERM, 15), (rustix::process::Signal::HUP, 1)] {
        let (mut terminal, before) = run("child_is_terminated");
        terminal.see("made raw");
        terminal.signal(signal);
        terminal.see(&format!("signal {number}"));
        assert!(terminal.end().success());
        assert_eq!(terminal.modes(), before);
    }
}

#[test]
#[ignore = "run by a_signal_that_ends_programs_is_told_instead"]
fn child_is_terminated() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut termination = term::Termination::listen().unwrap();
        let _raw = term::RawMode::enter().unwrap();
        say("made raw");
        say(&format!("signal {}", termination.received().await));
    });
}
