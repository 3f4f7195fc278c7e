//! The claims of a pod: whether they are bound, where their volumes can be reached, and what is to be done for those that wait
//! for their first consumer (upstream's plugins VolumeBinding and NodeVolumeLimits).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::Scheduler;
use super::refusal::Refusal;
use super::usage::Taken;
use crate::api::{Request, Resource, Target};
use crate::binder::{self, Offers, SELECTED_NODE};
use crate::mirror::Mirror;
use crate::objects::{Claim, CsiNode, Metadata, Node, PodSpec, StorageClass, Volume};

const NO_VOLUME: &str = "node(s) didn't find available persistent volumes to bind";

/// The claims and volumes, and which volumes this round has not given away yet.
pub(super) struct Claims<'a> {
    claims: &'a Mirror<Claim>,
    volumes: &'a Mirror<Volume>,
    classes: &'a Mirror<StorageClass>,
    csi_nodes: &'a Mirror<CsiNode>,
    offers: Offers<'a>,
}

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
        }
    }

    /// What the pod wants, or why no node will do.
    pub(super) fn wishes(&self, metadata: &Metadata, spec: &PodSpec) -> Result<Wishes<'a>, String> {
        let mut wishes = Wishes::default();
        for name in spec.claims(&metadata.name) {
            let Some(claim) = self.claims.get(&metadata.namespace, &name) else {
                return Err(format!("persistentvolumeclaim \"{name}\" not found"));
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
    pub(super) fn check(&self, wishes: &Wishes<'_>, node: &Node, taken: &Taken<'_>) -> Result<(), Refusal> {
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

    /// Of each delayed claim the volume that it gets on the node; none where one is to be made.
    fn choose<'w>(
        &self,
        wishes: &Wishes<'w>,
        node: &Node,
    ) -> Result<Vec<(&'w Claim, Option<&'a Volume>)>, &'static str> {
        let mut chosen: Vec<(&Claim, Option<&Volume>)> = Vec::new();
        let mut taken: BTreeSet<&str> = BTreeSet::new();
        for (claim, class) in &wishes.delayed {
            let is_usable = |volume: &Volume| {
                volume.is_reachable_from(&node.metadata) && !taken.contains(&*volume.metadata.name)
            };
            let volume = match self.offers.reserved(claim) {
                Some(volume) if volume.is_reachable_from(&node.metadata) => Some(volume),
                Some(_) => return Err(NO_VOLUME),
                None => self.offers.free(claim, is_usable),
            };
            match volume {
                Some(volume) => drop(taken.insert(&*volume.metadata.name)),
                None if class.can_provision_on(&node.metadata) => {}
                None => return Err(NO_VOLUME),
            }
            chosen.push((claim, volume));
        }
        Ok(chosen)
    }

    /// The writes for the pod's delayed claims, once it has been placed; none when it has no such claims.
    pub(super) fn grant(&mut self, wishes: &Wishes<'a>, node: &Node) -> Option<Vec<Request>> {
        if wishes.delayed.is_empty() {
            return None;
        }
        let mut requests = Vec::new();
        for (claim, volume) in self.choose(wishes, node).unwrap_or_default() {
            match volume {
                Some(volume) => {
                    self.offers.take(volume);
                    if !binder::is_reserved_for(volume, claim) {
                        requests.push(binder::reserve(claim, volume));
                    }
                }
                None => requests.extend(selected(claim, &node.metadata.name)),
            }
        }
        Some(requests)
    }

    /// Whether each driver still takes the pod's volumes beside those that are on the node.
    fn is_within_limits(&self, wishes: &Wishes<'_>, node: &Node, taken: &Taken<'_>) -> bool {
        let Some(csi_node) = self.csi_nodes.get("", &node.metadata.name) else { return true };
        let limits: BTreeMap<&str, usize> = csi_node.limits().collect();
        if limits.is_empty() || (wishes.bound.is_empty() && wishes.delayed.is_empty()) {
            return true;
        }
        let handle = |volume: &'a Volume| {
            let csi = volume.spec.csi.as_ref()?;
            Some((&*csi.driver, &*csi.volume_handle))
        };
        let of_claim = |(namespace, name): (&str, &str)| {
            let claim = self.claims.get(namespace, name)?;
            handle(self.volumes.get("", &claim.spec.volume_name)?)
        };
        let claims = taken.residents.iter().flat_map(|resident| {
            let namespace = &*resident.metadata.namespace;
            resident.needs.claims.iter().map(move |claim| (namespace, &**claim))
        });
        let here: BTreeSet<(&str, &str)> = claims.filter_map(of_claim).collect();
        let mut more: BTreeMap<&str, usize> = BTreeMap::new();
        let names = wishes.bound.iter().filter_map(|bound| bound.volume).map(|volume| &*volume.metadata.name);
        let volumes: BTreeSet<&str> = names.collect();
        let bound = volumes.into_iter().filter_map(|name| handle(self.volumes.get("", name)?));
        for (driver, _) in bound.filter(|bound| !here.contains(bound)) {
            *more.entry(driver).or_default() += 1;
        }
        for (_, class) in &wishes.delayed {
            *more.entry(&class.provisioner).or_default() += 1;
        }
        more.into_iter().all(|(driver, more)| {
            let there = here.iter().filter(|(of, _)| *of == driver).count();
            limits.get(driver).is_none_or(|limit| there + more <= *limit)
        })
    }
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
