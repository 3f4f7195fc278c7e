//! May somebody do this? SubjectAccessReview about anybody, LocalSubjectAccessReview in one namespace,
//! SelfSubjectAccessReview about the one who asks.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use tokenward_kube_rules::{FieldError, names};
use tokenward_kube_schema::Kind;

use super::{Asking, invalid};
use crate::authentication::User;
use crate::authorization::{Access, Attributes, Decision, ResourceAttributes, decide};
use crate::object::{Metadata, Object};
use crate::selector::{FieldSelector, LabelSelector};
use crate::status::ApiError;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    resource_attributes: Option<Resource>,
    non_resource_attributes: Option<NonResource>,
    user: String,
    groups: Option<Vec<String>>,
    uid: String,
    extra: Option<BTreeMap<String, Vec<String>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Resource {
    namespace: String,
    verb: String,
    group: String,
    resource: String,
    subresource: String,
    name: String,
    field_selector: Option<Selector>,
    label_selector: Option<Selector>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NonResource {
    path: String,
    verb: String,
}

/// A selector as text, or as requirements.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Selector {
    raw_selector: String,
    requirements: Option<Vec<Requirement>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Requirement {
    key: String,
    operator: String,
    values: Option<Vec<String>>,
}

impl Asking<'_> {
    pub(super) fn access(&self, kind: &Kind, mut review: Object) -> Result<Object, ApiError> {
        place(&mut review, self.namespace)?;
        // It was decoded by the kind's own types: nothing else can stand there.
        let spec: Spec = review.get("spec").and_then(|spec| Spec::deserialize(spec).ok()).unwrap_or_default();
        let is_about_oneself = kind.kind == "SelfSubjectAccessReview";
        let mut errors = validate_spec(&spec, !is_about_oneself);
        errors.extend(validate_metadata(&review, kind.namespaced));
        if kind.namespaced {
            errors.extend(validate_local(&spec, self.namespace.unwrap_or("")));
        }
        if !errors.is_empty() {
            return Err(invalid(kind, &errors));
        }
        let somebody_else = User {
            username: spec.user.clone(),
            uid: spec.uid.clone(),
            groups: spec.groups.clone().unwrap_or_default(),
            extra: spec.extra.clone().unwrap_or_default(),
        };
        let user = if is_about_oneself { self.user } else { &somebody_else };
        let (fields, faults) = read_selectors(&spec);
        let decision = decide(user, &access(&spec, &fields), self.cluster);
        let mut status = Object::new();
        let (allowed, reason) = match decision {
            Decision::Allowed(reason) => (true, reason),
            Decision::Refused(reason) => (false, reason),
        };
        status.insert("allowed".to_owned(), allowed.into());
        for (member, text) in [("reason", reason), ("evaluationError", faults.join("; "))] {
            if !text.is_empty() {
                status.insert(member.to_owned(), text.into());
            }
        }
        review.insert("status".to_owned(), Value::Object(status));
        Ok(review)
    }
}

/// Puts the path's namespace into a local review; the others have none, whatever the body says.
fn place(review: &mut Object, namespace: Option<&str>) -> Result<(), ApiError> {
    let own = review.namespace().to_owned();
    match namespace {
        None => review.set_metadata_text("namespace", ""),
        Some(namespace) if !own.is_empty() && own != namespace => {
            let text =
                "the namespace of the provided object does not match the namespace sent on the request";
            return Err(ApiError::bad_request(text));
        }
        Some(namespace) => review.set_metadata_text("namespace", namespace),
    }
    Ok(())
}

fn access<'a>(spec: &'a Spec, fields: &'a FieldSelector) -> Access<'a> {
    match (&spec.resource_attributes, &spec.non_resource_attributes) {
        (Some(asked), _) => Access {
            attributes: Attributes::Resource(ResourceAttributes {
                verb: &asked.verb,
                group: &asked.group,
                resource: &asked.resource,
                subresource: &asked.subresource,
                namespace: &asked.namespace,
                name: &asked.name,
            }),
            selected_node: fields.exact("spec.nodeName"),
        },
        (None, asked) => {
            let (path, verb) = asked.as_ref().map_or(("", ""), |asked| (&asked.path, &asked.verb));
            Attributes::NonResource { path, verb }.into()
        }
    }
}

fn validate_spec(spec: &Spec, names_subject: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    match (&spec.resource_attributes, &spec.non_resource_attributes) {
        (Some(_), Some(NonResource { path, verb })) => {
            let shown = json!({"Path": path, "Verb": verb});
            let detail = "cannot be specified in combination with resourceAttributes";
            errors.push(FieldError::invalid("spec.nonResourceAttributes", shown, detail));
        }
        (None, None) => {
            let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            errors.push(FieldError::invalid("spec.resourceAttributes", Value::Null, detail));
        }
        _ => {}
    }
    if let Some(asked) = &spec.resource_attributes {
        let of_fields = |key: &str, path: String| {
            let is_missing = key.is_empty();
            is_missing.then(|| FieldError::required(path, "must be specified")).into_iter().collect()
        };
        let of_labels = |key: &str, path: String| {
            let faults = names::qualified_name(key);
            faults.iter().map(|fault| FieldError::invalid(&path, key, fault)).collect()
        };
        let selectors: [(_, _, KeyRule); 2] = [
            ("fieldSelector", &asked.field_selector, of_fields),
            ("labelSelector", &asked.label_selector, of_labels),
        ];
        for (member, selector, rule) in selectors {
            let path = format!("spec.resourceAttributes.{member}");
            errors.extend(selector.iter().flat_map(|selector| validate_selector(selector, &path, rule)));
        }
    }
    if names_subject && spec.user.is_empty() && spec.groups.as_ref().is_none_or(Vec::is_empty) {
        let detail = "at least one of user or group must be specified";
        errors.push(FieldError::invalid("spec.user", "", detail));
    }
    errors
}

/// What is wrong with a requirement's key, which stands at a path.
type KeyRule = fn(&str, String) -> Vec<FieldError>;

fn validate_selector(selector: &Selector, path: &str, key_rule: KeyRule) -> Vec<FieldError> {
    let requirements = selector.requirements.as_deref().unwrap_or_default();
    let mut errors = Vec::new();
    match (selector.raw_selector.is_empty(), requirements.is_empty()) {
        (false, false) => {
            let detail = "may not specified at the same time as requirements";
            errors.push(FieldError::invalid(
                format!("{path}.rawSelector"),
                selector.raw_selector.as_str(),
                detail,
            ));
        }
        (true, true) => {
            let detail = format!("when {path} is specified, requirements or rawSelector is required");
            errors.push(FieldError::required(format!("{path}.requirements"), &detail));
        }
        _ => {}
    }
    for (place, requirement) in requirements.iter().enumerate() {
        let path = |member: &str| format!("{path}.requirements[{place}].{member}");
        errors.extend(key_rule(&requirement.key, path("key")));
        let has_values = requirement.values.as_ref().is_some_and(|values| !values.is_empty());
        match requirement.operator.as_str() {
            "In" | "NotIn" if !has_values => {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.push(FieldError::required(path("values"), detail));
            }
            "Exists" | "DoesNotExist" if has_values => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.push(FieldError::forbidden(path("values"), detail));
            }
            // One that is not known yet may be of a client from the future: it only narrows what is asked.
            _ => {}
        }
    }
    errors
}

fn validate_metadata(review: &Object, namespaced: bool) -> Option<FieldError> {
    let empty = Object::new();
    let mut metadata = review.get("metadata").and_then(Value::as_object).unwrap_or(&empty).clone();
    metadata.remove("managedFields");
    let shown = Value::Object(metadata.clone());
    if namespaced {
        metadata.remove("namespace");
    }
    let detail = if namespaced { "must be empty except for namespace" } else { "must be empty" };
    let is_empty = metadata.values().all(Value::is_null);
    (!is_empty).then(|| FieldError::invalid("metadata", shown, detail))
}

fn validate_local(spec: &Spec, namespace: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(asked) = spec.resource_attributes.as_ref().filter(|asked| asked.namespace != namespace) {
        let detail = "must match metadata.namespace";
        let path = "spec.resourceAttributes.namespace";
        errors.push(FieldError::invalid(path, asked.namespace.as_str(), detail));
    }
    if let Some(NonResource { path, verb }) = &spec.non_resource_attributes {
        let shown = json!({"Path": path, "Verb": verb});
        let detail = "disallowed on this kind of request";
        errors.push(FieldError::invalid("spec.nonResourceAttributes", shown, detail));
    }
    errors
}

/// The field selector as far as it can be read, and what is said of what cannot. Whatever is left out only widens the
/// question, so that nobody is told yes for more than they asked.
fn read_selectors(spec: &Spec) -> (FieldSelector, Vec<String>) {
    let Some(asked) = &spec.resource_attributes else { return Default::default() };
    let mut faults = Vec::new();
    let mut told = |member: &str, read: usize, failed: bool| {
        if failed {
            let partially = if read > 0 { "partially " } else { "" };
            faults.push(format!("spec.resourceAttributes.{member} {partially}ignored due to parse error"));
        }
    };
    let mut fields = FieldSelector::default();
    if let Some(selector) = &asked.field_selector {
        let requirements = selector.requirements.as_deref().unwrap_or_default();
        let read: Vec<_> = requirements.iter().map(Requirement::as_field).collect();
        let good = read.iter().flatten().count();
        if requirements.is_empty() {
            let parsed = FieldSelector::parse(&selector.raw_selector);
            told("fieldSelector", 0, parsed.is_err());
            fields = parsed.unwrap_or_default();
        }
        // Only equality leads to a node.
        for (key, value) in read.iter().flatten().filter_map(|term| *term) {
            fields = fields.and(key, value);
        }
        told("fieldSelector", good, good < requirements.len());
    }
    if let Some(selector) = &asked.label_selector {
        let requirements = selector.requirements.as_deref().unwrap_or_default();
        let good = requirements.iter().filter(|requirement| requirement.is_label()).count();
        let failed = if requirements.is_empty() {
            LabelSelector::parse(&selector.raw_selector).is_err()
        } else {
            good < requirements.len()
        };
        told("labelSelector", good, failed);
    }
    (fields, faults)
}

impl Requirement {
    /// Key and value of an equality; nothing inside for an inequality; none for what fields cannot be selected by.
    fn as_field(&self) -> Option<Option<(&str, &str)>> {
        match (self.operator.as_str(), self.values.as_deref().unwrap_or_default()) {
            ("In", [value]) => Some(Some((&self.key, value))),
            ("NotIn", [_]) => Some(None),
            _ => None,
        }
    }

    fn is_label(&self) -> bool {
        let values = self.values.as_deref().unwrap_or_default();
        let written = match self.operator.as_str() {
            "In" => format!("{} in ({})", self.key, values.join(",")),
            "NotIn" => format!("{} notin ({})", self.key, values.join(",")),
            "Exists" => self.key.clone(),
            "DoesNotExist" => format!("!{}", self.key),
            _ => return false,
        };
        LabelSelector::parse(&written).is_ok_and(|selector| !selector.is_everything())
    }
}
