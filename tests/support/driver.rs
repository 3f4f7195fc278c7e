//! A CSI driver that runs in the test, on a real socket: it keeps what came off the wire, and fails as it is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use tokenward_csi::v1::node_server::{Node, NodeServer};
use tokenward_csi::v1::{
    NodeExpandVolumeRequest, NodeExpandVolumeResponse, NodeGetCapabilitiesRequest,
    NodeGetCapabilitiesResponse, NodeGetInfoRequest, NodeGetInfoResponse, NodeGetVolumeStatsRequest,
    NodeGetVolumeStatsResponse, NodePublishVolumeRequest, NodePublishVolumeResponse, NodeStageVolumeRequest,
    NodeStageVolumeResponse, NodeUnpublishVolumeRequest, NodeUnpublishVolumeResponse,
    NodeUnstageVolumeRequest, NodeUnstageVolumeResponse,
};
use tokenward_transport::{Services, SocketPath, bind, serve};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::LIMIT;
use super::place::Place;
use super::tokens::tokens_of;

/// What the driver does with NodePublishVolume.
#[derive(Clone)]
pub(crate) enum Manner {
    /// Makes the volume.
    Publish,
    /// Refuses, and puts the whole request into its message, as careless drivers do.
    Echo,
    /// Does not answer before a permit comes, then makes the volume.
    Hang(Arc<Semaphore>),
}

impl Manner {
    /// Never answers.
    pub(crate) fn hang() -> Self {
        Self::Hang(Arc::new(Semaphore::new(0)))
    }
}

/// The driver. It stops when this is dropped.
pub(crate) struct RecordingDriver {
    name: String,
    socket: PathBuf,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

#[derive(Default)]
struct Shared {
    record: Mutex<Record>,
    changed: Condvar,
}

/// What came off the wire.
pub(crate) struct Record {
    manner: Manner,
    pub(crate) publishes: Vec<Publish>,
    /// Target paths.
    pub(crate) unpublishes: Vec<String>,
}

/// A NodePublishVolume request: its two maps, bare of the type whose `Debug` hides them.
#[derive(Clone)]
pub(crate) struct Publish {
    pub(crate) secrets: BTreeMap<String, String>,
    pub(crate) volume_context: BTreeMap<String, String>,
    pub(crate) target_path: String,
}

impl Publish {
    /// The pod, as the node tells it (`podInfoOnMount`).
    pub(crate) fn pod(&self) -> &str {
        &self.volume_context["csi.storage.k8s.io/pod.name"]
    }

    /// All tokens of the request, wherever they are.
    pub(crate) fn tokens(&self) -> BTreeMap<String, String> {
        tokens_of(&self.secrets).or_else(|| tokens_of(&self.volume_context)).unwrap_or_default()
    }
}

impl Default for Record {
    fn default() -> Self {
        Self { manner: Manner::Publish, publishes: Vec::new(), unpublishes: Vec::new() }
    }
}

impl RecordingDriver {
    /// Starts a driver in a place.
    pub(crate) fn start(place: &Place, name: &str, manner: Manner) -> Self {
        let socket = place.file(&format!("{name}.driver"));
        let mut driver = Self { name: name.to_owned(), socket, shared: Arc::default(), runtime: None };
        driver.behave(manner);
        driver.come_back();
        driver
    }

    /// For `--driver-endpoint`.
    pub(crate) fn endpoint(&self) -> String {
        format!("{}=unix://{}", self.name, self.socket.display())
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(crate) fn behave(&self, manner: Manner) {
        self.shared.record.lock().manner = manner;
    }

    /// Ends at once: connections break, calls stay without an answer.
    pub(crate) fn die(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(LIMIT);
        }
    }

    /// Listens again after it died.
    pub(crate) fn come_back(&mut self) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let socket = runtime.block_on(bind(&SocketPath::new(self.socket.clone()).unwrap())).unwrap();
        let services = Services::new().with(NodeServer::new(Service(Arc::clone(&self.shared))));
        runtime.spawn(serve(socket, services, CancellationToken::new()));
        self.runtime = Some(runtime);
    }

    /// Waits until the record has what is wanted.
    pub(crate) fn wait_for<T>(&self, what: &str, probe: impl Fn(&Record) -> Option<T>) -> T {
        let deadline = Instant::now() + LIMIT;
        let mut record = self.shared.record.lock();
        loop {
            if let Some(found) = probe(&record) {
                return found;
            }
            if self.shared.changed.wait_until(&mut record, deadline).timed_out() {
                panic!("waited in vain for {what} at the driver {}", self.name);
            }
        }
    }

    /// Waits for the first publish for a pod.
    pub(crate) fn publish_for(&self, pod: &str) -> Publish {
        self.wait_for("a publish", |record| {
            record.publishes.iter().find(|publish| publish.pod() == pod).cloned()
        })
    }

    /// Waits until a target has been unpublished.
    pub(crate) fn unpublished(&self, target_path: &str) {
        self.wait_for("an unpublish", |record| {
            record.unpublishes.iter().any(|unpublished| unpublished == target_path).then_some(())
        });
    }

    /// All publishes so far.
    pub(crate) fn publishes(&self) -> Vec<Publish> {
        self.shared.record.lock().publishes.clone()
    }

    /// All unpublishes so far.
    pub(crate) fn unpublishes(&self) -> Vec<String> {
        self.shared.record.lock().unpublishes.clone()
    }
}

impl Drop for RecordingDriver {
    fn drop(&mut self) {
        self.die();
    }
}

struct Service(Arc<Shared>);

#[tonic::async_trait]
impl Node for Service {
    async fn node_publish_volume(
        &self,
        request: Request<NodePublishVolumeRequest>,
    ) -> Result<Response<NodePublishVolumeResponse>, Status> {
        let NodePublishVolumeRequest { secrets, volume_context, target_path, .. } = request.into_inner();
        let publish = Publish { secrets, volume_context, target_path };
        let manner = {
            let mut record = self.0.record.lock();
            record.publishes.push(publish.clone());
            record.manner.clone()
        };
        self.0.changed.notify_all();
        match manner {
            Manner::Publish => {}
            Manner::Echo => {
                let Publish { secrets, volume_context, target_path } = &publish;
                return Err(Status::invalid_argument(format!(
                    "will not do that: {target_path} {secrets:?} {volume_context:?}"
                )));
            }
            Manner::Hang(permits) => permits.acquire().await.unwrap().forget(),
        }
        std::fs::create_dir_all(&publish.target_path).unwrap();
        Ok(Response::new(NodePublishVolumeResponse::default()))
    }

    async fn node_unpublish_volume(
        &self,
        request: Request<NodeUnpublishVolumeRequest>,
    ) -> Result<Response<NodeUnpublishVolumeResponse>, Status> {
        let target_path = request.into_inner().target_path;
        // It may be called again for a volume that is gone.
        let _ = std::fs::remove_dir(&target_path);
        self.0.record.lock().unpublishes.push(target_path);
        self.0.changed.notify_all();
        Ok(Response::new(NodeUnpublishVolumeResponse::default()))
    }

    async fn node_get_info(
        &self,
        _: Request<NodeGetInfoRequest>,
    ) -> Result<Response<NodeGetInfoResponse>, Status> {
        Ok(Response::new(NodeGetInfoResponse { node_id: "recorded".to_owned(), ..Default::default() }))
    }

    async fn node_get_capabilities(
        &self,
        _: Request<NodeGetCapabilitiesRequest>,
    ) -> Result<Response<NodeGetCapabilitiesResponse>, Status> {
        Ok(Response::new(NodeGetCapabilitiesResponse::default()))
    }

    async fn node_stage_volume(
        &self,
        _: Request<NodeStageVolumeRequest>,
    ) -> Result<Response<NodeStageVolumeResponse>, Status> {
        Err(Status::unimplemented("no staging"))
    }

    async fn node_unstage_volume(
        &self,
        _: Request<NodeUnstageVolumeRequest>,
    ) -> Result<Response<NodeUnstageVolumeResponse>, Status> {
        Err(Status::unimplemented("no staging"))
    }

    async fn node_get_volume_stats(
        &self,
        _: Request<NodeGetVolumeStatsRequest>,
    ) -> Result<Response<NodeGetVolumeStatsResponse>, Status> {
        Err(Status::unimplemented("no statistics"))
    }

    async fn node_expand_volume(
        &self,
        _: Request<NodeExpandVolumeRequest>,
    ) -> Result<Response<NodeExpandVolumeResponse>, Status> {
        Err(Status::unimplemented("no expansion"))
    }
}
