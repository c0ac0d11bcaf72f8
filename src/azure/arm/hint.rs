//! What to do about a question that Azure did not answer. Parts of commands that come out of an answer
//! are put in only if they look as they should: someone will paste them into a shell.

use super::error::{ArmError, ArmErrorKind, Missing, Reason, Refused};
use crate::clean::clean_line;

pub(super) fn hint(error: &ArmError) -> Option<String> {
    let of_path = |segment| segment_after(&error.path, segment);
    let subscription = of_path("subscriptions").unwrap_or_else(|| "SUBSCRIPTION".into());
    let group = of_path("resourceGroups").unwrap_or_else(|| "GROUP".into());
    Some(match error.kind() {
        ArmErrorKind::SignIn => match &*error.reason {
            Reason::SignIn(sign_in) => sign_in.hint().into(),
            _ => return None,
        },
        ArmErrorKind::Unauthorized => unauthorized(error.code()),
        ArmErrorKind::Forbidden => match &*error.reason {
            Reason::Refused(refused) => forbidden(refused),
            _ => return None,
        },
        ArmErrorKind::NotFound(Missing::Subscription) => {
            "see which there are with `az account list --all -o table`, and name one with `--subscription`; one of another tenant needs `az login --tenant TENANT`".into()
        }
        ArmErrorKind::NotFound(Missing::Group) => {
            format!("see which there are with `az group list --subscription {subscription} -o table`")
        }
        ArmErrorKind::NotFound(_) => {
            format!("see what there is with `az resource list -g {group} --subscription {subscription} -o table`")
        }
        ArmErrorKind::Throttled => {
            "other programs that ask this subscription use up its requests; try again in some minutes".into()
        }
        ArmErrorKind::Server => "try again in some minutes; https://azure.status.microsoft says what is broken".into(),
        ArmErrorKind::Network(trouble) => trouble.hint().into(),
        ArmErrorKind::NotArm => {
            "something between here and Azure answers in its place: see HTTPS_PROXY and NO_PROXY, or the sign-in page of the network".into()
        }
        ArmErrorKind::Elsewhere => {
            "see that AZURE_RESOURCE_MANAGER_ENDPOINT is unset or right, and that `--cloud` is the subscription's".into()
        }
        ArmErrorKind::Limit => "try again; `-v` shows what is asked and how long each answer takes".into(),
        ArmErrorKind::Invalid => return None,
    })
}

fn unauthorized(code: Option<&str>) -> String {
    match code {
        Some("InvalidAuthenticationTokenTenant") => {
            "sign in to the tenant that the subscription belongs to: `az login --tenant TENANT`".into()
        }
        _ => "sign in anew: `az login`; `vmssh` uses AZURE_CLIENT_ID and its like first, if they are set"
            .into(),
    }
}

fn forbidden(refused: &Refused) -> String {
    let message = &refused.message;
    let who = between(message, "object id '").filter(|id| is_id(id)).unwrap_or("OBJECT-OR-USER");
    let (action, scope) = match right(message) {
        Some((action, scope)) => (action, quoted(&scope).unwrap_or_else(|| "SCOPE".into())),
        None => (String::new(), "SCOPE".into()),
    };
    // Reader has all that is called read, and nothing else.
    let role =
        if action.is_empty() || action.ends_with("/read") { "Reader" } else { "'Network Contributor'" };
    format!(
        "let an owner give it: `az role assignment create --assignee {who} --role {role} --scope {scope}`; it takes effect after some minutes, at the next sign-in"
    )
}

/// The action and scope of ARM's message of an `AuthorizationFailed`: "… does not have authorization to
/// perform action 'A' over scope 'S' …". Fit for showing.
pub(super) fn right(message: &str) -> Option<(String, String)> {
    let action = between(message, "action '")?;
    let scope = between(message, "scope '").or_else(|| between(message, "scope(s) '"))?;
    Some((clean_line(action), clean_line(scope)))
}

fn between<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once('\'').map(|(found, _)| found).filter(|found| !found.is_empty())
}

/// Whether a text is made as object ids are.
fn is_id(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

/// A resource id or name as a word of a shell's command, if it has only what Azure allows in them.
fn quoted(text: &str) -> Option<String> {
    let good = |c: char| c.is_alphanumeric() || "/._-() ".contains(c);
    let word = shlex::try_quote(text).ok()?;
    text.chars().all(good).then(|| word.into_owned())
}

/// The segment of a path behind another one, whose case is anyone's guess.
fn segment_after(path: &str, name: &str) -> Option<String> {
    let mut segments = path.split('/').skip_while(|segment| !segment.eq_ignore_ascii_case(name));
    quoted(segments.nth(1).filter(|segment| !segment.is_empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_made_of_harmless_parts_only() {
        let path = "/Subscriptions/s-1/resourcegroups/My (Group)/providers/x";
        assert_eq!(segment_after(path, "subscriptions"), Some("s-1".into()));
        assert_eq!(segment_after(path, "resourceGroups"), Some("'My (Group)'".into()));
        assert_eq!(segment_after("/subscriptions", "subscriptions"), None);
        assert_eq!(quoted("/a/$(reboot)"), None);
        assert_eq!(quoted("/a/b\nc"), None);
    }

    #[test]
    fn the_right_is_read_out_of_the_message() {
        let linked = "… perform action 'A/b' on the linked scope(s) '/s' or …";
        assert_eq!(right(linked), Some(("A/b".into(), "/s".into())));
        assert_eq!(right("action 'A"), None);
    }
}
