//! From the Azure options and the surroundings to a client of the Azure Resource Manager, and what is
//! shown while it waits.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::{
    args::AzureArgs,
    context::Context,
    error::{Error, Kind},
    ui::Ui,
};
use crate::{
    azure::{
        arm::{Arm, Limits},
        cloud::{Cloud, Service},
        event::{ArmEvent, Why},
        profile::{Profile, ProfileError},
    },
    clean::clean_line,
};

/// A quicker answer needs no explanation, and a line that only flashes is worse than none.
const SHOWN_AFTER: Duration = Duration::from_secs(1);
/// Where no line can be drawn (a log, a CI job), only waits that make one wonder are told.
const NOTED_FROM: Duration = Duration::from_secs(10);
/// Smooth to the eye.
const TICK: Duration = Duration::from_millis(120);

/// A client, and the subscription that it is to ask about.
pub(super) struct Azure {
    pub(super) arm: Arm,
    pub(super) subscription: String,
}

/// Makes the client; nothing is asked yet. `subscription` is that of a full resource id, which needs no
/// other.
pub(super) fn connect(
    context: &Context,
    args: &AzureArgs,
    subscription: Option<&str>,
) -> Result<Azure, Error> {
    let config = &context.config.azure;
    let service = Service::new(args.cloud, config.endpoint.as_deref())?;
    let profile = config.cli_folder.as_deref().map_or_else(|| Ok(Profile::default()), Profile::read);
    // At another address any of the Azure CLI's clouds may be meant: it has a name of its own for it.
    let cloud = config.endpoint.is_none().then_some(args.cloud);
    let mut sign_in = config.sign_in.clone();
    sign_in.cli_has_login = profile.as_ref().is_ok_and(|profile| !profile.subscriptions.is_empty());
    let known = profile.as_ref().map(|profile| profile.ids()).unwrap_or_default();
    let subscription = match subscription {
        Some(id) => id.to_owned(),
        None => choose(args, profile, cloud)?,
    };
    // The tenant is the subscription's. One that az does not know yet may still be in the default tenant.
    sign_in.subscription = known.into_iter().find(|id| id.eq_ignore_ascii_case(&subscription));
    let waits = Arc::new(Waits::new(context.ui.clone()));
    let arm = Arm::new(service, sign_in, Limits::default(), move |event| waits.take(event))?;
    Ok(Azure { arm, subscription })
}

/// The id of the subscription that was named, else of the Azure CLI's default one.
fn choose(
    args: &AzureArgs,
    profile: Result<Profile, ProfileError>,
    cloud: Option<Cloud>,
) -> Result<String, Error> {
    // An empty variable is none.
    if let Some(given) = args.subscription.as_deref().map(str::trim).filter(|given| !given.is_empty()) {
        // An id needs no profile, also not a readable one.
        let resolved = Profile::default().resolve(given, cloud);
        return resolved.or_else(|_| Ok(profile?.resolve(given, cloud)?));
    }
    let default = profile?.default_in(cloud).map(|subscription| subscription.id.clone());
    default.ok_or_else(|| {
        let message = "no subscription is named, and the Azure CLI has no default one";
        Error::new(Kind::Target, message).hint(
            "name one with `--subscription` or AZURE_SUBSCRIPTION_ID, or sign in with `az login`, which sets a default",
        )
    })
}

/// The line on stderr that names what is waited for.
struct Waits {
    ui: Arc<Ui>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Vec<Running>,
    bar: Option<ProgressBar>,
}

struct Running {
    what: String,
    since: Instant,
    waits: Option<(Duration, Why)>,
}

impl Waits {
    fn new(ui: Arc<Ui>) -> Self {
        Self { ui, state: Mutex::default() }
    }

    fn take(self: &Arc<Self>, event: ArmEvent) {
        match event {
            ArmEvent::Started { what } => {
                self.change(|running| running.push(Running { what, since: Instant::now(), waits: None }));
                let later = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(SHOWN_AFTER).await;
                    later.change(|_| {});
                });
            }
            ArmEvent::Waiting { what, wait, why } => {
                if wait >= NOTED_FROM && self.ui.bars.is_hidden() {
                    self.ui.note(&format!("note: {}", waiting(&what, wait, why)));
                }
                self.change(|running| {
                    let found = running.iter_mut().find(|running| running.what == what);
                    found.into_iter().for_each(|running| running.waits = Some((wait, why)));
                });
            }
            ArmEvent::Finished { what } => self.change(|running| {
                if let Some(at) = running.iter().position(|running| running.what == what) {
                    running.remove(at);
                }
            }),
        }
    }

    /// Changes what is running and draws it, if some of it takes long.
    fn change(&self, change: impl FnOnce(&mut Vec<Running>)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { running, bar } = &mut *state;
        change(running);
        match (line(running, Instant::now()), &bar) {
            (None, None) => {}
            (None, Some(old)) => {
                old.finish_and_clear();
                *bar = None;
            }
            (Some(text), Some(old)) => old.set_message(text),
            (Some(text), None) => *bar = Some(self.spinner(text)),
        }
    }

    fn spinner(&self, text: String) -> ProgressBar {
        let bar = self.ui.bars.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_message(text);
        bar.enable_steady_tick(TICK);
        bar
    }
}

/// What to show: the oldest that takes long, and how many more there are.
fn line(running: &[Running], now: Instant) -> Option<String> {
    let long = |running: &&Running| {
        let waits = running.waits.is_some_and(|(wait, _)| wait >= SHOWN_AFTER);
        waits || now.saturating_duration_since(running.since) >= SHOWN_AFTER
    };
    // A sign-in starts inside of the question that needs it, and is what is really waited for.
    let shown = running.iter().filter(long).max_by_key(|running| (running.waits.is_some(), running.since))?;
    let text = match shown.waits {
        Some((wait, why)) => waiting(&shown.what, wait, why),
        None => format!("asking Azure: {}", shown.what),
    };
    // Names are in it, and some of them come from Azure.
    let text = clean_line(&text);
    Some(match running.len() {
        1 => text,
        all => format!("{text} (and {} more)", all - 1),
    })
}

fn waiting(what: &str, wait: Duration, why: Why) -> String {
    format!("{what}: waiting {:.0} s, {why}", wait.as_secs_f32().ceil())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        azure: AzureArgs,
    }

    fn profile() -> Profile {
        serde_json::from_str(r#"{"subscriptions": [{"id": "1", "name": "Prod", "isDefault": true}]}"#)
            .unwrap()
    }

    fn chosen(subscription: Option<&str>, profile: Profile) -> Result<String, Error> {
        let args = AzureArgs { subscription: subscription.map(Into::into), cloud: Cloud::AzurePublic };
        choose(&args, Ok(profile), None)
    }

    #[test]
    fn options_are_read() {
        let line = Line::try_parse_from(["x", "--cloud", "azurechina", "--subscription", "Prod"]).unwrap();
        assert_eq!(line.azure.cloud, Cloud::AzureChina);
        assert_eq!(line.azure.subscription.as_deref(), Some("Prod"));
        assert!(Line::try_parse_from(["x", "--cloud", "mars"]).is_err());
    }

    #[test]
    fn a_subscription_is_named_or_the_default() {
        assert_eq!(chosen(None, profile()).unwrap(), "1");
        assert_eq!(chosen(Some(" "), profile()).unwrap(), "1");
        assert_eq!(chosen(Some("prod"), profile()).unwrap(), "1");
        let id = "0b1f6471-1bf0-4dda-aec3-cb9272f09590";
        assert_eq!(chosen(Some(id), Profile::default()).unwrap(), id);
        assert!(chosen(Some("nope"), profile()).unwrap_err().message.contains("no subscription \"nope\""));
        let none = chosen(None, Profile::default()).unwrap_err();
        assert_eq!((none.kind, none.hints.len()), (Kind::Target, 1));
    }

    #[test]
    fn only_what_takes_long_is_shown() {
        let start = Instant::now();
        let running = |what: &str, waits| Running { what: what.into(), since: start, waits };
        let soon = start + Duration::from_millis(100);
        let late = start + Duration::from_secs(2);
        assert_eq!(line(&[], late), None);
        assert_eq!(line(&[running("a", None)], soon), None);
        assert_eq!(line(&[running("a", None)], late).unwrap(), "asking Azure: a");
        let wait = Some((Duration::from_millis(29_200), Why::Throttled));
        assert_eq!(
            line(&[running("a", None), running("b", wait)], soon).unwrap(),
            "b: waiting 30 s, Azure gets too many requests (429) (and 1 more)"
        );
    }
}
