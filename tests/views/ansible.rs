//! Real Ansible with the inventory, as a file and as a script.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::*;

/// Ansible refuses locales that are not UTF-8. No connection outlives the run.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("LC_ALL", "C.UTF-8"),
    ("ANSIBLE_NOCOLOR", "1"),
    (
        "ANSIBLE_SSH_ARGS",
        "-o ControlMaster=no -o StrictHostKeyChecking=yes -o GlobalKnownHostsFile=/dev/null",
    ),
];

fn ansible(here: &Surroundings, program: &str, words: &[&str]) -> Ran {
    run(here, program, "ansible-core", words, &ENVIRONMENT)
}

/// What Ansible makes of an inventory.
fn list(here: &Surroundings, inventory: &str) -> Value {
    let ran = ansible(here, "ansible-inventory", &["-i", inventory, "--list"]).expect_status(0);
    assert!(!ran.stderr.contains("WARNING"), "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

/// The two lines that `--help` tells.
fn script(here: &Surroundings, arguments: &str) -> String {
    let program = env!("CARGO_BIN_EXE_vmssh");
    let path = here.file("vmss.sh", format!("#!/bin/sh\nexec '{program}' inventory {arguments} \"$@\"\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn ansible_reads_what_is_meant_from_the_file_and_from_the_script() {
    let here = Surroundings::new();
    let instances = [
        At::v4("0", "web_0", 50000).and_v6(50000),
        At::v4("3", "{{ lookup('pipe', 'touch owned') }}\n\"x\": [web", 50003),
        At::nowhere("5", "web_5"),
    ];
    let file = here.file("map.json", saved(&instances, "20.1.2.3", true));
    let target = format!("@{file}");
    let key = here.file("a key's 100%", "");
    let arguments = ["inventory", &target, "-i", &key];
    let yaml = here.file("vmss.yml", here.run(&arguments).expect_status(0).stdout);
    let from_file = list(&here, &yaml);
    let home = here.home.path().display();
    let id = documents::vm_id(0);
    assert_eq!(
        from_file["_meta"]["hostvars"]["web_0"],
        json!({
            "ansible_host": "20.1.2.3",
            "ansible_port": 50000,
            "ansible_user": "azureuser",
            "ansible_ssh_private_key_file": key.replace('%', "%%"),
            "ansible_ssh_common_args": format!(
                "-o HostKeyAlias={} -o 'UserKnownHostsFile=\"{home}/.local/share/vmssh/known_hosts\" \
                 \"{home}/.ssh/known_hosts\"' -o IdentitiesOnly=yes -o ServerAliveInterval=450",
                id.to_lowercase()
            ),
            "vmss_instance_id": "0",
            "vmss_vm_id": id,
            "vmss_power": "running",
            "vmss_scale_set": "web",
            "vmss_resource_group": "prod-rg",
        })
    );
    let evil = "___lookup__pipe____touch_owned_______x____web";
    assert_eq!(from_file["web"]["hosts"], json!(["web_0", evil]));
    let script = script(&here, &format!("'{target}' -i \"{key}\""));
    assert_eq!(list(&here, &script), from_file);
    // One host, by Ansible and by the script itself.
    let one = ansible(&here, "ansible-inventory", &["-i", &script, "--host", evil]).expect_status(0);
    let own = here.run(&[&arguments[..], &["--host", evil]].concat()).expect_status(0);
    assert_eq!(serde_json::from_str::<Value>(&one.stdout).unwrap(), own.json_lines()[0]);
    assert_eq!(here.run(&[&arguments[..], &["--host", "no"]].concat()).expect_status(0).stdout, "{}\n");
    assert!(!here.home.path().join("owned").exists());
}

#[test]
fn ansible_reaches_the_instances_and_trusts_the_filed_keys() {
    for with_vm_ids in [false, true] {
        let real = Real::start();
        let target = real.target(with_vm_ids);
        let here = &real.here;
        let yaml = here.run(&["inventory", &target, "-i", &real.key]).expect_status(0).stdout;
        let inventory = here.file("vmss.yml", yaml);
        let command = "echo {{ vmss_instance_id }} ${SSH_CONNECTION##* }";
        let raw = |inventory: &str| {
            ansible(here, "ansible", &["-i", inventory, "web", "-o", "-m", "raw", "-a", command])
        };
        let new = raw(&inventory);
        assert!(new.status != 0 && new.stdout.contains("Host key verification failed"), "{new:?}");
        real.file_keys(&target);
        let [first, second] = real.ports();
        let script = script(here, &format!("'{target}' -i '{}'", real.key));
        for inventory in [inventory, script] {
            let ran = raw(&inventory).expect_status(0);
            for (host, told) in [("web_0", format!("0 {first}")), ("web_3", format!("3 {second}"))] {
                let line = ran.stdout.lines().find(|line| line.starts_with(host)).unwrap();
                assert!(line.contains("CHANGED") && line.contains(&told), "{line}");
            }
        }
    }
}
