//! Folding: what is the same on several instances is said once, under their set.

use std::{collections::HashMap, hash::Hash};

/// Groups of members that share a key, in the order in which the keys were first seen.
#[derive(Debug, Clone)]
pub struct Fold<K, M> {
    places: HashMap<K, usize>,
    groups: Vec<(K, Vec<M>)>,
}

impl<K: Eq + Hash + Clone, M> Default for Fold<K, M> {
    fn default() -> Self {
        Self { places: HashMap::new(), groups: Vec::new() }
    }
}

impl<K: Eq + Hash + Clone, M> Fold<K, M> {
    /// Adds a member to the group of its key.
    pub fn add(&mut self, key: K, member: M) {
        let place = *self.places.entry(key.clone()).or_insert(self.groups.len());
        match self.groups.get_mut(place) {
            Some((_, members)) => members.push(member),
            None => self.groups.push((key, vec![member])),
        }
    }

    /// The groups, in the order of their first members.
    #[must_use]
    pub fn groups(&self) -> &[(K, Vec<M>)] {
        &self.groups
    }
}

impl<K: Eq + Hash + Clone, M> FromIterator<(K, M)> for Fold<K, M> {
    fn from_iter<I: IntoIterator<Item = (K, M)>>(pairs: I) -> Self {
        let mut fold = Self::default();
        pairs.into_iter().for_each(|(key, member)| fold.add(key, member));
        fold
    }
}

#[cfg(test)]
mod tests {
    use super::Fold;

    #[test]
    fn groups_keep_the_order_of_their_first_members() {
        let fold: Fold<_, _> = [("b", 0), ("a", 1), ("b", 2), ("a", 3), ("c", 4)].into_iter().collect();
        assert_eq!(fold.groups(), [("b", vec![0, 2]), ("a", vec![1, 3]), ("c", vec![4])]);
    }
}
