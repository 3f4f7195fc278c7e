//! What must happen to each volume next: a pure state machine. Events go in (pods seen and gone, drivers' policies,
//! finished actions), [`Planner::plan`] hands out the actions to start now and says when to ask again.
//!
//! What holds at any time: a volume has at most one action running; a device is staged before its first publish and
//! unstaged after its last unpublish; what may be mounted is unpublished before it is forgotten; no volume waits for
//! another (upstream refreshes the tokens of a pod only while all its volumes are well), only for its own device.

mod action;
mod backoff;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use self::action::{Action, ClaimLookup, Done, Plan, PodIntent, Subject, VolumeIntent, VolumeView};
pub use self::backoff::{Backoff, Due};
use crate::cluster::PodReference;
use crate::dice::Dice;
use crate::failure::{Class, Failure};
use crate::volume::{DeviceKey, VolumeKey, VolumeSpec};

/// The pace of the planner.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    /// Least time between two publishes of a volume that wants republishing. A pod sync comes each 60 s.
    pub republish_period: Duration,
    /// How much longer it may take, as a fraction of the period; upstream draws up to 0.5 anew each time.
    pub republish_jitter: f64,
    /// After a change of a CSIDriver, its republishing volumes are republished within this time, spread evenly.
    pub change_spread: Duration,
    /// First wait after a failed operation (500 ms).
    pub backoff_first: Duration,
    /// Longest wait between failed operations (2 min 2 s).
    pub backoff_longest: Duration,
    /// Most operations of one driver at a time; a driver that hangs holds up nobody else's volumes.
    pub operations_per_driver: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            republish_period: Duration::from_secs(60),
            republish_jitter: 0.5,
            change_spread: Duration::from_secs(5),
            backoff_first: Duration::from_millis(500),
            backoff_longest: Duration::from_secs(122),
            operations_per_driver: 64,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is there.
    Absent,
    /// It may be there; it is treated as there when it must go and as absent when it is wanted.
    Uncertain,
    /// It is there.
    Present,
}

impl State {
    /// After a failed attempt to make it present.
    fn after_failure(self, class: Class) -> Self {
        match (self, class) {
            // What is mounted stays mounted, whatever a republish says.
            (Self::Present, _) => Self::Present,
            (_, Class::Final) => Self::Absent,
            (_, Class::Uncertain) => Self::Uncertain,
            (state, Class::Transient) => state,
        }
    }
}

#[derive(Debug)]
enum Source {
    Claim(Arc<ClaimLookup>),
    Known(Arc<VolumeSpec>),
    /// Another volume of the same pod leads to the same PersistentVolume: that one is mounted for both.
    SameAs(VolumeKey),
    NotCsi,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Resolve,
    Publish,
    Unpublish,
}

#[derive(Debug)]
struct Volume {
    source: Source,
    state: State,
    running: Option<Step>,
    backoff: Backoff,
    /// When to publish again, for drivers that want it.
    republish: Option<Due>,
    /// The CSIDriver has changed since the publish that runs has begun, which may not have seen it.
    outdated: bool,
    problem: Option<String>,
}

#[derive(Debug)]
struct Device {
    /// Any volume that uses it; a stage needs no more of it than the PersistentVolume.
    spec: Arc<VolumeSpec>,
    state: State,
    running: bool,
    staging: bool,
    backoff: Backoff,
    problem: Option<String>,
}

#[derive(Debug)]
struct PodEntry {
    pod: PodReference,
    wanted: bool,
    terminating: bool,
    /// The pod object is gone: forget the entry once its volumes are.
    gone: bool,
    closing: bool,
    closed: bool,
    backoff: Backoff,
    first_seen: Timestamp,
}

/// The state machine.
#[derive(Debug)]
pub struct Planner {
    pace: Pace,
    dice: Dice,
    pods: BTreeMap<String, PodEntry>,
    volumes: BTreeMap<VolumeKey, Volume>,
    devices: BTreeMap<DeviceKey, Device>,
    /// Drivers whose CSIDriver says `requiresRepublish: true`.
    republishing: BTreeSet<String>,
    draining: bool,
}

impl Planner {
    /// A planner that knows of nothing yet.
    pub fn new(pace: Pace, dice: Dice) -> Self {
        Self {
            pace,
            dice,
            pods: BTreeMap::new(),
            volumes: BTreeMap::new(),
            devices: BTreeMap::new(),
            republishing: BTreeSet::new(),
            draining: false,
        }
    }

    /// A pod of this node was listed, created or changed.
    pub fn pod_seen(&mut self, intent: PodIntent, now: Timestamp) {
        let entry = self.pods.entry(intent.pod.uid.clone()).or_insert_with(|| PodEntry {
            pod: intent.pod.clone(),
            wanted: false,
            terminating: false,
            gone: false,
            closing: false,
            closed: false,
            backoff: Backoff::default(),
            first_seen: now,
        });
        // A pod that has once begun to end does not come back.
        let ending = entry.terminating || entry.gone;
        entry.terminating |= intent.terminating;
        let was_wanted = entry.wanted;
        entry.wanted = intent.wanted && !ending && !intent.terminating;
        if !entry.wanted {
            if was_wanted {
                self.forgive(&intent.pod.uid);
            }
            return;
        }
        for volume in intent.volumes {
            let (name, source) = match volume {
                VolumeIntent::Known(spec) => (spec.volume.clone(), Source::Known(spec)),
                VolumeIntent::Claim(lookup) => (lookup.volume.clone(), Source::Claim(lookup)),
            };
            let key = VolumeKey { pod_uid: intent.pod.uid.clone(), volume: name };
            self.volumes.entry(key).or_insert_with(|| Volume {
                source,
                state: State::Absent,
                running: None,
                backoff: Backoff::default(),
                republish: None,
                outdated: false,
                problem: None,
            });
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
        for (key, volume) in &mut self.volumes {
            if key.pod_uid == pod_uid {
                volume.backoff = Backoff::default();
            }
        }
    }

    /// The CSIDriver was seen, or changed in a way that a publish would show, or is gone (`false`). Mounted volumes of a
    /// driver that wants republishing are published soon, so that an opt-in need not wait for a whole period.
    pub fn driver_changed(&mut self, driver: &str, requires_republish: bool, now: Timestamp) {
        if !requires_republish {
            self.republishing.remove(driver);
            return;
        }
        self.republishing.insert(driver.to_owned());
        for volume in self.volumes.values_mut() {
            if let Source::Known(spec) = &volume.source
                && spec.driver() == driver
            {
                let wait = self.pace.change_spread.mul_f64(self.dice.fraction());
                let soon = Due::after(now, wait);
                volume.outdated = volume.running == Some(Step::Publish);
                volume.republish = Some(match volume.republish {
                    Some(due) if due.is_before(&soon) => due,
                    _ => soon,
                });
            }
        }
    }

    /// The driver has come (back): what failed for want of it is tried at once.
    pub fn driver_registered(&mut self, driver: &str) {
        for volume in self.volumes.values_mut() {
            if let Source::Known(spec) = &volume.source
                && spec.driver() == driver
            {
                volume.backoff = Backoff::default();
            }
        }
        for (key, device) in &mut self.devices {
            if key.driver == driver {
                device.backoff = Backoff::default();
            }
        }
    }

    /// From now on nothing is wanted: everything is unpublished and unstaged, and pods are left as they are.
    pub fn drain(&mut self) {
        self.draining = true;
        for volume in self.volumes.values_mut() {
            volume.backoff = Backoff::default();
        }
        for device in self.devices.values_mut() {
            device.backoff = Backoff::default();
        }
    }

    /// While draining: what failed is tried again at once.
    pub fn hurry(&mut self) {
        if self.draining {
            self.drain();
        }
    }

    /// How many volumes may be mounted, those included that are being published.
    pub fn mounted(&self) -> usize {
        let may_be =
            |volume: &&Volume| volume.state != State::Absent || volume.running == Some(Step::Publish);
        self.volumes.values().filter(may_be).count()
    }

    /// How many devices may be staged, those included that are being staged.
    pub fn staged(&self) -> usize {
        let may_be = |device: &&Device| device.state != State::Absent || (device.running && device.staging);
        self.devices.values().filter(may_be).count()
    }

    /// Whether no volume and no device is left.
    pub fn is_empty(&self) -> bool {
        self.volumes.is_empty() && self.devices.is_empty()
    }

    /// When this node first saw the pod.
    pub fn first_seen(&self, pod_uid: &str) -> Option<Timestamp> {
        self.pods.get(pod_uid).map(|entry| entry.first_seen)
    }

    /// How the volumes of a pod stand, by name.
    pub fn volumes_of(&self, pod_uid: &str) -> Vec<VolumeView> {
        self.volumes_of_pod(pod_uid)
            .map(|(key, volume)| {
                let (state, problem) = match &volume.source {
                    Source::NotCsi => (State::Present, None),
                    Source::SameAs(other) => match self.volumes.get(other) {
                        Some(other) => (other.state, other.problem.clone()),
                        None => (State::Absent, None),
                    },
                    Source::Known(spec) => {
                        let device = spec.device().and_then(|device| self.devices.get(&device));
                        let problem = device.and_then(|device| device.problem.clone());
                        (volume.state, volume.problem.clone().or(problem))
                    }
                    Source::Claim(_) => (State::Absent, volume.problem.clone()),
                };
                VolumeView { volume: key.volume.clone(), mounted: state == State::Present, problem }
            })
            .collect()
    }

    /// The pods whose volumes use a device, for reporting its failures.
    pub fn users_of(&self, device: &DeviceKey) -> Vec<Arc<VolumeSpec>> {
        self.volumes
            .values()
            .filter_map(|volume| match &volume.source {
                Source::Known(spec) if spec.device().as_ref() == Some(device) => Some(Arc::clone(spec)),
                _ => None,
            })
            .collect()
    }

    fn volumes_of_pod<'a>(&'a self, uid: &'a str) -> impl Iterator<Item = (&'a VolumeKey, &'a Volume)> {
        let first = VolumeKey { pod_uid: uid.to_owned(), volume: String::new() };
        self.volumes.range(first..).take_while(move |(key, _)| key.pod_uid == uid)
    }

    fn is_wanted(&self, pod_uid: &str) -> bool {
        !self.draining && self.pods.get(pod_uid).is_some_and(|entry| entry.wanted)
    }

    /// An action has ended.
    ///
    /// # Panics
    /// If no such action is running: the caller reports each action exactly once.
    pub fn finished(&mut self, subject: &Subject, result: Result<Done, Failure>, now: Timestamp) {
        match subject {
            Subject::Volume(key) => self.volume_finished(key, result, now),
            Subject::Device(key) => {
                let device = self.devices.get_mut(key).expect("a device with a running action is kept");
                assert!(device.running, "device {key} has no action running");
                device.running = false;
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
    }

    fn volume_finished(&mut self, key: &VolumeKey, result: Result<Done, Failure>, now: Timestamp) {
        let volume = self.volumes.get_mut(key).expect("a volume with a running action is kept");
        let step = volume.running.take().expect("a volume's action is reported once");
        match (step, result) {
            (Step::Resolve, Ok(Done::Resolved(spec))) => self.resolved(key, spec, now),
            (Step::Resolve, Ok(_)) => {
                volume.source = Source::NotCsi;
                volume.problem = None;
            }
            (Step::Publish, Ok(_)) => {
                volume.state = State::Present;
                volume.backoff = Backoff::default();
                volume.problem = None;
                let wait = if std::mem::take(&mut volume.outdated) {
                    self.pace.change_spread.mul_f64(self.dice.fraction())
                } else {
                    let stretch = 1.0 + self.pace.republish_jitter * self.dice.fraction();
                    self.pace.republish_period.mul_f64(stretch)
                };
                volume.republish = Some(Due::after(now, wait));
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
    fn resolved(&mut self, key: &VolumeKey, spec: Arc<VolumeSpec>, now: Timestamp) {
        let neighbour = self.volumes_of_pod(&key.pod_uid).find_map(|(other, volume)| match &volume.source {
            Source::Known(known) if other != key && known.spec_name == spec.spec_name => {
                Some((other.clone(), known.device().is_some() && known.device() == spec.device()))
            }
            _ => None,
        });
        let volume = self.volumes.get_mut(key).expect("the caller has just looked it up");
        match neighbour {
            None => volume.source = Source::Known(spec),
            Some((other, true)) => volume.source = Source::SameAs(other),
            Some((other, false)) => {
                volume.backoff.failed(now, &self.pace);
                volume.problem = Some(format!(
                    "PersistentVolume {} and the inline volume {} of the same pod would share a directory: rename one",
                    spec.spec_name, other.volume
                ));
                return;
            }
        }
        volume.backoff = Backoff::default();
        volume.problem = None;
    }
}
