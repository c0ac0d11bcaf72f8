//! A map to write in tests.

use std::path::Path;

use super::{Access, ConfigPath, ConfigUser};
use crate::natmap::{NatMap, ScaleSetName};

/// Instances 0 to 2 of `web` on ports 50000 to 50002, with names.
pub(in crate::report) fn web() -> NatMap {
    let mut map = NatMap::from_range(&"20.1.2.3:50000-50002".parse().unwrap());
    map.scale_set =
        Some(ScaleSetName { subscription: "s".into(), group: "prod-rg".into(), name: "web".into() });
    for instance in &mut map.instances {
        instance.name = Some(format!("web_{}", instance.id));
    }
    map
}

/// A user, a key and two files of known hosts.
pub(in crate::report) fn access() -> Access {
    let path = |path: &str| ConfigPath::new(Path::new(path)).unwrap();
    Access {
        user: Some(ConfigUser::new("azureuser").unwrap()),
        identities: vec![path("/home/me/a key")],
        known_hosts: vec![path("/home/me/own"), path("/home/me/.ssh/known_hosts")],
    }
}

/// What a document may say to get something else done: new lines, quotes, options, patterns, templates.
pub(in crate::report) const HOSTILE: &[&str] = &[
    "x\n  ProxyCommand touch /tmp/owned",
    "x\r\nHost *\r\n",
    "-oProxyCommand=touch",
    "\" ProxyCommand \"touch",
    "x' : { y",
    "* !web",
    "x # y",
    "%h ${HOME} $(id) `id`",
    "{{ lookup('pipe', 'id') }}",
    "{% raw %}",
    "web[0:9999]",
    "x:22, y",
    "\u{202e}\u{85}\u{2028}x\0",
    "&a !!python/object *a",
    "",
];

/// A map in which all texts are hostile that a document can make so.
pub(in crate::report) fn hostile(text: &str) -> NatMap {
    let mut map = web();
    let set = map.scale_set.as_mut().unwrap();
    (set.name, set.group, set.subscription) = (text.into(), text.into(), text.into());
    let instance = &mut map.instances[0];
    (instance.name, instance.computer_name) = (Some(text.into()), Some(text.into()));
    // One instance is without a way in, for this reason.
    map.instances[1].vm_id = Some(format!("1{text}\n"));
    map.instances[1].name = Some(format!("1{text}"));
    for entry in &mut map.entries {
        let rule = &mut entry.rule;
        for name in [&mut rule.name, &mut rule.pool, &mut rule.frontend, &mut rule.load_balancer] {
            *name = Some(text.into());
        }
    }
    let second = map.entries[0].clone();
    map.entries.push(crate::natmap::Entry { port: 50009.try_into().unwrap(), ..second });
    map
}
