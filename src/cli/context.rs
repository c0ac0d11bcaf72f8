use std::sync::Arc;

use tokio::sync::Mutex;

use super::{
    args::GlobalArgs,
    config::Config,
    error::Error,
    ui::{Messages, Ui},
};
use crate::{
    fanout::Interrupt,
    lab::{Lab, LabOptions},
};

/// What every verb gets: the streams, the surroundings, the stop signals, and the run's lab.
pub(super) struct Context {
    pub(super) ui: Arc<Ui>,
    pub(super) config: Config,
    pub(super) interrupt: Interrupt,
    lab: Mutex<Option<Arc<Lab>>>,
}

impl Context {
    pub(super) fn new(global: &GlobalArgs) -> Self {
        Self::with_messages(global, Messages::Stderr)
    }

    /// The same with messages going elsewhere.
    pub(super) fn with_messages(global: &GlobalArgs, messages: Messages) -> Self {
        let config = Config::from_env();
        let ui = Arc::new(Ui::new(global, config.no_color, messages));
        Self { ui, config, interrupt: Interrupt::default(), lab: Mutex::new(None) }
    }

    /// The run's lab: started at the first use, the same for all steps of a demo.
    pub(super) async fn lab(&self, options: impl FnOnce() -> LabOptions) -> Result<Arc<Lab>, Error> {
        let mut lab = self.lab.lock().await;
        if let Some(lab) = &*lab {
            return Ok(lab.clone());
        }
        let started = Arc::new(Lab::start(options()).await?);
        *lab = Some(started.clone());
        Ok(started)
    }

    /// The work's result, or the user's wish to stop.
    pub(super) async fn unless_interrupted<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::select! {
            biased;
            () = self.interrupt.drain.cancelled() => Err(Error::interrupted()),
            done = work => done,
        }
    }

    /// Ends the lab with all that it started, before the runtime goes.
    pub(super) fn end_lab(&self) {
        if let Ok(mut lab) = self.lab.try_lock() {
            lab.take();
        }
    }
}
