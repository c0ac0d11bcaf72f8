//! A real lab whose Azure answers: from the question to a command on its instances.

use vmssh::lab::{Lab, LabOptions};

use crate::vmssh_binary::{Ran, Surroundings};

#[test]
fn a_command_runs_on_what_azure_names_with_keys_filed_by_machine() {
    let here = Surroundings::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let options = LabOptions {
        instances: 3,
        faults: vec!["1=hostkey".parse().unwrap()],
        base_port: None,
        azure: Some(Vec::new()),
        state_dir: here.home.path().to_owned(),
    };
    let lab = runtime.block_on(Lab::start(options)).unwrap();
    let (key, known) = (lab.key_file().to_str().unwrap(), lab.known_hosts_file().to_str().unwrap());
    let azure = lab.azure().unwrap();
    // No user is given: it is the one that Azure made. No question is possible: the machines are known.
    let ran: Ran = here
        .command(&[
            "exec",
            "lab-rg/lab",
            "-i",
            key,
            "--known-hosts",
            known,
            "--host-keys",
            "strict",
            "-o",
            "jsonl",
            "--",
            "hostname",
        ])
        .env("AZURE_RESOURCE_MANAGER_ENDPOINT", azure.endpoint())
        .env("IDENTITY_ENDPOINT", azure.identity_endpoint())
        .env("IDENTITY_HEADER", azure.identity_header())
        .env("AZURE_SUBSCRIPTION_ID", azure.world().subscription())
        .output()
        .unwrap()
        .into();
    let ran = ran.expect_status(1);
    let mut lines = ran.json_lines();
    lines.sort_by_key(|line| line["instance"].as_str().unwrap().to_owned());
    let outcomes: Vec<_> =
        lines.iter().map(|line| (line["outcome"].as_str().unwrap(), line["stdout"].as_str())).collect();
    assert_eq!(outcomes[0], ("ok", Some("lab000000\n")));
    assert_eq!(outcomes[2], ("ok", Some("lab000002\n")));
    assert_eq!(lines[1]["stage"], "host-key", "{}", lines[1]);
    drop(lab);
}
