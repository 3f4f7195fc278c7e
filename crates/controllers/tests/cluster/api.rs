//! A small API server in memory, which tells its watchers of each change, counts requests, and fails when it is told to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokenward_controllers::{Api, ApiError, Document, Request, Resource, Verb, WatchEvent};
use tokio::sync::watch;
use tokio_stream::wrappers::UnboundedReceiverStream;

/// Objects by path, and those who watch them.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) revision: watch::Sender<u64>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) objects: BTreeMap<String, Value>,
    pub(crate) watchers: Vec<Watcher>,
    /// Requests in the order of their arrival: target and whether it was carried out.
    pub(crate) sent: Vec<(String, bool)>,
    /// Refuses what it says true to.
    pub(crate) fault: Option<Fault>,
    /// How often each resource has been watched.
    pub(crate) watches: BTreeMap<&'static str, usize>,
}

pub(crate) type Watcher = (&'static str, tokio::sync::mpsc::UnboundedSender<Result<WatchEvent, ApiError>>);
pub(crate) type Fault = Box<dyn FnMut(&Request) -> Option<ApiError> + Send>;

impl Cluster {
    pub(crate) fn new() -> Self {
        Self { state: Arc::default(), revision: watch::Sender::new(0) }
    }

    pub(crate) fn put(&self, path: &str, mut object: Value) {
        let mut state = self.state.lock();
        self.revision.send_modify(|revision| *revision += 1);
        object["metadata"]["resourceVersion"] = json!(self.revision.borrow().to_string());
        let metadata = object["metadata"].as_object_mut().unwrap();
        let parts: Vec<&str> = path.split('/').collect();
        metadata.insert("name".into(), json!(parts[parts.len() - 1]));
        metadata.insert("uid".into(), json!(format!("uid-{path}")));
        if let [_, namespace, _] = parts[..] {
            metadata.insert("namespace".into(), json!(namespace));
        }
        state.objects.insert(path.to_owned(), object.clone());
        state.tell(path, &WatchEvent::applied(object));
    }

    pub(crate) fn remove(&self, path: &str) {
        let mut state = self.state.lock();
        self.revision.send_modify(|revision| *revision += 1);
        let object = state.objects.remove(path).unwrap();
        state.tell(path, &WatchEvent::deleted(object));
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.state.lock().objects.get(path).cloned()
    }

    /// The objects whose path begins so.
    pub(crate) fn all(&self, prefix: &str) -> Vec<(String, Value)> {
        let state = self.state.lock();
        let from = state.objects.range(prefix.to_owned()..).take_while(|(path, _)| path.starts_with(prefix));
        from.map(|(path, object)| (path.clone(), object.clone())).collect()
    }

    pub(crate) fn sent(&self, target: &str) -> usize {
        self.state.lock().sent.iter().filter(|(sent, _)| sent == target).count()
    }

    pub(crate) fn fail(&self, fault: impl FnMut(&Request) -> Option<ApiError> + Send + 'static) {
        self.state.lock().fault = Some(Box::new(fault));
    }

    pub(crate) fn break_watches(&self, error: fn() -> Option<ApiError>) {
        for (_, watcher) in std::mem::take(&mut self.state.lock().watchers) {
            if let Some(error) = error() {
                watcher.send(Err(error)).unwrap();
            }
        }
    }

    /// Waits until `condition` holds.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let mut revision = self.revision.subscribe();
        let limit = tokio::time::timeout(Duration::from_secs(3600), async {
            while !condition(self) {
                revision.changed().await.unwrap();
            }
        });
        assert!(limit.await.is_ok(), "{what}: {:?}", self.state.lock().objects);
    }

    /// Waits until nobody has anything to do. Time then moves on by `by`.
    pub(crate) async fn quiet(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }

    pub(crate) fn phase(&self, path: &str) -> String {
        self.get(path)
            .and_then(|object| Some(object["status"]["phase"].as_str()?.to_owned()))
            .unwrap_or_default()
    }

    pub(crate) fn node_of(&self, pod: &str) -> Option<String> {
        Some(self.get(pod)?["spec"]["nodeName"].as_str()?.to_owned())
    }

    pub(crate) fn apply(&self, request: &Request) -> Result<Value, ApiError> {
        let target = request.target.to_string();
        let path = target.trim_end_matches("/status").trim_end_matches("/binding");
        match (request.verb, request.target.subresource) {
            (Verb::Create, None) => {
                if self.get(path).is_some() {
                    return Err(ApiError::AlreadyExists);
                }
                self.put(path, request.body.clone());
            }
            (Verb::Create, Some("binding")) => {
                let mut pod = self.get(path).ok_or(ApiError::NotFound)?;
                if !pod["spec"]["nodeName"].is_null()
                    || pod["metadata"]["uid"] != request.body["metadata"]["uid"]
                {
                    return Err(ApiError::Conflict);
                }
                pod["spec"]["nodeName"] = request.body["target"]["name"].clone();
                self.put(path, pod);
                return Ok(json!({"kind": "Status", "status": "Success"}));
            }
            (Verb::MergePatch, None | Some("status")) => {
                let mut object = self.get(path).ok_or(ApiError::NotFound)?;
                if request.body["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
                    return Err(ApiError::Conflict);
                }
                merge(&mut object, request.body.clone());
                self.put(path, object);
            }
            (Verb::Delete, None) => return self.delete(path, &request.body),
            (Verb::Get, None) => {}
            (Verb::List, None) => {
                let items: Vec<Value> = self.all(path).into_iter().map(|(_, object)| object).collect();
                let revision = self.revision.borrow().to_string();
                return Ok(json!({"metadata": {"resourceVersion": revision}, "items": items}));
            }
            other => panic!("nobody serves {other:?}"),
        }
        self.drop_if_let_go(path);
        self.get(path).ok_or(ApiError::NotFound)
    }

    pub(crate) fn delete(&self, path: &str, options: &Value) -> Result<Value, ApiError> {
        let mut object = self.get(path).ok_or(ApiError::NotFound)?;
        let uid = &options["preconditions"]["uid"];
        if !uid.is_null() && *uid != object["metadata"]["uid"] {
            return Err(ApiError::Conflict);
        }
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        self.put(path, object.clone());
        self.drop_if_let_go(path);
        Ok(object)
    }

    /// A terminating object goes with its last finalizer.
    pub(crate) fn drop_if_let_go(&self, path: &str) {
        let is_over = self.get(path).is_some_and(|object| {
            let metadata = &object["metadata"];
            !metadata["deletionTimestamp"].is_null()
                && metadata["finalizers"].as_array().is_none_or(Vec::is_empty)
        });
        if is_over {
            self.remove(path);
        }
    }
}

impl State {
    fn tell(&mut self, path: &str, event: &WatchEvent) {
        let plural = path.split('/').next().unwrap();
        self.watchers.retain(|(of, watcher)| *of != plural || watcher.send(Ok(event.clone())).is_ok());
    }
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(&key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

impl Api for Cluster {
    fn watch(&self, resource: Resource) -> BoxStream<'static, Result<WatchEvent, ApiError>> {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let mut state = self.state.lock();
        let prefix = format!("{}/", resource.plural);
        let listed = state.objects.iter().filter(|(path, _)| path.starts_with(&prefix));
        let listed = listed.map(|(_, object)| object.clone()).collect();
        sender.send(Ok(WatchEvent::listed(listed))).unwrap();
        state.watchers.push((resource.plural, sender));
        *state.watches.entry(resource.plural).or_default() += 1;
        UnboundedReceiverStream::new(receiver).boxed()
    }

    async fn send(&self, request: &Request) -> Result<Document, ApiError> {
        let fault = {
            let mut state = self.state.lock();
            state.fault.as_mut().and_then(|fault| fault(request))
        };
        let result = match fault {
            Some(error) => Err(error),
            None => self.apply(request),
        };
        self.state.lock().sent.push((request.target.to_string(), result.is_ok()));
        // Wakes those who count requests.
        self.revision.send_modify(|_| {});
        result.map(Document::from)
    }
}
