//! What vmssh notes behind a key when it files it.

use std::fmt;

/// When a key was filed, for which instance and where it was shown: the comment of a known_hosts line,
/// `vmssh 2026-11-25 instance 3 of web at 20.1.2.3:50003`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filed {
    /// The day, in UTC: `2026-11-25`.
    pub date: String,
    /// The instance's id, where it was known.
    pub instance: Option<String>,
    /// The scale set's name, where it was known.
    pub scale_set: Option<String>,
    /// What was dialled: `20.1.2.3:50003`.
    pub at: Option<String>,
}

impl Filed {
    /// Reads a comment; `None` for one of somebody else.
    #[must_use]
    pub fn read(comment: &str) -> Option<Self> {
        let mut words = comment.split_whitespace();
        let (Some("vmssh"), Some(date)) = (words.next(), words.next()) else { return None };
        let is_date = date.len() == 10 && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let mut filed = Self { date: date.into(), ..Self::default() };
        while let Some(word) = words.next() {
            let place = match word {
                "instance" => &mut filed.instance,
                "of" => &mut filed.scale_set,
                "at" => &mut filed.at,
                _ => return None,
            };
            *place = Some(words.next()?.into());
        }
        is_date.then_some(filed)
    }
}

impl fmt::Display for Filed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vmssh {}", self.date)?;
        for (word, value) in [("instance", &self.instance), ("of", &self.scale_set), ("at", &self.at)] {
            // Names are Azure's; one that is no single word would spoil the line.
            let is_word = |value: &&String| {
                !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c.is_control())
            };
            if let Some(value) = value.as_ref().filter(is_word) {
                write!(f, " {word} {value}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Filed;

    #[test]
    fn comments_are_read_back() {
        let text = "vmssh 2026-11-25 instance 3 of web at 20.1.2.3:50003";
        let filed = Filed::read(text).unwrap();
        assert_eq!((filed.instance.as_deref(), filed.at.as_deref()), (Some("3"), Some("20.1.2.3:50003")));
        assert_eq!(filed.to_string(), text);
        let odd = Filed { instance: Some("a\nb c".into()), ..filed };
        assert_eq!(odd.to_string(), "vmssh 2026-11-25 of web at 20.1.2.3:50003");
        for other in ["root@web", "", "vmssh", "vmssh yesterday", "vmssh 2026-11-25 at"] {
            assert_eq!(Filed::read(other), None, "{other}");
        }
    }
}
