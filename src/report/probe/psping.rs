use std::{
    fmt::Write as _,
    io::{self, Write},
};

use crate::{
    clean::clean_line,
    event::{ProbeEvent, ProbeOutcome, ProbeSample},
    natmap::Endpoint,
    report::watch::ProbeWatch,
    stats::{Buckets, ProbeStats, RttSummary},
};

/// Lines in the form of psping's TCP client mode, for programs that look for them: one for each probe as it
/// ends, and the statistics of each endpoint at the end. Of several endpoints the lines are mixed; each
/// names its own.
pub struct PspingLines {
    endpoints: Vec<Endpoint>,
    warm_up: u32,
    begun: Vec<bool>,
    /// How many probes there will be, as it says in the first line.
    plan: String,
    out: Box<dyn Write + Send>,
}

impl PspingLines {
    /// Lines about these endpoints: `plan` says how many probes each gets (`5 iterations`), of which
    /// `warm_up` are not counted.
    #[must_use]
    pub fn new(endpoints: &[Endpoint], plan: String, warm_up: u32, out: Box<dyn Write + Send>) -> Self {
        Self { endpoints: endpoints.to_vec(), warm_up, begun: vec![false; endpoints.len()], plan, out }
    }
}

impl ProbeWatch for PspingLines {
    fn probed(&mut self, event: &ProbeEvent, _stats: &[ProbeStats]) -> io::Result<()> {
        let Some(endpoint) = self.endpoints.get(event.index) else { return Ok(()) };
        let peer = peer(endpoint, &event.sample);
        if let Some(begun) = self.begun.get_mut(event.index)
            && !std::mem::replace(begun, true)
        {
            writeln!(self.out, "TCP connect to {peer}:")?;
            writeln!(self.out, "{} (warmup {}) ping test:", self.plan, self.warm_up)?;
        }
        let mark = if event.sample.warm_up { " (warmup)" } else { "" };
        writeln!(self.out, "Connecting to {peer}{mark}: {}", result(&event.sample))
    }

    fn told(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes the statistics of all endpoints, and where asked for how their times are distributed.
///
/// # Errors
/// When they can't be written.
pub fn write_statistics(
    out: &mut dyn Write,
    endpoints: &[Endpoint],
    stats: &[ProbeStats],
    buckets: Option<&Buckets>,
) -> io::Result<()> {
    for (endpoint, stats) in endpoints.iter().zip(stats) {
        let peer = stats.address.map_or_else(|| endpoint.to_string(), |address| address.to_string());
        writeln!(out, "\nTCP connect statistics for {}:", clean_line(&peer))?;
        writeln!(out, "  {}", totals(stats))?;
        match stats.rtt() {
            Some(RttSummary { min_ms, max_ms, mean_ms, .. }) => {
                writeln!(
                    out,
                    "  Minimum = {min_ms:.2}ms, Maximum = {max_ms:.2}ms, Average = {mean_ms:.2}ms"
                )?;
            }
            // psping has no such case: it counts the wait for the second SYN.
            None if stats.answered > 0 => writeln!(out, "  No times known, the SYNs were sent again")?,
            None => writeln!(out, "  Minimum = 0.00ms, Maximum = 0.00ms, Average = 0.00ms")?,
        }
        let steps = buckets.map(|buckets| buckets.divide(stats.rtts.histogram())).unwrap_or_default();
        if !steps.is_empty() {
            writeln!(out, "\nLatency\tCount")?;
        }
        for step in steps {
            writeln!(out, "{}.{:02}\t{}", step.low_us / 1000, step.low_us % 1000 / 10, step.count)?;
        }
    }
    Ok(())
}

/// psping knows two ends of a probe: what was refused it counts as lost.
fn totals(stats: &ProbeStats) -> String {
    let (sent, received) = (stats.sent(), stats.answered);
    let lost = sent - received;
    let share = (lost * 100).checked_div(sent).unwrap_or(0);
    let mut text = format!("Sent = {sent}, Received = {received}, Lost = {lost} ({share}% loss),");
    if stats.not_sent + stats.not_resolved > 0 {
        // psping has no such line.
        let _ = write!(text, " Not sent = {},", stats.not_sent + stats.not_resolved);
    }
    text
}

fn peer(endpoint: &Endpoint, sample: &ProbeSample) -> String {
    clean_line(&sample.to.map_or_else(|| endpoint.to_string(), |to| to.to_string()))
}

/// The time, or in psping's words (Windows has them so) why there is none.
#[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 microseconds, which is 285 years")]
fn result(sample: &ProbeSample) -> String {
    match &sample.outcome {
        ProbeOutcome::Answered(answer) => {
            let from = sample.from.map_or_else(String::new, |from| format!("from {from}: "));
            match answer.rtt {
                // Of whole microseconds, as the statistics are: else the same time may be rounded to another.
                Some(rtt) => format!("{from}{:.2}ms", rtt.as_micros() as f64 / 1e3),
                None => format!("{from}time not known, the SYN was sent again"),
            }
        }
        ProbeOutcome::Refused { .. } => "The remote computer refused the network connection.".into(),
        ProbeOutcome::TimedOut { .. } => "This operation returned because the timeout period expired.".into(),
        ProbeOutcome::Unreachable(why) => {
            format!("The network location cannot be reached: {}.", clean_line(&why.to_string()))
        }
        ProbeOutcome::NotResolved(why) => format!("No such host is known: {}.", clean_line(why)),
        ProbeOutcome::NotSent(why) => format!("Not sent: {}.", clean_line(why)),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        num::NonZeroUsize,
        sync::{Arc, Mutex},
        time::Duration,
    };

    use super::*;
    use crate::event::Answer;

    /// What was written.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_those_that_people_look_for() {
        let endpoint = Endpoint {
            instance: None,
            name: None,
            vm_id: None,
            host: "web.example".parse().unwrap(),
            port: 50000.try_into().unwrap(),
        };
        let answered = |us| ProbeOutcome::Answered(Answer::kernel(Duration::from_micros(us)));
        let outcomes =
            [answered(1560), answered(1100), answered(1250), ProbeOutcome::TimedOut { syns: Some(2) }];
        let (written, endpoints) = (Shared::default(), [endpoint]);
        let mut lines = PspingLines::new(&endpoints, "4 iterations".into(), 1, Box::new(written.clone()));
        let mut stats = [ProbeStats::default()];
        for (place, outcome) in outcomes.into_iter().enumerate() {
            let sample = ProbeSample {
                warm_up: place == 0,
                to: Some("20.1.2.3:50000".parse().unwrap()),
                from: Some("10.0.0.9:40000".parse().unwrap()),
                ..ProbeSample::of(outcome)
            };
            stats[0].record(&sample);
            lines.probed(&ProbeEvent { index: 0, sample }, &stats).unwrap();
        }
        let two = Buckets::Steps(NonZeroUsize::new(2).unwrap());
        write_statistics(&mut written.clone(), &endpoints, &stats, Some(&two)).unwrap();
        assert_eq!(
            String::from_utf8(written.0.lock().unwrap().clone()).unwrap(),
            "\
TCP connect to 20.1.2.3:50000:
4 iterations (warmup 1) ping test:
Connecting to 20.1.2.3:50000 (warmup): from 10.0.0.9:40000: 1.56ms
Connecting to 20.1.2.3:50000: from 10.0.0.9:40000: 1.10ms
Connecting to 20.1.2.3:50000: from 10.0.0.9:40000: 1.25ms
Connecting to 20.1.2.3:50000: This operation returned because the timeout period expired.

TCP connect statistics for 20.1.2.3:50000:
  Sent = 3, Received = 2, Lost = 1 (33% loss),
  Minimum = 1.10ms, Maximum = 1.25ms, Average = 1.18ms

Latency\tCount
1.10\t1
1.17\t1
"
        );
    }
}
