//! `vmssh exec`: many instances, some of them in trouble; what is printed, and what is left clean.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/hanging.rs"]
mod hanging;
#[path = "support/pty.rs"]
mod pty;
#[path = "support/vmssh.rs"]
mod vmssh;

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use hanging::HangsIn;
use rustix::process::{Pid, Signal, kill_process};
use vmssh::Surroundings;

/// `instance → (outcome, stage, exit status)` of JSON lines.
fn outcomes(ran: &vmssh::Ran) -> BTreeMap<String, (String, Option<String>, Option<u64>)> {
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    ran.json_lines()
        .iter()
        .map(|line| {
            assert_eq!(line["schema"], "vmssh.exec/1");
            let instance = text(&line["instance"]).unwrap();
            (instance, (text(&line["outcome"]).unwrap(), text(&line["stage"]), line["exit_status"].as_u64()))
        })
        .collect()
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

#[test]
fn every_instance_has_its_own_outcome() {
    let here = Surroundings::new();
    let ran = here
        .run(&[
            "exec",
            "lab",
            "--lab-instances",
            "6",
            "--lab-fault",
            "1=drop",
            "--lab-fault",
            "2=refuse",
            "--lab-fault",
            "3=hostkey",
            "--lab-fault",
            "4=auth",
            "--connect-timeout",
            "3s",
            "-o",
            "jsonl",
            "--",
            "echo out; echo err >&2; test \"$VMSSH_LAB_INSTANCE\" = 0 || exit 7",
        ])
        .expect_status(1);
    let outcome =
        |name: &str, stage: Option<&str>, status| (name.to_owned(), stage.map(str::to_owned), status);
    let outcomes = outcomes(&ran);
    assert_eq!(outcomes["0"], outcome("ok", None, Some(0)));
    assert_eq!(outcomes["1"], outcome("error", Some("connect"), None));
    assert_eq!(outcomes["2"], outcome("error", Some("connect"), None));
    assert_eq!(outcomes["3"], outcome("error", Some("host-key"), None));
    assert_eq!(outcomes["4"], outcome("error", Some("auth"), None));
    assert_eq!(outcomes["5"], outcome("failed", None, Some(7)));
    assert_eq!(ran.json_lines().iter().find(|l| l["instance"] == "5").unwrap()["stderr"], "err\n");
    for line in ["1 of 6 ok", "1 exit 7 (5)", "connection refused (2)", "no answer within 3s (1)", "changed"]
    {
        assert!(ran.stderr.contains(line), "no {line:?} in\n{}", ran.stderr);
    }
}

#[test]
fn one_instance_gives_its_own_status() {
    let here = Surroundings::new();
    let exec =
        |fault: &str, command: &str| here.run(&["exec", "lab", "2", "--lab-fault", fault, "--", command]);
    assert_eq!(exec("0=refuse", "exit 7").status, 7);
    assert_eq!(exec("0=refuse", "kill -TERM $$").status, 128 + 15);
    let refused = exec("2=refuse", "true").expect_status(255);
    assert!(refused.stderr.contains("connection refused"), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint:"), "{}", refused.stderr);
}

#[test]
fn several_words_are_arguments_and_one_is_shell_text() {
    let here = Surroundings::new();
    let out = |words: &[&str]| {
        let mut line = vec!["exec", "lab", "0", "--"];
        line.extend(words);
        here.run(&line).expect_status(0).stdout
    };
    assert_eq!(out(&["printf", "%s|", "a b", "$HOME", "it's", "*"]), "0: a b|$HOME|it's|*|\n");
    assert_eq!(out(&["echo one; echo two | tr a-z A-Z"]), "0: one\n0: TWO\n");
}

/// One that hangs in each stage: each is given up in its time and named.
#[tokio::test(flavor = "multi_thread")]
async fn instances_that_hang_are_given_up_and_named() {
    let here = Surroundings::new();
    let stages = [
        (HangsIn::Banner, "banner"),
        (HangsIn::KeyExchange, "key-exchange"),
        (HangsIn::Auth, "auth"),
        (HangsIn::Channel, "channel"),
        (HangsIn::Command, "command"),
    ];
    let mut ports = serde_json::Map::new();
    for (id, (stage, _)) in stages.into_iter().enumerate() {
        ports.insert(format!("instance {id}"), format!("127.0.0.1:{}", hanging::start(stage).await).into());
    }
    let file = format!("me@@{}", here.file("ports.json", serde_json::Value::from(ports).to_string()));
    let key = here.home.path().join("id").to_str().unwrap().to_owned();
    let made =
        std::process::Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &key]).status();
    assert!(made.expect("ssh-keygen is needed: apt-get install openssh-client").success());
    let (begun, ran) = tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        let ran = here.run(&[
            "exec",
            &file,
            "-i",
            &key,
            "--host-keys",
            "accept-new",
            "--connect-timeout",
            "2s",
            "--timeout",
            "2s",
            "-o",
            "jsonl",
            "--",
            "true",
        ]);
        (begun, ran.expect_status(1))
    })
    .await
    .unwrap();
    // Two limits of 2 s one after the other, and a wide margin for a busy machine.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let outcomes = outcomes(&ran);
    for (id, (_, name)) in stages.into_iter().enumerate() {
        let outcome = &outcomes[&id.to_string()];
        assert_eq!(*outcome, ("error".into(), Some(name.into()), None), "{}", ran.stdout);
    }
}

#[test]
fn an_instance_that_prints_without_end_is_held_in_bounds() {
    let here = Surroundings::new();
    let mut child = here
        .command(&["exec", "lab", "0", "--timeout", "3s", "--max-output", "1", "-o", "jsonl", "--", "yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        text
    });
    // The kernel keeps the peak; it is there to be read as long as the process is.
    let mut peak_kb = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let peak =
            status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        peak_kb = peak_kb.max(peak.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(peak_kb > 0, "this test needs /proc");
    // `yes` prints gigabytes in three seconds; client and lab together stay far below that.
    assert!(peak_kb < 150_000, "{peak_kb} kB");
    let text = reader.join().unwrap();
    let record: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!((&record["outcome"], &record["stage"]), (&"error".into(), &"command".into()));
    assert_eq!(record["truncated"], true);
    assert_eq!(record["stdout"].as_str().unwrap().len(), 1 << 20);
}

#[test]
fn every_byte_arrives_from_all_instances_through_a_slow_pipe() {
    let here = Surroundings::new();
    let mut child = here
        .command(&["exec", "lab", "--lab-instances", "20", "-o", "lines", "--", "seq 1 18100"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut counts = BTreeMap::<String, u64>::new();
    // A small buffer makes the program wait for us again and again.
    for line in BufReader::with_capacity(512, child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let (instance, number) = line.split_once(": ").unwrap();
        let count = counts.entry(instance.to_owned()).or_default();
        *count += 1;
        assert_eq!(number, count.to_string(), "instance {instance}");
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(counts.len(), 20);
    assert!(counts.values().all(|count| *count == 18_100));
}

/// Remote escapes: shown on a terminal, passed on into a pipe.
#[test]
fn terminal_escapes_are_shown_and_not_obeyed() {
    let here = Surroundings::new();
    let payload = r"printf '\033]0;owned\007\033[2Jred\n'; printf '\033[31merr\n' >&2";
    for format in ["fold", "lines"] {
        let command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_vmssh"))
            .args(["exec", "lab", "0", "-o", format, "--color", "never", "--", payload])
            .env_clear()
            .env("HOME", here.home.path())
            .env("TERM", "xterm");
        let mut terminal = pty::Terminal::run(command);
        terminal.see("^[]0;owned^G^[[2Jred");
        assert!(terminal.end().success());
        let screen = terminal.screen();
        assert!(screen.contains("^[[31merr"), "{screen:?}");
        assert!(!screen.contains("\x1b]0;") && !screen.contains("\x1b[31m"), "{screen:?}");
    }
    let ran = here.run(&["exec", "lab", "0", "--", payload]).expect_status(0);
    assert_eq!(ran.stdout, "0: \x1b]0;owned\x07\x1b[2Jred\n");
}

#[test]
fn interrupts_go_in_steps_and_every_instance_has_an_outcome() {
    let here = Surroundings::new();
    let mut child = here
        .command(&["exec", "lab", "-P", "2", "-o", "lines", "--", "echo ready; exec sleep 600"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    for _ in 0..2 {
        assert!(stdout.next().unwrap().unwrap().ends_with(": ready"));
    }
    interrupt(&child);
    let said = stderr.next().unwrap().unwrap();
    assert!(said.contains("nothing new is started; 2 still running (0-1)"), "{said}");
    interrupt(&child);
    let rest: Vec<_> = stderr.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let rest = rest.join("\n");
    for line in ["0 of 4 ok", "2 command: interrupted (0-1)", "2 skipped: not started (2-3)"] {
        assert!(rest.contains(line), "no {line:?} in\n{rest}");
    }
}

/// A question must not keep the user from leaving.
#[test]
fn ctrl_c_at_a_question_ends_the_run() {
    let here = Surroundings::new();
    let known = here.home.path().join("known_hosts");
    let known = known.to_str().unwrap();
    let in_terminal = |words: &[&str]| {
        pty::Terminal::run(
            pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_vmssh"))
                .args(words)
                .env_clear()
                .env("HOME", here.home.path())
                .env("TERM", "xterm"),
        )
    };
    let mut ssh = in_terminal(&["ssh", "lab", "0", "--known-hosts", known, "--", "true"]);
    ssh.see("(yes/no/[fingerprint])");
    ssh.send("\x03");
    assert_eq!(ssh.end().code(), Some(130), "{}", ssh.screen());

    let mut exec = in_terminal(&["exec", "lab", "--known-hosts", known, "--", "true"]);
    exec.see("(yes/no/show/each)");
    exec.send("\x03");
    exec.see("Ctrl-C again ends them");
    exec.send("\x03");
    assert_eq!(exec.end().code(), Some(130), "{}", exec.screen());
    assert!(exec.screen().contains("4 connect: interrupted (0-3)"), "{}", exec.screen());

    let mut password = in_terminal(&["exec", "lab", "--ask-password", "--", "true"]);
    let before = password.modes();
    password.see("Password of azureuser: ");
    password.until_silent();
    password.send("\x03");
    assert_eq!(password.end().code(), Some(130), "{}", password.screen());
    assert_eq!(password.modes(), before, "the echo is back");
}

/// The window is closed, the connection to this machine is gone: an end, and no panic.
#[test]
fn a_terminal_that_goes_away_ends_the_run() {
    let here = Surroundings::new();
    for (words, seen) in [
        (&["exec", "lab", "--", "sleep 600"][..], "4 running"),
        (&["probe", "lab", "-n", "1h"][..], "answered"),
    ] {
        let (mut pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(pty_process::Size::new(24, 80)).unwrap();
        let mut child = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_vmssh"))
            .args(words)
            .env_clear()
            .env("HOME", here.home.path())
            .env("TERM", "xterm")
            .env("TMPDIR", here.home.path())
            .spawn(pts)
            .unwrap();
        let mut screen = Vec::new();
        while !String::from_utf8_lossy(&screen).contains(seen) {
            let mut piece = [0; 512];
            let count = pty.read(&mut piece).unwrap();
            screen.extend_from_slice(&piece[..count]);
        }
        drop(pty);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{words:?}");
        let left: Vec<_> = std::fs::read_dir(here.home.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn nohup_means_it() {
    let here = Surroundings::new();
    let go_on = here.home.path().join("go on");
    let command = format!("echo begun; until test -e '{}'; do sleep 0.05; done; echo done", go_on.display());
    let mut child = std::process::Command::new("nohup")
        .args([env!("CARGO_BIN_EXE_vmssh"), "exec", "lab", "0", "-o", "lines", "--", &command])
        .env_clear()
        .env("HOME", here.home.path())
        .env("PATH", std::env::var_os("PATH").unwrap())
        .current_dir(here.home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "0: begun");
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    std::fs::write(go_on, "").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "0: done");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_instance_without_an_address_has_an_outcome_too() {
    let here = Surroundings::new();
    let file = format!(
        "me@@{}",
        here.file("ports.json", r#"{"instance 0": "127.0.0.1:1", "instance 1": "None:50001"}"#)
    );
    let ran = here.run(&["exec", &file, "-o", "jsonl", "--", "true"]).expect_status(1);
    let outcomes = outcomes(&ran);
    assert_eq!(outcomes["1"], ("error".into(), Some("resolve".into()), None));
    let probe = here.run(&["probe", &file, "-n", "1", "-w", "0", "-o", "json"]).expect_status(1);
    let document: serde_json::Value = serde_json::from_str(&probe.stdout).unwrap();
    assert_eq!(document["endpoints"][1]["not_resolved"], 1);
    assert_eq!(document["endpoints"][1]["address"], serde_json::Value::Null);
}

#[test]
fn many_long_outputs_need_no_more_descriptors_than_connections() {
    let here = Surroundings::new();
    let program = env!("CARGO_BIN_EXE_vmssh");
    let ran = std::process::Command::new("sh")
        .args([
            "-c",
            "ulimit -n 300 && exec \"$@\"",
            "sh",
            program,
            "exec",
            "lab",
            "--lab-instances",
            "200",
            "-P",
            "10",
        ])
        .args(["-o", "fold", "--", "seq \"$VMSSH_LAB_INSTANCE\" 5000"])
        .env_clear()
        .env("HOME", here.home.path())
        .env("PATH", std::env::var_os("PATH").unwrap())
        .output()
        .unwrap();
    let ran = vmssh::Ran::from(ran).expect_status(0);
    assert_eq!(ran.stdout.matches("\n5000\n").count(), 200);
    assert!(ran.stderr.contains("200 of 200 ok"), "{}", ran.stderr);
}

#[test]
fn a_reader_that_has_had_enough_ends_the_run() {
    let here = Surroundings::new();
    let mut child = here
        .command(&["exec", "lab", "-o", "lines", "--", "yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 100]).unwrap();
    drop(stdout);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
}
