use std::time::Duration;

/// A year: longer waits are typing errors, and sums of them must not overflow.
const LONGEST_SECONDS: f64 = 366.0 * 24.0 * 3600.0;

/// Reads a duration as it is typed: a bare number is seconds; `250ms`, `10s`, `2m`, `1h` too.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let wrong =
        || format!("\"{text}\" is not a time: write seconds (`10`, `0.5`) or `250ms`, `10s`, `2m`, `1h`");
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = number
        * match unit {
            "ms" => 0.001,
            "" | "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
    if seconds > LONGEST_SECONDS {
        return Err(format!("\"{text}\" is longer than a year"));
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

/// The same, and more than nothing: for time limits, where 0 would mean that nothing can succeed.
pub(super) fn parse_limit(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        Duration::ZERO => Err("a time limit of 0 leaves no time for an answer".into()),
        limit => Ok(limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_units() {
        let millis = |text: &str| parse(text).map(|d| d.as_millis());
        for (text, expected) in [
            ("10", 10_000),
            ("0.5", 500),
            ("250ms", 250),
            ("10s", 10_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("0", 0),
        ] {
            assert_eq!(millis(text), Ok(expected), "{text}");
        }
        for wrong in ["", "s", "-1", "1d", "1 s", "1e3", "inf", "NaN", "1.2.3", "99999999h"] {
            assert!(millis(wrong).is_err(), "{wrong}");
        }
        assert!(parse_limit("0").is_err());
    }
}
