//! Pods that come, change and go, and what of their volumes is to be looked at then.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Backoff, Planner, PodIntent, Source, Subject, Volume, VolumeIntent};
use crate::cluster::PodReference;
use crate::volume::VolumeKey;

#[derive(Debug)]
pub(super) struct PodEntry {
    pub(super) pod: PodReference,
    /// Whether the cluster has told of it, or only the disk.
    pub(super) seen: bool,
    pub(super) wanted: bool,
    pub(super) terminating: bool,
    /// The pod object is gone: forget the entry once its volumes are.
    pub(super) gone: bool,
    pub(super) closing: bool,
    pub(super) closed: bool,
    pub(super) backoff: Backoff,
    pub(super) first_seen: Timestamp,
}

impl PodEntry {
    /// A pod that the cluster has not told of yet.
    pub(super) fn found(uid: String, now: Timestamp) -> Self {
        Self {
            pod: PodReference { namespace: String::new(), name: String::new(), uid },
            seen: false,
            wanted: false,
            terminating: false,
            gone: false,
            closing: false,
            closed: false,
            backoff: Backoff::default(),
            first_seen: now,
        }
    }
}

impl Planner {
    /// A pod of this node was listed, created or changed.
    pub fn pod_seen(&mut self, intent: PodIntent, now: Timestamp) {
        let uid = intent.pod.uid.clone();
        let entry = self.pods.entry(uid.clone()).or_insert_with(|| PodEntry::found(uid.clone(), now));
        let first_time = !std::mem::replace(&mut entry.seen, true);
        if first_time {
            entry.pod = intent.pod.clone();
        }
        // A pod that has once begun to end does not come back.
        let ending = entry.terminating || entry.gone;
        let began_to_end = intent.terminating && !entry.terminating;
        entry.terminating |= intent.terminating;
        let was_wanted = entry.wanted;
        entry.wanted = intent.wanted && !ending && !intent.terminating;
        if first_time || was_wanted != entry.wanted || began_to_end {
            if was_wanted {
                self.forgive(&uid);
            }
            self.look_at_pod(&uid);
        }
        if !self.pods.get(&uid).is_some_and(|entry| entry.wanted) {
            return;
        }
        for volume in intent.volumes {
            let (name, source, known) = match volume {
                VolumeIntent::Known(spec) => {
                    (spec.volume.clone(), Source::Known(Arc::clone(&spec)), Some(spec))
                }
                VolumeIntent::Claim(lookup) => (lookup.volume.clone(), Source::Claim(lookup), None),
            };
            let key = VolumeKey { pod_uid: uid.clone(), volume: name };
            if self.volumes.contains_key(&key) {
                continue;
            }
            self.volumes.insert(key.clone(), Volume::new(source));
            if let Some(spec) = known {
                self.became_known(&key, &spec);
            }
            self.agenda.add(Subject::Volume(key));
        }
    }

    /// A pod no longer exists.
    pub fn pod_gone(&mut self, uid: &str) {
        if let Some(entry) = self.pods.get_mut(uid)
            && !entry.gone
        {
            entry.wanted = false;
            entry.gone = true;
            self.forgive(uid);
            self.look_at_pod(uid);
        }
    }

    /// These are all the pods there are: the others are gone.
    pub fn pods_listed(&mut self, uids: &HashSet<&str>) {
        let missing: Vec<String> =
            self.pods.keys().filter(|uid| !uids.contains(uid.as_str())).cloned().collect();
        for uid in missing {
            self.pod_gone(&uid);
        }
    }

    /// The wait after failed publishes does not hold up the unpublish.
    fn forgive(&mut self, pod_uid: &str) {
        let first = VolumeKey { pod_uid: pod_uid.to_owned(), volume: String::new() };
        for (_, volume) in self.volumes.range_mut(first..).take_while(|(key, _)| key.pod_uid == pod_uid) {
            volume.backoff = Backoff::default();
        }
    }

    /// Something about a pod has changed that all its volumes depend on.
    fn look_at_pod(&mut self, uid: &str) {
        let volumes: Vec<Subject> =
            self.volumes_of_pod(uid).map(|(key, _)| Subject::Volume(key.clone())).collect();
        let devices = self.volumes_of_pod(uid).filter_map(|(_, volume)| volume.device()).map(Subject::Device);
        let found = self.found_of_pod(uid).map(|(key, _)| Subject::Found(key.clone()));
        let subjects: Vec<Subject> = volumes.into_iter().chain(devices).chain(found).collect();
        for subject in subjects {
            self.agenda.add(subject);
        }
        self.agenda.add(Subject::Pod(uid.to_owned()));
    }
}
