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
mod pods;
mod republish;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use self::action::{Action, ClaimLookup, Done, Plan, PodIntent, Subject, VolumeIntent};
use self::agenda::Agenda;
pub use self::backoff::{Backoff, Due};
use self::found::Found;
pub use self::found::{FoundKey, FoundVolume};
use self::pods::PodEntry;
pub use self::republish::Republish;
pub use self::view::{Pending, VolumeView};
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

    fn volumes_of_pod<'a>(&'a self, uid: &'a str) -> impl Iterator<Item = (&'a VolumeKey, &'a Volume)> {
        let first = VolumeKey { pod_uid: uid.to_owned(), volume: String::new() };
        self.volumes.range(first..).take_while(move |(key, _)| key.pod_uid == uid)
    }

    fn is_wanted(&self, pod_uid: &str) -> bool {
        !self.draining && self.pods.get(pod_uid).is_some_and(|entry| entry.wanted)
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
