//! File descriptors: every socket needs one, and a process may have only so many.

/// Kept for what else the program opens meanwhile: name servers, files, the terminal.
const SPARE: usize = 16;
/// The smallest usual soft limit (macOS), for when the system does not tell its own.
const USUAL_LIMIT: u64 = 256;

/// Raises the soft limit to what `wanted` more descriptors need, as far as the hard limit allows,
/// and says how many of them may be open at once: at least 1, at most `wanted`.
///
/// Nothing is set aside: two parts of a program that both ask share what there is.
#[must_use]
pub fn raise(wanted: usize) -> usize {
    let taken = open_now() + SPARE;
    let needed = u64::try_from(wanted.saturating_add(taken)).unwrap_or(u64::MAX);
    let limit = rlimit::increase_nofile_limit(needed).unwrap_or(USUAL_LIMIT);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    limit.saturating_sub(taken).clamp(1, wanted.max(1))
}

/// How many descriptors the process has open; 0 where the system has no list of them.
fn open_now() -> usize {
    std::fs::read_dir("/dev/fd").map_or(0, Iterator::count)
}

#[cfg(test)]
mod tests {
    use super::raise;

    #[test]
    fn what_is_granted_is_between_one_and_what_was_asked() {
        assert_eq!(raise(0), 1);
        assert_eq!(raise(1), 1);
        assert!((1..=100).contains(&raise(100)));
        assert!(raise(usize::MAX) < usize::MAX);
    }
}
