/// The normal distribution's quantile for 95 %, both sides.
const Z: f64 = 1.959_964;

/// Where the loss of a path lies, in percent, with a confidence of 95 %, when so many of so many probes were
/// lost: the interval of Wilson (1927), with `p = lost / sent` and `z = 1.96`
///
/// `(p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)`
///
/// Unlike `p ± z sqrt(p(1-p)/n)` it is right for few probes and for none lost: 0 of 10 may be up to 28 %.
/// `None` where nothing was sent.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "nobody sends 2^53 probes")]
pub fn loss_interval_pct(lost: u64, sent: u64) -> Option<(f64, f64)> {
    if sent == 0 {
        return None;
    }
    let n = sent as f64;
    let p = lost.min(sent) as f64 / n;
    let middle = p + Z * Z / (2.0 * n);
    let reach = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 100.0 / (1.0 + Z * Z / n);
    Some((((middle - reach) * scale).clamp(0.0, 100.0), ((middle + reach) * scale).clamp(0.0, 100.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenths(lost: u64, sent: u64) -> Option<(i64, i64)> {
        loss_interval_pct(lost, sent)
            .map(|(low, high)| ((low * 10.0).round() as i64, (high * 10.0).round() as i64))
    }

    #[test]
    fn worked_by_hand() {
        assert_eq!(tenths(0, 0), None);
        // 3.8415 / (10 + 3.8415) = 27.75 %.
        assert_eq!(tenths(0, 10), Some((0, 278)));
        assert_eq!(tenths(10, 10), Some((722, 1000)));
        // Middle (0.5 + 0.19207) / 1.38415 = 0.5; reach 1.96 * sqrt(0.025 + 0.0096037) / 1.38415 = 0.2634.
        assert_eq!(tenths(5, 10), Some((237, 763)));
        assert_eq!(tenths(10, 1000), Some((5, 18)));
    }
}
