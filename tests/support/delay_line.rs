//! A line of known length between two network namespaces: every packet takes the same time, and of
//! every so many flows the first SYN is lost. What `tc netem` does, where the kernel is built with it.
//!
//! Two TUN devices and one thread that carries packets from each to the other. It runs before all other
//! programs and, near the time of a packet, does not sleep. It keeps a ledger of what it carried, so that
//! where the machine made it late all the same, how late is known.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::{HashMap, VecDeque},
    fs::{File, OpenOptions},
    io::{ErrorKind, Read as _, Write as _},
    os::{fd::AsRawFd as _, unix::fs::OpenOptionsExt as _},
    ptr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::namespace::Namespace;

/// The client's address.
pub(crate) const CLIENT: &str = "192.0.2.10";
/// The server's address.
pub(crate) const SERVER: &str = "198.51.100.10";

/// So long before the time of a packet it no longer sleeps: waking up takes less.
const AWAKE: Duration = Duration::from_micros(150);
/// So long after a packet it waits for the next one without sleeping: that packet is then seen at once.
const QUIET: Duration = Duration::from_millis(100);
/// But so long of each such turn it sleeps where it can. Who keeps a core from all others for nineteen
/// twentieths of a second is stopped for the last one by the kernel (sched(7), real-time throttling).
const REST: Duration = Duration::from_millis(2);
const TURN: Duration = Duration::from_millis(20);
/// So often it looks whether it should end.
const LOOK_UP: Duration = Duration::from_millis(20);

/// The line, taken down when dropped.
pub(crate) struct DelayLine {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    end: AtomicBool,
    /// Of so many flows the first one's first SYN is dropped; 0: of none.
    every: AtomicU32,
    ledger: Mutex<Ledger>,
}

/// What became of one connection's handshake.
#[derive(Debug, Clone)]
pub(crate) struct Passage {
    pub(crate) client_port: u16,
    pub(crate) server_port: u16,
    /// SYNs after the first.
    pub(crate) resent: u32,
    /// SYNs that the line dropped.
    pub(crate) dropped: u32,
    /// When the first SYN came in that was not dropped.
    syn: Option<Instant>,
    /// When its answer came out.
    answer: Option<Instant>,
}

impl Passage {
    /// From the SYN to its answer, as the client's end of the line saw it.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        Some(self.answer?.duration_since(self.syn?))
    }
}

#[derive(Default)]
struct Ledger {
    passages: Vec<Passage>,
    /// By client port, server port and the SYN's sequence number.
    places: HashMap<(u16, u16, u32), usize>,
}

impl DelayLine {
    /// Lays it between two namespaces, which then reach each other at [`CLIENT`] and [`SERVER`].
    pub(crate) fn between(client: &Namespace, server: &Namespace, one_way: Duration) -> Self {
        let ends = [(client, CLIENT, SERVER), (server, SERVER, CLIENT)].map(|(namespace, own, other)| {
            let device = namespace.within(tun);
            namespace.ip(&["address", "add", own, "peer", other, "dev", "wan0"]);
            // A burst must fit in.
            namespace.ip(&["link", "set", "wan0", "txqueuelen", "20000", "up"]);
            device
        });
        let shared = Arc::new(Shared::default());
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                before_all_others();
                let [client, server] = ends;
                let ways = [Way::new(client), Way::new(server)];
                Carrier { ways, one_way, shared, flows: 0, last: Instant::now() }.run();
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// From now on the first SYN of every so many flows is lost; 0: of none.
    pub(crate) fn lose_every(&self, flows: u32) {
        self.shared.every.store(flows, Ordering::Relaxed);
    }

    /// What it carried since it was last asked, in the order in which flows began.
    pub(crate) fn take_passages(&self) -> Vec<Passage> {
        std::mem::take(&mut *self.shared.ledger.lock().unwrap()).passages
    }
}

impl Drop for DelayLine {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A failing test must fail with its own words.
            let _ = thread.join();
        }
    }
}

/// Packets from one end, on their way to the other.
struct Way {
    device: File,
    packets: VecDeque<(Instant, Vec<u8>)>,
}

impl Way {
    fn new(device: File) -> Self {
        Self { device, packets: VecDeque::new() }
    }
}

struct Carrier {
    /// From the client, from the server.
    ways: [Way; 2],
    one_way: Duration,
    shared: Arc<Shared>,
    flows: u32,
    /// When the last packet came in.
    last: Instant,
}

impl Carrier {
    fn run(mut self) {
        let began = Instant::now();
        while !self.shared.end.load(Ordering::Relaxed) {
            self.take_in(0);
            self.take_in(1);
            self.hand_out(0);
            self.hand_out(1);
            let next = self.ways.iter().filter_map(|way| Some(way.packets.front()?.0)).min();
            let now = Instant::now();
            let left = next.map_or(LOOK_UP, |at| at.saturating_duration_since(now));
            let is_quiet = now.duration_since(self.last) > QUIET;
            let is_rest = now.duration_since(began).as_micros() % TURN.as_micros() < REST.as_micros();
            if left > AWAKE && (is_quiet || is_rest) {
                self.sleep(left - AWAKE);
            } else {
                std::hint::spin_loop();
            }
        }
    }

    fn take_in(&mut self, from: usize) {
        let mut buffer = [0; 2048];
        loop {
            let length = match self.ways[from].device.read(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("the line's device: {error}"),
            };
            let now = Instant::now();
            self.last = now;
            // Whatever else a new interface says, as for finding routers, is not for this line.
            let Some(segment) = Segment::of(&buffer[..length]) else { continue };
            if !(from == 0 && segment.is_syn() && self.loses(&segment, now)) {
                self.ways[from].packets.push_back((now + self.one_way, buffer[..length].to_vec()));
            }
        }
    }

    fn hand_out(&mut self, from: usize) {
        let to = 1 - from;
        while self.ways[from].packets.front().is_some_and(|(at, _)| *at <= Instant::now()) {
            let (_, packet) = self.ways[from].packets.pop_front().unwrap();
            if let Some(segment) = Segment::of(&packet).filter(Segment::is_answer) {
                self.note_answer(&segment);
            }
            // The other end's kernel takes it up before this returns.
            self.ways[to].device.write_all(&packet).unwrap();
        }
    }

    /// Enters a SYN into the ledger and says whether it is to be lost.
    fn loses(&mut self, syn: &Segment, now: Instant) -> bool {
        let mut ledger = self.shared.ledger.lock().unwrap();
        let Ledger { passages, places } = &mut *ledger;
        let key = (syn.from, syn.to, syn.sequence);
        if let Some(place) = places.get(&key) {
            let passage = &mut passages[*place];
            passage.resent += 1;
            passage.syn.get_or_insert(now);
            return false;
        }
        let every = self.shared.every.load(Ordering::Relaxed);
        let lost = every > 0 && self.flows.is_multiple_of(every);
        self.flows = if every > 0 { self.flows.wrapping_add(1) } else { 0 };
        places.insert(key, passages.len());
        passages.push(Passage {
            client_port: syn.from,
            server_port: syn.to,
            resent: 0,
            dropped: u32::from(lost),
            syn: (!lost).then_some(now),
            answer: None,
        });
        lost
    }

    fn note_answer(&self, answer: &Segment) {
        let mut ledger = self.shared.ledger.lock().unwrap();
        let key = (answer.to, answer.from, answer.acknowledged.wrapping_sub(1));
        let Some(place) = ledger.places.get(&key).copied() else { return };
        ledger.passages[place].answer.get_or_insert_with(Instant::now);
    }

    /// Until a packet comes, at most so long.
    fn sleep(&self, limit: Duration) {
        let mut ready = self.ways.each_ref().map(|way| libc::pollfd {
            fd: way.device.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        });
        let limit = libc::timespec { tv_sec: 0, tv_nsec: i64::from(limit.min(LOOK_UP).subsec_nanos()) };
        #[expect(unsafe_code, reason = "the standard library does not poll")]
        // SAFETY: the descriptors are open, and both pointers are to values that outlive the call.
        unsafe {
            libc::ppoll(ready.as_mut_ptr(), 2, &raw const limit, ptr::null());
        }
    }
}

/// What matters of a TCP segment.
struct Segment {
    from: u16,
    to: u16,
    sequence: u32,
    acknowledged: u32,
    flags: u8,
}

impl Segment {
    /// Of an IPv4 packet; `None` where it has none.
    fn of(packet: &[u8]) -> Option<Self> {
        let first = *packet.first()?;
        if first >> 4 != 4 || *packet.get(9)? != 6 {
            return None;
        }
        let tcp = packet.get(usize::from(first & 15) * 4..)?.first_chunk::<20>()?;
        Some(Self {
            from: u16::from_be_bytes([tcp[0], tcp[1]]),
            to: u16::from_be_bytes([tcp[2], tcp[3]]),
            sequence: u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]),
            acknowledged: u32::from_be_bytes([tcp[8], tcp[9], tcp[10], tcp[11]]),
            flags: tcp[13],
        })
    }

    fn is_syn(&self) -> bool {
        self.flags & 0x12 == 0x02
    }

    fn is_answer(&self) -> bool {
        self.flags & 0x12 == 0x12
    }
}

/// A TUN device `wan0` in the namespace of this thread.
fn tun() -> File {
    const DEVICE: &str = "/dev/net/tun";
    let device = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(DEVICE);
    let device =
        device.unwrap_or_else(|error| panic!("{DEVICE}: {error}; this test takes root and TUN devices"));
    let mut request = [0_u8; size_of::<libc::ifreq>()];
    request[..4].copy_from_slice(b"wan0");
    // Behind the name (IFNAMSIZ, 16 bytes) are the flags.
    let flags = u16::try_from(libc::IFF_TUN | libc::IFF_NO_PI).unwrap();
    request[16..18].copy_from_slice(&flags.to_ne_bytes());
    #[expect(unsafe_code, reason = "no crate of ours makes TUN devices")]
    // SAFETY: the descriptor is open, and the buffer has the size of the structure that the call reads
    // and writes.
    let made = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, request.as_mut_ptr()) };
    assert_eq!(made, 0, "a TUN device: {}", std::io::Error::last_os_error());
    device
}

/// Lets this thread run whenever it wants to. Where that is not allowed it is late more often, and says
/// so in its ledger.
fn before_all_others() {
    let priority = libc::sched_param { sched_priority: 10 };
    #[expect(unsafe_code, reason = "the standard library has no priorities")]
    // SAFETY: the pointer is to a value that outlives the call, which changes this thread's scheduling.
    unsafe {
        libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority);
    }
}
