//! What the end of an action means for its volume, device or pod.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Backoff, Done, Planner, Source, State, Step, Subject};
use crate::failure::Failure;
use crate::volume::{DeviceKey, VolumeKey, VolumeSpec};

impl Planner {
    /// An action has ended.
    ///
    /// # Panics
    /// If no such action is running: the caller reports each action exactly once.
    pub fn finished(&mut self, subject: &Subject, result: Result<Done, Failure>, now: Timestamp) {
        match subject {
            Subject::Volume(key) => self.volume_finished(key, result, now),
            Subject::Device(key) => self.device_finished(key, result, now),
            Subject::Found(key) => {
                let found = self.found.get_mut(key).expect("what was found is kept while its action runs");
                assert!(found.running, "what was found at {key} has no action running");
                found.running = false;
                self.agenda.free_place(&found.volume.published.driver);
                match result {
                    Ok(_) => self.forget_found(key),
                    Err(_) => found.backoff.failed(now, &self.pace),
                }
            }
            Subject::Pod(uid) => {
                let entry = self.pods.get_mut(uid).expect("a pod with a running action is kept");
                assert!(entry.closing, "pod {uid} has no action running");
                entry.closing = false;
                match result {
                    Ok(_) => entry.closed = true,
                    Err(_) => entry.backoff.failed(now, &self.pace),
                }
            }
        }
        self.agenda.add(subject.clone());
    }

    fn device_finished(&mut self, key: &DeviceKey, result: Result<Done, Failure>, now: Timestamp) {
        let device = self.devices.get_mut(key).expect("a device with a running action is kept");
        assert!(device.running, "device {key} has no action running");
        device.running = false;
        self.agenda.free_place(&key.driver);
        match result {
            Ok(_) => {
                device.state = if device.staging { State::Present } else { State::Absent };
                device.backoff = Backoff::default();
                device.problem = None;
            }
            Err(failure) => {
                if device.staging {
                    device.state = device.state.after_failure(failure.class);
                }
                device.backoff.failed(now, &self.pace);
                device.problem = Some(failure.message);
            }
        }
        for user in &device.users {
            self.agenda.add(Subject::Volume(user.clone()));
        }
    }

    fn volume_finished(&mut self, key: &VolumeKey, result: Result<Done, Failure>, now: Timestamp) {
        let volume = self.volumes.get_mut(key).expect("a volume with a running action is kept");
        let step = volume.running.take().expect("a volume's action is reported once");
        self.agenda.free_place(volume.driver().unwrap_or_default());
        if let Some(device) = volume.device() {
            self.agenda.add(Subject::Device(device));
        }
        match (step, result) {
            (Step::Resolve, Ok(Done::Resolved(spec))) => self.resolved(key, &spec, now),
            (Step::Resolve, Ok(_)) => {
                volume.source = Source::NotCsi;
                volume.problem = None;
                self.look_at_found_of(&key.pod_uid);
            }
            (Step::Publish, Ok(_)) => {
                volume.state = State::Present;
                volume.backoff = Backoff::default();
                volume.problem = None;
                let is_outdated = std::mem::take(&mut volume.outdated);
                self.plan_republish(key, is_outdated, now);
            }
            (Step::Unpublish, Ok(_)) => {
                volume.state = State::Absent;
                volume.backoff = Backoff::default();
            }
            (step, Err(failure)) => {
                if step == Step::Publish {
                    volume.state = volume.state.after_failure(failure.class);
                }
                volume.backoff.failed(now, &self.pace);
                volume.problem = Some(failure.message);
            }
        }
    }

    /// Two volumes of a pod must not share a directory: the same volume twice is mounted once, and another volume under
    /// the same name is refused.
    fn resolved(&mut self, key: &VolumeKey, spec: &Arc<VolumeSpec>, now: Timestamp) {
        let neighbour = self.volumes_of_pod(&key.pod_uid).find_map(|(other, volume)| match &volume.source {
            Source::Known(known) if other != key && known.spec_name == spec.spec_name => {
                Some((other.clone(), known.device().is_some() && known.device() == spec.device()))
            }
            _ => None,
        });
        let volume = self.volumes.get_mut(key).expect("the caller has just looked it up");
        if let Some((other, false)) = neighbour {
            volume.backoff.failed(now, &self.pace);
            volume.problem = Some(format!(
                "PersistentVolume {} and the inline volume {} of the same pod would share a directory: rename one",
                spec.spec_name, other.volume
            ));
            return;
        }
        volume.backoff = Backoff::default();
        volume.problem = None;
        match neighbour {
            Some((other, _)) => volume.source = Source::SameAs(other),
            None => {
                volume.source = Source::Known(Arc::clone(spec));
                self.became_known(key, spec);
            }
        }
        self.look_at_found_of(&key.pod_uid);
    }
}
