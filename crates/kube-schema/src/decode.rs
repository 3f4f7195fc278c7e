//! JSON bodies as pruned trees, the way Go decodes them, and trees as Go would print them.

use std::borrow::Cow;

use serde_json::{Map, Value};
use tokenward_kube_rules::Release;

use crate::{DecodeError, Kind, json::Node};

mod in_place;
mod print;
mod walk;

pub(crate) use walk::{is_quantity, set_type_meta};

#[cfg(test)]
mod tests;

/// A decoded object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// The tree, with `apiVersion` and `kind`, and with nothing that the release does not know.
    pub object: Map<String, Value>,
    /// Paths of the fields that were removed, `spec.foo` or `spec.list[0].bar`.
    pub unknown: Vec<String>,
    /// Paths of the members that stood there more than once; the last one counted.
    pub duplicate: Vec<String>,
    /// Both kinds of faults in the order they were met, as upstream words them: `unknown field "spec.foo"`,
    /// `duplicate field "spec.bar"`. At most 100, each once.
    pub strict: Vec<String>,
}

/// Decodes a request's body as Go does: a value of the wrong type is an error, null is absent, fields that the release
/// does not know are removed and named, names are case-sensitive. Times are brought to UTC, bytes to canonical base64.
///
/// The tree holds what the body said and nothing more; [`normalize`] fills in what Go prints beyond it. A body without
/// `kind` or `apiVersion` is taken for the wanted kind.
///
/// # Errors
/// No JSON object, another kind or version, or a value that its type cannot hold. No text quotes a value.
pub fn decode(kind: &Kind, release: Release, body: &[u8]) -> Result<Decoded, DecodeError> {
    let text = String::from_utf8_lossy(body);
    let node = Node::parse(&text).map_err(|fault| unreadable(&fault))?;
    if node == Node::Null {
        // To Go it is an object without members.
        return walk::walk(kind, release, &[]);
    }
    let Node::Object(members) = &node else {
        let found = node.found();
        return Err(unreadable(&format!("json: cannot unmarshal {found} into Go value of type {TYPE_META}")));
    };
    check_type_meta(kind, members)?;
    walk::walk(kind, release, members)
}

/// Decodes the options of a DELETE. They may come in any group's version, as older clients send them.
///
/// # Errors
/// As [`decode`]'s.
pub fn decode_delete_options(body: &[u8]) -> Result<Map<String, Value>, DecodeError> {
    const KIND: &str = "DeleteOptions";
    let text = String::from_utf8_lossy(body);
    let node = Node::parse(&text).map_err(|fault| unreadable(&fault))?;
    let members = match &node {
        Node::Null => &[][..],
        Node::Object(members) => members,
        other => {
            let found = other.found();
            return Err(unreadable(&format!(
                "json: cannot unmarshal {found} into Go value of type {TYPE_META}"
            )));
        }
    };
    let (kind, version) = (type_member(members, "kind")?, type_member(members, "apiVersion")?);
    if !matches!(kind, "" | KIND) {
        let api_version = if version.is_empty() { "v1" } else { version }.to_owned();
        return Err(DecodeError::UnknownKind { found: kind.to_owned(), api_version });
    }
    let message = crate::find_message("meta/v1.DeleteOptions").expect("the table has it");
    walk::walk_message(message, Release::default(), members).map(|decoded| decoded.object)
}

/// The same on a tree, after a patch or when a stored object is read by another release: checked and pruned like a body,
/// then printed as Go would print it. Zero values are dropped where Go omits them and written where it does not
/// (`"spec":{}`, `"audience":""`, `"containers":null`). Doing it twice changes nothing.
///
/// # Errors
/// A value that its type cannot hold.
pub fn normalize(kind: &Kind, release: Release, object: &Map<String, Value>) -> Result<Decoded, DecodeError> {
    let members: Vec<(Cow<'_, str>, Node<'_>)> =
        object.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), value.into())).collect();
    let mut decoded = walk::walk(kind, release, &members)?;
    print::print(kind.message(), release, &mut decoded.object);
    set_type_meta(kind, &mut decoded.object);
    Ok(decoded)
}

/// Whether a tree still says that it is of `kind` after a client has changed it. Other versions of the kind are taken for
/// this one.
///
/// # Errors
/// It says that it is of another kind, or of a version that the kind does not have.
pub fn check_type(kind: &Kind, object: &Map<String, Value>) -> Result<(), DecodeError> {
    let types = ["kind", "apiVersion"].iter().filter_map(|name| object.get_key_value(*name));
    let members: Vec<(Cow<'_, str>, Node<'_>)> =
        types.map(|(name, value)| (Cow::Borrowed(name.as_str()), value.into())).collect();
    match check_type_meta(kind, &members) {
        Err(DecodeError::WrongVersion { .. }) => Ok(()),
        checked => checked,
    }
}

/// As [`normalize`], of a tree that is not needed any more as it was: most of it is Go's already, and stays where it is. What
/// the release does not know goes without a word.
///
/// # Errors
/// Those of [`normalize`].
pub fn print(
    kind: &Kind,
    release: Release,
    mut object: Map<String, Value>,
) -> Result<Map<String, Value>, DecodeError> {
    let is_type_meta = |name: &str| matches!(name, "kind" | "apiVersion");
    if in_place::settle(kind.message(), release, &mut object, is_type_meta).is_err() {
        // What was settled is as good or as bad as it was.
        return normalize(kind, release, &object).map(|decoded| decoded.object);
    }
    set_type_meta(kind, &mut object);
    Ok(object)
}

/// The Go type that upstream looks for kind and version with; it stands in the text for a body that is no object.
const TYPE_META: &str =
    r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;

fn unreadable(fault: &str) -> DecodeError {
    DecodeError::Unrecognized { detail: format!("couldn't get version/kind; json parse error: {fault}") }
}

fn check_type_meta(kind: &Kind, members: &[(Cow<'_, str>, Node<'_>)]) -> Result<(), DecodeError> {
    check_kind(kind, type_member(members, "kind")?, type_member(members, "apiVersion")?)
}

/// What a body says that it is; empty where it does not say.
pub(crate) fn check_kind(kind: &Kind, found_kind: &str, found_version: &str) -> Result<(), DecodeError> {
    let wanted_version = kind.api_version();
    let version = if found_version.is_empty() { wanted_version.as_str() } else { found_version };
    let found_kind = if found_kind.is_empty() { kind.kind } else { found_kind };
    if version.split('/').count() > 2 {
        return Err(DecodeError::Unrecognized {
            detail: format!("unexpected GroupVersion string: {version}"),
        });
    }
    match (found_kind == kind.kind, version == wanted_version) {
        (true, true) => Ok(()),
        (true, false) if is_of_the_same_name(kind, version) => {
            Err(DecodeError::WrongVersion { found: version.to_owned(), wanted: wanted_version })
        }
        (_, _) if crate::find_kind(version, found_kind).is_some() => Err(DecodeError::WrongKind {
            found: found_kind.to_owned(),
            found_version: version.rsplit('/').next().unwrap_or_default().to_owned(),
            package: kind.package(),
            wanted: kind.kind,
        }),
        (_, _) => {
            Err(DecodeError::UnknownKind { found: found_kind.to_owned(), api_version: version.to_owned() })
        }
    }
}

/// Whether Kubernetes has had the kind in that version too. What is known is read, and then found to be of another version.
fn is_of_the_same_name(kind: &Kind, version: &str) -> bool {
    const VERSIONS: [(&str, &[&str]); 17] = [
        ("admissionregistration.k8s.io/v1beta1", &["ValidatingWebhookConfiguration"]),
        ("apps/v1beta1", &["ControllerRevision"]),
        ("apps/v1beta2", &["ControllerRevision", "DaemonSet"]),
        ("authentication.k8s.io/v1alpha1", &["SelfSubjectReview"]),
        ("authentication.k8s.io/v1beta1", &["SelfSubjectReview", "TokenReview"]),
        ("authorization.k8s.io/v1beta1", &AUTHORIZATION),
        ("coordination.k8s.io/v1beta1", &["Lease"]),
        ("discovery.k8s.io/v1beta1", &["EndpointSlice"]),
        ("events.k8s.io/v1", &["Event"]),
        ("events.k8s.io/v1beta1", &["Event"]),
        ("extensions/v1beta1", &["DaemonSet"]),
        ("policy/v1beta1", &["Eviction", "PodDisruptionBudget"]),
        ("rbac.authorization.k8s.io/v1alpha1", &RBAC),
        ("rbac.authorization.k8s.io/v1beta1", &RBAC),
        ("scheduling.k8s.io/v1alpha1", &["PriorityClass"]),
        ("scheduling.k8s.io/v1beta1", &["PriorityClass"]),
        ("storage.k8s.io/v1beta1", &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"]),
    ];
    const AUTHORIZATION: [&str; 4] = [
        "LocalSubjectAccessReview",
        "SelfSubjectAccessReview",
        "SelfSubjectRulesReview",
        "SubjectAccessReview",
    ];
    const RBAC: [&str; 4] = ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
    VERSIONS.iter().any(|(known, kinds)| *known == version && kinds.contains(&kind.kind))
}

/// The last member of that name as a text; empty if it is absent or null.
fn type_member<'n>(members: &'n [(Cow<'_, str>, Node<'_>)], name: &str) -> Result<&'n str, DecodeError> {
    match members.iter().rev().find(|(member, _)| member == name).map(|(_, node)| node) {
        None | Some(Node::Null) => Ok(""),
        Some(Node::String(text)) => Ok(text),
        Some(other) => Err(unreadable(&format!(
            "json: cannot unmarshal {} into Go struct field .{name} of type string",
            other.found()
        ))),
    }
}
