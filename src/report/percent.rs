//! Shares as people read them.

/// Whole percents with their sign, but never 0 for some nor 100 for not all.
pub(super) fn percent(pct: f64) -> String {
    match pct {
        pct if pct > 0.0 && pct < 1.0 => "<1%".into(),
        pct if pct > 99.0 && pct < 100.0 => ">99%".into(),
        pct => format!("{pct:.0}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_never_rounded_away() {
        let shown = [0.0, 0.1, 33.333, 99.9, 100.0].map(percent);
        assert_eq!(shown, ["0%", "<1%", "33%", ">99%", "100%"]);
    }
}
