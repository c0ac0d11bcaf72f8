//! Changes of the terminal's size.

use std::io;

use futures_util::stream::{self, Stream};

use super::size;
use crate::event::TerminalSize;

/// The sizes that the terminal takes on, beginning with the first that is not `known`.
///
/// # Errors
/// When the system can't tell of changes.
pub fn resizes(known: TerminalSize) -> io::Result<impl Stream<Item = TerminalSize> + Send + 'static> {
    let changes = Changes::new()?;
    Ok(stream::unfold((changes, known), async |(mut changes, known)| {
        loop {
            match size() {
                Some(now) if now != known => return Some((now, (changes, now))),
                _ => changes.next().await?,
            }
        }
    }))
}

#[cfg(unix)]
struct Changes(tokio::signal::unix::Signal);

#[cfg(unix)]
impl Changes {
    fn new() -> io::Result<Self> {
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::window_change()).map(Self)
    }

    async fn next(&mut self) -> Option<()> {
        self.0.recv().await
    }
}

/// Windows tells of a new size only among the keys typed; looking twice a second seems immediate.
#[cfg(not(unix))]
const POLL: std::time::Duration = std::time::Duration::from_millis(500);

#[cfg(not(unix))]
struct Changes;

#[cfg(not(unix))]
impl Changes {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Option<()> {
        tokio::time::sleep(POLL).await;
        Some(())
    }
}
