//! The registered drivers, each with one open connection and what it said it can do: unchanged, a republish costs one
//! call on an open socket (upstream makes a connection for each of its three or four calls). A driver that made its socket
//! anew is another one, registered or not: many have their registrar in a process of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::RwLock;
use tokenward_csi::v1::node_client::NodeClient;
use tokenward_csi::v1::{
    NodeGetCapabilitiesRequest, NodeGetInfoRequest, NodeGetInfoResponse, NodePublishVolumeRequest,
    NodeStageVolumeRequest, NodeUnpublishVolumeRequest, NodeUnstageVolumeRequest,
};
use tokenward_transport::{DirectChannel, SocketPath, code_name};
use tokio::sync::{Mutex, Notify, OnceCell};
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status};

use crate::failure::came_from_transport;
use crate::fault;
use crate::metrics::Metrics;
use crate::registry::rules::Version;
use crate::request::Capabilities;
use crate::socket_identity::SocketIdentity;

/// How long making a connection may take; whoever needs the same driver waits for it.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The drivers that are registered now, by name.
#[derive(Default)]
pub struct Drivers {
    registered: RwLock<BTreeMap<String, Arc<Driver>>>,
    metrics: Option<Arc<Metrics>>,
    exhausted: Exhausted,
}

/// The drivers whose volumes have found no room on the node, until somebody looks into it.
#[derive(Default)]
struct Exhausted {
    names: parking_lot::Mutex<BTreeSet<String>>,
    news: Notify,
}

impl Drivers {
    /// None yet; calls to those that come are counted.
    pub fn counted_by(metrics: Arc<Metrics>) -> Self {
        Self { metrics: Some(metrics), ..Self::default() }
    }

    /// The driver of this name, if it is registered.
    pub fn get(&self, name: &str) -> Option<Arc<Driver>> {
        self.registered.read().get(name).cloned()
    }

    /// Names and versions of all drivers.
    pub fn list(&self) -> Vec<Arc<Driver>> {
        self.registered.read().values().cloned().collect()
    }

    /// A volume of this driver has found no room on the node.
    pub fn tell_exhausted(&self, name: &str) {
        self.exhausted.names.lock().insert(name.to_owned());
        self.exhausted.news.notify_one();
    }

    /// Waits for the next driver whose volumes have found no room, and is the only one to hear of it.
    pub async fn next_exhausted(&self) -> String {
        loop {
            let next = self.exhausted.names.lock().pop_first();
            match next {
                Some(name) => return name,
                None => self.exhausted.news.notified().await,
            }
        }
    }

    /// Adds or replaces a driver.
    pub fn insert(&self, driver: Arc<Driver>) {
        if let Some(metrics) = &self.metrics {
            driver.metrics.get_or_init(|| Arc::clone(metrics));
        }
        self.registered.write().insert(driver.name.clone(), driver);
    }

    /// Removes a driver, if it is still this very one.
    pub fn remove(&self, driver: &Arc<Driver>) -> bool {
        let mut drivers = self.registered.write();
        let found = drivers.get(&driver.name).is_some_and(|found| Arc::ptr_eq(found, driver));
        if found {
            drivers.remove(&driver.name);
        }
        found
    }
}

/// A registered driver.
pub struct Driver {
    /// Name, as in CSIDriver objects and volumes.
    pub name: String,
    /// Where it serves the CSI services.
    pub endpoint: SocketPath,
    /// The highest version it registered with.
    pub version: Version,
    connection: Mutex<Option<Connection>>,
    next_connection: AtomicU64,
    metrics: OnceLock<Arc<Metrics>>,
}

/// An open connection. What the driver can do is asked once on each.
#[derive(Clone)]
pub struct Connection {
    number: u64,
    /// What was at the endpoint: who makes a new socket is another process, even while the old one still answers.
    socket: Option<SocketIdentity>,
    channel: DirectChannel,
    capabilities: Arc<OnceCell<Capabilities>>,
}

impl Connection {
    fn client(&self) -> NodeClient<DirectChannel> {
        NodeClient::with_origin(self.channel.clone(), DirectChannel::origin())
    }
}

impl Driver {
    /// A driver that has not been called yet.
    pub fn new(name: String, endpoint: SocketPath, version: Version) -> Self {
        Self {
            name,
            endpoint,
            version,
            connection: Mutex::new(None),
            next_connection: AtomicU64::new(0),
            metrics: OnceLock::new(),
        }
    }

    /// The open connection, or a new one when there is none, it has closed, or the driver has made its socket anew.
    ///
    /// # Errors
    /// `UNAVAILABLE` when nobody serves the socket.
    pub async fn connection(&self) -> Result<Connection, Status> {
        let mut open = self.connection.lock().await;
        // Before it is dialled: a socket that is replaced in between is noticed the next time.
        let socket = std::fs::metadata(&self.endpoint).ok().as_ref().map(SocketIdentity::from);
        if let Some(connection) = &*open
            && connection.socket == socket
            && !connection.channel.is_closed()
        {
            return Ok(connection.clone());
        }
        let channel = match tokio::time::timeout(CONNECT_LIMIT, DirectChannel::connect(&self.endpoint)).await
        {
            Ok(connected) => connected.map_err(|error| Status::unavailable(error.to_string()))?,
            Err(_) => {
                return Err(Status::unavailable(format!("no connection to `{}` in time", self.endpoint)));
            }
        };
        let connection = Connection {
            number: self.next_connection.fetch_add(1, Ordering::Relaxed),
            socket,
            channel,
            capabilities: Arc::new(OnceCell::new()),
        };
        *open = Some(connection.clone());
        Ok(connection)
    }

    /// After a call on it failed without an answer of the driver: the next caller connects, and asks for capabilities,
    /// anew.
    async fn discard(&self, broken: &Connection) {
        let mut open = self.connection.lock().await;
        if open.as_ref().is_some_and(|connection| connection.number == broken.number) {
            *open = None;
        }
    }

    /// What the driver can do.
    ///
    /// # Errors
    /// The driver's status, or that of the broken connection.
    pub async fn capabilities(
        &self,
        connection: &Connection,
        deadline: Instant,
    ) -> Result<Capabilities, Status> {
        let ask = connection.capabilities.get_or_try_init(|| async {
            let mut client = connection.client();
            let request = with_timeout(NodeGetCapabilitiesRequest {}, deadline);
            let response = self
                .measured("/csi.v1.Node/NodeGetCapabilities", deadline, client.node_get_capabilities(request))
                .await?;
            Ok(Capabilities::from(&response))
        });
        self.checked(connection, ask.await.copied()).await
    }

    /// NodeGetInfo.
    ///
    /// # Errors
    /// The driver's status, or that of the broken connection.
    pub async fn info(
        &self,
        connection: &Connection,
        deadline: Instant,
    ) -> Result<NodeGetInfoResponse, Status> {
        let mut client = connection.client();
        let call = client.node_get_info(with_timeout(NodeGetInfoRequest {}, deadline));
        self.checked(connection, self.measured("/csi.v1.Node/NodeGetInfo", deadline, call).await).await
    }

    /// NodeStageVolume.
    ///
    /// # Errors
    /// The driver's status, or that of the broken connection.
    pub async fn stage(
        &self,
        connection: &Connection,
        request: NodeStageVolumeRequest,
        deadline: Instant,
    ) -> Result<(), Status> {
        let mut client = connection.client();
        fault::point("NodeStageVolume is called");
        let call = client.node_stage_volume(with_timeout(request, deadline));
        let answer = self.measured("/csi.v1.Node/NodeStageVolume", deadline, call).await.map(drop);
        fault::point("NodeStageVolume has answered");
        self.checked(connection, answer).await
    }

    /// NodePublishVolume.
    ///
    /// # Errors
    /// The driver's status, or that of the broken connection.
    pub async fn publish(
        &self,
        connection: &Connection,
        request: NodePublishVolumeRequest,
        deadline: Instant,
    ) -> Result<(), Status> {
        let mut client = connection.client();
        fault::point("NodePublishVolume is called");
        let call = client.node_publish_volume(with_timeout(request, deadline));
        let answer = self.measured("/csi.v1.Node/NodePublishVolume", deadline, call).await.map(drop);
        fault::point("NodePublishVolume has answered");
        self.checked(connection, answer).await
    }

    /// NodeUnpublishVolume.
    ///
    /// # Errors
    /// The driver's status, or that of the broken connection.
    pub async fn unpublish(
        &self,
        connection: &Connection,
        request: NodeUnpublishVolumeRequest,
        deadline: Instant,
    ) -> Result<(), Status> {
        let mut client = connection.client();
        fault::point("NodeUnpublishVolume is called");
        let call = client.node_unpublish_volume(with_timeout(request, deadline));
        let answer = self.measured("/csi.v1.Node/NodeUnpublishVolume", deadline, call).await.map(drop);
        fault::point("NodeUnpublishVolume has answered");
        self.checked(connection, answer).await
    }

    /// NodeUnstageVolume.
    ///
    /// # Errors
    /// The driver's status, or that of the broken connection.
    pub async fn unstage(
        &self,
        connection: &Connection,
        request: NodeUnstageVolumeRequest,
        deadline: Instant,
    ) -> Result<(), Status> {
        let mut client = connection.client();
        fault::point("NodeUnstageVolume is called");
        let call = client.node_unstage_volume(with_timeout(request, deadline));
        let answer = self.measured("/csi.v1.Node/NodeUnstageVolume", deadline, call).await.map(drop);
        fault::point("NodeUnstageVolume has answered");
        self.checked(connection, answer).await
    }

    async fn measured<T>(
        &self,
        method: &'static str,
        deadline: Instant,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Status> {
        let started = Instant::now();
        let result = limited(deadline, call).await;
        if let Some(metrics) = self.metrics.get() {
            let code = result.as_ref().err().map_or(Code::Ok, Status::code);
            metrics.called(&self.name, method, code_name(code), started.elapsed());
        }
        result
    }

    async fn checked<T>(&self, connection: &Connection, result: Result<T, Status>) -> Result<T, Status> {
        if let Err(status) = &result
            && came_from_transport(status)
        {
            self.discard(connection).await;
        }
        result
    }
}

/// The remaining time goes on the wire too, so that the driver can give up with us.
fn with_timeout<T>(message: T, deadline: Instant) -> Request<T> {
    let mut request = Request::new(message);
    let remaining = deadline.saturating_duration_since(Instant::now());
    request.set_timeout(remaining.max(Duration::from_millis(1)));
    request
}

async fn limited<T>(
    deadline: Instant,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout_at(deadline, call).await {
        Ok(result) => result.map(Response::into_inner),
        Err(_) => Err(Status::new(Code::DeadlineExceeded, "context deadline exceeded")),
    }
}
