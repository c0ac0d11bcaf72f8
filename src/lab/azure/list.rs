//! Lists: pages, filters, and what is sent only where it is asked for.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::{answer::Answer, request::Request};

/// Answers with a page of a list. `key` makes the skip tokens opaque: a client has to take them
/// from the link.
pub(super) fn page(base: &str, key: u64, request: &Request, items: Vec<&Value>, page_size: usize) -> Answer {
    let items = match filtered(request, items) {
        Ok(items) => items,
        Err(refusal) => return *refusal,
    };
    let start = match request.parameter("$skiptoken") {
        None => 0,
        Some(token) => {
            match u64::from_str_radix(token, 16).ok().and_then(|n| usize::try_from(n ^ key).ok()) {
                Some(start) if start < items.len() => start,
                _ => return bad("InvalidSkipToken", "The provided skip token is invalid."),
            }
        }
    };
    let shown: Vec<_> =
        items.iter().skip(start).take(page_size).map(|item| as_asked(request, item)).collect();
    let end = start.saturating_add(page_size);
    let mut body = json!({"value": shown});
    if end < items.len()
        && let Some(body) = body.as_object_mut()
    {
        body.insert("nextLink".into(), next_link(base, request, end as u64 ^ key).into());
    }
    Answer::ok(&body)
}

/// The same request with another skip token.
fn next_link(base: &str, request: &Request, token: u64) -> String {
    let is_token = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default().to_ascii_lowercase();
        ["$skiptoken", "%24skiptoken"].contains(&name.as_str())
    };
    let kept: Vec<_> = request.raw_query.split('&').filter(|pair| !is_token(pair)).collect();
    format!("{base}{}?{}&%24skiptoken={token:016x}", request.raw_path, kept.join("&"))
}

/// A document as a request wants it: with the instance view if it is asked for, else without.
pub(super) fn as_asked(request: &Request, document: &Value) -> Value {
    let mut document = document.clone();
    let expand = request.parameter("$expand").unwrap_or_default();
    let wanted = expand.split(',').any(|word| word.trim().eq_ignore_ascii_case("instanceView"));
    if !wanted && let Some(Value::Object(properties)) = document.get_mut("properties") {
        // In order: `remove` would move the last member to its place.
        properties.shift_remove("instanceView");
    }
    document
}

/// Virtual machines by their scale set: the one filter that finds the instances of a Flexible set.
/// The quotes round the left side are real (azure-cli sends them).
fn filtered<'a>(request: &Request, items: Vec<&'a Value>) -> Result<Vec<&'a Value>, Box<Answer>> {
    let path = request.path.to_ascii_lowercase();
    match request.parameter("$filter") {
        Some(filter) if path.ends_with("/microsoft.compute/virtualmachines") => {
            let set = scale_set_of(filter).ok_or_else(|| {
                Box::new(bad("InvalidParameter", &format!("The filter \"{filter}\" is not supported.")))
            })?;
            let of_set = |item: &&Value| {
                let id = item.pointer("/properties/virtualMachineScaleSet/id").and_then(Value::as_str);
                id.is_some_and(|id| id.eq_ignore_ascii_case(set))
            };
            Ok(items.into_iter().filter(of_set).collect())
        }
        _ => Ok(items),
    }
}

/// The id in `'virtualMachineScaleSet/id' eq '…'`.
fn scale_set_of(filter: &str) -> Option<&str> {
    let (left, right) = filter.trim().split_once(" eq ")?;
    let is_it = left.trim().trim_matches('\'').eq_ignore_ascii_case("virtualMachineScaleSet/id");
    right.trim().strip_prefix('\'')?.strip_suffix('\'').filter(|_| is_it)
}

fn bad(code: &str, message: &str) -> Answer {
    Answer::error(StatusCode::BAD_REQUEST, code, message)
}
