//! When a driver is asked again how many volumes fit on the node (`nodeAllocatableUpdatePeriodSeconds`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::drivers::Driver;
use crate::planner::Due;

/// A shorter period is taken for this one; the API server refuses it.
const SHORTEST_PERIOD: i64 = 10;

/// The drivers that are asked again and again.
#[derive(Debug, Default)]
pub(super) struct Updates(HashMap<String, Update>);

#[derive(Debug)]
struct Update {
    period: Duration,
    due: Due,
    running: bool,
}

impl Updates {
    /// Of the drivers with a period in seconds, those that are to be asked now; each counts as being asked until
    /// [`Updates::finished`]. The first time comes a period after the driver is first seen with it.
    pub(super) fn due<'a>(
        &mut self,
        drivers: impl Iterator<Item = (&'a Arc<Driver>, i64)>,
        now: Timestamp,
    ) -> Vec<&'a Arc<Driver>> {
        let mut kept = HashMap::new();
        let mut due = Vec::new();
        for (driver, seconds) in drivers {
            let period = Duration::from_secs(seconds.max(SHORTEST_PERIOD).unsigned_abs());
            let known = self.0.remove(&driver.name);
            let mut update = match known {
                Some(update) if update.period == period => update,
                other => Update {
                    period,
                    due: Due::after(now, period),
                    running: other.is_some_and(|update| update.running),
                },
            };
            if !update.running && update.due.waits_until(now).is_none() {
                update.running = true;
                update.due = Due::after(now, period);
                due.push(driver);
            }
            kept.insert(driver.name.clone(), update);
        }
        self.0 = kept;
        due
    }

    /// The driver is asked next time, however long ago it was: what it said does not hold.
    pub(super) fn hurry(&mut self, driver: &str, now: Timestamp) {
        if let Some(update) = self.0.get_mut(driver) {
            update.due = Due::after(now, Duration::ZERO);
        }
    }

    /// The driver has been asked.
    pub(super) fn finished(&mut self, driver: &str) {
        if let Some(update) = self.0.get_mut(driver) {
            update.running = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::rules::choose_version;
    use tokenward_transport::SocketPath;

    #[test]
    fn each_driver_is_asked_once_a_period() {
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let endpoint = SocketPath::new("/d.sock").unwrap();
        let version = choose_version("d", "", &["1.0.0".to_owned()]).unwrap();
        let driver = Arc::new(Driver::new("d".to_owned(), endpoint, version));
        let mut updates = Updates::default();
        let mut ask = |period, seconds| updates.due([(&driver, period)].into_iter(), at(seconds)).len();
        assert_eq!((ask(30, 0), ask(30, 29), ask(30, 30)), (0, 0, 1));
        assert_eq!(ask(30, 300), 0, "it has not answered yet");
        updates.finished("d");
        let mut ask = |period, seconds| updates.due([(&driver, period)].into_iter(), at(seconds)).len();
        assert_eq!(ask(30, 300), 1);
        updates.finished("d");
        let mut ask = |period, seconds| updates.due([(&driver, period)].into_iter(), at(seconds)).len();
        assert_eq!((ask(1, 301), ask(1, 310), ask(1, 311)), (0, 0, 1), "another period begins anew");
    }
}
