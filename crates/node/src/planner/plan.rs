//! The decisions: for a volume, a device, what was found, or a pod, what is to be started now, or until when to wait.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Action, Device, FoundKey, Plan, Planner, Source, State, Step, Subject, Volume};
use crate::volume::{DeviceKey, VolumeKey};

enum Decision {
    Nothing,
    Start(Action),
    Wait(Timestamp),
    Forget,
}

impl Planner {
    /// Decides what to start now. What it hands out counts as running until [`Planner::finished`].
    pub fn plan(&mut self, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        self.agenda.advance(now);
        while let Some(subject) = self.agenda.next() {
            match self.decide(&subject, now) {
                Decision::Nothing => {}
                Decision::Wait(until) => self.agenda.add_later(until, subject),
                Decision::Forget => self.forget(&subject),
                Decision::Start(action) => {
                    // What only asks the cluster, or cleans up, takes nobody's place.
                    let place = matches!(action, Action::ClosePod { .. })
                        || self.agenda.take_place(action.driver(), &subject);
                    if place {
                        self.started(&subject, &action);
                        plan.actions.push(action);
                    }
                }
            }
        }
        plan.wake = self.agenda.wake();
        plan
    }

    fn decide(&self, subject: &Subject, now: Timestamp) -> Decision {
        match subject {
            Subject::Volume(key) => match self.volumes.get(key) {
                Some(volume) => self.decide_volume(key, volume, now),
                None => Decision::Nothing,
            },
            Subject::Device(key) => match self.devices.get(key) {
                Some(device) => self.decide_device(key, device, now),
                None => Decision::Nothing,
            },
            Subject::Found(key) => self.decide_found(key, now),
            Subject::Pod(uid) => self.decide_pod(uid, now),
        }
    }

    fn decide_volume(&self, key: &VolumeKey, volume: &Volume, now: Timestamp) -> Decision {
        if volume.running.is_some() {
            return Decision::Nothing;
        }
        let wanted = self.is_wanted(&key.pod_uid);
        if !wanted && volume.state == State::Absent {
            return Decision::Forget;
        }
        if let Some(until) = volume.backoff.waits_until(now) {
            return Decision::Wait(until);
        }
        match &volume.source {
            Source::NotCsi | Source::SameAs(_) => Decision::Nothing,
            Source::Claim(lookup) => Decision::Start(Action::Resolve(Arc::clone(lookup))),
            Source::Known(spec) if !wanted => {
                Decision::Start(Action::Unpublish { key: key.clone(), published: spec.published() })
            }
            Source::Known(spec) if volume.state == State::Present => {
                let Some(due) = volume.republish.filter(|_| self.republishing.contains(spec.driver())) else {
                    return Decision::Nothing;
                };
                match due.waits_until(now) {
                    Some(until) => Decision::Wait(until),
                    None => Decision::Start(Action::Publish { spec: Arc::clone(spec), remount: true }),
                }
            }
            Source::Known(spec) => {
                let staged = spec.device().is_none_or(|device| {
                    self.devices
                        .get(&device)
                        .is_some_and(|device| device.state == State::Present && !device.running)
                });
                if staged && !self.is_occupied(spec) {
                    let remount = volume.state == State::Found;
                    Decision::Start(Action::Publish { spec: Arc::clone(spec), remount })
                } else {
                    Decision::Nothing
                }
            }
        }
    }

    fn decide_device(&self, key: &DeviceKey, device: &Device, now: Timestamp) -> Decision {
        if device.running {
            return Decision::Nothing;
        }
        // Wanted: to be staged. Held: not to be unstaged yet.
        let wanted = device.users.iter().any(|user| self.is_wanted(&user.pod_uid));
        let held = || {
            let volumes = device.users.iter().filter_map(|user| self.volumes.get(user));
            let holds = |volume: &Volume| volume.state != State::Absent || volume.running.is_some();
            volumes.into_iter().any(holds) || self.found_holds(key)
        };
        let action = match (wanted, device.state) {
            (true, State::Present) => return Decision::Nothing,
            (true, state) => match &device.spec {
                Some(spec) => Action::Stage { spec: Arc::clone(spec), again: state == State::Found },
                None => return Decision::Nothing,
            },
            (false, _) if held() => return Decision::Nothing,
            (false, State::Absent) => return Decision::Forget,
            (false, _) => Action::Unstage(key.clone()),
        };
        match device.backoff.waits_until(now) {
            Some(until) => Decision::Wait(until),
            None => Decision::Start(action),
        }
    }

    fn decide_found(&self, key: &FoundKey, now: Timestamp) -> Decision {
        let Some(found) = self.found.get(key).filter(|found| !found.running) else {
            return Decision::Nothing;
        };
        if !self.is_left_over(key) {
            return Decision::Nothing;
        }
        match found.backoff.waits_until(now) {
            Some(until) => Decision::Wait(until),
            None => Decision::Start(Action::Reclaim(found.volume.published.clone())),
        }
    }

    fn decide_pod(&self, uid: &str, now: Timestamp) -> Decision {
        let Some(entry) = self.pods.get(uid).filter(|entry| !entry.closing) else { return Decision::Nothing };
        let occupied = self.volumes_of_pod(uid).next().is_some() || self.found_of_pod(uid).next().is_some();
        if occupied {
            return Decision::Nothing;
        }
        if entry.closed {
            return if entry.gone { Decision::Forget } else { Decision::Nothing };
        }
        if !entry.gone && (!entry.terminating || self.draining) {
            return Decision::Nothing;
        }
        match entry.backoff.waits_until(now) {
            Some(until) => Decision::Wait(until),
            None => {
                let finish_deletion = !entry.gone;
                Decision::Start(Action::ClosePod { pod: entry.pod.clone(), finish_deletion })
            }
        }
    }

    fn started(&mut self, subject: &Subject, action: &Action) {
        match subject {
            Subject::Volume(key) => {
                if let Some(volume) = self.volumes.get_mut(key) {
                    volume.outdated = false;
                    volume.running = Some(match action {
                        Action::Resolve(_) => Step::Resolve,
                        Action::Unpublish { .. } => Step::Unpublish,
                        _ => Step::Publish,
                    });
                }
            }
            Subject::Device(key) => {
                if let Some(device) = self.devices.get_mut(key) {
                    device.running = true;
                    device.staging = matches!(action, Action::Stage { .. });
                }
            }
            Subject::Found(key) => {
                if let Some(found) = self.found.get_mut(key) {
                    found.running = true;
                }
            }
            Subject::Pod(uid) => {
                if let Some(entry) = self.pods.get_mut(uid) {
                    entry.closing = true;
                }
            }
        }
    }

    fn forget(&mut self, subject: &Subject) {
        match subject {
            Subject::Volume(key) => {
                let Some(volume) = self.volumes.remove(key) else { return };
                if let Some(device) = volume.device() {
                    if let Some(entry) = self.devices.get_mut(&device) {
                        entry.users.remove(key);
                    }
                    self.agenda.add(Subject::Device(device));
                }
                self.agenda.add(Subject::Pod(key.pod_uid.clone()));
            }
            Subject::Device(key) => {
                self.devices.remove(key);
            }
            Subject::Pod(uid) => {
                self.pods.remove(uid);
            }
            // It goes with its unpublish.
            Subject::Found(_) => {}
        }
    }
}
