//! A client of a server in the same process: no port, no TLS, the same requests and answers.
//!
//! Controllers and tests use it; whatever it can do, a client outside can do too.

use std::fmt;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use crate::authentication::{PeerIdentity, User};
use crate::body::Body;
use crate::server::ApiServer;

/// Acts as one user.
#[derive(Clone, Debug)]
pub struct Client {
    server: ApiServer,
    user: Arc<User>,
}

/// A good answer.
#[derive(Clone)]
pub struct Reply {
    /// The HTTP status.
    pub code: StatusCode,
    /// The body.
    pub object: Value,
    /// The texts of the `Warning` headers.
    pub warnings: Vec<String>,
}

/// One line of a watch.
#[derive(Clone, serde::Deserialize)]
pub struct WatchEvent {
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The object; of an `ERROR` the Status.
    pub object: Value,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("code", &self.code)
            .field("object", &label(&self.object))
            .field("warnings", &self.warnings)
            .finish()
    }
}

impl fmt::Debug for WatchEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchEvent").field("kind", &self.kind).field("object", &label(&self.object)).finish()
    }
}

/// Which object it is. Never what is in it: a token request's answer is a token, a Secret is a secret.
fn label(object: &Value) -> String {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    format!("{} {}/{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
}

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        code: StatusCode,
        /// The Status's reason, such as `Conflict`.
        reason: String,
        /// The Status's message.
        message: String,
    },
    /// The path is no path.
    #[error("{path} cannot be requested")]
    Path {
        /// What was asked for.
        path: String,
        /// Why.
        #[source]
        source: http::Error,
    },
    /// The server answered with something that is not JSON.
    #[error("the answer to {path} is not JSON: a fault in line {line}, column {column}")]
    Answer {
        /// What was asked for.
        path: String,
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
}

impl ClientError {
    /// The HTTP status of a refusal.
    pub fn code(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl Client {
    pub(crate) fn new(server: ApiServer, user: User) -> Self {
        Self { server, user: Arc::new(user) }
    }

    /// Reads an object, a list or a document.
    pub async fn get(&self, path: &str) -> Result<Value, ClientError> {
        Ok(self.send(Method::GET, path, None).await?.object)
    }

    /// Makes an object.
    pub async fn create(&self, path: &str, object: &Value) -> Result<Reply, ClientError> {
        self.send(Method::POST, path, Some(("application/json", object.to_string().into()))).await
    }

    /// Replaces an object.
    pub async fn update(&self, path: &str, object: &Value) -> Result<Reply, ClientError> {
        self.send(Method::PUT, path, Some(("application/json", object.to_string().into()))).await
    }

    /// Changes an object by a merge patch (RFC 7386).
    pub async fn merge_patch(&self, path: &str, patch: &Value) -> Result<Reply, ClientError> {
        let body = ("application/merge-patch+json", patch.to_string().into());
        self.send(Method::PATCH, path, Some(body)).await
    }

    /// Deletes an object; `options` are DeleteOptions.
    pub async fn delete(&self, path: &str, options: Option<&Value>) -> Result<Reply, ClientError> {
        let body = options.map(|options| ("application/json", options.to_string().into()));
        self.send(Method::DELETE, path, body).await
    }

    /// Any request. The path may have a query.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Bytes)>,
    ) -> Result<Reply, ClientError> {
        let (parts, bytes) = self.exchange(method, path, body).await?;
        let warnings = parts.headers.get_all(header::WARNING).iter().filter_map(|value| {
            let text = value.to_str().ok()?.strip_prefix("299 - \"")?.strip_suffix('"')?;
            Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
        });
        Ok(Reply { code: parts.status, object: parse(path, &bytes)?, warnings: warnings.collect() })
    }

    /// Any request, with the answer as the text that it is.
    pub async fn send_text(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Bytes)>,
    ) -> Result<Bytes, ClientError> {
        Ok(self.exchange(method, path, body).await?.1)
    }

    /// Follows a collection; `path` has the query of a watch. The stream ends when the server ends it.
    pub async fn watch(
        &self,
        path: &str,
    ) -> Result<impl Stream<Item = Result<WatchEvent, ClientError>> + Send + use<>, ClientError> {
        let lines = self.watch_lines(path).await?;
        let path = path.to_owned();
        Ok(lines.map(move |line| serde_json::from_slice(&line).map_err(|error| not_json(&path, &error))))
    }

    /// Follows a collection as [`Client::watch`] does; each event is the line of JSON that the server sends.
    pub async fn watch_lines(
        &self,
        path: &str,
    ) -> Result<impl Stream<Item = Bytes> + Send + use<>, ClientError> {
        let response = self.call(Method::GET, path, None).await?;
        if !response.status().is_success() {
            let code = response.status();
            return Err(refused(code, &parse(path, &whole(response.into_body()).await)?));
        }
        let pieces = response.into_body().into_data_stream();
        Ok(stream::unfold((pieces, BytesMut::new()), |(mut pieces, mut buffer)| async move {
            loop {
                if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                    let line = buffer.split_to(end).freeze();
                    buffer.advance(1);
                    return Some((line, (pieces, buffer)));
                }
                match pieces.next().await? {
                    Ok(piece) => buffer.extend_from_slice(&piece),
                    Err(never) => match never {},
                }
            }
        }))
    }

    /// A request and its answer, if that is good.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Bytes)>,
    ) -> Result<(http::response::Parts, Bytes), ClientError> {
        let (parts, body) = self.call(method, path, body).await?.into_parts();
        let bytes = whole(body).await;
        if parts.status.is_success() {
            Ok((parts, bytes))
        } else {
            Err(refused(parts.status, &parse(path, &bytes)?))
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Bytes)>,
    ) -> Result<http::Response<Body>, ClientError> {
        let mut request = Request::builder().method(method).uri(path).header(header::USER_AGENT, AGENT);
        if let Some((content_type, _)) = &body {
            request = request.header(header::CONTENT_TYPE, *content_type);
        }
        let body = Full::new(body.map(|(_, bytes)| bytes).unwrap_or_default());
        let mut request =
            request.body(body).map_err(|source| ClientError::Path { path: path.to_owned(), source })?;
        request.extensions_mut().insert(PeerIdentity(self.user.clone()));
        // Callers have futures of their own to carry.
        Ok(Box::pin(self.server.handle(request)).await)
    }
}

/// What clients in this process call themselves, and so who owns in `managedFields` what they write.
const AGENT: &str = "tokenward";

async fn whole(body: Body) -> Bytes {
    match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(never) => match never {},
    }
}

/// A health answer is plain text; it becomes a JSON text.
fn parse(path: &str, bytes: &[u8]) -> Result<Value, ClientError> {
    match serde_json::from_slice(bytes) {
        Ok(value) => Ok(value),
        Err(error) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.starts_with(['{', '[']) => Ok(Value::from(text)),
            _ => Err(not_json(path, &error)),
        },
    }
}

fn not_json(path: &str, error: &serde_json::Error) -> ClientError {
    ClientError::Answer { path: path.to_owned(), line: error.line(), column: error.column() }
}

fn refused(code: StatusCode, status: &Value) -> ClientError {
    let text = |member: &str| status.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
    let message = match text("message") {
        message if message.is_empty() => code.to_string(),
        message => message,
    };
    ClientError::Refused { code, reason: text("reason"), message }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn debug_names_the_object_and_shows_nothing_of_it() {
        let object = json!({
            "kind": "TokenRequest", "metadata": {"namespace": "ns", "name": "web"}, "status": {"token": "canary"},
        });
        let reply = Reply { code: StatusCode::CREATED, object: object.clone(), warnings: Vec::new() };
        let event = WatchEvent { kind: "ADDED".to_owned(), object };
        for text in [format!("{reply:?}"), format!("{event:#?}")] {
            assert!(text.contains("TokenRequest ns/web") && !text.contains("canary"), "{text}");
        }
    }
}
