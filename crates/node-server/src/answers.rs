//! The answers: who asks, may they, and what there is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use rustls_pki_types::CertificateDer;
use tokenward_node::metrics::{self, Metrics};
use tokenward_node::status::{NodeStatus, StatusClient};
use tokenward_tokens::Clock;
use tracing::{debug, warn};

use crate::access::{AccessReview, Reviews, User, subresources, verb};
use crate::authenticate::Answers;
use crate::configz::Configuration;

/// A node that has not said how it stands by then is not healthy.
const STATUS_LIMIT: Duration = Duration::from_secs(5);

/// What the server needs of its node.
pub struct FaceConfig<R> {
    /// Name of the Node object.
    pub node: String,
    /// How the API server is asked.
    pub reviews: Arc<R>,
    /// Whether the node works, and how it stands.
    pub status: StatusClient,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// What `/configz` shows.
    pub configuration: Configuration,
    /// How long answers hold.
    pub clock: Clock,
}

/// The server without its sockets.
pub struct Face<R> {
    config: FaceConfig<R>,
    known: Answers,
}

impl<R: Reviews> Face<R> {
    /// The face of a node.
    pub fn new(config: FaceConfig<R>) -> Self {
        Self { config, known: Answers::default() }
    }

    /// Answers one request. `certificate` is the peer's own, verified by the handshake.
    pub async fn answer(
        &self,
        certificate: Option<&CertificateDer<'_>>,
        parts: &Parts,
    ) -> Response<Full<Bytes>> {
        let user = match self
            .known
            .user(&*self.config.reviews, certificate, &parts.headers, self.config.clock.now())
            .await
        {
            Ok(Some(user)) => user,
            Ok(None) => return text(StatusCode::UNAUTHORIZED, "Unauthorized"),
            Err(error) => {
                warn!(%error, "who asks could not be found out");
                return text(StatusCode::UNAUTHORIZED, "Unauthorized");
            }
        };
        let path = parts.uri.path();
        if let Err(refusal) = self.authorize(&user, &parts.method, path).await {
            return refusal;
        }
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed");
        }
        match path {
            "/healthz" | "/healthz/ping" | "/healthz/syncloop" => match self.status().await {
                Some(_) => text(StatusCode::OK, "ok"),
                None => text(StatusCode::INTERNAL_SERVER_ERROR, "the node does not say how it stands"),
            },
            "/metrics" => {
                let status = self.status().await.unwrap_or_default();
                content(StatusCode::OK, metrics::CONTENT_TYPE, self.config.metrics.render(&status))
            }
            "/configz" => {
                content(StatusCode::OK, "application/json", self.config.configuration.to_json().to_string())
            }
            _ => text(StatusCode::NOT_FOUND, "404 page not found"),
        }
    }

    async fn authorize(&self, user: &User, method: &Method, path: &str) -> Result<(), Response<Full<Bytes>>> {
        let (verb, subresources) = (verb(method), subresources(path));
        for subresource in subresources {
            let review =
                AccessReview { user: user.clone(), verb, node: self.config.node.clone(), subresource };
            match self.known.may(&*self.config.reviews, review, self.config.clock.now()).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => {
                    warn!(%error, user = user.name, "whether a request is allowed could not be found out");
                    let why = format!("Authorization error (user={}, verb={verb})", user.name);
                    return Err(text(StatusCode::INTERNAL_SERVER_ERROR, &why));
                }
            }
        }
        debug!(user = user.name, verb, ?subresources, "refused");
        let why = format!(
            "Forbidden (user={}, verb={verb}, resource=nodes, subresource(s)=[{}])\n",
            user.name,
            subresources.join(" ")
        );
        Err(text(StatusCode::FORBIDDEN, &why))
    }

    async fn status(&self) -> Option<NodeStatus> {
        tokio::time::timeout(STATUS_LIMIT, self.config.status.status()).await.ok().flatten()
    }
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    content(status, "text/plain; charset=utf-8", text.to_owned())
}

fn content(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert("X-Content-Type-Options", HeaderValue::from_static("nosniff"));
    response
}
