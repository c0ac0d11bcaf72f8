//! A client, a router and a server, each in a network namespace:
//!
//! ```text
//! client 192.0.2.10 -- 192.0.2.1 router 198.51.100.1 -- 198.51.100.10 server
//!     2001:db8:1::10 -- ::1             2001:db8:2::1 -- ::10
//! ```
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::{SocketAddr, TcpListener};

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::{
    namespace::{Namespace, link},
    vmssh::{Ran, Surroundings},
};

pub(crate) const CLIENT: &str = "192.0.2.10";
pub(crate) const ROUTER: &str = "192.0.2.1";
pub(crate) const ROUTER_V6: &str = "2001:db8:1::1";
pub(crate) const SERVER: &str = "198.51.100.10";
pub(crate) const SERVER_V6: &str = "2001:db8:2::10";

/// The whole of it, taken down when dropped.
pub(crate) struct NetPath {
    pub(crate) client: Namespace,
    pub(crate) router: Namespace,
    pub(crate) server: Namespace,
    pub(crate) here: Surroundings,
}

/// What a run of `vmssh probe` gave.
pub(crate) struct Probed {
    pub(crate) status: i32,
    /// Each probe, as it ended.
    pub(crate) samples: Vec<Value>,
    /// The statistics of each endpoint, in order.
    pub(crate) endpoints: Vec<Value>,
}

impl NetPath {
    pub(crate) fn new() -> Self {
        let [client, router, server] = ["client", "router", "server"].map(Namespace::new);
        let with_bits = |address: &str| format!("{address}/{}", if address.contains(':') { 64 } else { 24 });
        let [near, near_v6] = [ROUTER, ROUTER_V6].map(with_bits);
        let (far, far_v6) = ("198.51.100.1/24", "2001:db8:2::1/64");
        let [server_v4, server_v6] = [SERVER, SERVER_V6].map(with_bits);
        link(&client, &["192.0.2.10/24", "2001:db8:1::10/64"], &router, &[&near, &near_v6]);
        link(&server, &[&server_v4, &server_v6], &router, &[far, far_v6]);
        router.set("net/ipv4/ip_forward", "1");
        router.set("net/ipv6/conf/all/forwarding", "1");
        // A router tells one in a second only, and some of these tests make more.
        router.set("net/ipv4/icmp_ratelimit", "0");
        router.set("net/ipv6/icmp/ratelimit", "0");
        // No default route: to all else there is no way.
        client.ip(&["route", "add", "198.51.100.0/24", "via", ROUTER]);
        client.ip(&["-6", "route", "add", "2001:db8:2::/64", "via", ROUTER_V6]);
        server.ip(&["route", "add", "192.0.2.0/24", "via", "198.51.100.1"]);
        server.ip(&["-6", "route", "add", "2001:db8:1::/64", "via", "2001:db8:2::1"]);
        Self { client, router, server, here: Surroundings::new() }
    }

    /// Sets what the router does to packets that it passes on: rules of nft(8).
    pub(crate) fn firewall(&self, rules: &str) {
        let table = format!(
            "table inet firewall {{
               set seen {{ type inet_service; flags dynamic; timeout 1m; }}
               chain through {{ type filter hook forward priority filter; {rules}
 }}
             }}"
        );
        self.router.run("nft", &[&table]);
    }

    /// A listener on the server, with a queue for so many connections, at a port of its own.
    pub(crate) fn listener(&self, address: &str, backlog: i32) -> (TcpListener, SocketAddr) {
        let address = SocketAddr::new(address.parse().unwrap(), 0);
        let listener = self.server.within(|| {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
            socket.bind(&address.into()).unwrap();
            socket.listen(backlog).unwrap();
            TcpListener::from(socket)
        });
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// Runs `vmssh probe` with these words on the client, in a shell that prepares it.
    pub(crate) fn probe_after(&self, preparation: &str, words: &[&str]) -> Probed {
        let program = self.here.command(&[&["probe", "-o", "jsonl"], words].concat());
        let mut shell = std::process::Command::new("sh");
        shell.arg("-c").arg(format!("{preparation} exec \"$@\"")).arg("sh");
        shell.arg(program.get_program()).args(program.get_args());
        shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.current_dir(self.here.home.path());
        let ran = Ran::from(self.client.command(&shell).output().unwrap());
        let mut lines = ran.json_lines();
        let Some(document) = lines.pop().filter(|last| last["schema"] == "vmssh.probe/1") else {
            panic!("no statistics at the end: {ran:?}")
        };
        let wrong = lines.iter().find(|line| line["schema"] != "vmssh.probe.sample/1");
        assert!(wrong.is_none(), "not a sample: {wrong:?}");
        let endpoints = document["endpoints"].as_array().unwrap().clone();
        Probed { status: ran.status, samples: lines, endpoints }
    }

    /// Runs `vmssh probe` with these words on the client.
    pub(crate) fn probe(&self, words: &[&str]) -> Probed {
        self.probe_after("", words)
    }

    /// A target of these endpoints, as az prints it: instance k is the k-th.
    pub(crate) fn target(&self, endpoints: impl IntoIterator<Item = String>) -> String {
        let named = endpoints.into_iter().enumerate().map(|(k, e)| (format!("instance {k}"), e.into()));
        let document = Value::Object(named.collect());
        format!("@{}", self.here.file("ports.json", document.to_string()))
    }
}
