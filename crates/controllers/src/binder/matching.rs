//! Which volume fits a claim best.

use std::collections::BTreeMap;

use crate::objects::{Claim, Volume};
use crate::quantity::Quantity;

const STORAGE: &str = "storage";

/// The volumes that can be given away, sorted so that the first of a class that satisfies a claim is the best: the one with the
/// fewest access modes, then the smallest, then the first by name (upstream's `findBestMatchForClaim`).
pub(crate) struct Offers<'a> {
    /// By the namespace and name of the claim that they are reserved for.
    reserved: BTreeMap<(&'a str, &'a str), Vec<&'a Volume>>,
    /// By class.
    free: BTreeMap<&'a str, BTreeMap<Rank<'a>, &'a Volume>>,
}

type Rank<'a> = (usize, Quantity, &'a str);

impl<'a> Offers<'a> {
    pub(crate) fn of(volumes: impl Iterator<Item = &'a Volume>) -> Self {
        let mut offers = Self { reserved: BTreeMap::new(), free: BTreeMap::new() };
        for volume in volumes {
            if let Some(reference) = &volume.spec.claim_ref {
                offers.reserved.entry((&reference.namespace, &reference.name)).or_default().push(volume);
            } else if volume.status.phase == "Available" && !volume.metadata.is_deleting() {
                offers.free.entry(&volume.spec.storage_class_name).or_default().insert(rank(volume), volume);
            }
        }
        offers
    }

    /// The volume that is reserved for the claim by its `claimRef`, if it is large enough.
    pub(crate) fn reserved(&self, claim: &Claim) -> Option<&'a Volume> {
        let metadata = &claim.metadata;
        let reserved = self.reserved.get(&(&*metadata.namespace, &*metadata.name)).into_iter().flatten();
        reserved.copied().find(|volume| {
            volume.spec.claim_ref.as_ref().is_some_and(|reference| super::is_to(reference, claim))
                && same_mode(volume, claim)
                && is_large_enough(volume, claim)
        })
    }

    /// The best of the free volumes that the claim, and whoever asks, can use.
    pub(crate) fn free(&self, claim: &Claim, is_usable: impl Fn(&Volume) -> bool) -> Option<&'a Volume> {
        let of_class = self.free.get(class(claim)).into_iter().flat_map(BTreeMap::values);
        of_class.copied().find(|volume| {
            satisfies(volume, claim)
                && claim
                    .spec
                    .selector
                    .as_ref()
                    .is_none_or(|selector| selector.matches(&volume.metadata.labels))
                && is_usable(volume)
        })
    }

    /// Takes a volume out: it has been given away.
    pub(crate) fn take(&mut self, volume: &'a Volume) {
        if let Some(of_class) = self.free.get_mut(&*volume.spec.storage_class_name) {
            of_class.remove(&rank(volume));
        }
    }
}

/// The class that a volume must have: a claim without one got the default one at admission, or means volumes without.
fn class(claim: &Claim) -> &str {
    claim.spec.storage_class_name.as_deref().unwrap_or_default()
}

/// Whether a volume has what a claim must have even when it names the volume itself (upstream's
/// `checkVolumeSatisfyClaim`): a selector then no longer matters.
pub(super) fn satisfies(volume: &Volume, claim: &Claim) -> bool {
    volume.spec.storage_class_name == class(claim)
        && same_mode(volume, claim)
        && is_large_enough(volume, claim)
        && claim.spec.access_modes.iter().all(|mode| volume.spec.access_modes.contains(mode))
}

fn same_mode(volume: &Volume, claim: &Claim) -> bool {
    let or_default = |mode: &'_ Option<String>| mode.as_deref().unwrap_or("Filesystem").to_owned();
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

fn rank(volume: &Volume) -> Rank<'_> {
    (volume.spec.access_modes.len(), capacity(volume), &volume.metadata.name)
}
