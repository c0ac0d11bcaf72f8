//! What was asked.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use super::request::Request;

/// Requests that are kept: a few thousand instances asked one by one. A lab that runs for days
/// does not grow.
const KEPT: usize = 10_000;

/// A request that an [`AzureServer`](super::AzureServer) got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureRequest {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path, decoded, without a slash at its end.
    pub path: String,
    /// The query as it was sent, without the `?`; empty where there was none.
    pub query: String,
    /// The answer's status; `None` where the connection was closed instead.
    pub status: Option<u16>,
}

/// The requests of a server.
#[derive(Debug, Default)]
pub(super) struct Log(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    count: u64,
    last: VecDeque<AzureRequest>,
}

impl Log {
    pub(super) fn add(&self, request: &Request, status: Option<u16>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.count += 1;
        if kept.last.len() >= KEPT {
            kept.last.pop_front();
        }
        kept.last.push_back(AzureRequest {
            method: request.method.to_string(),
            path: request.path.clone(),
            query: request.raw_query.clone(),
            status,
        });
    }

    pub(super) fn requests(&self) -> Vec<AzureRequest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last.iter().cloned().collect()
    }

    pub(super) fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).count
    }
}
