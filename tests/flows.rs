//! Sessions through a load balancer that changes its mind: real NAT, in namespaces that each test makes.
//!
//! Needs root, iproute2, nftables and OpenSSH, and fails where they are missing.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/natnet.rs"]
mod natnet;
#[path = "support/sshd.rs"]
mod sshd;

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use natnet::{FRONTEND, Fault, NatNet};
use tokio::sync::mpsc;
use vmssh::{
    event::{Failure, Stage},
    natmap::Endpoint,
    net::resolve::{Family, Resolver},
    ssh::{
        Client, Destination, HostKeyPolicy, Keepalive, KnownHostsFiles, LoginOptions, NewHostKey, Prompt,
        SecretString, Session, Stdin,
    },
};

/// Nobody is there to be asked.
struct Nobody;

impl Prompt for Nobody {
    fn secret(&self, _question: &str) -> io::Result<Option<SecretString>> {
        Ok(None)
    }

    fn trust_host_key(&self, _new: &NewHostKey) -> io::Result<bool> {
        Ok(false)
    }

    fn note(&self, _text: &str) {}
}

/// A port of the load balancer with the machine that Azure says is behind it.
fn endpoint(port: u64, vm_id: Option<&str>) -> Endpoint {
    Endpoint {
        instance: None,
        name: None,
        vm_id: vm_id.map(|id| id.parse().unwrap()),
        host: FRONTEND.parse().unwrap(),
        port: port.try_into().unwrap(),
    }
}

async fn connect(
    net: &NatNet,
    known_hosts: &Path,
    host_keys: HostKeyPolicy,
    endpoint: Endpoint,
) -> Result<Session, Failure> {
    let files = KnownHostsFiles { own: known_hosts.to_owned(), also: vec![] };
    let options = LoginOptions {
        identity_files: vec![net.key()],
        host_keys,
        keepalive: Keepalive { interval: Some(Duration::from_millis(400)), most_unanswered: 2 },
        ..LoginOptions::new("root", files)
    };
    let client = Client::new(Resolver::new(Family::Any), Arc::new(Nobody));
    let login = client.login(options).await.unwrap();
    client.connect(&Destination::direct(endpoint, login)).await
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_flow_that_the_load_balancer_drops_ends_with_a_message() {
    let net = NatNet::up(&[("0", 50000, Fault::None)]);
    let failure = net.within_client(|| {
        runtime().block_on(async {
            let to = endpoint(50000, None);
            let session = connect(&net, &net.known_hosts(), HostKeyPolicy::Strict, to).await.unwrap();
            let (sender, mut output) = mpsc::channel(4);
            let drop_then_wait = async {
                output.recv().await.unwrap();
                net.drop_flows();
                // Nothing more comes, and no word about it: only the signs of life are missed.
                while output.recv().await.is_some() {}
            };
            let run = session.exec("echo running; exec sleep 1000", Stdin::None, sender);
            let (end, ()) = tokio::join!(run, drop_then_wait);
            end.unwrap_err()
        })
    });
    assert_eq!(failure.stage, Stage::Command);
    assert_eq!(failure.message, "connection lost (no sign of life for 1.2s)");
    assert!(failure.hint.unwrap().contains("vmssh probe"));
}

#[test]
fn a_key_that_moved_with_its_machine_is_no_alarm_and_a_reimaged_machine_is() {
    const MACHINES: [&str; 2] =
        ["0b5e2c1a-0000-4000-8000-00000000000a", "0b5e2c1a-0000-4000-8000-00000000000b"];
    let net = NatNet::up(&[("0", 50000, Fault::None), ("1", 50001, Fault::None)]);
    let known = tempfile::tempdir().unwrap();
    let known = known.path().join("known_hosts");
    let reach = |port, machine, policy| {
        net.within_client(|| {
            let to = endpoint(port, Some(machine));
            runtime().block_on(async { connect(&net, &known, policy, to).await.map(drop) })
        })
    };
    reach(50000, MACHINES[0], HostKeyPolicy::AcceptNew).unwrap();
    reach(50001, MACHINES[1], HostKeyPolicy::AcceptNew).unwrap();
    let filed = fs::read_to_string(&known).unwrap();

    // A scale-in and a scale-out later the ports are dealt anew.
    net.lead(&[(50001, "0"), (50000, "1")]);
    reach(50001, MACHINES[0], HostKeyPolicy::Strict).unwrap();
    reach(50000, MACHINES[1], HostKeyPolicy::Strict).unwrap();
    assert_eq!(fs::read_to_string(&known).unwrap(), filed);

    // The same machine, it is said, and it shows another key: so does one that was reimaged.
    for policy in [HostKeyPolicy::Strict, HostKeyPolicy::AcceptNew] {
        let failure = reach(50000, MACHINES[0], policy).unwrap_err();
        assert_eq!(failure.stage, Stage::HostKey);
        assert!(failure.message.starts_with("changed: "), "{failure}");
    }
    assert_eq!(fs::read_to_string(&known).unwrap(), filed);
}
