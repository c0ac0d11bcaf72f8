//! A scale set behind NAT, of network namespaces and real OpenSSH servers:
//!
//! ```text
//! client 192.0.2.10 -- load balancer 198.51.100.10, port P -> 10.77.K.2:22 -- instance K
//! ```
//!
//! There is no way out of it. Instances reach each other. The load balancer drops what no rule maps, as Azure's does, and leaves
//! the client's address as it is.

#![allow(dead_code, reason = "every test that includes this file uses a part of it")]

use std::{fmt::Write as _, fs, net::Ipv4Addr, path::PathBuf, process::Command};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    namespace::{Namespace, link},
    sshd::{TestSshd, keygen},
};

/// The load balancer's address.
pub(crate) const FRONTEND: &str = "198.51.100.10";
/// The name that the client's `/etc/hosts` has for it.
pub(crate) const NAME: &str = "web.example";
/// No packet to these is answered: what the load balancer takes for itself it drops.
pub(crate) const SILENT: [&str; 3] = ["198.51.100.53", "198.51.100.54", "198.51.100.55"];

/// The network of the instances.
const INSIDE: &str = "10.77.0.0/16";

/// What is wrong with an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// No sshd runs.
    Stopped,
    /// A firewall drops what is for it.
    Filtered,
    /// The client has another host key on file.
    OtherHostKey,
    /// No key signs in.
    NoKey,
    /// It has no NAT rule, and is not there.
    Unmapped,
    /// It has no NAT rule; its siblings reach it.
    NoRule,
}

struct Instance {
    id: &'static str,
    port: u16,
    server: Option<TestSshd>,
    _namespace: Option<Namespace>,
}

/// The whole of it, taken down when dropped.
pub(crate) struct NatNet {
    client: Namespace,
    balancer: Namespace,
    instances: Vec<Instance>,
    files: TempDir,
}

impl NatNet {
    /// Builds it of instances with these ids, frontend ports and faults.
    pub(crate) fn up(instances: &[(&'static str, u16, Fault)]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let key = files.path().join("id");
        keygen(&["-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()]);
        let (client, balancer) = (Namespace::new("client"), Namespace::new("lb"));
        link(&client, &["192.0.2.10/24"], &balancer, &["192.0.2.1/24"]);
        client.ip(&["route", "add", "198.51.100.0/24", "via", "192.0.2.1"]);
        // On loopback the whole network is local, and so are the silent addresses.
        balancer.ip(&["address", "add", &format!("{FRONTEND}/24"), "dev", "lo"]);
        balancer.set("net/ipv4/ip_forward", "1");
        client.etc("hosts", &format!("127.0.0.1 localhost\n{FRONTEND} {NAME}\n"));
        client.etc("resolv.conf", &SILENT.map(|ip| format!("nameserver {ip}\n")).concat());
        // Whatever the machine itself uses, it must not be asked.
        client.etc("nsswitch.conf", "passwd: files\nhosts: files dns\n");

        let (mut maps, mut drops) = (String::new(), String::new());
        let mut made = Vec::new();
        for (place, &(id, port, fault)) in (0..).zip(instances) {
            let (address, gateway) = (Ipv4Addr::new(10, 77, place, 2), Ipv4Addr::new(10, 77, place, 1));
            let namespace = (fault != Fault::Unmapped).then(|| {
                let namespace = Namespace::new(id);
                link(&namespace, &[&format!("{address}/24")], &balancer, &[&format!("{gateway}/24")]);
                namespace.ip(&["route", "add", "192.0.2.0/24", "via", &gateway.to_string()]);
                namespace.ip(&["route", "add", INSIDE, "via", &gateway.to_string()]);
                if fault != Fault::NoRule {
                    writeln!(maps, "ip daddr {FRONTEND} tcp dport {port} dnat to {address}:22").unwrap();
                }
                namespace
            });
            if fault == Fault::Filtered {
                writeln!(drops, "ip daddr {address} drop").unwrap();
            }
            let server = namespace.as_ref().filter(|_| fault != Fault::Stopped).map(|namespace| {
                let keys =
                    if fault == Fault::NoKey { "none".into() } else { format!("{}.pub", key.display()) };
                // At this level sshd logs every request to sign in.
                let config = [&format!("AuthorizedKeysFile {keys}"), "LogLevel DEBUG1"];
                TestSshd::in_namespace(&namespace.name, &config)
            });
            made.push(Instance { id, port, server, _namespace: namespace });
        }
        balancer.run("nft", &[&rules(&maps, &drops)]);
        let net = Self { client, balancer, instances: made, files };
        net.write_documents(instances);
        net
    }

    /// The client's known host keys, and what az would print for the scale set.
    fn write_documents(&self, instances: &[(&str, u16, Fault)]) {
        let (mut known, mut info) = (String::new(), serde_json::Map::new());
        for (instance, (id, port, fault)) in self.instances.iter().zip(instances) {
            info.insert(format!("instance {id}"), format!("{FRONTEND}:{port}").into());
            if let Some(server) = &instance.server {
                let key = match fault {
                    Fault::OtherHostKey => fs::read_to_string(self.key().with_extension("pub")).unwrap(),
                    _ => fs::read_to_string(server.dir().join("host_ed25519.pub")).unwrap(),
                };
                write!(known, "[{FRONTEND}]:{port},[{NAME}]:{port} {key}").unwrap();
            }
        }
        fs::write(self.known_hosts(), known).unwrap();
        fs::write(self.files.path().join("ports.json"), serde_json::Value::from(info).to_string()).unwrap();
    }

    /// TARGET for vmssh: the scale set as root.
    pub(crate) fn target(&self) -> String {
        format!("root@@{}", self.files.path().join("ports.json").display())
    }

    /// The same of documents that tell the private addresses too: network cards, load balancer and address.
    pub(crate) fn target_with_addresses(&self, instances: &[(&str, u16, Fault)]) -> String {
        let group = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/rg/providers";
        let set = format!("{group}/Microsoft.Compute/virtualMachineScaleSets/web");
        let balancer = format!("{group}/Microsoft.Network/loadBalancers/web-lb");
        let public = format!("{group}/Microsoft.Network/publicIPAddresses/web-ip");
        let frontend = format!("{balancer}/frontendIPConfigurations/f");
        let (mut cards, mut rules) = (Vec::new(), Vec::new());
        for (place, (id, port, fault)) in instances.iter().enumerate() {
            let card = format!("{set}/virtualMachines/{id}/networkInterfaces/nic");
            let way = format!("{card}/ipConfigurations/ip");
            let rule = format!("{balancer}/inboundNatRules/web.{id}");
            let mut address = json!({ "privateIPAddress": format!("10.77.{place}.2"), "primary": true });
            if *fault != Fault::NoRule {
                address["loadBalancerInboundNatRules"] = json!([{ "id": rule }]);
                rules.push(json!({ "name": format!("web.{id}"), "id": rule, "properties": {
                    "frontendPort": port, "backendPort": 22, "protocol": "Tcp",
                    "frontendIPConfiguration": { "id": frontend }, "backendIPConfiguration": { "id": way },
                }}));
            }
            cards.push(json!({ "name": "nic", "id": card, "properties": { "primary": true,
                "virtualMachine": { "id": format!("{set}/virtualMachines/{id}") },
                "ipConfigurations": [{ "name": "ip", "id": way, "properties": address }],
            }}));
        }
        let frontends =
            json!([{ "name": "f", "id": frontend, "properties": { "publicIPAddress": { "id": public } } }]);
        let balancer = json!({ "name": "web-lb", "id": balancer, "properties": {
            "frontendIPConfigurations": frontends, "inboundNatRules": rules,
            "inboundNatPools": [], "backendAddressPools": [],
        }});
        let public = json!({ "name": "web-ip", "id": public, "properties": { "ipAddress": FRONTEND } });
        let folder = self.files.path().join("set");
        fs::create_dir_all(&folder).unwrap();
        for (name, document) in [("cards", json!(cards)), ("balancer", balancer), ("public", public)] {
            fs::write(folder.join(format!("{name}.json")), document.to_string()).unwrap();
        }
        format!("root@@{}", folder.display())
    }

    /// The private key that signs in.
    pub(crate) fn key(&self) -> PathBuf {
        self.files.path().join("id")
    }

    /// The client's known host keys.
    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.files.path().join("known_hosts")
    }

    /// The server of an instance.
    pub(crate) fn server(&self, id: &str) -> &TestSshd {
        self.instance(id).server.as_ref().unwrap()
    }

    fn instance(&self, id: &str) -> &Instance {
        self.instances.iter().find(|i| i.id == id).unwrap()
    }

    /// The same command on the client, with the client's network and names.
    pub(crate) fn on_client(&self, command: &Command) -> Command {
        let mut wrapped = self.client.command(command);
        if command.get_current_dir().is_none() {
            wrapped.current_dir(self.files.path());
        }
        wrapped
    }

    /// Runs this with the client's network.
    #[allow(dead_code, reason = "every test program uses some of it")]
    pub(crate) fn within_client<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.client.within(work)
    }

    /// From now on the load balancer drops every packet that it should carry, also of flows that there are.
    #[allow(dead_code, reason = "every test program uses some of it")]
    pub(crate) fn drop_flows(&self) {
        self.balancer.run("nft", &["flush chain ip lb through"]);
    }

    /// From now on new connections to these ports lead to these instances, and to no other.
    #[allow(dead_code, reason = "every test program uses some of it")]
    pub(crate) fn lead(&self, ports: &[(u16, &str)]) {
        let mut rules = "flush chain ip lb incoming\n".to_owned();
        for (port, id) in ports {
            let place = self.instances.iter().position(|i| i.id == *id).unwrap();
            writeln!(
                rules,
                "add rule ip lb incoming ip daddr {FRONTEND} tcp dport {port} dnat to 10.77.{place}.2:22"
            )
            .unwrap();
        }
        self.balancer.run("nft", &[&rules]);
    }

    /// UDP datagrams that left the client so far: questions to name servers.
    pub(crate) fn datagrams_sent(&self) -> u64 {
        let mut cat = Command::new("cat");
        let output = self.on_client(cat.arg("/proc/net/snmp")).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // A line of names, and one of values in the same order.
        let [names, values] = &text.lines().filter(|l| l.starts_with("Udp:")).collect::<Vec<_>>()[..] else {
            panic!("{text}")
        };
        let mut both = names.split(' ').zip(values.split(' '));
        both.find(|(name, _)| *name == "OutDatagrams").unwrap().1.parse().unwrap()
    }

    /// The stock client's exit status for a command on the instance.
    pub(crate) fn stock_ssh(&self, id: &str, command: &str) -> Option<i32> {
        let mut ssh = Command::new("ssh");
        ssh.env("PATH", std::env::var_os("PATH").unwrap()).args(["-F", "none", "-o", "BatchMode=yes"]);
        ssh.args([
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "ConnectTimeout=2",
            "-o",
            "GlobalKnownHostsFile=none",
        ]);
        ssh.arg("-o").arg(format!("UserKnownHostsFile={}", self.known_hosts().display()));
        ssh.arg("-i").arg(self.key()).args(["-p", &self.instance(id).port.to_string()]);
        ssh.arg(format!("root@{FRONTEND}")).arg(command);
        self.on_client(&ssh).output().unwrap().status.code()
    }
}

/// The load balancer's rules, of those that map and those that drop.
fn rules(maps: &str, drops: &str) -> String {
    format!(
        "table ip lb {{
           chain incoming {{
             type nat hook prerouting priority dstnat
             {maps}
           }}
           chain through {{
             type filter hook forward priority filter; policy drop
             ip saddr {INSIDE} ip daddr {INSIDE} accept
             {drops}
             ct status dnat accept
           }}
           chain own {{
             type filter hook input priority filter; policy drop
           }}
         }}"
    )
}
