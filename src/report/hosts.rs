//! The map as hosts with names, for the configuration of other programs: what `ssh-config` and `inventory`
//! have in common.
//!
//! Texts of documents are checked here, once, so that nothing of them can mean something in the files that
//! are written from these values.

mod access;
mod names;
#[cfg(test)]
pub(super) mod sample;

use crate::{
    clean::clean_line,
    natmap::{Endpoint, Entry, Host, HostKeyAlias, Instance, NatMap, ScaleSetName},
};

pub use access::{Access, ConfigPath, ConfigUser, Unfit};
pub(super) use names::clean_name;
pub use names::{Names, Prefix, PrefixError};

/// What Azure's load balancers and public addresses take where nothing else is set.
const DEFAULT_IDLE_MINUTES: u16 = 4;

/// The hosts of a map in its order, and the instances that can be none.
#[derive(Debug, Clone)]
pub struct Hosts<'a> {
    /// What the map was made of, as the user named it.
    pub source: String,
    /// The scale set, where known.
    pub scale_set: Option<&'a ScaleSetName>,
    /// One for each way in.
    pub hosts: Vec<HostView<'a>>,
    /// Instances that nothing leads to.
    pub without: Vec<Without<'a>>,
}

/// A way in to an instance, under the names that it gets.
#[derive(Debug, Clone)]
pub struct HostView<'a> {
    /// Its names, the main one first; never empty. Letters, digits, `_`, `-` and what the prefix has.
    pub names: Vec<String>,
    /// True for the second and later ways in to one instance.
    pub further: bool,
    /// The instance.
    pub instance: &'a Instance,
    /// The way in.
    pub entry: &'a Entry,
    /// What to dial; its address is known.
    pub endpoint: Endpoint,
    /// What its host key is filed under: letters, digits and `.:[]_-`.
    pub alias: HostKeyAlias,
}

/// An instance that can't be a host, and why.
#[derive(Debug, Clone)]
pub struct Without<'a> {
    /// The name that it would have.
    pub name: String,
    /// The instance.
    pub instance: &'a Instance,
    /// Why, in words.
    pub reason: &'static str,
}

impl<'a> Hosts<'a> {
    /// The hosts of a map, or of a part of one: names come from the whole, so that a host is called the same
    /// in every part.
    #[must_use]
    pub fn new(source: &str, map: &'a NatMap, names: &Names) -> Self {
        let mut all = Self {
            source: clean_line(source),
            scale_set: map.scale_set.as_ref(),
            hosts: Vec::new(),
            without: Vec::new(),
        };
        let mut names = names.clone();
        for instance in &map.instances {
            all.add(map, instance, &mut names);
        }
        all
    }

    fn add(&mut self, map: &'a NatMap, instance: &'a Instance, names: &mut Names) {
        let own = names.of(instance);
        let mut reason = "no rule and no address leads to it";
        let mut found: Vec<HostView<'a>> = Vec::new();
        for entry in map.entries.iter().filter(|entry| entry.instance.as_ref() == Some(&instance.id)) {
            let Some(endpoint) = map.endpoint(entry) else { continue };
            // Two documents may tell of one way in.
            if found.iter().any(|host| host.endpoint == endpoint) {
                continue;
            }
            let alias = match checked_alias(&endpoint) {
                Ok(alias) => alias,
                Err(why) => {
                    reason = why;
                    continue;
                }
            };
            let further = !found.is_empty();
            let names = if further { names.further(&own, found.len() + 1) } else { own.clone() };
            found.push(HostView { names, further, instance, entry, endpoint, alias });
        }
        if found.is_empty() {
            let name = own.into_iter().next().unwrap_or_default();
            self.without.push(Without { name, instance, reason });
        }
        self.hosts.append(&mut found);
    }

    /// The name of the scale set, fit for a comment.
    pub(super) fn scale_set_words(&self) -> String {
        self.scale_set.map_or_else(String::new, |set| {
            format!(", scale set {} in {}", clean_line(&set.name), clean_line(&set.group))
        })
    }
}

impl HostView<'_> {
    /// The main name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// Seconds between signs of life on an idle connection: half the time after which the load balancer
    /// forgets it, so that one that is lost on the way does not cost the connection.
    #[must_use]
    pub fn keepalive_seconds(&self) -> u32 {
        let minutes = self.entry.rule.idle_timeout_minutes.filter(|minutes| *minutes > 0);
        u32::from(minutes.unwrap_or(DEFAULT_IDLE_MINUTES)) * 60 / 2
    }
}

/// The name that the host key is filed under, where one can be written. A `vmId` is a GUID in Azure; a
/// document may say anything.
fn checked_alias(endpoint: &Endpoint) -> Result<HostKeyAlias, &'static str> {
    if endpoint.host == Host::Unknown {
        return Err("the address of its frontend is not known");
    }
    let alias = endpoint.host_key_alias();
    let fit = |c: char| c.is_ascii_alphanumeric() || ".:[]_-".contains(c);
    if alias.as_str().is_empty() || alias.as_str().starts_with('-') || !alias.as_str().chars().all(fit) {
        return Err("its vmId is no name that a host key can be filed under");
    }
    Ok(alias)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        natmap::{InstanceSet, Via},
        report::hosts::sample::web,
    };

    fn hosts(map: &NatMap) -> Hosts<'_> {
        Hosts::new("@x", map, &Names::new(map, None))
    }

    fn names(hosts: &Hosts<'_>) -> Vec<String> {
        hosts.hosts.iter().map(|host| host.names.join(" ")).collect()
    }

    #[test]
    fn every_way_in_is_a_host_and_the_rest_is_named() {
        let mut map = web();
        map.entries[1].address = None;
        map.entries.remove(2);
        let mut second = map.entries[0].clone();
        second.via = Via::PublicIp;
        second.port = 22.try_into().unwrap();
        let mut udp = second.clone();
        udp.protocol = crate::natmap::Protocol::Udp;
        // The same way once more, as from another document.
        map.entries.extend([second.clone(), second, udp]);
        let hosts = hosts(&map);
        assert_eq!(names(&hosts), ["web_0 web-0", "web_0-2 web-0-2"]);
        assert_eq!(hosts.hosts.iter().map(|h| h.further).collect::<Vec<_>>(), [false, true]);
        let without: Vec<_> = hosts.without.iter().map(|w| (w.name.as_str(), w.reason)).collect();
        assert_eq!(
            without,
            [
                ("web_1", "the address of its frontend is not known"),
                ("web_2", "no rule and no address leads to it")
            ]
        );
    }

    #[test]
    fn a_part_has_the_names_of_the_whole() {
        let mut map = web();
        map.instances[1].name = Some("WEB_0".into());
        let part = map.restricted_to(&"1".parse::<InstanceSet>().unwrap(), None).unwrap();
        let hosts = Hosts::new("@x", &part, &Names::new(&map, None));
        assert_eq!(names(&hosts), ["web-1"]);
    }

    #[test]
    fn an_alias_is_what_keys_are_filed_under_or_no_host_is_made() {
        let mut map = web();
        map.instances[0].vm_id = Some("AE1BD73A-710F-4024-AE07-AB0F8E256C38".into());
        map.instances[1].vm_id = Some("x\nProxyCommand touch".into());
        let made = hosts(&map);
        let aliases: Vec<_> = made.hosts.iter().map(|h| h.alias.as_str()).collect();
        assert_eq!(aliases, ["ae1bd73a-710f-4024-ae07-ab0f8e256c38", "[20.1.2.3]:50002"]);
        for evil in
            ["", "-oProxyCommand=x", "a b", "*", "!x", "a,b", "#x", "@revoked", "|1|", "%h", "\"", "ä"]
        {
            map.instances[1].vm_id = Some(evil.into());
            assert_eq!(hosts(&map).without.len(), 1, "{evil:?}");
        }
    }

    #[test]
    fn signs_of_life_come_before_the_load_balancer_forgets() {
        let mut map = web();
        map.entries[0].rule.idle_timeout_minutes = Some(15);
        map.entries[1].rule.idle_timeout_minutes = Some(0);
        let seconds: Vec<_> = hosts(&map).hosts.iter().map(HostView::keepalive_seconds).collect();
        assert_eq!(seconds, [450, 120, 120]);
    }
}
