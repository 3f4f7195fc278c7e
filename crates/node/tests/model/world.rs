//! The world around a planner: cluster, drivers, disk, clock, and what must hold in it.

mod cluster;
mod machine;
mod operations;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokenward_kube_rules::csi_driver::{CsiDriverSpec, TokenRequest as WantedToken};
use tokenward_kube_rules::{FeatureGates, placement};
use tokenward_node::failure::Failure;
use tokenward_node::mounter::fetch_tokens::token_requests;
use tokenward_node::objects::{InlineSource, PersistentSource};
use tokenward_node::planner::{
    Action, ClaimLookup, Done, FoundKey, FoundVolume, Planner, PodIntent, VolumeIntent, VolumeView,
};
use tokenward_node::request::{Capabilities, PublishParts, publish_request};
use tokenward_node::token_manager::cache::{Asked, Holder, TokenCache};
use tokenward_node::volume::{
    DeviceKey, PersistentParts, PublishedVolume, VolumeMode, VolumeSecurity, VolumeSource, VolumeSpec,
};
use tokenward_node::{
    ClusterError, Dice, ErrorReason, GrantedToken, Pace, PodReference, Republish, TokenRequest,
};
use tokenward_tokens::{TOKENS_KEY, Token, TokenEntry, TokenMap};

const DRIVERS: [&str; 3] = ["d0", "d1", "d2"];

/// PersistentVolumes that pods may share; each belongs to one driver.
const SHARED: usize = 3;

/// Which of them is a raw device.
const BLOCK: usize = 2;

const MOST_PODS: usize = 6;

/// How long after trouble tokens may be older than the refresh rule has them: the longest wait after failures, and a period.
const RECOVERY: SignedDuration = SignedDuration::from_secs(240);

/// A pod in the cluster.
#[derive(Clone)]
struct Pod {
    reference: PodReference,
    terminating: bool,
    volumes: Vec<Kind>,
}

/// A volume of a pod, by what it is; its name is its place in the pod.
#[derive(Clone, Copy)]
enum Kind {
    Inline(usize),
    Shared(usize),
    NotCsi,
}

/// A driver and what it has done.
#[derive(Default)]
struct Driver {
    up: bool,
    mounts: BTreeMap<FoundKey, Mount>,
    staged: BTreeSet<DeviceKey>,
}

/// A mount: the truth.
struct Mount {
    device: Option<DeviceKey>,
    /// When the last publish was, in time that has really passed.
    published: SignedDuration,
    /// When the first of its tokens expires, if it was given any.
    expires: Option<Timestamp>,
}

pub(crate) struct World {
    chance: Dice,
    now: Timestamp,
    /// Time that has really passed, however the clock was set.
    elapsed: SignedDuration,
    mode: Republish,
    // The process, lost with a kill.
    planner: Planner,
    cache: TokenCache,
    listed: bool,
    running: Vec<Action>,
    // The cluster.
    pods: BTreeMap<String, Pod>,
    next_pod: usize,
    csi_drivers: BTreeMap<&'static str, CsiDriverSpec>,
    api_up: bool,
    /// When there was last an outage or a jump of the clock.
    trouble: Timestamp,
    // The machine.
    drivers: BTreeMap<&'static str, Driver>,
    records: BTreeMap<FoundKey, FoundVolume>,
    device_records: BTreeSet<DeviceKey>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Dice::seeded(seed);
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mode = if seed.is_multiple_of(2) { Republish::PodSync } else { Republish::OnChange };
        let mut world = Self {
            elapsed: SignedDuration::ZERO,
            mode,
            planner: planner(mode, &mut chance),
            cache: TokenCache::new(chance.split()),
            listed: false,
            running: Vec::new(),
            pods: BTreeMap::new(),
            next_pod: 0,
            csi_drivers: BTreeMap::new(),
            api_up: true,
            trouble: now,
            drivers: DRIVERS
                .into_iter()
                .map(|name| (name, Driver { up: true, ..Driver::default() }))
                .collect(),
            records: BTreeMap::new(),
            device_records: BTreeSet::new(),
            chance,
            now,
        };
        for driver in DRIVERS {
            world.change_csi_driver(driver);
        }
        world.list();
        world
    }

    /// One thing happens.
    pub(crate) fn step(&mut self) {
        match self.below(100) {
            0..12 => self.create_pod(),
            12..18 => self.terminate_pod(),
            18..20 => self.delete_pod(),
            20..24 => {
                let driver = DRIVERS[self.below(DRIVERS.len())];
                self.change_csi_driver(driver);
            }
            24..27 => self.toggle_driver(),
            27..30 => self.toggle_api(),
            30..32 => self.kill(),
            32..33 => self.reboot(),
            33..34 => self.jump(),
            34..54 => {
                let seconds = i64::try_from(self.below(40)).unwrap();
                self.pass(SignedDuration::from_secs(seconds));
                self.refresh_tokens();
            }
            _ => self.finish_one(),
        }
        self.plan();
        self.check();
    }

    /// All is well for a while: everything that is wanted gets mounted, all else goes, tokens are kept fresh.
    pub(crate) fn calm_down(&mut self) {
        self.recover();
        self.settle();
        let wanted = self.wanted();
        let mounted: BTreeSet<FoundKey> =
            self.drivers.values().flat_map(|driver| driver.mounts.keys().cloned()).collect();
        assert_eq!(mounted, wanted, "what is mounted is what is wanted");
        assert_eq!(self.records.keys().cloned().collect::<BTreeSet<_>>(), wanted, "as the records say");
        let devices: BTreeSet<DeviceKey> =
            self.records.values().filter_map(|record| record.device.clone()).collect();
        let staged: BTreeSet<DeviceKey> =
            self.drivers.values().flat_map(|driver| driver.staged.iter().cloned()).collect();
        assert_eq!(
            (&staged, &self.device_records),
            (&devices, &devices),
            "a device is staged while it is used"
        );
        for pod in self.pods.values() {
            let views = self.planner.volumes_of(&pod.reference.uid);
            assert!(views.iter().all(VolumeView::is_mounted), "{views:?}");
        }
        // Nobody waits longer than a period for a new token, and a clock that is set back changes nothing about that.
        if self.below(2) == 0 {
            let minutes = i64::try_from(self.below(600)).unwrap();
            self.now -= SignedDuration::from_mins(minutes);
            self.trouble = self.now;
        }
        for _ in 0..20 {
            self.pass(SignedDuration::from_secs(30));
            self.refresh_tokens();
            self.settle();
            for (driver, spec) in &self.csi_drivers {
                if spec.requires_republish != Some(true) {
                    continue;
                }
                for (key, mount) in &self.drivers[driver].mounts {
                    let age = self.elapsed - mount.published;
                    let in_time = age <= SignedDuration::from_secs(91) || self.mode == Republish::OnChange;
                    assert!(in_time, "{key} was not republished for {age}");
                    let expired = mount.expires.is_some_and(|expires| expires < self.now);
                    assert!(!expired, "{key} has a dead token");
                }
            }
        }
    }

    /// All pods go, and everything with them.
    pub(crate) fn end(&mut self) {
        self.recover();
        let all: Vec<String> = self.pods.keys().cloned().collect();
        for uid in all {
            self.pods.remove(&uid);
            self.planner.pod_gone(&uid);
        }
        self.settle();
        assert!(self.planner.is_empty() && self.records.is_empty() && self.device_records.is_empty());
        for driver in self.drivers.values() {
            assert!(driver.mounts.is_empty() && driver.staged.is_empty(), "a mount is left");
        }
    }

    fn recover(&mut self) {
        if !self.api_up {
            self.toggle_api();
        }
        for driver in DRIVERS {
            // Inline volumes need it.
            if !self.csi_drivers.contains_key(driver) {
                self.change_csi_driver(driver);
            }
            if !self.drivers[driver].up {
                self.bring_up(driver);
            }
        }
    }

    /// Lets everything succeed until nothing is left to do now.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            self.plan();
            if let Some(action) = self.running.pop() {
                self.finish(&action, true);
                continue;
            }
            // Retries of what failed before are waited for, republishes are not.
            let until = self.planner.plan(self.now).wake.filter(|_| !self.is_settled());
            match until {
                Some(wake) => {
                    // However the clock was set: nobody waits longer than the longest wait after failures.
                    let wait = wake.duration_since(self.now);
                    assert!(wait <= SignedDuration::from_secs(150), "what is to be done waits for {wait}");
                    self.pass(wait.max(SignedDuration::ZERO));
                }
                None if self.is_settled() => return,
                None => panic!("nothing to do, and yet not settled"),
            }
        }
        panic!("the world does not settle: {:?}", self.running);
    }

    fn is_settled(&self) -> bool {
        let mounted: usize = self.drivers.values().map(|driver| driver.mounts.len()).sum();
        let ended = self.pods.values().any(|pod| pod.terminating);
        let settled = |pod: &Pod| {
            let views = self.planner.volumes_of(&pod.reference.uid);
            views.len() == pod.volumes.len() && views.iter().all(VolumeView::is_mounted)
        };
        !ended
            && mounted == self.wanted().len()
            && self.records.len() == mounted
            && self.pods.values().all(settled)
            && self.planner.staged()
                == self
                    .records
                    .values()
                    .filter_map(|record| record.device.as_ref())
                    .collect::<BTreeSet<_>>()
                    .len()
            && self.device_records.len() == self.planner.staged()
    }

    /// What should be mounted.
    fn wanted(&self) -> BTreeSet<FoundKey> {
        let pods = self.pods.values().filter(|pod| !pod.terminating);
        pods.flat_map(|pod| {
            let specs = (0..pod.volumes.len()).filter_map(|number| spec(pod, number));
            specs.map(|spec| place(&spec.published()))
        })
        .collect()
    }

    /// What holds after each step.
    fn check(&self) {
        let mut count = 0;
        for driver in self.drivers.values() {
            for key in driver.mounts.keys() {
                assert!(self.records.contains_key(key), "{key} is mounted without a record");
                count += 1;
            }
            for device in &driver.staged {
                assert!(self.device_records.contains(device), "{device} is staged without a record");
            }
        }
        if self.listed {
            assert!(self.planner.mounted() >= count, "the planner has lost a mount");
            let staged: usize = self.drivers.values().map(|driver| driver.staged.len()).sum();
            assert!(self.planner.staged() >= staged, "the planner has lost a staged device");
        }
    }

    // Chance.

    fn below(&mut self, limit: usize) -> usize {
        // Far below where a float loses precision.
        (self.chance.fraction() * limit as f64) as usize
    }

    fn any_pod(&mut self) -> Option<String> {
        let number = self.below(self.pods.len().max(1));
        self.pods.keys().nth(number).cloned()
    }
}

fn planner(republish: Republish, chance: &mut Dice) -> Planner {
    let pace = Pace { republish, operations_per_driver: 3, ..Pace::default() };
    Planner::new(pace, chance.split())
}

fn place(published: &PublishedVolume) -> FoundKey {
    FoundVolume { published: published.clone(), device: None }.key()
}

fn intent(pod: &Pod) -> PodIntent {
    let volume = |(number, kind): (usize, &Kind)| match kind {
        Kind::Inline(_) => VolumeIntent::Known(Arc::new(spec(pod, number).unwrap())),
        Kind::Shared(_) | Kind::NotCsi => VolumeIntent::Claim(Arc::new(ClaimLookup {
            pod: pod.reference.clone(),
            service_account: "web".into(),
            security: VolumeSecurity::default(),
            volume: number.to_string(),
            claim_name: number.to_string(),
            read_only: false,
            owned_by_pod: false,
        })),
    };
    PodIntent {
        pod: pod.reference.clone(),
        volumes: pod.volumes.iter().enumerate().map(volume).collect(),
        wanted: !pod.terminating,
        terminating: pod.terminating,
    }
}

/// The CSI volume that a volume of a pod is.
fn spec(pod: &Pod, number: usize) -> Option<VolumeSpec> {
    let inline = |driver: &str| VolumeSpec {
        pod: pod.reference.clone(),
        service_account: "web".into(),
        security: VolumeSecurity::default(),
        volume: number.to_string(),
        spec_name: number.to_string(),
        volume_handle: format!("{}-{number}", pod.reference.uid),
        read_only: false,
        source: VolumeSource::Inline(InlineSource { driver: driver.to_owned(), ..InlineSource::default() }),
    };
    match pod.volumes[number] {
        Kind::NotCsi => None,
        Kind::Inline(driver) => Some(inline(DRIVERS[driver])),
        Kind::Shared(shared) => {
            let name = format!("pv-{shared}");
            let driver = DRIVERS[shared % DRIVERS.len()].to_owned();
            let source =
                PersistentSource { driver, volume_handle: name.clone(), ..PersistentSource::default() };
            Some(VolumeSpec {
                spec_name: name.clone(),
                volume_handle: name,
                source: VolumeSource::Persistent(Box::new(PersistentParts {
                    source,
                    mode: if shared == BLOCK { VolumeMode::Block } else { VolumeMode::Filesystem },
                    ..PersistentParts::default()
                })),
                ..inline("")
            })
        }
    }
}
