use std::{collections::BTreeSet, fmt::Write as _, str::FromStr};

use thiserror::Error;

use super::{BackendPort, Endpoint, Entry, Host, Instance, InstanceId, NatMap};
use crate::pattern;

/// A set of instances as it is typed: `3`, `0-9,12`, `web_*`, `!4` (all but), joined by commas.
///
/// Terms with `!` take away from what the others give, or from all where there are no others. Names
/// compare without case, as Azure's do; `*` stands for any text, `?` for one character. The default is
/// the set of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceSet {
    give: Vec<Term>,
    take: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Range(u64, u64),
    Pattern(String),
    Exact(String),
}

/// Why a text is not an instance set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InstanceSetError {
    /// Nothing between two commas, or nothing at all.
    #[error("the instance set \"{0}\" has an empty part")]
    Empty(String),
    /// A range that ends before it starts.
    #[error("the instance range \"{0}\" ends before it starts")]
    Backwards(String),
    /// `@failed` and its kin need a saved last run.
    #[error("\"{0}\" names a set from the last run, and vmssh does not keep runs yet")]
    LastRun(String),
}

/// Why a set names nothing that can be dialled on a map.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SelectError {
    /// A part of the set matches no instance of the map.
    #[error("there is no instance \"{wanted}\" on this map; there are {there}")]
    NoSuchInstance {
        /// The part, as typed.
        wanted: String,
        /// The instances that are there, as a set.
        there: String,
    },
    /// The map has possible ports only, and the set asks for instances by name.
    #[error("the document gives possible ports only, so which one is instance \"{0}\"'s can't be told")]
    OnlyPossible(String),
    /// The set took every instance away, or the map is empty.
    #[error("no instance is left to work on")]
    Nothing,
    /// The instances are there, but not with the wanted backend port.
    #[error(
        "none of the selected instances has a rule for backend port {wanted}; there are rules for {there}"
    )]
    NoSuchBackendPort {
        /// The wanted port.
        wanted: BackendPort,
        /// The backend ports that the map has.
        there: String,
    },
    /// The instances are there, and no rule leads to them.
    #[error("no TCP rule and no public address leads to {0}")]
    NoWayIn(String),
    /// Endpoints are known only by port: their address is not.
    #[error("the address of the frontend is not known")]
    NoAddress,
}

impl InstanceSet {
    /// True for the set of all.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.give.is_empty() && self.take.is_empty()
    }

    /// Whether an instance is in the set.
    #[must_use]
    pub fn contains(&self, instance: &Instance) -> bool {
        (self.give.is_empty() || self.give.iter().any(|t| t.matches(instance)))
            && !self.take.iter().any(|t| t.matches(instance))
    }
}

impl FromStr for InstanceSet {
    type Err = InstanceSetError;

    fn from_str(text: &str) -> Result<Self, InstanceSetError> {
        let mut set = Self::default();
        for part in text.split(',').map(str::trim) {
            let (side, part) = match part.strip_prefix('!') {
                Some(rest) => (&mut set.take, rest),
                None => (&mut set.give, part),
            };
            if part.is_empty() {
                return Err(InstanceSetError::Empty(text.into()));
            }
            side.push(part.parse()?);
        }
        Ok(set)
    }
}

impl FromStr for Term {
    type Err = InstanceSetError;

    fn from_str(part: &str) -> Result<Self, InstanceSetError> {
        if part.starts_with('@') {
            return Err(InstanceSetError::LastRun(part.into()));
        }
        if let Some((low, high)) = part.split_once('-')
            && let (Ok(low), Ok(high)) = (low.parse(), high.parse())
        {
            return if low <= high {
                Ok(Self::Range(low, high))
            } else {
                Err(InstanceSetError::Backwards(part.into()))
            };
        }
        Ok(if part.contains(['*', '?']) {
            Self::Pattern(part.to_lowercase())
        } else {
            Self::Exact(part.to_lowercase())
        })
    }
}

impl Term {
    fn matches(&self, instance: &Instance) -> bool {
        let names = [Some(instance.id.as_str()), instance.name.as_deref()];
        let mut names = names.into_iter().flatten().map(str::to_lowercase);
        match self {
            Self::Range(low, high) => instance.id.number().is_some_and(|n| (*low..=*high).contains(&n)),
            Self::Exact(wanted) => names.any(|name| name == *wanted),
            Self::Pattern(pattern) => names.any(|name| pattern::matches(pattern, &name)),
        }
    }
}

impl std::fmt::Display for Term {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Range(low, high) => write!(f, "{low}-{high}"),
            Self::Pattern(text) | Self::Exact(text) => f.write_str(text),
        }
    }
}

impl NatMap {
    /// The part of the map that a set names, in the map's order, of one backend port where one is
    /// wanted. Entries whose backend port is not known stay: the user's word is all there is.
    /// Findings stay as they are.
    ///
    /// # Errors
    /// When a part of the set matches no instance (the error says which there are), or no entry has
    /// the wanted backend port.
    pub fn restricted_to(
        &self,
        set: &InstanceSet,
        backend_port: Option<BackendPort>,
    ) -> Result<Self, SelectError> {
        let entries = self.entries_of(set, backend_port)?;
        let instances = self.instances.iter().filter(|instance| set.contains(instance));
        Ok(Self {
            scale_set: self.scale_set.clone(),
            admin_username: self.admin_username.clone(),
            instances: instances.cloned().collect(),
            gone: if set.is_all() { self.gone.clone() } else { Vec::new() },
            entries: entries.into_iter().map(|entry| entry.leading_to(backend_port)).collect(),
            findings: self.findings.clone(),
        })
    }

    /// The entries of a set and a backend port; an instance's own address has every port.
    fn entries_of(
        &self,
        set: &InstanceSet,
        backend_port: Option<BackendPort>,
    ) -> Result<Vec<&Entry>, SelectError> {
        self.check_terms(set)?;
        let of_set = |entry: &&Entry| {
            let instance = || entry.instance.as_ref().and_then(|id| self.instance(id));
            set.is_all() || instance().is_some_and(|instance| set.contains(instance))
        };
        let all: Vec<_> = self.entries.iter().filter(of_set).collect();
        let Some(wanted) = backend_port else { return Ok(all) };
        let leads_there = |entry: &&Entry| {
            entry.via.is_own_address() || entry.backend_port.is_none_or(|port| port == wanted)
        };
        let entries: Vec<_> = all.iter().copied().filter(leads_there).collect();
        if entries.is_empty() && !all.is_empty() {
            let there: BTreeSet<_> = all.iter().filter_map(|entry| entry.backend_port).collect();
            let there = there.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return Err(SelectError::NoSuchBackendPort { wanted, there });
        }
        Ok(entries)
    }

    /// The endpoints that a set names: [`restricted_to`](Self::restricted_to), as what to dial.
    ///
    /// # Errors
    /// As there, and when nothing is left or what is left can't be dialled.
    pub fn select(
        &self,
        set: &InstanceSet,
        backend_port: Option<BackendPort>,
    ) -> Result<Vec<Endpoint>, SelectError> {
        // Without a copy of the map: a thousand endpoints are dialled in less time than that takes.
        let entries = self.entries_of(set, backend_port)?;
        let endpoint = |entry: &&Entry| {
            let endpoint = self.endpoint(entry)?;
            Some(Endpoint { port: entry.port_to(backend_port), ..endpoint })
        };
        let mut endpoints = Vec::with_capacity(entries.len());
        endpoints.extend(entries.iter().filter_map(endpoint));
        // Ports whose address and instance are both not known can't even be named.
        if endpoints.is_empty() && !entries.iter().any(|entry| entry.is_possible()) {
            let instances = self.instances.iter().filter(|instance| set.contains(instance));
            let ids: Vec<_> = instances.map(|instance| instance.id.clone()).collect();
            return Err(if ids.is_empty() {
                SelectError::Nothing
            } else {
                SelectError::NoWayIn(display_set(&ids))
            });
        }
        if endpoints.iter().all(|e| e.host == Host::Unknown) {
            Err(SelectError::NoAddress)
        } else {
            Ok(endpoints)
        }
    }

    pub(super) fn check_terms(&self, set: &InstanceSet) -> Result<(), SelectError> {
        if self.entries.is_empty() && self.instances.is_empty() {
            return Ok(());
        }
        for term in set.give.iter().chain(&set.take) {
            if self.instances.iter().any(|instance| term.matches(instance)) {
                continue;
            }
            let ids: Vec<_> = self.instance_ids().cloned().collect();
            return Err(if ids.is_empty() {
                SelectError::OnlyPossible(term.to_string())
            } else {
                SelectError::NoSuchInstance { wanted: term.to_string(), there: display_set(&ids) }
            });
        }
        Ok(())
    }
}

/// Ids as a set that can be typed again: `0-3,7,web_a`.
#[must_use]
pub fn display_set(ids: &[InstanceId]) -> String {
    let mut ids: Vec<_> = ids.to_vec();
    ids.sort();
    ids.dedup();
    let mut text = String::new();
    let mut rest = ids.as_slice();
    while let Some((first, more)) = rest.split_first() {
        let run = match first.number() {
            Some(n) => {
                more.iter().zip(n..=u64::MAX).take_while(|(id, n)| id.number() == n.checked_add(1)).count()
            }
            None => 0,
        };
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a String can't fail.
        let _ = match more.get(run.wrapping_sub(1)) {
            Some(last) if run >= 1 => write!(text, "{comma}{first}-{last}"),
            _ => write!(text, "{comma}{first}"),
        };
        rest = more.get(run..).unwrap_or_default();
    }
    text
}

/// The first way in to each instance, in order; ports whose instances are not known all stay.
#[must_use]
pub fn one_per_instance(endpoints: Vec<Endpoint>) -> Vec<Endpoint> {
    let mut seen = std::collections::HashSet::new();
    endpoints.into_iter().filter(|e| e.instance.as_ref().is_none_or(|id| seen.insert(id.clone()))).collect()
}

/// Instances as a set that can be typed again; endpoints that are only ports as `ports 50000-50003`.
#[must_use]
pub fn display_endpoints(endpoints: &[&Endpoint]) -> String {
    let ids: Vec<_> = endpoints.iter().filter_map(|e| e.instance.clone()).collect();
    let ports: Vec<_> = endpoints
        .iter()
        .filter(|e| e.instance.is_none())
        .map(|e| InstanceId::from(usize::from(e.port.get())))
        .collect();
    let ports = match ports.as_slice() {
        [] => return display_set(&ids),
        [port] => format!("port {port}"),
        ports => format!("ports {}", display_set(ports)),
    };
    if ids.is_empty() { ports } else { format!("{}, {ports}", display_set(&ids)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::natmap::Via;

    fn map(ids: &[&str]) -> NatMap {
        let entries = ids
            .iter()
            .zip(50000_u64..)
            .map(|(id, port)| {
                let (id, port) = (InstanceId::new(*id), port.try_into().unwrap());
                let address = Some("20.1.2.3".parse().unwrap());
                Entry {
                    backend_port: Some(22.try_into().unwrap()),
                    ..Entry::new(Some(id), address, port, Via::NatPool)
                }
            })
            .collect();
        let mut map = NatMap::from_entries(entries);
        for instance in &mut map.instances {
            instance.name = Some(format!("Web_{}", instance.id));
        }
        map
    }

    fn select(map: &NatMap, set: &str) -> Result<String, String> {
        let set: InstanceSet = set.parse().map_err(|e: InstanceSetError| e.to_string())?;
        let chosen = map.select(&set, None).map_err(|e| e.to_string())?;
        let ids: Vec<_> = chosen.into_iter().filter_map(|e| e.instance).collect();
        Ok(display_set(&ids))
    }

    #[test]
    fn sets_choose_what_they_say() {
        let map = map(&["0", "1", "2", "3", "5", "12", "web_0e7d4d21"]);
        for (set, chosen) in [
            ("3", "3"),
            ("0-3,12", "0-3,12"),
            ("!3", "0-2,5,12,web_0e7d4d21"),
            ("0-5,!1-2", "0,3,5"),
            ("web_?", "0-3,5"),
            ("WEB_5", "5"),
            ("*4d2*", "web_0e7d4d21"),
            ("4-9", "5"),
            (" 1 , 2 ", "1-2"),
        ] {
            assert_eq!(select(&map, set), Ok(chosen.into()), "{set}");
        }
    }

    #[test]
    fn an_instance_without_an_address_is_not_left_out() {
        let mut map = map(&["0", "1"]);
        map.entries[1].address = None;
        let all = map.select(&InstanceSet::default(), None).unwrap();
        assert_eq!(all.iter().map(ToString::to_string).collect::<Vec<_>>(), ["20.1.2.3:50000", "?:50001"]);
        assert_eq!(map.select(&"1".parse().unwrap(), None), Err(SelectError::NoAddress));
        let empty = NatMap::default();
        assert_eq!(empty.select(&"3".parse().unwrap(), None), Err(SelectError::Nothing));
    }

    #[test]
    fn an_instance_without_a_way_in_is_known_and_named() {
        let mut map = map(&["0", "1"]);
        map.entries.remove(1);
        assert_eq!(select(&map, "!1"), Ok("0".into()));
        assert_eq!(select(&map, "1"), Err("no TCP rule and no public address leads to 1".into()));
    }

    #[test]
    fn an_own_address_has_every_port() {
        let mut map = map(&["0"]);
        map.entries[0].via = Via::PublicIp;
        let rdp = map.select(&InstanceSet::default(), Some(3389.try_into().unwrap())).unwrap();
        assert_eq!(rdp[0].to_string(), "20.1.2.3:3389");
    }

    #[test]
    fn two_ways_in_are_one_instance() {
        let mut map = map(&["0", "1"]);
        let mut second = map.entries[0].clone();
        second.port = 60000.try_into().unwrap();
        map.entries.push(second);
        let all = map.select(&InstanceSet::default(), None).unwrap();
        assert_eq!(all.len(), 3);
        let ports: Vec<_> = one_per_instance(all).iter().map(|e| e.port.get()).collect();
        assert_eq!(ports, [50000, 50001]);
    }

    #[test]
    fn what_is_not_there_is_named_with_what_is() {
        let map = map(&["0", "1", "2", "7"]);
        let error = |set: &str| select(&map, set).unwrap_err();
        assert_eq!(error("4"), "there is no instance \"4\" on this map; there are 0-2,7");
        assert_eq!(error("!9"), "there is no instance \"9\" on this map; there are 0-2,7");
        assert_eq!(error("0-7,!0-7"), "no instance is left to work on");
        assert_eq!(error("3-1"), "the instance range \"3-1\" ends before it starts");
        assert_eq!(error("1,,2"), "the instance set \"1,,2\" has an empty part");
        assert_eq!(
            error("@failed"),
            "\"@failed\" names a set from the last run, and vmssh does not keep runs yet"
        );
        let rdp = map.select(&InstanceSet::default(), Some(3389.try_into().unwrap())).unwrap_err();
        assert_eq!(
            rdp.to_string(),
            "none of the selected instances has a rule for backend port 3389; there are rules for 22"
        );
    }

    proptest! {
        #[test]
        fn a_printed_set_reads_back_as_the_same_set(numbers in prop::collection::btree_set(0_usize..60, 1..30)) {
            let ids: Vec<_> = numbers.iter().map(|n| InstanceId::from(*n)).collect();
            let names: Vec<_> = ids.iter().map(InstanceId::as_str).collect();
            let all: Vec<_> = (0..60).map(|n: i32| n.to_string()).collect();
            let map = map(&all.iter().map(String::as_str).collect::<Vec<_>>());
            let chosen = map.select(&display_set(&ids).parse().unwrap(), None).unwrap();
            let chosen: Vec<_> = chosen.iter().map(|e| e.instance.as_ref().unwrap().as_str()).collect();
            prop_assert_eq!(chosen, names);
        }

        #[test]
        fn no_text_makes_reading_a_set_panic(text in "\\PC{0,40}") {
            if let Ok(set) = text.parse::<InstanceSet>() {
                let _ = map(&["0", "web_1"]).select(&set, None);
            }
        }
    }
}
