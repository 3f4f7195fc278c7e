//! A plugin with a driver that does what the test says, and its caller.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokenward_driver::csi::v1::controller_server::Controller;
use tokenward_driver::csi::v1::node_client::NodeClient;
use tokenward_driver::csi::v1::node_server::Node;
use tokenward_driver::csi::v1::*;
use tokenward_driver::{CallContext, DriverName, Endpoint, Metrics, Plugin, ServeError, SocketPath};
use tokenward_transport::connect;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

pub(crate) const TOKENS_KEY: &str = "csi.storage.k8s.io/serviceAccount.tokens";
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// A driver that does what the volume's name says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scripted(Arc<Script>);

#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) entered: Notify,
    pub(crate) ended: AtomicUsize,
    pub(crate) cancelled: Notify,
    pub(crate) gate: Semaphore,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            entered: Notify::new(),
            ended: AtomicUsize::new(0),
            cancelled: Notify::new(),
            gate: Semaphore::new(0),
        }
    }
}

pub(crate) fn name() -> DriverName {
    DriverName::parse("scripted.tokenward.dev").unwrap()
}

#[tonic::async_trait]
impl Node for Scripted {
    async fn node_publish_volume(
        &self,
        request: Request<NodePublishVolumeRequest>,
    ) -> Result<Response<NodePublishVolumeResponse>, Status> {
        let call = CallContext::of(&request);
        let request = request.into_inner();
        let script = Arc::clone(&self.0);
        match request.volume_id.as_str() {
            "echo" => {
                // What a careless driver does: puts the request into the message, and more of it into the details.
                let said = format!("{:?} {:?}", request.secrets, request.volume_context);
                return Err(Status::with_details(Code::NotFound, said.clone(), said.into_bytes().into()));
            }
            "panic" => panic!("as the test wants it"),
            "blocking panic" => call.blocking(|| panic!("as the test wants it")).await?,
            waiting if waiting.starts_with("wait") => {
                script.entered.notify_one();
                script.gate.acquire().await.unwrap().forget();
                script.ended.fetch_add(1, Ordering::AcqRel);
            }
            "for ever" => {
                script.entered.notify_one();
                call.over().await;
                script.cancelled.notify_one();
                call.run(std::future::pending::<()>()).await?;
            }
            "never ends" => {
                script.entered.notify_one();
                std::future::pending::<()>().await;
            }
            "blocking" => {
                let inside = Arc::clone(&script);
                call.blocking(move || {
                    inside.entered.notify_one();
                    while inside.gate.try_acquire().map(tokio::sync::SemaphorePermit::forget).is_err() {
                        std::thread::yield_now();
                    }
                    inside.ended.fetch_add(1, Ordering::AcqRel);
                    Ok(())
                })
                .await?;
            }
            _ => {}
        }
        Ok(Response::new(NodePublishVolumeResponse::default()))
    }

    async fn node_unpublish_volume(
        &self,
        _: Request<NodeUnpublishVolumeRequest>,
    ) -> Result<Response<NodeUnpublishVolumeResponse>, Status> {
        Ok(Response::new(NodeUnpublishVolumeResponse::default()))
    }

    async fn node_get_info(
        &self,
        _: Request<NodeGetInfoRequest>,
    ) -> Result<Response<NodeGetInfoResponse>, Status> {
        Ok(Response::new(NodeGetInfoResponse { node_id: "node-1".to_owned(), ..Default::default() }))
    }
}

/// A controller that echoes what it is told.
pub(crate) struct Echoing;

#[tonic::async_trait]
impl Controller for Echoing {
    async fn create_volume(
        &self,
        request: Request<CreateVolumeRequest>,
    ) -> Result<Response<CreateVolumeResponse>, Status> {
        Err(Status::unavailable(format!("{:?}", request.into_inner().secrets)))
    }
}

pub(crate) struct Running {
    pub(crate) endpoint: Endpoint,
    pub(crate) http: SocketAddr,
    pub(crate) metrics: Metrics,
    pub(crate) channel: Channel,
    pub(crate) script: Arc<Script>,
    pub(crate) cancel: CancellationToken,
    served: JoinHandle<Result<(), ServeError>>,
    directory: tempfile::TempDir,
}

impl Running {
    pub(crate) fn node(&self) -> NodeClient<Channel> {
        NodeClient::new(self.channel.clone())
    }

    pub(crate) fn socket(&self) -> &SocketPath {
        match &self.endpoint {
            Endpoint::Unix(path) => path,
            Endpoint::Tcp(address) => panic!("served at {address}"),
        }
    }

    pub(crate) fn registration_socket(&self) -> SocketPath {
        SocketPath::new(registry(self.directory.path()).join("scripted.tokenward.dev-reg.sock")).unwrap()
    }

    pub(crate) async fn stop(self) {
        let socket = self.socket().clone();
        self.cancel.cancel();
        tokio::time::timeout(LIMIT, self.served).await.unwrap().unwrap().unwrap();
        assert!(!socket.as_path().exists());
        assert_eq!(std::fs::read_dir(registry(self.directory.path())).unwrap().count(), 0);
    }
}

fn registry(directory: &Path) -> PathBuf {
    directory.join("registry")
}

pub(crate) async fn start(change: impl FnOnce(Plugin<Scripted>) -> Plugin<Scripted>) -> Running {
    let directory = tempfile::tempdir().unwrap();
    let endpoint = SocketPath::new(directory.path().join("csi.sock")).unwrap();
    let driver = Scripted::default();
    let script = Arc::clone(&driver.0);
    let cancel = CancellationToken::new();
    let plugin = Plugin::new(name(), "1.2.3", endpoint.clone(), driver)
        .register_in(registry(directory.path()))
        .http(([127, 0, 0, 1], 0));
    let plugin = change(plugin).with_controller(Echoing);
    let metrics = plugin.metrics();
    let bound = plugin.bind().await.unwrap();
    let (http, at) = (bound.http_address().unwrap(), bound.endpoint());
    let served = tokio::spawn(bound.serve(cancel.clone()));
    let channel = connected(&endpoint).await;
    Running { endpoint: at, http, metrics, channel, script, cancel, served, directory }
}

/// A call that hangs is a failure, and not a test that never ends.
pub(crate) async fn within<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, call).await.expect("answered in time")
}

pub(crate) async fn connected(path: &SocketPath) -> Channel {
    within(async {
        loop {
            match connect(path).await {
                Ok(channel) => return channel,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await
}

pub(crate) fn publish(volume_id: &str) -> NodePublishVolumeRequest {
    NodePublishVolumeRequest { volume_id: volume_id.to_owned(), ..Default::default() }
}
