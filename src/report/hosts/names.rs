use std::{
    collections::{HashMap, HashSet},
    fmt::Display,
    str::FromStr,
};

use thiserror::Error;

use crate::natmap::{Instance, InstanceId, NatMap};

/// The longest name that Azure takes for anything in a map; longer ones are not Azure's.
const LONGEST: usize = 80;

/// The names of all instances of a map. No two are the same, also without regard to case, as Azure's are
/// without.
#[derive(Debug, Clone)]
pub struct Names {
    prefix: String,
    of: HashMap<InstanceId, Vec<String>>,
    /// All names that are given, in lower case.
    taken: HashSet<String>,
}

/// What stands in front of every name, to tell one scale set's hosts from another's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

/// A text that can't be the start of a host's name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a prefix has letters, digits, \".\", \"_\" and \"-\" only, and does not start with \"-\"")]
pub struct PrefixError;

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let fit = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if text.starts_with('-') || !text.chars().all(fit) { Err(PrefixError) } else { Ok(Self(text.into())) }
    }
}

impl Names {
    /// Names all instances of a map: `web_3`, Azure's name, and also `web-3`, the scale set's with the number,
    /// where nobody else is called so. Who has no name of its own is `web-3` or `instance-3`.
    #[must_use]
    pub fn new(map: &NatMap, prefix: Option<&Prefix>) -> Self {
        let prefix = prefix.map_or_else(String::new, |prefix| prefix.0.clone());
        let mut names = Self { prefix, of: HashMap::new(), taken: HashSet::new() };
        let set = map.scale_set.as_ref().and_then(|set| clean_name(&set.name));
        names.give(map, |instance| clean_name(instance.name.as_deref()?));
        let numbered = |instance: &Instance| {
            // A Flexible instance's id is its name.
            if names_itself(instance) {
                return None;
            }
            Some(format!("{}-{}", set.as_ref()?, clean_name(instance.id.as_str())?))
        };
        names.give(map, numbered);
        names.give_the_rest(map);
        names
    }

    /// Gives each instance the name that it asks for, unless two ask for one or it is taken.
    fn give(&mut self, map: &NatMap, wish: impl Fn(&Instance) -> Option<String>) {
        let wishes: Vec<_> = map.instances.iter().map(|i| (i, wish(i))).collect();
        let mut asked: HashMap<String, usize> = HashMap::new();
        for name in wishes.iter().filter_map(|(_, name)| name.as_ref()) {
            *asked.entry(name.to_ascii_lowercase()).or_default() += 1;
        }
        for (instance, name) in wishes {
            let Some(name) = name else { continue };
            let once = asked.get(&name.to_ascii_lowercase()) == Some(&1);
            if once && let Some(name) = self.take(&name) {
                self.of.entry(instance.id.clone()).or_default().push(name);
            }
        }
    }

    fn give_the_rest(&mut self, map: &NatMap) {
        for instance in &map.instances {
            if self.of.contains_key(&instance.id) {
                continue;
            }
            let name = format!("instance-{}", clean_name(instance.id.as_str()).unwrap_or_default());
            let name = self.take(&name).unwrap_or_else(|| self.numbered(&name, 2));
            self.of.insert(instance.id.clone(), vec![name]);
        }
    }

    /// The name with the prefix, unless it is taken.
    fn take(&mut self, name: &str) -> Option<String> {
        self.taken.insert(name.to_ascii_lowercase()).then(|| format!("{}{name}", self.prefix))
    }

    /// The name with the first number from `number` on that makes it nobody else's.
    fn numbered(&mut self, name: &str, number: usize) -> String {
        let free = (number..).find_map(|number| self.take(&format!("{name}-{number}")));
        free.unwrap_or_default()
    }

    /// An instance's names, the main one first.
    pub(super) fn of(&self, instance: &Instance) -> Vec<String> {
        self.of.get(&instance.id).cloned().unwrap_or_default()
    }

    /// The names of an instance's way in number `number`: `web_3-2`.
    pub(super) fn further(&mut self, own: &[String], number: impl Display) -> Vec<String> {
        let bare = own.iter().map(|name| name.strip_prefix(self.prefix.as_str()).unwrap_or(name).to_owned());
        let names: Vec<_> = bare.map(|name| format!("{name}-{number}")).collect();
        let given: Vec<_> = names.iter().filter_map(|name| self.take(name)).collect();
        match names.first() {
            Some(first) if given.is_empty() => vec![self.numbered(first, 2)],
            _ => given,
        }
    }
}

fn names_itself(instance: &Instance) -> bool {
    instance.name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(instance.id.as_str()))
}

/// A name in letters, digits, `_` and `-`, with `_` for everything else; `None` where there is none.
///
/// So it can't be an option, a pattern, a second word or a template. A dot goes as well: a machine may be
/// called `github.com`, and then a configuration that is included would send everybody there.
pub(in crate::report) fn clean_name(text: &str) -> Option<String> {
    let fit = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let name: String = text.chars().take(LONGEST).map(|c| if fit(c) { c } else { '_' }).collect();
    match name.strip_prefix('-') {
        _ if name.is_empty() => None,
        Some(rest) => Some(format!("_{rest}")),
        None => Some(name),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::natmap::ScaleSetName;

    /// Instances by id and name, of the scale set `web`.
    fn named(instances: &[(&str, &str)], prefix: &str) -> Vec<String> {
        let map = NatMap {
            scale_set: Some(ScaleSetName { subscription: "s".into(), group: "g".into(), name: "web".into() }),
            instances: instances
                .iter()
                .map(|(id, name)| Instance {
                    name: Some((*name).to_owned()).filter(|name| !name.is_empty()),
                    ..Instance::new(InstanceId::new(*id))
                })
                .collect(),
            ..NatMap::default()
        };
        let names = Names::new(&map, Some(&prefix.parse().unwrap()));
        map.instances.iter().map(|instance| names.of(instance).join(" ")).collect()
    }

    #[test]
    fn names_are_azures_and_the_sets_with_the_number() {
        assert_eq!(named(&[("0", "web_0"), ("3", "web_3")], ""), ["web_0 web-0", "web_3 web-3"]);
        assert_eq!(named(&[("3", "")], "prod-"), ["prod-web-3"]);
        assert_eq!(named(&[("web_0e7d", "web_0e7d")], "p."), ["p.web_0e7d"]);
    }

    #[test]
    fn a_name_that_two_could_have_is_nobodys() {
        assert_eq!(named(&[("0", "a b"), ("1", "A_b"), ("2", "c")], ""), ["web-0", "web-1", "c web-2"]);
        // The other one is called so.
        assert_eq!(named(&[("0", "web-1"), ("1", "b")], ""), ["web-1 web-0", "b"]);
        assert_eq!(
            named(&[("a b", ""), ("a_b", ""), ("a:b", "instance-a_b-2")], ""),
            ["instance-a_b", "instance-a_b-3", "instance-a_b-2"]
        );
    }

    #[test]
    fn a_further_way_in_has_a_free_name() {
        let map = NatMap::from_range(&"20.1.2.3:50000".parse().unwrap());
        let mut names = Names::new(&map, Some(&"p-".parse().unwrap()));
        let own = names.of(&map.instances[0]);
        assert_eq!(own, ["p-instance-0"]);
        assert_eq!(names.further(&own, 2), ["p-instance-0-2"]);
        assert_eq!(names.further(&own, 2), ["p-instance-0-2-2"]);
    }

    #[test]
    fn prefixes_are_plain() {
        for wrong in ["-x", "a b", "*", "!", "a\n", "ä", "\"", "%"] {
            assert_eq!(wrong.parse::<Prefix>(), Err(PrefixError), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_documents_say_names_are_plain_and_different(
            texts in prop::collection::vec(("\\PC{0,6}|[-a!*#\"%{\n ]{0,3}", "\\PC{0,6}|[-aA_.{\r ]{0,2}"), 0..8)
        ) {
            let mut ids = HashSet::new();
            let mut texts = texts;
            texts.retain(|(id, _)| ids.insert(id.clone()));
            let texts: Vec<_> = texts.iter().map(|(id, name)| (id.as_str(), name.as_str())).collect();
            let named = named(&texts, "");
            let all: Vec<_> = named.iter().flat_map(|names| names.split(' ')).collect();
            prop_assert!(all.iter().all(|name| !name.is_empty() && !name.starts_with('-')), "{all:?}");
            prop_assert!(all.iter().all(|name| {
                name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            }), "{all:?}");
            let different: HashSet<_> = all.iter().map(|name| name.to_ascii_lowercase()).collect();
            prop_assert_eq!(different.len(), all.len());
        }
    }
}
