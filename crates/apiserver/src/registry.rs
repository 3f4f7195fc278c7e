//! The verbs on objects: the same for every kind, with a [`crate::strategy`] for what is special.
//!
//! Objects are kept as the bytes that go on the wire; a tree lives only inside a write. Order of the steps and texts
//! of refusals follow upstream's generic registry.

mod apply;
mod create;
mod delete;
mod events;
mod operations;
mod ownership;
mod patch;
mod read;
mod update;
mod watch;

use std::sync::Arc;

use http::StatusCode;
use serde_json::json;
use tokenward_kube_rules::{FeatureGates, names};
use tokenward_kube_schema::{self as schema, DecodeError, Decoded, Kind};
use tokenward_store::{Entry, Key, Revision, Store, Unstamped, WriteError};
use tokenward_tokens::Clock;

pub(crate) use self::apply::Configuration;
pub(crate) use self::delete::{DeleteOptions, Preconditions};
pub(crate) use self::events::EventWriter;
pub(crate) use self::operations::{JsonOperation, json_type};
pub(crate) use self::patch::{Change, Patch};
pub(crate) use self::read::Collection;
pub(crate) use self::update::{Part, uid_precondition};
use crate::cluster_view::ClusterView;
use crate::content::{Content, Shown};
use crate::index::Index;
use crate::metrics::AdmissionMetrics;
use crate::object::Object;
use crate::query::FieldValidation;
use crate::status::{ApiError, Subject, go_quote};
use crate::table::{Include, Scene};
use crate::webhook::{self, Operation, Webhooks};

/// How many bytes an object may have as it is stored: etcd's `--max-request-bytes`, unless it is told otherwise.
const LARGEST_OBJECT: usize = 1_572_864;

/// Objects of all kinds over one store.
#[derive(Clone)]
pub(crate) struct Registry {
    store: Store<Index>,
    view: ClusterView,
    gates: FeatureGates,
    clock: Clock,
    webhooks: Arc<Webhooks>,
    admission: AdmissionMetrics,
}

/// One object's address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) kind: &'static Kind,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) name: &'a str,
}

/// What a request is answered with; no `Debug`, since it may be a token.
pub(crate) struct Written {
    pub(crate) code: StatusCode,
    pub(crate) content: Content,
}

impl Written {
    pub(crate) fn ok(content: impl Into<Content>) -> Self {
        Self { code: StatusCode::OK, content: content.into() }
    }

    /// What is answered to a POST that was carried out and made nothing that could be shown.
    pub(crate) fn carried_out() -> Self {
        let code = StatusCode::CREATED;
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code.as_u16(),
        });
        Self { code, content: Content::Status(status) }
    }
}

impl Target<'_> {
    /// As errors about the object name it: by its resource.
    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject { group: self.kind.group, kind: self.kind.plural, name: self.name }
    }

    /// As validation errors name it: by its kind.
    pub(crate) fn validation_subject(&self) -> Subject<'_> {
        Subject { group: self.kind.group, kind: self.kind.kind, name: self.name }
    }

    /// As webhooks are asked about it. A namespace is in itself.
    pub(crate) fn proposed<'t>(&'t self, operation: Operation, subresource: &'t str) -> webhook::Subject<'t> {
        let is_namespace = self.kind.group.is_empty() && self.kind.plural == "namespaces";
        webhook::Subject {
            operation,
            group: self.kind.group,
            version: self.kind.version,
            resource: self.kind.plural,
            subresource,
            namespace: self
                .namespace
                .or_else(|| (is_namespace && !self.name.is_empty()).then_some(self.name)),
            name: self.name,
        }
    }

    fn key(&self) -> Result<Key, ApiError> {
        let faults = names::path_segment(self.name);
        if !faults.is_empty() {
            let (name, faults) = (go_quote(self.name), faults.join(";"));
            return Err(ApiError::bad_request(format!("Name parameter invalid: {name}: {faults}")));
        }
        Key::new(collection(self.kind), self.namespace, self.name)
            .map_err(|_| ApiError::not_found(self.subject()))
    }
}

/// The store's name for the objects of a kind: `pods`, `storage.k8s.io/csidrivers`.
pub(crate) fn collection(kind: &Kind) -> Arc<str> {
    if kind.group.is_empty() { kind.plural.into() } else { format!("{}/{}", kind.group, kind.plural).into() }
}

impl Registry {
    pub(crate) fn new(store: Store<Index>, gates: FeatureGates, clock: Clock) -> Self {
        let admission = AdmissionMetrics::default();
        let webhooks = Arc::new(Webhooks::new(&store, admission.clone()));
        Self { view: ClusterView::new(store.clone()), store, gates, clock, webhooks, admission }
    }

    /// What admission counts.
    pub(crate) fn admission_metrics(&self) -> &AdmissionMetrics {
        &self.admission
    }

    /// Waits a little for a revision that another server over the same etcd may have told of.
    pub(crate) async fn reached(&self, revision: Revision) {
        self.store.reached(revision).await;
    }

    /// Whether etcd answers, if the objects are kept there.
    pub(crate) fn etcd_answers(&self) -> Option<bool> {
        self.store.etcd_answers()
    }

    pub(crate) fn view(&self) -> &ClusterView {
        &self.view
    }

    /// Those who are asked before something is written.
    pub(crate) fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    pub(crate) fn gates(&self) -> &FeatureGates {
        &self.gates
    }

    /// What rows of tables show beside the objects.
    pub(crate) fn scene(&self, include: Include) -> Scene<'_> {
        Scene { now: self.clock.now(), gates: &self.gates, include }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Reads a body into a pruned tree; unknown and repeated fields become warnings, an error, or nothing, as does a fault
    /// that the body's own language had.
    pub(crate) fn decode(
        &self,
        kind: &'static Kind,
        body: &[u8],
        fault: Option<&str>,
        validation: FieldValidation,
        warnings: &mut Vec<String>,
    ) -> Result<Object, ApiError> {
        let mut decoded = schema::decode(kind, self.gates.release(), body)
            .map_err(|error| not_decoded(kind, &error, body))?;
        decoded.strict.splice(..0, fault.map(str::to_owned));
        strict(kind, decoded, validation, warnings)
    }

    /// Reads a protobuf body into a pruned tree. Fields that are not known are skipped, whatever the client would have
    /// fields validated like: upstream does not look for them in protobuf.
    pub(crate) fn decode_protobuf(&self, kind: &'static Kind, body: &[u8]) -> Result<Object, ApiError> {
        schema::protobuf::decode(kind, self.gates.release(), body)
            .map_err(|error| not_decoded(kind, &error, body))
    }

    /// The tree of a stored object as this release knows it.
    fn tree(&self, kind: &'static Kind, bytes: &[u8]) -> Result<Object, ApiError> {
        let tree = schema::parse(bytes).map_err(|error| ApiError::internal(&error.to_string()))?;
        if !self.must_prune(kind) {
            return Ok(tree);
        }
        print(kind, &self.gates, tree)
    }

    /// A stored object as this release shows it: as it is, unless another release wrote fields that this one does not
    /// know.
    pub(crate) fn show(&self, kind: &'static Kind, stored: Arc<Entry<Index>>) -> Shown {
        if !self.must_prune(kind) {
            return Shown::of_entry(kind, stored);
        }
        let release = self.gates.release();
        let prune = || {
            let tree = schema::parse(&stored.value).ok()?;
            let decoded = schema::normalize(kind, release, &tree).ok()?;
            (!decoded.unknown.is_empty()).then(|| schema::to_json(&decoded.object).into())
        };
        match stored.index.encodings.pruned(release, prune) {
            Some(json) => Shown::of_json(kind, json),
            None => Shown::of_entry(kind, stored),
        }
    }

    fn must_prune(&self, kind: &Kind) -> bool {
        // The one kind of which the served releases know different fields.
        kind.kind == "CSIDriver" && self.gates.release() != tokenward_kube_rules::Release::V1_36
    }

    /// Whether the node where room was made for a pod is forgotten when the pod is bound (the gate
    /// ClearingNominatedNodeNameAfterBinding, on since 1.35).
    pub(crate) fn forgets_nominations(&self) -> bool {
        self.gates.release() != tokenward_kube_rules::Release::V1_34
    }

    /// Stores a new object; what the store says is inside.
    async fn put_new(
        &self,
        key: Key,
        object: &Object,
    ) -> Result<Result<Arc<Entry<Index>>, WriteError<Index>>, ApiError> {
        let (value, index) = (encode(object)?, Index::of_tree(&key, object));
        Ok(self.store.create_indexed(key, value, index).await)
    }

    /// Stores the successor of an object that was read; what the store says is inside.
    async fn put_changed(
        &self,
        read: &Entry<Index>,
        object: &Object,
    ) -> Result<Result<Arc<Entry<Index>>, WriteError<Index>>, ApiError> {
        let (value, index) = (encode(object)?, Index::of_tree(&read.key, object));
        Ok(self.store.update_indexed(&read.key, read.revision, value, index).await)
    }

    /// The tree of one object as it is now.
    pub(crate) fn tree_of(&self, target: Target<'_>) -> Result<Object, ApiError> {
        self.tree(target.kind, &self.get(target)?.value)
    }

    fn get(&self, target: Target<'_>) -> Result<Arc<Entry<Index>>, ApiError> {
        self.store.get(&target.key()?).ok_or_else(|| ApiError::not_found(target.subject()))
    }
}

fn not_decoded(kind: &Kind, error: &DecodeError, body: &[u8]) -> ApiError {
    let mut message = error.status_message(kind);
    if error.is_unrecognized() && may_be_quoted(kind, body) {
        message = format!("{message} ({})", schema::summarize_body(body));
    }
    ApiError::bad_request(message)
}

/// Upstream quotes the start of a body that is no object; where that may be a token or another secret, nobody does.
fn may_be_quoted(kind: &Kind, body: &[u8]) -> bool {
    let is_secret = matches!(kind.kind, "Secret" | "TokenRequest" | "TokenReview");
    // Any part of a token, however short, starts like its JSON header.
    !is_secret && !body.windows(3).any(|start| start == b"eyJ")
}

fn strict(
    kind: &Kind,
    decoded: Decoded,
    validation: FieldValidation,
    warnings: &mut Vec<String>,
) -> Result<Object, ApiError> {
    let faults = decoded.strict;
    if validation == FieldValidation::Strict && !faults.is_empty() {
        return Err(ApiError::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: strict decoding error: {}",
            kind.kind,
            kind.version,
            kind.kind,
            faults.join(", ")
        )));
    }
    if validation == FieldValidation::Warn {
        warnings.extend(faults);
    }
    Ok(decoded.object)
}

/// The object as it is stored. What etcd would refuse by default, every store refuses.
fn encode(object: &Object) -> Result<Unstamped, ApiError> {
    let encoded = schema::encode(object);
    let size = encoded.bytes.len();
    if size > LARGEST_OBJECT {
        let why = format!("the object would be stored in {size} bytes, limit is {LARGEST_OBJECT}");
        return Err(ApiError::entity_too_large(&why));
    }
    Ok(Unstamped::new(encoded.bytes, encoded.stamp_at))
}

/// The object as a response that nothing was stored for.
fn unstored(code: StatusCode, kind: &'static Kind, object: &Object) -> Written {
    Written { code, content: Shown::of_tree(kind, object).into() }
}

/// Prints a changed tree as Go would, so that what is stored is what any server of this release would store.
fn print(kind: &'static Kind, gates: &FeatureGates, object: Object) -> Result<Object, ApiError> {
    schema::print(kind, gates.release(), object).map_err(|error| ApiError::internal(&error.to_string()))
}

#[cfg(test)]
mod tests;
