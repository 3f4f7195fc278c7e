//! The decisions: for each volume, device and pod, what is to be started now, or until when to wait.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::{Action, Backoff, Device, Plan, Planner, Source, State, Step, Volume};
use crate::volume::{DeviceKey, VolumeKey, VolumeSpec};

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
        self.add_devices();
        self.plan_volumes(now, &mut plan);
        self.plan_devices(now, &mut plan);
        self.plan_pods(now, &mut plan);
        plan
    }

    /// Every persistent volume that is wanted has its device.
    fn add_devices(&mut self) {
        let missing: Vec<(DeviceKey, Arc<VolumeSpec>)> = self
            .volumes
            .iter()
            .filter(|(key, _)| self.is_wanted(&key.pod_uid))
            .filter_map(|(_, volume)| match &volume.source {
                Source::Known(spec) => spec.device().map(|device| (device, Arc::clone(spec))),
                _ => None,
            })
            .filter(|(device, _)| !self.devices.contains_key(device))
            .collect();
        for (key, spec) in missing {
            self.devices.entry(key).or_insert(Device {
                spec,
                state: State::Absent,
                running: false,
                staging: false,
                backoff: Backoff::default(),
                problem: None,
            });
        }
    }

    fn plan_volumes(&mut self, now: Timestamp, plan: &mut Plan) {
        let mut running = self.running_by_driver();
        let decisions: Vec<(VolumeKey, Decision)> = self
            .volumes
            .iter()
            .map(|(key, volume)| (key.clone(), self.decide(key, volume, now)))
            .filter(|(_, decision)| !matches!(decision, Decision::Nothing))
            .collect();
        for (key, decision) in decisions {
            match decision {
                Decision::Nothing => {}
                Decision::Wait(until) => plan.wake = earlier(plan.wake, until),
                Decision::Forget => {
                    self.volumes.remove(&key);
                }
                Decision::Start(action) => {
                    if !take_slot(&mut running, action.driver(), self.pace.operations_per_driver) {
                        continue;
                    }
                    if let Some(volume) = self.volumes.get_mut(&key) {
                        volume.outdated = false;
                        volume.running = Some(match &action {
                            Action::Resolve(_) => Step::Resolve,
                            Action::Unpublish { .. } => Step::Unpublish,
                            _ => Step::Publish,
                        });
                    }
                    plan.actions.push(action);
                }
            }
        }
    }

    fn decide(&self, key: &VolumeKey, volume: &Volume, now: Timestamp) -> Decision {
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
                if staged {
                    Decision::Start(Action::Publish { spec: Arc::clone(spec), remount: false })
                } else {
                    Decision::Nothing
                }
            }
        }
    }

    fn plan_devices(&mut self, now: Timestamp, plan: &mut Plan) {
        // Wanted: to be staged. Held: not to be unstaged yet.
        let mut wanted = HashSet::new();
        let mut held = HashSet::new();
        for (key, volume) in &self.volumes {
            if let Source::Known(spec) = &volume.source
                && let Some(device) = spec.device()
            {
                if self.is_wanted(&key.pod_uid) {
                    wanted.insert(device);
                } else if volume.state != State::Absent || volume.running.is_some() {
                    held.insert(device);
                }
            }
        }
        let mut running = self.running_by_driver();
        let limit = self.pace.operations_per_driver;
        self.devices.retain(|key, device| {
            if device.running {
                return true;
            }
            let wanted = wanted.contains(key);
            if !wanted && !held.contains(key) && device.state == State::Absent {
                return false;
            }
            let action = match (wanted, device.state) {
                (true, State::Absent | State::Uncertain) => Action::Stage(Arc::clone(&device.spec)),
                (false, State::Present | State::Uncertain) if !held.contains(key) => {
                    Action::Unstage(key.clone())
                }
                _ => return true,
            };
            if let Some(until) = device.backoff.waits_until(now) {
                plan.wake = earlier(plan.wake, until);
            } else if take_slot(&mut running, &key.driver, limit) {
                device.running = true;
                device.staging = wanted;
                plan.actions.push(action);
            }
            true
        });
    }

    fn plan_pods(&mut self, now: Timestamp, plan: &mut Plan) {
        let occupied: HashSet<String> = self.volumes.keys().map(|key| key.pod_uid.clone()).collect();
        let draining = self.draining;
        self.pods.retain(|uid, entry| {
            if entry.closing || occupied.contains(uid) {
                return true;
            }
            if entry.closed {
                return !entry.gone;
            }
            if entry.gone || (entry.terminating && !draining) {
                match entry.backoff.waits_until(now) {
                    Some(until) => plan.wake = earlier(plan.wake, until),
                    None => {
                        entry.closing = true;
                        let finish_deletion = !entry.gone;
                        plan.actions.push(Action::ClosePod { pod: entry.pod.clone(), finish_deletion });
                    }
                }
            }
            true
        });
    }

    fn running_by_driver(&self) -> HashMap<String, usize> {
        let mut running: HashMap<String, usize> = HashMap::new();
        let volumes = self.volumes.values().filter(|volume| volume.running.is_some()).map(|volume| {
            match &volume.source {
                Source::Known(spec) => spec.driver(),
                _ => "",
            }
        });
        let devices =
            self.devices.iter().filter(|(_, device)| device.running).map(|(key, _)| key.driver.as_str());
        for driver in volumes.chain(devices) {
            match running.get_mut(driver) {
                Some(count) => *count += 1,
                None => {
                    running.insert(driver.to_owned(), 1);
                }
            }
        }
        running
    }
}

fn take_slot(running: &mut HashMap<String, usize>, driver: &str, limit: usize) -> bool {
    let count = running.entry(driver.to_owned()).or_default();
    let free = *count < limit;
    *count += usize::from(free);
    free
}

fn earlier(wake: Option<Timestamp>, at: Timestamp) -> Option<Timestamp> {
    Some(wake.map_or(at, |wake| wake.min(at)))
}
