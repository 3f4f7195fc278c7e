//! What is checked in the metadata of every kind.

use serde_json::{Map, Value};

use crate::{FieldError, names};

/// The most bytes that all annotations of an object may have, keys and values together.
pub const ANNOTATIONS_LIMIT: usize = 256 << 10;

/// Which rule a kind's names follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// [`names::dns_label`].
    DnsLabel,
    /// [`names::dns_subdomain`].
    DnsSubdomain,
    /// [`names::path_segment`].
    PathSegment,
}

impl NameRule {
    /// The faults of a name.
    #[must_use]
    pub fn check(self, name: &str) -> Vec<String> {
        match self {
            Self::DnsLabel => names::dns_label(name),
            Self::DnsSubdomain => names::dns_subdomain(name),
            Self::PathSegment => names::path_segment(name),
        }
    }

    /// The faults of `generateName`: a trailing hyphen is fine, since something follows it.
    #[must_use]
    pub fn check_prefix(self, prefix: &str) -> Vec<String> {
        match self {
            // Upstream puts a letter in the place of the hyphen and of what stands before it.
            Self::DnsLabel | Self::DnsSubdomain if prefix.len() > 1 && prefix.ends_with('-') => {
                let mut head = prefix.to_owned();
                head.pop();
                head.pop();
                self.check(&format!("{head}a"))
            }
            Self::DnsLabel | Self::DnsSubdomain => self.check(prefix),
            // A name of dots can still become another.
            Self::PathSegment => self.check(&format!("{prefix}a")),
        }
    }
}

/// What is wrong with the `metadata` of an object about to be written, its name included, in upstream's order.
#[must_use]
pub fn validate(metadata: &Map<String, Value>, namespaced: bool, rule: NameRule) -> Vec<FieldError> {
    let text = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut errors = Vec::new();
    let (name, generate_name) = (text("name"), text("generateName"));
    if !generate_name.is_empty() {
        let faults = rule.check_prefix(generate_name).into_iter();
        errors
            .extend(faults.map(|fault| FieldError::invalid("metadata.generateName", generate_name, &fault)));
    }
    errors.extend(names::required_name(name, |name| rule.check(name)));
    let namespace = text("namespace");
    match (namespaced, namespace.is_empty()) {
        (true, true) => errors.push(FieldError::required("metadata.namespace", "")),
        (true, false) => {
            let faults = names::dns_label(namespace).into_iter();
            errors.extend(faults.map(|fault| FieldError::invalid("metadata.namespace", namespace, &fault)));
        }
        (false, true) => {}
        (false, false) => {
            errors.push(FieldError::forbidden("metadata.namespace", "not allowed on this type"));
        }
    }
    if let Some(generation) = metadata.get("generation").and_then(Value::as_i64).filter(|number| *number < 0)
    {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid("metadata.generation", generation, detail));
    }
    errors.extend(validate_labels(metadata.get("labels"), "metadata.labels"));
    errors.extend(validate_annotations(metadata.get("annotations"), "metadata.annotations"));
    errors.extend(validate_owner_references(metadata.get("ownerReferences")));
    errors.extend(validate_finalizers(metadata.get("finalizers")));
    errors
}

/// What is wrong with a change of metadata, whatever the kind, in upstream's order.
#[must_use]
pub fn validate_update(new: &Map<String, Value>, old: &Map<String, Value>) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = new_finalizers_while_terminating(new, old).into_iter().collect();
    for member in
        ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"]
    {
        let value = |metadata: &Map<String, Value>| {
            metadata.get(member).filter(|value| value.as_str() != Some("")).cloned().unwrap_or_default()
        };
        if value(new) != value(old) {
            let is_text = matches!(member, "name" | "namespace" | "uid");
            let shown = match new.get(member) {
                None | Some(Value::Null) if is_text => Value::from(""),
                found => found.cloned().unwrap_or_default(),
            };
            errors.push(FieldError::invalid(format!("metadata.{member}"), shown, "field is immutable"));
        }
    }
    errors.extend(validate_labels(new.get("labels"), "metadata.labels"));
    errors.extend(validate_annotations(new.get("annotations"), "metadata.annotations"));
    errors.extend(validate_owner_references(new.get("ownerReferences")));
    errors
}

/// Whoever is asked to let go of an object that is being deleted is there already.
fn new_finalizers_while_terminating(
    new: &Map<String, Value>,
    old: &Map<String, Value>,
) -> Option<FieldError> {
    old.get("deletionTimestamp").filter(|time| !time.is_null())?;
    let finalizers = |metadata: &Map<String, Value>| -> Vec<String> {
        let list = metadata.get("finalizers").and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let known = finalizers(old);
    let added: Vec<String> = finalizers(new).into_iter().filter(|name| !known.contains(name)).collect();
    let detail = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        added.iter().map(|name| crate::field_error::quote(name)).collect::<Vec<_>>().join(", ")
    );
    (!added.is_empty()).then(|| FieldError::forbidden("metadata.finalizers", &detail))
}

/// What is wrong with finalizers that no domain stands before: only a few are known. Most kinds of Kubernetes' own want
/// this besides the rules of [`validate`].
#[must_use]
pub fn validate_standard_finalizers(metadata: &Map<String, Value>) -> Vec<FieldError> {
    const STANDARD: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];
    let list = metadata.get("finalizers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let names = list.iter().enumerate().filter_map(|(at, name)| Some((at, name.as_str()?)));
    names
        .filter(|(_, name)| !name.contains('/') && !STANDARD.contains(name))
        .map(|(at, name)| {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            FieldError::invalid(format!("metadata.finalizers[{at}]"), name, detail)
        })
        .collect()
}

/// What is wrong with the list of those that an object belongs to. Paths name the list, not its items, as upstream's do.
#[must_use]
pub fn validate_owner_references(references: Option<&Value>) -> Vec<FieldError> {
    const PATH: &str = "metadata.ownerReferences";
    let list = references.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut errors = Vec::new();
    let mut controller: Option<String> = None;
    for reference in list {
        let text = |member: &str| reference.get(member).and_then(Value::as_str).unwrap_or_default();
        let api_version = text("apiVersion");
        if api_version.rsplit('/').next().unwrap_or_default().is_empty() {
            let path = format!("{PATH}.apiVersion");
            errors.push(FieldError::invalid(path, api_version, "version must not be empty"));
        }
        for member in ["kind", "name", "uid"] {
            if text(member).is_empty() {
                errors.push(FieldError::invalid(format!("{PATH}.{member}"), "", "must not be empty"));
            }
        }
        if (api_version, text("kind")) == ("v1", "Event") {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(FieldError::invalid(PATH, reference.clone(), detail));
        }
        if reference.get("controller").and_then(Value::as_bool) == Some(true) {
            let own = format!("{}/{}", text("kind"), text("name"));
            match &controller {
                None => controller = Some(own),
                Some(first) => {
                    let detail = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} \
                         and {own}"
                    );
                    errors.push(FieldError::invalid(PATH, Value::Array(list.to_vec()), &detail));
                }
            }
        }
    }
    errors
}

/// What is wrong with a map of labels.
#[must_use]
pub fn validate_labels(labels: Option<&Value>, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in labels.and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        let faults = names::qualified_name(key).into_iter();
        errors.extend(faults.map(|fault| FieldError::invalid(path, key.as_str(), &fault)));
        let faults = names::label_value(value).into_iter();
        errors.extend(faults.map(|fault| FieldError::invalid(path, value, &fault)));
    }
    errors
}

/// What is wrong with a map of annotations. Their keys may be written in any case.
#[must_use]
pub fn validate_annotations(annotations: Option<&Value>, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut bytes = 0;
    for (key, value) in annotations.and_then(Value::as_object).into_iter().flatten() {
        let faults = names::qualified_name(&key.to_lowercase()).into_iter();
        errors.extend(faults.map(|fault| FieldError::invalid(path, key.as_str(), &fault)));
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > ANNOTATIONS_LIMIT {
        errors.push(FieldError::too_long(path, ANNOTATIONS_LIMIT));
    }
    errors
}

fn validate_finalizers(finalizers: Option<&Value>) -> Vec<FieldError> {
    const PATH: &str = "metadata.finalizers";
    let list = finalizers.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut errors: Vec<FieldError> = list
        .iter()
        .filter_map(Value::as_str)
        .flat_map(|name| {
            names::qualified_name(name).into_iter().map(move |fault| FieldError::invalid(PATH, name, &fault))
        })
        .collect();
    if ["orphan", "foregroundDeletion"].iter().all(|name| list.iter().any(|own| own == name)) {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid(PATH, Value::Array(list.to_vec()), detail));
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Holds the errors against how each of them begins.
    fn assert_faults(metadata: &Value, namespaced: bool, wanted: &[&str]) {
        let metadata = metadata.as_object().expect("a test's own object");
        let errors = validate(metadata, namespaced, NameRule::DnsSubdomain);
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let as_wanted = texts.len() == wanted.len()
            && texts.iter().zip(wanted).all(|(text, wanted)| text.starts_with(wanted));
        assert!(as_wanted, "wanted {wanted:#?}, found {texts:#?}");
    }

    #[test]
    fn metadata_is_checked_in_upstreams_order() {
        let good = json!({"name": "a", "namespace": "b", "labels": {"x.y/Z": "", "a": "B"},
            "annotations": {"Example.com/A": "any text at all"}, "finalizers": ["example.com/wait"]});
        assert_faults(&good, true, &[]);
        let bad = json!({"generateName": "AB-", "namespace": "B", "generation": -1, "labels": {"a b": "-"},
            "annotations": {"/": ""}, "finalizers": ["a/b/c"]});
        assert_faults(
            &bad,
            true,
            &[
                "metadata.generateName: Invalid value: \"AB-\": a lowercase RFC 1123 subdomain must",
                "metadata.name: Required value: name or generateName is required",
                "metadata.namespace: Invalid value: \"B\": a lowercase RFC 1123 label must",
                "metadata.generation: Invalid value: -1: must be greater than or equal to 0",
                "metadata.labels: Invalid value: \"a b\": name part must consist of",
                "metadata.labels: Invalid value: \"-\": a valid label must",
                "metadata.annotations: Invalid value: \"/\": prefix part must be non-empty",
                "metadata.annotations: Invalid value: \"/\": name part must be non-empty",
                "metadata.annotations: Invalid value: \"/\": name part must consist of",
                "metadata.finalizers: Invalid value: \"a/b/c\": a valid label key must",
            ],
        );
        assert_faults(&json!({"name": "a"}), true, &["metadata.namespace: Required value"]);
        assert_faults(
            &json!({"name": "a", "namespace": "b"}),
            false,
            &["metadata.namespace: Forbidden: not allowed on this type"],
        );
    }

    #[test]
    fn a_generated_name_may_end_in_a_hyphen() {
        assert!(NameRule::DnsSubdomain.check_prefix("web-").is_empty());
        assert!(
            NameRule::DnsSubdomain.check_prefix("W-").is_empty(),
            "what stands before the hyphen is not looked at"
        );
        assert!(!NameRule::DnsSubdomain.check_prefix("WB-").is_empty());
        assert!(!NameRule::DnsSubdomain.check_prefix("-").is_empty());
        assert!(NameRule::PathSegment.check_prefix(".").is_empty());
        assert!(!NameRule::PathSegment.check_prefix("a/").is_empty());
        assert!(!NameRule::DnsLabel.check_prefix("w.b-").is_empty());
    }

    #[test]
    fn owners_are_whole_and_one_of_them_controls() {
        let owner = |name: &str, controller: bool| json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "name": name, "uid": "u", "controller": controller});
        let texts = |list: Value| -> Vec<String> {
            validate_owner_references(Some(&list)).iter().map(ToString::to_string).collect()
        };
        assert_eq!(texts(json!([owner("a", true), owner("b", false)])), [""; 0]);
        assert_eq!(
            texts(json!([{"apiVersion": "apps/"}])),
            [
                "metadata.ownerReferences.apiVersion: Invalid value: \"apps/\": version must not be empty",
                "metadata.ownerReferences.kind: Invalid value: \"\": must not be empty",
                "metadata.ownerReferences.name: Invalid value: \"\": must not be empty",
                "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty",
            ]
        );
        let two = texts(json!([owner("a", true), owner("b", true)]));
        assert!(two[0].ends_with("Found \"true\" in references for DaemonSet/a and DaemonSet/b"), "{two:?}");
        let event = texts(json!([{"apiVersion": "v1", "kind": "Event", "name": "e", "uid": "u"}]));
        assert!(event[0].ends_with("is disallowed from being an owner"), "{event:?}");
        let finalizers = json!({"name": "a", "finalizers": ["orphan", "foregroundDeletion"]});
        assert_faults(
            &finalizers,
            false,
            &[
                "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer orphan and",
            ],
        );
    }

    #[test]
    fn of_metadata_some_stays() {
        let old =
            json!({"name": "a", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z", "namespace": ""});
        let deleted = json!({"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0,
            "finalizers": ["example.com/a"]});
        let texts = |new: Value, old: &Value| -> Vec<String> {
            let object = |value: &Value| value.as_object().cloned().expect("an object");
            validate_update(&object(&new), &object(old)).iter().map(ToString::to_string).collect()
        };
        let with = |changes: Value, of: &Value| {
            let mut new = of.clone();
            new.as_object_mut().expect("an object").extend(changes.as_object().cloned().expect("an object"));
            texts(new, of)
        };
        let rows = [
            (with(json!({}), &old), vec![]),
            (with(json!({"labels": {"a": "b"}, "finalizers": ["example.com/a"]}), &old), vec![]),
            (
                with(json!({"name": "b", "uid": ""}), &old),
                vec![
                    "metadata.name: Invalid value: \"b\": field is immutable",
                    "metadata.uid: Invalid value: \"\": field is immutable",
                ],
            ),
            (
                with(
                    json!({"deletionTimestamp": "2027-01-01T00:00:00Z", "deletionGracePeriodSeconds": 5}),
                    &old,
                ),
                vec![
                    "metadata.deletionTimestamp: Invalid value: \"2027-01-01T00:00:00Z\": field is immutable",
                    "metadata.deletionGracePeriodSeconds: Invalid value: 5: field is immutable",
                ],
            ),
            (with(json!({"finalizers": []}), &deleted), vec![]),
            (
                with(
                    json!({"finalizers": ["example.com/b"], "ownerReferences": [{"kind": "a", "name": "b", "uid": "c"}]}),
                    &deleted,
                ),
                vec![
                    "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found \
                     new finalizers []string{\"example.com/b\"}",
                    "metadata.ownerReferences.apiVersion: Invalid value: \"\": version must not be empty",
                ],
            ),
        ];
        for (found, wanted) in rows {
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn finalizers_without_a_domain_are_known_ones() {
        let of = |list: Value| -> Vec<String> {
            let metadata = json!({"finalizers": list});
            let errors = validate_standard_finalizers(metadata.as_object().expect("an object"));
            errors.iter().map(|error| error.field().to_owned()).collect()
        };
        assert_eq!(of(json!(["kubernetes", "orphan", "foregroundDeletion", "a/b", "a/b/c"])), [""; 0]);
        assert_eq!(
            of(json!(["a", "a/b", "Kubernetes"])),
            ["metadata.finalizers[0]", "metadata.finalizers[2]"]
        );
    }

    #[test]
    fn annotations_have_a_limit_together() {
        let with = |length: usize| json!({"a": "x".repeat(length - 1)});
        assert_eq!(validate_annotations(Some(&with(ANNOTATIONS_LIMIT)), "p"), []);
        assert_eq!(
            validate_annotations(Some(&with(ANNOTATIONS_LIMIT + 1)), "p")[0].to_string(),
            "p: Too long: may not be more than 262144 bytes"
        );
    }
}
