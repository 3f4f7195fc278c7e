//! What the driver is told at its start, and what it tells about its requests.

use std::fmt;
use std::sync::Arc;

use tokenward_driver::tokens::{Audience, Placement};
use tokenward_driver::{DriverConfig, KeyPresence};

/// The configuration of one driver.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// What every driver is told.
    pub driver: DriverConfig,
    /// Told of each publish request.
    pub observe: Option<Observer>,
}

impl Config {
    /// A driver that tells nobody of its requests.
    #[must_use]
    pub fn new(driver: DriverConfig) -> Self {
        Self { driver, observe: None }
    }

    /// Tells `observer` of each publish request.
    #[must_use]
    pub fn observe(mut self, observer: impl Fn(&Observation) + Send + Sync + 'static) -> Self {
        self.observe = Some(Observer(Arc::new(observer)));
        self
    }
}

/// Somebody who is told of each publish request.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(&Observation) + Send + Sync>);

impl Observer {
    pub(crate) fn tell(&self, observation: &Observation) {
        (self.0)(observation);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// A publish request as it came off the wire; no token and no other value of its maps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observation {
    /// The volume.
    pub volume_id: String,
    /// Where it is to appear.
    pub target_path: String,
    /// The maps that held the key before the driver took it.
    pub held_in: KeyPresence,
    /// The map that the driver read, when it found usable tokens.
    pub read: Option<Placement>,
    /// The audiences of these tokens, sorted.
    pub audiences: Vec<Audience>,
}
