//! What is said of what is not there.

use hyper::StatusCode;

use super::{World, answer::Answer};

/// Why nothing is under a path.
#[derive(Debug, PartialEq)]
pub(super) enum Missing<'a> {
    Subscription(&'a str),
    Group(&'a str),
    /// The resource that it would be part of.
    Parent {
        kind: String,
        parent: String,
    },
    /// A resource, or something of which not even that is known.
    Resource {
        group: &'a str,
        name: String,
    },
    Path,
}

impl<'a> Missing<'a> {
    /// Why there is nothing under a path of a world.
    pub(super) fn of(world: &World, path: &'a str) -> Self {
        let segments: Vec<_> = path.split('/').collect();
        match segments.as_slice() {
            ["", first, ..] if !first.eq_ignore_ascii_case("subscriptions") => Self::Path,
            ["", _, subscription, ..] if !subscription.eq_ignore_ascii_case(world.subscription()) => {
                Self::Subscription(subscription)
            }
            ["", _, _, "providers", ..] => Self::Path,
            ["", _, _, _, group, ..] if !world.has_group(group) => Self::Group(group),
            ["", _, _, _, group, _, provider, types @ ..] => {
                let part = types.len().saturating_sub(1) / 2 * 2;
                let parent =
                    segments.get(..segments.len() - types.len() + part).unwrap_or_default().join("/");
                if part > 0 && world.one(&parent).is_none() {
                    let kinds: Vec<_> = types.iter().step_by(2).copied().collect();
                    return Self::Parent { kind: format!("{provider}/{}", kinds.join("/")), parent };
                }
                Self::Resource { group, name: format!("{provider}/{}", types.join("/")) }
            }
            _ => Self::Path,
        }
    }

    /// 404 in ARM's words; `verb` is the last word of the right that the request needs.
    pub(super) fn answer(&self, path: &str, verb: &str) -> Answer {
        let (code, message) = match self {
            Self::Subscription(id) => {
                ("SubscriptionNotFound", format!("The subscription '{id}' could not be found."))
            }
            Self::Group(name) => {
                ("ResourceGroupNotFound", format!("Resource group '{name}' could not be found."))
            }
            Self::Parent { kind, parent } => (
                "ParentResourceNotFound",
                format!(
                    "Failed to perform '{verb}' on resource(s) of type '{kind}', because the parent resource '{parent}' could not be found."
                ),
            ),
            Self::Resource { group, name } => (
                "ResourceNotFound",
                format!(
                    "The Resource '{name}' under resource group '{group}' was not found. \
                 For more details please go to https://aka.ms/ARMResourceNotFoundFix"
                ),
            ),
            Self::Path => ("ResourceNotFound", format!("The resource '{path}' was not found.")),
        };
        Answer::error(StatusCode::NOT_FOUND, code, &message)
    }
}
