//! Scale sets that may have been meant, for one that is not there.

use super::arm::{Arm, ArmError};
use crate::resource::ResourceId;

/// Letters that may be wrong in a name that was mistyped: one in four, two at least.
fn most_errors(name: &str) -> usize {
    (name.chars().count() / 4).max(2)
}

/// Names shown at most: more are no help.
const SHOWN: usize = 5;

/// Looks for scale sets of about this name in the subscription, `GROUP/NAME` each, the nearest first: one
/// list, so one request in all but the largest subscriptions.
///
/// # Errors
/// When the list can't be read.
pub async fn scale_sets(arm: &Arm, wanted: &ResourceId) -> Result<Vec<String>, ArmError> {
    let subscription = wanted.subscription().unwrap_or_default();
    let path = format!("/subscriptions/{subscription}/providers/Microsoft.Compute/virtualMachineScaleSets");
    let items = arm.list("the scale sets of the subscription", &path, super::live::COMPUTE, &[]).await?;
    let ids = items.iter().filter_map(|item| item.get("id")?.as_str()).map(ResourceId::new);
    Ok(nearest(wanted, ids.collect()))
}

fn nearest(wanted: &ResourceId, there: Vec<ResourceId>) -> Vec<String> {
    let distance = |a: &str, b: &str| strsim::damerau_levenshtein(&a.to_lowercase(), &b.to_lowercase());
    let mut near: Vec<(usize, String)> = there
        .into_iter()
        .filter_map(|id| {
            let group = id.group()?;
            let of_name = distance(wanted.name(), id.name());
            let of_group = distance(wanted.group().unwrap_or_default(), group);
            // The right name in a wrong group, or a name like it in the right one.
            let fits = of_name == 0
                || (of_name <= most_errors(wanted.name())
                    && of_group <= most_errors(wanted.group().unwrap_or_default()));
            fits.then(|| (of_name + of_group, format!("{group}/{}", id.name())))
        })
        .collect();
    near.sort();
    near.into_iter().map(|(_, name)| name).take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_mistyped_ones_and_ones_in_other_groups() {
        let id = |group: &str, name: &str| {
            ResourceId::of("s", group, "Microsoft.Compute/virtualMachineScaleSets", name)
        };
        let there =
            || vec![id("prod-rg", "web"), id("test-rg", "Web"), id("prod-rg", "grid"), id("other", "wen")];
        assert_eq!(nearest(&id("prod-rg", "wbe"), there()), ["prod-rg/web"]);
        assert_eq!(nearest(&id("stage-rg", "web"), there()), ["test-rg/Web", "prod-rg/web"]);
        assert!(nearest(&id("prod-rg", "database"), there()).is_empty());
    }
}
