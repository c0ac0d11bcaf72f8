//! Whose turn it is to ask for bytes of files, or to send them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::copy::pace::Pace;

/// Lets as many bytes be under way as the pace allows.
pub(super) struct Flow {
    pace: Mutex<Pace>,
    /// What is allowed and not under way.
    free: Arc<Semaphore>,
}

impl Flow {
    pub(super) fn new(pace: Pace) -> Self {
        let free = Arc::new(Semaphore::new(pace.allowed() as usize));
        Self { pace: Mutex::new(pace), free }
    }

    /// Waits for leave to have so many bytes under way, whoever asked first.
    pub(super) async fn turn(&self, bytes: u32) -> Option<OwnedSemaphorePermit> {
        // More than is allowed at all would wait for ever.
        let least = self.pace.lock().unwrap_or_else(PoisonError::into_inner).least();
        self.free.clone().acquire_many_owned(bytes.min(least)).await.ok()
    }

    /// An answer took so long; the fastest one, so long.
    pub(super) fn answered(&self, turn: Option<OwnedSemaphorePermit>, took: Duration, fastest: Duration) {
        let Some(mut turn) = turn else { return };
        let bytes = turn.num_permits();
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        // Where less is wanted than is allowed, its answer tells nothing of more.
        let is_full = self.free.available_permits() < bytes;
        let before = pace.allowed();
        if is_full {
            pace.answered(u32::try_from(bytes).unwrap_or(u32::MAX), took, fastest);
        }
        let now = pace.allowed();
        self.free.add_permits(now.saturating_sub(before) as usize);
        // Never more than the turn has.
        if let Some(less) = turn.split(before.saturating_sub(now) as usize) {
            less.forget();
        }
    }
}
