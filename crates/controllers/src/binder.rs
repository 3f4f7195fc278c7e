//! Binds claims to volumes that exist: the static half of upstream's persistent volume controller
//! (`pkg/controller/volume/persistentvolume`). Volumes are made by people or by a provisioner, not here.
//!
//! A binding is four writes in this order: the volume's `claimRef`, its phase, the claim's `volumeName`, its status. Each
//! plan asks for those that are still missing, so that it does not matter after which of them the binder was
//! interrupted. The first is what decides: two claims cannot both win it, since it carries the volume's revision.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::api::{Document, Request, Resource, Target, WatchEvent};
use crate::mirror::Mirror;
use crate::objects::{BIND_COMPLETED, BOUND_BY_CONTROLLER, Claim, ClaimReference, StorageClass, Volume};
use crate::runner::{Controller, Plan};

mod matching;

pub(crate) use matching::Offers;

/// Upstream's mark of a volume that a provisioner made, and that only this may take back.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// On which node the pod is to run for which the claim's volume is made: the scheduler's decision.
pub(crate) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// Who is to make a volume for the claim, under today's and yesterday's name.
const PROVISIONER: [&str; 2] =
    ["volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"];

pub(crate) struct Binder {
    volumes: Mirror<Volume>,
    claims: Mirror<Claim>,
    classes: Mirror<StorageClass>,
}

impl Binder {
    pub(crate) fn new() -> Self {
        Self {
            volumes: Mirror::new(Resource::PERSISTENT_VOLUMES),
            claims: Mirror::new(Resource::PERSISTENT_VOLUME_CLAIMS),
            classes: Mirror::new(Resource::STORAGE_CLASSES),
        }
    }
}

impl Controller for Binder {
    const NAME: &'static str = "volume-binder";
    const WATCHES: &'static [Resource] =
        &[Resource::PERSISTENT_VOLUMES, Resource::PERSISTENT_VOLUME_CLAIMS, Resource::STORAGE_CLASSES];

    fn observe(&mut self, resource: Resource, event: WatchEvent) -> bool {
        if resource == Resource::PERSISTENT_VOLUMES {
            self.volumes.observe(event)
        } else if resource == Resource::STORAGE_CLASSES {
            self.classes.observe(event)
        } else {
            self.claims.observe(event)
        }
    }

    fn is_ready(&self) -> bool {
        self.volumes.is_listed() && self.claims.is_listed() && self.classes.is_listed()
    }

    fn plan(&self, _now: Timestamp) -> Plan {
        let mut claims: Vec<&Claim> = self.claims.iter().collect();
        // Who names a volume goes first, then who came first.
        claims.sort_by_cached_key(|claim| {
            (claim.spec.volume_name.is_empty(), claim.metadata.creation_timestamp.clone())
        });

        let mut requests = Vec::new();
        // What this plan has not given away, and what it has; the first is made when it is needed.
        let mut offers = None;
        let mut taken = BTreeSet::new();
        for claim in claims {
            match self.decide(claim, &mut offers, &taken) {
                Decision::Bind(volume) => {
                    taken.insert(&*volume.metadata.name);
                    if let Some(offers) = &mut offers {
                        offers.take(volume);
                    }
                    bind(claim, volume, &mut requests);
                }
                Decision::Phase(phase) if claim.status.phase != phase => {
                    requests.push(claim_status(claim, &json!({"phase": phase})));
                }
                Decision::Phase("Pending") => requests.extend(self.provisioned(claim)),
                Decision::Leave | Decision::Phase(_) => {}
            }
        }
        let left = self.volumes.iter().filter(|volume| !taken.contains(&*volume.metadata.name));
        requests.extend(left.filter_map(|volume| self.settle(volume)));
        requests.into()
    }

    fn accepted(&mut self, request: &Request, answer: &Document) {
        if request.target.resource == Resource::PERSISTENT_VOLUMES {
            self.volumes.learn(answer);
        } else {
            self.claims.learn(answer);
        }
    }
}

/// What is to become of a claim.
enum Decision<'a> {
    /// It belongs to this volume: see to it that all writes of the binding are done.
    Bind(&'a Volume),
    /// It has no volume, and this phase says so.
    Phase(&'static str),
    /// Nothing: it is going away.
    Leave,
}

/// Whether the volume is this very claim's.
pub(crate) fn is_reserved_for(volume: &Volume, claim: &Claim) -> bool {
    let reference = volume.spec.claim_ref.as_ref();
    reference.is_some_and(|reference| !reference.uid.is_empty() && is_to(reference, claim))
}

/// Whether a volume's reference means this claim, and not an earlier one of the same name. A reference made by a person
/// has no uid and means whoever has the name.
fn is_to(reference: &ClaimReference, claim: &Claim) -> bool {
    reference.namespace == claim.metadata.namespace
        && reference.name == claim.metadata.name
        && (reference.uid.is_empty() || reference.uid == claim.metadata.uid)
}

/// The writes that the binding still lacks, as far as they can be made now.
fn bind(claim: &Claim, volume: &Volume, requests: &mut Vec<Request>) {
    let reference = volume.spec.claim_ref.as_ref();
    if reference.is_none_or(|reference| reference.uid.is_empty()) {
        requests.push(reserve(claim, volume));
        return;
    }
    if volume.status.phase != "Bound" {
        requests.push(volume_phase(volume, "Bound"));
    }
    if !claim.is_bound() {
        requests.push(complete(claim, volume));
        return;
    }
    let status = &claim.status;
    if status.phase != "Bound"
        || status.access_modes != volume.spec.access_modes
        || status.capacity != volume.spec.capacity
    {
        let mut capacity: Map<String, Value> =
            volume.spec.capacity.iter().map(|(name, amount)| (name.clone(), amount.clone())).collect();
        for stale in status.capacity.keys().filter(|name| !volume.spec.capacity.contains_key(*name)) {
            capacity.insert(stale.clone(), Value::Null);
        }
        let status = json!({
            "phase": "Bound",
            "accessModes": volume.spec.access_modes,
            "capacity": capacity,
        });
        requests.push(claim_status(claim, &status));
    }
}

/// The volume's side: it is this claim's now.
pub(crate) fn reserve(claim: &Claim, volume: &Volume) -> Request {
    let mut metadata = json!({"resourceVersion": volume.metadata.resource_version});
    if volume.spec.claim_ref.is_none() {
        metadata["annotations"] = json!({BOUND_BY_CONTROLLER: "yes"});
    }
    let reference = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": claim.metadata.namespace,
        "name": claim.metadata.name,
        "uid": claim.metadata.uid,
        "resourceVersion": claim.metadata.resource_version,
    });
    let body = json!({"metadata": metadata, "spec": {"claimRef": reference}});
    Request::merge_patch(volume_target(volume), body)
}

/// The claim's side: this is its volume.
fn complete(claim: &Claim, volume: &Volume) -> Request {
    let mut annotations = json!({BIND_COMPLETED: "yes"});
    if claim.spec.volume_name.is_empty() {
        annotations[BOUND_BY_CONTROLLER] = json!("yes");
    }
    let body = json!({
        "metadata": {"resourceVersion": claim.metadata.resource_version, "annotations": annotations},
        "spec": {"volumeName": volume.metadata.name},
    });
    Request::merge_patch(claim_target(claim), body)
}

impl Binder {
    fn decide<'a>(
        &'a self,
        claim: &Claim,
        offers: &mut Option<Offers<'a>>,
        taken: &BTreeSet<&str>,
    ) -> Decision<'a> {
        let named = |name: &str| self.volumes.get("", name);
        if claim.metadata.annotations.contains_key(BIND_COMPLETED) {
            // It was bound once: from here it is bound or it has lost its volume.
            return match named(&claim.spec.volume_name) {
                Some(volume)
                    if volume.spec.claim_ref.as_ref().is_none_or(|reference| is_to(reference, claim)) =>
                {
                    Decision::Bind(volume)
                }
                _ => Decision::Phase("Lost"),
            };
        }
        if claim.metadata.is_deleting() {
            return Decision::Leave;
        }
        let volume = if claim.spec.volume_name.is_empty() {
            let offers = offers.get_or_insert_with(|| Offers::of(self.volumes.iter()));
            offers.reserved(claim).or_else(|| {
                // The scheduler chooses for a claim that waits for its first consumer.
                (!self.is_delayed(claim)).then(|| offers.free(claim, |_| true)).flatten()
            })
        } else {
            named(&claim.spec.volume_name).filter(|volume| match &volume.spec.claim_ref {
                Some(reference) => is_to(reference, claim),
                None => !taken.contains(&*volume.metadata.name) && matching::satisfies(volume, claim),
            })
        };
        volume.map_or(Decision::Phase("Pending"), Decision::Bind)
    }

    fn class(&self, claim: &Claim) -> Option<&StorageClass> {
        self.classes.get("", claim.spec.storage_class_name.as_deref()?)
    }

    /// Whether the claim is bound only once the scheduler has placed a pod that uses it.
    fn is_delayed(&self, claim: &Claim) -> bool {
        !claim.metadata.annotations.contains_key(SELECTED_NODE)
            && self.class(claim).is_some_and(StorageClass::waits_for_consumer)
    }

    /// Tells the class's provisioner that the claim is for it.
    fn provisioned(&self, claim: &Claim) -> Option<Request> {
        let class = self.class(claim).filter(|class| class.has_provisioner())?;
        let is_told = |annotation: &&str| {
            claim.metadata.annotations.get(*annotation).is_some_and(|who| *who == class.provisioner)
        };
        if self.is_delayed(claim) || !claim.spec.volume_name.is_empty() || PROVISIONER.iter().all(is_told) {
            return None;
        }
        let told = PROVISIONER.map(|annotation| (annotation.to_owned(), Value::from(&*class.provisioner)));
        let body = json!({"metadata": {
            "resourceVersion": claim.metadata.resource_version,
            "annotations": Map::from_iter(told),
        }});
        Some(Request::merge_patch(claim_target(claim), body))
    }

    /// What a volume that no claim is being bound to still needs.
    fn settle(&self, volume: &Volume) -> Option<Request> {
        let Some(reference) = volume.spec.claim_ref.as_ref().filter(|reference| !reference.uid.is_empty())
        else {
            return phase_unless_there(volume, "Available");
        };
        let claim = self.claims.get(&reference.namespace, &reference.name);
        let Some(claim) = claim.filter(|claim| claim.metadata.uid == reference.uid) else {
            return match &*volume.status.phase {
                "Failed" => None,
                "Released" => not_reclaimed(volume),
                _ => Some(volume_phase(volume, "Released")),
            };
        };
        let elsewhere = !claim.spec.volume_name.is_empty() && claim.spec.volume_name != volume.metadata.name;
        if !elsewhere || volume.metadata.annotations.contains_key(PROVISIONED_BY) {
            return None;
        }
        // Reserved for a claim that took another volume: what the binder set is taken back, what a person set stays.
        let body = if volume.metadata.annotations.contains_key(BOUND_BY_CONTROLLER) {
            json!({
                "metadata": {
                    "resourceVersion": volume.metadata.resource_version,
                    "annotations": {BOUND_BY_CONTROLLER: null},
                },
                "spec": {"claimRef": null},
            })
        } else {
            json!({
                "metadata": {"resourceVersion": volume.metadata.resource_version},
                "spec": {"claimRef": {"uid": null, "resourceVersion": null}},
            })
        };
        Some(Request::merge_patch(volume_target(volume), body))
    }
}

/// Says of a released volume that is to be deleted or emptied that nobody here can: a provisioner deletes what it has made, and
/// for all others there is no plugin. What is retained waits for a person.
fn not_reclaimed(volume: &Volume) -> Option<Request> {
    let why = match &*volume.spec.persistent_volume_reclaim_policy {
        "Delete" if !volume.metadata.annotations.contains_key(PROVISIONED_BY) => format!(
            "error getting deleter volume plugin for volume \"{}\": no deletable volume plugin matched",
            volume.metadata.name
        ),
        "Recycle" => "No recycler plugin found for the volume!".to_owned(),
        _ => return None,
    };
    let body = json!({
        "metadata": {"resourceVersion": volume.metadata.resource_version},
        "status": {"phase": "Failed", "message": why},
    });
    Some(Request::merge_patch(volume_target(volume).subresource("status"), body))
}

fn phase_unless_there(volume: &Volume, phase: &str) -> Option<Request> {
    (volume.status.phase != phase).then(|| volume_phase(volume, phase))
}

fn volume_phase(volume: &Volume, phase: &str) -> Request {
    let body = json!({
        "metadata": {"resourceVersion": volume.metadata.resource_version},
        "status": {"phase": phase},
    });
    Request::merge_patch(volume_target(volume).subresource("status"), body)
}

fn claim_status(claim: &Claim, status: &Value) -> Request {
    let body = json!({
        "metadata": {"resourceVersion": claim.metadata.resource_version},
        "status": status,
    });
    Request::merge_patch(claim_target(claim).subresource("status"), body)
}

fn volume_target(volume: &Volume) -> Target {
    Target::cluster(Resource::PERSISTENT_VOLUMES, &volume.metadata.name)
}

fn claim_target(claim: &Claim) -> Target {
    Target::namespaced(Resource::PERSISTENT_VOLUME_CLAIMS, &claim.metadata.namespace, &claim.metadata.name)
}

#[cfg(test)]
mod tests;
