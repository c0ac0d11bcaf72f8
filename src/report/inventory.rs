//! The map as Ansible's inventory: a YAML file, or the JSON of an inventory script.
//!
//! Ansible reads variables as templates, so a document's text becomes one only where it can't be a template.

mod variables;

use std::io::{self, Write};

use serde_json::{Map, json};

use super::{
    hosts::{Access, HostView, Hosts, clean_name},
    json,
};
use crate::clean::clean_line;
use variables::variables;

/// Groups that Ansible has, and what is no group in a script's answer.
const RESERVED: [&str; 3] = ["all", "ungrouped", "_meta"];

/// Writes the YAML file. All texts in it are quoted as in JSON, which YAML reads the same.
///
/// # Errors
/// When `out` fails.
pub fn write_yaml(out: &mut dyn Write, hosts: &Hosts<'_>, access: &Access) -> io::Result<()> {
    writeln!(
        out,
        "# The instances of {}{}. Written by `vmssh inventory`;\n\
         # ports move when instances come and go: write it again then, or use `vmssh inventory TARGET --list`.\n\
         #\n\
         #   vmssh inventory TARGET > vmss.yml\n\
         #   ansible -i vmss.yml {} -m ping",
        hosts.source,
        hosts.scale_set_words(),
        group(hosts)
    )?;
    for without in &hosts.without {
        let id = clean_line(without.instance.id.as_str());
        writeln!(out, "# Not here: {} (instance {id}): {}", without.name, without.reason)?;
    }
    let none = if hosts.hosts.is_empty() { " {}" } else { "" };
    writeln!(out, "\"all\":\n  \"children\":\n    \"{}\":\n      \"hosts\":{none}", group(hosts))?;
    for host in one_each(hosts) {
        writeln!(out, "        \"{}\":", host.name())?;
        for (name, value) in variables(hosts, host, access)? {
            write!(out, "          \"{name}\": ")?;
            json::write_line(out, &value)?;
        }
    }
    Ok(())
}

/// Writes what an inventory script answers to `--list`: the group, and the variables of all hosts, so that it
/// need not be asked for each.
///
/// # Errors
/// When `out` fails.
pub fn write_list(out: &mut dyn Write, hosts: &Hosts<'_>, access: &Access) -> io::Result<()> {
    let mut all = Map::new();
    for host in one_each(hosts) {
        all.insert(host.name().into(), variables(hosts, host, access)?.into());
    }
    let names: Vec<_> = one_each(hosts).map(HostView::name).collect();
    let mut list = Map::new();
    list.insert("_meta".into(), json!({ "hostvars": all }));
    list.insert("all".into(), json!({ "children": [group(hosts)] }));
    list.insert(group(hosts), json!({ "hosts": names }));
    json::write_line(out, &list)
}

/// Writes what an inventory script answers to `--host NAME`: nothing is known of an unknown one.
///
/// # Errors
/// When `out` fails.
pub fn write_host(out: &mut dyn Write, hosts: &Hosts<'_>, access: &Access, name: &str) -> io::Result<()> {
    let host = one_each(hosts).find(|host| host.name() == name);
    json::write_line(out, &host.map(|host| variables(hosts, host, access)).transpose()?.unwrap_or_default())
}

/// A play must not run twice on an instance because there are two ways in.
fn one_each<'a>(hosts: &'a Hosts<'_>) -> impl Iterator<Item = &'a HostView<'a>> {
    hosts.hosts.iter().filter(|host| !host.further)
}

/// The name of the group: the scale set's, in letters, digits and `_`, with something in front where Ansible
/// would refuse it (a digit) or warn (a host is called the same).
fn group(hosts: &Hosts<'_>) -> String {
    let name = hosts.scale_set.and_then(|set| clean_name(&set.name));
    let name = name.map_or_else(|| "vmss".into(), |name| name.replace('-', "_"));
    let digit = name.starts_with(|c: char| c.is_ascii_digit());
    let is_host = hosts.hosts.iter().any(|host| host.name() == name);
    if digit || is_host || RESERVED.contains(&name.as_str()) { format!("vmss_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{
        natmap::{NatMap, Power},
        report::hosts::{
            Names,
            sample::{self, HOSTILE},
        },
    };

    type Writer<'a> = &'a dyn Fn(&mut dyn Write, &Hosts<'_>, &Access) -> io::Result<()>;

    fn written(map: &NatMap, access: &Access, write: Writer<'_>) -> String {
        let mut out = Vec::new();
        write(&mut out, &Hosts::new("@map.json", map, &Names::new(map, None)), access).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn list(map: &NatMap, access: &Access) -> Value {
        serde_json::from_str(&written(map, access, &write_list)).unwrap()
    }

    fn web() -> NatMap {
        let mut map = sample::web();
        let instance = &mut map.instances[0];
        instance.vm_id = Some("ae1bd73a-710f-4024-ae07-ab0f8e256c38".into());
        instance.power = Some(Power::Running);
        instance.private_addresses = vec!["10.1.0.7".parse().unwrap()];
        map.entries.truncate(2);
        map
    }

    #[test]
    fn the_file_has_a_group_of_hosts_with_their_variables() {
        let text = written(&web(), &sample::access(), &write_yaml);
        let (header, body) = text.split_once("\n\"all\":").unwrap();
        assert!(header.starts_with("# The instances of @map.json, scale set web in prod-rg. "), "{header}");
        assert!(header.ends_with("\n# Not here: web_2 (instance 2): no rule and no address leads to it"));
        let first = r#"
  "children":
    "web":
      "hosts":
        "web_0":
          "ansible_host": "20.1.2.3"
          "ansible_port": 50000
          "ansible_user": "azureuser"
          "ansible_ssh_private_key_file": "/home/me/a key"
          "ansible_ssh_common_args": "-o HostKeyAlias=ae1bd73a-710f-4024-ae07-ab0f8e256c38 -o 'UserKnownHostsFile=\"/home/me/own\" \"/home/me/.ssh/known_hosts\"' -o IdentitiesOnly=yes -o ServerAliveInterval=120"
          "vmss_instance_id": "0"
          "vmss_vm_id": "ae1bd73a-710f-4024-ae07-ab0f8e256c38"
          "vmss_power": "running"
          "vmss_private_address": "10.1.0.7"
          "vmss_scale_set": "web"
          "vmss_resource_group": "prod-rg"
        "web_1":
"#;
        assert!(body.starts_with(first), "{body}");
    }

    #[test]
    fn a_script_answers_with_all_or_one() {
        let map = web();
        let all = list(&map, &Access::default());
        assert_eq!(all["web"]["hosts"], json!(["web_0", "web_1"]));
        assert_eq!(all["all"]["children"], json!(["web"]));
        let first = &all["_meta"]["hostvars"]["web_1"];
        assert_eq!(
            *first,
            json!({
                "ansible_host": "20.1.2.3",
                "ansible_port": 50001,
                "ansible_ssh_common_args": "-o HostKeyAlias=[20.1.2.3]:50001 -o ServerAliveInterval=120",
                "vmss_instance_id": "1",
                "vmss_scale_set": "web",
                "vmss_resource_group": "prod-rg",
            })
        );
        let one = |name: &'static str| {
            written(&map, &Access::default(), &move |out, hosts, access| write_host(out, hosts, access, name))
        };
        assert_eq!(serde_json::from_str::<Value>(&one("web_1")).unwrap(), *first);
        assert_eq!(one("web_9"), "{}\n");
    }

    #[test]
    fn an_instance_is_one_host_whatever_leads_to_it() {
        let mut map = web();
        let mut second = map.entries[0].clone();
        second.port = 50009.try_into().unwrap();
        map.entries.push(second);
        assert_eq!(list(&map, &Access::default())["web"]["hosts"], json!(["web_0", "web_1"]));
    }

    #[test]
    fn groups_are_called_what_ansible_takes() {
        for (set, group) in [
            ("web-prod.1", "web_prod_1"),
            ("1st", "vmss_1st"),
            ("all", "vmss_all"),
            ("-meta", "vmss__meta"),
            ("web_1", "vmss_web_1"),
            ("-x", "_x"),
            ("ä{{", "___"),
        ] {
            let mut map = web();
            map.scale_set.as_mut().unwrap().name = set.into();
            assert!(list(&map, &Access::default()).get(group).is_some(), "{set}");
        }
        let map = NatMap::from_range(&"20.1.2.3:50000".parse().unwrap());
        assert_eq!(list(&map, &Access::default())["vmss"]["hosts"], json!(["instance-0"]));
    }

    #[test]
    fn no_text_of_a_document_says_anything_to_ansible() {
        for evil in HOSTILE {
            let map = sample::hostile(evil);
            let text = written(&map, &Access::default(), &write_yaml);
            assert!(!text.contains(|c: char| c != '\n' && (c.is_control() || crate::clean::is_steering(c))));
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            let body = lines.collect::<Vec<_>>().join("\n");
            assert!(!body.contains(['{', '}', '%', '#', '*', '&', '!', ',', '$', '`']), "{body}");
            for line in body.lines() {
                let (key, value) = line.trim().split_once(':').unwrap();
                serde_json::from_str::<String>(key).unwrap();
                assert!(value.is_empty() || serde_json::from_str::<Value>(value).is_ok(), "{line}");
            }
            let list = list(&map, &Access::default());
            assert_eq!(list.as_object().unwrap().len(), 3, "{list}");
            assert_eq!(list["_meta"]["hostvars"].as_object().unwrap().len(), 2, "{list}");
        }
    }
}
