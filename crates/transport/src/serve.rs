//! The services of one socket, and serving them until told to stop.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use http::{Request, Response};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};

use crate::quiet::QuietStream;
use crate::{BoundSocket, SocketPath};

/// Calls in progress on one socket; further ones wait.
const MAX_CALLS: usize = 256;
/// Calls that one connection may have open, waiting ones included.
const MAX_STREAMS: u32 = 256;
/// How long calls in progress may take to finish after a stop.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Why serving ended badly.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Calls were still in progress at the end of the limit.
    #[error("calls on `{path}` had not finished {limit:?} after the stop and were given up")]
    Drain {
        /// The socket that was served.
        path: SocketPath,
        /// How long they were given.
        limit: Duration,
    },
    /// The HTTP/2 server failed.
    #[error("serving `{path}` failed")]
    Server {
        /// The socket that was served.
        path: SocketPath,
        /// What tonic said.
        #[source]
        source: tonic::transport::Error,
    },
}

type BoxedService = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// The gRPC services of one socket, found by the name in the request's path. An unknown one is answered `UNIMPLEMENTED`.
#[derive(Clone)]
pub struct Services {
    by_name: Arc<BTreeMap<&'static str, BoxedService>>,
    calls: Arc<Semaphore>,
}

impl Services {
    /// No services yet.
    #[must_use]
    pub fn new() -> Self {
        Self { by_name: Arc::default(), calls: Arc::new(Semaphore::new(MAX_CALLS)) }
    }

    /// Adds a generated server, such as `NodeServer`; replaces one of the same name. What a message may weigh is that
    /// server's setting: 4 MiB unless changed by `max_decoding_message_size`.
    #[must_use]
    pub fn with<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
        S: NamedService + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        let by_name = Arc::make_mut(&mut self.by_name);
        by_name.insert(S::NAME, BoxCloneSyncService::new(service));
        self
    }
}

impl Default for Services {
    fn default() -> Self {
        Self::new()
    }
}

impl Service<Request<Body>> for Services {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let name = service_name(request.uri().path());
        let Some(service) = self.by_name.get(name).cloned() else {
            let unknown = tonic::Status::unimplemented(format!("unknown service {name}"));
            return Box::pin(std::future::ready(Ok(unknown.into_http())));
        };
        let calls = Arc::clone(&self.calls);
        Box::pin(async move {
            let _place = calls.acquire().await.expect("the semaphore is never closed");
            service.oneshot(request).await
        })
    }
}

/// `csi.v1.Node` of `/csi.v1.Node/NodePublishVolume`.
fn service_name(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split_once('/').map_or(path, |(name, _)| name)
}

/// Serves until `stop` is cancelled, then removes the socket file, accepts nothing more, and lets calls in progress finish
/// within [`DRAIN_LIMIT`].
///
/// # Errors
/// When calls in progress do not finish in time, or the server fails.
pub async fn serve(
    socket: BoundSocket,
    services: Services,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    serve_draining(socket, services, stop, DRAIN_LIMIT).await
}

/// As [`serve`], with another limit.
///
/// # Errors
/// As [`serve`].
pub async fn serve_draining(
    socket: BoundSocket,
    services: Services,
    stop: CancellationToken,
    limit: Duration,
) -> Result<(), ServeError> {
    let path = socket.path().clone();
    let too_late = {
        let stop = stop.clone();
        async move {
            stop.cancelled().await;
            tokio::time::sleep(limit).await;
        }
    };
    let connections = socket.incoming().filter_map(|accepted| async {
        // An error would be for tonic to report, which asks again at once; the client finds its connection closed.
        let connection = accepted.and_then(QuietStream::new);
        connection.inspect_err(|error| tracing::warn!(%error, "cannot serve a connection")).ok()
    });
    let served =
        tonic::transport::Server::builder().max_concurrent_streams(MAX_STREAMS).serve_with_incoming_shutdown(
            services,
            connections.map(Ok::<_, std::io::Error>),
            stop.cancelled_owned(),
        );
    tokio::select! {
        served = served => served.map_err(|source| ServeError::Server { path, source }),
        () = too_late => Err(ServeError::Drain { path, limit }),
    }
}
