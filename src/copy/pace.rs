//! How many bytes of files are asked for or sent before answers have come.

use std::time::Duration;

/// What is under way at first: twice what a path of 10 ms holds at 50 MB/s. It doubles with each round trip.
const START: u32 = 1 << 20;

/// So much may wait on the way, for the sender never to run dry. Less than this, and more is asked for.
const LITTLE: u32 = 1 << 20;

/// More than this only waits: less is asked for. OpenSSH's sshd copies all that waits in it for each 32 KiB that it
/// adds (sshbuf_reserve), so that a queue of 24 MiB costs it seconds.
const MUCH: u32 = 2 << 20;

/// Bytes that may be under way, by how long answers take: where they take longer than the path is, the rest of the
/// time they have waited in a queue (the rule of TCP Vegas, Brakmo and Peterson 1995).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    allowed: u32,
    least: u32,
    most: u32,
}

impl Pace {
    /// Never less than two pieces, so that one is on its way while the other is answered, and at most `most`.
    #[must_use]
    pub fn new(piece: u32, most: u32) -> Self {
        let least = piece.saturating_mul(2);
        let most = most.max(least);
        Self { allowed: START.clamp(least, most), least, most }
    }

    /// Bytes that may be under way.
    #[must_use]
    pub fn allowed(&self) -> u32 {
        self.allowed
    }

    /// Bytes that are allowed whatever answers take.
    #[must_use]
    pub fn least(&self) -> u32 {
        self.least
    }

    /// The answer about so many bytes took so long, while as much as is allowed was under way. The fastest answer of
    /// all was about nothing much: it tells how long the path is.
    pub fn answered(&mut self, bytes: u32, took: Duration, fastest: Duration) {
        let waited = took.saturating_sub(fastest).as_secs_f64() / took.as_secs_f64().max(f64::MIN_POSITIVE);
        let queue = f64::from(self.allowed) * waited;
        if queue < f64::from(LITTLE) {
            self.allowed = self.allowed.saturating_add(bytes).min(self.most);
        } else if queue > f64::from(MUCH) {
            self.allowed = self.allowed.saturating_sub(bytes).max(self.least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: u32 = 255 << 10;

    /// What is allowed after 10 s on a path of this length and rate, in MiB.
    fn settled(rtt_ms: f64, bytes_per_ms: f64, most: u32) -> f64 {
        let mut pace = Pace::new(PIECE, most);
        let mut passed = 0.0;
        while passed < 10_000.0 {
            let allowed = f64::from(pace.allowed());
            let took = rtt_ms.max(allowed / bytes_per_ms);
            let ms = |ms: f64| Duration::from_secs_f64(ms / 1e3);
            pace.answered(PIECE, ms(took), ms(rtt_ms));
            passed += took * f64::from(PIECE) / allowed;
        }
        f64::from(pace.allowed()) / f64::from(1 << 20)
    }

    #[test]
    fn it_fills_the_path_and_little_more() {
        // 100 MB/s at 50 ms hold 4.8 MiB, 400 MB/s at 0.1 ms nothing, 1 MB/s at 100 ms a tenth.
        for (rtt, rate, path) in [(50.0, 100e3, 4.8), (0.1, 400e3, 0.04), (100.0, 1e3, 0.1)] {
            let settled = settled(rtt, rate, 32 << 20);
            assert!((path + 0.9..path + 2.3).contains(&settled), "{rtt} ms: {settled} MiB");
        }
    }

    #[test]
    fn memory_bounds_it() {
        assert!((settled(300.0, 1e6, 8 << 20) - 8.0).abs() < 0.01);
        let mut small = Pace::new(PIECE, 0);
        small.answered(PIECE, Duration::from_secs(9), Duration::ZERO);
        assert_eq!(small.allowed(), 2 * PIECE);
        small.answered(PIECE, Duration::ZERO, Duration::ZERO);
        assert_eq!(small.allowed(), 2 * PIECE, "and an answer without time divides by nothing");
    }
}
