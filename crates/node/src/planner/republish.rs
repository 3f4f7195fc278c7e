//! When a mounted volume is published again, for drivers that want it (`requiresRepublish`).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Due, Planner, Source, State, Step, Subject};
use crate::volume::{VolumeKey, VolumeSpec};

/// What makes a volume due for a republish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Republish {
    /// Time alone, as with a kubelet: each volume by itself every 60 to 90 s, whether anything has changed or not.
    #[default]
    PodSync,
    /// Something to tell: a new token, a changed Secret or CSIDriver, a driver that has registered anew, or the interval
    /// that the CSIDriver sets.
    OnChange,
}

impl Planner {
    /// The CSIDriver sets the longest time between publishes of its volumes; heeded with [`Republish::OnChange`].
    pub fn set_republish_interval(&mut self, driver: &str, interval: Option<Duration>) {
        match interval {
            Some(interval) => {
                self.republish_intervals.insert(driver.to_owned(), interval);
            }
            None => {
                self.republish_intervals.remove(driver);
            }
        }
    }

    /// Whether the volume is mounted, wanted, and its driver wants it published again and again.
    pub fn is_republished(&self, key: &VolumeKey) -> bool {
        let Some(volume) = self.volumes.get(key) else { return false };
        let is_driver_willing = volume.driver().is_some_and(|driver| self.republishing.contains(driver));
        is_driver_willing && volume.state == State::Present && self.is_wanted(&key.pod_uid)
    }

    /// The volume, resolved.
    pub fn spec_of(&self, key: &VolumeKey) -> Option<Arc<VolumeSpec>> {
        match &self.volumes.get(key)?.source {
            Source::Known(spec) => Some(Arc::clone(spec)),
            _ => None,
        }
    }

    /// All volumes of a pod.
    pub fn keys_of(&self, pod_uid: &str) -> Vec<VolumeKey> {
        self.volumes_of_pod(pod_uid).map(|(key, _)| key.clone()).collect()
    }

    /// When the volume is published again, if nothing happens before.
    pub fn next_republish(&self, key: &VolumeKey) -> Option<Timestamp> {
        let due = self.volumes.get(key)?.republish?;
        self.is_republished(key).then(|| due.at())
    }

    /// Something that a publish would bring has changed: the volume is published now. One whose publish runs is published
    /// once more after it. With [`Republish::PodSync`] its turn comes anyway, as with a kubelet.
    pub fn content_changed(&mut self, key: &VolumeKey, now: Timestamp) {
        if self.pace.republish == Republish::OnChange {
            self.publish_within(key, Duration::ZERO, now);
        }
    }

    /// What the volume has been given is worth nothing any more: it is published now, however patient the mode.
    pub fn content_invalid(&mut self, key: &VolumeKey, now: Timestamp) {
        self.publish_within(key, Duration::ZERO, now);
    }

    fn publish_within(&mut self, key: &VolumeKey, limit: Duration, now: Timestamp) {
        let wait = limit.mul_f64(self.dice.fraction());
        let Some(volume) = self.volumes.get_mut(key) else { return };
        let soon = Due::after(now, wait);
        volume.outdated |= volume.running == Some(Step::Publish);
        volume.republish = Some(match volume.republish {
            Some(due) if due.is_before(&soon) => due,
            _ => soon,
        });
        self.agenda.add(Subject::Volume(key.clone()));
    }

    /// A driver that comes back may have forgotten everything. With a kubelet it waits for its turn; with
    /// [`Republish::OnChange`] there may be none for long.
    pub fn driver_returned(&mut self, driver: &str, now: Timestamp) {
        if self.pace.republish == Republish::PodSync || !self.republishing.contains(driver) {
            return;
        }
        let volumes = self.volumes.iter();
        let keys: Vec<VolumeKey> = volumes
            .filter(|(_, volume)| volume.state == State::Present && volume.driver() == Some(driver))
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            self.publish_within(&key, self.pace.change_spread, now);
        }
    }

    /// A volume has just been published: when it is published again.
    pub(super) fn plan_republish(&mut self, key: &VolumeKey, is_outdated: bool, now: Timestamp) {
        let fraction = self.dice.fraction();
        let Some(volume) = self.volumes.get_mut(key) else { return };
        let interval = volume.driver().and_then(|driver| self.republish_intervals.get(driver));
        let wait = match (is_outdated, self.pace.republish) {
            (true, _) => Some(self.pace.change_spread.mul_f64(fraction)),
            (false, Republish::PodSync) => {
                Some(self.pace.republish_period.mul_f64(1.0 + self.pace.republish_jitter * fraction))
            }
            // Not longer than the driver says, and not all at once.
            (false, Republish::OnChange) => interval.map(|interval| interval.mul_f64(1.0 - 0.25 * fraction)),
        };
        volume.republish = wait.map(|wait| Due::after(now, wait));
    }
}
