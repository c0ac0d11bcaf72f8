//! Forwards as a host's configuration has them.

use crate::{
    forward::{BindAddress, Forward, Listen, Place, Side, To},
    openssh_config::{self as config, HostConfig, Keyword},
};

/// `LocalForward`, `DynamicForward` and `RemoteForward`.
pub(super) fn forwards(host: &HostConfig) -> Vec<Forward> {
    let local = host.forwards(Keyword::LOCAL_FORWARD).map(|forward| converted(forward, Side::Local));
    let dynamic = host.forwards(Keyword::DYNAMIC_FORWARD).map(|forward| converted(forward, Side::Local));
    let remote = host.forwards(Keyword::REMOTE_FORWARD).map(|forward| converted(forward, Side::Remote));
    local.chain(dynamic).chain(remote).collect()
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
