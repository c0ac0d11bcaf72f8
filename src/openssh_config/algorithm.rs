//! Lists of algorithms: whole ones, and ones that change the default (ssh_config(5), Ciphers).

use crate::pattern;

/// What a list comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlgorithmList {
    /// The algorithms, the best liked first.
    pub names: Vec<String>,
    /// What was asked for and is not there. Patterns that match nothing are not among them.
    pub unknown: Vec<String>,
}

/// Puts a list together. `+` before it adds to the default, `-` takes away from it what its patterns match, `^`
/// puts before it; with none of them it stands for itself. Patterns may stand where OpenSSH allows them: for what is
/// there, not for what could be.
#[must_use]
pub fn assemble(list: &str, default: &[&str], supported: &[&str]) -> AlgorithmList {
    let (sign, list) = match list.chars().next() {
        Some(sign @ ('+' | '-' | '^')) => (Some(sign), list.get(1..).unwrap_or_default()),
        _ => (None, list),
    };
    let asked = list.split(',').filter(|name| !name.is_empty());
    if sign == Some('-') {
        let patterns: Vec<_> = asked.collect();
        let kept = default.iter().filter(|name| !patterns.iter().any(|p| pattern::matches_exactly(p, name)));
        return AlgorithmList { names: kept.map(ToString::to_string).collect(), unknown: Vec::new() };
    }
    let (mut wanted, mut unknown) = (Vec::new(), Vec::new());
    for name in asked {
        let found: Vec<&str> =
            supported.iter().copied().filter(|there| pattern::matches_exactly(name, there)).collect();
        if found.is_empty() && !name.contains(['*', '?']) {
            unknown.push(name.to_owned());
        }
        wanted.extend(found);
    }
    let all: Vec<&str> = match sign {
        Some('+') => default.iter().copied().chain(wanted).collect(),
        Some(_) => wanted.into_iter().chain(default.iter().copied()).collect(),
        None => wanted,
    };
    let mut names: Vec<String> = Vec::with_capacity(all.len());
    for name in all {
        if !names.iter().any(|there| there == name) {
            names.push(name.to_owned());
        }
    }
    AlgorithmList { names, unknown }
}
