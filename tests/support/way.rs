//! What `vmssh map -o json` says, as values that a test compares.

#![allow(dead_code, reason = "every test program uses some of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fmt::Debug;

use serde_json::Value;
use vmssh::{
    azure::saved,
    resolver::{self, Choice, Wish},
    resource::Resources,
};

/// A way in with all that a map tells about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Way {
    pub(crate) instance: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) computer_name: Option<String>,
    pub(crate) private_address: Option<String>,
    pub(crate) via: String,
    pub(crate) load_balancer: Option<String>,
    pub(crate) load_balancer_group: Option<String>,
    pub(crate) rule: Option<String>,
    pub(crate) pool: Option<String>,
    pub(crate) frontend: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) port: u64,
    pub(crate) backend_port: Option<u64>,
    pub(crate) protocol: String,
    pub(crate) idle_timeout_minutes: Option<u64>,
    pub(crate) tcp_reset: Option<bool>,
}

/// A finding, without its hint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Said {
    pub(crate) code: String,
    pub(crate) severity: String,
    pub(crate) message: String,
    pub(crate) instances: Vec<String>,
    pub(crate) hint: String,
}

/// A map as JSON says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) document: Value,
    pub(crate) ways: Vec<Way>,
    pub(crate) said: Vec<Said>,
}

pub(crate) fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

impl Way {
    /// A row of `entries`.
    pub(crate) fn of_row(row: &Value) -> Self {
        Self {
            instance: text(&row["instance"]),
            name: text(&row["name"]),
            computer_name: text(&row["computer_name"]),
            private_address: text(&row["private_address"]),
            via: text(&row["via"]).unwrap(),
            load_balancer: text(&row["load_balancer"]),
            load_balancer_group: text(&row["load_balancer_group"]),
            rule: text(&row["rule"]),
            pool: text(&row["pool"]),
            frontend: text(&row["frontend"]),
            scope: text(&row["scope"]),
            address: text(&row["address"]),
            port: row["port"].as_u64().unwrap(),
            backend_port: row["backend_port"].as_u64(),
            protocol: text(&row["protocol"]).unwrap(),
            idle_timeout_minutes: row["idle_timeout_minutes"].as_u64(),
            tcp_reset: row["tcp_reset"].as_bool(),
        }
    }

    /// What has to be the same whatever kind of rule makes the way.
    pub(crate) fn essence(&self) -> (Option<String>, Option<String>, u64, Option<u64>, String) {
        (self.instance.clone(), self.address.clone(), self.port, self.backend_port, self.protocol.clone())
    }

    /// `web_3 20.1.2.3:50003>22`: short, for tests that look at few members.
    pub(crate) fn short(&self) -> String {
        let or = |text: &Option<String>, none: &str| text.clone().unwrap_or_else(|| none.into());
        let backend = self.backend_port.map_or("?".into(), |port| port.to_string());
        let udp = if self.protocol == "udp" { "/udp" } else { "" };
        format!("{} {}:{}>{backend}{udp}", or(&self.instance, "-"), or(&self.address, "?"), self.port)
    }
}

impl Shown {
    /// What `-o json` printed.
    pub(crate) fn of(document: Value) -> Self {
        let mut ways: Vec<_> = document["entries"].as_array().unwrap().iter().map(Way::of_row).collect();
        ways.sort();
        let said = document["findings"].as_array().unwrap().iter().map(|finding| Said {
            code: text(&finding["code"]).unwrap(),
            severity: text(&finding["severity"]).unwrap(),
            message: text(&finding["message"]).unwrap(),
            instances: finding["instances"].as_array().unwrap().iter().filter_map(text).collect(),
            hint: text(&finding["hint"]).unwrap_or_default(),
        });
        Self { ways, said: said.collect(), document }
    }

    /// The codes of the findings, sorted, without those that are only good to know.
    pub(crate) fn warnings(&self) -> Vec<&str> {
        let mut codes: Vec<_> =
            self.said.iter().filter(|s| s.severity != "info").map(|s| s.code.as_str()).collect();
        codes.sort_unstable();
        codes
    }

    /// All codes, sorted.
    pub(crate) fn codes(&self) -> Vec<&str> {
        let mut codes: Vec<_> = self.said.iter().map(|said| said.code.as_str()).collect();
        codes.sort_unstable();
        codes
    }

    /// The only finding of this code.
    #[track_caller]
    pub(crate) fn the(&self, code: &str) -> &Said {
        let mut all = self.said.iter().filter(|said| said.code == code);
        match (all.next(), all.next()) {
            (Some(one), None) => one,
            (none, _) => panic!("{code}: {} in {:#?}", none.map_or("none", |_| "several"), self.said),
        }
    }

    /// The ways in short, in the order of the map.
    pub(crate) fn short(&self) -> Vec<String> {
        self.document["entries"].as_array().unwrap().iter().map(|row| Way::of_row(row).short()).collect()
    }
}

/// What the library makes of documents, read as a stream of them.
pub(crate) fn resources(documents: &[Value]) -> Resources {
    let stream: Vec<_> = documents.iter().map(Value::to_string).collect();
    saved::read(stream.join("\n").as_bytes(), "documents").unwrap()
}

/// The map of documents, or why there is none.
pub(crate) fn try_map(documents: &[Value], scale_set: Option<&str>) -> Result<Shown, String> {
    map_of(&resources(documents), scale_set)
}

/// The map of resources, or why there is none.
pub(crate) fn map_of(resources: &Resources, scale_set: Option<&str>) -> Result<Shown, String> {
    let wish = Wish {
        scale_set: scale_set.map(|name| Choice::Name(name.into())),
        address: None,
        backend_port: None,
        keepalive: vmssh::ssh::KEEPALIVE,
    };
    let map = resolver::resolve(resources, &wish).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    vmssh::report::map::write_json(&mut out, &map).unwrap();
    Ok(Shown::of(serde_json::from_slice(&out).unwrap()))
}

/// Compares two lists as sets and shows what only one has.
#[track_caller]
pub(crate) fn assert_same<T: Ord + Clone + Debug>(what: &str, ours: &[T], right: &[T]) {
    let (mut ours, mut right) = (ours.to_vec(), right.to_vec());
    ours.sort();
    right.sort();
    let only = |a: &[T], b: &[T]| a.iter().filter(|x| !b.contains(x)).take(3).cloned().collect::<Vec<_>>();
    assert!(
        ours == right,
        "{what}\nonly in the map: {:#?}\nonly in the truth: {:#?}\n{} in the map, {} in the truth",
        only(&ours, &right),
        only(&right, &ours),
        ours.len(),
        right.len()
    );
}
