//! The channel below SFTP: requests out, replies to whoever asked.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{Buf as _, Bytes, BytesMut};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client::Msg};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{
    SILENCE, SftpError,
    wire::{self, Hello, LENGTH, LONGEST_PACKET, Reply, Request},
};
use crate::{
    event::{Failure, Stage},
    net::connect::seconds,
    ssh::{Session, channel::REPLY_LIMIT},
};

/// A packet, and the bytes behind it that belong to it.
type Packet = (Bytes, Option<Bytes>);

/// Packets on their way to the connection; what is in them counts against the budget.
const QUEUED: usize = 16;

/// What is shared with the task that reads.
#[derive(Default)]
struct State {
    waiting: Mutex<Waiting>,
    /// Counts what came from the server, to tell a slow one from a silent one.
    heard: AtomicU64,
    /// Microseconds that the fastest answer took; 0 where there was none yet.
    fastest: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    replies: HashMap<u32, oneshot::Sender<Reply>>,
    /// Why there will be no more replies.
    ended: Option<Failure>,
}

impl State {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let fastest = self.fastest.load(Ordering::Relaxed);
        if fastest == 0 || took < fastest {
            self.fastest.store(took, Ordering::Relaxed);
        }
    }

    fn end(&self, failure: Failure) {
        let mut waiting = self.waiting();
        waiting.ended.get_or_insert(failure);
        waiting.replies.clear();
    }
}

/// The two tasks end with it.
pub(super) struct Link {
    state: Arc<State>,
    packets: mpsc::Sender<Packet>,
    next: AtomicU32,
    budget: Arc<Semaphore>,
    hello: Hello,
    tasks: [AbortHandle; 2],
}

impl Drop for Link {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Link {
    /// Opens the channel and exchanges versions. Also says whether the server tells its limits.
    pub(super) async fn open(session: &Session, budget: u32) -> Result<(Self, bool), Failure> {
        let (mut reader, writer) = session.open_channel().await?.split();
        let started = timeout(REPLY_LIMIT, start(session, &mut reader, &writer)).await;
        let (hello, rest) = started.unwrap_or_else(|_| Err(no_sftp("it does not answer")))?;
        let state = Arc::new(State::default());
        let (packets, queue) = mpsc::channel(QUEUED);
        let reading = tokio::spawn(read(reader, rest, state.clone(), session.why_lost()));
        let writing = tokio::spawn(write(writer, queue, state.clone()));
        let tells_limits = hello.extensions.iter().any(|e| e == "limits@openssh.com");
        let link = Self {
            state,
            packets,
            next: AtomicU32::new(1),
            budget: Arc::new(Semaphore::new(usize::try_from(budget).unwrap_or(usize::MAX >> 4))),
            hello,
            tasks: [reading.abort_handle(), writing.abort_handle()],
        };
        Ok((link, tells_limits))
    }

    pub(super) async fn room(&self, bytes: u32) -> Option<OwnedSemaphorePermit> {
        self.budget.clone().acquire_many_owned(bytes).await.ok()
    }

    pub(super) fn can_sync(&self) -> bool {
        self.can("fsync@openssh.com")
    }

    pub(super) fn can_replace(&self) -> bool {
        self.can("posix-rename@openssh.com")
    }

    /// What the fastest answer took until now: how long the path is.
    pub(super) fn fastest(&self) -> Duration {
        Duration::from_micros(self.state.fastest.load(Ordering::Relaxed))
    }

    fn can(&self, extension: &str) -> bool {
        self.hello.extensions.iter().any(|e| e == extension)
    }

    /// Asks, and waits for the answer as long as the server says anything at all.
    pub(super) async fn ask(&self, request: &Request<'_>) -> Result<Reply, SftpError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (reply, mut answer) = oneshot::channel();
        {
            let mut waiting = self.state.waiting();
            if let Some(ended) = &waiting.ended {
                return Err(SftpError::Ended(ended.clone()));
            }
            waiting.replies.insert(id, reply);
        }
        let packet = (wire::encode(id, request), wire::payload(request).cloned());
        let started = Instant::now();
        let asking = async {
            // A closed queue is told by the answer that never comes.
            let _ = self.packets.send(packet).await;
            (&mut answer).await
        };
        let mut asking = std::pin::pin!(asking);
        let mut heard = self.state.heard.load(Ordering::Relaxed);
        loop {
            tokio::select! {
                answered = &mut asking => {
                    self.state.answered(started.elapsed());
                    return answered.map_err(|_| self.ended());
                }
                () = sleep(SILENCE) => {
                    let now = self.state.heard.load(Ordering::Relaxed);
                    if now == heard {
                        self.state.end(silent());
                        return Err(self.ended());
                    }
                    heard = now;
                }
            }
        }
    }

    fn ended(&self) -> SftpError {
        let ended = self.state.waiting().ended.clone();
        SftpError::Ended(ended.unwrap_or_else(|| Failure::new(Stage::Copy, "connection lost")))
    }
}

/// Asks for the subsystem and reads the server's first packet, and what came behind it.
async fn start(
    session: &Session,
    reader: &mut ChannelReadHalf,
    writer: &ChannelWriteHalf<Msg>,
) -> Result<(Hello, BytesMut), Failure> {
    let lost = |_| session.lost(Stage::Channel);
    writer.request_subsystem(true, "sftp").await.map_err(lost)?;
    let mut buffer = BytesMut::new();
    loop {
        match reader.wait().await {
            Some(ChannelMsg::Success) => writer.data_bytes(wire::hello()).await.map_err(lost)?,
            Some(ChannelMsg::Failure) => return Err(no_sftp("it has no such subsystem")),
            Some(ChannelMsg::Data { data }) => buffer.extend_from_slice(&data),
            Some(ChannelMsg::Eof | ChannelMsg::Close) => return Err(no_sftp("it ends at once")),
            Some(_) => continue,
            None => return Err(session.lost(Stage::Channel)),
        }
        match next(&mut buffer) {
            Ok(None) => {}
            Ok(Some(packet)) => match wire::read_hello(packet) {
                Ok(hello) if hello.version == wire::VERSION => return Ok((hello, buffer)),
                _ => return Err(no_sftp("it speaks another version of it")),
            },
            // What a shell's start-up files print comes here, in front of everything.
            Err(()) => return Err(no_sftp("it prints something else there")),
        }
    }
}

/// Takes a packet off the front, without its length. An error for one that is longer than any.
fn next(buffer: &mut BytesMut) -> Result<Option<Bytes>, ()> {
    let Some(length) = buffer.get(..LENGTH).and_then(|l| <[u8; LENGTH]>::try_from(l).ok()) else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(length) as usize;
    if length > LONGEST_PACKET {
        return Err(());
    }
    if buffer.len() < LENGTH + length {
        buffer.reserve(LENGTH + length - buffer.len());
        return Ok(None);
    }
    buffer.advance(LENGTH);
    Ok(Some(buffer.split_to(length).freeze()))
}

/// Gives replies to who waits for them, until there are no more. Always reads: what is unread holds up the
/// whole connection.
async fn read(
    mut reader: ChannelReadHalf,
    mut buffer: BytesMut,
    state: Arc<State>,
    lost: impl Fn() -> Failure + Send,
) {
    let confused = |what: &str| match SftpError::confused(what) {
        SftpError::Ended(failure) => failure,
        other => other.failure(b""),
    };
    loop {
        loop {
            let packet = match next(&mut buffer) {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                Err(()) => return state.end(confused("a packet is too long")),
            };
            let Ok((id, reply)) = wire::decode(packet) else {
                return state.end(confused("a packet is malformed"));
            };
            let asked = state.waiting().replies.remove(&id);
            match asked {
                // Whoever asked may have been stopped meanwhile.
                Some(asked) => drop(asked.send(reply)),
                None => return state.end(confused("an answer belongs to no question")),
            }
        }
        match reader.wait().await {
            Some(ChannelMsg::Data { data }) => buffer.extend_from_slice(&data),
            Some(ChannelMsg::Eof | ChannelMsg::Close) => return state.end(gone()),
            Some(_) => {}
            None => return state.end(lost()),
        }
        state.heard.fetch_add(1, Ordering::Relaxed);
    }
}

async fn write(writer: ChannelWriteHalf<Msg>, mut queue: mpsc::Receiver<Packet>, state: Arc<State>) {
    while let Some((packet, payload)) = queue.recv().await {
        for bytes in std::iter::once(packet).chain(payload) {
            if writer.data_bytes(bytes).await.is_err() {
                return state.end(gone());
            }
        }
    }
    let _ = writer.eof().await;
    let _ = writer.close().await;
}

fn no_sftp(why: &str) -> Failure {
    Failure::new(Stage::Channel, format!("the server gives no SFTP: {why}"))
        .with_hint("check `Subsystem sftp` in the instance's sshd_config, and that .bashrc prints nothing for a session without terminal")
}

fn gone() -> Failure {
    Failure::new(Stage::Copy, "the server's SFTP ended").with_hint(
        "its process was killed or had no memory: look with `vmssh exec TARGET -- journalctl -e`; `--resume` goes on where this ended",
    )
}

fn silent() -> Failure {
    Failure::new(Stage::Copy, format!("the server has said nothing for {}", seconds(SILENCE))).with_hint(
        "its disk or a network file system hangs, or the way is cut: `--resume` goes on where this ended",
    )
}
