//! The SSH server of one instance: its settings, its connections and their bounds.

use std::{io, sync::Arc, time::Duration};

use russh::{MethodKind, MethodSet, SshId, keys::PrivateKey, server};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedSemaphorePermit},
    time::{MissedTickBehavior, interval, sleep},
};

use super::{Fault, handler::Handler, instance::Instance, socket::Connection};

/// How long a slow instance waits before it says anything: longer than a person's patience with a
/// port that seems dead, shorter than usual connect limits of 10 s and more.
const SLOW_BANNER: Duration = Duration::from_secs(5);

/// Sign-in attempts on one connection: sshd's default (MaxAuthTries in sshd_config(5)).
const MAX_AUTH_TRIES: usize = 6;

/// How long a connection may stay without signing in: sshd's default (LoginGraceTime).
const LOGIN_GRACE: Duration = Duration::from_secs(120);

/// What a client may send on a channel before this side has read it, in bytes. It fits, whole and
/// with the end of the connection behind it, into [`RECEIVE_BUFFER`]: so a client that left is
/// noticed even while nothing is read (see [`super::socket`]).
const WINDOW: u32 = 64 << 10;

/// The kernel's buffer for a connection, in bytes: what Linux allows by default (rmem_max in
/// socket(7)). Its bookkeeping takes a part of it.
pub(super) const RECEIVE_BUFFER: usize = 212_992;

/// How often a connection that is not read is looked at for a client that left.
const LEFT_CHECK: Duration = Duration::from_secs(1);

/// The wait after a failed accept: out of file handles, most likely, and nothing tells when there
/// are some again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The server's settings: its key, and no waits that only make sense against attackers.
pub(super) fn config(host_key: PrivateKey) -> server::Config {
    server::Config {
        server_id: SshId::Standard("SSH-2.0-vmssh_lab".into()),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: MAX_AUTH_TRIES,
        window_size: WINDOW,
        keys: vec![host_key],
        inactivity_timeout: None,
        nodelay: true,
        ..server::Config::default()
    }
}

/// Accepts connections until the lab ends.
pub(super) async fn accept(instance: Arc<Instance>, listener: Arc<TcpListener>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = instance.end.cancelled() => return,
        };
        match accepted {
            Ok((tcp, _)) => {
                if let (Some(place), Ok(ends)) = (instance.place(), ends(&tcp)) {
                    tokio::spawn(serve(Arc::clone(&instance), tcp, ends, place));
                }
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// The ends of a connection, as sshd puts them into SSH_CONNECTION.
fn ends(tcp: &TcpStream) -> io::Result<String> {
    let (from, to) = (tcp.peer_addr()?, tcp.local_addr()?);
    Ok(format!("{} {} {} {}", from.ip(), from.port(), to.ip(), to.port()))
}

/// Serves one connection, whose ends are as in [`ends`]. However this ends, the connection is closed.
pub(super) async fn serve(
    instance: Arc<Instance>,
    tcp: TcpStream,
    ends: String,
    _place: OwnedSemaphorePermit,
) {
    // Only a delay is lost where it can't be set.
    let _ = tcp.set_nodelay(true);
    let connection = Connection::new(tcp);
    let signed_in = Arc::new(Notify::new());
    let handler = Handler::new(Arc::clone(&instance), connection.gate(), Arc::clone(&signed_in), ends);
    let talk = talk(&instance, connection.clone(), handler);
    let watch = async {
        tokio::select! {
            () = signed_in.notified() => {}
            () = sleep(LOGIN_GRACE) => return,
        }
        let mut check = interval(LEFT_CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            check.tick().await;
            connection.open_if_client_left();
        }
    };
    tokio::select! {
        () = talk => {}
        () = watch => {}
        () = instance.end.cancelled() => {}
    }
    // russh's own task ends when it finds the connection closed.
    connection.cut();
}

async fn talk(instance: &Instance, connection: Connection, handler: Handler) {
    if instance.fault == Some(Fault::Slow) {
        sleep(SLOW_BANNER).await;
    }
    let running = server::run_stream(Arc::clone(&instance.config), connection, handler).await;
    if let Ok(running) = running {
        // How a client leaves is its own affair.
        let _ = running.await;
    }
}
