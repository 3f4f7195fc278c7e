//! Patch: how the change that a client describes is made to a tree, and how the result is read.

use serde_json::Value;
use tokenward_kube_rules::FieldError;
use tokenward_kube_schema::{self as schema, Kind, StrategicFault};

use super::update::{check_name, check_namespace, check_version};
use super::{Part, Registry, Target, Written, operations};
use crate::authentication::User;
use crate::object::Object;
use crate::query::{FieldValidation, WriteOptions};
use crate::status::{ApiError, Subject};
use crate::strategy;

/// A change to be made to a stored object.
#[derive(Clone)]
pub(crate) struct Patch {
    pub(crate) change: Change,
    /// What the patch says more than once, as strict decoding words it.
    pub(crate) duplicate: Vec<String>,
}

/// The change itself.
#[derive(Clone)]
pub(crate) enum Change {
    /// RFC 6902.
    Json(Vec<operations::JsonOperation>),
    /// RFC 7386.
    Merge(Value),
    /// By the kind's merge keys.
    Strategic(Object),
    /// Nothing at all, as `null` says in some formats.
    None,
}

impl Registry {
    /// Changes an object by a patch.
    pub(crate) async fn patch(
        &self,
        target: Target<'_>,
        part: Part,
        user: &User,
        patch: &Patch,
        options: &WriteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Written, ApiError> {
        let allow_unconditional = part != Part::Object || strategy::of(target.kind).unconditional_update();
        self.change(target, part, user, options, warnings, |old, entry, warnings| {
            let patched = self.patched(target.kind, &patch.change, old)?;
            if let (Change::Json(_) | Change::Merge(_), Value::Object(tree)) = (&patch.change, &patched) {
                schema::check_type(target.kind, tree).map_err(|error| invalid_patch(&error.to_string()))?;
            }
            let mut faults = patch.duplicate.clone();
            let successor = self.read_patched(target.kind, patched, options.field_validation, &mut faults)?;
            warnings.extend(faults);
            check_name(target, &successor)?;
            check_version(target, &successor, entry.revision, allow_unconditional)?;
            check_namespace(target, &successor)?;
            Ok(successor.into())
        })
        .await
    }

    fn patched(&self, kind: &'static Kind, change: &Change, old: &Object) -> Result<Value, ApiError> {
        let mut patched = Value::Object(old.clone());
        match change {
            Change::None => {}
            Change::Json(patch) => operations::carry_out(patch, &mut patched)?,
            Change::Merge(patch) => json_patch::merge(&mut patched, patch),
            Change::Strategic(patch) => {
                let merged = schema::strategic_merge(kind, self.gates.release(), old, patch);
                patched = Value::Object(merged.map_err(|error| match error.fault() {
                    StrategicFault::BadRequest => ApiError::bad_request(error.to_string()),
                    StrategicFault::Unprocessable => ApiError::unprocessable(),
                    StrategicFault::Unclassified => ApiError::unclassified(error.to_string()),
                })?);
            }
        }
        Ok(patched)
    }

    /// Reads the patched tree. `faults` holds what strict decoding has found in the patch so far, and then what is to be
    /// warned of.
    fn read_patched(
        &self,
        kind: &'static Kind,
        patched: Value,
        validation: FieldValidation,
        faults: &mut Vec<String>,
    ) -> Result<Object, ApiError> {
        let Value::Object(tree) = patched else { return Err(ApiError::unprocessable()) };
        let decoded = schema::normalize(kind, self.gates.release(), &tree)
            .map_err(|error| invalid_patch(&error.to_string()))?;
        faults.extend(decoded.strict);
        match validation {
            FieldValidation::Ignore => faults.clear(),
            FieldValidation::Strict if !faults.is_empty() => {
                return Err(invalid_patch(&format!("strict decoding error: {}", faults.join(", "))));
            }
            FieldValidation::Strict | FieldValidation::Warn => {}
        }
        Ok(decoded.object)
    }
}

/// Upstream quotes the whole object here, which may be a secret.
fn invalid_patch(why: &str) -> ApiError {
    let error = FieldError::invalid("patch", "(not shown)", why);
    ApiError::invalid(Subject { group: "", kind: "", name: "" }, &[error])
}
