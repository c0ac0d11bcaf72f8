//! Probes from an instance: whether it can connect to others, asked of its sshd.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{NoWay, Session};
use crate::{
    event::{Answer, Clock, Failure, ProbeEvent, ProbeOutcome, ProbeSample, Stage, Unreachable},
    forward::Place,
    natmap::Endpoint,
};

/// Connections that an instance makes for us at once: a few of the 1024 descriptors that its sshd has.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(100).unwrap();

/// How often to probe.
#[derive(Debug, Clone, Copy)]
pub struct Rounds {
    /// Probes of each endpoint, warm-ups included; `None` for no end.
    pub count: Option<u32>,
    /// No probe begins later than this.
    pub time: Option<Duration>,
    /// The first ones, which are not counted.
    pub warm_up: u32,
    /// From the beginning of a probe to that of the next one.
    pub interval: Duration,
    /// Most time for one.
    pub timeout: Duration,
}

impl Session {
    /// The round-trip time of the session itself: a question that sshd answers without doing anything.
    ///
    /// # Errors
    /// When the session is lost, or nothing comes back within its connect timeout.
    pub async fn round_trip(&self) -> Result<Duration, Failure> {
        let lost = || self.lost(Stage::Channel);
        let handle = self.handle_ref().ok_or_else(lost)?;
        let began = Instant::now();
        let limit = self.login().options.connect_timeout;
        timeout(limit, handle.send_ping()).await.map_err(|_| lost())?.map_err(|_| lost())?;
        Ok(began.elapsed())
    }
}

/// Probes endpoints through a session that nothing else uses. Times are from the question until sshd says that the
/// connection stands: the session's round trip is in them, and the wait until this program got to run.
pub async fn probe_through(
    session: &Arc<Session>,
    endpoints: &[Endpoint],
    rounds: Rounds,
    events: mpsc::Sender<Vec<ProbeEvent>>,
    stop: CancellationToken,
) {
    let began = Instant::now();
    let turns = Arc::new(Semaphore::new(AT_ONCE.get()));
    let mut tasks = JoinSet::new();
    for (index, endpoint) in endpoints.iter().enumerate() {
        let prober = Prober {
            session: session.clone(),
            to: Place::Port { host: endpoint.host.to_string(), port: endpoint.port.get() },
            index,
            began,
            rounds,
            turns: turns.clone(),
            stop: stop.clone(),
        };
        let events = events.clone();
        tasks.spawn(prober.run(events));
    }
    while tasks.join_next().await.is_some() {}
}

struct Prober {
    session: Arc<Session>,
    to: Place,
    index: usize,
    began: Instant,
    rounds: Rounds,
    turns: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Prober {
    async fn run(self, events: mpsc::Sender<Vec<ProbeEvent>>) {
        let mut done = 0_u32;
        while self.rounds.count.is_none_or(|count| done < count)
            && self.rounds.time.is_none_or(|time| self.began.elapsed() < time)
        {
            let next = Instant::now() + self.rounds.interval;
            let sample = tokio::select! {
                sample = self.probe(done < self.rounds.warm_up) => sample,
                () = self.stop.cancelled() => return,
            };
            let event = ProbeEvent { index: self.index, sample };
            if events.send(vec![event]).await.is_err() {
                return;
            }
            done = done.saturating_add(1);
            let last = self.rounds.count == Some(done);
            if !last {
                tokio::select! {
                    () = sleep_until(next) => {}
                    () = self.stop.cancelled() => return,
                }
            }
        }
    }

    async fn probe(&self, warm_up: bool) -> ProbeSample {
        let _turn = self.turns.acquire().await;
        let start = Instant::now();
        let opened = self.session.open_within(&self.to, self.rounds.timeout, &self.stop).await;
        let elapsed = start.elapsed();
        let outcome = match opened {
            Ok(channel) => {
                // Goodbye is said in order; nobody waits for it.
                let _ = channel.close().await;
                let clock = Clock::Monotonic;
                ProbeOutcome::Answered(Answer { rtt: Some(elapsed), clock, elapsed, retransmitted: 0 })
            }
            Err(no_way) => outcome(&no_way, elapsed),
        };
        ProbeSample { start: start - self.began, warm_up, to: None, from: None, outcome, service: None }
    }
}

/// sshd hands on what connect(2) said, in the C library's words.
fn outcome(no_way: &NoWay, after: Duration) -> ProbeOutcome {
    let unreachable =
        |error: &str| ProbeOutcome::Unreachable(Unreachable { error: error.into(), icmp: None });
    match no_way {
        NoWay::Failed(words) => match words.to_ascii_lowercase().as_str() {
            "" => unreachable("the instance can't connect there"),
            words if words.contains("refused") => ProbeOutcome::Refused { after },
            words if words.contains("timed out") => ProbeOutcome::TimedOut { syns: None },
            words => unreachable(words),
        },
        NoWay::Prohibited => unreachable("forbidden by the instance's sshd (AllowTcpForwarding, PermitOpen)"),
        NoWay::Silent(_) => ProbeOutcome::TimedOut { syns: None },
        NoWay::Shortage => ProbeOutcome::NotSent("the instance has no room for more connections".into()),
        NoWay::Other(why) => unreachable(why),
        NoWay::Lost => ProbeOutcome::NotSent("the session to the instance is lost".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_instance_says_is_told_apart() {
        let name = |no_way: NoWay| outcome(&no_way, Duration::ZERO).name();
        let failed = |words: &str| NoWay::Failed(words.into());
        assert_eq!(name(failed("Connection refused")), "refused");
        assert_eq!(name(failed("Connection timed out")), "timed-out");
        assert_eq!(name(failed("No route to host")), "unreachable");
        assert_eq!(name(failed("")), "unreachable");
        assert_eq!(name(NoWay::Silent(Duration::ZERO)), "timed-out");
        assert_eq!(name(NoWay::Prohibited), "unreachable");
        assert_eq!(name(NoWay::Lost), "not-sent");
    }
}
