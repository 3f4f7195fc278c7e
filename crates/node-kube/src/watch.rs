//! Watches: kube's watcher, which lists and watches again by itself, turned into the node's events.

use futures_util::StreamExt as _;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokenward_node::{ClusterError, ErrorReason, Watch, WatchEvent};

use crate::error::{from_json, from_kube};

/// Watches a kind in all namespaces, or what a field selector leaves of it. After failures it waits longer and longer.
pub(crate) fn watch<T: DeserializeOwned + Send + 'static>(
    client: kube::Client,
    group: &str,
    version: &str,
    kind: &str,
    plural: &str,
    field_selector: Option<String>,
) -> Watch<T> {
    let resource = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") },
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    };
    let api: Api<DynamicObject> = Api::all_with(client, &resource);
    let config = watcher::Config { field_selector, ..watcher::Config::default() };
    let mut list = List::default();
    watcher(api, config)
        .default_backoff()
        .filter_map(move |event| std::future::ready(list.take(event)))
        .boxed()
}

/// What the watcher lists one by one, until it is whole.
struct List<T> {
    objects: Vec<T>,
    /// An object could not be read: the list must not be taken for all there is, or its pod would be unmounted.
    incomplete: bool,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { objects: Vec::new(), incomplete: false }
    }
}

impl<T: DeserializeOwned> List<T> {
    fn take(
        &mut self,
        event: Result<Event<DynamicObject>, watcher::Error>,
    ) -> Option<Result<WatchEvent<T>, ClusterError>> {
        match event {
            Ok(Event::Init) => {
                *self = Self::default();
                None
            }
            Ok(Event::InitApply(object)) => match decode(object) {
                Ok(object) => {
                    self.objects.push(object);
                    None
                }
                Err(error) => {
                    self.incomplete = true;
                    Some(Err(error))
                }
            },
            Ok(Event::InitDone) => {
                let Self { objects, incomplete } = std::mem::take(self);
                (!incomplete).then_some(Ok(WatchEvent::Listed(objects)))
            }
            Ok(Event::Apply(object)) => Some(decode(object).map(WatchEvent::Applied)),
            Ok(Event::Delete(object)) => Some(decode(object).map(WatchEvent::Deleted)),
            Err(error) => Some(Err(from_watcher(&error))),
        }
    }
}

/// Null stands for absent, as in Go.
fn drop_nulls(tree: &mut Value) {
    match tree {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn decode<T: DeserializeOwned>(object: DynamicObject) -> Result<T, ClusterError> {
    let mut tree = match object.data {
        Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    };
    let metadata = serde_json::to_value(object.metadata).map_err(|error| from_json(&error))?;
    tree.insert("metadata".to_owned(), metadata);
    let mut tree = Value::Object(tree);
    drop_nulls(&mut tree);
    serde_json::from_value(tree).map_err(|error| from_json(&error))
}

fn from_watcher(error: &watcher::Error) -> ClusterError {
    use watcher::Error;
    let (doing, cause) = match error {
        Error::InitialListFailed(cause) => ("listing failed", from_kube(cause)),
        Error::WatchStartFailed(cause) => ("the watch could not be started", from_kube(cause)),
        Error::WatchFailed(cause) => ("the watch broke off", from_kube(cause)),
        Error::WatchError(status) => {
            ("the watch was ended by the server", ClusterError::new(ErrorReason::Other, &status.message))
        }
        Error::NoResourceVersion => {
            let text = "the server gave no resource version";
            return ClusterError::new(ErrorReason::Other, text);
        }
    };
    ClusterError::new(cause.reason(), &format!("{doing}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokenward_node::objects::Pod;

    fn object(name: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "namespace": "ns", "uid": "u", "deletionTimestamp": "2027-01-15T08:00:00Z" },
            "spec": { "nodeName": "n", "containers": null, "volumes": [{ "name": "data", "csi": { "driver": "d" } }] },
        }))
        .unwrap()
    }

    #[test]
    fn a_list_is_one_event_and_a_list_that_starts_over_forgets() {
        let mut list: List<Pod> = List::default();
        let mut step = |event| list.take(Ok(event)).map(Result::unwrap);
        assert_eq!(step(Event::Init), None);
        assert_eq!(step(Event::InitApply(object("lost"))), None);
        assert_eq!(step(Event::Init), None);
        assert_eq!(step(Event::InitApply(object("a"))), None);
        let Some(WatchEvent::Listed(pods)) = step(Event::InitDone) else { panic!("a list is wanted") };
        let [pod] = pods.as_slice() else { panic!("{pods:?}") };
        assert_eq!((pod.metadata.name.as_str(), pod.spec.node_name.as_str()), ("a", "n"));
        assert_eq!(pod.metadata.deletion_timestamp.as_deref(), Some("2027-01-15T08:00:00Z"));
        assert_eq!(pod.spec.volumes[0].csi.as_ref().unwrap().driver, "d");
        assert!(matches!(step(Event::Apply(object("a"))), Some(WatchEvent::Applied(_))));
        assert!(matches!(step(Event::Delete(object("a"))), Some(WatchEvent::Deleted(_))));
    }
    #[test]
    fn a_list_with_an_unreadable_object_is_not_taken_for_the_whole() {
        let mut list: List<Pod> = List::default();
        let mut unreadable = object("a");
        unreadable.data["spec"] = json!("canary");
        let _ = list.take(Ok(Event::Init));
        let error = list.take(Ok(Event::InitApply(unreadable))).unwrap().unwrap_err();
        assert!(!error.to_string().contains("canary"), "{error}");
        assert!(list.take(Ok(Event::InitApply(object("b")))).is_none());
        assert!(list.take(Ok(Event::InitDone)).is_none());
    }
}
