//! What a driver is told at its start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokenward_driver::{DriverConfig, Endpoint};
use tokenward_exchange::Retries;

use crate::events::{Events, NoEvents};
use crate::{CurrentConfiguration, Metrics};

/// The configuration of one driver.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// What every driver is told.
    pub driver: DriverConfig,
    /// The exchanges that volumes may name.
    pub configuration: CurrentConfiguration,
    /// Where the records of volumes are kept, without anything secret; `volumes` beside the socket by default (in the working directory of
    /// a driver on TCP).
    pub record_directory: PathBuf,
    /// How often an exchange is tried.
    pub retries: Retries,
    /// Who tells pods' owners of what happens; nobody by default.
    pub events: Arc<dyn Events>,
    /// What is counted.
    pub metrics: Metrics,
}

impl Config {
    /// A driver that tells nobody but the log of what happens to credentials.
    #[must_use]
    pub fn new(driver: DriverConfig, configuration: impl Into<CurrentConfiguration>) -> Self {
        let beside = match &driver.endpoint {
            Endpoint::Unix(socket) => socket.as_path().parent().unwrap_or(Path::new("/")),
            Endpoint::Tcp(_) => Path::new("."),
        };
        Self {
            record_directory: beside.join("volumes"),
            driver,
            configuration: configuration.into(),
            retries: Retries::default(),
            events: Arc::new(NoEvents),
            metrics: Metrics::default(),
        }
    }

    /// Tells `events` of what happens to pods' credentials.
    #[must_use]
    pub fn events(mut self, events: Arc<dyn Events>) -> Self {
        self.events = events;
        self
    }
}
