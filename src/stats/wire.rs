//! Tallies as they travel from one machine to another: in JSON, exact, and checked on the way in.
//!
//! A number that a file tells is a stranger's: what could not have been counted is an error that says what
//! is wrong, so that everything behind this may add and multiply.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{Coarse, Histogram, Outages, ProbeStats, Rtts, ServiceStats, Sums};
use crate::event::Clock;

/// The most of anything that one tally may count: the largest whole number up to which all JSON programs
/// agree (RFC 8259 section 6), and so far from 2^64 that two tallies can be added.
pub(crate) const MOST: u64 = 1 << 53;

/// The longest time that a tally may hold, in microseconds: a year, as no time limit is longer.
const LONGEST_US: u64 = 366 * 24 * 3600 * 1_000_000;

/// The bins as `[[low_us, count], ...]`, shortest times first.
impl<const BITS: u32> Serialize for Histogram<BITS> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.bins().map(|bin| (bin.low_us, bin.count)))
    }
}

impl<'de, const BITS: u32> Deserialize<'de> for Histogram<BITS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bins = Vec::<(u64, u64)>::deserialize(deserializer)?;
        histogram_of(&bins).map_err(D::Error::custom)
    }
}

fn histogram_of<const BITS: u32>(bins: &[(u64, u64)]) -> Result<Histogram<BITS>, String> {
    let mut histogram = Histogram::default();
    let mut before = None;
    for &(low_us, count) in bins {
        if before.is_some_and(|before| before >= low_us) {
            return Err(format!("the bin at {low_us} us is out of order or there twice"));
        }
        before = Some(low_us);
        if low_us > LONGEST_US {
            return Err(format!("a time of {low_us} us is longer than a year"));
        }
        if Histogram::<BITS>::low_of(low_us) != low_us {
            return Err(format!("no bin begins at {low_us} us"));
        }
        if count == 0 {
            return Err(format!("the bin at {low_us} us is empty"));
        }
        if count > MOST - histogram.count() {
            return Err(format!("more than {MOST} times"));
        }
        histogram.record_many(low_us, count);
    }
    Ok(histogram)
}

/// [`Rtts`] in JSON. The squares are text, as most programs keep only 53 bits of a number.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Times {
    min_us: u64,
    max_us: u64,
    sum_us: u64,
    squares_us2: Squares,
    steps_us: u64,
    steps: u64,
    last_us: Option<u64>,
    bins: Histogram,
}

#[derive(Default, Clone, Copy)]
struct Squares(u128);

impl Serialize for Squares {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Squares {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse()
            .ok()
            .filter(|_| digits)
            .map(Self)
            .ok_or_else(|| D::Error::custom("this is no whole number of 128 bits in quotes"))
    }
}

impl Serialize for Rtts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Sums { min_us, max_us, sum_us, squares_us2, steps_us, steps } = self.sums;
        let squares_us2 = Squares(squares_us2);
        let bins = self.histogram.clone();
        let last_us = self.last_us;
        Times { min_us, max_us, sum_us, squares_us2, steps_us, steps, last_us, bins }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Rtts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Times {
            min_us,
            max_us,
            sum_us,
            squares_us2: Squares(squares_us2),
            steps_us,
            steps,
            last_us,
            bins,
        } = Times::deserialize(deserializer)?;
        let sums = Sums { min_us, max_us, sum_us, squares_us2, steps_us, steps };
        check_sums(&sums, last_us, &bins).map_err(|wrong| D::Error::custom(format!("{wrong} can't be")))?;
        Ok(Self { sums, histogram: bins, last_us })
    }
}

/// Whether sums are those of some times with this histogram; what can't be, if not.
fn check_sums(sums: &Sums, last_us: Option<u64>, bins: &Histogram) -> Result<(), String> {
    let Sums { min_us, max_us, sum_us, squares_us2, steps_us, steps } = *sums;
    let (Some(first), Some(last)) = (bins.bins().next(), bins.bins().next_back()) else {
        let nothing = *sums == Sums::default() && last_us.is_none();
        return if nothing { Ok(()) } else { Err("sums of no times".into()) };
    };
    let within = |what: &str, value: u128, (least, most): (u128, u128)| {
        let good = (least..=most).contains(&value);
        if good { Ok(()) } else { Err(format!("`{what}` {value} with these bins")) }
    };
    within("min_us", min_us.into(), (first.low_us.into(), first.high_us.into()))?;
    within("max_us", max_us.into(), (min_us.max(last.low_us).into(), last.high_us.into()))?;
    if let Some(last_us) = last_us {
        within("last_us", last_us.into(), (min_us.into(), max_us.into()))?;
    }
    // Sums of the shortest and the longest times that the bins may hold. A square of more than 128 bits is
    // cut off, as `Rtts::push` does.
    let sum_of = |value: fn(u64) -> u128| {
        bins.bins().fold((0_u128, 0_u128), |(least, most), bin| {
            let count = u128::from(bin.count);
            (
                least.saturating_add(value(bin.low_us).saturating_mul(count)),
                most.saturating_add(value(bin.high_us).saturating_mul(count)),
            )
        })
    };
    within("sum_us", sum_us.into(), sum_of(u128::from))?;
    within("squares_us2", squares_us2, sum_of(|us| u128::from(us).saturating_mul(us.into())))?;
    within("steps", steps.into(), (0, u128::from(bins.count() - 1)))?;
    within("steps_us", steps_us.into(), (0, u128::from(steps) * u128::from(max_us - min_us)))
}

/// [`ProbeStats`] in JSON. What is not there is nothing; what is there and unknown is passed over.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Wire {
    answered: u64,
    refused: u64,
    timed_out: u64,
    unreachable: u64,
    not_sent: u64,
    not_resolved: u64,
    retransmitted: u64,
    unanswered_syns: u64,
    error: Option<String>,
    address: Option<SocketAddr>,
    clock: Option<Clock>,
    rtts: Rtts,
    own_delay: Coarse,
    refusals: Rtts,
    outages: WireOutages,
    service: WireService,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct WireOutages {
    count: u64,
    longest_ns: u64,
    down_since_ns: Option<u64>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct WireService {
    answered: u64,
    foreign: u64,
    closed: u64,
    silent: u64,
    times: Rtts,
    said: Option<String>,
}

impl Serialize for ProbeStats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stats = self.clone();
        Wire {
            answered: stats.answered,
            refused: stats.refused,
            timed_out: stats.timed_out,
            unreachable: stats.unreachable,
            not_sent: stats.not_sent,
            not_resolved: stats.not_resolved,
            retransmitted: stats.retransmitted,
            unanswered_syns: stats.unanswered_syns,
            error: stats.error,
            address: stats.address,
            clock: stats.clock,
            rtts: stats.rtts,
            own_delay: stats.own_delay,
            refusals: stats.refusals,
            outages: WireOutages {
                count: stats.outages.count,
                longest_ns: nanos(stats.outages.longest),
                down_since_ns: stats.outages.down_since.map(nanos),
            },
            service: WireService {
                answered: stats.service.answered,
                foreign: stats.service.foreign,
                closed: stats.service.closed,
                silent: stats.service.silent,
                times: stats.service.times,
                said: stats.service.said,
            },
        }
        .serialize(serializer)
    }
}

fn nanos(time: Duration) -> u64 {
    // 584 years.
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl<'de> Deserialize<'de> for ProbeStats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        check(&wire).map_err(D::Error::custom)?;
        Ok(Self {
            answered: wire.answered,
            refused: wire.refused,
            timed_out: wire.timed_out,
            unreachable: wire.unreachable,
            not_sent: wire.not_sent,
            not_resolved: wire.not_resolved,
            retransmitted: wire.retransmitted,
            unanswered_syns: wire.unanswered_syns,
            error: wire.error,
            address: wire.address,
            clock: wire.clock,
            rtts: wire.rtts,
            own_delay: wire.own_delay,
            refusals: wire.refusals,
            outages: Outages {
                count: wire.outages.count,
                longest: Duration::from_nanos(wire.outages.longest_ns),
                down_since: wire.outages.down_since_ns.map(Duration::from_nanos),
            },
            service: ServiceStats {
                answered: wire.service.answered,
                foreign: wire.service.foreign,
                closed: wire.service.closed,
                silent: wire.service.silent,
                times: wire.service.times,
                said: wire.service.said,
            },
        })
    }
}

/// Whether the counts go together; what does not, if not.
fn check(wire: &Wire) -> Result<(), String> {
    let outcomes =
        [wire.answered, wire.refused, wire.timed_out, wire.unreachable, wire.not_sent, wire.not_resolved];
    let probes: u128 = outcomes.iter().map(|count| u128::from(*count)).sum();
    if probes > MOST.into() {
        return Err(format!("more than {MOST} probes"));
    }
    if wire.unanswered_syns > MOST {
        return Err(format!("`unanswered_syns` is more than {MOST}"));
    }
    let service = &wire.service;
    let services = [service.answered, service.foreign, service.closed, service.silent];
    let asked: u128 = services.iter().map(|count| u128::from(*count)).sum();
    for (what, part, whole_name, whole) in [
        ("retransmitted", wire.retransmitted.into(), "answered", wire.answered.into()),
        ("rtts", wire.rtts.count().into(), "answered", wire.answered.into()),
        ("own_delay", wire.own_delay.count().into(), "rtts", wire.rtts.count().into()),
        ("service", asked, "answered", wire.answered.into()),
        ("outages.count", wire.outages.count.into(), "probes", probes),
    ] {
        if part > whole {
            return Err(format!("`{what}` counts {part}, but `{whole_name}` only {whole}"));
        }
    }
    for (what, times, count) in [
        ("refusals", wire.refusals.count(), wire.refused),
        ("service.times", wire.service.times.count(), wire.service.answered),
    ] {
        if times != count {
            return Err(format!("`{what}` has {times} times, but {count} were counted"));
        }
    }
    if wire.clock.is_none() && wire.rtts.count() > 0 {
        return Err("`clock` is missing: whose are the times?".into());
    }
    Ok(())
}

impl ProbeStats {
    /// Adds the tally of another run or place, as [`ProbeStats::merge`], if their sum can be carried on: a
    /// tally counts [`MOST`] probes at most. `None` where it can't.
    #[must_use]
    pub(crate) fn merge_checked(&mut self, other: &Self) -> Option<()> {
        let whole = |s: &Self| s.sent().checked_add(s.not_sent)?.checked_add(s.not_resolved);
        let fits = |mine: u64, theirs: u64| mine.checked_add(theirs).filter(|sum| *sum <= MOST);
        fits(whole(self)?, whole(other)?)?;
        fits(self.unanswered_syns, other.unanswered_syns)?;
        self.rtts.sums.sum_us.checked_add(other.rtts.sums.sum_us)?;
        self.merge(other);
        Some(())
    }
}

#[cfg(test)]
#[path = "wire/tests.rs"]
mod tests;
