//! A plugin on real sockets: who it is, how it registers, one operation at a time for a volume, and what its answers may say.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokenward_driver::csi::v1::identity_client::IdentityClient;
use tokenward_driver::csi::v1::node_client::NodeClient;
use tokenward_driver::csi::v1::node_server::Node;
use tokenward_driver::csi::v1::*;
use tokenward_driver::{DriverName, Plugin, ServeError, SocketPath, not_offered};
use tokenward_transport::connect;
use tokenward_transport::registration::registration_client::RegistrationClient;
use tokenward_transport::registration::{InfoRequest, RegistrationStatus};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

const TOKENS_KEY: &str = "csi.storage.k8s.io/serviceAccount.tokens";
const LIMIT: Duration = Duration::from_secs(10);

/// A driver that does what the volume's name says.
#[derive(Clone, Default)]
struct Scripted(Arc<Script>);

struct Script {
    entered: Notify,
    ended: AtomicUsize,
    gate: Semaphore,
}

impl Default for Script {
    fn default() -> Self {
        Self { entered: Notify::new(), ended: AtomicUsize::new(0), gate: Semaphore::new(0) }
    }
}

fn name() -> DriverName {
    DriverName::parse("scripted.tokenward.dev").unwrap()
}

#[tonic::async_trait]
impl Node for Scripted {
    async fn node_publish_volume(
        &self,
        request: Request<NodePublishVolumeRequest>,
    ) -> Result<Response<NodePublishVolumeResponse>, Status> {
        let request = request.into_inner();
        match request.volume_id.as_str() {
            "echo" => {
                // What a careless driver does: puts the request into the message, and more of it into the details.
                let said = format!("{:?} {:?}", request.secrets, request.volume_context);
                Err(Status::with_details(Code::NotFound, said.clone(), said.into_bytes().into()))
            }
            "panic" => panic!("as the test wants it"),
            waiting if waiting.starts_with("wait") => {
                self.0.entered.notify_one();
                self.0.gate.acquire().await.unwrap().forget();
                self.0.ended.fetch_add(1, Ordering::AcqRel);
                Ok(Response::new(NodePublishVolumeResponse::default()))
            }
            _ => Ok(Response::new(NodePublishVolumeResponse::default())),
        }
    }

    async fn node_unpublish_volume(
        &self,
        _: Request<NodeUnpublishVolumeRequest>,
    ) -> Result<Response<NodeUnpublishVolumeResponse>, Status> {
        Ok(Response::new(NodeUnpublishVolumeResponse::default()))
    }

    async fn node_stage_volume(
        &self,
        _: Request<NodeStageVolumeRequest>,
    ) -> Result<Response<NodeStageVolumeResponse>, Status> {
        Err(not_offered(&name(), "NodeStageVolume"))
    }

    async fn node_unstage_volume(
        &self,
        _: Request<NodeUnstageVolumeRequest>,
    ) -> Result<Response<NodeUnstageVolumeResponse>, Status> {
        Err(not_offered(&name(), "NodeUnstageVolume"))
    }

    async fn node_get_volume_stats(
        &self,
        _: Request<NodeGetVolumeStatsRequest>,
    ) -> Result<Response<NodeGetVolumeStatsResponse>, Status> {
        Err(not_offered(&name(), "NodeGetVolumeStats"))
    }

    async fn node_expand_volume(
        &self,
        _: Request<NodeExpandVolumeRequest>,
    ) -> Result<Response<NodeExpandVolumeResponse>, Status> {
        Err(not_offered(&name(), "NodeExpandVolume"))
    }

    async fn node_get_capabilities(
        &self,
        _: Request<NodeGetCapabilitiesRequest>,
    ) -> Result<Response<NodeGetCapabilitiesResponse>, Status> {
        Ok(Response::new(NodeGetCapabilitiesResponse::default()))
    }

    async fn node_get_info(
        &self,
        _: Request<NodeGetInfoRequest>,
    ) -> Result<Response<NodeGetInfoResponse>, Status> {
        Ok(Response::new(NodeGetInfoResponse { node_id: "node-1".to_owned(), ..Default::default() }))
    }
}

struct Running {
    endpoint: SocketPath,
    channel: Channel,
    script: Arc<Script>,
    cancel: CancellationToken,
    served: JoinHandle<Result<(), ServeError>>,
    directory: tempfile::TempDir,
}

impl Running {
    fn registration_socket(&self) -> SocketPath {
        SocketPath::new(registry(self.directory.path()).join("scripted.tokenward.dev-reg.sock")).unwrap()
    }

    async fn stop(self) {
        self.cancel.cancel();
        tokio::time::timeout(LIMIT, self.served).await.unwrap().unwrap().unwrap();
        assert!(!self.endpoint.as_path().exists());
        assert_eq!(std::fs::read_dir(registry(self.directory.path())).unwrap().count(), 0);
    }
}

fn registry(directory: &Path) -> std::path::PathBuf {
    directory.join("registry")
}

async fn start(lock_wait: Duration) -> Running {
    let directory = tempfile::tempdir().unwrap();
    let endpoint = SocketPath::new(directory.path().join("csi.sock")).unwrap();
    let driver = Scripted::default();
    let script = Arc::clone(&driver.0);
    let cancel = CancellationToken::new();
    let plugin = Plugin::new(name(), "1.2.3", endpoint.clone(), driver)
        .register_in(registry(directory.path()))
        .lock_wait(lock_wait);
    let served = tokio::spawn(plugin.serve(cancel.clone()));
    let channel = connected(&endpoint).await;
    Running { endpoint, channel, script, cancel, served, directory }
}

/// A call that hangs is a failure, and not a test that never ends.
async fn within<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, call).await.expect("answered in time")
}

async fn connected(path: &SocketPath) -> Channel {
    tokio::time::timeout(LIMIT, async {
        loop {
            match connect(path).await {
                Ok(channel) => return channel,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await
    .unwrap()
}

fn publish(volume_id: &str) -> NodePublishVolumeRequest {
    NodePublishVolumeRequest { volume_id: volume_id.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn identity_and_registration() {
    let running = start(LIMIT).await;
    let mut identity = IdentityClient::new(running.channel.clone());
    let info = identity.get_plugin_info(GetPluginInfoRequest {}).await.unwrap().into_inner();
    assert_eq!((info.name.as_str(), info.vendor_version.as_str()), ("scripted.tokenward.dev", "1.2.3"));
    assert_eq!(identity.probe(ProbeRequest {}).await.unwrap().into_inner().ready, Some(true));
    let capabilities =
        identity.get_plugin_capabilities(GetPluginCapabilitiesRequest {}).await.unwrap().into_inner();
    assert!(capabilities.capabilities.is_empty());

    let mut registration = RegistrationClient::new(connected(&running.registration_socket()).await);
    let info = registration.get_info(InfoRequest {}).await.unwrap().into_inner();
    assert_eq!((info.r#type.as_str(), info.name.as_str()), ("CSIPlugin", "scripted.tokenward.dev"));
    assert_eq!(info.endpoint, running.endpoint.as_path().to_str().unwrap());
    assert_eq!(info.supported_versions, ["1.0.0"]);
    let good = RegistrationStatus { plugin_registered: true, error: String::new() };
    registration.notify_registration_status(good).await.unwrap();
    running.stop().await;
}

/// The kubelet looks at a plugin that it has refused again only when the socket is another one.
#[tokio::test]
async fn a_refused_registration_makes_the_socket_anew() {
    use std::os::unix::fs::MetadataExt;
    let running = start(LIMIT).await;
    let socket = running.registration_socket();
    let mut registration = RegistrationClient::new(connected(&socket).await);
    let made = |metadata: std::fs::Metadata| (metadata.ino(), metadata.ctime(), metadata.ctime_nsec());
    let first = made(std::fs::metadata(socket.as_path()).unwrap());
    let refusal = RegistrationStatus { plugin_registered: false, error: "not now".to_owned() };
    registration.notify_registration_status(refusal).await.unwrap();
    drop(registration);
    tokio::time::timeout(LIMIT, async {
        while std::fs::metadata(socket.as_path()).map_or(true, |metadata| made(metadata) == first) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    RegistrationClient::new(connected(&socket).await).get_info(InfoRequest {}).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_volume_has_one_operation_at_a_time_and_others_do_not_wait() {
    let running = start(Duration::from_millis(20)).await;
    let mut node = NodeClient::new(running.channel.clone());
    let first = tokio::spawn({
        let mut node = node.clone();
        async move { node.node_publish_volume(publish("wait")).await }
    });
    running.script.entered.notified().await;
    let refused = within(node.node_publish_volume(publish("wait"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    assert!(
        refused.message().contains("an operation is in progress for volume `wait`"),
        "{}",
        refused.message()
    );
    let unpublish = NodeUnpublishVolumeRequest { volume_id: "wait".to_owned(), ..Default::default() };
    assert_eq!(within(node.node_unpublish_volume(unpublish)).await.unwrap_err().code(), Code::Aborted);
    within(node.node_publish_volume(publish("another"))).await.unwrap();

    running.script.gate.add_permits(2);
    first.await.unwrap().unwrap();
    node.node_publish_volume(publish("wait")).await.unwrap();
    running.stop().await;
}

/// A kubelet that gives up must not leave half an operation, nor one that runs beside the next.
#[tokio::test]
async fn a_call_runs_to_its_end_when_the_caller_goes_away_and_when_the_plugin_stops() {
    let running = start(Duration::from_millis(20)).await;
    let mut node = NodeClient::new(running.channel.clone());
    let abandoned = tokio::spawn({
        let mut node = node.clone();
        async move { node.node_publish_volume(publish("wait")).await }
    });
    running.script.entered.notified().await;
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    // Still locked: the driver works on it.
    assert_eq!(within(node.node_publish_volume(publish("wait"))).await.unwrap_err().code(), Code::Aborted);

    let answered = tokio::spawn({
        let mut node = node.clone();
        async move { node.node_publish_volume(publish("wait too")).await }
    });
    running.script.entered.notified().await;
    running.cancel.cancel();
    running.script.gate.add_permits(2);
    let script = Arc::clone(&running.script);
    running.stop().await;
    assert_eq!(script.ended.load(Ordering::Acquire), 2);
    answered.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_careless_driver_does_not_leak_and_a_panic_stays_inside() {
    let running = start(LIMIT).await;
    let mut node = NodeClient::new(running.channel.clone());
    let mut request = publish("echo");
    let tokens = r#"{"vault":{"token":"canary-opaque","expirationTimestamp":"2026-01-01T00:00:00Z"}}"#;
    request.secrets.insert(TOKENS_KEY.to_owned(), tokens.to_owned());
    request.secrets.insert("password".to_owned(), "canary-password".to_owned());
    request.volume_context.insert(TOKENS_KEY.to_owned(), "canary-unreadable-value".to_owned());
    request
        .volume_context
        .insert("plain".to_owned(), "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYW5hcnkifQ.canary".to_owned());
    let status = node.node_publish_volume(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.message().contains("***stripped***"));
    assert!(!status.message().contains("canary") && status.details().is_empty(), "{status:?}");

    let status = node.node_publish_volume(publish("panic")).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    node.node_publish_volume(publish("after")).await.unwrap();
    let status = node.node_stage_volume(NodeStageVolumeRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(
        status.message(),
        "the driver `scripted.tokenward.dev` does not offer NodeStageVolume; its capabilities do not list it"
    );
    running.stop().await;
}

#[tokio::test]
async fn a_socket_that_somebody_serves_is_an_error_that_says_so() {
    let running = start(LIMIT).await;
    let second = Plugin::new(name(), "1.2.3", running.endpoint.clone(), Scripted::default());
    let error = second.serve(CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, ServeError::Bind { .. }));
    let text = tokenward_driver::with_causes(&error);
    assert!(text.contains("scripted.tokenward.dev") && text.contains("in use"), "{text}");
    running.stop().await;
}

#[test]
fn driver_names() {
    let long = "a".repeat(63);
    for good in ["a", "token-files.tokenward.dev", "A_b", &long] {
        assert_eq!(DriverName::parse(good).unwrap().as_str(), good);
    }
    for bad in ["", "-a", "a-", "a/b", "..", &format!("{long}a")] {
        assert!(DriverName::parse(bad).is_err(), "{bad:?}");
    }
}
