//! Delete, of one object and of a collection.

use http::StatusCode;
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::Value;
use tokenward_kube_schema::protobuf;
use tokenward_store::{Page, WriteError};

use super::read::{check_selection, selects};
use super::{Collection, Registry, Target, Written, encode, print};
use crate::admission::{namespace_lifecycle, node_restriction};
use crate::authentication::User;
use crate::content::List;
use crate::object::{Metadata, Object, format_time};
use crate::query::Selection;
use crate::registry::collection;
use crate::status::ApiError;
use crate::strategy;

/// `DeleteOptions`, from the body or the query.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct DeleteOptions {
    pub(crate) grace_period_seconds: Option<i64>,
    pub(crate) preconditions: Option<Preconditions>,
    pub(crate) propagation_policy: Option<String>,
    pub(crate) dry_run: Vec<String>,
}

/// What must be true of the object for it to be deleted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Preconditions {
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
}

impl Registry {
    /// Deletes one object, or marks it when something still holds it. Answers with the object.
    pub(crate) async fn delete(
        &self,
        target: Target<'_>,
        user: &User,
        options: &DeleteOptions,
    ) -> Result<Written, ApiError> {
        namespace_lifecycle::admit_delete(target.kind, target.name)?;
        loop {
            let entry = self.get(target)?;
            if let Some(node) = user.node() {
                node_restriction::admit_change(node, &collection(target.kind), &entry)?;
            }
            check_preconditions(target, options, &entry.index.uid, &entry.revision.to_string())?;
            let old = self.tree(target.kind, &entry.value)?;
            let strategy = strategy::of(target.kind);
            let grace = strategy.grace_seconds(&old, options.grace_period_seconds);
            let is_held = grace > 0 || old.has_finalizers() || strategy.held_back(&old);
            if !options.dry_run.is_empty() || (is_held && !shortens(&old, grace)) {
                return Ok(Written::ok(self.show(target.kind, &entry)));
            }
            let written = if is_held {
                let marked = self.marked(target, old, grace);
                let marked = print(target.kind, &self.gates, &marked)?;
                self.store.update(&entry.key, entry.revision, encode(&marked)).await
            } else {
                self.store.delete(&entry.key, Some(entry.revision)).await
            };
            match written {
                Ok(entry) => return Ok(Written::ok(self.show(target.kind, &entry))),
                Err(WriteError::Conflict { .. }) => {}
                Err(WriteError::Missing { .. }) => return Err(ApiError::not_found(target.subject())),
                Err(error) => return Err(ApiError::internal(&error.to_string())),
            }
        }
    }

    fn marked(&self, target: Target<'_>, mut object: Object, grace: i64) -> Object {
        let end = self.clock.now().checked_add(SignedDuration::from_secs(grace));
        let end = end.unwrap_or(jiff::Timestamp::MAX);
        object.set_metadata_text("deletionTimestamp", &format_time(end));
        object.metadata_mut().insert("deletionGracePeriodSeconds".to_owned(), grace.into());
        let generation = object.metadata_number("generation");
        if generation > 0 {
            object.metadata_mut().insert("generation".to_owned(), (generation + 1).into());
        }
        strategy::of(target.kind).mark_deleted(&mut object);
        object
    }

    /// Deletes what a selector matches. Answers with the list of what was found.
    pub(crate) async fn delete_collection(
        &self,
        of: Collection<'_>,
        user: &User,
        selection: &Selection,
        options: &DeleteOptions,
    ) -> Result<List, ApiError> {
        check_selection(of.kind, selection)?;
        let listing = self
            .store
            .list(&of.scope(selection), &Page::default())
            .map_err(|error| ApiError::internal(&error.to_string()))?;
        let selected: Vec<_> =
            listing.entries.iter().filter(|entry| selects(selection, &entry.key, &entry.index)).collect();
        for entry in &selected {
            let target = Target { kind: of.kind, namespace: entry.key.namespace(), name: entry.key.name() };
            match self.delete(target, user, options).await {
                Ok(_) => {}
                // Gone already: that is what was wanted.
                Err(error) if error.code() == StatusCode::NOT_FOUND => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.list_of(of.kind, &selected, listing.revision))
    }
}

/// Whether marking would change anything: the object is not terminating yet, or would have to wait longer.
fn shortens(object: &Object, grace: i64) -> bool {
    !object.is_terminating() || object.metadata_number("deletionGracePeriodSeconds") > grace
}

fn check_preconditions(
    target: Target<'_>,
    options: &DeleteOptions,
    uid: &str,
    version: &str,
) -> Result<(), ApiError> {
    let Some(wanted) = &options.preconditions else { return Ok(()) };
    let refuse = |what: &str, wanted: &str, found: &str, then: &str| {
        let why = format!(
            "the {what} in the precondition ({wanted}) does not match the {what} in record ({found}). The object might have been {then}"
        );
        Err(ApiError::conflict(target.validation_subject(), &why))
    };
    match (&wanted.uid, &wanted.resource_version) {
        (Some(wanted), _) if wanted != uid => refuse("UID", wanted, uid, "deleted and then recreated"),
        (_, Some(wanted)) if wanted != version => refuse("ResourceVersion", wanted, version, "modified"),
        _ => Ok(()),
    }
}

impl DeleteOptions {
    /// Reads the body of a DELETE.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        serde_json::from_slice(body).map_err(|error| {
            ApiError::bad_request(format!(
                "the body of a DELETE must be DeleteOptions; found a fault in line {}, column {}",
                error.line(),
                error.column()
            ))
        })
    }

    /// Reads the body of a DELETE in protobuf.
    pub(crate) fn parse_protobuf(body: &[u8]) -> Result<Self, ApiError> {
        let refuse =
            |why: String| ApiError::bad_request(format!("the body of a DELETE must be DeleteOptions: {why}"));
        let tree = protobuf::decode_delete_options(body).map_err(|error| refuse(error.to_string()))?;
        serde_json::from_value(Value::Object(tree)).map_err(|_| refuse("found something else".to_owned()))
    }
}
