//! One TCP connection to a host that may have several addresses.

use std::{
    fmt,
    io::{self, ErrorKind},
    net::IpAddr,
    time::Duration,
};

use thiserror::Error;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

/// No address took the connection; what each of them said.
#[derive(Debug, Error)]
pub struct ConnectError {
    /// Every address that was tried, in order, with its error.
    pub attempts: Vec<(IpAddr, io::Error)>,
}

impl ConnectError {
    /// The error that matters most: one that came back from afar, else the first.
    #[must_use]
    pub fn main(&self) -> Option<&io::Error> {
        let refused = self.attempts.iter().find(|(_, e)| e.kind() == ErrorKind::ConnectionRefused);
        let slow = || self.attempts.iter().find(|(_, e)| e.kind() == ErrorKind::TimedOut);
        refused.or_else(slow).or_else(|| self.attempts.first()).map(|(_, error)| error)
    }
}

/// One address: its error. Several: each with its error.
impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attempts.as_slice() {
            [] => f.write_str("no address to connect to"),
            [(_, error)] => f.write_str(&cause(error)),
            several => {
                for (place, (ip, error)) in several.iter().enumerate() {
                    let comma = if place == 0 { "" } else { ", " };
                    write!(f, "{comma}{ip}: {}", cause(error))?;
                }
                Ok(())
            }
        }
    }
}

/// An error of connecting in the words that the tools of this field use, without the number.
#[must_use]
pub fn cause(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".into(),
        ErrorKind::ConnectionReset => "connection reset".into(),
        ErrorKind::HostUnreachable => "no route to host".into(),
        ErrorKind::NetworkUnreachable => "network unreachable".into(),
        ErrorKind::AddrNotAvailable => "no free local port".into(),
        // Our own, below, says how long.
        ErrorKind::TimedOut if error.raw_os_error().is_none() => error.to_string(),
        ErrorKind::TimedOut => "timed out".into(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_lowercase()
        }
    }
}

/// Connects to the first address that answers, in the order given, all within `limit`. Each has an
/// equal share of the time that is left, so that a silent first address leaves time for the others.
///
/// # Errors
/// When none of them takes the connection.
pub async fn connect(addresses: &[IpAddr], port: u16, limit: Duration) -> Result<TcpStream, ConnectError> {
    let end = Instant::now() + limit;
    let mut attempts = Vec::new();
    for (tried, ip) in (0u32..).zip(addresses) {
        let left = end.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len()).unwrap_or(u32::MAX).saturating_sub(tried).max(1);
        match timeout(share, TcpStream::connect((*ip, port))).await {
            Ok(Ok(stream)) => {
                // Keystrokes and short messages must not wait for each other. Where it can't be
                // set the connection works all the same.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => attempts.push((*ip, error)),
            Err(_) => {
                let text = format!("no answer within {}", seconds(share));
                attempts.push((*ip, io::Error::new(ErrorKind::TimedOut, text)));
            }
        }
    }
    Err(ConnectError { attempts })
}

/// A time limit as it is typed: `10s`, `2.5s`, `250ms`. Rounded up, so that what is left of a limit
/// right after its start reads like the limit, and equal causes read equal.
#[must_use]
pub fn seconds(limit: Duration) -> String {
    let ms = u64::try_from(limit.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
    let step = if ms >= 1000 { 100 } else { 1 };
    format!("{:?}", Duration::from_millis(ms.div_ceil(step).saturating_mul(step)))
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    use tokio::net::TcpListener;

    use super::*;

    // Elsewhere 127.0.0.1 is the only address of its kind.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn every_address_is_tried_and_its_error_kept() {
        let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let [silent, open]: [IpAddr; 2] = ["127.0.0.3".parse().unwrap(), "127.0.0.2".parse().unwrap()];
        let limit = Duration::from_secs(10);
        let stream = connect(&[silent, open], port, limit).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap().ip(), open);

        drop((listener, stream));
        let error = connect(&[silent, open], port, limit).await.unwrap_err();
        assert_eq!(error.to_string(), "127.0.0.3: connection refused, 127.0.0.2: connection refused");
        let error = connect(&[open], port, limit).await.unwrap_err();
        assert_eq!(error.to_string(), "connection refused");
    }

    #[test]
    fn limits_read_as_they_were_typed() {
        assert_eq!(seconds(Duration::from_nanos(9_999_123_456)), "10s");
        assert_eq!(seconds(Duration::from_millis(2500)), "2.5s");
        assert_eq!(seconds(Duration::from_millis(250)), "250ms");
        assert_eq!(seconds(Duration::from_secs(120)), "120s");
    }
}
