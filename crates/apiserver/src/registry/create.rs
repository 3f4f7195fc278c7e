//! Create.

use http::StatusCode;
use tokenward_store::{Key, WriteError};

use super::{Registry, Target, Written, collection, encode, print, unstored};
use crate::admission::{self, namespace_lifecycle, node_restriction};
use crate::authentication::User;
use crate::authorization::escalation::{self, Grant};
use crate::object::{Metadata, Object, format_time};
use crate::query::WriteOptions;
use crate::random::random_suffix;
use crate::status::ApiError;
use crate::strategy;
use tokenward_kube_schema::Kind;

/// How often a generated name may collide before the client is told.
const GENERATED_NAME_ATTEMPTS: usize = 8;

impl Registry {
    /// Makes a new object out of a decoded body. `namespace` is the path's.
    pub(crate) async fn create(
        &self,
        kind: &'static Kind,
        namespace: Option<&str>,
        user: &User,
        mut object: Object,
        options: &WriteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Written, ApiError> {
        place_in_namespace(&mut object, namespace)?;
        namespace_lifecycle::admit_create(kind, namespace, &object, &self.view)?;

        let strategy = strategy::of(kind);
        for member in
            ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"]
        {
            object.metadata_mut().remove(member);
        }
        object.set_metadata_text("uid", &uuid::Uuid::new_v4().to_string());
        object.set_metadata_text("creationTimestamp", &format_time(self.clock.now()));
        let prefix = object.metadata_text("generateName").to_owned();
        let is_generated = object.name().is_empty() && !prefix.is_empty();
        let attempts = if is_generated { GENERATED_NAME_ATTEMPTS } else { 1 };

        if is_generated {
            object.set_metadata_text("name", &generated_name(&prefix));
        }
        strategy.set_defaults(&mut object);
        self.admit(kind, namespace, user, &mut object)?;
        strategy.prepare_create(&mut object, &self.gates);
        strategy.record_times(&mut object, None, self.clock.now());
        let name = object.name().to_owned();
        let target = Target { kind, namespace, name: &name };
        let errors = strategy::validate_new(kind, &object);
        if !errors.is_empty() {
            return Err(ApiError::invalid(target.validation_subject(), &errors));
        }
        warnings.extend(strategy.warnings_on_create(&object, &self.gates));
        if !object.metadata_text("resourceVersion").is_empty()
            && object.metadata_text("resourceVersion") != "0"
        {
            return Err(ApiError::unclassified("resourceVersion should not be set on objects to be created"));
        }
        object.set_metadata_text("resourceVersion", "");

        for attempt in 1..=attempts {
            let object = print(kind, &self.gates, &object)?;
            let name = object.name().to_owned();
            let target = Target { kind, namespace, name: &name };
            if options.dry_run {
                return match self.store.get(&target.key()?) {
                    Some(existing) => Err(exists(target, existing.index.deletion.is_some(), is_generated)),
                    None => Ok(unstored(StatusCode::CREATED, kind, &object)),
                };
            }
            let key = Key::new(collection(kind), namespace, &name)
                .map_err(|error| ApiError::bad_request(error.to_string()))?;
            match self.store.create(key, encode(&object)).await {
                Ok(entry) => {
                    let content = self.show(kind, &entry).into();
                    return Ok(Written { code: StatusCode::CREATED, content });
                }
                Err(WriteError::Exists(existing)) if attempt == attempts => {
                    return Err(exists(target, existing.index.deletion.is_some(), is_generated));
                }
                Err(WriteError::Exists(_)) => {}
                Err(error) => return Err(ApiError::internal(&error.to_string())),
            }
        }
        Err(ApiError::internal("a name was generated no time at all"))
    }

    fn admit(
        &self,
        kind: &'static Kind,
        namespace: Option<&str>,
        user: &User,
        object: &mut Object,
    ) -> Result<(), ApiError> {
        if let Some(node) = user.node() {
            node_restriction::admit_create(node, &collection(kind), object)?;
        }
        let grant =
            Grant { kind, namespace: namespace.unwrap_or(""), path_name: "", new: &*object, old: None };
        escalation::check(user, grant, &self.view)?;
        admission::fill_in(kind, namespace, object, &self.view)
    }
}

/// Puts the path's namespace into the object; a cluster-scoped object has none, whatever the body says.
fn place_in_namespace(object: &mut Object, namespace: Option<&str>) -> Result<(), ApiError> {
    let Some(namespace) = namespace else {
        object.metadata_mut().remove("namespace");
        return Ok(());
    };
    let own = object.namespace();
    if !own.is_empty() && own != namespace {
        let text = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(ApiError::bad_request(text));
    }
    object.set_metadata_text("namespace", namespace);
    Ok(())
}

fn exists(target: Target<'_>, terminating: bool, generated: bool) -> ApiError {
    let error = ApiError::already_exists(target.subject(), terminating);
    if generated { error.retry_after(1) } else { error }
}

/// The prefix, cut to leave room, and a random suffix.
fn generated_name(prefix: &str) -> String {
    const LONGEST_PREFIX: usize = 58;
    let mut end = prefix.len().min(LONGEST_PREFIX);
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{}", &prefix[..end], random_suffix())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_fit_into_63_characters() {
        let name = generated_name("web-");
        assert_eq!(name.len(), 9);
        assert!(name.starts_with("web-"));
        assert_eq!(generated_name(&"x".repeat(80)).len(), 63);
        assert!(generated_name(&"é".repeat(40)).len() <= 63);
        assert_ne!(generated_name("a"), generated_name("a"));
    }
}
