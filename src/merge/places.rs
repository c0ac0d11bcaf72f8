use std::{collections::HashMap, fmt, time::Duration};

use super::{Identity, Probed, identity, order, since};
use crate::{
    fold::Fold,
    natmap::{Endpoint, display_endpoints},
    stats::{ProbeStats, State},
};

/// One endpoint and what each place found of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row<'a> {
    /// The endpoint, by the first place that has it.
    pub endpoint: &'a Endpoint,
    /// The places' tallies, in the places' order; `None` where a place did not probe it.
    pub stats: Vec<Option<&'a ProbeStats>>,
}

/// Lays the endpoints of several places side by side, in the order in which people look for them.
#[must_use]
pub fn rows(places: &[Probed]) -> Vec<Row<'_>> {
    let mut rows: HashMap<Identity, Row<'_>> = HashMap::new();
    for (place, probed) in places.iter().enumerate() {
        for (endpoint, stats) in &probed.endpoints {
            let row = rows
                .entry(identity(endpoint))
                .or_insert_with(|| Row { endpoint, stats: vec![None; places.len()] });
            if let Some(cell) = row.stats.get_mut(place) {
                *cell = Some(stats);
            }
        }
    }
    let mut rows: Vec<_> = rows.into_values().collect();
    rows.sort_by_cached_key(|row| order(row.endpoint));
    rows
}

/// What an endpoint looks like from a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Seen {
    /// It answers, if not every time.
    Answers,
    /// Its port answers, and the service behind it does not.
    NoService,
    /// Nothing comes back.
    Silent,
    /// It is refused.
    Refused,
    /// Something says that there is no way.
    Unreachable,
    /// Its name has no address.
    NotResolved,
    /// The place can't say: it did not probe the endpoint, or could not.
    Unknown,
}

impl Seen {
    fn of(stats: Option<&ProbeStats>) -> Self {
        match stats.map(State::of) {
            Some(State::Answered | State::Partly) => Self::Answers,
            Some(State::Foreign | State::Closed | State::Silent) => Self::NoService,
            Some(State::TimedOut) => Self::Silent,
            Some(State::Refused) => Self::Refused,
            Some(State::Unreachable) => Self::Unreachable,
            Some(State::NotResolved) => Self::NotResolved,
            Some(State::NotSent | State::NotProbed) | None => Self::Unknown,
        }
    }

    /// As in outputs: `answers`, `no-service`, `silent`, `refused`, `unreachable`, `not-resolved`, `unknown`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::NoService => "no-service",
            Self::Silent => "silent",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::NotResolved => "not-resolved",
            Self::Unknown => "unknown",
        }
    }

    /// As it stands in a sentence, before `from a, b`.
    fn words(self) -> &'static str {
        match self {
            Self::NotResolved => "not resolved",
            Self::NoService => "without a word from the service",
            _ => self.name(),
        }
    }
}

/// Endpoints that look alike from each place, and not as all endpoints should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The endpoints as a set: `3,5-7`, `ports 50000-50003`.
    pub endpoints: String,
    /// How many they are.
    pub count: usize,
    /// What they look like from each place that can say something.
    pub seen: Vec<(String, Seen)>,
}

impl Difference {
    /// True where some place gets an answer, so that it is about the way and not about the endpoints.
    #[must_use]
    pub fn is_between_places(&self) -> bool {
        self.seen.iter().any(|(_, seen)| *seen == Seen::Answers)
    }

    /// What is likely behind it.
    fn means(&self) -> &'static str {
        let some = |what: Seen| self.seen.iter().any(|(_, seen)| *seen == what);
        match self.is_between_places() {
            true if some(Seen::NoService) => {
                "the server turns a place away for a while, or something on the way answers for it"
            }
            true if some(Seen::Silent) => "a firewall or security group tells them apart",
            true if some(Seen::Refused) => {
                "a firewall that rejects tells them apart, or what listens there came or went between the runs"
            }
            true if some(Seen::Unreachable) => "the route, a VPN or a firewall on the way",
            true => "the names are resolved differently",
            false if some(Seen::NoService) => "the service hangs or turns these places away",
            false if some(Seen::Silent) => "not the way there: the instance, its rule or its security group",
            false if some(Seen::Refused) => "nothing listens there, or a firewall of its own rejects",
            false => "no place has a way there",
        }
    }
}

/// `3: answers from westeurope, silent from laptop: a firewall or security group tells them apart`.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.endpoints)?;
        let groups: Fold<Seen, &str> =
            self.seen.iter().map(|(place, seen)| (*seen, place.as_str())).collect();
        let mut groups: Vec<_> = groups.groups().iter().collect();
        groups.sort_by_key(|(seen, _)| *seen);
        for (place, (seen, from)) in groups.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            let words = match seen {
                Seen::Answers if self.count > 1 => "answer",
                seen => seen.words(),
            };
            let from = match from.as_slice() {
                _ if groups.len() == 1 => "every place".to_string(),
                from => from.join(" and "),
            };
            write!(f, "{comma}{words} from {from}")?;
        }
        write!(f, ": {}", self.means())
    }
}

/// What stands out when places are compared: endpoints that answer from one place and not from another, and
/// those that no place gets an answer of. Endpoints that look alike are one difference. An endpoint that
/// fewer than two places can say something of can't differ.
#[must_use]
pub fn differences(places: &[Probed], rows: &[Row<'_>]) -> Vec<Difference> {
    let seen = |row: &Row<'_>| row.stats.iter().map(|stats| Seen::of(*stats)).collect::<Vec<_>>();
    let alike: Fold<Vec<Seen>, &Endpoint> = rows.iter().map(|row| (seen(row), row.endpoint)).collect();
    let mut found = Vec::new();
    for (seen, endpoints) in alike.groups() {
        let seen: Vec<_> = places
            .iter()
            .zip(seen)
            .filter(|(_, seen)| **seen != Seen::Unknown)
            .map(|(place, seen)| (place.run.place.clone(), *seen))
            .collect();
        if seen.len() > 1 && seen.iter().any(|(_, seen)| *seen != Seen::Answers) {
            found.push(Difference { endpoints: display_endpoints(endpoints), count: endpoints.len(), seen });
        }
    }
    found.sort_by_key(|difference| !difference.is_between_places());
    found
}

/// Runs that are not further apart saw the same: an instance takes about a minute to start or stop.
const TOGETHER: Duration = Duration::from_secs(60);

/// How long after the end of the first of these runs the last of them began, where that is so long that what
/// differs may have changed meanwhile. `None` where they were together, or a time is not known.
#[must_use]
pub fn apart(places: &[Probed]) -> Option<Duration> {
    let runs = || places.iter().map(|place| &place.run);
    let first = runs().map(|run| run.started?.checked_add(run.elapsed).ok()).min().flatten();
    let last = runs().map(|run| run.started).max().flatten();
    Some(since(first, last)).filter(|gap| *gap > TOGETHER)
}
