//! The NAT map as table, JSON, JSON lines and CSV.

use std::{
    io::{self, Write},
    net::IpAddr,
};

use serde::Serialize;

use super::{flat, json, table};
use crate::{
    clean::clean_line,
    natmap::{
        BackendPort, Entry, Finding, FrontendPort, Host, Instance, InstanceId, Known, NatMap, Power,
        Protocol, Scope, Via,
    },
};

/// The schema's name and version, in every JSON document.
const SCHEMA: &str = "vmssh.map/1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    scale_set: Option<ScaleSet<'a>>,
    admin_username: Option<&'a str>,
    instances: Vec<InstanceRow<'a>>,
    entries: Vec<Row<'a>>,
    findings: &'a [Finding],
}

#[derive(Serialize)]
struct ScaleSet<'a> {
    subscription: &'a str,
    group: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct InstanceRow<'a> {
    instance: &'a InstanceId,
    name: Option<&'a str>,
    computer_name: Option<&'a str>,
    vm_id: Option<&'a str>,
    power: Option<Power>,
    model_current: Option<bool>,
    private_addresses: &'a [IpAddr],
}

impl<'a> From<&'a Instance> for InstanceRow<'a> {
    fn from(instance: &'a Instance) -> Self {
        Self {
            instance: &instance.id,
            name: instance.name.as_deref(),
            computer_name: instance.computer_name.as_deref(),
            vm_id: instance.vm_id.as_deref(),
            power: instance.power,
            model_current: instance.model_current,
            private_addresses: &instance.private_addresses,
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    #[serde(flatten)]
    row: Row<'a>,
}

/// A way in, or an instance without one, as it is written: the members of the JSON object and the columns
/// of the CSV file.
#[derive(Default, Serialize)]
struct Row<'a> {
    instance: Option<&'a InstanceId>,
    name: Option<&'a str>,
    address: Option<&'a Host>,
    port: Option<FrontendPort>,
    backend_port: Option<BackendPort>,
    protocol: Option<Protocol>,
    via: Option<Via>,
    rule: Option<&'a str>,
    known: Option<Known>,
    possible: bool,
    gone: bool,
    pool: Option<&'a str>,
    load_balancer: Option<&'a str>,
    load_balancer_group: Option<&'a str>,
    frontend: Option<&'a str>,
    scope: Option<Scope>,
    idle_timeout_minutes: Option<u16>,
    tcp_reset: Option<bool>,
    private_address: Option<IpAddr>,
    computer_name: Option<&'a str>,
    vm_id: Option<&'a str>,
    power: Option<Power>,
    model_current: Option<bool>,
}

impl<'a> Row<'a> {
    fn of_entry(map: &'a NatMap, entry: &'a Entry) -> Self {
        let instance = map.instance_of(entry);
        let rule = &entry.rule;
        Self {
            instance: entry.instance.as_ref(),
            address: entry.address.as_ref(),
            port: Some(entry.port),
            backend_port: entry.backend_port,
            protocol: Some(entry.protocol),
            via: Some(entry.via),
            rule: entry.rule_name(),
            known: Some(entry.known),
            possible: entry.is_possible(),
            gone: map.is_gone(entry),
            pool: rule.pool.as_deref(),
            load_balancer: rule.load_balancer.as_deref(),
            load_balancer_group: rule.load_balancer_group.as_deref(),
            frontend: rule.frontend.as_deref(),
            scope: rule.scope,
            idle_timeout_minutes: rule.idle_timeout_minutes,
            tcp_reset: rule.tcp_reset,
            private_address: entry.private_address.or_else(|| only_address(instance?)),
            ..instance.map(Self::of_instance).unwrap_or_default()
        }
    }

    /// What is the instance's own.
    fn of_instance(instance: &'a Instance) -> Self {
        Self {
            instance: Some(&instance.id),
            name: instance.name.as_deref(),
            private_address: instance.private_addresses.first().copied(),
            computer_name: instance.computer_name.as_deref(),
            vm_id: instance.vm_id.as_deref(),
            power: instance.power,
            model_current: instance.model_current,
            ..Self::default()
        }
    }
}

/// The private address of an instance that has but one: of several, which a rule leads to is not known.
fn only_address(instance: &Instance) -> Option<IpAddr> {
    match instance.private_addresses.as_slice() {
        [one] => Some(*one),
        _ => None,
    }
}

/// The entries grouped by instance, each instance without one at its place; then those of instances that are
/// gone; possible ports come last.
fn grouped(map: &NatMap) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for instance in map.instances.iter().chain(&map.gone) {
        let mut ways =
            map.entries.iter().filter(|entry| entry.instance.as_ref() == Some(&instance.id)).peekable();
        if ways.peek().is_none() {
            rows.push(Row::of_instance(instance));
        }
        rows.extend(ways.map(|entry| Row::of_entry(map, entry)));
    }
    rows.extend(map.entries.iter().filter(|e| e.is_possible()).map(|entry| Row::of_entry(map, entry)));
    rows
}

/// Writes the map as one JSON document, `vmssh.map/1`.
///
/// # Errors
/// When `out` fails.
pub fn write_json(out: &mut dyn Write, map: &NatMap) -> io::Result<()> {
    let document = Document {
        schema: SCHEMA,
        scale_set: map.scale_set.as_ref().map(|set| ScaleSet {
            subscription: &set.subscription,
            group: &set.group,
            name: &set.name,
        }),
        admin_username: map.admin_username.as_deref(),
        instances: map.instances.iter().map(InstanceRow::from).collect(),
        entries: map.entries.iter().map(|entry| Row::of_entry(map, entry)).collect(),
        findings: &map.findings,
    };
    json::write_line(out, &document)
}

/// Writes an entry per line, and a line for each instance without one, each with the schema's name. Findings
/// are left to `stderr`.
///
/// # Errors
/// When `out` fails.
pub fn write_jsonl(out: &mut dyn Write, map: &NatMap) -> io::Result<()> {
    grouped(map).into_iter().try_for_each(|row| json::write_line(out, &Line { schema: SCHEMA, row }))
}

/// Writes the same rows as CSV with a header; what is not known is an empty field.
///
/// # Errors
/// When `out` fails.
pub fn write_csv(out: &mut dyn Write, map: &NatMap) -> io::Result<()> {
    flat::write_csv(out, &grouped(map))
}

/// Writes the table for people: grouped by instance, possible ports folded to a line per range. Columns of
/// which nothing is known are left out.
///
/// # Errors
/// When `out` fails.
pub fn write_table(out: &mut dyn Write, map: &NatMap) -> io::Result<()> {
    let rows = grouped(map);
    let with_state =
        rows.iter().any(|row| row.gone || row.power.is_some() || row.model_current == Some(false));
    let with_private = rows.iter().any(|row| row.private_address.is_some());
    let shown = [true, true, with_state, true, true, with_private, true, true];
    let columns = ["INSTANCE", "NAME", "STATE", "FRONTEND", "BACKEND", "PRIVATE", "VIA", "KNOWN"];
    let kept = |cells: Vec<String>| -> Vec<String> {
        cells.into_iter().zip(shown).filter(|(_, shown)| *shown).map(|(cell, _)| cell).collect()
    };
    let columns: Vec<_> =
        columns.iter().zip(shown).filter(|(_, shown)| *shown).map(|(name, _)| table::text(name)).collect();
    let mut lines = Vec::new();
    let mut rest = rows.as_slice();
    let mut above: Option<&InstanceId> = None;
    while let Some((first, _)) = rest.split_first() {
        let run = if first.possible { run_length(rest) } else { 1 };
        let (these, more) = rest.split_at(run);
        let mut cells = cells(first, these.last().filter(|_| run > 1));
        if above.is_some() && above == first.instance {
            // The same instance's next way in.
            cells.iter_mut().take(3).for_each(|cell| *cell = " ".into());
        }
        lines.push(kept(cells));
        (above, rest) = (first.instance, more);
    }
    table::write(out, &columns, lines)
}

/// How many rows from the first on are possible ports of one range without a gap.
fn run_length(rows: &[Row<'_>]) -> usize {
    let port = |row: &Row<'_>| row.port.map_or(0, FrontendPort::get);
    let same = |row: &Row<'_>| {
        let private = row.private_address;
        (row.address.cloned(), row.rule.map(str::to_owned), row.backend_port, row.protocol, private)
    };
    let follows = |pair: &&[Row<'_>]| match pair {
        [a, b] => b.possible && same(a) == same(b) && port(b) == port(a).wrapping_add(1),
        _ => false,
    };
    1 + rows.windows(2).take_while(follows).count()
}

fn cells(row: &Row<'_>, last: Option<&Row<'_>>) -> Vec<String> {
    let state = match (row.power, row.model_current) {
        _ if row.gone => "gone".into(),
        (Some(power), Some(false)) => format!("{power}, old model"),
        (None, Some(false)) => "old model".into(),
        (Some(power), _) => power.to_string(),
        (None, _) => String::new(),
    };
    vec![
        row.instance.map(|id| clean_line(id.as_str())).unwrap_or_default(),
        row.name.map(clean_line).unwrap_or_default(),
        state,
        frontend(row, last),
        row.backend_port.map(|p| p.to_string()).unwrap_or_default(),
        row.private_address.map(|a| a.to_string()).unwrap_or_default(),
        match (row.via.map(word), row.rule) {
            (Some(via), Some(rule)) => format!("{via} {}", clean_line(rule)),
            (via, _) => via.unwrap_or_default(),
        },
        if row.possible { "possible".into() } else { row.known.map(word).unwrap_or_default() },
    ]
}

fn frontend(row: &Row<'_>, last: Option<&Row<'_>>) -> String {
    let Some(port) = row.port else { return String::new() };
    let address = row.address.map_or_else(
        || "?".to_owned(),
        |host| match host {
            Host::Ip(ip) if ip.is_ipv6() => format!("[{ip}]"),
            host => host.to_string(),
        },
    );
    let udp = if row.protocol == Some(Protocol::Udp) { "/udp" } else { "" };
    let end = last.and_then(|last| last.port).map(|port| format!("-{port}")).unwrap_or_default();
    format!("{address}:{port}{end}{udp}")
}

/// The word that JSON has for a value, for people too.
fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: fn(&mut dyn Write, &NatMap) -> io::Result<()>, map: &NatMap) -> String {
        let mut out = Vec::new();
        write(&mut out, map).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_json_keeps_its_interface() {
        let map = NatMap::from_range(&"20.1.2.3:50000".parse().unwrap());
        let json = written(write_json, &map);
        for part in [
            r#"{"schema":"vmssh.map/1","scale_set":null,"admin_username":null,"instances":[{"instance":"0","name":null,"#,
            r#""entries":[{"instance":"0","name":null,"address":"20.1.2.3","port":50000,"#,
            r#""backend_port":null,"protocol":"tcp","via":"range","rule":null,"known":"computed","possible":false,"gone":false,"#,
            r#""computer_name":null,"vm_id":null,"power":null,"model_current":null}],"findings":[]}"#,
        ] {
            assert!(json.contains(part), "{part} in\n{json}");
        }
        assert_eq!(
            written(write_csv, &map),
            "instance,name,address,port,backend_port,protocol,via,rule,known,possible,gone,pool,load_balancer,\
             load_balancer_group,frontend,scope,idle_timeout_minutes,tcp_reset,private_address,computer_name,vm_id,\
             power,model_current\n\
             0,,20.1.2.3,50000,,tcp,range,,computed,false,false,,,,,,,,,,,,\n"
        );
    }

    #[test]
    fn ways_are_grouped_and_instances_without_one_are_there() {
        let mut map = NatMap::from_range(&"20.1.2.3:50000-50001".parse().unwrap());
        let mut second = map.entries[0].clone();
        second.protocol = Protocol::Udp;
        map.entries.insert(1, second);
        map.entries.pop();
        map.instances[1].power = Some(Power::Stopped);
        map.instances[1].model_current = Some(false);
        assert_eq!(
            written(write_table, &map),
            "INSTANCE  NAME  STATE               FRONTEND            BACKEND  VIA    KNOWN\n\
             0         -     -                   20.1.2.3:50000      -        range  computed\n\
             \x20                                   20.1.2.3:50000/udp  -        range  computed\n\
             1         -     stopped, old model  -                   -        -      -\n"
        );
        assert_eq!(written(write_jsonl, &map).lines().count(), 3);
    }

    #[test]
    fn possible_ports_are_one_line() {
        let entry = |port: u64| Entry {
            backend_port: Some(22.try_into().unwrap()),
            rule: crate::natmap::Rule { pool: Some("ssh".into()), ..crate::natmap::Rule::default() },
            ..Entry::new(None, None, port.try_into().unwrap(), Via::NatPool)
        };
        let map = NatMap::from_entries((50000..50120).map(entry).collect());
        assert_eq!(
            written(write_table, &map),
            "INSTANCE  NAME  FRONTEND       BACKEND  VIA           KNOWN\n\
             -         -     ?:50000-50119  22       nat-pool ssh  possible\n"
        );
    }
}
