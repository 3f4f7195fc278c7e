//! The claims of a pod: whether they are bound, where their volumes can be reached, and what is to be done for those that wait
//! for their first consumer (upstream's plugins VolumeBinding and NodeVolumeLimits).

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::Scheduler;
use super::refusal::Refusal;
use super::usage::Taken;
use crate::api::{Request, Resource, Target};
use crate::binder::{self, Offers, SELECTED_NODE};
use crate::mirror::Mirror;
use crate::objects::{Claim, ClaimUse, CsiNode, Metadata, Node, PodSpec, StorageClass, Volume};

const NO_VOLUME: &str = "node(s) didn't find available persistent volumes to bind";

/// The claims and volumes, and what of them this round has given away.
pub(super) struct Claims<'a> {
    claims: &'a Mirror<Claim>,
    volumes: &'a Mirror<Volume>,
    classes: &'a Mirror<StorageClass>,
    csi_nodes: &'a Mirror<CsiNode>,
    /// The volumes that are left.
    offers: Offers<'a>,
    /// What delayed claims have been given, by namespace and name: another pod with such a claim shares it.
    granted: BTreeMap<(&'a str, &'a str), Grant<'a>>,
}

/// What becomes of a delayed claim.
#[derive(Clone, Copy)]
enum Grant<'a> {
    /// It gets this volume.
    Volume(&'a Volume),
    /// A volume is made for it, for this node.
    MadeFor(&'a str),
}

/// A volume as a driver's limit counts it: driver, namespace, and name. One that is there has no namespace, and its handle
/// for a name; one that is still to be made has those of its claim.
type Counted<'a> = (&'a str, &'a str, &'a str);

/// What a pod wants by way of volumes.
#[derive(Default)]
pub(super) struct Wishes<'a> {
    bound: Vec<Bound<'a>>,
    /// The claims that wait for the pod to be placed.
    delayed: Vec<(&'a Claim, &'a StorageClass)>,
    /// Those that only one pod may use at a time.
    pub(super) exclusive: Vec<&'a str>,
    /// The node that a volume is being made for already.
    pub(super) selected: Option<&'a str>,
}

/// A claim's volume, if that is there.
struct Bound<'a> {
    volume: Option<&'a Volume>,
}

impl<'a> Claims<'a> {
    pub(super) fn of(scheduler: &'a Scheduler) -> Self {
        Self {
            claims: &scheduler.claims,
            volumes: &scheduler.volumes,
            classes: &scheduler.classes,
            csi_nodes: &scheduler.csi_nodes,
            offers: Offers::of(scheduler.volumes.iter()),
            granted: BTreeMap::new(),
        }
    }

    /// What the pod wants, or why no node will do.
    pub(super) fn wishes(&self, metadata: &Metadata, spec: &PodSpec) -> Result<Wishes<'a>, String> {
        let mut wishes = Wishes::default();
        let mut seen = BTreeSet::new();
        for ClaimUse { name, is_ephemeral } in spec.claims(&metadata.name) {
            let Some(claim) = self.claims.get(&metadata.namespace, &name) else {
                return Err(if is_ephemeral {
                    format!(
                        "waiting for ephemeral volume controller to create the persistentvolumeclaim \"{name}\""
                    )
                } else {
                    format!("persistentvolumeclaim \"{name}\" not found")
                });
            };
            if claim.status.phase == "Lost" {
                let volume = &claim.spec.volume_name;
                return Err(format!(
                    "persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{volume}\""
                ));
            }
            if claim.metadata.is_deleting() {
                return Err(format!("persistentvolumeclaim \"{name}\" is being deleted"));
            }
            let is_owned = claim.metadata.controller().is_some_and(|owner| owner.uid == metadata.uid);
            if is_ephemeral && !is_owned {
                let (namespace, pod) = (&metadata.namespace, &metadata.name);
                return Err(format!(
                    "PVC {namespace}/{name} was not created for pod {namespace}/{pod} (pod is not owner)"
                ));
            }
            // Several of the pod's volumes may be of one claim.
            if !seen.insert(&*claim.metadata.name) {
                continue;
            }
            if claim.spec.access_modes.iter().any(|mode| mode == "ReadWriteOncePod") {
                wishes.exclusive.push(&claim.metadata.name);
            }
            if claim.is_bound() {
                wishes.bound.push(Bound { volume: self.volumes.get("", &claim.spec.volume_name) });
                continue;
            }
            let class =
                claim.spec.storage_class_name.as_deref().and_then(|class| self.classes.get("", class));
            match class.filter(|class| class.waits_for_consumer()) {
                Some(class) if claim.spec.volume_name.is_empty() => {
                    let selected = claim.metadata.annotations.get(SELECTED_NODE);
                    wishes.selected = wishes.selected.or(selected.map(String::as_str));
                    wishes.delayed.push((claim, class));
                }
                _ => return Err("pod has unbound immediate PersistentVolumeClaims".to_owned()),
            }
        }
        Ok(wishes)
    }

    /// Whether the pod's volumes can be had on the node.
    pub(super) fn check(
        &self,
        wishes: &Wishes<'a>,
        node: &'a Node,
        taken: &Taken<'_>,
    ) -> Result<(), Refusal> {
        if !self.is_within_limits(wishes, node, taken) {
            return Err(Refusal::passing("node(s) exceed max volume count"));
        }
        for bound in &wishes.bound {
            match bound.volume {
                None => {
                    return Err(Refusal::lasting(
                        "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
                    ));
                }
                Some(volume) if !volume.is_reachable_from(&node.metadata) => {
                    return Err(Refusal::lasting("node(s) didn't match PersistentVolume's node affinity"));
                }
                Some(_) => {}
            }
        }
        self.choose(wishes, node).map(drop).map_err(Refusal::lasting)
    }

    /// What each delayed claim gets when the pod comes to the node.
    fn choose(
        &self,
        wishes: &Wishes<'a>,
        node: &'a Node,
    ) -> Result<Vec<(&'a Claim, Grant<'a>)>, &'static str> {
        let mut chosen: Vec<(&Claim, Grant<'_>)> = Vec::new();
        let mut taken: BTreeSet<&str> = BTreeSet::new();
        for (claim, class) in &wishes.delayed {
            let is_reachable = |volume: &Volume| volume.is_reachable_from(&node.metadata);
            let is_usable = |volume: &Volume| is_reachable(volume) && !taken.contains(&*volume.metadata.name);
            let settled = self.granted.get(&key(claim)).copied();
            let grant = match settled.or_else(|| self.offers.reserved(claim).map(Grant::Volume)) {
                Some(Grant::Volume(volume)) if !is_reachable(volume) => return Err(NO_VOLUME),
                Some(Grant::MadeFor(other)) if other != node.metadata.name => return Err(NO_VOLUME),
                Some(grant) => grant,
                None => match self.offers.free(claim, is_usable) {
                    Some(volume) => Grant::Volume(volume),
                    None if class.can_provision_on(&node.metadata) => Grant::MadeFor(&node.metadata.name),
                    None => return Err(NO_VOLUME),
                },
            };
            if let Grant::Volume(volume) = grant {
                taken.insert(&volume.metadata.name);
            }
            chosen.push((claim, grant));
        }
        Ok(chosen)
    }

    /// The writes for the pod's delayed claims, once it has been placed; none when it has no such claims. What another pod
    /// has been given already is not written again.
    pub(super) fn grant(&mut self, wishes: &Wishes<'a>, node: &'a Node) -> Option<Vec<Request>> {
        if wishes.delayed.is_empty() {
            return None;
        }
        let mut requests = Vec::new();
        for (claim, grant) in self.choose(wishes, node).unwrap_or_default() {
            let Entry::Vacant(entry) = self.granted.entry(key(claim)) else { continue };
            match *entry.insert(grant) {
                Grant::Volume(volume) => {
                    self.offers.take(volume);
                    if !binder::is_reserved_for(volume, claim) {
                        requests.push(binder::reserve(claim, volume));
                    }
                }
                Grant::MadeFor(node) => requests.extend(selected(claim, node)),
            }
        }
        Some(requests)
    }

    /// Whether each driver still takes the pod's volumes beside those that are on the node.
    fn is_within_limits(&self, wishes: &Wishes<'a>, node: &Node, taken: &Taken<'_>) -> bool {
        let Some(csi_node) = self.csi_nodes.get("", &node.metadata.name) else { return true };
        let limits: BTreeMap<&str, usize> = csi_node.limits().collect();
        if limits.is_empty() || (wishes.bound.is_empty() && wishes.delayed.is_empty()) {
            return true;
        }
        let claims = taken.residents.iter().flat_map(|resident| {
            let namespace = &*resident.metadata.namespace;
            resident.needs.claims.iter().filter_map(move |claim| self.claims.get(namespace, claim))
        });
        let here: BTreeSet<Counted<'_>> = claims.filter_map(|claim| self.counted(claim)).collect();
        let bound = wishes.bound.iter().filter_map(|bound| with_handle(bound.volume?));
        let delayed = wishes.delayed.iter().map(|(claim, class)| to_be_made(claim, class));
        let added: BTreeSet<Counted<'_>> =
            bound.chain(delayed).filter(|volume| !here.contains(volume)).collect();
        let of = |volumes: &BTreeSet<Counted<'_>>, driver: &str| {
            volumes.iter().filter(|(of, ..)| *of == driver).count()
        };
        limits.into_iter().all(|(driver, limit)| {
            let more = of(&added, driver);
            more == 0 || of(&here, driver) + more <= limit
        })
    }

    /// How the claim of a pod that is there counts; not at all if no driver is known for it.
    fn counted(&self, claim: &'a Claim) -> Option<Counted<'a>> {
        match self.volumes.get("", &claim.spec.volume_name) {
            Some(volume) => with_handle(volume),
            None => {
                let class = self.classes.get("", claim.spec.storage_class_name.as_deref()?)?;
                Some(to_be_made(claim, class))
            }
        }
    }
}

fn with_handle(volume: &Volume) -> Option<Counted<'_>> {
    let csi = volume.spec.csi.as_ref()?;
    Some((&csi.driver, "", &csi.volume_handle))
}

fn to_be_made<'a>(claim: &'a Claim, class: &'a StorageClass) -> Counted<'a> {
    let (namespace, name) = key(claim);
    (&class.provisioner, namespace, name)
}

fn key(claim: &Claim) -> (&str, &str) {
    (&claim.metadata.namespace, &claim.metadata.name)
}

/// Tells the provisioner for which node the volume is.
fn selected(claim: &Claim, node: &str) -> Option<Request> {
    let metadata = &claim.metadata;
    if metadata.annotations.get(SELECTED_NODE).is_some_and(|selected| selected == node) {
        return None;
    }
    let body = json!({"metadata": {
        "uid": metadata.uid, "resourceVersion": metadata.resource_version, "annotations": {SELECTED_NODE: node},
    }});
    Some(Request::merge_patch(Target::of(Resource::PERSISTENT_VOLUME_CLAIMS, metadata), body))
}
