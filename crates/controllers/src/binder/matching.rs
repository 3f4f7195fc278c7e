//! Which volume fits a claim best.

use crate::objects::{Claim, Volume};
use crate::quantity::Quantity;

const STORAGE: &str = "storage";

/// The volume that is reserved for the claim by its `claimRef`, if it is large enough; else of the available ones that
/// satisfy it the one with the fewest access modes, then the smallest, then the first by name (upstream's
/// `findBestMatchForClaim`).
pub(super) fn best<'a>(claim: &Claim, volumes: impl Iterator<Item = &'a Volume>) -> Option<&'a Volume> {
    let mut best: Option<&Volume> = None;
    for volume in volumes {
        if let Some(reference) = &volume.spec.claim_ref {
            if super::is_to(reference, claim) && same_mode(volume, claim) && is_large_enough(volume, claim) {
                return Some(volume);
            }
            continue;
        }
        if volume.status.phase == "Available"
            && !volume.metadata.is_deleting()
            && satisfies(volume, claim)
            && claim.spec.selector.as_ref().is_none_or(|selector| selector.matches(&volume.metadata.labels))
            && best.is_none_or(|best| rank(volume) < rank(best))
        {
            best = Some(volume);
        }
    }
    best
}

/// Whether a volume has what a claim must have even when it names the volume itself (upstream's
/// `checkVolumeSatisfyClaim`): a selector then no longer matters.
pub(super) fn satisfies(volume: &Volume, claim: &Claim) -> bool {
    // A claim without a class gets the default one at admission, or means volumes without.
    let class = claim.spec.storage_class_name.as_deref().unwrap_or_default();
    volume.spec.storage_class_name == class
        && same_mode(volume, claim)
        && is_large_enough(volume, claim)
        && claim.spec.access_modes.iter().all(|mode| volume.spec.access_modes.contains(mode))
}

fn same_mode(volume: &Volume, claim: &Claim) -> bool {
    let or_default = |mode: &Option<String>| mode.clone().unwrap_or_else(|| "Filesystem".to_owned());
    or_default(&volume.spec.volume_mode) == or_default(&claim.spec.volume_mode)
}

fn is_large_enough(volume: &Volume, claim: &Claim) -> bool {
    let wanted = claim.spec.resources.requests.get(STORAGE).copied().unwrap_or_default();
    capacity(volume) >= wanted
}

fn capacity(volume: &Volume) -> Quantity {
    let written = volume.spec.capacity.get(STORAGE);
    written.and_then(|amount| serde_json::from_value(amount.clone()).ok()).unwrap_or_default()
}

fn rank(volume: &Volume) -> (usize, Quantity, &str) {
    (volume.spec.access_modes.len(), capacity(volume), &volume.metadata.name)
}
