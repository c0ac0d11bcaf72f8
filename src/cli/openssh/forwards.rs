//! Forwards as a configuration has them, for a session to set up.

use crate::{
    cli::forward::{Failing, Wanted},
    forward::{BindAddress, Forward, Listen, Place, Side, To},
    openssh_config::{self as config, HostConfig, Keyword},
    ssh::{ForwardPlan, Gateway},
};

/// What a host's configuration wants forwarded, if anything.
pub(super) fn wanted(host: &HostConfig) -> Option<Wanted> {
    let local = host.forwards(Keyword::LOCAL_FORWARD).map(|forward| converted(forward, Side::Local));
    let dynamic = host.forwards(Keyword::DYNAMIC_FORWARD).map(|forward| converted(forward, Side::Local));
    let remote = host.forwards(Keyword::REMOTE_FORWARD).map(|forward| converted(forward, Side::Remote));
    let forwards: Vec<_> = local.chain(dynamic).chain(remote).collect();
    let gateway = match host.flag(Keyword::GATEWAY_PORTS) {
        Some(true) => Gateway::Everybody,
        _ => Gateway::Loopback,
    };
    let failing = match host.flag(Keyword::EXIT_ON_FORWARD_FAILURE) {
        Some(true) => Failing::GivesUp,
        _ => Failing::Warns,
    };
    (!forwards.is_empty()).then_some(Wanted { plan: ForwardPlan { forwards, gateway }, failing })
}

fn converted(forward: &config::Forward, side: Side) -> Forward {
    let listen = match &forward.listen {
        config::Listen::Socket(path) => Listen::Socket(path.clone()),
        config::Listen::Port { bind, port } => {
            let at = match bind.as_deref() {
                None => BindAddress::Unsaid,
                Some("" | "*") => BindAddress::All,
                Some(address) => BindAddress::Given(address.into()),
            };
            Listen::Port { at, port: *port }
        }
    };
    let to = match &forward.to {
        None => To::Socks,
        Some(config::To::Socket(path)) => To::Fixed(Place::Socket(path.clone())),
        Some(config::To::Port { host, port }) => To::Fixed(Place::Port { host: host.clone(), port: *port }),
    };
    Forward { side, listen, to }
}
