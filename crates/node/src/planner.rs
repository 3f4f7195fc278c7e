//! What must happen to each volume next: a pure state machine. Events go in (pods seen and gone, drivers' policies,
//! finished actions), [`Planner::plan`] hands out the actions to start now and says when to ask again.
//!
//! What holds at any time: a volume has at most one action running; a device is staged before its first publish and
//! unstaged after its last unpublish; what may be mounted is unpublished before it is forgotten; no volume waits for
//! another (upstream refreshes the tokens of a pod only while all its volumes are well), only for its own device.
//!
//! Planning looks at what has changed or is due ([`agenda::Agenda`]) and at nothing else.

mod action;
mod agenda;
mod backoff;
mod found;
mod outcome;
mod plan;
mod republish;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use self::action::{Action, ClaimLookup, Done, Plan, PodIntent, Subject, VolumeIntent, VolumeView};
use self::agenda::Agenda;
pub use self::backoff::{Backoff, Due};
use self::found::Found;
pub use self::found::{FoundKey, FoundVolume};
pub use self::republish::Republish;
use crate::cluster::PodReference;
use crate::dice::Dice;
use crate::failure::Class;
use crate::volume::{DeviceKey, VolumeKey, VolumeSpec};

/// The pace of the planner.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    /// What makes a volume due for a republish.
    pub republish: Republish,
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
            republish: Republish::PodSync,
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
    /// An earlier process of this node has left it, and it may be in use: made present anew when it is wanted, and never
    /// cleaned up after a refusal.
    Found,
    /// It is there.
    Present,
}

impl State {
    /// After a failed attempt to make it present.
    fn after_failure(self, class: Class) -> Self {
        match (self, class) {
            (Self::Absent, Class::Uncertain) => Self::Uncertain,
            // What is mounted stays mounted, whatever a republish says. And a refusal does not speak of what an earlier
            // attempt may have come to: upstream takes it for an answer to both, and leaves the mount behind.
            (state, _) => state,
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
    /// Any volume that uses it; a stage needs no more of it than the PersistentVolume. None while it is known from the
    /// disk alone.
    spec: Option<Arc<VolumeSpec>>,
    /// The volumes that lead to it.
    users: BTreeSet<VolumeKey>,
    state: State,
    running: bool,
    staging: bool,
    backoff: Backoff,
    problem: Option<String>,
}

#[derive(Debug)]
struct PodEntry {
    pod: PodReference,
    /// Whether the cluster has told of it, or only the disk.
    seen: bool,
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
    /// What an earlier process has published, as far as no volume above is known to be the same.
    found: BTreeMap<FoundKey, Found>,
    /// What is to be looked at.
    agenda: Agenda,
    /// Drivers whose CSIDriver says `requiresRepublish: true`.
    republishing: BTreeSet<String>,
    /// The longest time between publishes, where a CSIDriver sets it.
    republish_intervals: HashMap<String, Duration>,
    draining: bool,
}

impl Planner {
    /// A planner that knows of nothing yet.
    pub fn new(pace: Pace, dice: Dice) -> Self {
        let agenda = Agenda::new(pace.operations_per_driver);
        Self {
            pace,
            dice,
            pods: BTreeMap::new(),
            volumes: BTreeMap::new(),
            devices: BTreeMap::new(),
            found: BTreeMap::new(),
            agenda,
            republishing: BTreeSet::new(),
            republish_intervals: HashMap::new(),
            draining: false,
        }
    }

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

    /// A volume's spec has just become known: what follows for its device, and whether it was there before.
    fn became_known(&mut self, key: &VolumeKey, spec: &Arc<VolumeSpec>) {
        if let Some(device) = spec.device() {
            let entry = self.devices.entry(device.clone()).or_insert_with(|| Device::new(State::Absent));
            entry.users.insert(key.clone());
            entry.spec.get_or_insert_with(|| Arc::clone(spec));
            self.agenda.add(Subject::Device(device));
        }
        self.adopt_found(key, spec);
    }

    /// The CSIDriver was seen, or changed in a way that a publish would show, or is gone (`false`). Mounted volumes of a
    /// driver that wants republishing are published soon, so that an opt-in need not wait for a whole period.
    pub fn driver_changed(&mut self, driver: &str, requires_republish: bool, now: Timestamp) {
        if !requires_republish {
            self.republishing.remove(driver);
            return;
        }
        self.republishing.insert(driver.to_owned());
        for (key, volume) in &mut self.volumes {
            if volume.driver() == Some(driver) {
                let wait = self.pace.change_spread.mul_f64(self.dice.fraction());
                let soon = Due::after(now, wait);
                volume.outdated = volume.running == Some(Step::Publish);
                volume.republish = Some(match volume.republish {
                    Some(due) if due.is_before(&soon) => due,
                    _ => soon,
                });
                self.agenda.add(Subject::Volume(key.clone()));
            }
        }
    }

    /// The driver has come (back): what failed for want of it is tried at once.
    pub fn driver_registered(&mut self, driver: &str) {
        self.forgive_all(|of| of == driver);
    }

    /// From now on nothing is wanted: everything is unpublished and unstaged, and pods are left as they are.
    pub fn drain(&mut self) {
        self.draining = true;
        self.forgive_all(|_| true);
    }

    /// While draining: what failed is tried again at once.
    pub fn hurry(&mut self) {
        if self.draining {
            self.drain();
        }
    }

    /// What failed with these drivers is tried at once.
    fn forgive_all(&mut self, concerned: impl Fn(&str) -> bool) {
        for (key, volume) in &mut self.volumes {
            if concerned(volume.driver().unwrap_or_default()) {
                volume.backoff = Backoff::default();
                self.agenda.add(Subject::Volume(key.clone()));
            }
        }
        for (key, device) in &mut self.devices {
            if concerned(&key.driver) {
                device.backoff = Backoff::default();
                self.agenda.add(Subject::Device(key.clone()));
            }
        }
        for (key, found) in &mut self.found {
            if concerned(found.driver()) {
                found.backoff = Backoff::default();
                self.agenda.add(Subject::Found(key.clone()));
            }
        }
    }

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
        let users = self.devices.get(device).into_iter().flat_map(|device| &device.users);
        users
            .filter_map(|key| match &self.volumes.get(key)?.source {
                Source::Known(spec) => Some(Arc::clone(spec)),
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
}

impl PodEntry {
    /// A pod that the cluster has not told of yet.
    fn found(uid: String, now: Timestamp) -> Self {
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

impl Volume {
    fn new(source: Source) -> Self {
        Self {
            source,
            state: State::Absent,
            running: None,
            backoff: Backoff::default(),
            republish: None,
            outdated: false,
            problem: None,
        }
    }

    /// The driver, once it is known.
    fn driver(&self) -> Option<&str> {
        match &self.source {
            Source::Known(spec) => Some(spec.driver()),
            _ => None,
        }
    }

    /// The device, once it is known that there is one.
    fn device(&self) -> Option<DeviceKey> {
        match &self.source {
            Source::Known(spec) => spec.device(),
            _ => None,
        }
    }
}

impl Device {
    fn new(state: State) -> Self {
        Self {
            spec: None,
            users: BTreeSet::new(),
            state,
            running: false,
            staging: false,
            backoff: Backoff::default(),
            problem: None,
        }
    }
}
