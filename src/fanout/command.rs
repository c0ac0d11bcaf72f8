//! The job of `exec`: sign in, run one command, pass its output on.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time};
use tokio_util::sync::CancellationToken;

use super::{Job, Output};
use crate::{
    event::{Failure, Outcome, Stage},
    net::connect::seconds,
    ssh::{Client, Destination, Session, Stdin},
};

/// Pieces of output under way between an instance's connection and the watcher. An SSH packet has
/// 32 KiB of data at most, so an instance never holds more than 256 KiB here.
const PIECES: usize = 8;

/// One command on many instances.
#[derive(Clone)]
pub struct CommandJob {
    /// Who signs in, and how.
    pub client: Client,
    /// The instances, in the order of the outcomes.
    pub destinations: Vec<Destination>,
    /// Shell text, as the instance's shell gets it.
    pub command: String,
    /// The environment that is sent to each, in the same order; where there is none, nothing is sent.
    pub environments: Vec<Arc<[(String, String)]>>,
    /// The time limit of the command itself, connecting not counted; `None` for no limit.
    pub timeout: Option<Duration>,
}

impl Job for CommandJob {
    async fn run(&self, index: usize, output: Output, end: CancellationToken) -> Outcome {
        let Some(destination) = self.destinations.get(index) else {
            return Outcome::Skipped("there is no such instance".into());
        };
        let connected = tokio::select! {
            connected = self.client.connect(destination) => connected,
            () = end.cancelled() => return Outcome::Error(Failure::new(Stage::Connect, "interrupted")),
        };
        match connected {
            Err(failure) => Outcome::Error(failure),
            Ok(session) => {
                let outcome = tokio::select! {
                    outcome = self.command(&session, index, &output) => outcome,
                    () = end.cancelled() => Outcome::Error(interrupted()),
                };
                session.close().await;
                outcome
            }
        }
    }
}

impl CommandJob {
    async fn command(&self, session: &Session, index: usize, output: &Output) -> Outcome {
        let environment = self.environments.get(index).map_or(&[][..], |environment| &**environment);
        let running = match session.start_with(&self.command, environment).await {
            Ok(running) => running,
            Err(failure) => return Outcome::Error(failure),
        };
        let (pieces, mut arrived) = mpsc::channel(PIECES);
        let finish = running.finish(Stdin::None, pieces);
        let pass_on = async {
            while let Some((stream, bytes)) = arrived.recv().await {
                if !output.send(stream, bytes).await {
                    break;
                }
            }
        };
        let both = async { tokio::join!(finish, pass_on).0 };
        let ended = match self.timeout {
            None => both.await,
            Some(limit) => time::timeout(limit, both).await.unwrap_or_else(|_| Err(timed_out(limit))),
        };
        ended.map_or_else(Outcome::Error, Outcome::Exited)
    }
}

fn interrupted() -> Failure {
    Failure::new(Stage::Command, "interrupted")
        .with_hint("the command was sent SIGTERM; one that ignores it still runs there")
}

fn timed_out(limit: Duration) -> Failure {
    Failure::new(Stage::Command, format!("still running after {}, given up", seconds(limit))).with_hint(
        "allow more with `--timeout`; the command was sent SIGTERM, one that ignores it still runs there",
    )
}
