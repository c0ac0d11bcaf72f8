//! A request, taken apart once.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::{HeaderMap, Method, http::request::Parts};
use percent_encoding::percent_decode_str;

/// A request as the routes see it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    /// Decoded, without the slash at the end.
    pub(super) path: String,
    /// As it was sent.
    pub(super) raw_path: String,
    /// As it was sent, without the `?`.
    pub(super) raw_query: String,
    query: BTreeMap<String, String>,
    headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Request {
    pub(super) fn new(parts: Parts, body: Bytes) -> Self {
        let raw_path = parts.uri.path().to_owned();
        let raw_query = parts.uri.query().unwrap_or_default().to_owned();
        let decoded = percent_decode_str(&raw_path).decode_utf8_lossy().into_owned();
        Self {
            method: parts.method,
            path: decoded.trim_end_matches('/').to_owned(),
            query: query(&raw_query),
            raw_path,
            raw_query,
            headers: parts.headers,
            body,
        }
    }

    /// A parameter of the query; its name in small letters.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// A header that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The parameters by their names in small letters (ARM takes any case); of two with one name the later holds.
fn query(raw: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = raw.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name).to_ascii_lowercase(), decode(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let read = query("api-version=1&%24Filter=%27a%2Fb%27+eq+'c'&&flag&x=1&x=%zz");
        let pairs: Vec<_> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("$filter", "'a/b' eq 'c'"), ("api-version", "1"), ("flag", ""), ("x", "%zz")]);
    }
}
