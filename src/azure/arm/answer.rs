//! One HTTP answer, read whole and within bounds.

use std::time::Duration;

use azure_core::time::{OffsetDateTime, parse_rfc7231};
use reqwest::{
    Response, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::Value;

use crate::clean::clean_line;

/// What a page's title or a content type may take of a line.
const SHOWN_CHARS: usize = 80;

/// An answer of any status.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Why there is none.
pub(super) enum Unread {
    Http(reqwest::Error),
    /// The body is longer than the limit.
    TooLong,
}

/// What a body is that is no JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Strange {
    /// Another type; as the header says, and the title of an HTML page.
    Page { content_type: String, title: Option<String> },
    /// It starts as JSON and ends in the middle, after so many bytes.
    Cut(usize),
    /// It is said to be JSON and is not.
    Broken,
}

impl Answer {
    pub(super) async fn read(mut response: Response, most: usize) -> Result<Self, Unread> {
        let mut body = Vec::new();
        // Counted unpacked, as it comes: a small gzip can hold gigabytes.
        while let Some(chunk) = response.chunk().await.map_err(Unread::Http)? {
            if body.len() + chunk.len() > most {
                return Err(Unread::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status: response.status(), headers: response.headers().clone(), body })
    }

    fn header(&self, name: impl reqwest::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Where to look for the result of an answer 202, or where a redirect leads.
    pub(super) fn location(&self) -> Option<&str> {
        self.header(LOCATION)
    }

    /// The wait that Azure asks for: seconds, or a date (RFC 9110, 10.2.3).
    pub(super) fn retry_after(&self) -> Option<Duration> {
        wait_of(self.header(RETRY_AFTER)?, OffsetDateTime::now_utc())
    }

    /// Azure's name for this exchange, which its support asks for.
    pub(super) fn request_id(&self) -> Option<String> {
        self.header("x-ms-request-id").map(shown)
    }

    /// Whether a 401 says that the token was good once.
    pub(super) fn says_expired(&self) -> bool {
        let expired = |text: &str| text.to_ascii_lowercase().contains("expired");
        self.status == StatusCode::UNAUTHORIZED
            && (self.header(WWW_AUTHENTICATE).is_some_and(expired)
                || self.code().is_some_and(|c| expired(&c)))
    }

    /// The body as JSON; an empty one is null, as of a 204.
    pub(super) fn json(&self) -> Result<Value, Strange> {
        if self.body.trim_ascii().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|error| match error.is_eof() {
            true => Strange::Cut(self.body.len()),
            false => self.strange(),
        })
    }

    fn strange(&self) -> Strange {
        let content_type = self.header(CONTENT_TYPE).unwrap_or("no content type");
        let title = title(&String::from_utf8_lossy(&self.body));
        if title.is_none() && content_type.contains("json") {
            return Strange::Broken;
        }
        Strange::Page { content_type: shown(content_type), title }
    }

    /// ARM's `error` object; some providers send its members without it.
    fn error(&self) -> Option<Value> {
        let value = self.json().ok()?;
        Some(value.get("error").filter(|error| error.is_object()).cloned().unwrap_or(value))
    }

    /// ARM's code of an error.
    pub(super) fn code(&self) -> Option<String> {
        self.error()?.get("code")?.as_str().map(shown)
    }

    /// ARM's words for an error, as they came.
    pub(super) fn message(&self) -> Option<String> {
        self.error()?.get("message")?.as_str().map(Into::into)
    }
}

/// A `Retry-After` as a wait from now on. A date that is past is no wait.
fn wait_of(text: &str, now: OffsetDateTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = parse_rfc7231(text).ok()?;
    Some((until - now).try_into().unwrap_or_default())
}

/// The title of an HTML page: proxies and portals say there who they are.
fn title(html: &str) -> Option<String> {
    // Lower case of ASCII only: the places of all bytes stay.
    let lower = html.to_ascii_lowercase();
    let tag = lower.find("<title")?;
    let start = tag + lower.get(tag..)?.find('>')? + 1;
    let end = start + lower.get(start..)?.find("</title")?;
    let words: Vec<_> = html.get(start..end)?.split_whitespace().collect();
    Some(shown(&words.join(" "))).filter(|title| !title.is_empty())
}

/// Remote text made fit for a part of a line.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(SHOWN_CHARS).collect();
    clean_line(&short)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now = parse_rfc7231("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let wait = |text| wait_of(text, now);
        assert_eq!(wait("17"), Some(Duration::from_secs(17)));
        assert_eq!(wait(" 0 "), Some(Duration::ZERO));
        assert_eq!(wait("Sun, 06 Nov 1994 08:51:07 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        for none in ["", "-1", "soon", "1.5", "99999999999999999999999"] {
            assert_eq!(wait(none), None, "{none}");
        }
    }

    #[test]
    fn a_page_is_known_by_its_title() {
        assert_eq!(title("<HTML><Title lang=x>\n Web\tFilter\x1b </TITLE>"), Some("Web Filter^[".into()));
        for none in ["", "<title", "<title>", "<title></title>", "<titl>x</titl>"] {
            assert_eq!(title(none), None, "{none}");
        }
        assert!(title(&format!("<title>{}</title>", "x".repeat(500))).unwrap().len() <= SHOWN_CHARS);
    }

    proptest! {
        #[test]
        fn no_page_makes_reading_panic(text in ".{0,40}(<title.{0,10}>)?.{0,20}(</title)?.{0,9}") {
            let _ = title(&text);
        }
    }
}
