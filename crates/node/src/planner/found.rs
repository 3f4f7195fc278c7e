//! What an earlier process of this node left behind, as the disk tells: to be taken over by the volume that it belongs to,
//! or to be unpublished because nobody wants it.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Backoff, Device, Planner, PodEntry, Source, State, Subject};
use crate::volume::{DeviceKey, PublishedVolume, VolumeKey, VolumeMode, VolumeSpec};

/// A volume that was found, by where it is: a pod's directories are named after PersistentVolumes and inline volumes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FoundKey {
    /// The pod's identity.
    pub pod_uid: String,
    /// Name of the directory.
    pub spec_name: String,
    /// Whether it is among the pod's directories or its devices.
    pub mode: VolumeMode,
}

impl fmt::Display for FoundKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.pod_uid, self.spec_name)
    }
}

/// A volume whose record was found on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundVolume {
    /// What its unpublish needs.
    pub published: PublishedVolume,
    /// The device that it holds: none for inline volumes.
    pub device: Option<DeviceKey>,
}

impl FoundVolume {
    /// Where it is.
    pub fn key(&self) -> FoundKey {
        FoundKey {
            pod_uid: self.published.pod_uid.clone(),
            spec_name: self.published.spec_name.clone(),
            mode: self.published.mode,
        }
    }
}

/// A found volume that no volume of a pod is known to be.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) volume: FoundVolume,
    pub(super) running: bool,
    pub(super) backoff: Backoff,
}

impl Found {
    pub(super) fn driver(&self) -> &str {
        &self.volume.published.driver
    }
}

impl Planner {
    /// A pod has directories on the disk. To be told before the pods are.
    pub fn found_pod(&mut self, pod_uid: &str, now: Timestamp) {
        let uid = pod_uid.to_owned();
        self.pods.entry(uid.clone()).or_insert_with(|| PodEntry::found(uid, now));
    }

    /// A published volume has its record on the disk, whether it is mounted or not. To be told before the pods are.
    pub fn found_volume(&mut self, volume: FoundVolume, now: Timestamp) {
        self.found_pod(&volume.published.pod_uid, now);
        let key = volume.key();
        self.agenda.add(Subject::Found(key.clone()));
        self.found.insert(key, Found { volume, running: false, backoff: Backoff::default() });
    }

    /// A staged device has its record on the disk. To be told before the pods are.
    pub fn found_device(&mut self, device: DeviceKey) {
        self.agenda.add(Subject::Device(device.clone()));
        self.devices.entry(device).or_insert_with(|| Device::new(State::Found));
    }

    pub(super) fn found_of_pod<'a>(
        &'a self,
        uid: &'a str,
    ) -> impl Iterator<Item = (&'a FoundKey, &'a Found)> {
        let first =
            FoundKey { pod_uid: uid.to_owned(), spec_name: String::new(), mode: VolumeMode::Filesystem };
        self.found.range(first..).take_while(move |(key, _)| key.pod_uid == uid)
    }

    /// A volume that has just become known takes over what was found of it, unless that is another one's.
    pub(super) fn adopt_found(&mut self, key: &VolumeKey, spec: &Arc<VolumeSpec>) {
        let place =
            FoundKey { pod_uid: key.pod_uid.clone(), spec_name: spec.spec_name.clone(), mode: spec.mode() };
        let Some(found) = self.found.get(&place) else { return };
        if found.running || found.volume.published != spec.published() {
            return;
        }
        self.found.remove(&place);
        if let Some(volume) = self.volumes.get_mut(key) {
            volume.state = State::Found;
        }
        // The others of the pod may have waited for this one to be claimed.
        self.look_at_found_of(&key.pod_uid);
    }

    /// Whether the place of a volume is taken by what was found and has to go first.
    pub(super) fn is_occupied(&self, spec: &VolumeSpec) -> bool {
        // Almost always there is nothing: no key is made then.
        !self.found.is_empty()
            && self.found.contains_key(&FoundKey {
                pod_uid: spec.pod.uid.clone(),
                spec_name: spec.spec_name.clone(),
                mode: spec.mode(),
            })
    }

    /// Whether it is certain that no volume of the pod will claim what was found.
    pub(super) fn is_left_over(&self, key: &FoundKey) -> bool {
        if self.draining {
            return true;
        }
        match self.pods.get(&key.pod_uid) {
            Some(entry) if entry.wanted => self
                .volumes_of_pod(&key.pod_uid)
                .all(|(_, volume)| !matches!(volume.source, Source::Claim(_))),
            Some(entry) => entry.seen || entry.gone,
            None => true,
        }
    }

    /// Whether something that was found holds a device.
    pub(super) fn found_holds(&self, device: &DeviceKey) -> bool {
        self.found.values().any(|found| found.volume.device.as_ref() == Some(device))
    }

    pub(super) fn look_at_found_of(&mut self, pod_uid: &str) {
        let keys: Vec<FoundKey> = self.found_of_pod(pod_uid).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.agenda.add(Subject::Found(key));
        }
    }

    /// What was found is unpublished: its place, its device and its pod are free of it.
    pub(super) fn forget_found(&mut self, key: &FoundKey) {
        let Some(found) = self.found.remove(key) else { return };
        if let Some(device) = found.volume.device {
            self.agenda.add(Subject::Device(device));
        }
        let waiting: Vec<Subject> =
            self.volumes_of_pod(&key.pod_uid).map(|(key, _)| Subject::Volume(key.clone())).collect();
        for subject in waiting {
            self.agenda.add(subject);
        }
        self.agenda.add(Subject::Pod(key.pod_uid.clone()));
    }
}
