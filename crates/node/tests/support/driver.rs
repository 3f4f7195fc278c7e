//! A CSI driver on real sockets that records its calls and fails when told to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokenward_csi::v1::node_server::{Node, NodeServer};
use tokenward_csi::v1::node_service_capability::rpc::Type as RpcType;
use tokenward_csi::v1::node_service_capability::{Rpc, Type as CapabilityType};
use tokenward_csi::v1::*;
use tokenward_transport::registration::registration_server::{Registration, RegistrationServer};
use tokenward_transport::registration::{
    InfoRequest, PluginInfo, RegistrationStatus, RegistrationStatusResponse,
};
use tokenward_transport::{Services, SocketPath, bind, serve};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

/// One recorded call.
#[derive(Clone, PartialEq)]
pub enum Call {
    Stage(NodeStageVolumeRequest),
    Publish(NodePublishVolumeRequest),
    Unpublish(NodeUnpublishVolumeRequest),
    Unstage(NodeUnstageVolumeRequest),
}

impl Call {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stage(_) => "NodeStageVolume",
            Self::Publish(_) => "NodePublishVolume",
            Self::Unpublish(_) => "NodeUnpublishVolume",
            Self::Unstage(_) => "NodeUnstageVolume",
        }
    }

    pub fn publish(&self) -> Option<&NodePublishVolumeRequest> {
        match self {
            Self::Publish(request) => Some(request),
            _ => None,
        }
    }
}

/// What a driver does on the node's machine when it is called.
pub type Effect = Arc<dyn Fn(&Call) -> Result<(), Status> + Send + Sync>;

/// Says what the driver answers to a method instead of success.
pub type Fault = (Code, String);

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    capability_probes: usize,
    statuses: Vec<RegistrationStatus>,
    faults: BTreeMap<&'static str, Fault>,
    /// Echoes the whole request in its error, as bad drivers do.
    echo: bool,
    gate: Option<Arc<Semaphore>>,
    nameless: bool,
    versions: Vec<String>,
    topology: BTreeMap<String, String>,
    volume_limit: i64,
    effect: Option<Effect>,
}

/// The driver. Clones share what was recorded.
#[derive(Clone)]
pub struct FakeDriver {
    pub name: String,
    capabilities: Vec<RpcType>,
    endpoint: String,
    state: Arc<Mutex<State>>,
}

/// A driver that is being served; dropped or stopped, its sockets go.
pub struct Served {
    stop: CancellationToken,
    servers: Vec<JoinHandle<()>>,
}

/// A driver served by a runtime of its own, so that it can die as a process does.
pub struct ServedApart(Option<Runtime>);

impl ServedApart {
    /// Dies without a word, calls in progress included.
    pub fn kill(mut self) {
        self.0.take().unwrap().shutdown_background();
    }
}

impl Drop for ServedApart {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Served {
    pub async fn stop(mut self) {
        self.stop.cancel();
        for server in self.servers.drain(..) {
            server.await.unwrap();
        }
    }
}

impl FakeDriver {
    pub fn new(root: &Path, name: &str, capabilities: &[RpcType]) -> Self {
        Self {
            name: name.to_owned(),
            capabilities: capabilities.to_vec(),
            endpoint: Self::socket(root, name).display().to_string(),
            state: Arc::default(),
        }
    }

    pub fn socket(root: &Path, name: &str) -> PathBuf {
        root.join("plugins").join(name).join("csi.sock")
    }

    pub fn registration_socket(root: &Path, name: &str) -> PathBuf {
        root.join("plugins_registry").join(format!("{name}-reg.sock"))
    }

    /// Serves the CSI socket and, if wanted, the registration socket.
    pub async fn serve(&self, root: &Path, register: bool) -> Served {
        let stop = CancellationToken::new();
        let mut servers = Vec::new();
        let mut sockets =
            vec![(Self::socket(root, &self.name), Services::new().with(NodeServer::new(self.clone())))];
        if register {
            let services = Services::new().with(RegistrationServer::new(self.clone()));
            sockets.push((Self::registration_socket(root, &self.name), services));
        }
        for (path, services) in sockets {
            let socket = bind(&SocketPath::new(path).unwrap()).await.unwrap();
            let stop = stop.clone();
            servers.push(tokio::spawn(async move { serve(socket, services, stop).await.unwrap() }));
        }
        Served { stop, servers }
    }

    /// As [`FakeDriver::serve`], on a runtime of its own.
    pub async fn serve_apart(&self, root: &Path) -> ServedApart {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (driver, root) = (self.clone(), root.to_owned());
        runtime.spawn(async move { std::mem::forget(driver.serve(&root, true).await) }).await.unwrap();
        ServedApart(Some(runtime))
    }

    /// Serves another registration socket only.
    pub async fn serve_registration(&self, root: &Path, socket: &str) -> Served {
        let stop = CancellationToken::new();
        let path = root.join("plugins_registry").join(socket);
        let socket = bind(&SocketPath::new(path).unwrap()).await.unwrap();
        let services = Services::new().with(RegistrationServer::new(self.clone()));
        let server = tokio::spawn({
            let stop = stop.clone();
            async move { serve(socket, services, stop).await.unwrap() }
        });
        Served { stop, servers: vec![server] }
    }

    pub fn calls(&self) -> Vec<Call> {
        self.state.lock().calls.clone()
    }

    pub fn publishes(&self) -> Vec<NodePublishVolumeRequest> {
        self.calls().iter().filter_map(Call::publish).cloned().collect()
    }

    pub fn count(&self, name: &str) -> usize {
        self.state.lock().calls.iter().filter(|call| call.name() == name).count()
    }

    pub fn capability_probes(&self) -> usize {
        self.state.lock().capability_probes
    }

    pub fn statuses(&self) -> Vec<RegistrationStatus> {
        self.state.lock().statuses.clone()
    }

    pub fn fail(&self, method: &'static str, code: Code, message: &str) {
        self.state.lock().faults.insert(method, (code, message.to_owned()));
    }

    pub fn recover(&self) {
        self.state.lock().faults.clear();
    }

    /// The versions that it registers with.
    pub fn set_versions(&self, versions: &[&str]) {
        self.state.lock().versions = versions.iter().map(|&version| version.to_owned()).collect();
    }

    /// What its NodeGetInfo says of the node's place.
    pub fn set_topology(&self, segments: &[(&str, &str)]) {
        self.state.lock().topology =
            segments.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    }

    /// What its NodeGetInfo says of how many volumes fit.
    pub fn set_volume_limit(&self, limit: i64) {
        self.state.lock().volume_limit = limit;
    }

    /// From now on its NodeGetInfo has no node id.
    pub fn forget_node_id(&self) {
        self.state.lock().nameless = true;
    }

    /// From now on it does this in its calls; publishes make no directory of their own then.
    pub fn act(&self, effect: Effect) {
        self.state.lock().effect = Some(effect);
    }

    pub fn echo_requests(&self) {
        self.state.lock().echo = true;
    }

    /// From now on publishes wait for a permit, after being recorded.
    pub fn hold_publishes(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.state.lock().gate = Some(Arc::clone(&gate));
        gate
    }

    fn answer<T: Default>(&self, call: Call, echo: impl FnOnce() -> String) -> Result<Response<T>, Status> {
        let mut state = self.state.lock();
        let name = call.name();
        if let Some(effect) = state.effect.clone() {
            state.calls.push(call.clone());
            drop(state);
            return effect(&call).map(|()| Response::new(T::default()));
        }
        state.calls.push(call);
        match state.faults.get(name) {
            Some((code, message)) => {
                let message = if state.echo { format!("{message}: {}", echo()) } else { message.clone() };
                Err(Status::new(*code, message))
            }
            None => Ok(Response::new(T::default())),
        }
    }
}

#[tonic::async_trait]
impl Node for FakeDriver {
    async fn node_stage_volume(
        &self,
        request: Request<NodeStageVolumeRequest>,
    ) -> Result<Response<NodeStageVolumeResponse>, Status> {
        self.answer(Call::Stage(request.into_inner()), String::new)
    }

    async fn node_unstage_volume(
        &self,
        request: Request<NodeUnstageVolumeRequest>,
    ) -> Result<Response<NodeUnstageVolumeResponse>, Status> {
        self.answer(Call::Unstage(request.into_inner()), String::new)
    }

    async fn node_publish_volume(
        &self,
        request: Request<NodePublishVolumeRequest>,
    ) -> Result<Response<NodePublishVolumeResponse>, Status> {
        let request = request.into_inner();
        let target = PathBuf::from(&request.target_path);
        let echo = format!("{:?} {:?}", request.secrets, request.volume_context);
        let answer = self.answer(Call::Publish(request), || echo);
        let gate = self.state.lock().gate.clone();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        if answer.is_ok() && self.state.lock().effect.is_none() {
            std::fs::create_dir_all(target).unwrap();
        }
        answer
    }

    async fn node_unpublish_volume(
        &self,
        request: Request<NodeUnpublishVolumeRequest>,
    ) -> Result<Response<NodeUnpublishVolumeResponse>, Status> {
        self.answer(Call::Unpublish(request.into_inner()), String::new)
    }

    async fn node_get_volume_stats(
        &self,
        _: Request<NodeGetVolumeStatsRequest>,
    ) -> Result<Response<NodeGetVolumeStatsResponse>, Status> {
        Err(Status::unimplemented("no stats"))
    }

    async fn node_expand_volume(
        &self,
        _: Request<NodeExpandVolumeRequest>,
    ) -> Result<Response<NodeExpandVolumeResponse>, Status> {
        Err(Status::unimplemented("no expansion"))
    }

    async fn node_get_capabilities(
        &self,
        _: Request<NodeGetCapabilitiesRequest>,
    ) -> Result<Response<NodeGetCapabilitiesResponse>, Status> {
        self.state.lock().capability_probes += 1;
        let capabilities = self
            .capabilities
            .iter()
            .map(|&kind| NodeServiceCapability {
                r#type: Some(CapabilityType::Rpc(Rpc { r#type: kind as i32 })),
            })
            .collect();
        Ok(Response::new(NodeGetCapabilitiesResponse { capabilities }))
    }

    async fn node_get_info(
        &self,
        _: Request<NodeGetInfoRequest>,
    ) -> Result<Response<NodeGetInfoResponse>, Status> {
        let state = self.state.lock();
        let segments = state.topology.clone();
        Ok(Response::new(NodeGetInfoResponse {
            node_id: if state.nameless { String::new() } else { format!("{}-node", self.name) },
            max_volumes_per_node: state.volume_limit,
            accessible_topology: (!segments.is_empty()).then_some(Topology { segments }),
        }))
    }
}

#[tonic::async_trait]
impl Registration for FakeDriver {
    async fn get_info(&self, _: Request<InfoRequest>) -> Result<Response<PluginInfo>, Status> {
        let versions = self.state.lock().versions.clone();
        Ok(Response::new(PluginInfo {
            r#type: "CSIPlugin".to_owned(),
            name: self.name.clone(),
            endpoint: self.endpoint.clone(),
            supported_versions: if versions.is_empty() { vec!["1.0.0".to_owned()] } else { versions },
        }))
    }

    async fn notify_registration_status(
        &self,
        status: Request<RegistrationStatus>,
    ) -> Result<Response<RegistrationStatusResponse>, Status> {
        self.state.lock().statuses.push(status.into_inner());
        Ok(Response::new(RegistrationStatusResponse {}))
    }
}
