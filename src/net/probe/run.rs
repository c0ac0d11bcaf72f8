//! The loop of a run: what starts when, how long it may take, what is tried again. Rules only; sockets and
//! the clock are behind [`Network`].

use std::{cmp::Reverse, collections::BinaryHeap, io, net::SocketAddr, time::Duration};

use super::{
    ProbeOptions, Until,
    schedule::{Pace, Schedule, head_start},
};
use crate::{
    event::{ProbeEvent, ProbeOutcome, ProbeSample, ServiceOutcome},
    net::connect::cause,
};

/// What the loop needs of the network. Probes are named by their lane: there is one at a time in each.
pub(super) trait Network {
    /// The time since the run began.
    fn now(&self) -> Duration;

    /// Sends a SYN.
    fn dial(&mut self, lane: usize, to: SocketAddr) -> Dial;

    /// Waits until something is ready, at most so long (for ever without a limit), and adds it to `ready`.
    fn wait(&mut self, limit: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()>;

    /// Ends the probe of a lane that has used up its time.
    fn give_up(&mut self, lane: usize) -> Finished;
}

/// How a dial began.
#[derive(Debug)]
pub(super) enum Dial {
    /// The SYN is on its way.
    UnderWay,
    /// The system knew the outcome at once.
    Ended(ProbeOutcome),
    /// This machine could not; says nothing about the endpoint.
    Failed(io::Error),
}

/// Something happened in a lane.
#[derive(Debug)]
pub(super) struct Ready {
    /// Where.
    pub(super) lane: usize,
    /// What.
    pub(super) what: Step,
}

/// What happened.
#[derive(Debug)]
pub(super) enum Step {
    /// The port has answered; the service is being asked, which has the same time again.
    Connected,
    /// The probe has ended.
    Finished(Finished),
    /// This machine could not; says nothing about the endpoint.
    Failed(io::Error),
}

/// How a probe ended.
#[derive(Debug)]
pub(super) struct Finished {
    /// What became of the handshake.
    pub(super) outcome: ProbeOutcome,
    /// What the service said, where it was asked.
    pub(super) service: Option<ServiceOutcome>,
    /// The address that was dialled from, where the system told it.
    pub(super) from: Option<SocketAddr>,
}

/// Bursts that are no longer than this, with a look at the answers in between, do not measure this
/// machine's own queue.
const BURST: usize = 8;
/// How often a probe is tried when this machine has no descriptor, port or buffer for it.
const LOCAL_TRIES: u32 = 5;
/// Between two tries. Together they give other probes time to end and bound the wait to 0.4 s.
const LOCAL_PAUSE: Duration = Duration::from_millis(100);

/// What may start in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Starts {
    /// What is due.
    Due,
    /// Nothing, as nobody has room for its outcome.
    None,
}

/// A run: a lane for each endpoint that has an address.
pub(super) struct Run<N> {
    network: N,
    options: ProbeOptions,
    lanes: Vec<Lane>,
    /// What starts next: one entry for each lane that waits for its next probe.
    due: BinaryHeap<Reverse<(Duration, usize)>>,
    /// When to look at a lane's limit: one entry for each lane that was in flight since it was last looked
    /// at. What is found before its limit is put back.
    limits: BinaryHeap<Reverse<(Duration, usize)>>,
    in_flight: usize,
    most_in_flight: usize,
    endpoints: usize,
    pace: Pace,
    ready: Vec<Ready>,
    ended: Vec<ProbeEvent>,
}

struct Lane {
    /// Its endpoint's place in the list of work.
    index: usize,
    to: SocketAddr,
    schedule: Schedule,
    /// The probe that is next or under way.
    probe: Probe,
    /// Whether there is an entry for it among the limits.
    limited: bool,
}

/// The probe of a lane.
#[derive(Clone, Copy)]
struct Probe {
    warm_up: bool,
    tries: u32,
    /// When its SYN went out and when its time is used up; `None` before and after.
    flight: Option<(Duration, Duration)>,
}

impl<N: Network> Run<N> {
    /// A run of so many endpoints, with so many probes under way at once at most.
    pub(super) fn new(network: N, options: ProbeOptions, endpoints: usize, most_in_flight: usize) -> Self {
        Self {
            network,
            options,
            lanes: Vec::with_capacity(endpoints),
            due: BinaryHeap::with_capacity(endpoints),
            limits: BinaryHeap::with_capacity(endpoints),
            in_flight: 0,
            most_in_flight,
            endpoints,
            pace: Pace::new(options.rate),
            ready: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// Takes up an endpoint, by its place in the list of work and the address to dial.
    pub(super) fn add(&mut self, index: usize, to: SocketAddr) {
        let start = self.network.now() + head_start(self.options.interval, index, self.endpoints);
        let probe = Probe { warm_up: false, tries: 0, flight: None };
        let schedule = Schedule::new(&self.options, start);
        self.lanes.push(Lane { index, to, schedule, probe, limited: false });
        self.next_probe(self.lanes.len() - 1, start);
    }

    /// Nothing is under way and nothing will be.
    pub(super) fn is_over(&self) -> bool {
        self.in_flight == 0 && self.due.is_empty()
    }

    /// The probes that have ended since it was last asked.
    pub(super) fn take_ended(&mut self) -> Vec<ProbeEvent> {
        std::mem::take(&mut self.ended)
    }

    /// The time since the run began.
    pub(super) fn now(&self) -> Duration {
        self.network.now()
    }

    /// One turn: starts what is due, ends what has used up its time, and waits for what comes first, at most
    /// so long.
    pub(super) fn turn(&mut self, starts: Starts, longest: Option<Duration>) -> io::Result<()> {
        let begun = match starts {
            Starts::Due => self.begin_due(),
            Starts::None => 0,
        };
        self.end_overdue();
        // What has ended at once, or by its limit, is told before a wait.
        let limit = if begun == BURST || !self.ended.is_empty() {
            Some(Duration::ZERO)
        } else {
            [self.until_next(starts), longest].into_iter().flatten().min()
        };
        let mut ready = std::mem::take(&mut self.ready);
        self.network.wait(limit, &mut ready)?;
        ready.drain(..).for_each(|Ready { lane, what }| self.step(lane, what));
        self.ready = ready;
        Ok(())
    }

    /// How long nothing will be due; `None` where nothing ever will.
    fn until_next(&self, starts: Starts) -> Option<Duration> {
        let may_start = starts == Starts::Due && self.in_flight < self.most_in_flight;
        let start = self.due.peek().filter(|_| may_start);
        let start = start.map(|Reverse((at, _))| (*at).max(self.pace.next()));
        let limit = self.limits.peek().map(|Reverse((at, _))| *at);
        let next = [start, limit].into_iter().flatten().min()?;
        Some(next.saturating_sub(self.network.now()))
    }

    /// Starts what is due, a burst at most, and says how many.
    fn begin_due(&mut self) -> usize {
        let mut begun = 0;
        while begun < BURST && self.in_flight < self.most_in_flight {
            let now = self.network.now();
            let Some(Reverse((at, lane))) = self.due.peek().copied() else { break };
            if at > now || self.pace.next() > now {
                break;
            }
            self.due.pop();
            self.pace.spend(now);
            self.begin(lane, now);
            begun += 1;
        }
        begun
    }

    fn begin(&mut self, number: usize, now: Duration) {
        let limit = now.saturating_add(self.options.timeout);
        let Some(lane) = self.lanes.get_mut(number) else { return };
        lane.probe.flight = Some((now, limit));
        lane.schedule.started(now);
        self.in_flight += 1;
        match self.network.dial(number, lane.to) {
            Dial::UnderWay if lane.limited => {}
            Dial::UnderWay => {
                lane.limited = true;
                self.limits.push(Reverse((limit, number)));
            }
            Dial::Ended(outcome) => self.finish(number, Finished { outcome, service: None, from: None }),
            Dial::Failed(error) => self.failed(number, &error),
        }
    }

    /// Ends the probes that have used up their time.
    fn end_overdue(&mut self) {
        let now = self.network.now();
        while let Some(Reverse((at, number))) = self.limits.peek().copied()
            && at <= now
        {
            self.limits.pop();
            let Some(lane) = self.lanes.get_mut(number) else { continue };
            match lane.probe.flight {
                // It is another probe than the one that the entry was made for, or has got more time.
                Some((_, limit)) if limit > now => self.limits.push(Reverse((limit, number))),
                Some(_) => {
                    lane.limited = false;
                    let finished = self.network.give_up(number);
                    self.finish(number, finished);
                }
                None => lane.limited = false,
            }
        }
    }

    fn step(&mut self, number: usize, what: Step) {
        match what {
            Step::Connected => {
                let limit = self.network.now().saturating_add(self.options.timeout);
                if let Some(Lane { probe: Probe { flight: Some(flight), .. }, .. }) =
                    self.lanes.get_mut(number)
                {
                    flight.1 = limit;
                }
            }
            Step::Finished(finished) => self.finish(number, finished),
            Step::Failed(error) => self.failed(number, &error),
        }
    }

    /// This machine's own fault: the probe is tried again after a pause, and told when that does not help.
    fn failed(&mut self, number: usize, error: &io::Error) {
        let now = self.network.now();
        let Some(lane) = self.lanes.get_mut(number) else { return };
        lane.probe.tries += 1;
        if lane.probe.tries >= LOCAL_TRIES {
            let outcome = ProbeOutcome::NotSent(cause(error));
            return self.finish(number, Finished { outcome, service: None, from: None });
        }
        lane.probe.flight = None;
        self.in_flight -= 1;
        self.due.push(Reverse((now + LOCAL_PAUSE, number)));
    }

    fn finish(&mut self, number: usize, finished: Finished) {
        let now = self.network.now();
        let Some(lane) = self.lanes.get_mut(number) else { return };
        let Some((start, _)) = lane.probe.flight.take() else { return };
        self.in_flight -= 1;
        let Finished { outcome, service, from } = finished;
        let warm_up = lane.probe.warm_up;
        let sample = ProbeSample { start, warm_up, to: Some(lane.to), from, outcome, service };
        let enough = self.options.until == Until::Up && sample.is_up();
        self.ended.push(ProbeEvent { index: lane.index, sample });
        if !enough {
            self.next_probe(number, now);
        }
    }

    fn next_probe(&mut self, number: usize, now: Duration) {
        let Some(lane) = self.lanes.get_mut(number) else { return };
        if let Some(slot) = lane.schedule.next(now) {
            lane.probe = Probe { warm_up: slot.warm_up, tries: 0, flight: None };
            self.due.push(Reverse((slot.at, number)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, collections::HashMap, num::NonZeroU32, rc::Rc};

    use super::*;
    use crate::{
        event::Answer,
        net::probe::{Count, Depth, Service},
    };

    /// What a port does, and after how many milliseconds.
    #[derive(Clone, Copy)]
    enum Port {
        Answers(u64),
        Silent,
        /// Answers at once, and its service after so long.
        Speaks(u64),
        /// This machine fails so many times, then the port answers at once.
        Fails(u32),
    }

    /// A network of such ports by lane, with a clock that only waits move.
    struct Fake {
        clock: Rc<Cell<Duration>>,
        ports: Vec<Port>,
        dials: Vec<(usize, Duration)>,
        coming: BinaryHeap<Reverse<(Duration, usize, bool)>>,
        failures: HashMap<usize, u32>,
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn finished(service: Option<ServiceOutcome>) -> Finished {
        Finished { outcome: ProbeOutcome::Answered(Answer::kernel(ms(1))), service, from: None }
    }

    impl Network for Fake {
        fn now(&self) -> Duration {
            self.clock.get()
        }

        fn dial(&mut self, lane: usize, _to: SocketAddr) -> Dial {
            let now = self.now();
            self.dials.push((lane, now));
            match self.ports[lane] {
                Port::Answers(after) => self.coming.push(Reverse((now + ms(after), lane, false))),
                Port::Silent => {}
                Port::Speaks(_) => self.coming.push(Reverse((now, lane, true))),
                Port::Fails(times) => {
                    let failures = self.failures.entry(lane).or_default();
                    *failures += 1;
                    if *failures <= times {
                        return Dial::Failed(io::Error::from(io::ErrorKind::AddrNotAvailable));
                    }
                    return Dial::Ended(ProbeOutcome::Refused { after: ms(1) });
                }
            }
            Dial::UnderWay
        }

        fn wait(&mut self, limit: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
            let next = self.coming.peek().map(|Reverse((at, ..))| *at);
            let until = limit.map(|limit| self.now() + limit);
            let until = [next, until].into_iter().flatten().min().expect("a wait for something");
            self.clock.set(self.now().max(until));
            while let Some(Reverse((at, lane, connected))) = self.coming.peek().copied()
                && at <= self.now()
            {
                self.coming.pop();
                let what = match self.ports[lane] {
                    Port::Speaks(after) if connected => {
                        self.coming.push(Reverse((at + ms(after), lane, false)));
                        Step::Connected
                    }
                    Port::Speaks(after) => Step::Finished(finished(Some(ServiceOutcome::Answered {
                        after: ms(after),
                        said: "hello".into(),
                    }))),
                    _ => Step::Finished(finished(None)),
                };
                ready.push(Ready { lane, what });
            }
            Ok(())
        }

        fn give_up(&mut self, lane: usize) -> Finished {
            self.coming.retain(|Reverse((_, of, _))| *of != lane);
            match self.ports[lane] {
                Port::Speaks(_) => finished(Some(ServiceOutcome::Silent)),
                _ => Finished { outcome: ProbeOutcome::TimedOut { syns: None }, service: None, from: None },
            }
        }
    }

    /// Lanes and when they were dialled, in milliseconds.
    type Dials = Vec<(usize, u64)>;
    /// Endpoints and what became of their probes.
    type Outcomes = Vec<(usize, &'static str)>;

    /// A whole run.
    fn run(ports: &[Port], options: ProbeOptions, most: usize) -> (Dials, Outcomes) {
        let fake = Fake {
            clock: Rc::default(),
            ports: ports.to_vec(),
            dials: Vec::new(),
            coming: BinaryHeap::new(),
            failures: HashMap::new(),
        };
        let mut run = Run::new(fake, options, ports.len(), most);
        (0..ports.len()).for_each(|index| run.add(index, "192.0.2.1:50000".parse().unwrap()));
        let mut events = Vec::new();
        while !run.is_over() {
            run.turn(Starts::Due, None).unwrap();
            events.extend(run.take_ended());
            assert!(run.in_flight <= most);
        }
        let dials =
            run.network.dials.iter().map(|(lane, at)| (*lane, u64::try_from(at.as_millis()).unwrap()));
        let outcome = |sample: &ProbeSample| {
            sample.service.as_ref().map_or(sample.outcome.name(), ServiceOutcome::name)
        };
        (dials.collect(), events.iter().map(|e| (e.index, outcome(&e.sample))).collect())
    }

    fn options(times: u32, interval: u64) -> ProbeOptions {
        ProbeOptions {
            count: Count::Times(times),
            interval: ms(interval),
            timeout: ms(500),
            ..ProbeOptions::default()
        }
    }

    #[test]
    fn endpoints_are_spread_over_the_interval_and_keep_their_grid() {
        let (dials, events) = run(&[Port::Answers(30), Port::Answers(80)], options(3, 100), 10);
        assert_eq!(dials, [(0, 0), (1, 50), (0, 100), (1, 150), (0, 200), (1, 250)]);
        assert_eq!(events.len(), 6);
    }

    #[test]
    fn a_silent_endpoint_takes_its_limit_and_holds_nobody_up() {
        let (dials, events) = run(&[Port::Silent, Port::Answers(1)], options(2, 400), 10);
        // The next of the silent one is late, and at once.
        assert_eq!(dials, [(0, 0), (1, 200), (0, 500), (1, 600)]);
        assert_eq!(events.iter().filter(|(_, outcome)| *outcome == "timed-out").count(), 2);
    }

    #[test]
    fn a_service_has_the_limit_again() {
        let options = ProbeOptions { depth: Depth::Service(Service::Ssh), ..options(1, 0) };
        let (_, events) = run(&[Port::Speaks(450), Port::Speaks(501)], options, 10);
        assert_eq!(events, [(0, "answered"), (1, "silent")]);
    }

    #[test]
    fn what_this_machine_cannot_do_is_tried_again_and_then_not_sent() {
        let (dials, events) = run(&[Port::Fails(4), Port::Fails(5)], options(1, 0), 10);
        let of = |lane| dials.iter().filter(|(of, _)| *of == lane).map(|(_, at)| *at).collect::<Vec<_>>();
        assert_eq!((of(0), of(1)), (vec![0, 100, 200, 300, 400], vec![0, 100, 200, 300, 400]));
        assert_eq!(events, [(0, "refused"), (1, "not-sent")]);
    }

    #[test]
    fn no_more_are_under_way_than_there_are_handles_and_their_wait_is_no_time_of_theirs() {
        let (dials, _) = run(&[Port::Answers(10); 6], options(1, 0), 2);
        assert_eq!(dials.iter().map(|(_, at)| *at).collect::<Vec<_>>(), [0, 0, 10, 10, 20, 20]);
    }

    #[test]
    fn a_rate_holds_for_all_together() {
        let options = ProbeOptions { rate: NonZeroU32::new(100), ..options(2, 0) };
        let (dials, _) = run(&[Port::Answers(1); 3], options, 10);
        assert_eq!(dials.iter().map(|(_, at)| *at).collect::<Vec<_>>(), [0, 10, 20, 30, 40, 50]);
    }

    #[test]
    fn until_up_ends_with_the_first_answer() {
        let options = ProbeOptions { until: Until::Up, count: Count::Endless, ..options(0, 100) };
        let (dials, events) =
            run(&[Port::Answers(1), Port::Fails(0)], ProbeOptions { count: Count::Times(3), ..options }, 9);
        assert_eq!(events.iter().filter(|(index, _)| *index == 0).count(), 1);
        // A refusal is no answer.
        assert_eq!(dials.iter().filter(|(lane, _)| *lane == 1).count(), 3);
    }
}
