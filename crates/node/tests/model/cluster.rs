//! The cluster: pods and CSIDrivers as they come, change and go, and the tokens that are granted.

use super::*;

impl World {
    pub(super) fn create_pod(&mut self) {
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

    pub(super) fn terminate_pod(&mut self) {
        let Some(uid) = self.any_pod() else { return };
        let pod = self.pods.get_mut(&uid).unwrap();
        pod.terminating = true;
        let pod = pod.clone();
        self.tell(&pod);
    }

    /// Forced: the node is not asked.
    pub(super) fn delete_pod(&mut self) {
        let Some(uid) = self.any_pod() else { return };
        self.pods.remove(&uid);
        if self.api_up && self.listed {
            self.planner.pod_gone(&uid);
        }
    }

    /// A watch that is broken tells nothing; what was missed comes with the next list.
    pub(super) fn tell(&mut self, pod: &Pod) {
        if self.api_up && self.listed {
            self.planner.pod_seen(intent(pod), self.now);
        }
    }

    pub(super) fn list(&mut self) {
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

    pub(super) fn change_csi_driver(&mut self, driver: &'static str) {
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

    pub(super) fn toggle_api(&mut self) {
        self.api_up = !self.api_up;
        self.trouble = self.now;
        if self.api_up {
            self.list();
        }
    }

    pub(super) fn grant(&self, request: &TokenRequest) -> Result<GrantedToken, ClusterError> {
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
    pub(super) fn refresh_tokens(&mut self) {
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
    pub(super) fn tell_holders(&mut self, request: &TokenRequest) {
        for key in self.planner.keys_of(&request.pod.uid) {
            let Some(spec) = self.planner.spec_of(&key) else { continue };
            let Some(csi_driver) = self.csi_drivers.get(spec.driver()) else { continue };
            if token_requests(&spec, csi_driver).any(|wanted| wanted == *request) {
                self.planner.content_changed(&key, self.now);
            }
        }
    }
}
