//! The CSIDrivers as last seen: what the kubelet keeps in its informer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use parking_lot::RwLock;
use tokenward_kube_rules::csi_driver::CsiDriverSpec;
use tracing::warn;

use crate::cluster::WatchEvent;
use crate::objects::CsiDriver;

/// On a CSIDriver: the longest time between publishes of a volume, such as `10m`, where volumes are otherwise published on
/// change only.
pub const REPUBLISH_INTERVAL: &str = "tokenward.dev/republish-interval";

/// A shorter interval is taken for this one.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// A cache of CSIDriver specs by name, fed by a watch.
#[derive(Default)]
pub struct CsiDrivers(RwLock<Option<HashMap<String, Known>>>);

/// What is known of a CSIDriver.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    spec: Arc<CsiDriverSpec>,
    republish_interval: Option<Duration>,
}

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
    /// How long there may be between two publishes of a volume at most, if it says so.
    pub republish_interval: Option<Duration>,
}

impl Change {
    fn gone(driver: String) -> Self {
        Self { driver, requires_republish: false, republish_interval: None }
    }
}

impl CsiDrivers {
    /// The spec of a driver's CSIDriver.
    ///
    /// # Errors
    /// Nothing is known yet.
    pub fn get(&self, driver: &str) -> Result<Option<Arc<CsiDriverSpec>>, NotSynced> {
        self.0
            .read()
            .as_ref()
            .ok_or(NotSynced)
            .map(|drivers| drivers.get(driver).map(|known| Arc::clone(&known.spec)))
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
        let mut set = |drivers: &mut HashMap<String, Known>, driver: CsiDriver| {
            let republish_interval = republish_interval(&driver);
            let (name, spec) = (driver.metadata.name, Arc::new(driver.spec));
            let known = Known { spec, republish_interval };
            if drivers.get(&name) != Some(&known) {
                let requires_republish = known.spec.requires_republish == Some(true);
                drivers.insert(name.clone(), known);
                changes.push(Change { driver: name, requires_republish, republish_interval });
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
                    changes.push(Change::gone(driver));
                }
            }
            WatchEvent::Applied(driver) => set(drivers, driver),
            WatchEvent::Deleted(driver) => {
                if drivers.remove(&driver.metadata.name).is_some() {
                    changes.push(Change::gone(driver.metadata.name));
                }
            }
        }
        changes
    }
}

/// What the annotation says; one that cannot be understood is told of and left out.
fn republish_interval(driver: &CsiDriver) -> Option<Duration> {
    let text = driver.metadata.annotations.get(REPUBLISH_INTERVAL)?;
    let interval = text.parse::<SignedDuration>().ok().and_then(|interval| Duration::try_from(interval).ok());
    if interval.is_none() {
        warn!(driver = %driver.metadata.name, annotation = REPUBLISH_INTERVAL, value = ?text,
            "a duration such as 10m is wanted: the annotation is not heeded");
    }
    interval.map(|interval| interval.max(SHORTEST_INTERVAL))
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
        let change = |name: &str, requires_republish| Change {
            driver: name.to_owned(),
            requires_republish,
            republish_interval: None,
        };
        let listed = cache.apply(WatchEvent::Listed(vec![driver("a", true), driver("b", false)]));
        assert_eq!(listed, [change("a", true), change("b", false)]);
        assert_eq!(cache.apply(WatchEvent::Applied(driver("a", true))), []);
        assert_eq!(cache.apply(WatchEvent::Applied(driver("a", false))), [change("a", false)]);
        assert_eq!(cache.apply(WatchEvent::Listed(vec![driver("b", false)])), [change("a", false)]);
        assert_eq!(cache.get("a"), Ok(None));
        assert_eq!(cache.apply(WatchEvent::Deleted(driver("b", false))), [change("b", false)]);
    }

    #[test]
    fn a_driver_may_set_an_interval() {
        for (text, wanted) in [
            ("10m", Some(600)),
            ("1h30m", Some(5400)),
            ("90s", Some(90)),
            ("0s", Some(1)),
            ("-5m", None),
            ("often", None),
            ("", None),
        ] {
            let mut annotated = driver("a", true);
            annotated.metadata.annotations.insert(REPUBLISH_INTERVAL.to_owned(), text.to_owned());
            let changes = CsiDrivers::default().apply(WatchEvent::Applied(annotated));
            assert_eq!(changes[0].republish_interval, wanted.map(Duration::from_secs), "{text}");
        }
        // A change of the annotation alone is a change.
        let cache = CsiDrivers::default();
        cache.apply(WatchEvent::Applied(driver("a", true)));
        let mut annotated = driver("a", true);
        annotated.metadata.annotations.insert(REPUBLISH_INTERVAL.to_owned(), "1m".to_owned());
        assert_eq!(cache.apply(WatchEvent::Applied(annotated)).len(), 1);
    }
}
