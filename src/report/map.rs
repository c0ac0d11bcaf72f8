//! The NAT map as table, JSON, JSON lines and CSV.

use std::io::{self, Write};

use serde::Serialize;

use super::{flat, json, table};
use crate::{
    clean::clean_line,
    natmap::{BackendPort, Entry, Finding, FrontendPort, Host, InstanceId, Known, NatMap, Protocol, Via},
};

/// The schema's name and version, in every JSON document.
const SCHEMA: &str = "vmssh.map/1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    entries: Vec<Row<'a>>,
    findings: &'a [Finding],
}

#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    #[serde(flatten)]
    row: Row<'a>,
}

/// One entry as it is written: the members of the JSON object and the columns of the CSV file.
#[derive(Serialize)]
struct Row<'a> {
    instance: Option<&'a InstanceId>,
    name: Option<&'a str>,
    address: Option<&'a Host>,
    port: FrontendPort,
    backend_port: Option<BackendPort>,
    protocol: Protocol,
    via: Via,
    rule: Option<&'a str>,
    known: Known,
    possible: bool,
}

impl<'a> From<&'a Entry> for Row<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self {
            instance: entry.instance.as_ref(),
            name: entry.name.as_deref(),
            address: entry.address.as_ref(),
            port: entry.port,
            backend_port: entry.backend_port,
            protocol: entry.protocol,
            via: entry.via,
            rule: entry.rule.as_deref(),
            known: entry.known,
            possible: entry.is_possible(),
        }
    }
}

/// Writes the map as one JSON document, `vmssh.map/1`.
///
/// # Errors
/// When `out` fails.
pub fn write_json(out: &mut dyn Write, map: &NatMap) -> io::Result<()> {
    let entries = map.entries.iter().map(Row::from).collect();
    json::write_line(out, &Document { schema: SCHEMA, entries, findings: &map.findings })
}

/// Writes an entry per line, each with the schema's name. Findings are left to `stderr`.
///
/// # Errors
/// When `out` fails.
pub fn write_jsonl(out: &mut dyn Write, map: &NatMap) -> io::Result<()> {
    map.entries
        .iter()
        .try_for_each(|entry| json::write_line(out, &Line { schema: SCHEMA, row: entry.into() }))
}

/// Writes the entries as CSV with a header; what is not known is an empty field.
///
/// # Errors
/// When `out` fails.
pub fn write_csv(out: &mut dyn Write, map: &NatMap) -> io::Result<()> {
    flat::write_csv(out, &map.entries.iter().map(Row::from).collect::<Vec<_>>())
}

/// Writes the table for people. Possible ports are folded to a line per range.
///
/// # Errors
/// When `out` fails.
pub fn write_table(out: &mut dyn Write, map: &NatMap) -> io::Result<()> {
    let columns = ["INSTANCE", "NAME", "FRONTEND", "BACKEND", "VIA", "KNOWN"].map(table::text);
    let mut rows = Vec::new();
    let mut entries = map.entries.as_slice();
    while let Some((first, _)) = entries.split_first() {
        let run = if first.is_possible() { run_length(entries) } else { 1 };
        let (these, rest) = entries.split_at(run);
        rows.push(row(first, these.last().filter(|_| run > 1)));
        entries = rest;
    }
    table::write(out, &columns, rows)
}

/// How many entries from the first on are possible ports of one range without a gap.
fn run_length(entries: &[Entry]) -> usize {
    let follows = |pair: &&[Entry]| match pair {
        [a, b] => {
            b.is_possible()
                && (&a.address, &a.rule, a.backend_port) == (&b.address, &b.rule, b.backend_port)
                && b.port.get() == a.port.get().wrapping_add(1)
        }
        _ => false,
    };
    1 + entries.windows(2).take_while(follows).count()
}

fn row(entry: &Entry, last: Option<&Entry>) -> Vec<String> {
    let address = entry.address.as_ref().map_or_else(
        || "?".to_owned(),
        |host| match host {
            Host::Ip(ip) if ip.is_ipv6() => format!("[{ip}]"),
            host => host.to_string(),
        },
    );
    let udp = if entry.protocol == Protocol::Udp { "/udp" } else { "" };
    let end = last.map(|l| format!("-{}", l.port)).unwrap_or_default();
    vec![
        entry.instance.as_ref().map(|id| clean_line(id.as_str())).unwrap_or_default(),
        entry.name.as_deref().map(clean_line).unwrap_or_default(),
        format!("{address}:{}{end}{udp}", entry.port),
        entry.backend_port.map(|p| p.to_string()).unwrap_or_default(),
        match (word(entry.via), &entry.rule) {
            (via, Some(rule)) => format!("{via} {}", clean_line(rule)),
            (via, None) => via,
        },
        if entry.is_possible() { "possible".into() } else { word(entry.known) },
    ]
}

/// The word that JSON has for a value, for people too.
fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::natmap::Document as NatDocument;

    fn written(write: fn(&mut dyn Write, &NatMap) -> io::Result<()>, map: &NatMap) -> String {
        let mut out = Vec::new();
        write(&mut out, map).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_json_keeps_its_interface() {
        let map = NatMap::from_range(&"20.1.2.3:50000".parse().unwrap());
        assert_eq!(
            written(write_json, &map),
            concat!(
                r#"{"schema":"vmssh.map/1","entries":[{"instance":"0","name":null,"address":"20.1.2.3","port":50000,"#,
                r#""backend_port":null,"protocol":"tcp","via":"range","rule":null,"known":"computed","possible":false}],"#,
                "\"findings\":[]}\n"
            )
        );
        assert_eq!(
            written(write_csv, &map),
            "instance,name,address,port,backend_port,protocol,via,rule,known,possible\n\
             0,,20.1.2.3,50000,,tcp,range,,computed,false\n"
        );
    }

    #[test]
    fn possible_ports_are_one_line() {
        let pool = serde_json::json!({"name": "ssh", "backendPort": 22, "frontendPortRangeStart": 50000, "frontendPortRangeEnd": 50119});
        let document = crate::azure::saved::parse(pool.to_string().as_bytes()).unwrap();
        assert!(matches!(document, NatDocument::NatPools(_)));
        let table = written(write_table, &NatMap::from_document(&document, None));
        assert_eq!(
            table,
            "INSTANCE  NAME  FRONTEND       BACKEND  VIA           KNOWN\n\
             -         -     ?:50000-50119  22       nat-pool ssh  possible\n"
        );
    }
}
