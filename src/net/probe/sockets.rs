//! The sockets of a run, and the one system call that waits for all of them.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Registry, Token, net::TcpStream};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    Depth, ProbeOptions,
    judge::{by_whom, judge},
    run::{Dial, Finished, Network, Ready, Step},
    service::{Conversation, Service},
};
use crate::{
    event::{Answer, Clock, ProbeOutcome, ServiceOutcome},
    net::{
        error_queue, source,
        tcp_info::{self, Handshake},
    },
};

/// Answers taken up in one turn. A burst of starts goes with each, so there are seldom more.
const EVENTS: usize = 1024;
/// Of the run's waker: no lane has this number.
pub(super) const WAKER: Token = Token(usize::MAX);

/// The network as it is.
pub(super) struct Sockets {
    poll: Poll,
    events: Events,
    began: Instant,
    depth: Depth,
    source: Option<IpAddr>,
    flights: Vec<Option<Flight>>,
}

/// A probe under way.
struct Flight {
    stream: TcpStream,
    to: SocketAddr,
    /// When its SYN went out. Taken right before, as what went before is not part of its time.
    dialled: Instant,
    /// Where the port has answered and the service is being asked.
    asking: Option<Asking>,
}

/// A service that is being asked.
struct Asking {
    since: Instant,
    answer: Answer,
    from: Option<SocketAddr>,
    conversation: Conversation,
}

impl Sockets {
    /// Sockets of a run that began at this time, with so many lanes.
    pub(super) fn new(began: Instant, options: &ProbeOptions, lanes: usize) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            began,
            depth: options.depth,
            source: options.source,
            flights: Vec::with_capacity(lanes),
        })
    }

    /// For a waker.
    pub(super) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    fn open(&mut self, lane: usize, to: SocketAddr) -> io::Result<Dial> {
        let socket = open(to, self.depth)?;
        if let Some(source) = self.source {
            source::bind(&socket, source)?;
        }
        let dialled = Instant::now();
        if let Err(error) = socket.connect(&to.into())
            && !is_under_way(&error)
        {
            return judge(&error, None, dialled.elapsed()).map(Dial::Ended).ok_or(error);
        }
        let mut stream = TcpStream::from_std(socket.into());
        let interest = match self.depth {
            Depth::HalfOpen | Depth::Full => Interest::WRITABLE,
            Depth::Service(_) => Interest::WRITABLE | Interest::READABLE,
        };
        self.poll.registry().register(&mut stream, Token(lane), interest)?;
        if self.flights.len() <= lane {
            self.flights.resize_with(lane + 1, || None);
        }
        if let Some(flight) = self.flights.get_mut(lane) {
            *flight = Some(Flight { stream, to, dialled, asking: None });
        }
        Ok(Dial::UnderWay)
    }
}

impl Network for Sockets {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn dial(&mut self, lane: usize, to: SocketAddr) -> Dial {
        self.open(lane, to).unwrap_or_else(Dial::Failed)
    }

    fn wait(&mut self, limit: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, limit) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        // Once for all that this wait found: they were ready by now.
        let now = Instant::now();
        for event in &self.events {
            let Token(lane) = event.token();
            let Some(place) = self.flights.get_mut(lane) else { continue };
            let Some(flight) = place else { continue };
            // From here to the end of the flight, which closes the socket, nothing may wait: the kernel holds
            // the last packet of a half-open handshake back for a fifth of a second at most.
            let Some(what) = flight.step(self.depth, event.is_error(), now) else { continue };
            if !matches!(what, Step::Connected) {
                *place = None;
            }
            ready.push(Ready { lane, what });
        }
        Ok(())
    }

    fn give_up(&mut self, lane: usize) -> Finished {
        let flight = self.flights.get_mut(lane).and_then(Option::take);
        match flight {
            Some(Flight { asking: Some(asking), .. }) => asking.end(ServiceOutcome::Silent),
            Some(flight) => flight.unanswered(),
            None => {
                let outcome = ProbeOutcome::TimedOut { syns: None };
                Finished { outcome, service: None, from: None }
            }
        }
    }
}

impl Flight {
    /// What the readiness of its socket means; `None` where it means nothing yet.
    fn step(&mut self, depth: Depth, failed: bool, now: Instant) -> Option<Step> {
        if let Some(asking) = &mut self.asking {
            return asking.hear(&mut self.stream, now).map(Step::Finished);
        }
        let after = now.saturating_duration_since(self.dialled);
        let answer = if failed { None } else { answer(&self.stream, after) };
        let Some(answer) = answer else {
            return self.failure(depth, after);
        };
        let from = self.stream.local_addr().ok();
        let finished = |outcome| Step::Finished(Finished { outcome, service: None, from });
        Some(match depth {
            // A closed port in the range that local ports are taken from may be given to the very socket
            // that dials it, which then answers itself (RFC 9293 section 3.5, simultaneous open).
            _ if from == Some(self.to) => finished(ProbeOutcome::Refused { after }),
            Depth::HalfOpen | Depth::Full => finished(ProbeOutcome::Answered(answer)),
            Depth::Service(service) => self.ask(service, answer, from, now),
        })
    }

    /// Why it was not answered; `None` where nothing has happened, and the wake-up was for nothing.
    fn failure(&self, depth: Depth, after: Duration) -> Option<Step> {
        // What is taken from the queue is no longer told by the socket.
        let (error, icmp) = match error_queue::take(&self.stream) {
            Some(queued) => (queued.error, queued.icmp),
            None => (self.stream.take_error().ok().flatten()?, None),
        };
        if error.kind() == ErrorKind::ConnectionReset {
            return Some(Step::Finished(self.reset(depth, after)));
        }
        Some(match judge(&error, icmp, after) {
            Some(ProbeOutcome::TimedOut { .. }) => Step::Finished(self.unanswered()),
            Some(outcome) => {
                let own = self.stream.local_addr().ok().map(|address| address.ip());
                Step::Finished(Finished { outcome: by_whom(outcome, own), service: None, from: None })
            }
            None => Step::Failed(error),
        })
    }

    /// What came of a connection that was reset before anybody looked. A reset in place of the answer is a
    /// refusal; this one came behind it.
    fn reset(&self, depth: Depth, after: Duration) -> Finished {
        let answer =
            tcp_info::handshake(&self.stream).map_or_else(|| own(after), |kernel| timed(&kernel, after));
        let service = match depth {
            Depth::HalfOpen | Depth::Full => None,
            Depth::Service(_) => Some(ServiceOutcome::Closed { after: Duration::ZERO }),
        };
        Finished { outcome: ProbeOutcome::Answered(answer), service, from: None }
    }

    /// Nothing came back.
    fn unanswered(&self) -> Finished {
        let syns = tcp_info::handshake(&self.stream).map(|handshake| handshake.retransmitted + 1);
        Finished { outcome: ProbeOutcome::TimedOut { syns }, service: None, from: None }
    }

    fn ask(&mut self, service: Service, answer: Answer, from: Option<SocketAddr>, now: Instant) -> Step {
        let conversation = Conversation::new(service);
        let asking = self.asking.insert(Asking { since: now, answer, from, conversation });
        // A few bytes into an empty buffer: they go out whole, or the connection has broken.
        match self.stream.write_all(service.question()) {
            Ok(()) => asking.hear(&mut self.stream, now).map_or(Step::Connected, Step::Finished),
            Err(_) => Step::Finished(asking.end(ServiceOutcome::Closed { after: Duration::ZERO })),
        }
    }
}

impl Asking {
    /// Takes what the service has said so far; `None` while that is not all.
    fn hear(&mut self, stream: &mut TcpStream, now: Instant) -> Option<Finished> {
        let after = now.saturating_duration_since(self.since);
        let mut bytes = [0; 512];
        loop {
            let heard = match stream.read(&mut bytes) {
                Ok(0) => Some(self.conversation.ended(after)),
                Ok(count) => self.conversation.heard(bytes.get(..count).unwrap_or_default(), after),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == ErrorKind::Interrupted => None,
                Err(_) => Some(self.conversation.ended(after)),
            };
            if let Some(outcome) = heard {
                return Some(self.end(outcome));
            }
        }
    }

    fn end(&self, outcome: ServiceOutcome) -> Finished {
        // What was said before the time was up is more than silence.
        let outcome = match outcome {
            ServiceOutcome::Silent => self.conversation.timed_out(self.since.elapsed()),
            outcome => outcome,
        };
        Finished { outcome: ProbeOutcome::Answered(self.answer), service: Some(outcome), from: self.from }
    }
}

/// A socket that connects without waiting, and that is reset when it is closed: no `TIME_WAIT`, so
/// that probing does not use up the local ports.
fn open(to: SocketAddr, depth: Depth) -> io::Result<Socket> {
    // In one call where the system has it: one in ten of a probe's.
    #[cfg(target_os = "linux")]
    let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    #[cfg(not(target_os = "linux"))]
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    #[cfg(not(target_os = "linux"))]
    socket.set_nonblocking(true)?;
    socket.set_linger(Some(Duration::ZERO))?;
    error_queue::ask_for(&socket, to)?;
    // Half-open (tcp(7), TCP_QUICKACK): the kernel holds the last packet of the handshake back.
    #[cfg(target_os = "linux")]
    if depth == Depth::HalfOpen {
        socket.set_tcp_quickack(false)?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = depth;
    Ok(socket)
}

fn is_under_way(error: &io::Error) -> bool {
    #[cfg(unix)]
    return error.raw_os_error() == Some(libc::EINPROGRESS);
    #[cfg(not(unix))]
    return error.kind() == ErrorKind::WouldBlock;
}

/// The answer, where there is one, and its time: by the kernel, else by the program's clock.
fn answer(stream: &TcpStream, elapsed: Duration) -> Option<Answer> {
    match tcp_info::handshake(stream) {
        Some(kernel) => kernel.answered.then(|| timed(&kernel, elapsed)),
        // Only a socket that is connected has a peer.
        None => stream.peer_addr().ok().map(|_| own(elapsed)),
    }
}

/// The time of an answer by the kernel, where it knows one.
fn timed(kernel: &Handshake, elapsed: Duration) -> Answer {
    let Handshake { rtt, retransmitted, .. } = *kernel;
    if rtt.is_none() && retransmitted == 0 {
        return own(elapsed);
    }
    Answer { rtt, clock: Clock::Kernel, elapsed, retransmitted }
}

/// The time of an answer by the program's clock.
fn own(elapsed: Duration) -> Answer {
    Answer { rtt: Some(elapsed), clock: Clock::Monotonic, elapsed, retransmitted: 0 }
}
