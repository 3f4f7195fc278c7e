//! One registration, from dialling the socket to telling the plugin how it went.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokenward_transport::registration::registration_client::RegistrationClient;
use tokenward_transport::registration::{InfoRequest, PluginInfo, RegistrationStatus};
use tokenward_transport::{ConnectError, SocketPath, connect};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::transport::Channel;
use tonic::{Request, Status};
use tracing::warn;

use super::node_info::{NodeInfo, NodeInfoWriter};
use super::rules::{CSI_PLUGIN, Version, check_successor, choose_version, endpoint};
use crate::cluster::Cluster;
use crate::drivers::{Driver, Drivers};
use crate::failure::grpc_text;
use crate::scrub::{blank_unknown, truncate};

const DIAL_LIMIT: Duration = Duration::from_secs(10);
const INFO_LIMIT: Duration = Duration::from_secs(1);
const NOTIFY_LIMIT: Duration = Duration::from_secs(5);

/// A socket file is there before its owner listens: how long to wait until the next try.
const DIAL_PAUSE: Duration = Duration::from_millis(20);

/// How a registration ended.
pub(super) enum Registration {
    /// The driver is registered; telling the plugin may still have failed.
    Done { driver: Arc<Driver>, notified: Result<(), String> },
    /// It was recorded and then refused: not to be tried again with this socket.
    Refused { message: String },
    /// It did not get so far: to be tried again after a while.
    Failed { message: String },
}

/// Registers CSI drivers.
pub(super) struct Handler<C> {
    drivers: Arc<Drivers>,
    node_info: NodeInfoWriter<C>,
    info_limit: Duration,
}

impl<C: Cluster> Handler<C> {
    pub(super) fn new(
        cluster: Arc<C>,
        node_name: String,
        drivers: Arc<Drivers>,
        info_limit: Duration,
    ) -> Self {
        Self { drivers, node_info: NodeInfoWriter::new(cluster, node_name), info_limit }
    }

    /// Dials a registration socket and registers what it offers.
    pub(super) async fn register(&self, socket: &Path) -> Registration {
        let failed =
            |text: String| Registration::Failed { message: format!("RegisterPlugin error -- {text}") };
        let place = socket.display();
        let path = match SocketPath::new(socket) {
            Ok(path) => path,
            Err(error) => return failed(format!("dial failed at socket {place}, err: {error}")),
        };
        let mut plugin = match dial(&path).await {
            Ok(channel) => RegistrationClient::new(channel),
            Err(error) => return failed(format!("dial failed at socket {place}, err: {error}")),
        };
        let answer = timeout(INFO_LIMIT, plugin.get_info(InfoRequest {})).await;
        let info =
            match answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("context deadline exceeded"))) {
                Ok(info) => info.into_inner(),
                Err(status) => {
                    return failed(format!(
                        "failed to get plugin info using RPC GetInfo at socket {place}, err: {}",
                        status_text(&status)
                    ));
                }
            };
        if info.r#type != CSI_PLUGIN {
            let message = format!("no handler registered for plugin type: {} at socket {place}", info.r#type);
            return refuse(&mut plugin, message, false).await;
        }
        let (version, endpoint) = match self.validate(&info, &path) {
            Ok(valid) => valid,
            Err(error) => {
                return refuse(&mut plugin, format!("plugin validation failed with err: {error}"), false)
                    .await;
            }
        };
        match self.add(&info.name, endpoint, version).await {
            Ok(driver) => {
                let notified = notify(&mut plugin, true, String::new()).await.map_err(|error| {
                    format!("failed to send registration status at socket {place}, err: {error}")
                });
                Registration::Done { driver, notified }
            }
            Err(error) => {
                refuse(&mut plugin, format!("plugin registration failed with err: {error}"), true).await
            }
        }
    }

    fn validate(&self, info: &PluginInfo, socket: &SocketPath) -> Result<(Version, SocketPath), String> {
        let socket = socket.to_string();
        let endpoint = endpoint(info, &socket);
        if info.name.is_empty() {
            return Err(format!("the plugin at endpoint {endpoint:?} has no name"));
        }
        let version = choose_version(&info.name, endpoint, &info.supported_versions)?;
        check_successor(version, self.drivers.get(&info.name).map(|driver| driver.version))?;
        Ok((version, SocketPath::parse(endpoint).map_err(|error| error.to_string())?))
    }

    /// Visible to mounts at once; taken back when the node objects cannot be written.
    async fn add(&self, name: &str, endpoint: SocketPath, version: Version) -> Result<Arc<Driver>, String> {
        let driver = Arc::new(Driver::new(name.to_owned(), endpoint, version));
        self.drivers.insert(Arc::clone(&driver));
        let added = self.announce(&driver).await;
        if let Err(error) = added {
            if self.drivers.remove(&driver) {
                self.deregister(name).await;
            }
            return Err(error);
        }
        Ok(driver)
    }

    async fn announce(&self, driver: &Driver) -> Result<(), String> {
        let info = self.node_info_of(driver).await?;
        self.node_info.add(&info).await
    }

    /// Asks the driver again how many volumes fit, for the CSINode; errors are only logged.
    pub(super) async fn update_allocatable(&self, driver: &Driver) {
        let updated = match self.node_info_of(driver).await {
            Ok(info) => self.node_info.update_allocatable(&info).await,
            Err(error) => Err(error),
        };
        if let Err(message) = updated {
            warn!(driver = %driver.name, %message, "how many volumes fit could not be brought up to date");
        }
    }

    async fn node_info_of(&self, driver: &Driver) -> Result<NodeInfo, String> {
        let deadline = Instant::now() + self.info_limit;
        let failed = |status: Status| format!("error during CSI NodeGetInfo: {}", status_text(&status));
        let connection = driver.connection().await.map_err(failed)?;
        let response = driver.info(&connection, deadline).await.map_err(failed)?;
        NodeInfo::new(&driver.name, response)
    }

    /// Takes a driver out of Node and CSINode; errors are only logged.
    pub(super) async fn deregister(&self, name: &str) {
        if let Err(message) = self.node_info.remove(name).await {
            warn!(driver = %name, %message, "node objects still name the driver");
        }
    }
}

async fn dial(path: &SocketPath) -> Result<Channel, String> {
    let deadline = Instant::now() + DIAL_LIMIT;
    loop {
        match timeout_at(deadline, connect(path)).await {
            Ok(Ok(channel)) => return Ok(channel),
            Ok(Err(ConnectError::Refused { .. })) if Instant::now() + DIAL_PAUSE < deadline => {
                sleep(DIAL_PAUSE).await;
            }
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err(format!("no answer within {DIAL_LIMIT:?}")),
        }
    }
}

/// Tells the plugin that it is not wanted. `recorded`: not before it comes with a new socket.
async fn refuse(plugin: &mut RegistrationClient<Channel>, message: String, recorded: bool) -> Registration {
    if let Err(error) = notify(plugin, false, message.clone()).await {
        warn!(%error, "the plugin could not be told of its refusal");
    }
    let message = format!("RegisterPlugin error -- {message}");
    if recorded { Registration::Refused { message } } else { Registration::Failed { message } }
}

async fn notify(
    plugin: &mut RegistrationClient<Channel>,
    registered: bool,
    error: String,
) -> Result<(), String> {
    let status = Request::new(RegistrationStatus { plugin_registered: registered, error });
    match timeout(NOTIFY_LIMIT, plugin.notify_registration_status(status)).await {
        Ok(answer) => answer.map(drop).map_err(|status| status_text(&status)),
        Err(_) => Err(format!("no answer within {NOTIFY_LIMIT:?}")),
    }
}

fn status_text(status: &Status) -> String {
    truncate(blank_unknown(&grpc_text(status.code(), status.message())).into_owned(), 800)
}
