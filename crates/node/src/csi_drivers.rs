//! The CSIDrivers as last seen: what the kubelet keeps in its informer.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use tokenward_kube_rules::csi_driver::CsiDriverSpec;

use crate::cluster::WatchEvent;
use crate::objects::CsiDriver;

/// A cache of CSIDriver specs by name, fed by a watch.
#[derive(Default)]
pub struct CsiDrivers(RwLock<Option<HashMap<String, Arc<CsiDriverSpec>>>>);

/// The first list has not come yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the CSIDriver informer is not synced yet")]
pub struct NotSynced;

/// A CSIDriver that came, changed or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Name of the driver.
    pub driver: String,
    /// Whether its volumes are to be republished now and then.
    pub requires_republish: bool,
}

impl CsiDrivers {
    /// The spec of a driver's CSIDriver.
    ///
    /// # Errors
    /// Nothing is known yet.
    pub fn get(&self, driver: &str) -> Result<Option<Arc<CsiDriverSpec>>, NotSynced> {
        self.0.read().as_ref().ok_or(NotSynced).map(|drivers| drivers.get(driver).cloned())
    }

    /// Whether the first list has come.
    pub fn is_synced(&self) -> bool {
        self.0.read().is_some()
    }

    /// Takes an event in and tells whose spec differs from before.
    pub fn apply(&self, event: WatchEvent<CsiDriver>) -> Vec<Change> {
        let mut cache = self.0.write();
        let drivers = cache.get_or_insert_default();
        let mut changes = Vec::new();
        let mut set = |drivers: &mut HashMap<String, Arc<CsiDriverSpec>>, driver: CsiDriver| {
            let (name, spec) = (driver.metadata.name, Arc::new(driver.spec));
            if drivers.get(&name) != Some(&spec) {
                let requires_republish = spec.requires_republish == Some(true);
                drivers.insert(name.clone(), spec);
                changes.push(Change { driver: name, requires_republish });
            }
        };
        match event {
            WatchEvent::Listed(listed) => {
                let mut gone: Vec<String> = drivers.keys().cloned().collect();
                for driver in listed {
                    gone.retain(|name| *name != driver.metadata.name);
                    set(drivers, driver);
                }
                for driver in gone {
                    drivers.remove(&driver);
                    changes.push(Change { driver, requires_republish: false });
                }
            }
            WatchEvent::Applied(driver) => set(drivers, driver),
            WatchEvent::Deleted(driver) => {
                if drivers.remove(&driver.metadata.name).is_some() {
                    changes.push(Change { driver: driver.metadata.name, requires_republish: false });
                }
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn driver(name: &str, republish: bool) -> CsiDriver {
        let mut driver = CsiDriver::default();
        driver.metadata.name = name.to_owned();
        driver.spec.requires_republish = Some(republish);
        driver
    }

    #[test]
    fn only_real_changes_are_told() {
        let cache = CsiDrivers::default();
        assert_eq!(cache.get("a"), Err(NotSynced));
        let change = |name: &str, requires_republish| Change { driver: name.to_owned(), requires_republish };
        let listed = cache.apply(WatchEvent::Listed(vec![driver("a", true), driver("b", false)]));
        assert_eq!(listed, [change("a", true), change("b", false)]);
        assert_eq!(cache.apply(WatchEvent::Applied(driver("a", true))), []);
        assert_eq!(cache.apply(WatchEvent::Applied(driver("a", false))), [change("a", false)]);
        assert_eq!(cache.apply(WatchEvent::Listed(vec![driver("b", false)])), [change("a", false)]);
        assert_eq!(cache.get("a"), Ok(None));
        assert_eq!(cache.apply(WatchEvent::Deleted(driver("b", false))), [change("b", false)]);
    }
}
