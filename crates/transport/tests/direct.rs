//! Calls on a connection that is used as it is: what must arrive whole, what must end, and what must be noticed. Without it a node
//! waits for a driver that has gone, or takes a cut answer for a whole one.
#![expect(clippy::unwrap_used, reason = "a test's own world that does not stand up should stop the test")]

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;
use tokenward_transport::registration::registration_client::RegistrationClient;
use tokenward_transport::registration::registration_server::{Registration, RegistrationServer};
use tokenward_transport::registration::{
    InfoRequest, PluginInfo, RegistrationStatus, RegistrationStatusResponse,
};
use tokenward_transport::{ConnectError, DirectChannel, Services, SocketPath, bind, serve};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

/// Longer than any of this takes; only a failure waits for it.
const LIMIT: Duration = Duration::from_secs(20);

/// Much more than HTTP/2 lets through at once, and less than gRPC takes for a message.
const LARGE: usize = 3 << 20;

#[derive(Clone, Default)]
struct Plugin {
    /// How long its name is.
    length: usize,
    told: Arc<Mutex<Vec<usize>>>,
    given_up: Arc<Notify>,
}

/// Tells when the call it belongs to ends without an answer.
struct GivenUp(Arc<Notify>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tonic::async_trait]
impl Registration for Plugin {
    async fn get_info(&self, request: Request<InfoRequest>) -> Result<Response<PluginInfo>, Status> {
        assert!(request.metadata().get("user-agent").unwrap().to_str().unwrap().starts_with("tokenward/"));
        Ok(Response::new(PluginInfo { name: "n".repeat(self.length), ..PluginInfo::default() }))
    }

    async fn notify_registration_status(
        &self,
        status: Request<RegistrationStatus>,
    ) -> Result<Response<RegistrationStatusResponse>, Status> {
        let status = status.into_inner();
        self.told.lock().push(status.error.len());
        if status.plugin_registered {
            let _given_up = GivenUp(Arc::clone(&self.given_up));
            std::future::pending::<()>().await;
        }
        Err(Status::failed_precondition("not now: \u{e4} %"))
    }
}

struct World {
    plugin: Plugin,
    path: SocketPath,
    stop: CancellationToken,
    served: JoinHandle<()>,
    _directory: TempDir,
}

impl World {
    async fn start(length: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = SocketPath::new(directory.path().join("d.sock")).unwrap();
        let plugin = Plugin { length, ..Plugin::default() };
        let (socket, stop) = (bind(&path).await.unwrap(), CancellationToken::new());
        let services = Services::new().with(RegistrationServer::new(plugin.clone()));
        let ended = stop.clone();
        let served = tokio::spawn(async move { serve(socket, services, ended).await.unwrap() });
        Self { plugin, path, stop, served, _directory: directory }
    }

    async fn connect(&self) -> (DirectChannel, RegistrationClient<DirectChannel>) {
        let channel = DirectChannel::connect(&self.path).await.unwrap();
        (channel.clone(), RegistrationClient::with_origin(channel, DirectChannel::origin()))
    }
}

fn status(plugin_registered: bool, length: usize) -> RegistrationStatus {
    RegistrationStatus { plugin_registered, error: "e".repeat(length) }
}

#[tokio::test]
async fn messages_of_any_length_arrive_whole() {
    for length in [0, 1, 300, 70_000, LARGE] {
        let world = World::start(length).await;
        let (channel, mut client) = world.connect().await;
        // More than once: what was read makes room for more.
        for _ in 0..3 {
            let info = client.get_info(InfoRequest {}).await.unwrap().into_inner();
            assert_eq!(info.name.len(), length);
            let refused = client.notify_registration_status(status(false, length)).await.unwrap_err();
            assert_eq!((refused.code(), refused.message()), (Code::FailedPrecondition, "not now: \u{e4} %"));
            assert!(
                std::error::Error::source(&refused).is_none(),
                "the server has said it, not the connection"
            );
        }
        assert_eq!(*world.plugin.told.lock(), [length; 3]);
        assert!(!channel.is_closed());
    }
}

#[tokio::test]
async fn many_calls_share_a_connection() {
    let world = World::start(5_000).await;
    let (_channel, client) = world.connect().await;
    let calls: Vec<_> = (0..300)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(
                async move { client.get_info(InfoRequest {}).await.unwrap().into_inner().name.len() },
            )
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 5_000);
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_ends_at_the_server_and_harms_no_other() {
    let world = World::start(1).await;
    let (_channel, mut client) = world.connect().await;
    let mut waiting = client.clone();
    let call = tokio::spawn(async move { waiting.notify_registration_status(status(true, 0)).await });
    while world.plugin.told.lock().is_empty() {
        client.get_info(InfoRequest {}).await.unwrap();
    }
    call.abort();
    tokio::time::timeout(LIMIT, world.plugin.given_up.notified()).await.unwrap();
    client.get_info(InfoRequest {}).await.unwrap();
}

#[tokio::test]
async fn a_server_that_has_gone_is_noticed() {
    let world = World::start(1).await;
    let (channel, mut client) = world.connect().await;
    client.get_info(InfoRequest {}).await.unwrap();
    world.stop.cancel();
    tokio::time::timeout(LIMIT, world.served).await.unwrap().unwrap();
    let error = client.get_info(InfoRequest {}).await.unwrap_err();
    assert!(std::error::Error::source(&error).is_some(), "the connection has said it: {error:?}");
    tokio::time::timeout(LIMIT, async {
        while !channel.is_closed() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let nobody = DirectChannel::connect(&world.path).await.err().unwrap();
    assert!(matches!(nobody, ConnectError::Missing { .. }), "{nobody}");
}

/// A call from before still goes on; another would be lost.
#[tokio::test]
async fn a_server_that_takes_no_more_calls_is_noticed() {
    let world = World::start(1).await;
    let (channel, client) = world.connect().await;
    let mut waiting = client.clone();
    let call = tokio::spawn(async move { waiting.notify_registration_status(status(true, 0)).await });
    let noticed = async {
        while world.plugin.told.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(!channel.is_closed());
        world.stop.cancel();
        while !channel.is_closed() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, noticed).await.unwrap();
    assert!(!world.served.is_finished(), "noticed while the server still ends");
    call.abort();
}

/// How often this thread has gone to sleep.
fn sleeps() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

/// Once, for the answer. That the server has read the request is no reason to wake.
#[test]
fn a_call_sleeps_once() {
    const CALLS: u64 = 500;
    let apart = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let world = apart.block_on(async { tokio::spawn(World::start(10)).await.unwrap() });
    let here = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    here.block_on(async {
        let (_channel, mut client) = world.connect().await;
        client.get_info(InfoRequest {}).await.unwrap();
        let before = sleeps();
        for _ in 0..CALLS {
            client.get_info(InfoRequest {}).await.unwrap();
        }
        let slept = sleeps() - before;
        assert!(slept <= CALLS + CALLS / 10, "{slept} times in {CALLS} calls");
    });
}
