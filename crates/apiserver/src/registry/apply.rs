//! Server-side apply: a configuration is merged into the stored object, or makes one.

use http::StatusCode;
use serde_json::{Map, Value, json};
use tokenward_kube_schema::managed_fields::{self, Applied, ApplyError};

use super::ownership::{Ownership, Submitted};
use super::update::{check_name, check_namespace, is_at};
use super::{Part, Registry, Target, Written};
use crate::authentication::User;
use crate::object::{Metadata, Object};
use crate::query::{WriteOptions, parse_number};
use crate::status::ApiError;

/// What a client applies.
pub(crate) struct Configuration {
    pub(crate) object: Object,
    /// Whether others lose what the configuration changes.
    pub(crate) force: bool,
    /// Whether the client may make the object, if there is none yet.
    pub(crate) may_create: Result<(), ApiError>,
}

impl Registry {
    /// Applies a configuration; without such an object, it makes one.
    pub(crate) async fn apply(
        &self,
        target: Target<'_>,
        part: Part,
        user: &User,
        configuration: &Configuration,
        options: &WriteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Written, ApiError> {
        loop {
            let is_missing = self.get(target).is_err();
            if is_missing && part == Part::Object {
                configuration.may_create.clone()?;
                match self.create_applied(target, user, configuration, options, warnings).await {
                    // Somebody else was faster.
                    Err(error) if error.reason() == "AlreadyExists" && !options.dry_run => continue,
                    answer => return answer,
                }
            }
            return self
                .change(target, part, user, options, warnings, |old, entry, _| {
                    let applied = self.applied(target, part, configuration, options, Some(old))?;
                    let version = applied.object.metadata_text("resourceVersion");
                    if !version.is_empty() && !is_at(version, entry.revision)? {
                        return Err(ApiError::modified(target.subject()));
                    }
                    Ok(submitted(applied))
                })
                .await;
        }
    }

    async fn create_applied(
        &self,
        target: Target<'_>,
        user: &User,
        configuration: &Configuration,
        options: &WriteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Written, ApiError> {
        let mut applied = self.applied(target, Part::Object, configuration, options, None)?;
        // There is no object that it could be the version of.
        let version = applied.object.metadata_text("resourceVersion");
        if !version.is_empty() {
            parse_number(version).map_err(ApiError::unclassified)?;
            applied.object.set_metadata_text("resourceVersion", "");
        }
        let uid = applied.object.uid();
        if !uid.is_empty() {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            return Err(ApiError::conflict(target.subject(), &why));
        }
        self.create(target.kind, target.namespace, user, submitted(applied), options, warnings).await
    }

    fn applied(
        &self,
        target: Target<'_>,
        part: Part,
        configuration: &Configuration,
        options: &WriteOptions,
        live: Option<&Object>,
    ) -> Result<Applied, ApiError> {
        let Configuration { object, force, .. } = configuration;
        let applied = self
            .with_write(target.kind, part, options, |write| {
                managed_fields::apply(write, live, object, *force)
            })
            .map_err(|error| refusal(&error))?;
        check_namespace(target, &applied.object)?;
        check_name(target, &applied.object)?;
        Ok(applied)
    }
}

fn submitted(Applied { object, managed_fields }: Applied) -> Submitted {
    Submitted { object, ownership: Ownership::Settled(managed_fields) }
}

fn refusal(error: &ApplyError) -> ApiError {
    let text = error.to_string();
    match error {
        ApplyError::WrongKind(_) | ApplyError::ManagedFieldsGiven | ApplyError::Result(_) => {
            ApiError::bad_request(text)
        }
        ApplyError::Config { .. } | ApplyError::StoredFields | ApplyError::StoredItems(_) => {
            ApiError::unclassified(text)
        }
        ApplyError::Conflicts(conflicts) => {
            let causes = conflicts.iter().map(|conflict| {
                json!({
                    "reason": "FieldManagerConflict",
                    "message": format!("conflict with {}", conflict.manager),
                    "field": conflict.field,
                })
            });
            let details = Map::from_iter([("causes".to_owned(), causes.collect::<Value>())]);
            ApiError::new(StatusCode::CONFLICT, "Conflict", text).about(details)
        }
    }
}
