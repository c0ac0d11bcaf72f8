//! Answers as Azure Resource Manager gives them, its errors among them.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use serde_json::{Value, json};

use super::guid;

/// An answer before it is put on the wire.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    body: Bytes,
}

const JSON: &str = "application/json; charset=utf-8";

/// What a proxy puts in the way of an answer.
const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Sign in to the network</title></head>\
                    <body><h1>Sign in to the network</h1></body></html>\n";

impl Answer {
    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        Self { status, headers: vec![(header::CONTENT_TYPE, JSON.into())], body: body.to_string().into() }
    }

    pub(super) fn ok(body: &Value) -> Self {
        Self::json(StatusCode::OK, body)
    }

    /// A blob of text.
    pub(super) fn text(text: &str) -> Self {
        let headers = vec![(header::CONTENT_TYPE, "text/plain".into())];
        Self { status: StatusCode::OK, headers, body: Bytes::copy_from_slice(text.as_bytes()) }
    }

    /// An error in ARM's form (the common error response of the Azure REST API guidelines).
    pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Self {
        Self::json(status, &json!({"error": {"code": code, "message": message}}))
    }

    /// 202: not ready, ask again under `location` after a while.
    pub(super) fn accepted(location: String, retry_after: Duration) -> Self {
        let answer = Self { status: StatusCode::ACCEPTED, headers: Vec::new(), body: Bytes::new() };
        answer.with(header::LOCATION, location).retry_after(retry_after)
    }

    /// A page with status 200, as a network that wants a sign-in of its own sends it.
    pub(super) fn page() -> Self {
        let headers = vec![(header::CONTENT_TYPE, "text/html; charset=utf-8".into())];
        Self { status: StatusCode::OK, headers, body: Bytes::from_static(PAGE.as_bytes()) }
    }

    /// 429 in the words of the compute provider, whose details name the group of calls.
    pub(super) fn throttled(retry_after: Duration) -> Self {
        let body = json!({"error": {
            "code": "OperationNotAllowed",
            "message": "The server rejected the request because too many requests have been received for this subscription.",
            "details": [{
                "code": "TooManyRequests",
                "target": "HighCostGet",
                "message": "{\"operationGroup\":\"HighCostGet\",\"allowedRequestCount\":0}",
            }],
        }});
        Self::json(StatusCode::TOO_MANY_REQUESTS, &body).retry_after(retry_after)
    }

    /// 503.
    pub(super) fn unavailable(retry_after: Duration) -> Self {
        let message = "The service is temporarily unavailable. Please retry the request.";
        Self::error(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message).retry_after(retry_after)
    }

    /// 401, with the header that says where tokens come from.
    pub(super) fn unauthorized(code: &str, message: &str) -> Self {
        let challenge = format!(
            "Bearer authorization_uri=\"https://login.windows.net/{}\", error=\"invalid_token\", \
             error_description=\"{message}\"",
            super::NO_GUID
        );
        Self::error(StatusCode::UNAUTHORIZED, code, message).with(header::WWW_AUTHENTICATE, challenge)
    }

    /// 405.
    pub(super) fn wrong_method(method: &hyper::Method, allowed: &'static str) -> Self {
        let message = format!("The requested resource does not support http method '{method}'.");
        Self::error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", &message)
            .with(header::ALLOW, allowed.into())
    }

    pub(super) fn with(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    fn retry_after(self, wait: Duration) -> Self {
        self.with(header::RETRY_AFTER, wait.as_secs().to_string())
    }

    /// The same with only the first half of its body: JSON that ends in the middle.
    pub(super) fn cut(mut self) -> Self {
        self.body.truncate(self.body.len() / 2);
        self
    }

    /// With the ids that every answer of ARM has, for people who ask Microsoft about one.
    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let id = guid();
        let ids = ["x-ms-request-id", "x-ms-correlation-request-id"]
            .map(|name| (HeaderName::from_static(name), id.clone()));
        for (name, value) in self.headers.into_iter().chain(ids) {
            // What a request brought in and is no header value is left out.
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}
