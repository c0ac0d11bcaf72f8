//! Figures and remote text as the screen shows them.

use std::time::Duration;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::clean::clean_line;
pub(super) use crate::report::percent::percent;

/// Remote text as one line without anything that moves the cursor.
pub(super) fn tidy(text: &str) -> String {
    clean_line(text).replace('\t', " ")
}

/// The columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// The text, or as much of it as fits and a sign that there was more.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.into();
    }
    let mut left = columns.saturating_sub(1);
    let fitting = text.chars().map_while(|c| {
        left = left.checked_sub(c.width().unwrap_or(0))?;
        Some(c)
    });
    let mut short: String = fitting.collect();
    if columns > 0 {
        short.push('…');
    }
    short
}

/// The text on so many lines at most, broken at blanks; the last one is as long as it is.
pub(super) fn wrap(text: &str, columns: usize, lines: usize) -> Vec<String> {
    let mut wrapped = Vec::new();
    let mut line = String::new();
    for word in text.split_inclusive(' ') {
        let fits = width(&line) + width(word.trim_end()) <= columns;
        if !fits && !line.is_empty() && wrapped.len() + 1 < lines {
            wrapped.push(line.trim_end().into());
            line.clear();
        }
        line.push_str(word);
    }
    wrapped.push(line);
    wrapped.truncate(lines);
    wrapped
}

/// Milliseconds in six columns at most, in which a hundredth is about what a network repeats.
pub(super) fn ms(ms: f64) -> String {
    match ms {
        ms if ms < 99.995 => format!("{ms:.2}"),
        ms if ms < 9_999.95 => format!("{ms:.1}"),
        ms => format!("{ms:.0}"),
    }
}

/// The same of whole microseconds.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53 microseconds, which is 285 years")]
pub(super) fn us(us: u64) -> String {
    ms(us as f64 / 1e3)
}

/// A time that has passed: `0.4s`, `12s`, `3m05s`, `2h03m`, `4d01h`.
pub(super) fn lapse(time: Duration) -> String {
    let s = time.as_secs();
    match s {
        0..10 => format!("{:.1}s", time.as_secs_f64()),
        10..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        3600..86_400 => format!("{}h{:02}m", s / 3600, s / 60 % 60),
        _ => format!("{}d{:02}h", s / 86_400, s / 3600 % 24),
    }
}

/// A clock that counts up: `0:07`, `12:31`, `3:00:09`.
pub(super) fn clock(time: Duration) -> String {
    let s = time.as_secs();
    match s {
        0..3600 => format!("{}:{:02}", s / 60, s % 60),
        _ => format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60),
    }
}

/// A count with its thousands apart, to be read while it runs.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn figures_are_short_and_say_no_more_than_is_known() {
        assert_eq!(
            [0.04, 99.99, 99.999, 1234.56, 20_000.4].map(ms),
            ["0.04", "99.99", "100.0", "1234.6", "20000"]
        );
        assert_eq!([0.0, 0.2, 33.3, 99.8, 100.0].map(percent), ["0%", "<1%", "33%", ">99%", "100%"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        let seconds = [0, 59, 61, 3661, 90_000].map(Duration::from_secs);
        assert_eq!(seconds.map(lapse), ["0.0s", "59s", "1m01s", "1h01m", "1d01h"]);
        assert_eq!(seconds.map(clock), ["0:00", "0:59", "1:01", "1:01:01", "25:00:00"]);
    }

    #[test]
    fn remote_text_is_one_line_and_cut_by_its_width() {
        assert_eq!(tidy("a\tb\x1b[2J\n"), "a b^[[2J");
        assert_eq!([0, 1, 3, 4].map(|columns| cut("abcd", columns)), ["", "…", "ab…", "abcd"]);
        assert_eq!([3, 4, 5, 6].map(|columns| cut("日本語", columns)), ["日…", "日…", "日本…", "日本語"]);
    }

    #[test]
    fn a_long_verdict_is_broken_at_blanks() {
        assert_eq!(wrap("2 of 3 answered; refused: 4", 11, 2), ["2 of 3", "answered; refused: 4"]);
        assert_eq!(wrap("2 of 3", 6, 2), ["2 of 3"]);
        assert_eq!(wrap("2 of 3", 0, 1), ["2 of 3"]);
        assert_eq!(wrap("2 of 3", 9, 0), [""; 0]);
    }

    proptest! {
        #[test]
        fn a_cut_text_fits(text in "\\PC{0,20}", columns in 0..12_usize) {
            prop_assert!(width(&cut(&text, columns)) <= columns);
        }
    }
}
