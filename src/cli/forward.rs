//! The forwards of `vmssh ssh`: what was asked for, and what is said of them.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use clap::Args;
use tokio::sync::mpsc;

use super::{
    context::Context,
    error::{Error, Kind},
    ui::Ui,
};
use crate::{
    forward::{Forward, Place},
    net::descriptors,
    openssh_config::{HostConfig, Keyword},
    ssh::{Client, Destination, ForwardPlan, Forwards, Gateway},
};

/// What to carry besides a shell or command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Forwards")]
pub(super) struct ForwardArgs {
    /// Listen here and connect from the instance: [ADDRESS:]PORT:HOST:HOSTPORT; paths are unix sockets, port 0 is any
    #[arg(short = 'L', long, value_name = "HERE:THERE", value_parser = Forward::local)]
    local: Vec<Forward>,
    /// Listen on the instance and connect from here: [ADDRESS:]PORT:HOST:HOSTPORT; without HOST as a SOCKS proxy
    #[arg(short = 'R', long, value_name = "THERE:HERE", value_parser = Forward::remote)]
    remote: Vec<Forward>,
    /// Be a SOCKS proxy here whose connections and names are the instance's
    #[arg(short = 'D', long, value_name = "[ADDRESS:]PORT", value_parser = Forward::dynamic)]
    dynamic: Vec<Forward>,
    /// Join standard input and output to one connection from the instance, and end with it
    #[arg(short = 'W', long, value_name = "HOST:PORT", conflicts_with_all = ["command", "tty", "no_shell", "local", "remote", "dynamic"])]
    pub(super) stdio: Option<Place>,
    /// Run no shell or command, just forward, until interrupted
    #[arg(short = 'N', long, conflicts_with_all = ["command", "tty"])]
    pub(super) no_shell: bool,
    /// Let other machines use the forwards of this side that name no address
    #[arg(short, long)]
    gateway_ports: bool,
    /// Give up where a forward can't be set up, in place of a warning
    #[arg(long)]
    exit_on_forward_failure: bool,
    /// Let the instance use your SSH agent; whoever is root there can, too
    #[arg(short = 'A', long)]
    pub(super) forward_agent: bool,
}

impl ForwardArgs {
    /// What there is to forward by the command line and, behind it, the host's configuration.
    pub(super) fn wanted(&self, host: &HostConfig) -> Wanted {
        let mut wanted = Wanted::configured(host);
        let all = self.local.iter().chain(&self.remote).chain(&self.dynamic).cloned();
        wanted.plan.forwards = all.chain(wanted.plan.forwards).collect();
        if self.gateway_ports {
            wanted.plan.gateway = Gateway::Everybody;
        }
        if self.exit_on_forward_failure {
            wanted.failing = Failing::GivesUp;
        }
        wanted
    }
}

/// Forwards, and what follows where one can't be set up.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) plan: ForwardPlan,
    pub(super) failing: Failing,
}

impl Wanted {
    /// What a host's configuration wants forwarded.
    pub(super) fn configured(host: &HostConfig) -> Self {
        let kinds = [Keyword::LOCAL_FORWARD, Keyword::DYNAMIC_FORWARD, Keyword::REMOTE_FORWARD];
        let forwards = kinds.into_iter().flat_map(|kind| host.forwards(kind)).cloned().collect();
        let is_on = |keyword| host.flag(keyword) == Some(true);
        let gateway = if is_on(Keyword::GATEWAY_PORTS) { Gateway::Everybody } else { Gateway::Loopback };
        let failing = if is_on(Keyword::EXIT_ON_FORWARD_FAILURE) { Failing::GivesUp } else { Failing::Warns };
        Self { plan: ForwardPlan { forwards, gateway }, failing }
    }

    /// Whether there is nothing to forward.
    pub(super) fn is_empty(&self) -> bool {
        self.plan.forwards.is_empty()
    }

    /// The same where forwards are all that there is: without any, it ends.
    pub(super) fn alone(self) -> Self {
        let failing = if self.failing == Failing::Warns { Failing::GivesUpLast } else { self.failing };
        Self { failing, ..self }
    }
}

/// What follows where a forward can't be set up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Failing {
    /// A warning.
    #[default]
    Warns,
    /// A warning; the end where none is left.
    GivesUpLast,
    /// The end.
    GivesUp,
}

/// Where what is said of forwards goes: a raw terminal takes it another way.
pub(super) struct Notices {
    ui: Arc<Ui>,
    raw: Mutex<Option<mpsc::Sender<Bytes>>>,
}

impl Notices {
    pub(super) fn new(context: &Context) -> Arc<Self> {
        Arc::new(Self { ui: context.ui.clone(), raw: Mutex::default() })
    }

    /// While a terminal is raw, lines go there; `None` for the usual way again.
    pub(super) fn raw(&self, stderr: Option<mpsc::Sender<Bytes>>) {
        *self.raw.lock().unwrap_or_else(PoisonError::into_inner) = stderr;
    }

    pub(super) fn say(&self, text: &str) {
        match &*self.raw.lock().unwrap_or_else(PoisonError::into_inner) {
            // A terminal that stands still takes none, and is not waited for.
            Some(stderr) => {
                let _ = stderr.try_send(format!("\r\n{text}\r\n").into());
            }
            None => self.ui.note(text),
        }
    }
}

/// Descriptors of a forward that is in use: a browser's connections.
const DESCRIPTORS: usize = 1000;

/// Makes the session that forwards, and sets them up.
pub(super) async fn open(
    context: &Context,
    client: &Client,
    destination: &Destination,
    Wanted { plan, failing }: &Wanted,
    notices: &Arc<Notices>,
) -> Result<Forwards, Error> {
    // What is not granted is seen where it is missing.
    let _ = descriptors::raise(DESCRIPTORS);
    let session = Arc::new(client.connect(destination).await?);
    let notes = notices.clone();
    let (forwards, failures) = Forwards::open(session, plan, Arc::new(move |text| notes.say(text))).await;
    let count = failures.len();
    for failure in failures {
        let is_last = count == plan.forwards.len();
        if *failing == Failing::GivesUp || *failing == Failing::GivesUpLast && is_last {
            return Err(Error::new(Kind::Session, failure.message).hints(failure.hint));
        }
        context.ui.warn(&failure.message);
        failure.hint.iter().for_each(|hint| context.ui.hint(hint));
    }
    Ok(forwards)
}
