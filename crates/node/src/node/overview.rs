//! What people can see of a running node: its status when somebody asks, and its counters.

use std::time::Duration;

use jiff::Timestamp;

use super::{Engine, Finished};
use crate::cluster::Cluster;
use crate::metrics::{Delivered, Operation};
use crate::planner::Action;
use crate::pods;
use crate::status::{DriverStatus, NodeStatus, VolumeState, VolumeStatus};
use crate::volume::{VolumeKey, VolumeMode};

impl<C: Cluster> Engine<C> {
    pub(super) fn status(&self) -> NodeStatus {
        let mut volumes: Vec<VolumeStatus> = Vec::new();
        for (uid, pod) in &self.pods {
            let reference = pods::reference(pod);
            for view in self.planner.volumes_of(uid) {
                let key = VolumeKey { pod_uid: uid.clone(), volume: view.volume.clone() };
                let spec = self.planner.spec_of(&key);
                // What is mounted and has no driver is another volume by a second name, or none of ours.
                if spec.is_none() && view.is_mounted() {
                    continue;
                }
                let published = self.published.get(&key);
                volumes.push(VolumeStatus {
                    namespace: reference.namespace.clone(),
                    pod: reference.name.clone(),
                    driver: spec.map(|spec| spec.driver().to_owned()).unwrap_or_default(),
                    state: if view.is_mounted() { VolumeState::Mounted } else { VolumeState::Waiting },
                    placement: published.and_then(|it| it.placement).map(|it| it.as_str().to_owned()),
                    audiences: published
                        .map(|it| it.audiences.iter().map(|audience| audience.as_str().to_owned()).collect())
                        .unwrap_or_default(),
                    expires: published.and_then(|it| it.expires),
                    next_refresh: self.mounter.tokens.next_refresh_of(uid, &key.volume),
                    next_publish: self.planner.next_republish(&key),
                    problem: view.problem,
                    volume: key.volume,
                });
            }
        }
        volumes.sort_by(|a, b| (&a.namespace, &a.pod, &a.volume).cmp(&(&b.namespace, &b.pod, &b.volume)));
        let drivers = self.mounter.drivers.list().into_iter().map(|driver| DriverStatus {
            requires_republish: self
                .mounter
                .csi_drivers
                .get(&driver.name)
                .ok()
                .flatten()
                .map(|spec| spec.requires_republish == Some(true)),
            volumes: volumes.iter().filter(|volume| volume.driver == driver.name).count(),
            endpoint: driver.endpoint.to_string(),
            version: driver.version.to_string(),
            name: driver.name.clone(),
        });
        NodeStatus {
            node: self.config.node_name.clone(),
            drivers: drivers.collect(),
            tokens: self.mounter.tokens.len(),
            volumes,
        }
    }

    /// Counts an operation that has ended, and remembers what was delivered.
    pub(super) fn count(&mut self, finished: &Finished, since_seen: Option<Duration>, now: Timestamp) {
        let metrics = &self.config.metrics;
        let is_success = finished.result.is_ok();
        let operated =
            |driver: &str, operation| metrics.operated(driver, operation, is_success, finished.took);
        match &finished.action {
            Action::Publish { spec, remount } => {
                operated(spec.driver(), Operation::VolumeMount);
                let Some(published) = finished.published.as_ref().filter(|_| is_success) else { return };
                let lives: Vec<(Duration, Duration)> =
                    published.lives.iter().map(|life| (life.age(now), life.left(now))).collect();
                metrics.delivered(Delivered {
                    driver: spec.driver(),
                    placement: published.placement,
                    is_republish: *remount,
                    lives: &lives,
                });
                // Upstream does not count devices here.
                if let Some(since_seen) = since_seen.filter(|_| spec.mode() == VolumeMode::Filesystem) {
                    metrics.mounted(spec.driver(), since_seen);
                }
                self.published.insert(spec.key(), published.clone());
            }
            Action::Unpublish { key, published } => {
                operated(&published.driver, Operation::VolumeUnmount);
                if is_success {
                    self.published.remove(key);
                }
            }
            Action::Stage { spec, .. } => operated(spec.driver(), Operation::DeviceMount),
            Action::Unstage(device) => operated(&device.driver, Operation::DeviceUnmount),
            Action::ClosePod { pod, .. } => self.published.retain(|key, _| key.pod_uid != pod.uid),
            _ => {}
        }
    }
}
