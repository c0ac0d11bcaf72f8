//! `vmssh probe --shard` and `vmssh merge` as a user meets them: shares of a run, and what is made of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "support/vmssh.rs"]
mod vmssh;

use std::{
    net::{Ipv4Addr, TcpListener},
    process::Command,
};

use serde_json::Value;
use vmssh::{Ran, Surroundings};

/// Instances that listen and, last, one that refuses; as the listing that `az` prints.
struct Ports {
    _listeners: Vec<TcpListener>,
    target: String,
}

fn ports(here: &Surroundings, listening: usize) -> Ports {
    let mut listeners: Vec<_> =
        (0..=listening).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
    let lines: Vec<_> = listeners
        .iter()
        .enumerate()
        .map(|(id, listener)| format!("\"instance {id}\": \"{}\"", listener.local_addr().unwrap()))
        .collect();
    // Bound, so that nobody else gets the port, and not listening.
    let refusing = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let last = listeners.pop().unwrap();
    let address = last.local_addr().unwrap();
    drop(last);
    refusing.bind(&address.into()).unwrap();
    // A descriptor is a descriptor: it is kept, and never accepted from.
    listeners.push(refusing.into());
    let target = format!("@{}", here.file("ports.json", format!("{{{}}}", lines.join(","))));
    Ports { _listeners: listeners, target }
}

fn probe(here: &Surroundings, target: &str, more: &[&str]) -> Command {
    let mut command = here.command(&["probe", target, "-n", "3", "-w", "0", "-i", "0", "-o", "json"]);
    command.args(more);
    command
}

fn ran(mut command: Command) -> Ran {
    command.output().unwrap().into()
}

fn ids(document: &Value) -> Vec<String> {
    let endpoints = document["endpoints"].as_array().unwrap();
    endpoints.iter().map(|row| row["instance"].as_str().unwrap().to_string()).collect()
}

#[test]
fn shards_merged_are_the_run_that_nobody_made() {
    let here = Surroundings::new();
    let ports = ports(&here, 6);
    let mut logs = String::from("warning: a line of something else\n");
    let mut seen = Vec::new();
    for index in 0..3 {
        // As a pod of an Indexed Job.
        let mut command = probe(&here, &ports.target, &["--place", "pods"]);
        command.env("JOB_COMPLETION_INDEX", index.to_string()).env("VMSSH_SHARDS", "3");
        let ran = ran(command).expect_status(i32::from(index == 0));
        let document = &ran.json_lines()[0];
        assert_eq!(document["shard"], format!("{index}/3"));
        seen.push(ids(document));
        logs += &ran.stdout;
    }
    assert_eq!(seen, [&["0", "3", "6"][..], &["1", "4"], &["2", "5"]]);

    let table = here.run_with_input(&["merge", "-"], logs.as_bytes()).expect_status(1);
    assert_eq!(table.stderr, "note: standard input: skipped 1 line that is no JSON\n");
    let lines: Vec<_> = table.stdout.lines().collect();
    assert_eq!(lines.len(), 9, "{}", table.stdout);
    assert!(lines[0].starts_with("INSTANCE  ENDPOINT "), "{}", table.stdout);
    assert!(lines[8].starts_with("6 of 7 endpoints answered; refused: 6 ("), "{}", table.stdout);

    // What merge writes can be merged, also with what it was made of: runs given twice count once.
    let json = here.run_with_input(&["merge", "-o", "json", "-"], logs.as_bytes()).expect_status(1);
    let document = &json.json_lines()[0];
    assert_eq!((&document["schema"], ids(&document["places"][0]).len()), (&"vmssh.merge/1".into(), 7));
    let (first, second) = (here.file("a.json", &logs), here.file("b.json", &logs));
    let twice = here.run(&["merge", &first, &second, "-o", "json"]).expect_status(1);
    assert_eq!(twice.stdout, json.stdout);
    assert!(twice.stderr.contains("3 runs were given more than once"), "{}", twice.stderr);
    let merged = here.file("m.json", &json.stdout);
    assert_eq!(here.run(&["merge", &merged, "-o", "json"]).expect_status(1).stdout, json.stdout);
}

#[test]
fn places_are_compared() {
    let here = Surroundings::new();
    let ports = ports(&here, 1);
    let mut west: Value =
        ran(probe(&here, &ports.target, &["--place", "west europe"])).expect_status(1).json_lines()[0]
            .clone();
    assert_eq!((&west["place"], &west["target"]), (&"west_europe".into(), &ports.target.as_str().into()));
    // What the other place would see from behind a firewall.
    let laptop = here.file("laptop.json", west.to_string().replace("west_europe", "laptop"));
    let silent = serde_json::json!({"timed_out": 3, "unanswered_syns": 6, "outages": {"count": 1}});
    west["endpoints"][0]["exact"] = silent;
    let west = here.file("west.json", serde_json::to_string_pretty(&west).unwrap());
    let table = here.run(&["merge", &laptop, &west]).expect_status(1).stdout;
    assert!(table.starts_with("INSTANCE  ENDPOINT "), "{table}");
    for said in [
        "P50@laptop  LOSS@laptop  STATE@laptop",
        "\n0: answers from laptop, silent from west_europe: a firewall or security group tells them apart\n",
        "\n1: refused from every place: nothing listens there",
        "\nlaptop: 1 of 2 endpoints answered",
        "\nwest_europe: 0 of 2 endpoints answered",
    ] {
        assert!(table.contains(said), "{said}\n{table}");
    }
    let csv = here.run(&["merge", &laptop, &west, "-o", "csv"]).expect_status(1).stdout;
    assert_eq!(csv.lines().filter(|line| line.starts_with("laptop,")).count(), 2);
}

#[test]
fn an_empty_shard_is_fine_and_a_wrong_one_is_not() {
    let here = Surroundings::new();
    let ports = ports(&here, 1);
    let empty = ran(probe(&here, &ports.target, &["--shard", "7/8"])).expect_status(0);
    assert_eq!(empty.stderr, "nothing to probe: shard 7/8 of 2 endpoints is empty\n");
    assert_eq!(ids(&empty.json_lines()[0]), [""; 0]);
    let table = here.run_with_input(&["merge", "-"], empty.stdout.as_bytes()).expect_status(0);
    assert_eq!(table.stdout.lines().last(), Some("there was nothing to probe"));
    for wrong in ["3/3", "0/0", "x"] {
        let ran = ran(probe(&here, &ports.target, &["--shard", wrong])).expect_status(2);
        assert!(ran.stderr.contains("write I/N with I from 0 to N - 1"), "{}", ran.stderr);
    }
    for (index, shards, said) in [
        (None, "3", "VMSSH_SHARDS is set and JOB_COMPLETION_INDEX is not"),
        (Some("3"), "3", "\"3/3\" is not a shard"),
        (Some("0"), "many", "\"0/many\" is not a shard"),
    ] {
        let mut command = probe(&here, &ports.target, &[]);
        command.env("VMSSH_SHARDS", shards);
        if let Some(index) = index {
            command.env("JOB_COMPLETION_INDEX", index);
        }
        let ran = ran(command).expect_status(2);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
    // The argument goes before, and an index alone is some other Job's.
    let mut command = probe(&here, &ports.target, &["--shard", "0/2"]);
    command.env("VMSSH_SHARDS", "9");
    assert_eq!(ids(&ran(command).expect_status(0).json_lines()[0]), ["0"]);
    let mut command = probe(&here, &ports.target, &[]);
    command.env("JOB_COMPLETION_INDEX", "4").env("VMSSH_SHARDS", "").env("VMSSH_PLACE", "");
    let document = ran(command).expect_status(1).json_lines()[0].clone();
    assert_eq!((ids(&document).len(), &document["shard"]), (2, &Value::Null));
    // The machine's own name, whatever it is.
    assert!(!document["place"].as_str().unwrap().is_empty());
}

#[test]
fn what_can_not_be_merged_names_the_file_and_the_field() {
    let here = Surroundings::new();
    let missing = here.run(&["merge", "none.json"]).expect_status(3);
    assert!(missing.stderr.starts_with("error: can't read none.json\n  caused by: "), "{}", missing.stderr);
    let cut = here.file("cut.json", "ok\n{\"schema\":\"vmssh.probe/1\",\"endpoi");
    let ran = here.run(&["merge", &cut]).expect_status(3);
    assert!(ran.stderr.contains("cut.json: line 2: the document is cut off"), "{}", ran.stderr);
    let wrong = r#"{"schema":"vmssh.probe/1","endpoints":[{"port":22,"exact":{"answered":-1}}]}"#;
    let ran = here.run(&["merge", &here.file("wrong.json", wrong)]).expect_status(3);
    let said = "wrong.json: line 1: endpoints[0].exact.answered: invalid value: integer `-1`, expected u64";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    let map = here.file("map.json", "{\"schema\":\"vmssh.map/1\"}");
    let ran = here.run(&["merge", &map]).expect_status(3);
    assert!(ran.stderr.contains("map.json: skipped 1 of vmssh.map/1\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("error: there is no run to merge"), "{}", ran.stderr);
    let utf16 = here.file("utf16.json", [0xff, 0xfe, b'{', 0]);
    assert!(here.run(&["merge", &utf16]).expect_status(3).stderr.contains("it is UTF-16"));
    here.run(&["merge"]).expect_status(2);
    // What is made of what could not be resolved has the status of such a run.
    let unresolved = r#"{"schema":"vmssh.probe/1","endpoints":[{"port":22,"exact":{"not_resolved":1}}]}"#;
    here.run_with_input(&["merge", "-"], unresolved.as_bytes()).expect_status(3);
}
