//! Room for what a forwarded connection's reader here has not taken yet.
//!
//! russh opens a channel's window again as data comes in, whether or not anybody has taken it, and its one
//! loop stands still where a channel's queue is full. So each forwarded connection is read at once into
//! room of its own, and that room has limits: one that outgrows them is cut, so that it holds up no other.
//! Where there is no other, it waits: TCP then holds the instance back and nothing is lost.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// For one connection: eight times the window that the server has anyway.
const ROOM_EACH: usize = 16 << 20;
/// For all of a session, so that many slow readers don't take the machine's memory.
const ROOM_OF_ALL: usize = 256 << 20;
/// What a piece takes besides its bytes: a server may send single ones.
const OVERHEAD: usize = 256;

/// What becomes of a connection that is alone and whose reader is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ssh) enum Alone {
    /// It waits: whoever else will want to use the session is seen from here.
    Waits,
    /// It is cut all the same: the server may want to open channels.
    IsCut,
}

/// The forwarded connections of a session.
#[derive(Debug)]
pub(in crate::ssh) struct Streams {
    room: Arc<Semaphore>,
    open: watch::Sender<usize>,
    most: usize,
    alone: Alone,
}

impl Streams {
    /// At most so many at once.
    pub(in crate::ssh) fn new(most: usize, alone: Alone) -> Arc<Self> {
        let room = Arc::new(Semaphore::new(ROOM_OF_ALL));
        Arc::new(Self { room, open: watch::Sender::new(0), most, alone })
    }

    /// A place for one more; `None` where there are too many.
    pub(in crate::ssh) fn enter(self: &Arc<Self>) -> Option<Slot> {
        let entered = self.open.send_if_modified(|open| {
            let room = *open < self.most;
            *open += usize::from(room);
            room
        });
        entered.then(|| Slot { streams: self.clone(), own: Arc::new(Semaphore::new(ROOM_EACH)) })
    }

    /// How many there may be.
    pub(in crate::ssh) fn most(&self) -> usize {
        self.most
    }
}

/// One forwarded connection's place.
#[derive(Debug)]
pub(in crate::ssh) struct Slot {
    streams: Arc<Streams>,
    own: Arc<Semaphore>,
}

/// Room that is taken until this is dropped.
pub(super) type Room = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Slot {
    /// Room for a piece of so many bytes; `None` where the connection must be cut.
    pub(super) async fn room(&self, length: usize) -> Option<Room> {
        // A packet has 256 KiB at most (russh), so it always fits when the rest has been taken.
        let cost = u32::try_from(length.saturating_add(OVERHEAD).min(ROOM_EACH)).ok()?;
        let take = async {
            let own = self.own.clone().acquire_many_owned(cost).await.ok()?;
            Some((own, self.streams.room.clone().acquire_many_owned(cost).await.ok()?))
        };
        let mut open = self.streams.open.subscribe();
        let may_wait = self.streams.alone == Alone::Waits;
        tokio::select! {
            biased;
            room = take => room,
            _ = open.wait_for(|open| *open > 1 || !may_wait) => None,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.streams.open.send_modify(|open| *open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_slow_reader_waits_alone_and_is_cut_in_company() {
        let streams = Streams::new(2, Alone::Waits);
        let slot = streams.enter().unwrap();
        let first = slot.room(ROOM_EACH - OVERHEAD).await.unwrap();
        let mut more = Box::pin(slot.room(1));
        assert!(more.as_mut().now_or_never().is_none());
        let other = streams.enter().unwrap();
        assert!(streams.enter().is_none());
        assert!(more.await.is_none());
        drop((other, first));
        assert!(slot.room(1).await.is_some());
    }

    #[tokio::test]
    async fn where_the_server_may_open_channels_nobody_waits() {
        let streams = Streams::new(1, Alone::IsCut);
        let slot = streams.enter().unwrap();
        let _all = slot.room(ROOM_EACH).await.unwrap();
        assert!(slot.room(1).await.is_none());
    }
}
