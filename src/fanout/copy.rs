//! The job of `cp`: sign in, copy files one way or the other.

mod pull;
mod push;
mod transfer;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::{Job, Output};
use crate::{
    copy::{Manner, Watch},
    event::{Exit, Failure, Outcome, Stage, Stream},
    net::connect::seconds,
    ssh::{
        Client, Destination, Session,
        sftp::{Sftp, SftpError},
    },
    tree::{Listing, TreeError},
};

/// Files of one instance under way at once: with small ones the round trips are what takes time.
pub const FILES_AT_ONCE: usize = 8;

/// Bytes under way of all instances together; what an instance gets is a share of it.
const BUDGET: u32 = 256 << 20;

/// The share of one instance, whatever there is: more than a path of 1 GB/s and 30 ms holds, and less than
/// which the round trips take over.
const SHARE: std::ops::RangeInclusive<u32> = 1 << 20..=32 << 20;

/// Lines of one instance about files that were left out or failed.
const MOST_NOTES: usize = 20;

/// Bytes that one of so many instances at once may have under way. Memory is bounded by 256 MiB together, or
/// 1 MiB for each where there are more than 256 at once.
#[must_use]
pub fn share(instances: usize) -> u32 {
    let share = BUDGET / u32::try_from(instances.max(1)).unwrap_or(u32::MAX);
    share.clamp(*SHARE.start(), *SHARE.end())
}

/// A local source with what is in it.
#[derive(Debug)]
pub struct Source {
    /// Its last name, by which it is called in a folder; `None`: what is in it goes there.
    pub name: Option<Vec<u8>>,
    /// What is to be copied of it.
    pub listing: Listing,
}

/// What is to be copied to or from one instance.
#[derive(Debug, Clone)]
pub enum Work {
    /// There.
    Push {
        /// What.
        sources: Vec<Arc<Source>>,
        /// Where to; with a `/` behind it a folder, which is made where there is none.
        to: Vec<u8>,
    },
    /// Here.
    Pull {
        /// What.
        from: Vec<Vec<u8>>,
        /// Where to: a path for each source, and its folder, which is made where there is none.
        to: Vec<PathBuf>,
    },
}

/// Files to or from many instances.
#[derive(Clone)]
pub struct CopyJob {
    /// Who signs in, and how.
    pub client: Client,
    /// The instances, in the order of the outcomes.
    pub destinations: Vec<Destination>,
    /// What each of them gets or gives, in the same order.
    pub work: Vec<Work>,
    /// How.
    pub manner: Manner,
    /// Bytes that each may have under way ([`share`]).
    pub share: u32,
    /// The time limit for each instance, connecting not counted; `None` for no limit.
    pub timeout: Option<Duration>,
    /// Who is told how far it is.
    pub watch: Arc<dyn Watch>,
}

impl Job for CopyJob {
    async fn run(&self, index: usize, output: Output, end: CancellationToken) -> Outcome {
        let (Some(destination), Some(work)) = (self.destinations.get(index), self.work.get(index)) else {
            return Outcome::Skipped("there is no such instance".into());
        };
        let connected = tokio::select! {
            connected = self.client.connect(destination) => connected,
            () = end.cancelled() => return Outcome::Error(Failure::new(Stage::Connect, "interrupted")),
        };
        match connected {
            Err(failure) => Outcome::Error(failure),
            Ok(session) => {
                let copied = tokio::select! {
                    copied = self.copy(&session, index, &output, work) => copied,
                    () = end.cancelled() => Err(interrupted()),
                };
                session.close().await;
                copied.map_or_else(Outcome::Error, |()| Outcome::Exited(Exit::Status(0)))
            }
        }
    }
}

impl CopyJob {
    async fn copy(
        &self,
        session: &Session,
        index: usize,
        output: &Output,
        work: &Work,
    ) -> Result<(), Failure> {
        let all = async {
            let sftp = session.sftp(self.share).await?;
            let copying = Copying::new(self, &sftp, index, output);
            let ended = match work {
                Work::Push { sources, to } => copying.push(sources, to).await,
                Work::Pull { from, to } => copying.pull(from, to).await,
            };
            copying.conclude(ended)
        };
        match self.timeout {
            None => all.await,
            Some(limit) => time::timeout(limit, all).await.unwrap_or_else(|_| Err(timed_out(limit))),
        }
    }
}

/// Why a file did not arrive.
enum Trouble {
    /// It alone.
    File(Failure),
    /// Nothing else will either.
    Session(Failure),
}

impl Trouble {
    fn there(error: SftpError, path: &[u8]) -> Self {
        match error {
            SftpError::Ended(failure) => Self::Session(failure),
            other => Self::File(other.failure(path)),
        }
    }

    fn failure(self) -> Failure {
        match self {
            Self::File(failure) | Self::Session(failure) => failure,
        }
    }
}

impl From<TreeError> for Trouble {
    fn from(error: TreeError) -> Self {
        let failure = Failure::new(Stage::Copy, format!("can't be written here: {error}"));
        Self::File(failure.with_hint("check the folder and the disk here: `df -h`, `ls -ld`"))
    }
}

/// The copying of one instance's files.
struct Copying<'a> {
    job: &'a CopyJob,
    sftp: &'a Sftp,
    index: usize,
    output: &'a Output,
    notes: AtomicUsize,
    failed: Mutex<Failed>,
}

#[derive(Default)]
struct Failed {
    first: Option<Failure>,
    count: usize,
}

impl<'a> Copying<'a> {
    fn new(job: &'a CopyJob, sftp: &'a Sftp, index: usize, output: &'a Output) -> Self {
        Self { job, sftp, index, output, notes: AtomicUsize::new(0), failed: Mutex::default() }
    }

    /// Takes in what became of a file: one that failed does not hold up the others.
    async fn settle(&self, ended: Result<(), Trouble>) -> Result<(), Failure> {
        match ended {
            Ok(()) => self.job.watch.arrived(self.index),
            Err(Trouble::Session(failure)) => return Err(failure),
            Err(Trouble::File(failure)) => self.fail(failure).await,
        }
        Ok(())
    }

    async fn fail(&self, failure: Failure) {
        let first = {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.count += 1;
            let first = failed.first.is_none();
            failed.first.get_or_insert_with(|| failure.clone());
            first
        };
        // The first one is told with the outcome.
        if !first {
            self.note(&format!("not copied: {}", failure.message)).await;
        }
    }

    async fn skip(&self, path: &str, what: &str) {
        self.job.watch.skipped(self.index);
        self.note(&format!("left out: {path} ({what})")).await;
    }

    async fn note(&self, text: &str) {
        let line = match self.notes.fetch_add(1, Ordering::Relaxed) {
            told if told < MOST_NOTES => format!("{}\n", crate::clean::clean_line(text)),
            MOST_NOTES => "and more like these\n".into(),
            _ => return,
        };
        self.output.send(Stream::Stderr, Bytes::from(line)).await;
    }

    fn conclude(self, ended: Result<(), Failure>) -> Result<(), Failure> {
        ended?;
        let failed = self.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        match failed.first {
            None => Ok(()),
            Some(first) if failed.count == 1 => Err(first),
            Some(first) => {
                let message = format!("{}, and {} more not copied", first.message, failed.count - 1);
                Err(Failure { message, ..first })
            }
        }
    }
}

/// Does what may block, on a thread where it may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

fn interrupted() -> Failure {
    Failure::new(Stage::Copy, "interrupted")
        .with_hint("what was under way stays under a temporary name: the same with `--resume` goes on there")
}

fn timed_out(limit: Duration) -> Failure {
    Failure::new(Stage::Copy, format!("not done after {}, given up", seconds(limit)))
        .with_hint("allow more with `--timeout`; the same with `--resume` goes on where this ended")
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn memory_is_shared_out() {
        assert_eq!([1, 8, 64, 256, 1000].map(share), [32 << 20, 32 << 20, 4 << 20, 1 << 20, 1 << 20]);
    }
}
