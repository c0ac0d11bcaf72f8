//! Names by pattern: one rule for instance sets and known_hosts.

/// Matches a whole name against a pattern in which `*` stands for any text and `?` for one character
/// (ssh_config(5), PATTERNS), without regard to ASCII case.
///
/// Takes time in the product of the lengths at most: on a mismatch only the last star is tried
/// again, one character further.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    matches_by(pattern, name, |a, b| a.eq_ignore_ascii_case(b))
}

/// The same with regard to case, for what is no host: users, tags, algorithms, variables.
#[must_use]
pub fn matches_exactly(pattern: &str, name: &str) -> bool {
    matches_by(pattern, name, |a, b| a == b)
}

fn matches_by(pattern: &str, name: &str, same: fn(&u8, &u8) -> bool) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where to go on when what follows the last star does not match here.
    let mut star = None;
    loop {
        match (pattern.get(p), name.get(n)) {
            (Some(b'*'), _) => {
                star = Some((p + 1, n));
                p += 1;
            }
            (Some(a), Some(b)) if *a == b'?' || same(a, b) => (p, n) = (p + 1, n + 1),
            (None, None) => return true,
            _ => match star {
                Some((after, from)) if from < name.len() => {
                    star = Some((after, from + 1));
                    (p, n) = (after, from + 1);
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks_match_whole_names() {
        for (pattern, name) in
            [("*", ""), ("web_*", "WEB_7"), ("a*b*c", "axxbxbyc"), ("?", "x"), ("*.1", "10.1.1")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("", "x"), ("?", ""), ("web_?", "web_10"), ("a*b", "abc"), ("*b*", "aaaa")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        let hostile = "*a".repeat(200);
        assert!(!matches(&hostile, &"a".repeat(199)), "and it comes back at once");
    }
}
