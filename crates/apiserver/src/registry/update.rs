//! Update, and the way that every change of a stored object goes: an update and a patch make a new tree out of the stored
//! one and go the same way from there.

use http::StatusCode;
use tokenward_store::{Entry, Revision, WriteError};

use super::ownership::{self, Submitted};
use super::{Registry, Target, Written, collection, print, unstored};
use crate::admission;
use crate::admission::node_restriction::{self, NodeWrite};
use crate::authentication::User;
use crate::authorization::escalation::{self, Grant};
use crate::content::Shown;
use crate::index::Index;
use crate::object::{Metadata, Object, child_mut};
use crate::query::WriteOptions;
use crate::status::ApiError;
use crate::strategy::{self, Rules};
use crate::webhook::{Operation, Proposal};

/// How often the server itself tries again when somebody else was faster.
const CONFLICT_ATTEMPTS: usize = 5;

/// Which part of an object a write is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything but the status.
    Object,
    /// The status, and metadata.
    Status,
    /// A namespace's `spec.finalizers`.
    Finalize,
}

impl Part {
    /// The last part of the path; empty for the object itself.
    pub(super) fn subresource(self) -> &'static str {
        match self {
            Self::Object => "",
            Self::Status => "status",
            Self::Finalize => "finalize",
        }
    }
}

impl Registry {
    /// Replaces an object by a decoded body.
    pub(crate) async fn update(
        &self,
        target: Target<'_>,
        part: Part,
        user: &User,
        object: Object,
        options: &WriteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Written, ApiError> {
        check_namespace(target, &object)?;
        check_name(target, &object)?;
        // As Go would print it, so that it can be compared with what is stored.
        let object = print(target.kind, &self.gates, object)?;
        let allow_unconditional = part != Part::Object || strategy::of(target.kind).unconditional_update();
        self.change(target, part, user, options, warnings, |old, entry, _| {
            check_uid_precondition(target, &object, old)?;
            check_version(target, &object, entry.revision, allow_unconditional)?;
            Ok(object.clone().into())
        })
        .await
    }

    /// Reads, lets `succeed` make the successor, and writes it if nobody else wrote in between; else begins again.
    pub(super) async fn change(
        &self,
        target: Target<'_>,
        part: Part,
        user: &User,
        options: &WriteOptions,
        warnings: &mut Vec<String>,
        succeed: impl Fn(&Object, &Entry<Index>, &mut Vec<String>) -> Result<Submitted, ApiError>,
    ) -> Result<Written, ApiError> {
        let mut attempts_left = CONFLICT_ATTEMPTS;
        loop {
            let entry = self.get(target)?;
            let old = self.tree(target.kind, &entry.value)?;
            let Submitted { mut object, ownership } = succeed(&old, &entry, warnings)?;
            if let Some(node) = user.node() {
                let write = NodeWrite {
                    node,
                    collection: &collection(target.kind),
                    namespace: target.namespace.unwrap_or(""),
                    name: target.name,
                    operation: node_restriction::Operation::Update { part, new: &object, old: &old },
                };
                node_restriction::admit(write, &self.view)?;
            }
            strategy::of(target.kind).set_defaults(&mut object);
            object = print(target.kind, &self.gates, object)?;
            let grant = Grant {
                kind: target.kind,
                namespace: target.namespace.unwrap_or(""),
                path_name: target.name,
                new: &object,
                old: Some(&old),
            };
            escalation::check(user, grant, &self.view)?;
            let entries = self.settle(target.kind, part, options, Some(&old), &object, ownership);
            let new = self.finish(target, part, object, &old, warnings)?;
            let mut new = print(target.kind, &self.gates, new)?;
            ownership::set(&mut new, entries);
            ownership::keep_times(&mut new, &old);
            let proposal = || Proposal {
                subject: target.proposed(Operation::Update, part.subresource()),
                kind: target.kind,
                user,
                object: Some(&new),
                old: Some(&old),
                dry_run: options.dry_run,
                options: options.to_object("UpdateOptions"),
            };
            self.webhooks.ask(&self.view, warnings, proposal).await?;
            if options.dry_run {
                let mut shown = new;
                shown.set_metadata_text("resourceVersion", &entry.revision.to_string());
                return Ok(unstored(StatusCode::OK, target.kind, &shown));
            }
            let is_over = new.is_terminating()
                && !new.has_finalizers()
                && new.metadata_number("deletionGracePeriodSeconds") == 0
                && !strategy::of(target.kind).held_back(&new);
            let written = if is_over {
                self.store.delete(&entry.key, Some(entry.revision)).await.map(|_| {
                    let mut last = new;
                    last.set_metadata_text("resourceVersion", &entry.revision.to_string());
                    Shown::of_tree(target.kind, &last)
                })
            } else {
                self.put_changed(&entry, &new).await?.map(|entry| self.show(target.kind, entry))
            };
            attempts_left -= 1;
            match written {
                Ok(shown) => return Ok(Written::ok(shown)),
                Err(WriteError::Missing { .. }) => return Err(ApiError::not_found(target.subject())),
                Err(WriteError::Conflict { .. }) if attempts_left > 0 => {}
                Err(WriteError::Conflict { .. }) => return Err(ApiError::modified(target.subject())),
                Err(error) => return Err(ApiError::not_kept(&error)),
            }
        }
    }

    /// What no client may change is put back; then the kind's own preparation and validation.
    fn finish(
        &self,
        target: Target<'_>,
        part: Part,
        mut new: Object,
        old: &Object,
        warnings: &mut Vec<String>,
    ) -> Result<Object, ApiError> {
        for member in ["creationTimestamp", "generation", "namespace"] {
            new.take_metadata_from(old, member);
        }
        // That an object is being deleted cannot be taken back, nor begun like this: that is refused below.
        if old.is_terminating() {
            new.take_metadata_from(old, "deletionTimestamp");
        }
        if !has_metadata(&new, "deletionGracePeriodSeconds") {
            new.take_metadata_from(old, "deletionGracePeriodSeconds");
        }
        if new.uid().is_empty() {
            new.take_metadata_from(old, "uid");
        }
        let strategy = strategy::of(target.kind);
        match part {
            Part::Object => {
                if target.kind.subresource("status").is_some() {
                    copy_member(&mut new, old, "status");
                }
                admission::fill_in_change(target.kind, &mut new, &self.admission);
                strategy.prepare_update(&mut new, old, &self.gates);
            }
            Part::Status => {
                let status = new.remove("status");
                let metadata = new.remove("metadata");
                new = old.clone();
                new.extend(status.map(|status| ("status".to_owned(), status)));
                new.extend(metadata.map(|metadata| ("metadata".to_owned(), metadata)));
                new.take_metadata_from(old, "ownerReferences");
                strategy.prepare_status(&mut new, old);
            }
            Part::Finalize => {
                let finalizers = child_mut(&mut new, "spec").remove("finalizers");
                new = old.clone();
                let spec = child_mut(&mut new, "spec");
                spec.remove("finalizers");
                spec.extend(finalizers.map(|finalizers| ("finalizers".to_owned(), finalizers)));
            }
        }
        strategy.record_times(&mut new, Some(old), self.clock.now());
        let rules = if part == Part::Status { Rules::Status } else { Rules::Object };
        let errors = strategy::validate_change(target.kind, rules, &new, old);
        if !errors.is_empty() {
            return Err(ApiError::invalid(target.validation_subject(), &errors));
        }
        if part == Part::Object {
            admission::check_change(target.kind, &new, old, &self.view, &self.admission)?;
            warnings.extend(strategy.warnings_on_update(&new, old, &self.gates));
        }
        Ok(new)
    }
}

/// What a write is about must be what its path names.
pub(super) fn check_name(target: Target<'_>, object: &Object) -> Result<(), ApiError> {
    let name = object.name();
    if name.is_empty() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            target.name
        )));
    }
    if name != target.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.name
        )));
    }
    Ok(())
}

/// An object without a namespace is taken for one of its path's.
pub(super) fn check_namespace(target: Target<'_>, object: &Object) -> Result<(), ApiError> {
    let namespace = object.namespace();
    if target.namespace.is_some_and(|own| !namespace.is_empty() && namespace != own) {
        let text = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(ApiError::bad_request(text));
    }
    Ok(())
}

/// Whether the write is about what is stored. Some kinds are overwritten by whoever does not say.
pub(super) fn check_version(
    target: Target<'_>,
    object: &Object,
    stored: Revision,
    allow_unconditional: bool,
) -> Result<(), ApiError> {
    let version = object.metadata_text("resourceVersion");
    if version.is_empty() || version == "0" {
        if !allow_unconditional {
            let detail = "must be specified for an update";
            let error = tokenward_kube_rules::FieldError::invalid("metadata.resourceVersion", 0, detail);
            return Err(ApiError::invalid(target.subject(), &[error]));
        }
    } else if !is_at(version, stored)? {
        return Err(ApiError::modified(target.subject()));
    }
    Ok(())
}

fn has_metadata(object: &Object, member: &str) -> bool {
    object.get("metadata").and_then(|metadata| metadata.get(member)).is_some_and(|value| !value.is_null())
}

fn copy_member(new: &mut Object, old: &Object, member: &str) {
    match old.get(member) {
        Some(value) => new.insert(member.to_owned(), value.clone()),
        None => new.remove(member),
    };
}

pub(super) fn is_at(version: &str, revision: Revision) -> Result<bool, ApiError> {
    let wanted = crate::query::parse_number(version).map_err(ApiError::unclassified)?;
    Ok(wanted == revision.get())
}

/// A uid in the body of a PUT is a promise about which object is meant.
fn check_uid_precondition(target: Target<'_>, new: &Object, old: &Object) -> Result<(), ApiError> {
    let (wanted, found) = (new.uid(), old.uid());
    if wanted.is_empty() || wanted == found {
        return Ok(());
    }
    Err(uid_precondition(target, wanted, found))
}

/// 409: the object is another one of the same name.
pub(crate) fn uid_precondition(target: Target<'_>, wanted: &str, found: &str) -> ApiError {
    let namespace = target.namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{}/{namespace}{}, ResourceVersion: 0, \
         AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}",
        target.kind.plural, target.name
    );
    ApiError::conflict(target.subject(), &why)
}

impl Registry {
    /// Lets `succeed` make an object's successor and writes it, without the rules that hold for clients' changes. Gives the
    /// revision that the object has then.
    pub(crate) async fn rewrite(
        &self,
        target: Target<'_>,
        dry_run: bool,
        succeed: impl Fn(&Object, jiff::Timestamp) -> Result<Object, ApiError>,
    ) -> Result<Revision, ApiError> {
        loop {
            let entry = self.get(target)?;
            let old = self.tree(target.kind, &entry.value)?;
            let new = print(target.kind, &self.gates, succeed(&old, self.clock.now())?)?;
            if dry_run {
                return Ok(entry.revision);
            }
            match self.put_changed(&entry, &new).await? {
                Ok(entry) => return Ok(entry.revision),
                Err(WriteError::Conflict { .. }) => {}
                Err(WriteError::Missing { .. }) => return Err(ApiError::not_found(target.subject())),
                Err(error) => return Err(ApiError::not_kept(&error)),
            }
        }
    }
}
