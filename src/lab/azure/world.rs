//! The documents that a simulated Azure holds, found by their paths.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::missing::Missing;

/// The documents of one subscription, as Azure Resource Manager sends them (with `properties`).
///
/// Built by hand, document by document; paths are matched without regard to case. What follows
/// from a document needs no entry of its own: a named object in it is served under its `id`, an
/// array of its `properties` under the array's name, its `instanceView` under that word, and
/// documents side by side as a list.
#[derive(Debug, Clone)]
pub struct World {
    subscription: String,
    /// By path in small letters.
    held: BTreeMap<String, Held>,
    later: Option<Later>,
    /// Console logs, by path in small letters.
    consoles: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
enum Held {
    One(Value),
    List { items: Vec<Value>, page_size: usize },
}

/// How port mappings are answered where not at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Later {
    /// How often a client is told to ask again.
    pub(super) polls: u32,
    /// After how long (whole seconds).
    pub(super) retry_after: Duration,
}

/// What is under a path.
#[derive(Debug, PartialEq)]
pub(super) enum Found<'a> {
    One(&'a Value),
    List { items: Vec<&'a Value>, page_size: usize },
}

/// Collections that are there, if empty, in every group or resource that has them, in small letters.
const COLLECTIONS: [&str; 6] = [
    "virtualmachinescalesets",
    "virtualmachines",
    "networkinterfaces",
    "loadbalancers",
    "publicipaddresses",
    "networksecuritygroups",
];

impl World {
    /// The page size of a list that is sent whole.
    pub const WHOLE: usize = usize::MAX;

    /// A subscription (its GUID) with nothing in it.
    #[must_use]
    pub fn new(subscription: impl Into<String>) -> Self {
        let subscription = subscription.into();
        let document = json!({
            "id": format!("/subscriptions/{subscription}"),
            "subscriptionId": subscription,
            "tenantId": super::NO_GUID,
            "displayName": "lab",
            "state": "Enabled",
        });
        let path = format!("/subscriptions/{subscription}");
        let empty = Self { subscription, held: BTreeMap::new(), later: None, consoles: BTreeMap::new() };
        empty.list("/subscriptions", vec![document.clone()], Self::WHOLE).document(&path, document)
    }

    /// With a document under a path (from `/subscriptions/` on); one that was there is replaced.
    #[must_use]
    pub fn document(mut self, path: &str, document: Value) -> Self {
        self.held.insert(key(path), Held::One(document));
        self
    }

    /// With a list under a path, sent in pages of so many items (at least 1, [`World::WHOLE`] for
    /// all in one).
    #[must_use]
    pub fn list(mut self, path: &str, items: Vec<Value>, page_size: usize) -> Self {
        self.held.insert(key(path), Held::List { items, page_size: page_size.max(1) });
        self
    }

    /// Port mappings are answered with 202 first, and so many times again, each with a
    /// `Retry-After` of whole seconds.
    #[must_use]
    pub fn mappings_later(mut self, polls: u32, retry_after: Duration) -> Self {
        self.later = Some(Later { polls, retry_after });
        self
    }

    /// What machines have printed on their serial consoles, by their ids: boot diagnostics have it.
    #[must_use]
    pub fn consoles(mut self, logs: &[(String, String)]) -> Self {
        self.consoles.extend(logs.iter().map(|(id, log)| (key(id), log.clone())));
        self
    }

    /// The console log of a machine.
    pub(super) fn console(&self, path: &str) -> Option<&str> {
        self.consoles.get(&key(path)).map(String::as_str)
    }

    /// The subscription's id.
    #[must_use]
    pub fn subscription(&self) -> &str {
        &self.subscription
    }

    pub(super) fn later(&self) -> Option<Later> {
        self.later
    }

    /// All top values, documents and lists' items.
    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.held.values().flat_map(|held| match held {
            Held::One(value) => std::slice::from_ref(value),
            Held::List { items, .. } => items,
        })
    }

    /// What is under a path.
    pub(super) fn find<'a>(&'a self, path: &'a str) -> Result<Found<'a>, Missing<'a>> {
        let found = match self.held.get(&key(path)) {
            Some(Held::One(value)) => Some(Found::One(value)),
            Some(Held::List { items, page_size }) => {
                Some(Found::List { items: items.iter().collect(), page_size: *page_size })
            }
            None => self.derived(path),
        };
        found.ok_or_else(|| Missing::of(self, path))
    }

    /// The one document under a path.
    pub(super) fn one(&self, path: &str) -> Option<&Value> {
        match self.held.get(&key(path)) {
            Some(Held::One(value)) => Some(value),
            Some(Held::List { .. }) => None,
            None => self.values().find_map(|value| named(value, path)),
        }
    }

    /// The item of a stored list that has a name or instance id alone: instances of Flexible scale
    /// sets are listed there with the ids of machines. Cards of instances share one name.
    fn item(&self, list: &str, name: &str) -> Option<&Value> {
        let Held::List { items, .. } = self.held.get(&key(list))? else { return None };
        let is_it = |item: &&Value| {
            let own = ["instanceId", "name"].map(|member| item.get(member).and_then(Value::as_str));
            own.into_iter().flatten().any(|own| own.eq_ignore_ascii_case(name))
        };
        let mut found = items.iter().filter(is_it);
        found.next().filter(|_| found.next().is_none())
    }

    /// What follows from the documents without being stored as such.
    fn derived(&self, path: &str) -> Option<Found<'_>> {
        if let Some(value) = self.one(path) {
            return Some(Found::One(value));
        }
        let (parent, word) = path.rsplit_once('/')?;
        if let Some(value) = self.item(parent, word) {
            return Some(Found::One(value));
        }
        let parent_document = self.one(parent);
        let member = parent_document.and_then(|document| property(document, word));
        match member {
            Some(Value::Array(items)) => return Some(whole(items.iter().collect())),
            Some(view) if word.eq_ignore_ascii_case("instanceView") => return Some(Found::One(view)),
            _ => {}
        }
        let beside = self.documents_in(path);
        let is_there = parent_document.is_some() || self.is_provider(parent);
        let may_be_empty = is_there && COLLECTIONS.contains(&word.to_ascii_lowercase().as_str());
        (!beside.is_empty() || may_be_empty).then(|| whole(beside))
    }

    /// The documents that are stored directly under a path.
    fn documents_in(&self, path: &str) -> Vec<&Value> {
        let prefix = key(path) + "/";
        let under = self.held.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        under
            .filter_map(|(path, held)| match held {
                Held::One(value) if !path.strip_prefix(&prefix)?.contains('/') => Some(value),
                _ => None,
            })
            .collect()
    }

    /// Whether a path is `/subscriptions/S/resourceGroups/G/providers/P` of a group that there is.
    fn is_provider(&self, path: &str) -> bool {
        match path.split('/').collect::<Vec<_>>().as_slice() {
            ["", _, subscription, _, group, _, _] => {
                subscription.eq_ignore_ascii_case(&self.subscription) && self.has_group(group)
            }
            _ => false,
        }
    }

    /// Whether a document is in a group, or is the group.
    pub(super) fn has_group(&self, group: &str) -> bool {
        let group = key(&format!("/subscriptions/{}/resourceGroups/{group}", self.subscription));
        let prefix = format!("{group}/");
        let next = self.held.range(prefix.clone()..).next();
        self.held.contains_key(&group) || next.is_some_and(|(path, _)| path.starts_with(&prefix))
    }
}

fn key(path: &str) -> String {
    path.trim_end_matches('/').to_ascii_lowercase()
}

fn whole(items: Vec<&Value>) -> Found<'_> {
    Found::List { items, page_size: World::WHOLE }
}

/// A member of an object's `properties`, its name in any case.
fn property<'a>(document: &'a Value, name: &str) -> Option<&'a Value> {
    let properties = document.get("properties")?.as_object()?;
    properties.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// The object with this id in a value. What has an id and no name only points to it.
fn named<'a>(value: &'a Value, id: &str) -> Option<&'a Value> {
    match value {
        Value::Array(items) => items.iter().find_map(|item| named(item, id)),
        Value::Object(object) => match object.get("id").and_then(Value::as_str) {
            Some(own) if own.eq_ignore_ascii_case(id) => object.contains_key("name").then_some(value),
            // Parts have longer ids than the whole: nothing else is walked through.
            Some(own) if !is_part(id, own) => None,
            _ => object.values().find_map(|member| named(member, id)),
        },
        _ => None,
    }
}

fn is_part(id: &str, of: &str) -> bool {
    id.get(..of.len()).is_some_and(|start| start.eq_ignore_ascii_case(of))
        && id.get(of.len()..).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_resources_are_told_apart_from_those_like_them() {
        let world = World::new("s")
            .document("/subscriptions/s/resourceGroups/g1/providers/P/loadBalancers/a", json!({"name": "a"}))
            .document(
                "/subscriptions/s/resourceGroups/g1/providers/P/loadBalancers/a/x/b",
                json!({"name": "b"}),
            )
            .document(
                "/subscriptions/s/resourceGroups/g1/providers/P/loadBalancers/ab",
                json!({"name": "ab"}),
            );
        let names = |path: &str| match world.find(path) {
            Ok(Found::List { items, .. }) => {
                items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
            }
            other => vec![format!("{other:?}")],
        };
        assert_eq!(names("/subscriptions/S/resourcegroups/G1/providers/p/LOADBALANCERS"), ["a", "ab"]);
        assert_eq!(names("/subscriptions/s/resourceGroups/g1/providers/P/loadBalancers/a/x"), ["b"]);
        assert_eq!(
            world.find("/subscriptions/s/resourceGroups/g/providers/P/loadBalancers"),
            Err(Missing::Group("g"))
        );
        assert_eq!(
            world.find("/subscriptions/t/resourceGroups/g1/providers/P/loadBalancers"),
            Err(Missing::Subscription("t"))
        );
    }

    #[test]
    fn a_pointer_is_not_what_it_points_to() {
        let id = "/subscriptions/s/resourceGroups/g/providers/P/t/a/parts/b";
        let document = json!({"id": "/subscriptions/s/resourceGroups/g/providers/P/t/a", "name": "a", "properties": {
            "pointers": [{"id": id}],
            "parts": [{"id": id.to_uppercase(), "name": "b"}],
        }});
        let world = World::new("s").document("/subscriptions/s/resourceGroups/g/providers/P/t/a", document);
        assert_eq!(world.one(id).unwrap()["name"], "b");
    }

    #[test]
    fn items_of_a_list_are_found_by_names_that_they_have_alone() {
        let machine =
            |name: &str| json!({"id": format!("/elsewhere/{name}"), "name": name, "instanceId": name});
        let items = vec![machine("web_0e"), machine("twice"), machine("twice")];
        let world = World::new("s").list("/subscriptions/s/resourceGroups/g/sets", items, 1);
        let found =
            |name: &str| world.find(&format!("/subscriptions/s/resourceGroups/g/sets/{name}")).is_ok();
        assert_eq!(["WEB_0e", "twice", "other"].map(found), [true, false, false]);
    }

    proptest::proptest! {
        #[test]
        fn no_path_makes_finding_panic(path in "(/subscriptions/s/resourceGroups/g)?[/a-zé]{0,30}") {
            let world = World::new("s").document("/subscriptions/s/resourceGroups/g/a", json!({"id": "/é", "name": 1}));
            let _ = world.find(&path);
        }
    }
}
