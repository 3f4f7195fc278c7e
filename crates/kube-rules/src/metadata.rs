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
        match (self, prefix.strip_suffix('-')) {
            (Self::DnsLabel | Self::DnsSubdomain, Some(head)) if !head.is_empty() => {
                self.check(&format!("{head}a"))
            }
            _ => self.check(prefix),
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

/// What is wrong with the list of those that an object belongs to. Paths name the list, not its items, as upstream's do.
#[must_use]
pub fn validate_owner_references(references: Option<&Value>) -> Vec<FieldError> {
    const PATH: &str = "metadata.ownerReferences";
    let list = references.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut errors = Vec::new();
    let mut controller: Option<&str> = None;
    for reference in list {
        let text = |member: &str| reference.get(member).and_then(Value::as_str).unwrap_or_default();
        let api_version = text("apiVersion");
        if api_version.rsplit('/').next().unwrap_or_default().is_empty() {
            let path = format!("{PATH}.apiVersion");
            errors.push(FieldError::invalid(path, api_version, "version must not be empty"));
        }
        for member in ["kind", "name", "uid"] {
            if text(member).is_empty() {
                let detail = format!("{member} must not be empty");
                errors.push(FieldError::invalid(format!("{PATH}.{member}"), "", &detail));
            }
        }
        if (api_version, text("kind")) == ("v1", "Event") {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(FieldError::invalid(PATH, reference.clone(), detail));
        }
        if reference.get("controller").and_then(Value::as_bool) == Some(true) {
            match controller {
                None => controller = Some(text("name")),
                Some(first) => {
                    let detail = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} \
                         and {}",
                        text("name")
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
        let bad = json!({"generateName": "A-", "namespace": "B", "generation": -1, "labels": {"a b": "-"},
            "annotations": {"/": ""}, "finalizers": ["a/b/c"]});
        assert_faults(
            &bad,
            true,
            &[
                "metadata.generateName: Invalid value: \"A-\": a lowercase RFC 1123 subdomain must",
                "metadata.name: Required value: name or generateName is required",
                "metadata.namespace: Invalid value: \"B\": a lowercase RFC 1123 label must",
                "metadata.generation: Invalid value: -1: must be greater than or equal to 0",
                "metadata.labels: Invalid value: \"a b\": name part must consist of",
                "metadata.labels: Invalid value: \"-\": a valid label must",
                "metadata.annotations: Invalid value: \"/\": prefix part must be non-empty",
                "metadata.annotations: Invalid value: \"/\": name part must be non-empty",
                "metadata.annotations: Invalid value: \"/\": name part must consist of",
                "metadata.finalizers: Invalid value: \"a/b/c\": a qualified name must",
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
        assert!(!NameRule::DnsSubdomain.check_prefix("-").is_empty());
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
                "metadata.ownerReferences.kind: Invalid value: \"\": kind must not be empty",
                "metadata.ownerReferences.name: Invalid value: \"\": name must not be empty",
                "metadata.ownerReferences.uid: Invalid value: \"\": uid must not be empty",
            ]
        );
        let two = texts(json!([owner("a", true), owner("b", true)]));
        assert!(two[0].ends_with("Found \"true\" in references for a and b"), "{two:?}");
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
    fn annotations_have_a_limit_together() {
        let with = |length: usize| json!({"a": "x".repeat(length - 1)});
        assert_eq!(validate_annotations(Some(&with(ANNOTATIONS_LIMIT)), "p"), []);
        assert_eq!(
            validate_annotations(Some(&with(ANNOTATIONS_LIMIT + 1)), "p")[0].to_string(),
            "p: Too long: may not be more than 262144 bytes"
        );
    }
}
