//! TCP probes: all endpoints at once, the probes of one endpoint one after the other.
//!
//! A probe times the TCP handshake. On Linux it is half-open: the kernel is asked to hold the last
//! packet of the handshake back, and the socket is reset as soon as the answer is there, so the
//! program behind the port never learns of it. (sshd counts connections that end before a login
//! and bans their source after a while.) Elsewhere the handshake completes and is reset at once.
//!
//! Emits events; statistics and screens are made of them by others.

mod attempt;
mod schedule;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use self::schedule::Schedule;
use super::{descriptors, resolve::Resolver};
use crate::{
    event::{ProbeEvent, ProbeOutcome, ProbeSample},
    natmap::Endpoint,
};

/// How many probes each endpoint gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Times(u32),
    /// As many as start within this time, at least one.
    For(Duration),
}

/// How to probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeOptions {
    /// How many counted probes each endpoint gets.
    pub count: Count,
    /// From the start of one probe of an endpoint to the start of the next. A probe that takes
    /// longer delays the next one, not those after it.
    pub interval: Duration,
    /// Probes that go before the counted ones: the first also pays for ARP, routes and NAT entries.
    pub warm_up: u32,
    /// How long an answer is waited for.
    pub timeout: Duration,
}

/// The first probes of so many endpoints start together. Bursts that are no longer than this,
/// with a look at the answers in between, do not measure this machine's own queue.
const BURST: usize = 8;
/// From one such burst to the next: the resolution of the timer. A thousand endpoints start in an
/// eighth of a second.
const BURST_GAP: Duration = Duration::from_millis(1);

/// Probes all endpoints and tells every result as an event with the endpoint's place in the list.
///
/// Ends when every endpoint has had its probes, at once when `stop` is cancelled, and when nobody
/// listens to the events any more. An endpoint whose name has no address gets one event. Not more
/// probes are under way than there are file descriptors for; the rest wait, and their wait is no
/// part of any time. Dropping the future closes every socket; there are no tasks.
pub async fn probe(
    endpoints: &[Endpoint],
    options: ProbeOptions,
    resolver: &Resolver,
    events: mpsc::Sender<ProbeEvent>,
    stop: CancellationToken,
) {
    let budget = Semaphore::new(descriptors::raise(endpoints.len()).min(Semaphore::MAX_PERMITS));
    let prober = Prober { options, budget, resolver, events };
    let mut running: FuturesUnordered<_> =
        endpoints.iter().enumerate().map(|(index, endpoint)| prober.endpoint(index, endpoint)).collect();
    let all = async {
        while let Some(listened_to) = running.next().await {
            if listened_to.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = all => {}
    }
}

/// Nobody listens to the events any more.
struct NobodyListens;

struct Prober<'a> {
    options: ProbeOptions,
    budget: Semaphore,
    resolver: &'a Resolver,
    events: mpsc::Sender<ProbeEvent>,
}

impl Prober<'_> {
    async fn endpoint(&self, index: usize, endpoint: &Endpoint) -> Result<(), NobodyListens> {
        let address = match self.resolver.resolve(&endpoint.host).await {
            Ok(addresses) => choose(&addresses).ok_or_else(|| "no address".to_string()),
            Err(error) => Err(error.to_string()),
        };
        let target = match address {
            Ok(ip) => SocketAddr::new(ip, endpoint.port.get()),
            Err(text) => return self.tell(index, false, ProbeOutcome::NotResolved(text)).await,
        };
        sleep(head_start(index)).await;
        let start = Instant::now();
        let mut schedule = Schedule::new(&self.options);
        while let Some(slot) = schedule.next(start.elapsed()) {
            if slot.at > start.elapsed() {
                sleep_until(start + slot.at).await;
            }
            let outcome = {
                let _permit = self.budget.acquire().await;
                attempt::attempt(target, self.options.timeout).await
            };
            self.tell(index, slot.warm_up, outcome).await?;
        }
        Ok(())
    }

    async fn tell(&self, index: usize, warm_up: bool, outcome: ProbeOutcome) -> Result<(), NobodyListens> {
        self.events
            .send(ProbeEvent {
                index,
                sample: ProbeSample {
                    start: Duration::ZERO,
                    warm_up,
                    to: None,
                    from: None,
                    outcome,
                    service: None,
                },
            })
            .await
            .map_err(|_| NobodyListens)
    }
}

/// How much later than the first endpoint this one starts.
fn head_start(index: usize) -> Duration {
    BURST_GAP * u32::try_from(index / BURST).unwrap_or(u32::MAX)
}

/// The first address that this machine has a route to, else the first: a frontend that also has
/// IPv4 must be reachable from a machine that has only IPv6. Connecting a UDP socket asks for the
/// route and sends nothing.
fn choose(addresses: &[IpAddr]) -> Option<IpAddr> {
    let routed = |ip: &&IpAddr| {
        let any: IpAddr =
            if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        // The port does not matter; 9 is discard.
        UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((**ip, 9))).is_ok()
    };
    match addresses {
        [only] => Some(*only),
        several => several.iter().find(routed).or(several.first()).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_spread() {
        let starts = [0, 7, 8, 999].map(head_start);
        assert_eq!(starts.map(|s| s.as_millis()), [0, 0, 1, 124]);
    }

    #[test]
    fn one_address_is_taken_as_it_is_and_of_several_one_that_has_a_route() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(choose(&[]), None);
        assert_eq!(choose(&[ip("192.0.2.1")]), Some(ip("192.0.2.1")));
        // A broadcast address can't be connected to without asking for it.
        let no_way = ip("255.255.255.255");
        assert_eq!(choose(&[no_way, ip("127.0.0.1")]), Some(ip("127.0.0.1")));
        assert_eq!(choose(&[no_way, no_way]), Some(no_way));
    }
}
