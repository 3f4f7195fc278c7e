//! What can be seen of the planner: how volumes stand, and how much is left.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Device, Planner, Source, State, Step, Volume};
use crate::volume::{DeviceKey, VolumeSpec};

/// How a volume stands, for pod conditions, Events and status output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeView {
    /// Name in the pod.
    pub volume: String,
    /// What it waits for; nothing once it is mounted, or is none of our business.
    pub pending: Option<Pending>,
    /// The last failure, until the next success.
    pub problem: Option<String>,
}

/// What a volume waits for that is not mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// Its claim has not been followed to a volume.
    Claim,
    /// Its device is to be staged, once it is attached.
    Device,
    /// It is to be published.
    Publish,
}

impl VolumeView {
    /// Whether it is mounted, or is none of our business.
    pub fn is_mounted(&self) -> bool {
        self.pending.is_none()
    }
}

impl Planner {
    /// How many volumes may be mounted, those included that are being published.
    pub fn mounted(&self) -> usize {
        let may_be =
            |volume: &&Volume| volume.state != State::Absent || volume.running == Some(Step::Publish);
        self.volumes.values().filter(may_be).count() + self.found.len()
    }

    /// How many devices may be staged, those included that are being staged.
    pub fn staged(&self) -> usize {
        let may_be = |device: &&Device| device.state != State::Absent || (device.running && device.staging);
        self.devices.values().filter(may_be).count()
    }

    /// Whether it is known how the volumes of a pod stand. Not before what an earlier process left of it has been published
    /// anew: until then the pod's status is best left as it was.
    pub fn is_settled(&self, pod_uid: &str) -> bool {
        self.found_of_pod(pod_uid).next().is_none()
            && self.volumes_of_pod(pod_uid).all(|(_, volume)| volume.state != State::Found)
    }

    /// Whether no volume and no device is left.
    pub fn is_empty(&self) -> bool {
        self.volumes.is_empty() && self.devices.is_empty() && self.found.is_empty()
    }

    /// When this node first saw the pod.
    pub fn first_seen(&self, pod_uid: &str) -> Option<Timestamp> {
        self.pods.get(pod_uid).map(|entry| entry.first_seen)
    }

    /// How the volumes of a pod stand, by name.
    pub fn volumes_of(&self, pod_uid: &str) -> Vec<VolumeView> {
        self.volumes_of_pod(pod_uid)
            .map(|(key, volume)| {
                let (pending, problem) = match &volume.source {
                    Source::NotCsi => (None, None),
                    Source::SameAs(other) => match self.volumes.get(other) {
                        Some(other) => (self.pending(other), other.problem.clone()),
                        None => (Some(Pending::Claim), None),
                    },
                    Source::Known(spec) => {
                        let device = spec.device().and_then(|device| self.devices.get(&device));
                        let problem = device.and_then(|device| device.problem.clone());
                        (self.pending(volume), volume.problem.clone().or(problem))
                    }
                    Source::Claim(_) => (Some(Pending::Claim), volume.problem.clone()),
                };
                VolumeView { volume: key.volume.clone(), pending, problem }
            })
            .collect()
    }

    /// What a volume that is known waits for.
    fn pending(&self, volume: &Volume) -> Option<Pending> {
        if volume.state == State::Present {
            return None;
        }
        let device = volume.device().and_then(|device| self.devices.get(&device));
        let is_staged = device.is_none_or(|device| device.state == State::Present);
        Some(if is_staged { Pending::Publish } else { Pending::Device })
    }

    /// The pods whose volumes use a device, for reporting its failures.
    pub fn users_of(&self, device: &DeviceKey) -> Vec<Arc<VolumeSpec>> {
        let users = self.devices.get(device).into_iter().flat_map(|device| &device.users);
        users
            .filter_map(|key| match &self.volumes.get(key)?.source {
                Source::Known(spec) => Some(Arc::clone(spec)),
                _ => None,
            })
            .collect()
    }
}
