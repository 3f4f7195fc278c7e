//! What the node does: actions as the mounter carries them out, and what drivers make of them.

use super::*;

impl World {
    pub(super) fn plan(&mut self) {
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

    pub(super) fn finish_one(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let number = self.below(self.running.len());
        let action = self.running.remove(number);
        self.finish(&action, false);
    }

    /// Carries an action out as the mounter does, and tells the planner.
    pub(super) fn finish(&mut self, action: &Action, smoothly: bool) {
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

    pub(super) fn resolve(&self, lookup: &ClaimLookup) -> Result<Done, Failure> {
        if !self.api_up {
            return Err(Failure::transient("connection refused"));
        }
        let pod = self.pods.get(&lookup.pod.uid).ok_or_else(|| Failure::transient("no such claim"))?;
        let number = lookup.volume.parse().unwrap();
        Ok(spec(pod, number).map_or(Done::NotCsi, |spec| Done::Resolved(Arc::new(spec))))
    }

    pub(super) fn stage(&mut self, spec: &VolumeSpec, again: bool, luck: usize) -> Result<Done, Failure> {
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

    pub(super) fn publish(&mut self, spec: &VolumeSpec, remount: bool, luck: usize) -> Result<Done, Failure> {
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
    pub(super) fn deliver(
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

    pub(super) fn unpublish(&mut self, published: &PublishedVolume, luck: usize) -> Result<Done, Failure> {
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
    pub(super) fn is_in_use(&self, place: &FoundKey) -> bool {
        self.wanted().contains(place)
    }

    pub(super) fn unstage(&mut self, device: &DeviceKey, luck: usize) -> Result<Done, Failure> {
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

    pub(super) fn close(&mut self, uid: &str, finish_deletion: bool) -> Result<Done, Failure> {
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
}
