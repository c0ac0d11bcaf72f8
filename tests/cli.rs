//! The program as a user meets it: what it prints, and its exit status.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "support/vmssh.rs"]
mod vmssh;

use std::{io::Read, process::Stdio};

use vmssh::Surroundings;

const PORTS: &str = r#"{
  "instance 0": "20.71.10.4:50003",
  "instance 10": "20.71.10.4:50000",
  "instance 2": "20.71.10.4:50017"
}
"#;

const POOL: &str = r#"{
  "backendPort": 22,
  "frontendPortRangeEnd": 50119,
  "frontendPortRangeStart": 50000,
  "id": "/subscriptions/s/resourceGroups/prod-rg/providers/Microsoft.Network/loadBalancers/web-lb/inboundNatPools/ssh",
  "name": "ssh",
  "protocol": "Tcp"
}"#;

#[test]
fn a_listing_is_a_map_in_every_format() {
    let here = Surroundings::new();
    let file = format!("@{}", here.file("ports.json", PORTS));
    let table = here.run(&["map", &file]).expect_status(0);
    assert_eq!(
        table.stdout,
        "INSTANCE  NAME  FRONTEND          BACKEND  VIA       KNOWN\n\
         0         -     20.71.10.4:50003  -        nat-rule  listed\n\
         2         -     20.71.10.4:50017  -        nat-rule  listed\n\
         10        -     20.71.10.4:50000  -        nat-rule  listed\n"
    );
    assert_eq!(table.stderr, "");
    let json = here.run_with_input(&["map", "-", "-o", "json"], PORTS.as_bytes()).expect_status(0);
    let document = &json.json_lines()[0];
    assert_eq!(document["schema"], "vmssh.map/1");
    assert_eq!(document["entries"][1]["instance"], "2");
    assert_eq!(document["entries"][1]["port"], 50017);
    assert_eq!(document["entries"][1]["backend_port"], serde_json::Value::Null);
    let lines = here.run(&["map", &file, "0,10", "-o", "jsonl"]).expect_status(0).json_lines();
    assert_eq!(lines.iter().map(|l| l["instance"].as_str().unwrap()).collect::<Vec<_>>(), ["0", "10"]);
    let csv = here.run(&["map", &file, "!2", "-o", "csv"]).expect_status(0);
    assert_eq!(csv.stdout.lines().count(), 3);
}

#[test]
fn a_pool_gives_possible_ports_until_it_is_told_more() {
    let here = Surroundings::new();
    let file = format!("@{}", here.file("pool.json", POOL));
    let map = here.run(&["map", &file]).expect_status(0);
    assert!(
        map.stdout.contains("-         -     ?:50000-50119  22       nat-pool ssh  possible"),
        "{}",
        map.stdout
    );
    assert!(map.stderr.contains("az network lb show -g prod-rg -n web-lb"), "{}", map.stderr);
    let probe = here.run(&["probe", &file]).expect_status(3);
    assert!(probe.stderr.contains("--address"), "{}", probe.stderr);
    let ssh = here.run(&["ssh", &file, "3", "--address", "20.71.10.4", "--", "true"]).expect_status(3);
    assert!(ssh.stderr.contains("list-instance-connection-info"), "{}", ssh.stderr);
}

#[test]
fn what_is_wrong_is_said_with_a_hint_and_the_right_status() {
    let here = Surroundings::new();
    let ports = format!("@{}", here.file("ports.json", PORTS));
    let broken = format!("@{}", here.file("broken.json", "{\"instance 0\": \"20.1"));
    let empty = format!("@{}", here.file("empty.json", ""));
    let other =
        format!("@{}", here.file("vmss.json", r#"{"type": "Microsoft.Compute/virtualMachineScaleSets"}"#));
    let folder = format!("@{}", here.home.path().display());
    let key = here.file("public.pub", "ssh-ed25519 AAAA someone\n");
    for (arguments, status, parts) in [
        (vec!["map", &broken], 3, vec!["broken.json: the document is not JSON", "line 1", "-o json"]),
        (vec!["map", &empty], 3, vec!["empty.json: the document is empty", "did az fail?"]),
        (
            vec!["map", &other],
            3,
            vec!["Microsoft.Compute/virtualMachineScaleSets", "vmssh reads what these print"],
        ),
        (vec!["map", "@no-such.json"], 3, vec!["no-such.json: can't read the document", "No such file"]),
        (vec!["map", &folder], 3, vec!["broken.json: the document is not JSON"]),
        (vec!["map", "web"], 2, vec!["\"web\" is not a target"]),
        (vec!["map", "20.1.2.3:50010-50000"], 2, vec!["ends before it starts"]),
        (vec!["map", "20.1.2.3:0"], 2, vec!["a port is a number from 1 to 65535"]),
        (vec!["map", &ports, "--lab-fault", "1=drop"], 2, vec!["shape the target `lab`"]),
        (vec!["map", "20.1.2.3:50000", "--address", "20.1.2.4"], 2, vec!["`--address` goes with a document"]),
        (vec!["map", "lab", "--lab-fault", "9=drop"], 2, vec!["there is no instance 9", "hint:"]),
        (vec!["map", "lab", "--lab-fault", "1=fire"], 2, vec!["fire"]),
        (vec!["lab", "up", "--azure-fault", "drop"], 2, vec!["--azure"]),
        (vec!["lab", "up", "--azure", "--azure-fault", "fire"], 2, vec!["is not a fault of Azure"]),
        (
            vec!["map", &ports, "7"],
            2,
            vec!["there is no instance \"7\" on this map; there are 0,2,10", "vmssh map"],
        ),
        (vec!["probe", &ports, "0,,2"], 2, vec!["has an empty part"]),
        (vec!["probe", &ports, "-n", "0"], 2, vec!["neither a number of probes nor a time"]),
        (vec!["probe", &ports, "--timeout", "1d"], 2, vec!["is not a time"]),
        (vec!["exec", &ports], 2, vec!["COMMAND"]),
        (vec!["exec", &ports, "--", ""], 2, vec!["there is no command to run", "hint:"]),
        (vec!["exec", &ports, "-P", "0", "--", "true"], 2, vec!["--parallel"]),
        (vec!["exec", &ports, "-i", "no-such-key", "--", "true"], 2, vec!["no-such-key", "hint:"]),
        (vec!["exec", &ports, "-i", &key, "--", "true"], 2, vec!["public.pub", "hint:"]),
        (
            vec!["ssh", &ports, "--", "true"],
            2,
            vec!["a session is on one instance", "0,2,10", "vmssh ssh TARGET 0"],
        ),
    ] {
        let ran = here.run(&arguments);
        assert_eq!(ran.status, status, "{arguments:?}\n{}", ran.stderr);
        assert_eq!(ran.stdout, "", "{arguments:?}: errors go to stderr");
        for part in parts {
            assert!(ran.stderr.contains(part), "{arguments:?}: no {part:?} in\n{}", ran.stderr);
        }
    }
}

#[cfg(unix)]
#[test]
fn a_key_file_that_others_can_read_is_refused_for_safety() {
    use std::os::unix::fs::PermissionsExt;
    let here = Surroundings::new();
    let key = here.home.path().join("id");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .status()
        .expect("ssh-keygen is needed: apt-get install openssh-client");
    assert!(made.success());
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let key = key.to_str().unwrap();
    let ran = here.run(&["exec", "127.0.0.1:1", "-i", key, "--", "true"]).expect_status(4);
    assert!(ran.stderr.contains("chmod 600"), "{}", ran.stderr);
}

#[test]
fn texts_from_documents_do_not_steer_the_terminal() {
    let here = Surroundings::new();
    let text = r#"{"instance \u001b[31m0": "20.1.2.3:50000", "instance \u001b]0;x\u0007": "20.1.2.3:50000"}"#;
    let ran = here.run_with_input(&["map", "-"], text.as_bytes()).expect_status(0);
    assert!(ran.stderr.contains("^[[31m0"), "{}", ran.stderr);
    assert!(!ran.stderr.contains('\x1b') && !ran.stdout.contains('\x1b'), "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn help_and_version_are_results() {
    let here = Surroundings::new();
    assert!(here.run(&["--version"]).expect_status(0).stdout.starts_with("vmssh "));
    let help = here.run(&["--help"]).expect_status(0);
    for verb in ["map", "probe", "ssh", "exec", "ssh-config", "inventory", "lab", "demo"] {
        assert!(help.stdout.contains(verb));
        let own = here.run(&[verb, "--help"]).expect_status(0);
        assert!(own.stdout.contains("Usage: vmssh"), "{verb}");
    }
    assert!(here.run(&[]).expect_status(2).stderr.contains("Usage"));
}

#[test]
fn a_closed_pipe_is_an_end_and_not_an_error() {
    let here = Surroundings::new();
    let mut child = here
        .command(&["map", "127.0.0.1:10000-14999"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut first = [0; 8];
    stdout.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"INSTANCE");
    drop(stdout);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}
