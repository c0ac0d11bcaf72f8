//! TCP probes: all endpoints at once, the probes of one endpoint one after the other.
//!
//! A probe times the TCP handshake. On Linux it is half-open: the kernel is asked to hold the last
//! packet of the handshake back, and the socket is reset as soon as the answer is there, so the
//! program behind the port never learns of it. (sshd counts connections that end before a login
//! and bans their source after a while.) Elsewhere the handshake completes and is reset at once.
//!
//! The probes have a thread of their own with one system call to wait in (epoll, kqueue, completion
//! ports), not a task each: a task costs as much as a probe (docs/performance.md), and a thread that
//! nobody else works on never lets an answer wait until the kernel completes the handshake itself.
//!
//! Emits events; statistics and screens are made of them by others.

mod judge;
mod run;
mod schedule;
mod service;
mod sockets;

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    num::NonZeroU32,
    sync::{Arc, mpsc as commands},
    thread,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use mio::Waker;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use self::service::Service;
use self::{
    run::{Run, Starts},
    sockets::{Sockets, WAKER},
};
use super::{descriptors, resolve::Resolver};
use crate::{
    event::{ProbeEvent, ProbeOutcome, ProbeSample},
    natmap::{Endpoint, Host},
};

/// How many probes each endpoint gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Times(u32),
    /// As many as start within this time, at least one.
    For(Duration),
    /// As many as there is time for until the run is stopped.
    Endless,
}

/// When an endpoint has had enough probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// When all that were asked for are made.
    Counted,
    /// At the first that is answered, by the service too where it is asked.
    Up,
}

/// How far a probe goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The SYN is answered, and the program behind the port never learns of it. On Linux; elsewhere the
    /// same as [`Depth::Full`].
    HalfOpen,
    /// The handshake is completed, and the connection reset.
    Full,
    /// The service behind the port is waited for as well.
    Service(Service),
}

impl Depth {
    /// True where the program behind the port sees a connection that ends before a login.
    #[must_use]
    pub fn is_seen(self) -> bool {
        self != Self::HalfOpen || cfg!(not(target_os = "linux"))
    }
}

/// At most so many probes of one endpoint in any such time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// How many.
    pub probes: NonZeroU32,
    /// In how long.
    pub per: Duration,
}

impl Budget {
    /// What an OpenSSH server bears: since 9.8 it counts a second of penalty for each connection that ends
    /// before a login and turns their source away from 15 seconds on (sshd_config(5), `PerSourcePenalties`
    /// with its defaults `noauth:1` and `min:15`), and it drops some of more than ten that have not signed
    /// in (`MaxStartups 10:30:100`).
    pub const SSHD: Self = Self { probes: NonZeroU32::new(10).unwrap(), per: Duration::from_secs(15) };

    fn most(&self) -> usize {
        usize::try_from(self.probes.get()).unwrap_or(usize::MAX)
    }
}

/// How to probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeOptions {
    /// How many counted probes each endpoint gets.
    pub count: Count,
    /// When it has had enough before that.
    pub until: Until,
    /// From the start of one probe of an endpoint to the start of the next. A probe that takes
    /// longer delays the next one, not those after it. The endpoints' first probes are spread over it.
    pub interval: Duration,
    /// Probes that go before the counted ones: the first also pays for ARP, routes and NAT entries.
    pub warm_up: u32,
    /// How long an answer is waited for, and then as long again for what the service says.
    pub timeout: Duration,
    /// At most so many SYNs a second, of all endpoints together.
    pub rate: Option<NonZeroU32>,
    /// At most so many probes of each endpoint in any such time.
    pub budget: Option<Budget>,
    /// How far a probe goes.
    pub depth: Depth,
    /// The address to probe from, instead of the one that the route has.
    pub source: Option<IpAddr>,
}

/// Four half-open probes of each endpoint, a quarter of a second apart.
impl Default for ProbeOptions {
    fn default() -> Self {
        Self {
            count: Count::Times(4),
            until: Until::Counted,
            interval: Duration::from_millis(250),
            warm_up: 0,
            // Linux sends a SYN again after 1 second and after 2: time for two SYNs.
            timeout: Duration::from_secs(2),
            rate: None,
            budget: None,
            depth: Depth::HalfOpen,
            source: None,
        }
    }
}

/// Where events go: in the order in which probes ended, as many at a time as there are.
pub type Events = mpsc::Sender<Vec<ProbeEvent>>;

/// Probes all endpoints and tells every result as an event with the endpoint's place in the list.
///
/// Ends when every endpoint has had its probes, at once when `stop` is cancelled, and when nobody
/// listens to the events any more. An endpoint whose name has no address gets one event. Not more
/// probes are under way than there are file descriptors for; the rest wait, and their wait is no
/// part of any time. While events are not taken, nothing new starts. Dropping the future ends the
/// thread that works for it.
///
/// # Errors
/// When the system gives no thread or nothing to wait with.
pub async fn probe(
    endpoints: &[Endpoint],
    options: ProbeOptions,
    resolver: &Resolver,
    events: Events,
    stop: CancellationToken,
) -> io::Result<()> {
    let began = Instant::now();
    let sockets = Sockets::new(began, &options, endpoints.len())?;
    let waker = Arc::new(Waker::new(sockets.registry(), WAKER)?);
    let run = Run::new(sockets, options, endpoints.len(), descriptors::raise(endpoints.len()));
    let (orders, taken) = commands::channel();
    let prober = Prober { orders, waker: waker.clone() };
    let (over, ended) = oneshot::channel();
    let outlet = events.clone();
    let work = move || {
        // A waker that goes takes its last call with it: it must outlive the wait that it ends.
        let _waker = waker;
        // The receiver is gone where the future is.
        let _ = over.send(serve(run, &taken, &outlet));
    };
    thread::Builder::new().name("vmssh-probe".into()).spawn(work)?;
    let all = async {
        prober.look_up(endpoints, resolver, began, &events).await;
        // It says how it ended unless it panicked.
        ended.await.unwrap_or_else(|_| Err(io::Error::other("the prober's thread broke off")))
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        result = all => result,
    }
}

/// What the thread is told.
enum Order {
    /// To take up endpoints, by their places in the list of work and their addresses.
    Add(Vec<(usize, SocketAddr)>),
    /// That there are no more.
    NoMore,
    /// To stop at once.
    Stop,
}

/// The thread's other end.
struct Prober {
    orders: commands::Sender<Order>,
    waker: Arc<Waker>,
}

impl Prober {
    /// Looks up all hosts, each once, and hands the endpoints of those that have an address to the thread,
    /// as they come.
    async fn look_up(&self, endpoints: &[Endpoint], resolver: &Resolver, began: Instant, events: &Events) {
        let mut hosts: HashMap<&Host, Vec<usize>> = HashMap::new();
        for (index, endpoint) in endpoints.iter().enumerate() {
            hosts.entry(&endpoint.host).or_default().push(index);
        }
        let looking = hosts.into_iter().map(async |(host, of)| (of, address(host, resolver).await));
        let mut looking: FuturesUnordered<_> = looking.collect();
        while let Some((of, address)) = looking.next().await {
            let of = of.into_iter().filter_map(|index| Some((index, endpoints.get(index)?)));
            match address {
                Ok(ip) => {
                    let to = |endpoint: &Endpoint| SocketAddr::new(ip, endpoint.port.get());
                    self.order(Order::Add(of.map(|(index, endpoint)| (index, to(endpoint))).collect()));
                }
                Err(why) => {
                    let sample = not_resolved(why, began.elapsed());
                    let told = of.map(|(index, _)| ProbeEvent { index, sample: sample.clone() });
                    if events.send(told.collect()).await.is_err() {
                        break;
                    }
                }
            }
        }
        self.order(Order::NoMore);
    }

    /// A thread that has ended takes no orders, and needs none.
    fn order(&self, order: Order) {
        let _ = self.orders.send(order);
        // The only error is that there is nobody to wake.
        let _ = self.waker.wake();
    }
}

/// With the future goes the thread, and with the thread every socket.
impl Drop for Prober {
    fn drop(&mut self) {
        self.order(Order::Stop);
    }
}

fn not_resolved(why: String, start: Duration) -> ProbeSample {
    let outcome = ProbeOutcome::NotResolved(why);
    ProbeSample { start, warm_up: false, to: None, from: None, outcome, service: None }
}

async fn address(host: &Host, resolver: &Resolver) -> Result<IpAddr, String> {
    let addresses = resolver.resolve(host).await.map_err(|error| error.to_string())?;
    choose(&addresses).ok_or_else(|| "no address".into())
}

/// Who listens is woken up for so many events, or when the first of them is so old: waking up costs as
/// much as a probe, and a screen shows nothing sooner.
const BATCH: usize = 512;
const OLDEST: Duration = Duration::from_millis(10);

/// The events of a run on their way out.
struct Outlet<'a> {
    events: &'a Events,
    kept: Vec<ProbeEvent>,
    /// When the first of those was put here, since the run began.
    since: Duration,
    /// Whether the last time there was no room for them.
    stuck: bool,
}

/// Nobody listens any more.
struct Unheard;

impl Outlet<'_> {
    fn add(&mut self, mut ended: Vec<ProbeEvent>, now: Duration) {
        if self.kept.is_empty() {
            (self.kept, self.since) = (ended, now);
        } else {
            self.kept.append(&mut ended);
        }
    }

    /// Sends what is due, all of it at the end.
    fn send(&mut self, now: Duration, over: bool) -> Result<(), Unheard> {
        let due = over || self.kept.len() >= BATCH || now.saturating_sub(self.since) >= OLDEST;
        if self.kept.is_empty() || !due {
            return if self.events.is_closed() { Err(Unheard) } else { Ok(()) };
        }
        self.stuck = match self.events.try_send(std::mem::take(&mut self.kept)) {
            Ok(()) => false,
            Err(mpsc::error::TrySendError::Full(batch)) => {
                self.kept = batch;
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(Unheard),
        };
        Ok(())
    }
}

/// The thread's work: turns, until all is done, nobody listens, or it is told to stop.
fn serve(mut run: Run<Sockets>, orders: &commands::Receiver<Order>, events: &Events) -> io::Result<()> {
    let mut more = true;
    let mut outlet = Outlet { events, kept: Vec::new(), since: Duration::ZERO, stuck: false };
    loop {
        loop {
            match orders.try_recv() {
                Ok(Order::Add(known)) => known.into_iter().for_each(|(index, to)| run.add(index, to)),
                Ok(Order::NoMore) => more = false,
                Ok(Order::Stop) | Err(commands::TryRecvError::Disconnected) => return Ok(()),
                Err(commands::TryRecvError::Empty) => break,
            }
        }
        let over = !more && run.is_over();
        outlet.add(run.take_ended(), run.now());
        if outlet.send(run.now(), over).is_err() || (over && outlet.kept.is_empty()) {
            return Ok(());
        }
        let longest = (!outlet.kept.is_empty()).then_some(OLDEST);
        run.turn(if outlet.stuck { Starts::None } else { Starts::Due }, longest)?;
    }
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
