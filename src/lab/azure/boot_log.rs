//! `retrieveBootDiagnosticsData`: where a machine's console log is, and the storage that has it.

use hyper::{Method, StatusCode};
use serde_json::json;

use super::{World, answer::Answer, request::Request};

/// The action's name, the last segment of its path.
pub(super) const ACTION: &str = "retrieveBootDiagnosticsData";

/// Where the storage is; a machine's id follows.
const STORAGE: &str = "/bootdiagnostics";

/// Answers the action for a machine.
pub(super) fn locate(world: &World, base: &str, secret: &str, machine: &str) -> Answer {
    if world.console(machine).is_none() {
        let message = "Boot diagnostics is not enabled for the virtual machine.";
        return Answer::error(StatusCode::CONFLICT, "OperationNotAllowed", message);
    }
    let address = format!("{base}{STORAGE}{machine}");
    Answer::ok(&json!({
        "consoleScreenshotBlobUri": format!("{address}/screenshot.bmp?sv=2024-08-04&sp=r&sig={secret}"),
        "serialConsoleLogBlobUri": format!("{address}/serialconsole.log?sv=2024-08-04&sp=r&sig={secret}"),
    }))
}

/// What the storage answers; `None` where the path is not the storage's. It wants the address's own secret and
/// no token.
pub(super) fn read(world: &World, secret: &str, request: &Request) -> Option<Answer> {
    let machine = request.path.strip_prefix(STORAGE)?.strip_suffix("/serialconsole.log")?;
    if request.parameter("sig") != Some(secret) || request.header("authorization").is_some() {
        return Some(Answer::error(
            StatusCode::FORBIDDEN,
            "AuthenticationFailed",
            "Signature did not match.",
        ));
    }
    if request.method != Method::GET {
        return Some(Answer::wrong_method(&request.method, "GET"));
    }
    Some(match world.console(machine) {
        Some(log) => Answer::text(log),
        None => Answer::error(StatusCode::NOT_FOUND, "BlobNotFound", "The specified blob does not exist."),
    })
}
