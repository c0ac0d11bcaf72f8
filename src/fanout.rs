//! Fan-out: one job per instance, at most so many at once, exactly one outcome each.
//!
//! Emits events while it runs and knows neither SSH nor the screen. Stopping goes in steps: after
//! [`Interrupt::drain`] nothing new is started, after [`Interrupt::end`] what runs is ended too.

pub mod command;
pub mod copy;

use std::{collections::HashMap, future::Future, num::NonZeroUsize, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::mpsc,
    task::{Id, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::event::{Failure, FanoutEvent, Outcome, Stage, Stream};

/// The work of one instance.
pub trait Job: Send + Sync + 'static {
    /// Does the work of instance `index` and says what became of it. When `end` is cancelled it must
    /// soon be over, and say how far it got.
    fn run(
        &self,
        index: usize,
        output: Output,
        end: CancellationToken,
    ) -> impl Future<Output = Outcome> + Send;
}

/// Where a job's output goes: to the events, under the instance's place.
#[derive(Debug, Clone)]
pub struct Output {
    index: usize,
    events: mpsc::Sender<FanoutEvent>,
}

impl Output {
    /// Passes a piece on; waits while the watcher is behind. False when nobody watches any more.
    pub async fn send(&self, stream: Stream, bytes: Bytes) -> bool {
        self.events.send(FanoutEvent::Output { index: self.index, stream, bytes }).await.is_ok()
    }
}

/// The two steps in which a run is stopped.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    /// Start nothing new; what has not started is skipped.
    pub drain: CancellationToken,
    /// End what runs.
    pub end: CancellationToken,
}

impl Interrupt {
    /// The next step: drain first, then end.
    pub fn next(&self) {
        if self.drain.is_cancelled() { self.end.cancel() } else { self.drain.cancel() }
    }

    /// Both steps at once.
    pub fn stop(&self) {
        self.drain.cancel();
        self.end.cancel();
    }

    /// One that follows this one, and can be stopped without stopping this one.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { drain: self.drain.child_token(), end: self.end.child_token() }
    }
}

/// Runs `job` for the instances `0..count`, at most `parallel` at once, and gives each one's outcome
/// in order. Also ends when nobody watches the events any more.
pub async fn run<J: Job>(
    job: Arc<J>,
    count: usize,
    parallel: NonZeroUsize,
    interrupt: &Interrupt,
    events: mpsc::Sender<FanoutEvent>,
) -> Vec<Outcome> {
    // Nobody watching stops this run, and not whatever else the caller does.
    let interrupt = interrupt.child();
    let mut run = Run {
        job,
        end: interrupt.end.clone(),
        events,
        tasks: JoinSet::new(),
        running: HashMap::new(),
        outcomes: vec![None; count],
    };
    let mut waiting = 0..count;
    let mut told = false;
    loop {
        while !interrupt.drain.is_cancelled() && run.running.len() < parallel.get() {
            let Some(index) = waiting.next() else { break };
            run.start(index).await;
        }
        if run.running.is_empty() && (interrupt.drain.is_cancelled() || waiting.is_empty()) {
            break;
        }
        tokio::select! {
            biased;
            () = interrupt.drain.cancelled(), if !told => {
                told = true;
                run.tell_draining().await;
            }
            () = run.events.closed(), if !interrupt.end.is_cancelled() => interrupt.stop(),
            Some(ended) = run.tasks.join_next_with_id() => run.finish(ended).await,
        }
    }
    for index in waiting {
        run.settle(index, Outcome::Skipped("not started".into()), Duration::ZERO).await;
    }
    // Every index was started or skipped above, so the default is never taken.
    run.outcomes.into_iter().map(|o| o.unwrap_or_else(|| Outcome::Skipped("not started".into()))).collect()
}

/// The state of one run.
struct Run<J> {
    job: Arc<J>,
    end: CancellationToken,
    events: mpsc::Sender<FanoutEvent>,
    tasks: JoinSet<(usize, Outcome, Duration)>,
    running: HashMap<Id, usize>,
    outcomes: Vec<Option<Outcome>>,
}

impl<J: Job> Run<J> {
    async fn start(&mut self, index: usize) {
        // A closed event channel is noticed by the loop.
        let _ = self.events.send(FanoutEvent::Started { index }).await;
        let (job, end) = (self.job.clone(), self.end.clone());
        let output = Output { index, events: self.events.clone() };
        let task = self.tasks.spawn(async move {
            let start = Instant::now();
            let outcome = job.run(index, output, end).await;
            (index, outcome, start.elapsed())
        });
        self.running.insert(task.id(), index);
    }

    async fn finish(&mut self, ended: Result<(Id, (usize, Outcome, Duration)), tokio::task::JoinError>) {
        match ended {
            Ok((id, (index, outcome, duration))) => {
                self.running.remove(&id);
                self.settle(index, outcome, duration).await;
            }
            Err(error) => {
                // A panic in a job is our own bug; it costs this instance its answer, not the others.
                let Some(index) = self.running.remove(&error.id()) else { return };
                let failure = Failure::new(Stage::Command, "vmssh failed internally on this instance")
                    .with_hint("please report this, with what `-v` prints");
                self.settle(index, Outcome::Error(failure), Duration::ZERO).await;
            }
        }
    }

    async fn settle(&mut self, index: usize, outcome: Outcome, duration: Duration) {
        if let Some(place) = self.outcomes.get_mut(index) {
            *place = Some(outcome.clone());
        }
        let _ = self.events.send(FanoutEvent::Finished { index, outcome, duration }).await;
    }

    async fn tell_draining(&self) {
        let mut running: Vec<_> = self.running.values().copied().collect();
        running.sort_unstable();
        let _ = self.events.send(FanoutEvent::Draining { running }).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::event::Exit;

    /// Counts how many run at once; instance 3 never ends, instance 4 panics.
    #[derive(Default)]
    struct Counting {
        now: AtomicUsize,
        most: AtomicUsize,
        hang: Option<usize>,
        panic: Option<usize>,
    }

    impl Job for Counting {
        async fn run(&self, index: usize, output: Output, end: CancellationToken) -> Outcome {
            self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            assert_ne!(self.panic, Some(index), "as the test wants it");
            if self.hang == Some(index) {
                end.cancelled().await;
                return Outcome::Error(Failure::new(Stage::Connect, "interrupted"));
            }
            output.send(Stream::Stdout, Bytes::from_static(b"hello")).await;
            self.now.fetch_sub(1, Ordering::SeqCst);
            Outcome::Exited(Exit::Status(0))
        }
    }

    fn parallel(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).unwrap()
    }

    #[tokio::test]
    async fn every_instance_has_one_outcome_and_the_limit_holds() {
        let job = Arc::new(Counting { panic: Some(4), ..Counting::default() });
        let (events, mut seen) = mpsc::channel(4);
        let watcher = tokio::spawn(async move {
            let mut finished = Vec::new();
            while let Some(event) = seen.recv().await {
                if let FanoutEvent::Finished { index, .. } = event {
                    finished.push(index);
                }
            }
            finished.sort_unstable();
            finished
        });
        let outcomes = run(job.clone(), 20, parallel(5), &Interrupt::default(), events).await;
        assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 19);
        assert!(matches!(&outcomes[4], Outcome::Error(f) if f.message.contains("internally")));
        assert_eq!(watcher.await.unwrap(), (0..20).collect::<Vec<_>>());
        assert!(job.most.load(Ordering::SeqCst) <= 5);
    }

    #[tokio::test]
    async fn the_first_interrupt_skips_the_rest_and_the_second_ends_what_runs() {
        let interrupt = Interrupt::default();
        let (events, mut seen) = mpsc::channel(64);
        let job = Arc::new(Counting { hang: Some(0), ..Counting::default() });
        let steps = interrupt.clone();
        let watcher = tokio::spawn(async move {
            while let Some(event) = seen.recv().await {
                match event {
                    FanoutEvent::Started { index: 0 } => steps.next(),
                    FanoutEvent::Draining { running } => {
                        assert_eq!(running, [0]);
                        steps.next();
                    }
                    _ => {}
                }
            }
        });
        let outcomes = run(job, 3, parallel(1), &interrupt, events).await;
        watcher.await.unwrap();
        assert!(matches!(&outcomes[0], Outcome::Error(f) if f.message == "interrupted"));
        assert_eq!(
            outcomes[1..],
            [Outcome::Skipped("not started".into()), Outcome::Skipped("not started".into())]
        );
    }

    #[tokio::test]
    async fn a_run_that_nobody_watches_ends() {
        let (events, seen) = mpsc::channel(1);
        drop(seen);
        let job = Arc::new(Counting { hang: Some(0), ..Counting::default() });
        let outcomes = run(job, 2, parallel(1), &Interrupt::default(), events).await;
        assert_eq!(outcomes.len(), 2);
    }
}
