use std::io::{self, Write};

use serde::Serialize;

use super::rounded;
use crate::{
    clean::clean_line,
    event::{Clock, ProbeEvent, ProbeOutcome, ServiceOutcome},
    natmap::{Endpoint, InstanceId},
    report::{json, watch::ProbeWatch},
    stats::ProbeStats,
};

/// The name and version of a line that this module writes.
const SCHEMA: &str = "vmssh.probe.sample/1";

/// A line of JSON for each probe, as it ends.
pub struct SampleLines {
    endpoints: Vec<Endpoint>,
    out: Box<dyn Write + Send>,
}

impl SampleLines {
    /// Lines about these endpoints.
    #[must_use]
    pub fn new(endpoints: &[Endpoint], out: Box<dyn Write + Send>) -> Self {
        Self { endpoints: endpoints.to_vec(), out }
    }
}

impl ProbeWatch for SampleLines {
    fn probed(&mut self, event: &ProbeEvent, _stats: &[ProbeStats]) -> io::Result<()> {
        let Some(endpoint) = self.endpoints.get(event.index) else { return Ok(()) };
        json::write_line(&mut self.out, &SampleLine::new(endpoint, event))
    }

    fn told(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// One probe. Times are milliseconds to the microsecond.
#[derive(Debug, Serialize)]
struct SampleLine<'a> {
    schema: &'static str,
    instance: Option<&'a InstanceId>,
    endpoint: String,
    /// Since the run began.
    start_ms: f64,
    /// Not counted.
    warm_up: bool,
    outcome: &'static str,
    rtt_ms: Option<f64>,
    /// By the program's own clock: to the answer or the refusal.
    elapsed_ms: Option<f64>,
    clock: Option<Clock>,
    retransmitted: Option<u32>,
    /// SYNs that went unanswered, of a probe that timed out.
    syns: Option<u32>,
    error: Option<String>,
    icmp: Option<Icmp>,
    from: Option<String>,
    to: Option<String>,
    service: Option<&'static str>,
    service_ms: Option<f64>,
    said: Option<String>,
}

/// The message that said that there is no way.
#[derive(Debug, Serialize)]
struct Icmp {
    sender: String,
    #[serde(rename = "type")]
    kind: u8,
    code: u8,
}

impl<'a> SampleLine<'a> {
    fn new(endpoint: &'a Endpoint, event: &ProbeEvent) -> Self {
        let sample = &event.sample;
        let ms = |time: std::time::Duration| rounded(time.as_secs_f64() * 1e3);
        let (answer, elapsed) = match &sample.outcome {
            ProbeOutcome::Answered(answer) => (Some(answer), Some(answer.elapsed)),
            ProbeOutcome::Refused { after } => (None, Some(*after)),
            _ => (None, None),
        };
        let (error, icmp) = match &sample.outcome {
            ProbeOutcome::Unreachable(why) => (Some(why.to_string()), why.icmp),
            ProbeOutcome::NotResolved(why) | ProbeOutcome::NotSent(why) => (Some(clean_line(why)), None),
            _ => (None, None),
        };
        let (service_ms, said) = match &sample.service {
            Some(ServiceOutcome::Answered { after, said } | ServiceOutcome::Foreign { after, said }) => {
                (Some(ms(*after)), Some(clean_line(said)))
            }
            Some(ServiceOutcome::Closed { after }) => (Some(ms(*after)), None),
            Some(ServiceOutcome::Silent) | None => (None, None),
        };
        Self {
            schema: SCHEMA,
            instance: endpoint.instance.as_ref(),
            endpoint: endpoint.to_string(),
            start_ms: ms(sample.start),
            warm_up: sample.warm_up,
            outcome: sample.outcome.name(),
            rtt_ms: sample.outcome.rtt().map(ms),
            elapsed_ms: elapsed.map(ms),
            // A refusal's time is the program's.
            clock: answer.map(|answer| answer.clock).or(elapsed.map(|_| Clock::Monotonic)),
            retransmitted: answer.map(|answer| answer.retransmitted),
            syns: match sample.outcome {
                ProbeOutcome::TimedOut { syns } => syns,
                _ => None,
            },
            error,
            icmp: icmp.map(|icmp| Icmp { sender: icmp.sender.to_string(), kind: icmp.kind, code: icmp.code }),
            from: sample.from.map(|from| from.to_string()),
            to: sample.to.map(|to| to.to_string()),
            service: sample.service.as_ref().map(ServiceOutcome::name),
            service_ms,
            said,
        }
    }
}
