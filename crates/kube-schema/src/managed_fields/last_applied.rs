//! From `kubectl apply` on the client's side to apply on the server's.
//!
//! The former keeps what was applied in an annotation, and is an updater as any other. So that one and the same tool is in
//! no conflict with itself, what the annotation says counts as the latter's own; and the annotation is kept up to date for
//! those who still go by it. Both hold for the manager that kubectl names, and for no other.

use serde_json::{Map, Value};

use super::compare::Comparison;
use super::config::{self, fields_of};
use super::set::FieldSet;
use super::{Object, Write, reset};

/// What kubectl calls itself when it applies on the server's side.
const KUBECTL: &str = "kubectl";
/// Where the client's side keeps what it applied.
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The most that all annotations of an object may hold, names and values.
const MOST_BYTES: usize = 256 * 1024;

/// The fields that the client's side applied, and that are still as it applied them.
pub(super) fn fields(write: &Write<'_>, live: &Object) -> FieldSet {
    let fields = || {
        let text = annotation(live).filter(|_| write.manager == KUBECTL)?;
        let Ok(Value::Object(applied)) = serde_json::from_str(text) else { return None };
        let is_same_version =
            applied.get("apiVersion").and_then(Value::as_str) == Some(&write.kind.api_version());
        let (message, release) = (write.kind.message(), write.release);
        if !is_same_version || config::check(message, release, &applied).is_err() {
            return None;
        }
        let ignored = reset::ignored(write.kind, write.subresource);
        let since = Comparison::of(message, release, &applied, live, &ignored).ok()?;
        let mut fields = fields_of(message, release, &applied);
        fields.remove(&since.set());
        fields.remove(&since.removed);
        Some(fields)
    };
    fields().unwrap_or_default()
}

/// Writes into an object that has the annotation what is applied to it now.
pub(super) fn keep(write: &Write<'_>, configuration: &Object, object: &mut Object) {
    if write.manager != KUBECTL || annotation(object).is_none() {
        return;
    }
    let mut applied = configuration.clone();
    if let Some(annotations) = annotations_mut(&mut applied) {
        annotations.remove(ANNOTATION);
    }
    let text = format!("{}\n", Value::Object(applied));
    if let Some(annotations) = annotations_mut(object) {
        annotations.insert(ANNOTATION.to_owned(), text.into());
        let size = |(name, value): (&String, &Value)| name.len() + value.as_str().map_or(0, str::len);
        if annotations.iter().map(size).sum::<usize>() > MOST_BYTES {
            annotations.remove(ANNOTATION);
        }
    }
}

fn annotation(object: &Object) -> Option<&str> {
    let text = object.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str()?;
    (!text.is_empty()).then_some(text)
}

fn annotations_mut(object: &mut Object) -> Option<&mut Map<String, Value>> {
    object.get_mut("metadata")?.get_mut("annotations")?.as_object_mut()
}
