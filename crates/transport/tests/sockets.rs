//! Real sockets: who gets a path, who does not, who may connect, and what a stop leaves behind.
#![expect(clippy::unwrap_used, reason = "a test's own world that does not stand up should stop the test")]

use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;
use tonic::{Code, Request, Response, Status};
use tower::Service;

use tokenward_csi::v1::ProbeRequest;
use tokenward_csi::v1::identity_client::IdentityClient;
use tokenward_transport::registration::registration_client::RegistrationClient;
use tokenward_transport::registration::registration_server::{Registration, RegistrationServer};
use tokenward_transport::registration::{
    InfoRequest, PluginInfo, RegistrationStatus, RegistrationStatusResponse,
};
use tokenward_transport::{
    BindError, ConnectError, ServeError, Services, SocketPath, SocketPathError, bind, connect, serve,
    serve_draining,
};

/// Longer than any of this takes; only a failure waits for it.
const LIMIT: Duration = Duration::from_secs(20);

/// Answers with its name; holds the answer back until released when asked to notify.
#[derive(Clone)]
struct Plugin {
    name: &'static str,
    entered: mpsc::UnboundedSender<()>,
    release: Arc<Notify>,
}

#[tonic::async_trait]
impl Registration for Plugin {
    async fn get_info(&self, _: Request<InfoRequest>) -> Result<Response<PluginInfo>, Status> {
        Ok(Response::new(PluginInfo { name: self.name.to_owned(), ..Default::default() }))
    }

    async fn notify_registration_status(
        &self,
        _: Request<RegistrationStatus>,
    ) -> Result<Response<RegistrationStatusResponse>, Status> {
        self.entered.send(()).unwrap();
        self.release.notified().await;
        Ok(Response::new(RegistrationStatusResponse {}))
    }
}

struct Server {
    stop: CancellationToken,
    served: JoinHandle<Result<(), ServeError>>,
    entered: mpsc::UnboundedReceiver<()>,
    release: Arc<Notify>,
}

impl Server {
    async fn start(path: &SocketPath, name: &'static str) -> Self {
        Self::start_draining(path, name, LIMIT).await
    }

    async fn start_draining(path: &SocketPath, name: &'static str, limit: Duration) -> Self {
        let (sender, entered) = mpsc::unbounded_channel();
        let release = Arc::new(Notify::new());
        let plugin = Plugin { name, entered: sender, release: Arc::clone(&release) };
        let services = Services::new().with(RegistrationServer::new(plugin));
        let stop = CancellationToken::new();
        let socket = bind(path).await.unwrap();
        let served = tokio::spawn(serve_draining(socket, services, stop.clone(), limit));
        Self { stop, served, entered, release }
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(LIMIT, self.served).await.unwrap().unwrap().unwrap();
    }
}

async fn name_served_at(path: &SocketPath) -> String {
    let mut client = RegistrationClient::new(connect(path).await.unwrap());
    client.get_info(InfoRequest {}).await.unwrap().into_inner().name
}

fn socket_in(directory: &Path) -> SocketPath {
    SocketPath::new(directory.join("csi.sock")).unwrap()
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// What a process leaves behind that was killed: a socket file that nobody serves.
#[expect(clippy::disallowed_methods, reason = "the ordinary way to bind, with all its faults, is the point")]
fn crash_at(path: &SocketPath) {
    drop(std::os::unix::net::UnixListener::bind(path).unwrap());
    assert!(path.as_path().exists());
}

#[tokio::test]
async fn a_missing_directory_is_made_for_its_owner_alone_and_so_is_the_socket() {
    let root = TempDir::new().unwrap();
    let directory = root.path().join("plugins/example");
    let path = socket_in(&directory);
    let socket = bind(&path).await.unwrap();
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(socket.path(), &path);
    drop(socket);
    assert!(!path.as_path().exists());
}

#[tokio::test]
async fn an_existing_directory_keeps_its_mode() {
    let root = TempDir::new().unwrap();
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
    let _socket = bind(&socket_in(root.path())).await.unwrap();
    assert_eq!(mode(root.path()), 0o755);
}

/// Anybody who may read the directory can lock it: that must not keep a driver from starting.
#[tokio::test]
async fn a_stranger_s_lock_delays_and_does_not_refuse() {
    let directory = tempfile::tempdir().unwrap();
    let strangers = fs::File::open(directory.path()).unwrap();
    rustix::fs::flock(&strangers, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let path = socket_in(directory.path());
    let _bound = bind(&path).await.unwrap();
    assert!(path.as_path().exists());
}

#[tokio::test]
async fn the_second_server_of_a_path_is_told_and_the_first_serves_on() {
    let root = TempDir::new().unwrap();
    let path = socket_in(root.path());
    let first = Server::start(&path, "first").await;
    let error = bind(&path).await.unwrap_err();
    assert!(matches!(&error, BindError::InUse { path: found } if *found == path), "{error:?}");
    assert!(error.to_string().contains("is in use"), "{error}");
    assert_eq!(name_served_at(&path).await, "first");
    first.stop().await;
    assert!(!path.as_path().exists());
}

#[tokio::test]
async fn a_dead_socket_is_replaced() {
    let root = TempDir::new().unwrap();
    let path = socket_in(root.path());
    crash_at(&path);
    let server = Server::start(&path, "second life").await;
    assert_eq!(name_served_at(&path).await, "second life");
    assert_eq!(mode(&path), 0o600);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_find_a_dead_socket_one_gets_it() {
    for _ in 0..20 {
        let root = TempDir::new().unwrap();
        let path = socket_in(root.path());
        crash_at(&path);
        let rivals: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                tokio::spawn(async move { bind(&path).await })
            })
            .collect();
        let mut winners = Vec::new();
        for rival in rivals {
            match rival.await.unwrap() {
                Ok(socket) => winners.push(socket),
                Err(error) => assert!(matches!(error, BindError::InUse { .. }), "{error:?}"),
            }
        }
        assert_eq!(winners.len(), 1);
        connect(&path).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let root = TempDir::new().unwrap();
    let path = socket_in(root.path());
    fs::write(&path, "precious").unwrap();
    let error = bind(&path).await.unwrap_err();
    assert!(matches!(error, BindError::NotASocket { .. }), "{error:?}");
    assert!(matches!(connect(&path).await.unwrap_err(), ConnectError::NotASocket { .. }));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    let target = root.path().join("target.sock");
    let link = SocketPath::new(root.path().join("link.sock")).unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert!(matches!(bind(&link).await.unwrap_err(), BindError::NotASocket { .. }));
}

#[tokio::test]
async fn a_path_that_does_not_fit_is_reported_with_limit_and_length() {
    let root = TempDir::new().unwrap();
    let long = root.path().join("d".repeat(100));
    let error = SocketPath::new(long.join("csi.sock")).unwrap_err();
    assert!(matches!(&error, SocketPathError::TooLong { .. }), "{error:?}");
    assert!(error.to_string().contains("the kernel allows 107"), "{error}");
    // One that just fits can be served.
    let rest = 107 - root.path().as_os_str().len() - 1;
    let longest = SocketPath::new(root.path().join("s".repeat(rest))).unwrap();
    let _socket = bind(&longest).await.unwrap();
    connect(&longest).await.unwrap();
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("file"), "").unwrap();
    let error = bind(&socket_in(&root.path().join("file/below"))).await.unwrap_err();
    assert!(matches!(error, BindError::Other { .. }), "{error:?}");
    assert!(error.to_string().contains("cannot make the directory"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test]
async fn only_the_own_socket_is_removed() {
    let root = TempDir::new().unwrap();
    let path = socket_in(root.path());
    let first = bind(&path).await.unwrap();
    // Somebody of a ruder kind removes the file and takes the path.
    fs::remove_file(&path).unwrap();
    let second = bind(&path).await.unwrap();
    drop(first);
    assert!(path.as_path().exists());
    connect(&path).await.unwrap();
    drop(second.incoming());
    assert!(!path.as_path().exists());
}

#[tokio::test]
async fn who_cannot_connect_is_told_why() {
    let root = TempDir::new().unwrap();
    let path = socket_in(root.path());
    assert!(matches!(connect(&path).await.unwrap_err(), ConnectError::Missing { .. }));
    crash_at(&path);
    let error = connect(&path).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains(&path.to_string()), "{error}");
}

#[tokio::test]
async fn a_channel_finds_the_server_again_after_its_restart() {
    let root = TempDir::new().unwrap();
    let path = socket_in(root.path());
    let first = Server::start(&path, "first").await;
    let mut client = RegistrationClient::new(connect(&path).await.unwrap());
    assert_eq!(client.get_info(InfoRequest {}).await.unwrap().into_inner().name, "first");
    first.stop().await;
    assert_eq!(client.get_info(InfoRequest {}).await.unwrap_err().code(), Code::Unavailable);
    let second = Server::start(&path, "second").await;
    assert_eq!(client.get_info(InfoRequest {}).await.unwrap().into_inner().name, "second");
    second.stop().await;
}

#[tokio::test]
async fn a_stop_removes_the_socket_and_lets_calls_finish() {
    let root = TempDir::new().unwrap();
    let path = socket_in(root.path());
    let mut server = Server::start(&path, "slow").await;
    let mut client = RegistrationClient::new(connect(&path).await.unwrap());
    let call =
        tokio::spawn(async move { client.notify_registration_status(RegistrationStatus::default()).await });
    tokio::time::timeout(LIMIT, server.entered.recv()).await.unwrap().unwrap();
    server.stop.cancel();
    let gone = async {
        while path.as_path().exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, gone).await.unwrap();
    assert!(matches!(connect(&path).await.unwrap_err(), ConnectError::Missing { .. }));
    assert!(!call.is_finished());
    server.release.notify_one();
    tokio::time::timeout(LIMIT, call).await.unwrap().unwrap().unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_call_that_does_not_finish_is_given_up() {
    let root = TempDir::new().unwrap();
    let path = socket_in(root.path());
    let mut server = Server::start_draining(&path, "stuck", Duration::from_millis(1)).await;
    let mut client = RegistrationClient::new(connect(&path).await.unwrap());
    let _call =
        tokio::spawn(async move { client.notify_registration_status(RegistrationStatus::default()).await });
    tokio::time::timeout(LIMIT, server.entered.recv()).await.unwrap().unwrap();
    server.stop.cancel();
    let error = tokio::time::timeout(LIMIT, server.served).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, ServeError::Drain { .. }), "{error:?}");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_unimplemented() {
    let root = TempDir::new().unwrap();
    let path = socket_in(root.path());
    let server = Server::start(&path, "registration only").await;
    let mut client = IdentityClient::new(connect(&path).await.unwrap());
    let status = client.probe(ProbeRequest {}).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unimplemented, "unknown service csi.v1.Identity"));
    server.stop().await;
}

/// Passes requests on and tells the authority that each came with.
#[derive(Clone)]
struct Overheard<S> {
    inner: S,
    authorities: mpsc::UnboundedSender<Option<String>>,
}

impl<S: NamedService> NamedService for Overheard<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B> Service<http::Request<B>> for Overheard<S>
where
    S: Service<http::Request<B>, Error = Infallible>,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> S::Future {
        self.authorities.send(request.uri().authority().map(ToString::to_string)).unwrap();
        self.inner.call(request)
    }
}

#[tokio::test]
async fn the_server_sees_localhost_as_authority() {
    let root = TempDir::new().unwrap();
    let path = socket_in(root.path());
    let (authorities, mut seen) = mpsc::unbounded_channel();
    let (entered, _) = mpsc::unbounded_channel();
    let inner = RegistrationServer::new(Plugin { name: "plugin", entered, release: Arc::default() });
    let services = Services::new().with(Overheard { inner, authorities });
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(bind(&path).await.unwrap(), services, stop.clone()));
    assert_eq!(name_served_at(&path).await, "plugin");
    assert_eq!(seen.recv().await.unwrap().as_deref(), Some("localhost"));
    stop.cancel();
    tokio::time::timeout(LIMIT, served).await.unwrap().unwrap().unwrap();
}
