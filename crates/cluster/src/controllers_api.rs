//! The controllers' view of the API server, without a network in between.

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use tokenward_apiserver::{Client, ClientError};
use tokenward_controllers::{Api, ApiError, Request, Resource, Verb, WatchEvent};

/// Requests to the API server in this process.
#[derive(Clone, Debug)]
pub(crate) struct InProcessApi {
    client: Client,
}

impl InProcessApi {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }
}

impl Api for InProcessApi {
    fn watch(&self, resource: Resource) -> BoxStream<'static, Result<WatchEvent, ApiError>> {
        let (client, path) = (self.client.clone(), resource.path(None));
        let events = async move {
            let list = client.get(&path).await.map_err(failed)?;
            let items = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
            let version = list
                .get("metadata")
                .and_then(|metadata| metadata.get("resourceVersion"))
                .and_then(Value::as_str)
                .unwrap_or_default();
            let changes = client
                .watch(&format!("{path}?watch=true&resourceVersion={version}"))
                .await
                .map_err(failed)?;
            let changes = changes.map(|event| event.map_err(failed).and_then(change));
            Ok(stream::once(async { Ok(WatchEvent::Listed(items)) }).chain(changes))
        };
        stream::once(events).try_flatten().boxed()
    }

    async fn send(&self, request: &Request) -> Result<Value, ApiError> {
        let path = request.path();
        let reply = match request.verb {
            Verb::Get | Verb::List => return self.client.get(&path).await.map_err(failed),
            Verb::Create => self.client.create(&path, &request.body).await,
            Verb::Delete => self.client.delete(&path, Some(&request.body)).await,
            Verb::Update => self.client.update(&path, &request.body).await,
            Verb::MergePatch => self.client.merge_patch(&path, &request.body).await,
        };
        reply.map(|reply| reply.object).map_err(failed)
    }
}

fn change(event: tokenward_apiserver::WatchEvent) -> Result<WatchEvent, ApiError> {
    match event.kind.as_str() {
        "ADDED" | "MODIFIED" => Ok(WatchEvent::Applied(event.object)),
        "DELETED" => Ok(WatchEvent::Deleted(event.object)),
        _ => {
            let text = |member: &str| event.object.get(member).and_then(Value::as_str).unwrap_or_default();
            let code = event.object.get("code").and_then(Value::as_u64).and_then(|code| code.try_into().ok());
            Err(ApiError::of_status(code.unwrap_or(500), text("reason"), text("message")))
        }
    }
}

fn failed(error: ClientError) -> ApiError {
    match error {
        ClientError::Refused { code, reason, message } => {
            ApiError::of_status(code.as_u16(), &reason, &message)
        }
        other => ApiError::Unreachable(Box::new(other)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_event_is_an_error() {
        let event = |kind: &str, object: Value| {
            change(tokenward_apiserver::WatchEvent { kind: kind.to_owned(), object })
        };
        assert_eq!(event("ADDED", json!(1)).unwrap(), WatchEvent::Applied(json!(1)));
        assert_eq!(event("DELETED", json!(1)).unwrap(), WatchEvent::Deleted(json!(1)));
        let gone = json!({"code": 410, "reason": "Expired", "message": "too old"});
        assert!(matches!(event("ERROR", gone), Err(ApiError::Refused { code: 410, .. })));
    }
}
