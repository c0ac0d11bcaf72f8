use std::{fmt, num::NonZeroUsize, str::FromStr};

use thiserror::Error;

/// One of several equal parts of a list, for machines that share the work: `2/8` is the third of eight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shard {
    index: usize,
    of: NonZeroUsize,
}

/// A text that is not `I/N`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{0}\" is not a shard: write I/N with I from 0 to N - 1, as in 0/4 for the first of four")]
pub struct ShardError(String);

impl Shard {
    /// Part `index` of `of`; `None` where there is no such part.
    #[must_use]
    pub fn new(index: usize, of: usize) -> Option<Self> {
        let of = NonZeroUsize::new(of)?;
        (index < of.get()).then_some(Self { index, of })
    }

    /// What is in this part: every N-th, so that neighbours, which often fail together, are spread over all
    /// machines. Each item of a list is in exactly one of its parts, and their sizes differ by one at most.
    #[must_use]
    pub fn part<T>(self, all: Vec<T>) -> Vec<T> {
        all.into_iter().skip(self.index).step_by(self.of.get()).collect()
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        // `usize::from_str` would take "+1".
        let number = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        text.split_once('/')
            .and_then(|(index, of)| Self::new(number(index)?, number(of)?))
            .ok_or_else(|| ShardError(text.into()))
    }
}

/// As it is typed: `2/8`.
impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn worked_by_hand() {
        let part = |text: &str| text.parse::<Shard>().unwrap().part((0..10).collect::<Vec<_>>());
        assert_eq!(part("0/3"), [0, 3, 6, 9]);
        assert_eq!(part("2/3"), [2, 5, 8]);
        assert_eq!(part("0/1"), (0..10).collect::<Vec<_>>());
        assert_eq!(part("10/11"), [0; 0]);
    }

    #[test]
    fn what_is_no_shard_is_told_the_form() {
        for wrong in ["3/3", "0/0", "x", "", "/", "1/", "/2", "-1/2", "+1/2", "1/2/3", "0 / 2", "1/1e3"] {
            let said = wrong.parse::<Shard>().unwrap_err().to_string();
            assert!(said.contains("write I/N"), "{said}");
        }
        assert!("0/99999999999999999999999".parse::<Shard>().is_err());
    }

    proptest! {
        #[test]
        fn every_item_is_in_one_part_and_parts_are_equal(count in 0..300_usize, of in 1..40_usize) {
            let all: Vec<_> = (0..count).collect();
            let parts: Vec<_> = (0..of).map(|i| Shard::new(i, of).unwrap().part(all.clone())).collect();
            let (least, most) = (parts.iter().map(Vec::len).min(), parts.iter().map(Vec::len).max());
            prop_assert!(most.unwrap() - least.unwrap() <= 1);
            prop_assert!(parts.iter().all(|part| part.is_sorted()));
            let mut together = parts.concat();
            together.sort_unstable();
            prop_assert_eq!(together, all);
        }

        #[test]
        fn read_as_written(index in any::<usize>(), of in any::<usize>()) {
            if let Some(shard) = Shard::new(index, of) {
                prop_assert_eq!(shard.to_string().parse(), Ok(shard));
            }
        }
    }
}
