//! The map as OpenSSH's client configuration (ssh_config(5)).

use std::io::{self, Write};

use super::hosts::{Access, HostView, Hosts};
use crate::clean::clean_line;

/// Writes a `Host` block for every way in. The same map gives the same text.
///
/// # Errors
/// When `out` fails.
pub fn write(out: &mut dyn Write, hosts: &Hosts<'_>, access: &Access) -> io::Result<()> {
    write_header(out, hosts)?;
    for host in &hosts.hosts {
        write_host(out, host, access)?;
    }
    if !hosts.without.is_empty() {
        writeln!(out, "\n# Not here:")?;
    }
    for without in &hosts.without {
        let id = clean_line(without.instance.id.as_str());
        writeln!(out, "#   {} (instance {id}): {}", without.name, without.reason)?;
    }
    Ok(())
}

fn write_header(out: &mut dyn Write, hosts: &Hosts<'_>) -> io::Result<()> {
    let example = hosts.hosts.first().map_or("NAME", HostView::name);
    writeln!(
        out,
        "# The instances of {}{}. Written by `vmssh ssh-config`;\n\
         # ports move when instances come and go: write it again then.\n\
         #\n\
         #   vmssh ssh-config TARGET > ~/.ssh/vmss.conf\n\
         #   ssh -F ~/.ssh/vmss.conf {example}\n\
         #\n\
         # Or put `Include vmss.conf` at the top of ~/.ssh/config, above the first Host: then `ssh {example}`, scp,\n\
         # sftp, rsync and git know the names too.",
        hosts.source,
        hosts.scale_set_words(),
    )
}

fn write_host(out: &mut dyn Write, host: &HostView<'_>, access: &Access) -> io::Result<()> {
    writeln!(out)?;
    if host.further {
        // What tells it from the first.
        let id = clean_line(host.instance.id.as_str());
        let frontend = host.entry.rule.frontend.as_deref().map(clean_line);
        let frontend = frontend.map_or_else(String::new, |frontend| format!(", by the frontend {frontend}"));
        writeln!(out, "# Another way in to instance {id}{frontend}.")?;
    }
    writeln!(out, "Host {}", host.names.join(" "))?;
    // ssh wants IPv6 without brackets here.
    writeln!(out, "  HostName {}", host.endpoint.host)?;
    writeln!(out, "  Port {}", host.endpoint.port)?;
    if let Some(user) = &access.user {
        writeln!(out, "  User {}", user.as_str())?;
    }
    for identity in &access.identities {
        writeln!(out, "  IdentityFile {}", identity.quoted())?;
    }
    if !access.identities.is_empty() {
        writeln!(out, "  IdentitiesOnly yes")?;
    }
    // ssh looks it up as it is, brackets and port included, and does not add the port again.
    writeln!(out, "  HostKeyAlias {}", host.alias)?;
    if !access.known_hosts.is_empty() {
        let files: Vec<_> = access.known_hosts.iter().map(|file| file.quoted()).collect();
        writeln!(out, "  UserKnownHostsFile {}", files.join(" "))?;
    }
    writeln!(out, "  ServerAliveInterval {}", host.keepalive_seconds())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        natmap::NatMap,
        report::hosts::{
            Names,
            sample::{self, HOSTILE},
        },
    };

    fn written(map: &NatMap, source: &str, access: &Access) -> String {
        let mut out = Vec::new();
        write(&mut out, &Hosts::new(source, map, &Names::new(map, None)), access).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_block_says_all_that_ssh_needs() {
        let mut map = sample::web();
        map.instances[0].vm_id = Some("AE1BD73A-710F-4024-AE07-AB0F8E256C38".into());
        map.entries[0].address = Some("2603:1030::1a".parse().unwrap());
        map.entries[1].rule.idle_timeout_minutes = Some(30);
        map.entries.remove(2);
        let text = written(&map, "@map.json", &sample::access());
        let (header, blocks) = text.split_once("\n\n").unwrap();
        assert!(header.starts_with("# The instances of @map.json, scale set web in prod-rg. "), "{header}");
        assert!(header.contains("ssh -F ~/.ssh/vmss.conf web_0\n"), "{header}");
        assert_eq!(
            blocks,
            r#"Host web_0 web-0
  HostName 2603:1030::1a
  Port 50000
  User azureuser
  IdentityFile "/home/me/a key"
  IdentitiesOnly yes
  HostKeyAlias ae1bd73a-710f-4024-ae07-ab0f8e256c38
  UserKnownHostsFile "/home/me/own" "/home/me/.ssh/known_hosts"
  ServerAliveInterval 120

Host web_1 web-1
  HostName 20.1.2.3
  Port 50001
  User azureuser
  IdentityFile "/home/me/a key"
  IdentitiesOnly yes
  HostKeyAlias [20.1.2.3]:50001
  UserKnownHostsFile "/home/me/own" "/home/me/.ssh/known_hosts"
  ServerAliveInterval 900

# Not here:
#   web_2 (instance 2): no rule and no address leads to it
"#
        );
    }

    #[test]
    fn what_is_not_known_is_left_to_ssh() {
        let map = NatMap::from_range(&"web.example:22".parse().unwrap());
        let text = written(&map, "web.example:22", &Access::default());
        let (_, blocks) = text.split_once("\n\n").unwrap();
        assert_eq!(
            blocks,
            "Host instance-0\n  HostName web.example\n  Port 22\n  HostKeyAlias web.example\n  ServerAliveInterval 120\n"
        );
    }

    #[test]
    fn a_second_way_in_says_which() {
        let mut map = sample::web();
        let mut second = map.entries[0].clone();
        second.address = Some("2603:1030::1a".parse().unwrap());
        second.rule.frontend = Some("fe\n6".into());
        map.entries.push(second);
        let text = written(&map, "-", &Access::default());
        let block = "\n# Another way in to instance 0, by the frontend fe^J6.\nHost web_0-2 web-0-2\n  HostName 2603:";
        assert!(text.contains(block), "{text}");
    }

    #[test]
    fn no_text_of_a_document_says_anything_to_ssh() {
        for evil in HOSTILE {
            let map = sample::hostile(evil);
            let text = written(&map, evil, &Access::default());
            for line in text.split(['\n', '\r', '\u{85}', '\u{2028}']).filter(|l| !l.starts_with('#')) {
                let words: Vec<_> = line.split(' ').filter(|word| !word.is_empty()).collect();
                let fit = |c: char| c.is_ascii_alphanumeric() || ".:[]_-".contains(c);
                let plain = words.iter().all(|word| !word.starts_with('-') && word.chars().all(fit));
                let known = match words.as_slice() {
                    [] => true,
                    ["Host", names @ ..] => !names.is_empty() && !names.concat().contains(['.', ':', '[']),
                    [key, _] => ["HostName", "Port", "HostKeyAlias", "ServerAliveInterval"].contains(key),
                    _ => false,
                };
                assert!(plain && known, "{evil:?}: {line:?} in\n{text}");
            }
            assert_eq!(text.matches("\nHost ").count(), 3, "{text}");
            assert!(!text.contains(|c: char| c != '\n' && (c.is_control() || crate::clean::is_steering(c))));
        }
    }
}
