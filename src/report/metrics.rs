//! A run of probes as Prometheus and its kin read it: the text format 0.0.4 and OpenMetrics 1.0.
//!
//! Both are written here and not by the `prometheus-client` crate, which writes the second only, while
//! collectors other than Prometheus still ask for the first.

mod text;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

pub use self::text::Format;
use self::text::{Family, Kind, Labels, Writer};
use super::watch::ProbeWatch;
use crate::{
    event::ProbeEvent,
    natmap::Endpoint,
    stats::{Coarse, Histogram, ProbeStats, ServiceStats},
};

/// Upper ends of the buckets of round-trip times, in microseconds: within a zone (below 0.5 ms), between zones
/// of a region (to 2 ms), between regions nearby (to 30 ms), across a continent (to 100 ms) and an ocean (to
/// 300 ms), which are told apart in steps that an alert can be put on; a second, from which on an answer is
/// to a second SYN, and two, where the time limit usually is.
const RTT_BUCKETS_US: &[u64] = &[
    250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 50_000, 75_000, 100_000, 150_000, 200_000,
    300_000, 500_000, 1_000_000, 2_000_000,
];

/// The same of this machine's own delay: from what an idle one has to what a person sees.
const DELAY_BUCKETS_US: &[u64] = &[50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000];

/// The figures of a run that goes on, as text whenever they are asked for.
#[derive(Debug)]
pub struct Metrics {
    /// Of each endpoint.
    labels: Vec<Labels>,
    started: Timestamp,
    /// Tallies of their own, each behind its own lock: whoever asks for the text holds up the prober for no
    /// longer than it takes to look at one.
    stats: Vec<Mutex<ProbeStats>>,
}

/// What is copied of an endpoint's tally, so that the text is made without holding on to it.
#[derive(Debug)]
struct Snapshot {
    rtts: Buckets,
    outcomes: [(&'static str, u64); 6],
    retransmitted: u64,
    outages: u64,
    /// `None` before the first probe.
    up: Option<bool>,
    down_since: Option<Duration>,
    service: Option<[(&'static str, u64); 4]>,
}

/// A histogram as it is exposed.
#[derive(Debug)]
struct Buckets {
    /// How many times are not longer than the bucket's end, in seconds.
    below: Vec<(f64, u64)>,
    count: u64,
    sum_seconds: f64,
}

impl Buckets {
    /// A time counts where its bin begins, so one up to 0.05 % longer than a bucket's end may be in the
    /// bucket (see [`Histogram`]).
    fn of<const BITS: u32>(histogram: &Histogram<BITS>, ends_us: &[u64], sum_us: u64) -> Self {
        let mut bins = histogram.bins().peekable();
        let mut count = 0_u64;
        let below = ends_us.iter().map(|end| {
            while let Some(bin) = bins.next_if(|bin| bin.low_us <= *end) {
                count = count.saturating_add(bin.count);
            }
            (seconds(*end), count)
        });
        Self { below: below.collect(), count: histogram.count(), sum_seconds: seconds(sum_us) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 microseconds, which is 285 years")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

impl Snapshot {
    fn of(stats: &ProbeStats) -> Self {
        let ServiceStats { answered, foreign, closed, silent, .. } = stats.service;
        let service = [("answered", answered), ("foreign", foreign), ("closed", closed), ("silent", silent)];
        let down_since = stats.outages.down_since;
        Self {
            rtts: Buckets::of(stats.rtts.histogram(), RTT_BUCKETS_US, stats.rtts.sums().sum_us),
            outcomes: [
                ("answered", stats.answered),
                ("refused", stats.refused),
                ("timed-out", stats.timed_out),
                ("unreachable", stats.unreachable),
                ("not-sent", stats.not_sent),
                ("not-resolved", stats.not_resolved),
            ],
            retransmitted: stats.retransmitted,
            outages: stats.outages.count,
            // What could not be sent says nothing about the endpoint.
            up: (stats.sent() > 0 || stats.not_resolved > 0).then_some(down_since.is_none()),
            down_since,
            service: (stats.service.asked() > 0).then_some(service),
        }
    }
}

impl Metrics {
    /// Figures of endpoints that nothing is known of yet, of a run that started at this time.
    #[must_use]
    pub fn new(endpoints: &[Endpoint], scale_set: Option<&str>, started: Timestamp) -> Self {
        let labels = |endpoint: &Endpoint| {
            let instance = endpoint.instance.as_ref().map(ToString::to_string);
            Labels::new(&[
                ("instance", instance.as_deref()),
                ("name", endpoint.name.as_deref()),
                ("endpoint", Some(&endpoint.to_string())),
                ("scale_set", scale_set),
            ])
        };
        Self {
            labels: endpoints.iter().map(labels).collect(),
            started,
            stats: endpoints.iter().map(|_| Mutex::default()).collect(),
        }
    }

    /// Takes a probe into account.
    pub fn record(&self, event: &ProbeEvent) {
        if let Some(stats) = self.stats.get(event.index) {
            // What a panic elsewhere left is still a tally.
            stats.lock().unwrap_or_else(PoisonError::into_inner).record(&event.sample);
        }
    }

    /// The figures as they are now.
    #[must_use]
    pub fn text(&self, format: Format) -> String {
        let (snapshots, own_delay) = self.snapshot();
        let all = || self.labels.iter().zip(&snapshots);
        let mut text = Writer::new(format);
        text.family(&BUILD_INFO);
        text.sample(&Labels::new(&[("version", Some(env!("CARGO_PKG_VERSION")))]), 1);
        text.family(&RTT);
        all().for_each(|(labels, of)| of.rtts.write(&mut text, labels));
        text.family(&PROBES);
        for (labels, of) in all() {
            of.outcomes.iter().for_each(|(name, count)| text.sample_with(labels, ("outcome", name), *count));
        }
        text.family(&RETRANSMITTED);
        all().for_each(|(labels, of)| text.sample(labels, of.retransmitted));
        text.family(&UP);
        for (labels, of) in all() {
            of.up.into_iter().for_each(|up| text.sample(labels, u64::from(up)));
        }
        text.family(&OUTAGES);
        all().for_each(|(labels, of)| text.sample(labels, of.outages));
        text.family(&DOWN_SINCE);
        for (labels, of) in all() {
            of.down_since.into_iter().for_each(|since| text.sample(labels, self.timestamp(since)));
        }
        text.family(&SERVICE);
        for (labels, of) in all() {
            let outcomes = of.service.iter().flatten();
            outcomes.for_each(|(name, count)| text.sample_with(labels, ("outcome", name), *count));
        }
        text.family(&OWN_DELAY);
        own_delay.write(&mut text, &Labels::default());
        text.end()
    }

    fn snapshot(&self) -> (Vec<Snapshot>, Buckets) {
        let mut delay = Coarse::default();
        let snapshots = self.stats.iter().map(|stats| {
            let stats = stats.lock().unwrap_or_else(PoisonError::into_inner);
            delay.merge(&stats.own_delay);
            Snapshot::of(&stats)
        });
        let snapshots = snapshots.collect();
        // By the bins' middles, which are off by 3 % at most: the sum is kept of no delay.
        let sum_us = delay
            .bins()
            .fold(0_u64, |sum, bin| sum.saturating_add(bin.middle_us().saturating_mul(bin.count)));
        let own_delay = Buckets::of(&delay, DELAY_BUCKETS_US, sum_us);
        (snapshots, own_delay)
    }

    /// A time of the run as seconds since 1970.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are below 2^53")]
    fn timestamp(&self, since: Duration) -> f64 {
        let started = i128::from(self.started.as_millisecond());
        (started + i128::try_from(since.as_millis()).unwrap_or_default()) as f64 / 1e3
    }
}

impl Buckets {
    fn write(&self, text: &mut Writer, labels: &Labels) {
        text.histogram(labels, &self.below, self.count, self.sum_seconds);
    }
}

const BUILD_INFO: Family =
    Family { name: "vmssh_build", kind: Kind::Info, unit: None, help: "The program that measured." };
const RTT: Family = Family {
    name: "vmssh_probe_rtt_seconds",
    kind: Kind::Histogram,
    unit: Some("seconds"),
    help: "Round-trip times of TCP handshakes.",
};
const PROBES: Family = Family {
    name: "vmssh_probes",
    kind: Kind::Counter,
    unit: None,
    help: "Probes by outcome. What was not sent is this machine's own fault.",
};
const RETRANSMITTED: Family = Family {
    name: "vmssh_probes_retransmitted",
    kind: Kind::Counter,
    unit: None,
    help: "Answered probes whose SYN had to be sent again.",
};
const UP: Family = Family {
    name: "vmssh_up",
    kind: Kind::Gauge,
    unit: None,
    help: "1 where the last probe was answered, by the service too if it was asked.",
};
const OUTAGES: Family = Family {
    name: "vmssh_outages",
    kind: Kind::Counter,
    unit: None,
    help: "Times without an answer, of one probe or several in a row.",
};
const DOWN_SINCE: Family = Family {
    name: "vmssh_down_since_timestamp_seconds",
    kind: Kind::Gauge,
    unit: Some("seconds"),
    help: "When the outage that lasts began. Not there while the endpoint answers.",
};
const SERVICE: Family = Family {
    name: "vmssh_service_probes",
    kind: Kind::Counter,
    unit: None,
    help: "What the service behind the port said, where it was asked.",
};
const OWN_DELAY: Family = Family {
    name: "vmssh_own_delay_seconds",
    kind: Kind::Histogram,
    unit: Some("seconds"),
    help: "How much later than the kernel the prober noticed answers: this machine's delay, not the path's.",
};

/// Tells the metrics of each probe.
#[derive(Debug)]
pub struct MetricsWatch(pub std::sync::Arc<Metrics>);

impl ProbeWatch for MetricsWatch {
    fn probed(&mut self, event: &ProbeEvent, _stats: &[ProbeStats]) -> std::io::Result<()> {
        self.0.record(event);
        Ok(())
    }
}
