//! `/healthz` and `/metrics` over HTTP: what else needs the livenessprobe sidecar and a port of its own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokenward_csi::v1::ProbeRequest;
use tokenward_csi::v1::identity_client::IdentityClient;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::endpoint::Endpoint;
use crate::metrics::Metrics;
use crate::token_set::with_causes;

/// As the livenessprobe sidecar has it.
const PROBE_LIMIT: Duration = Duration::from_secs(3);
/// How long a request's head may take to arrive.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// Connections at a time; further ones wait.
const CONNECTIONS: usize = 16;
/// How long to leave the kernel alone after it could not give a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The listener of a plugin.
#[derive(Debug)]
pub(crate) struct HttpListener {
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
}

#[derive(Debug)]
struct Face {
    /// Where the plugin itself is served: asked as the kubelet would ask it.
    plugin: Endpoint,
    metrics: Metrics,
}

impl HttpListener {
    /// Serves until `stop`.
    pub(crate) async fn serve(self, plugin: Endpoint, metrics: Metrics, stop: CancellationToken) {
        let face = Arc::new(Face { plugin, metrics });
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        tracing::info!(address = %self.address, "serving /healthz and /metrics");
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = accept(&self.listener, &places) => accepted,
            };
            let Some((stream, place)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let (face, stop) = (Arc::clone(&face), stop.clone());
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let face = Arc::clone(&face);
                    async move { Ok::<_, Infallible>(face.answer(&request).await) }
                });
                let mut builder = hyper::server::conn::http1::Builder::new();
                builder.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
                // A caller that breaks off is nobody's loss.
                tokio::select! {
                    _ = builder.serve_connection(TokioIo::new(stream), service) => {}
                    () = stop.cancelled() => {}
                }
                drop(place);
            });
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection for /healthz and /metrics");
            None
        }
    }
}

impl Face {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "wanted GET\n");
        }
        match request.uri().path() {
            "/healthz" => match self.probe().await {
                Ok(()) => text(StatusCode::OK, "ok\n"),
                Err(why) => {
                    tracing::warn!(why, "not healthy");
                    text(StatusCode::INTERNAL_SERVER_ERROR, why + "\n")
                }
            },
            "/metrics" => {
                let mut response = text(StatusCode::OK, self.metrics.render());
                let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
            _ => text(StatusCode::NOT_FOUND, "there are /healthz and /metrics\n"),
        }
    }

    /// Over the plugin's own endpoint: a socket that was removed under it is no health. Without `ready` in the answer it counts as ready
    /// (CSI specification, Probe).
    async fn probe(&self) -> Result<(), String> {
        let probed = tokio::time::timeout(PROBE_LIMIT, async {
            let channel = self.plugin.connect().await.map_err(|error| with_causes(&*error))?;
            let answer = IdentityClient::new(channel).probe(ProbeRequest {}).await;
            answer.map_err(|status| format!("{:?}: {}", status.code(), status.message()))
        });
        let answer = probed.await.map_err(|_| format!("no answer to a probe within {PROBE_LIMIT:?}"))??;
        match answer.into_inner().ready {
            Some(false) => Err("the driver is starting".to_owned()),
            _ => Ok(()),
        }
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
