//! The controllers' view of the API server, without a network in between.

use std::borrow::Cow;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokenward_apiserver::{Client, ClientError};
use tokenward_controllers::{Api, ApiError, Document, Request, Resource, Verb, WatchEvent};

const JSON: &str = "application/json";

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
            let list = client.send_text(Method::GET, &path, None).await.map_err(failed)?;
            let (items, version) = objects(&list)?;
            let changes = client
                .watch_lines(&format!("{path}?watch=true&resourceVersion={version}"))
                .await
                .map_err(failed)?;
            let changes = changes.map(|line| change(&line));
            // A server whose versions are no numbers is taken to know the newest.
            let revision = version.parse().unwrap_or(u64::MAX);
            Ok(stream::once(async move { Ok(WatchEvent::Listed { objects: items, revision }) })
                .chain(changes))
        };
        stream::once(events).try_flatten().boxed()
    }

    async fn send(&self, request: &Request) -> Result<Document, ApiError> {
        let (method, content_type) = match request.verb {
            Verb::Create => (Method::POST, JSON),
            Verb::Delete | Verb::DeleteCollection => (Method::DELETE, JSON),
            Verb::Get | Verb::List => (Method::GET, ""),
            Verb::MergePatch => (Method::PATCH, "application/merge-patch+json"),
            Verb::StrategicMergePatch => (Method::PATCH, "application/strategic-merge-patch+json"),
            Verb::Update => (Method::PUT, JSON),
        };
        let body = (!content_type.is_empty()).then(|| (content_type, request.body.to_string().into()));
        let answer = self.client.send_text(method, &request.path(), body).await;
        answer.map(Document::from).map_err(failed)
    }
}

/// The objects of a list, each a piece of its text, and the revision that it is of.
fn objects(list: &Bytes) -> Result<(Vec<Document>, String), ApiError> {
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(default)]
        metadata: ListMetadata,
        #[serde(borrow, default)]
        items: Vec<&'a RawValue>,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct ListMetadata {
        resource_version: String,
    }
    let list_read: List<'_> = read(list)?;
    let items = list_read.items.iter().map(|item| list.slice_ref(item.get().as_bytes()).into()).collect();
    Ok((items, list_read.metadata.resource_version))
}

fn change(line: &Bytes) -> Result<WatchEvent, ApiError> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        object: &'a RawValue,
    }
    let event: Event<'_> = read(line)?;
    let object = line.slice_ref(event.object.get().as_bytes());
    match &*event.kind {
        "ADDED" | "MODIFIED" => Ok(WatchEvent::Applied(object.into())),
        "DELETED" => Ok(WatchEvent::Deleted(object.into())),
        _ => {
            let status: Value = read(&object)?;
            let text = |member: &str| status.get(member).and_then(Value::as_str).unwrap_or_default();
            let code = status.get("code").and_then(Value::as_u64).and_then(|code| code.try_into().ok());
            Err(ApiError::of_status(code.unwrap_or(500), text("reason"), text("message")))
        }
    }
}

/// Reads what the API server wrote. The error does not quote it.
fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        ApiError::Unreachable(
            format!("wanted JSON of the API, found a fault in line {line}, column {column}").into(),
        )
    })
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
        let event =
            |kind: &str, object: Value| change(&json!({"type": kind, "object": object}).to_string().into());
        assert_eq!(event("ADDED", json!(1)).unwrap(), WatchEvent::applied(json!(1)));
        assert_eq!(event("DELETED", json!(1)).unwrap(), WatchEvent::deleted(json!(1)));
        assert!(change(&Bytes::from("{")).is_err());
        let gone = json!({"code": 410, "reason": "Expired", "message": "too old"});
        assert!(matches!(event("ERROR", gone), Err(ApiError::Refused { code: 410, .. })));
    }

    #[test]
    fn a_list_is_cut_into_its_objects() {
        let list = json!({"metadata": {"resourceVersion": "7"}, "items": [{"a": 1}, {"b": [2]}]}).to_string();
        let (items, version) = objects(&list.into()).unwrap();
        assert_eq!((items, &*version), (vec![json!({"a": 1}).into(), json!({"b": [2]}).into()], "7"));
        assert_eq!(objects(&Bytes::from_static(b"{}")).unwrap(), (vec![], String::new()));
    }
}
