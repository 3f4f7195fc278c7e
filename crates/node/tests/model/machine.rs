//! The machine: drivers that die and return, the clock, and what a kill or a reboot leaves on the disk.

use super::*;

impl World {
    pub(super) fn toggle_driver(&mut self) {
        let driver = DRIVERS[self.below(DRIVERS.len())];
        if self.drivers[driver].up {
            self.drivers.get_mut(driver).unwrap().up = false;
        } else {
            self.bring_up(driver);
        }
    }

    pub(super) fn bring_up(&mut self, driver: &'static str) {
        self.drivers.get_mut(driver).unwrap().up = true;
        self.planner.driver_registered(driver);
        self.planner.driver_returned(driver, self.now);
    }

    pub(super) fn pass(&mut self, time: SignedDuration) {
        self.now += time;
        self.elapsed += time;
    }

    pub(super) fn jump(&mut self) {
        let minutes = i64::try_from(self.below(4000)).unwrap() - 600;
        self.now += SignedDuration::from_mins(minutes);
        self.trouble = self.now;
    }

    /// kill -9 and a new process: what it does not find on the disk it does not know.
    pub(super) fn kill(&mut self) {
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
    pub(super) fn reboot(&mut self) {
        self.kill();
        for driver in self.drivers.values_mut() {
            driver.mounts.clear();
            driver.staged.clear();
        }
    }

    /// An action that runs when the process dies: it may have come to any point.
    pub(super) fn cut_short(&mut self, action: &Action) {
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

    pub(super) fn record(&mut self, spec: &VolumeSpec) {
        let volume = FoundVolume { published: spec.published(), device: spec.device() };
        self.records.insert(volume.key(), volume);
    }

    pub(super) fn mount(&mut self, spec: &VolumeSpec, expires: Option<Timestamp>) {
        let mount = Mount { device: spec.device(), published: self.elapsed, expires };
        let place = place(&spec.published());
        self.driver(spec.driver()).mounts.insert(place, mount);
    }

    pub(super) fn driver(&mut self, name: &str) -> &mut Driver {
        self.drivers.get_mut(name).unwrap()
    }
}
