//! Real `ssh` with the configuration: what it reads, and whom it trusts.

use super::*;

/// What `ssh -G` says of a host, by keyword.
fn read(here: &Surroundings, config: &str, host: &str) -> BTreeMap<String, String> {
    let ran = run(here, "ssh", "openssh-client", &["-G", "-F", config, host], &[]).expect_status(0);
    ran.stdout.lines().filter_map(|line| line.split_once(' ')).map(|(k, v)| (k.into(), v.into())).collect()
}

/// Host patterns of a configuration, a block a line.
fn blocks(config: &str) -> Vec<Vec<&str>> {
    config.lines().filter_map(|line| line.strip_prefix("Host ")).map(|l| l.split(' ').collect()).collect()
}

#[test]
fn ssh_reads_what_is_meant() {
    let here = Surroundings::new();
    let instances = [
        At::v4("0", "web_0", 50000).and_v6(50000),
        At::v4("3", "x\nHost *\n  ProxyCommand touch owned", 22),
        At::v4("7", "github.com", 50007),
    ];
    let target = format!("@{}", here.file("map.json", saved(&instances, "20.1.2.3", false)));
    let folder = here.home.path().join("it's 100% #1");
    std::fs::create_dir(&folder).unwrap();
    let (key, known) = (folder.join("key"), folder.join("known hosts"));
    let [key, known] = [&key, &known].map(|path| path.to_str().unwrap());
    keygen(&["-t", "ed25519", "-N", "", "-f", key]);
    let ran = here.run(&["ssh-config", &target, "-i", key, "--known-hosts", known]).expect_status(0);
    let config = here.file("config", &ran.stdout);
    assert_eq!(
        blocks(&ran.stdout),
        [
            vec!["web_0", "web-0"],
            vec!["web_0-2", "web-0-2"],
            vec!["x_Host_____ProxyCommand_touch_owned", "web-3"],
            vec!["github_com", "web-7"],
        ]
    );
    for (host, address, port, alias, keepalive) in [
        ("web_0", "20.1.2.3", "50000", "[20.1.2.3]:50000", "450"),
        ("web-0", "20.1.2.3", "50000", "[20.1.2.3]:50000", "450"),
        ("web-0-2", documents::IPV6, "50000", "[2603:1030::1a]:50000", "120"),
        ("web-3", "20.1.2.3", "22", "20.1.2.3", "450"),
        ("github_com", "20.1.2.3", "50007", "[20.1.2.3]:50007", "450"),
    ] {
        let read = read(&here, &config, host);
        for (keyword, value) in [
            ("hostname", address),
            ("port", port),
            ("user", "azureuser"),
            ("hostkeyalias", alias),
            ("serveraliveinterval", keepalive),
            ("userknownhostsfile", known),
            // Shown as written: expanded when it is opened.
            ("identityfile", &key.replace('%', "%%")),
            ("identitiesonly", "yes"),
        ] {
            assert_eq!(read.get(keyword).map(String::as_str), Some(value), "{host} {keyword}");
        }
        assert_eq!(read.get("proxycommand"), None);
    }
    // Everybody else is as before.
    assert_eq!(read(&here, &config, "github.com")["hostname"], "github.com");
}

#[test]
fn the_files_are_those_that_vmssh_reads() {
    let here = Surroundings::new();
    let ran = here.run(&["ssh-config", "me@20.1.2.3:50000-50001", "--prefix", "prod-"]).expect_status(0);
    let config = here.file("config", &ran.stdout);
    let read = read(&here, &config, "prod-instance-1");
    let home = here.home.path().display();
    let files = format!("{home}/.local/share/vmssh/known_hosts {home}/.ssh/known_hosts");
    assert_eq!((&read["userknownhostsfile"], &read["user"]), (&files, &"me".to_owned()));
    assert_eq!(read["identitiesonly"], "no");
    let given = here.command(&["ssh-config", "20.1.2.3:50000"]).env("VMSSH_KNOWN_HOSTS", "own").output();
    assert!(Ran::from(given.unwrap()).stdout.contains(&format!("UserKnownHostsFile \"{home}/own\"\n")));
}

/// Runs a command by real ssh, which asks nothing and trusts nobody new unless told to.
fn ssh(real: &Real, config: &str, host: &str, policy: &str) -> Ran {
    let policy = format!("StrictHostKeyChecking={policy}");
    let words = [
        "-F",
        config,
        "-o",
        &policy,
        "-o",
        "BatchMode=yes",
        "-o",
        "GlobalKnownHostsFile=/dev/null",
        host,
        "echo ${SSH_CONNECTION##* }",
    ];
    run(&real.here, "ssh", "openssh-client", &words, &[])
}

fn config(real: &Real, target: &str) -> String {
    let ran = real.here.run(&["ssh-config", target, "-i", &real.key]).expect_status(0);
    real.here.file("config", ran.stdout)
}

#[test]
fn ssh_trusts_the_keys_that_vmssh_has_filed() {
    for with_vm_ids in [false, true] {
        let real = Real::start();
        let target = real.target(with_vm_ids);
        let config = config(&real, &target);
        let new = ssh(&real, &config, "web_0", "yes").expect_status(255);
        assert!(new.stderr.contains("Host key verification failed"), "{}", new.stderr);
        real.file_keys(&target);
        let [first, second] = real.ports().map(|port| format!("{port}\n"));
        assert_eq!(ssh(&real, &config, "web_0", "yes").expect_status(0).stdout, first);
        assert_eq!(ssh(&real, &config, "web-3", "yes").expect_status(0).stdout, second);
    }
}

#[test]
fn vmssh_trusts_the_keys_that_ssh_has_filed() {
    for with_vm_ids in [false, true] {
        let real = Real::start();
        let target = real.target(with_vm_ids);
        // ssh makes the file, not its folder.
        std::fs::create_dir_all(real.here.home.path().join(".local/share/vmssh")).unwrap();
        let config = config(&real, &target);
        for host in ["web_0", "web_3"] {
            ssh(&real, &config, host, "accept-new").expect_status(0);
        }
        let strict = ["exec", &target, "0,3", "-i", &real.key, "--host-keys", "strict", "--", "true"];
        real.here.run(&strict).expect_status(0);
    }
}

#[test]
fn a_port_that_has_passed_on_does_not_take_the_key_along() {
    let real = Real::start();
    let target = real.target(true);
    real.file_keys(&target);
    // Each is now where the other was.
    let [first, second] = real.ports();
    let instances = [At::v4("0", "web_0", second), At::v4("3", "web_3", first)];
    real.here.file("map.json", saved(&instances, "127.0.0.1", true));
    let moved = ssh(&real, &config(&real, &target), "web_0", "yes").expect_status(255);
    assert!(moved.stderr.contains("REMOTE HOST IDENTIFICATION HAS CHANGED"), "{}", moved.stderr);
    assert!(moved.stderr.contains(&documents::vm_id(0).to_lowercase()), "{}", moved.stderr);
}
