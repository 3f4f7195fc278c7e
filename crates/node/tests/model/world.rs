//! The world around a planner: cluster, drivers, disk, clock, and what must hold in it.

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
    Action, ClaimLookup, Done, FoundKey, FoundVolume, Planner, PodIntent, VolumeIntent,
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
            assert!(views.iter().all(|view| view.mounted), "{views:?}");
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
            views.len() == pod.volumes.len() && views.iter().all(|view| view.mounted)
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

    // The cluster.

    fn create_pod(&mut self) {
        if self.pods.len() >= MOST_PODS {
            return;
        }
        self.next_pod += 1;
        let uid = format!("uid-{:05}", self.next_pod);
        // A name that is used again, by another pod.
        let reference =
            PodReference { namespace: "ns".into(), name: format!("pod-{}", self.next_pod % 4), uid };
        let volumes = (0..=self.below(3))
            .map(|_| match self.below(10) {
                0..5 => Kind::Inline(self.below(DRIVERS.len())),
                5..9 => Kind::Shared(self.below(SHARED)),
                _ => Kind::NotCsi,
            })
            .collect();
        let pod = Pod { reference, terminating: false, volumes };
        self.pods.insert(pod.reference.uid.clone(), pod.clone());
        self.tell(&pod);
    }

    fn terminate_pod(&mut self) {
        let Some(uid) = self.any_pod() else { return };
        let pod = self.pods.get_mut(&uid).unwrap();
        pod.terminating = true;
        let pod = pod.clone();
        self.tell(&pod);
    }

    /// Forced: the node is not asked.
    fn delete_pod(&mut self) {
        let Some(uid) = self.any_pod() else { return };
        self.pods.remove(&uid);
        if self.api_up && self.listed {
            self.planner.pod_gone(&uid);
        }
    }

    /// A watch that is broken tells nothing; what was missed comes with the next list.
    fn tell(&mut self, pod: &Pod) {
        if self.api_up && self.listed {
            self.planner.pod_seen(intent(pod), self.now);
        }
    }

    fn list(&mut self) {
        let uids: HashSet<&str> = self.pods.keys().map(String::as_str).collect();
        self.planner.pods_listed(&uids);
        for pod in self.pods.values() {
            self.planner.pod_seen(intent(pod), self.now);
        }
        for driver in DRIVERS {
            let republish =
                self.csi_drivers.get(driver).is_some_and(|spec| spec.requires_republish == Some(true));
            self.planner.driver_changed(driver, republish, self.now);
        }
        self.listed = true;
    }

    fn change_csi_driver(&mut self, driver: &'static str) {
        if self.below(8) == 0 && self.csi_drivers.remove(driver).is_some() {
            self.planner.driver_changed(driver, false, self.now);
            return;
        }
        let tokens = self.below(3);
        let wanted = |number: usize| WantedToken {
            audience: format!("audience-{number}"),
            expiration_seconds: Some(600 + 3000 * i64::try_from(number).unwrap()),
        };
        let spec = CsiDriverSpec {
            requires_republish: Some(self.below(3) > 0),
            service_account_token_in_secrets: [None, Some(false), Some(true)][self.below(3)],
            token_requests: (0..tokens).map(wanted).collect(),
            pod_info_on_mount: Some(self.below(2) == 0),
            ..CsiDriverSpec::default()
        };
        let republish = spec.requires_republish == Some(true);
        self.csi_drivers.insert(driver, spec);
        if self.listed && self.api_up {
            self.planner.driver_changed(driver, republish, self.now);
        }
    }

    fn toggle_api(&mut self) {
        self.api_up = !self.api_up;
        self.trouble = self.now;
        if self.api_up {
            self.list();
        }
    }

    fn grant(&self, request: &TokenRequest) -> Result<GrantedToken, ClusterError> {
        if !self.api_up {
            return Err(ClusterError::new(ErrorReason::Other, "connection refused"));
        }
        let alive = self.pods.contains_key(&request.pod.uid);
        if !alive {
            return Err(ClusterError::new(ErrorReason::NotFound, "pod not found"));
        }
        let seconds = request.expiration_seconds.unwrap_or(3600);
        Ok(GrantedToken {
            token: Token::new(format!("{} for {}", self.now, request.audience)),
            expires: self.now + SignedDuration::from_secs(seconds),
            ttl_seconds: Some(seconds),
        })
    }

    /// The background: tokens of republished volumes are renewed before anybody needs them.
    fn refresh_tokens(&mut self) {
        let planner = &self.planner;
        let due = self.cache.due(self.now, usize::MAX, |uid, volume| {
            planner.is_republished(&tokenward_node::volume::VolumeKey {
                pod_uid: uid.to_owned(),
                volume: volume.to_owned(),
            })
        });
        for tokens in due {
            for (request, flight) in tokens.requests {
                let answer = self.grant(&request);
                let renewed = answer.is_ok();
                // What could not be renewed is tried again.
                let _ = self.cache.landed(&request, flight, answer, self.now);
                if renewed {
                    self.tell_holders(&request);
                }
            }
        }
    }

    /// A volume whose driver wants the token has something to be told.
    fn tell_holders(&mut self, request: &TokenRequest) {
        for key in self.planner.keys_of(&request.pod.uid) {
            let Some(spec) = self.planner.spec_of(&key) else { continue };
            let Some(csi_driver) = self.csi_drivers.get(spec.driver()) else { continue };
            if token_requests(&spec, csi_driver).any(|wanted| wanted == *request) {
                self.planner.content_changed(&key, self.now);
            }
        }
    }

    // The machine.

    fn toggle_driver(&mut self) {
        let driver = DRIVERS[self.below(DRIVERS.len())];
        if self.drivers[driver].up {
            self.drivers.get_mut(driver).unwrap().up = false;
        } else {
            self.bring_up(driver);
        }
    }

    fn bring_up(&mut self, driver: &'static str) {
        self.drivers.get_mut(driver).unwrap().up = true;
        self.planner.driver_registered(driver);
        self.planner.driver_returned(driver, self.now);
    }

    fn pass(&mut self, time: SignedDuration) {
        self.now += time;
        self.elapsed += time;
    }

    fn jump(&mut self) {
        let minutes = i64::try_from(self.below(4000)).unwrap() - 600;
        self.now += SignedDuration::from_mins(minutes);
        self.trouble = self.now;
    }

    /// kill -9 and a new process: what it does not find on the disk it does not know.
    fn kill(&mut self) {
        for action in std::mem::take(&mut self.running) {
            self.cut_short(&action);
        }
        self.planner = planner(self.mode, &mut self.chance);
        self.cache = TokenCache::new(self.chance.split());
        self.listed = false;
        self.trouble = self.now;
        for volume in self.records.values() {
            self.planner.found_volume(volume.clone(), self.now);
        }
        for device in &self.device_records {
            self.planner.found_device(device.clone());
        }
        if self.api_up {
            self.list();
        }
    }

    /// No mount outlives the machine; records do.
    fn reboot(&mut self) {
        self.kill();
        for driver in self.drivers.values_mut() {
            driver.mounts.clear();
            driver.staged.clear();
        }
    }

    /// An action that runs when the process dies: it may have come to any point.
    fn cut_short(&mut self, action: &Action) {
        match action {
            Action::Publish { spec, .. } if self.below(3) > 0 => {
                self.record(spec);
                if self.below(2) == 0 && self.drivers[spec.driver()].up {
                    self.mount(spec, None);
                }
            }
            Action::Stage { spec, .. } if self.below(3) > 0 => {
                let device = spec.device().unwrap();
                self.device_records.insert(device.clone());
                if self.below(2) == 0 && self.driver(spec.driver()).up {
                    self.driver(&device.driver.clone()).staged.insert(device);
                }
            }
            Action::Unpublish { published, .. } | Action::Reclaim(published)
                if self.below(3) > 0 && self.drivers[published.driver.as_str()].up =>
            {
                let place = place(published);
                self.driver(&published.driver).mounts.remove(&place);
                if self.below(2) == 0 {
                    self.records.remove(&place);
                }
            }
            Action::Unstage(device) if self.below(3) > 0 && self.drivers[device.driver.as_str()].up => {
                self.driver(&device.driver).staged.remove(device);
                if self.below(2) == 0 {
                    self.device_records.remove(device);
                }
            }
            _ => {}
        }
    }

    fn record(&mut self, spec: &VolumeSpec) {
        let volume = FoundVolume { published: spec.published(), device: spec.device() };
        self.records.insert(volume.key(), volume);
    }

    fn mount(&mut self, spec: &VolumeSpec, expires: Option<Timestamp>) {
        let mount = Mount { device: spec.device(), published: self.elapsed, expires };
        let place = place(&spec.published());
        self.driver(spec.driver()).mounts.insert(place, mount);
    }

    fn driver(&mut self, name: &str) -> &mut Driver {
        self.drivers.get_mut(name).unwrap()
    }

    // What the node does.

    fn plan(&mut self) {
        if !self.listed {
            return;
        }
        for action in self.planner.plan(self.now).actions {
            for other in &self.running {
                assert_ne!(other.subject(), action.subject(), "one action at a time");
            }
            self.running.push(action);
        }
    }

    fn finish_one(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let number = self.below(self.running.len());
        let action = self.running.remove(number);
        self.finish(&action, false);
    }

    /// Carries an action out as the mounter does, and tells the planner.
    fn finish(&mut self, action: &Action, smoothly: bool) {
        let luck = if smoothly { 9 } else { self.below(10) };
        let result = match action {
            Action::Resolve(lookup) => self.resolve(lookup),
            Action::Stage { spec, again } => self.stage(spec, *again, luck),
            Action::Publish { spec, remount } => self.publish(spec, *remount, luck),
            Action::Unpublish { published, .. } | Action::Reclaim(published) => {
                self.unpublish(published, luck)
            }
            Action::Unstage(device) => self.unstage(device, luck),
            Action::ClosePod { pod, finish_deletion } => self.close(&pod.uid, *finish_deletion),
        };
        self.planner.finished(&action.subject(), result, self.now);
        if let Action::ClosePod { pod, finish_deletion: true } = action
            && !self.pods.contains_key(&pod.uid)
        {
            self.planner.pod_gone(&pod.uid);
        }
    }

    fn resolve(&self, lookup: &ClaimLookup) -> Result<Done, Failure> {
        if !self.api_up {
            return Err(Failure::transient("connection refused"));
        }
        let pod = self.pods.get(&lookup.pod.uid).ok_or_else(|| Failure::transient("no such claim"))?;
        let number = lookup.volume.parse().unwrap();
        Ok(spec(pod, number).map_or(Done::NotCsi, |spec| Done::Resolved(Arc::new(spec))))
    }

    fn stage(&mut self, spec: &VolumeSpec, again: bool, luck: usize) -> Result<Done, Failure> {
        let device = spec.device().unwrap();
        if !self.drivers[spec.driver()].up || luck == 0 {
            return Err(Failure::transient("driver not found"));
        }
        self.device_records.insert(device.clone());
        match luck {
            1 => {
                // Upstream's removeMountDir leaves alone what is mounted.
                let mounted = self.drivers[spec.driver()].staged.contains(&device);
                if !again && !mounted {
                    self.device_records.remove(&device);
                }
                Err(Failure::last("refused"))
            }
            2 => Err(Failure::uncertain("maybe")),
            3 => {
                self.driver(spec.driver()).staged.insert(device);
                Err(Failure::uncertain("it was"))
            }
            _ => {
                self.driver(spec.driver()).staged.insert(device);
                Ok(Done::Ok)
            }
        }
    }

    fn publish(&mut self, spec: &VolumeSpec, remount: bool, luck: usize) -> Result<Done, Failure> {
        if !self.drivers[spec.driver()].up || luck == 0 {
            return Err(Failure::transient("driver not found"));
        }
        let csi_driver = self.csi_drivers.get(spec.driver()).cloned();
        if csi_driver.is_none() && spec.device().is_none() {
            return Err(Failure::transient("no CSIDriver object"));
        }
        let expires = self.deliver(spec, csi_driver.as_ref())?;
        let place = place(&spec.published());
        let mounted = self.drivers[spec.driver()].mounts.contains_key(&place);
        assert!(!remount || self.records.contains_key(&place), "a remount of nothing");
        if !remount || !self.records.contains_key(&place) {
            self.record(spec);
        }
        if let Some(device) = spec.device() {
            assert!(self.device_records.contains(&device), "published before it is staged");
        }
        match luck {
            1 => {
                if !remount && !mounted {
                    self.records.remove(&place);
                }
                Err(Failure::last("refused"))
            }
            2 => Err(Failure::uncertain("maybe")),
            3 => {
                self.mount(spec, expires);
                Err(Failure::uncertain("it was"))
            }
            _ => {
                self.mount(spec, expires);
                Ok(Done::Ok)
            }
        }
    }

    /// Fetches, places, and checks what the driver would be sent. When its first token expires.
    fn deliver(
        &mut self,
        spec: &VolumeSpec,
        csi_driver: Option<&CsiDriverSpec>,
    ) -> Result<Option<Timestamp>, Failure> {
        let Some(csi_driver) = csi_driver.filter(|spec| !spec.token_requests.is_empty()) else {
            return Ok(None);
        };
        let holder = Holder {
            driver: spec.driver(),
            volume: &spec.volume,
            is_republished: csi_driver.requires_republish == Some(true),
        };
        let requests: Vec<TokenRequest> = token_requests(spec, csi_driver).collect();
        let mut tokens = TokenMap::new();
        let mut first: Option<Timestamp> = None;
        for request in &requests {
            let granted = match self.cache.ask(holder, request, self.now) {
                Asked::Cached(granted) | Asked::Kept(granted) => granted,
                Asked::Refused(error) => return Err(Failure::transient(error.to_string())),
                Asked::Wait(_) => panic!("nothing is in flight between steps"),
                Asked::Fetch(flight) => {
                    let answer = self.grant(request);
                    let landed = self.cache.landed(request, flight, answer, self.now);
                    landed.map_err(|error| Failure::transient(error.to_string()))?
                }
            };
            first = Some(first.map_or(granted.expires, |at| at.min(granted.expires)));
            let left = granted.expires.duration_since(self.now);
            let ttl = granted.ttl_seconds.unwrap();
            assert!(left >= SignedDuration::ZERO, "a dead token is delivered");
            // A pod that has been deleted under a running publish gets nothing new.
            let alive = self.pods.contains_key(&spec.pod.uid);
            let calm = alive && self.api_up && self.now.duration_since(self.trouble) > RECOVERY;
            let fresh = left >= SignedDuration::from_secs(ttl / 5) && left <= SignedDuration::from_secs(ttl);
            assert!(!calm || fresh, "a token of {ttl} s has {left} left");
            tokens.insert(
                request.audience.clone(),
                TokenEntry { token: granted.token, expires: Some(granted.expires) },
            );
        }
        self.cache.keep_only(&spec.pod.uid, &spec.volume, &requests);
        let value = tokens.to_value();
        let placement = placement(csi_driver.service_account_token_in_secrets, &FeatureGates::default());
        let request = publish_request(&PublishParts {
            spec,
            csi_driver: Some(csi_driver),
            capabilities: Capabilities::default(),
            target: Path::new("/target"),
            staging: None,
            publish_context: &BTreeMap::new(),
            secret: None,
            tokens: Some((&value, placement)),
            drop_forged_keys: false,
            se_linux_label: None,
        })?;
        let places =
            [request.secrets.contains_key(TOKENS_KEY), request.volume_context.contains_key(TOKENS_KEY)];
        assert_eq!(places.iter().filter(|&&there| there).count(), 1, "tokens are in one place");
        Ok(first)
    }

    fn unpublish(&mut self, published: &PublishedVolume, luck: usize) -> Result<Done, Failure> {
        if !self.drivers[published.driver.as_str()].up || luck < 2 {
            return Err(Failure::transient("driver not found"));
        }
        let place = place(published);
        assert!(!self.is_in_use(&place), "{place} is unpublished under a running pod");
        if luck == 2 {
            return Err(Failure::transient("refused"));
        }
        self.driver(&published.driver).mounts.remove(&place);
        if luck == 3 {
            return Err(Failure::transient("done, but who knows"));
        }
        self.records.remove(&place);
        Ok(Done::Ok)
    }

    /// Whether a pod that the cluster wants to run has this volume.
    fn is_in_use(&self, place: &FoundKey) -> bool {
        self.wanted().contains(place)
    }

    fn unstage(&mut self, device: &DeviceKey, luck: usize) -> Result<Done, Failure> {
        if !self.drivers[device.driver.as_str()].up || luck < 2 {
            return Err(Failure::transient("driver not found"));
        }
        let used = self.drivers[device.driver.as_str()].mounts.values();
        assert!(used.clone().all(|mount| mount.device.as_ref() != Some(device)), "unstaged while published");
        if luck == 2 {
            return Err(Failure::transient("refused"));
        }
        self.driver(&device.driver).staged.remove(device);
        if luck == 3 {
            return Err(Failure::transient("done, but who knows"));
        }
        self.device_records.remove(device);
        Ok(Done::Ok)
    }

    fn close(&mut self, uid: &str, finish_deletion: bool) -> Result<Done, Failure> {
        let mounted = self.drivers.values().flat_map(|driver| driver.mounts.keys());
        assert!(mounted.clone().all(|key| key.pod_uid != uid), "closed while mounted");
        self.cache.forget_pod(uid);
        if finish_deletion {
            if !self.api_up {
                return Err(Failure::transient("connection refused"));
            }
            self.pods.remove(uid);
        }
        Ok(Done::Ok)
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
