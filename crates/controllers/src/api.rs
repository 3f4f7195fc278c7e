//! The controllers' only view of a cluster: watch a resource, send a request.

use std::fmt;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::mirror::Mirror;
use crate::objects::{Metadata, Object};

/// A resource of the API, in its group and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// `storage.k8s.io`; empty for the core group.
    pub group: &'static str,
    /// `v1`.
    pub version: &'static str,
    /// `pods`.
    pub plural: &'static str,
}

impl Resource {
    pub(crate) const CLUSTER_ROLES: Self = Self::of("rbac.authorization.k8s.io", "clusterroles");
    pub(crate) const CONFIG_MAPS: Self = Self::core("configmaps");
    pub(crate) const CONTROLLER_REVISIONS: Self = Self::of("apps", "controllerrevisions");
    pub(crate) const CSI_DRIVERS: Self = Self::of("storage.k8s.io", "csidrivers");
    pub(crate) const CSI_NODES: Self = Self::of("storage.k8s.io", "csinodes");
    pub(crate) const DAEMON_SETS: Self = Self::of("apps", "daemonsets");
    pub(crate) const EVENTS: Self = Self::core("events");
    pub(crate) const LEASES: Self = Self::of("coordination.k8s.io", "leases");
    pub(crate) const NAMESPACES: Self = Self::core("namespaces");
    pub(crate) const NODES: Self = Self::core("nodes");
    pub(crate) const PERSISTENT_VOLUME_CLAIMS: Self = Self::core("persistentvolumeclaims");
    pub(crate) const PERSISTENT_VOLUMES: Self = Self::core("persistentvolumes");
    pub(crate) const POD_DISRUPTION_BUDGETS: Self = Self::of("policy", "poddisruptionbudgets");
    pub(crate) const PODS: Self = Self::core("pods");
    pub(crate) const SERVICE_ACCOUNTS: Self = Self::core("serviceaccounts");

    pub(crate) const STORAGE_CLASSES: Self = Self::of("storage.k8s.io", "storageclasses");
    pub(crate) const VOLUME_ATTACHMENTS: Self = Self::of("storage.k8s.io", "volumeattachments");

    const fn core(plural: &'static str) -> Self {
        Self::of("", plural)
    }

    const fn of(group: &'static str, plural: &'static str) -> Self {
        Self { group, version: "v1", plural }
    }

    /// The path of the collection, over all namespaces when `namespace` is `None`.
    pub fn path(&self, namespace: Option<&str>) -> String {
        let Self { group, version, plural } = self;
        let root =
            if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        match namespace {
            None => [&root, "/", plural].concat(),
            Some(namespace) => [&root, "/namespaces/", namespace, "/", plural].concat(),
        }
    }
}

/// What a request is about: an object, or a part of one that has a path of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The resource.
    pub resource: Resource,
    /// The namespace, unless the resource is the cluster's.
    pub namespace: Option<String>,
    /// The object's name.
    pub name: String,
    /// `status` or `binding`.
    pub subresource: Option<&'static str>,
}

impl Target {
    /// An object of a namespace.
    pub(crate) fn namespaced(resource: Resource, namespace: &str, name: &str) -> Self {
        Self { resource, namespace: Some(namespace.to_owned()), name: name.to_owned(), subresource: None }
    }

    /// An object of the cluster.
    pub(crate) fn cluster(resource: Resource, name: &str) -> Self {
        Self { resource, namespace: None, name: name.to_owned(), subresource: None }
    }

    /// The object of a resource that has this metadata.
    pub(crate) fn of(resource: Resource, metadata: &Metadata) -> Self {
        let namespace = (!metadata.namespace.is_empty()).then(|| metadata.namespace.clone());
        Self { resource, namespace, name: metadata.name.clone(), subresource: None }
    }

    pub(crate) fn subresource(self, subresource: &'static str) -> Self {
        Self { subresource: Some(subresource), ..self }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.resource.plural)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)?;
        self.subresource.map_or(Ok(()), |subresource| write!(f, "/{subresource}"))
    }
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// POST.
    Create,
    /// DELETE with DeleteOptions.
    Delete,
    /// DELETE of the whole collection, as [`Verb::List`] has it.
    DeleteCollection,
    /// GET of the object.
    Get,
    /// GET of the whole collection, of the namespace if the target names one. The target has no name.
    List,
    /// PATCH with a JSON merge patch (RFC 7386, `application/merge-patch+json`).
    MergePatch,
    /// PATCH with a strategic merge patch (`application/strategic-merge-patch+json`): elements of lists are told apart by their
    /// keys, and those that the patch does not name stay.
    StrategicMergePatch,
    /// PUT.
    Update,
}

/// One request: a write, or a question whose answer must be newer than what the watches have told.
///
/// Patches carry `metadata.resourceVersion`, so that a change that the controller has not seen is answered with
/// [`ApiError::Conflict`] and nothing is lost.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What it does.
    pub verb: Verb,
    /// To what.
    pub target: Target,
    /// The object, the patch or the options; null for a question.
    pub body: Value,
}

impl Request {
    pub(crate) fn create(target: Target, body: Value) -> Self {
        Self { verb: Verb::Create, target, body }
    }

    pub(crate) fn merge_patch(target: Target, body: Value) -> Self {
        Self { verb: Verb::MergePatch, target, body }
    }

    pub(crate) fn strategic_merge_patch(target: Target, body: Value) -> Self {
        Self { verb: Verb::StrategicMergePatch, target, body }
    }

    /// A deletion of the very object that has this uid.
    pub(crate) fn delete(target: Target, uid: &str) -> Self {
        let body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}});
        Self { verb: Verb::Delete, target, body }
    }

    /// Takes the answer to this write, or the deletion that it was, into what is known of the objects.
    pub(crate) fn expect<T: Object>(&self, objects: &mut Mirror<T>, answer: &Document) {
        if self.verb != Verb::Delete {
            objects.learn(answer);
        } else if let Some(uid) = self.body.pointer("/preconditions/uid").and_then(Value::as_str) {
            objects.expect_deletion(
                self.target.namespace.as_deref().unwrap_or_default(),
                &self.target.name,
                uid,
            );
        }
    }

    pub(crate) fn list(resource: Resource, namespace: Option<&str>) -> Self {
        let namespace = namespace.map(str::to_owned);
        let target = Target { resource, namespace, name: String::new(), subresource: None };
        Self { verb: Verb::List, target, body: Value::Null }
    }

    /// A deletion of all objects of a namespace.
    pub(crate) fn delete_collection(resource: Resource, namespace: &str) -> Self {
        let body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        Self { verb: Verb::DeleteCollection, body, ..Self::list(resource, Some(namespace)) }
    }

    /// The path that the request goes to. A whole object is created by posting to its collection.
    pub fn path(&self) -> String {
        let Target { resource, namespace, name, subresource } = &self.target;
        let collection = resource.path(namespace.as_deref());
        match (self.verb, subresource) {
            (Verb::Create, None) | (Verb::DeleteCollection | Verb::List, _) => collection,
            (_, None) => [&collection, "/", name].concat(),
            (_, Some(subresource)) => [&collection, "/", name, "/", subresource].concat(),
        }
    }
}

/// A JSON text that came over the wire: an object, a list, a Status. Each controller reads of it what it needs, so that no
/// tree is ever made; nothing of it is shown, since it may be a Secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Document(Bytes);

impl Document {
    pub(crate) fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }
}

impl From<Bytes> for Document {
    fn from(text: Bytes) -> Self {
        Self(text)
    }
}

impl From<Value> for Document {
    fn from(tree: Value) -> Self {
        Self(tree.to_string().into())
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({} bytes)", self.0.len())
    }
}

/// One change of a watched resource.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent {
    /// The whole collection as of a revision: what is older and not in it is gone. The first event of a watch is always this one.
    Listed {
        /// All that there was.
        objects: Vec<Document>,
        /// What is newer has come since: an answer to a write may have told of it before this is heard.
        revision: u64,
    },
    /// An object was created or changed.
    Applied(Document),
    /// An object was deleted; its last state.
    Deleted(Document),
}

impl WatchEvent {
    /// [`WatchEvent::Listed`] out of trees, newer than anything that is known.
    pub fn listed(objects: Vec<Value>) -> Self {
        Self::listed_at(u64::MAX, objects)
    }

    /// [`WatchEvent::Listed`] out of trees, as of a revision.
    pub fn listed_at(revision: u64, objects: Vec<Value>) -> Self {
        Self::Listed { objects: objects.into_iter().map(Document::from).collect(), revision }
    }

    /// [`WatchEvent::Applied`] out of a tree.
    pub fn applied(object: Value) -> Self {
        Self::Applied(object.into())
    }

    /// [`WatchEvent::Deleted`] out of a tree.
    pub fn deleted(object: Value) -> Self {
        Self::Deleted(object.into())
    }
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// 409, reason AlreadyExists.
    #[error("wanted to create the object, found one of that name")]
    AlreadyExists,
    /// 409 of any other reason: the object is no longer what the request was made for.
    #[error("wanted to change the object as last seen, found it changed")]
    Conflict,
    /// 404.
    #[error("wanted to change the object, found none of that name")]
    NotFound,
    /// Any other answer that is not a success.
    #[error("the API server refused with {code}: {message}")]
    Refused {
        /// The HTTP status.
        code: u16,
        /// The message of the answer.
        message: String,
    },
    /// No answer in time.
    #[error("the API server did not answer within {seconds} s")]
    TimedOut {
        /// How long was waited.
        seconds: u64,
    },
    /// No answer at all.
    #[error("the API server could not be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ApiError {
    /// The error of an answer with this HTTP status, and this `reason` and `message` in its Status.
    pub fn of_status(code: u16, reason: &str, message: &str) -> Self {
        match (code, reason) {
            (404, _) => Self::NotFound,
            (409, "AlreadyExists") => Self::AlreadyExists,
            (409, _) => Self::Conflict,
            _ => Self::Refused { code, message: message.to_owned() },
        }
    }
}

/// What the controllers ask of a cluster.
pub trait Api: Send + Sync + 'static {
    /// Watches all objects of a resource, in all namespaces. Each resource is watched once, whoever wants it. The stream begins with [`WatchEvent::Listed`]. After an
    /// error, or when it ends (a server ends a watch when its time is up), the controllers watch anew.
    fn watch(&self, resource: Resource) -> BoxStream<'static, Result<WatchEvent, ApiError>>;

    /// Carries out a request and gives the body of the answer: the object as it is now, or a Status.
    fn send(&self, request: &Request) -> impl Future<Output = Result<Document, ApiError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_to_the_paths_of_the_api() {
        let pod = Target::namespaced(Resource::PODS, "ns", "web");
        let volume = Target::cluster(Resource::PERSISTENT_VOLUMES, "pv");
        let attachments = Resource::of("storage.k8s.io", "volumeattachments");
        for (request, path, shown) in [
            (Request::create(pod.clone(), Value::Null), "/api/v1/namespaces/ns/pods", "pods/ns/web"),
            (
                Request::create(pod.clone().subresource("binding"), Value::Null),
                "/api/v1/namespaces/ns/pods/web/binding",
                "pods/ns/web/binding",
            ),
            (Request::merge_patch(pod, Value::Null), "/api/v1/namespaces/ns/pods/web", "pods/ns/web"),
            (
                Request::merge_patch(volume.subresource("status"), Value::Null),
                "/api/v1/persistentvolumes/pv/status",
                "persistentvolumes/pv/status",
            ),
            (
                Request::delete(Target::namespaced(Resource::PODS, "ns", "web"), "u"),
                "/api/v1/namespaces/ns/pods/web",
                "pods/ns/web",
            ),
            (Request::list(Resource::PODS, Some("ns")), "/api/v1/namespaces/ns/pods", "pods/ns/"),
            (Request::list(Resource::NODES, None), "/api/v1/nodes", "nodes/"),
            (
                Request::create(Target::cluster(attachments, "a"), Value::Null),
                "/apis/storage.k8s.io/v1/volumeattachments",
                "volumeattachments/a",
            ),
        ] {
            assert_eq!(request.path(), path);
            assert_eq!(request.target.to_string(), shown);
        }
    }

    #[test]
    fn answers_are_told_apart() {
        for (code, reason, wanted) in [
            (404, "NotFound", "found none"),
            (409, "AlreadyExists", "found one of that name"),
            (409, "Conflict", "found it changed"),
            (409, "", "found it changed"),
            (422, "Invalid", "refused with 422: why"),
            (500, "", "refused with 500: why"),
        ] {
            let text = ApiError::of_status(code, reason, "why").to_string();
            assert!(text.contains(wanted), "{code} {reason}: {text}");
        }
    }
}
