//! Create.

use http::StatusCode;
use tokenward_kube_schema::Kind;
use tokenward_store::{Key, WriteError};

use super::ownership::{self, Submitted};
use super::{Part, Registry, Target, Written, collection, print, unstored};
use crate::admission::node_restriction::{self, NodeWrite};
use crate::admission::{self, namespace_lifecycle};
use crate::authentication::User;
use crate::authorization::escalation::{self, Grant};
use crate::object::{Metadata, Object, format_time};
use crate::query::WriteOptions;
use crate::random::random_suffix;
use crate::status::ApiError;
use crate::strategy;
use crate::webhook::{Operation, Proposal};

/// How often a generated name may collide before the client is told.
const GENERATED_NAME_ATTEMPTS: usize = 8;

impl Registry {
    /// Makes a new object out of a submitted one. `namespace` is the path's.
    pub(crate) async fn create(
        &self,
        kind: &'static Kind,
        namespace: Option<&str>,
        user: &User,
        submitted: Submitted,
        options: &WriteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Written, ApiError> {
        let Submitted { mut object, ownership } = submitted;
        place_in_namespace(&mut object, namespace)?;
        namespace_lifecycle::admit_create(kind, namespace, &object, &self.view)?;

        let strategy = strategy::of(kind);
        for member in
            ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"]
        {
            object.metadata_mut().remove(member);
        }
        strategy.set_defaults(&mut object);
        let mut object = print(kind, &self.gates, object)?;
        let entries = self.settle(kind, Part::Object, options, None, &object, ownership);
        ownership::set(&mut object, entries);
        self.admit(kind, namespace, user, &mut object)?;
        let prefix = object.metadata_text("generateName").to_owned();
        let is_generated = object.name().is_empty() && !prefix.is_empty();
        let mut attempts_left = if is_generated { GENERATED_NAME_ATTEMPTS } else { 1 };
        loop {
            attempts_left -= 1;
            let mut object = if attempts_left > 0 { object.clone() } else { std::mem::take(&mut object) };
            if is_generated {
                object.set_metadata_text("name", &generated_name(&prefix));
                // What follows from the name.
                strategy.set_defaults(&mut object);
            }
            match self.create_named(kind, namespace, user, object, options, warnings).await {
                Err(Failure::Taken(_)) if attempts_left > 0 => {}
                Err(Failure::Taken(error)) if is_generated => return Err(error.retry_after(1)),
                Err(Failure::Taken(error) | Failure::Other(error)) => return Err(error),
                Ok(written) => return Ok(written),
            }
        }
    }

    /// Makes an object that has its name.
    async fn create_named(
        &self,
        kind: &'static Kind,
        namespace: Option<&str>,
        user: &User,
        mut object: Object,
        options: &WriteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Written, Failure> {
        let strategy = strategy::of(kind);
        object.set_metadata_text("uid", &uuid::Uuid::new_v4().to_string());
        object.set_metadata_text("creationTimestamp", &format_time(self.clock.now()));
        strategy.prepare_create(&mut object, &self.gates);
        strategy.record_times(&mut object, None, self.clock.now());
        let name = object.name().to_owned();
        let target = Target { kind, namespace, name: &name };
        let errors = strategy::validate_new(kind, &object);
        if !errors.is_empty() {
            return Err(ApiError::invalid(target.validation_subject(), &errors).into());
        }
        warnings.extend(strategy.warnings_on_create(&object, &self.gates));
        let version = object.metadata_text("resourceVersion").to_owned();
        object.set_metadata_text("resourceVersion", "");
        let mut object = print(kind, &self.gates, object)?;
        admission::check_new(kind, &object, &self.view, &self.admission)?;
        self.ask_about_creation(target, "", kind, user, &object, options, warnings).await?;
        // A dry run does not come so far as to find that out.
        if !options.dry_run && !matches!(version.as_str(), "" | "0") {
            let text = "resourceVersion should not be set on objects to be created";
            return Err(ApiError::unclassified(text).into());
        }
        let taken = |deletion: Option<jiff::Timestamp>| {
            Failure::Taken(ApiError::already_exists(target.subject(), deletion.is_some()))
        };
        if options.dry_run {
            return match self.store.get(&target.key()?) {
                Some(existing) => Err(taken(existing.index.deletion)),
                None => {
                    object.set_metadata_text("resourceVersion", &version);
                    Ok(unstored(StatusCode::CREATED, kind, &object))
                }
            };
        }
        // Webhooks may have taken their time, and the namespace may be gone since: nobody would empty it again.
        namespace_lifecycle::admit_create(kind, namespace, &object, &self.view)?;
        let key = Key::new(collection(kind), namespace, &name)
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        match self.put_new(key, &object).await? {
            Ok(entry) => Ok(Written { code: StatusCode::CREATED, content: self.show(kind, entry).into() }),
            Err(WriteError::Exists(existing)) => Err(taken(existing.index.deletion)),
            Err(error) => Err(ApiError::not_kept(&error).into()),
        }
    }

    /// Asks the webhooks about something new: an object, or what is posted to a subresource of `target`. `kind` is the
    /// new thing's.
    #[expect(clippy::too_many_arguments, reason = "what a request is made of")]
    pub(crate) async fn ask_about_creation(
        &self,
        target: Target<'_>,
        subresource: &str,
        kind: &'static Kind,
        user: &User,
        object: &Object,
        options: &WriteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<(), ApiError> {
        let proposal = || Proposal {
            subject: target.proposed(Operation::Create, subresource),
            kind,
            user,
            object: Some(object),
            old: None,
            dry_run: options.dry_run,
            options: options.to_object("CreateOptions"),
        };
        self.webhooks.ask(&self.view, warnings, proposal).await
    }

    fn admit(
        &self,
        kind: &'static Kind,
        namespace: Option<&str>,
        user: &User,
        object: &mut Object,
    ) -> Result<(), ApiError> {
        admission::fill_in(kind, namespace, object, &self.view, &self.admission)?;
        if let Some(node) = user.node() {
            let write = NodeWrite {
                node,
                collection: &collection(kind),
                namespace: namespace.unwrap_or(""),
                name: object.name_or_prefix(),
                operation: node_restriction::Operation::Create { new: &*object },
            };
            node_restriction::admit(write, &self.view)?;
        }
        let grant =
            Grant { kind, namespace: namespace.unwrap_or(""), path_name: "", new: &*object, old: None };
        escalation::check(user, grant, &self.view)
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

/// Why an object was not made.
enum Failure {
    /// There is one of that name.
    Taken(ApiError),
    Other(ApiError),
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Other(error)
    }
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
