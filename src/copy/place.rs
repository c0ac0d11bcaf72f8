//! Places that differ from instance to instance: `{instance}` and `{name}` in paths.

use std::collections::HashMap;

use thiserror::Error;

use super::is_safe_name;
use crate::natmap::Endpoint;

const INSTANCE: &str = "{instance}";
const NAME: &str = "{name}";

/// Why a path has no meaning for an instance.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlaceError {
    /// `{name}`, and the target does not tell the instance's.
    #[error("there is no name for {{name}} of instance {0}")]
    NoName(String),
    /// What would be put in would lead elsewhere.
    #[error("instance {0} is called something that can't be part of a path")]
    Unsafe(String),
}

/// The path of an instance: `{instance}` becomes its id (`port-50003` where only a port is known), `{name}` its
/// name.
///
/// # Errors
/// When there is no such name, or it is no name of a file.
pub fn fill(path: &str, endpoint: &Endpoint) -> Result<String, PlaceError> {
    let mut filled = path.to_owned();
    if path.contains(INSTANCE) {
        let id = match &endpoint.instance {
            Some(id) => id.to_string(),
            None => format!("port-{}", endpoint.port),
        };
        filled = filled.replace(INSTANCE, checked(&id, endpoint)?);
    }
    if path.contains(NAME) {
        let name = endpoint.name.as_deref().ok_or_else(|| PlaceError::NoName(endpoint.label()))?;
        filled = filled.replace(NAME, checked(name, endpoint)?);
    }
    Ok(filled)
}

fn checked<'a>(value: &'a str, endpoint: &Endpoint) -> Result<&'a str, PlaceError> {
    if is_safe_name(value.as_bytes()) { Ok(value) } else { Err(PlaceError::Unsafe(endpoint.label())) }
}

/// Two places in `files` where the same file would be written, each list being one instance's.
#[must_use]
pub fn collision<T: Eq + std::hash::Hash>(files: &[Vec<T>]) -> Option<(usize, usize)> {
    let mut seen = HashMap::new();
    for (instance, own) in files.iter().enumerate() {
        for file in own {
            match seen.insert(file, instance) {
                Some(other) if other != instance => return Some((other, instance)),
                _ => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::natmap::NatMap;

    #[test]
    fn places_are_filled_with_what_is_known_of_the_instance() {
        let map = NatMap::from_range(&"20.1.2.3:50000-50009".parse().unwrap());
        let mut endpoint = map.select(&"3".parse().unwrap(), None).unwrap().remove(0);
        assert_eq!(fill("logs/{instance}/{instance}.log", &endpoint).unwrap(), "logs/3/3.log");
        assert_eq!(fill("{other}", &endpoint).unwrap(), "{other}");
        assert_eq!(fill("{name}", &endpoint), Err(PlaceError::NoName("3".into())));
        endpoint.name = Some("../..".into());
        assert_eq!(fill("{name}", &endpoint), Err(PlaceError::Unsafe("3".into())));
    }

    #[test]
    fn two_instances_do_not_write_to_one_place() {
        assert_eq!(collision(&[vec!["a", "b"], vec!["c"]]), None);
        assert_eq!(collision(&[vec!["a", "a"]]), None, "one instance's own affair");
        assert_eq!(collision(&[vec!["a"], vec!["b"], vec!["b"]]), Some((1, 2)));
    }
}
