use std::{borrow::Cow, io};

use serde_json::{Map, Value};

use crate::report::hosts::{Access, HostView, Hosts};

/// All variables of a host: how Ansible reaches it, and what is known of the instance.
pub(super) fn variables(
    hosts: &Hosts<'_>,
    host: &HostView<'_>,
    access: &Access,
) -> io::Result<Map<String, Value>> {
    let mut all = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            all.insert(name.into(), value);
        }
    };
    set("ansible_host", Some(host.endpoint.host.to_string().into()));
    set("ansible_port", Some(host.endpoint.port.get().into()));
    set("ansible_user", access.user.as_ref().map(|user| user.as_str().into()));
    // Ansible hands it to ssh in quotes, which expands `%`.
    set("ansible_ssh_private_key_file", access.identities.first().map(|key| key.escaped().into()));
    set("ansible_ssh_common_args", Some(common_arguments(host, access)?.into()));
    let instance = host.instance;
    let address = host.entry.private_address.or_else(|| instance.private_addresses.first().copied());
    set("vmss_instance_id", fact(instance.id.as_str()));
    set("vmss_vm_id", instance.vm_id.as_deref().and_then(fact));
    set("vmss_power", instance.power.map(|power| power.as_str().into()));
    set("vmss_private_address", address.map(|address| address.to_string().into()));
    set("vmss_scale_set", hosts.scale_set.and_then(|set| fact(&set.name)));
    set("vmss_resource_group", hosts.scale_set.and_then(|set| fact(&set.group)));
    Ok(all)
}

/// A document's text as a variable, where it has only what Azure takes in names and ids: no template has.
fn fact(text: &str) -> Option<Value> {
    let fit = |c: char| c.is_alphanumeric() || "-_.()".contains(c);
    (!text.is_empty() && text.chars().all(fit)).then(|| text.into())
}

/// Options of ssh in the quotes of a shell, as Ansible takes them apart again.
fn common_arguments(host: &HostView<'_>, access: &Access) -> io::Result<String> {
    let mut options = vec![format!("HostKeyAlias={}", host.alias)];
    if !access.known_hosts.is_empty() {
        let files: Vec<_> = access.known_hosts.iter().map(|file| file.quoted()).collect();
        options.push(format!("UserKnownHostsFile={}", files.join(" ")));
    }
    // Ansible has a variable for one key only.
    options.extend(access.identities.iter().skip(1).map(|key| format!("IdentityFile={}", key.quoted())));
    if !access.identities.is_empty() {
        options.push("IdentitiesOnly=yes".into());
    }
    // A long task prints nothing, and a load balancer forgets connections on which nothing happens.
    options.push(format!("ServerAliveInterval={}", host.keepalive_seconds()));
    let words = options.iter().map(|option| Ok(format!("-o {}", argument(option)?)));
    Ok(words.collect::<io::Result<Vec<_>>>()?.join(" "))
}

/// In quotes where it takes some. No shell sees it, so brackets do not.
fn argument(option: &str) -> io::Result<Cow<'_, str>> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "=.:[]_-".contains(c);
    if option.chars().all(plain) {
        return Ok(option.into());
    }
    shlex::try_quote(option).map_err(io::Error::other)
}
