//! A time limit that stands still while a person is asked something.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// The time limit of one connection attempt.
#[derive(Debug)]
pub(super) struct Limit {
    whole: Duration,
    clock: Mutex<Clock>,
    changed: Notify,
}

#[derive(Debug)]
struct Clock {
    left: Duration,
    /// When `left` was true; meaningless while paused.
    since: Instant,
    pauses: usize,
}

impl Clock {
    fn left(&self) -> Duration {
        if self.pauses > 0 { self.left } else { self.left.saturating_sub(self.since.elapsed()) }
    }
}

impl Limit {
    /// Starts the clock.
    pub(super) fn new(whole: Duration) -> Arc<Self> {
        let clock = Mutex::new(Clock { left: whole, since: Instant::now(), pauses: 0 });
        Arc::new(Self { whole, clock, changed: Notify::new() })
    }

    /// The limit as it was set.
    pub(super) fn whole(&self) -> Duration {
        self.whole
    }

    /// What is left of it.
    pub(super) fn left(&self) -> Duration {
        self.clock().left()
    }

    /// Stops the clock until the last of its guards is dropped.
    pub(super) fn pause(self: &Arc<Self>) -> Pause {
        let mut clock = self.clock();
        clock.left = clock.left();
        clock.pauses += 1;
        drop(clock);
        self.changed.notify_waiters();
        Pause(self.clone())
    }

    /// Ends when the time is used up.
    pub(super) async fn run_out(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registered before the clock is read, so that no change is missed in between.
            changed.as_mut().enable();
            let (paused, left) = {
                let clock = self.clock();
                (clock.pauses > 0, clock.left())
            };
            if paused {
                changed.await;
            } else if left.is_zero() {
                return;
            } else {
                tokio::select! { () = sleep(left) => {} () = changed => {} }
            }
        }
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clock stands still while this lives.
#[derive(Debug)]
pub(super) struct Pause(Arc<Limit>);

impl Drop for Pause {
    fn drop(&mut self) {
        let mut clock = self.0.clock();
        clock.pauses -= 1;
        clock.since = Instant::now();
        drop(clock);
        self.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_person_may_take_their_time() {
        let limit = Limit::new(Duration::from_millis(100));
        let start = Instant::now();
        let question = {
            let limit = limit.clone();
            tokio::spawn(async move {
                let outer = limit.pause();
                let inner = limit.pause();
                sleep(Duration::from_millis(200)).await;
                drop(inner);
                sleep(Duration::from_millis(200)).await;
                drop(outer);
            })
        };
        tokio::task::yield_now().await;
        limit.run_out().await;
        // Less would mean that the clock ran on; how much more is the scheduler's affair.
        assert!(start.elapsed() >= Duration::from_millis(400));
        assert_eq!(limit.left(), Duration::ZERO);
        question.await.unwrap();
    }
}
