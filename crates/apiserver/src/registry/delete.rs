//! Delete, of one object and of a collection.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use tokenward_kube_schema::{self as schema, protobuf};
use tokenward_store::{Entry, Revision, WriteError};

use super::{Collection, Registry, Target, Written, print, unstored};
use crate::admission::namespace_lifecycle;
use crate::admission::node_restriction::{self, NodeWrite};
use crate::authentication::User;
use crate::content::{Content, List};
use crate::index::Index;
use crate::object::{Metadata, Object, format_time};
use crate::query::ListOptions;
use crate::registry::collection;
use crate::status::ApiError;
use crate::strategy;
use crate::webhook::{Operation, Proposal};

/// `DeleteOptions`, from the body or the query.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct DeleteOptions {
    pub(crate) grace_period_seconds: Option<i64>,
    pub(crate) preconditions: Option<Preconditions>,
    pub(crate) propagation_policy: Option<String>,
    /// The older way to say `Orphan`, or `Background`.
    pub(crate) orphan_dependents: Option<bool>,
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
        warnings: &mut Vec<String>,
    ) -> Result<Written, ApiError> {
        namespace_lifecycle::admit_delete(target.kind, target.name)?;
        self.delete_for(target, options, Some((user, warnings))).await
    }

    /// The same for the server itself: whoever may object to it has been asked already.
    pub(crate) async fn delete_unasked(
        &self,
        target: Target<'_>,
        options: &DeleteOptions,
    ) -> Result<Written, ApiError> {
        self.delete_for(target, options, None).await
    }

    /// Deletes for a user, if there is one, who is warned.
    async fn delete_for(
        &self,
        target: Target<'_>,
        options: &DeleteOptions,
        mut client: Option<(&User, &mut Vec<String>)>,
    ) -> Result<Written, ApiError> {
        loop {
            let entry = self.get(target)?;
            let old = self.tree(target.kind, &entry.value)?;
            if let Some(node) = client.as_ref().and_then(|(user, _)| user.node()) {
                let write = NodeWrite {
                    node,
                    collection: &collection(target.kind),
                    namespace: target.namespace.unwrap_or(""),
                    name: target.name,
                    operation: node_restriction::Operation::Delete { old: &old },
                };
                node_restriction::admit(write, &self.view)?;
            }
            options.check(target, &entry.index.uid, &entry.revision.to_string())?;
            let strategy = strategy::of(target.kind);
            if let Some((user, warnings)) = &mut client {
                self.ask_about_deletion(target, user, &old, options, warnings).await?;
            }
            let grace = match options.grace_period_seconds {
                // A deletion that is under way takes its course.
                None if old.is_terminating() => old.metadata_number("deletionGracePeriodSeconds"),
                requested => strategy
                    .grace_seconds(&old, requested.map(|seconds| if seconds < 0 { 1 } else { seconds })),
            };
            let finalizers = finalizers_after(&old, options, strategy.owns_others());
            let is_held = grace > 0 || !finalizers.is_empty() || strategy.held_back(&old);
            if !is_held {
                if options.dry_run.is_empty() {
                    match self.store.delete(&entry.key, Some(entry.revision)).await {
                        Ok(entry) => return Ok(self.answer_of_deletion(target, &entry)),
                        Err(WriteError::Conflict { .. }) => continue,
                        Err(WriteError::Missing { .. }) => return Err(ApiError::not_found(target.subject())),
                        Err(error) => return Err(ApiError::not_kept(&error)),
                    }
                }
                return Ok(self.answer_of_deletion(target, &entry));
            }
            if !shortens(&old, grace) && finalizers == finalizers_of(&old) {
                return Ok(Written::ok(self.show(target.kind, entry)));
            }
            let marked = print(target.kind, &self.gates, self.marked(target, old, grace, finalizers))?;
            if !options.dry_run.is_empty() {
                return Ok(unstored(StatusCode::OK, target.kind, &marked));
            }
            match self.put_changed(&entry, &marked).await? {
                Ok(entry) => return Ok(Written::ok(self.show(target.kind, entry))),
                Err(WriteError::Conflict { .. }) => {}
                Err(WriteError::Missing { .. }) => return Err(ApiError::not_found(target.subject())),
                Err(error) => return Err(ApiError::not_kept(&error)),
            }
        }
    }

    /// What is answered when an object is gone: the object, or, of most kinds, that it went well.
    fn answer_of_deletion(&self, target: Target<'_>, entry: &Arc<Entry<Index>>) -> Written {
        if strategy::of(target.kind).is_shown_when_deleted() {
            return Written::ok(self.show(target.kind, entry.clone()));
        }
        let mut details = json!({"name": target.name, "kind": target.kind.plural, "uid": entry.index.uid});
        if !target.kind.group.is_empty() {
            details["group"] = target.kind.group.into();
        }
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
        Written { code: StatusCode::OK, content: Content::Status(status) }
    }

    async fn ask_about_deletion(
        &self,
        target: Target<'_>,
        user: &User,
        old: &Object,
        options: &DeleteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<(), ApiError> {
        let proposal = || Proposal {
            subject: target.proposed(Operation::Delete, ""),
            kind: target.kind,
            user,
            object: None,
            old: Some(old),
            dry_run: !options.dry_run.is_empty(),
            options: options.to_object(),
        };
        self.webhooks.ask(&self.view, warnings, proposal).await
    }

    fn marked(&self, target: Target<'_>, mut object: Object, grace: i64, finalizers: Vec<String>) -> Object {
        let is_first = !object.is_terminating();
        // Of a deletion under way the beginning stays, and the end comes closer.
        let begun = object.metadata_text("deletionTimestamp").parse::<Timestamp>().ok().and_then(|end| {
            let before = object.metadata_number("deletionGracePeriodSeconds");
            end.checked_sub(SignedDuration::from_secs(before)).ok()
        });
        let end = begun.unwrap_or_else(|| self.clock.now()).checked_add(SignedDuration::from_secs(grace));
        object.set_metadata_text("deletionTimestamp", &format_time(end.unwrap_or(Timestamp::MAX)));
        object.metadata_mut().insert("deletionGracePeriodSeconds".to_owned(), grace.into());
        object.metadata_mut().insert("finalizers".to_owned(), finalizers.into());
        let generation = object.metadata_number("generation");
        if is_first && generation > 0 {
            object.metadata_mut().insert("generation".to_owned(), generation.saturating_add(1).into());
        }
        strategy::of(target.kind).mark_deleted(&mut object);
        object
    }

    /// The revision of the newest write.
    pub(crate) fn newest_revision(&self) -> Revision {
        self.store.current_revision()
    }

    /// Removes the events that were last written at `until` or before. Says how many.
    pub(crate) async fn forget_events(&self, until: Revision) -> usize {
        let mut forgotten = 0;
        for entry in self.view.entries("events").iter().filter(|entry| entry.revision <= until) {
            // One that was written or removed just now is left to its writer.
            forgotten += usize::from(self.store.delete(&entry.key, Some(entry.revision)).await.is_ok());
        }
        forgotten
    }

    /// Deletes what a list with these parameters would show. Answers with that list.
    pub(crate) async fn delete_collection(
        &self,
        of: Collection<'_>,
        user: &User,
        which: &ListOptions,
        options: &DeleteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<List, ApiError> {
        let chosen = self.choose(of, which)?;
        for entry in &chosen.entries {
            let target = Target { kind: of.kind, namespace: entry.key.namespace(), name: entry.key.name() };
            match self.delete(target, user, options, warnings).await {
                Ok(_) => {}
                // Gone already: that is what was wanted.
                Err(error) if error.code() == StatusCode::NOT_FOUND => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.show_chosen(of, chosen))
    }
}

/// Whether marking would change anything: the object is not terminating yet, or would have to wait longer.
fn shortens(object: &Object, grace: i64) -> bool {
    !object.is_terminating() || object.metadata_number("deletionGracePeriodSeconds") > grace
}

fn finalizers_of(object: &Object) -> Vec<String> {
    let list = object.get("metadata").and_then(|metadata| metadata.get("finalizers"));
    let texts = list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// The finalizers once a deletion has begun: what shall become of the object's dependents is kept as one, for the garbage
/// collector. What is asked for counts before what is there.
fn finalizers_after(object: &Object, options: &DeleteOptions, owns_others: bool) -> Vec<String> {
    const ORPHAN: &str = "orphan";
    const FOREGROUND: &str = "foregroundDeletion";
    let own = finalizers_of(object);
    let has = |finalizer: &str| own.iter().any(|own| own == finalizer);
    let wanted = match (options.propagation_policy.as_deref(), options.orphan_dependents) {
        _ if !owns_others => None,
        (Some("Orphan"), _) | (None, Some(true)) => Some(ORPHAN),
        (Some("Foreground"), _) => Some(FOREGROUND),
        (Some(_), _) | (None, Some(false)) => None,
        (None, None) if has(ORPHAN) => Some(ORPHAN),
        (None, None) => has(FOREGROUND).then_some(FOREGROUND),
    };
    if wanted.is_some_and(has) && !(has(ORPHAN) && has(FOREGROUND)) {
        return own;
    }
    let others = own.into_iter().filter(|own| own != ORPHAN && own != FOREGROUND);
    others.chain(wanted.map(str::to_owned)).collect()
}

impl DeleteOptions {
    /// Whether an object is what the deletion is meant for.
    ///
    /// # Errors
    /// 409 with what was wanted and found.
    pub(crate) fn check(&self, target: Target<'_>, uid: &str, version: &str) -> Result<(), ApiError> {
        let Some(wanted) = &self.preconditions else { return Ok(()) };
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

    /// Reads the body of a DELETE.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let refuse = |error: &dyn fmt::Display| ApiError::bad_request(error.to_string());
        let tree = schema::decode_delete_options(body).map_err(|error| refuse(&error))?;
        serde_json::from_value(Value::Object(tree))
            .map_err(|_| refuse(&"the options of a DELETE are no such"))
    }

    /// The options as an object, as a webhook reads them.
    fn to_object(&self) -> Value {
        let mut options = json!({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"});
        if let Some(seconds) = self.grace_period_seconds {
            options["gracePeriodSeconds"] = seconds.into();
        }
        if let Some(policy) = &self.propagation_policy {
            options["propagationPolicy"] = policy.as_str().into();
        }
        if !self.dry_run.is_empty() {
            options["dryRun"] = self.dry_run.clone().into();
        }
        options
    }

    /// Reads the body of a DELETE in protobuf.
    pub(crate) fn parse_protobuf(body: &[u8]) -> Result<Self, ApiError> {
        let refuse =
            |why: String| ApiError::bad_request(format!("the body of a DELETE must be DeleteOptions: {why}"));
        let tree = protobuf::decode_delete_options(body).map_err(|error| refuse(error.to_string()))?;
        serde_json::from_value(Value::Object(tree)).map_err(|_| refuse("found something else".to_owned()))
    }
}
