//! Manifests: YAML files into objects, each with the place it came from.
//!
//! Read as kubectl reads them (several documents a file, `List`s, YAML 1.1 booleans and octal numbers), with two
//! deliberate differences: a key that is given twice and an object that is given twice are errors, because in one
//! run of `tokenward up` they are a slip and never an intention.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use serde_saphyr::Spanned;
use tokenward_kube_schema::{Kind, Verb};

mod nearest;

/// One object of a manifest.
#[derive(Clone)]
pub struct Manifest {
    /// Where it stands.
    pub origin: Origin,
    /// Its kind, one that the server serves.
    pub kind: &'static Kind,
    /// Its namespace, `default` unless it names one; none for a cluster-scoped kind.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The object as it was written.
    pub object: Map<String, Value>,
}

impl Manifest {
    /// The object as messages name it: `pod quickstart/reader`, `csidriver example.com`.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.kind.singular, self.name),
            None => format!("{} {}", self.kind.singular, self.name),
        }
    }
}

/// Prints the label only: a manifest may hold a Secret.
impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.label(), self.origin)
    }
}

/// A place in a file, printed as `FILE:LINE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file as it was named.
    pub file: PathBuf,
    /// The line of the document's first key, from 1.
    pub line: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// Reads `files` and returns their objects in the order in which they are to be applied.
///
/// # Errors
/// The first thing found that keeps a file from being applied.
pub fn load(files: &[PathBuf]) -> Result<Vec<Manifest>, ManifestError> {
    let mut manifests = Vec::new();
    for file in files {
        let bytes =
            std::fs::read(file).map_err(|source| ManifestError::Unreadable { file: file.clone(), source })?;
        let text = String::from_utf8(bytes).map_err(|error| ManifestError::NotText {
            file: file.clone(),
            offset: error.utf8_error().valid_up_to(),
        })?;
        manifests.extend(parse(file, &text)?);
    }
    in_apply_order(manifests)
}

/// Parses the text of one file. Documents that are empty are skipped, lists are taken apart.
///
/// # Errors
/// As [`load`], and when the text holds no object at all.
pub fn parse(file: &Path, text: &str) -> Result<Vec<Manifest>, ManifestError> {
    let documents: Vec<Spanned<Value>> = serde_saphyr::from_multiple_with_options(text, yaml_options())
        .map_err(|error| ManifestError::yaml(file, &error))?;
    let mut manifests = Vec::new();
    for document in documents {
        let origin = Origin { file: file.to_owned(), line: document.referenced.line() };
        take_apart(origin, document.value, &mut manifests)?;
    }
    if manifests.is_empty() {
        return Err(ManifestError::Empty { file: file.to_owned() });
    }
    Ok(manifests)
}

/// Sorts so that what others need comes first, keeps the given order otherwise, and refuses doubles.
///
/// # Errors
/// When an object is there twice.
pub fn in_apply_order(mut manifests: Vec<Manifest>) -> Result<Vec<Manifest>, ManifestError> {
    let mut seen = BTreeMap::new();
    for manifest in &manifests {
        if let Some(first) = seen.insert(manifest.label(), &manifest.origin) {
            return Err(ManifestError::Duplicate {
                object: manifest.label(),
                origin: manifest.origin.clone(),
                first: first.clone(),
            });
        }
    }
    manifests.sort_by_key(|manifest| rank(manifest.kind));
    Ok(manifests)
}

/// Why manifests cannot be applied. No text quotes a value: manifests hold Secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// A file could not be read.
    #[error("could not read the manifest `{}`", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The file system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A file is not text.
    #[error("`{}` is not a manifest: it is not UTF-8 from byte {offset} on", .file.display())]
    NotText {
        /// The file.
        file: PathBuf,
        /// Where text ends.
        offset: usize,
    },
    /// A file is not YAML.
    #[error("`{}:{line}:{column}` is not valid YAML: {reason}", .file.display())]
    Yaml {
        /// The file.
        file: PathBuf,
        /// The line, from 1; 0 when the parser does not say.
        line: u64,
        /// The column, from 1; 0 when the parser does not say.
        column: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A file holds no object.
    #[error("`{}` holds no Kubernetes object", .file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
    /// A document is no mapping.
    #[error("`{origin}` is {found}, not a Kubernetes object")]
    NotAnObject {
        /// The document.
        origin: Origin,
        /// What it is.
        found: &'static str,
    },
    /// A document lacks what every object needs.
    #[error(
        "the object at `{origin}` has no `{field}`; every object needs apiVersion, kind and metadata.name"
    )]
    Missing {
        /// The document.
        origin: Origin,
        /// The path of the field.
        field: &'static str,
    },
    /// A document is of a kind that is not served.
    #[error("`{origin}` is of the kind {kind} in {api_version}, which this server does not serve; {}", advice(.nearest))]
    UnknownKind {
        /// The document.
        origin: Origin,
        /// What it says.
        api_version: String,
        /// What it says.
        kind: String,
        /// The served kinds that are nearest to it, as `KIND in GROUP/VERSION`.
        nearest: Vec<String>,
    },
    /// An object is there twice.
    #[error("{object} stands at `{origin}` and at `{first}`; keep one of them")]
    Duplicate {
        /// The object.
        object: String,
        /// The second place.
        origin: Origin,
        /// The first place.
        first: Origin,
    },
}

impl ManifestError {
    fn yaml(file: &Path, error: &serde_saphyr::Error) -> Self {
        use serde_saphyr::MessageFormatter as _;
        let location = error.location();
        Self::Yaml {
            file: file.to_owned(),
            line: location.map_or(0, |location| location.line()),
            column: location.map_or(0, |location| location.column()),
            reason: serde_saphyr::UserMessageFormatter.format_message(error).into_owned(),
        }
    }
}

fn advice(nearest: &[String]) -> String {
    match nearest {
        [] => "check its apiVersion and kind".to_owned(),
        kinds => format!("is {} meant?", kinds.join(" or ")),
    }
}

fn yaml_options() -> serde_saphyr::Options {
    // A snippet would print what stands around the error: perhaps a Secret's data.
    serde_saphyr::options! { with_snippet: false, legacy_octal_numbers: true }
}

fn take_apart(origin: Origin, value: Value, into: &mut Vec<Manifest>) -> Result<(), ManifestError> {
    let mut object = match value {
        Value::Object(object) => object,
        Value::Null => return Ok(()),
        other => return Err(ManifestError::NotAnObject { origin, found: what(&other) }),
    };
    let missing = |field| ManifestError::Missing { origin: origin.clone(), field };
    let api_version = text(&object, "apiVersion").ok_or_else(|| missing("apiVersion"))?.to_owned();
    let kind = text(&object, "kind").ok_or_else(|| missing("kind"))?.to_owned();
    if let Some(Value::Array(items)) = list_items(&api_version, &kind, &mut object) {
        let item_kind = kind.strip_suffix("List").unwrap_or_default();
        for mut item in items {
            if let Value::Object(item) = &mut item
                && !item_kind.is_empty()
            {
                // The items of a typed list are written without their type.
                item.entry("apiVersion").or_insert_with(|| api_version.clone().into());
                item.entry("kind").or_insert_with(|| item_kind.into());
            }
            take_apart(origin.clone(), item, into)?;
        }
        return Ok(());
    }
    let Some(found) =
        tokenward_kube_schema::find_kind(&api_version, &kind).filter(|kind| can_be_applied(kind))
    else {
        let nearest = nearest::nearest(&kind);
        return Err(ManifestError::UnknownKind { origin, api_version, kind, nearest });
    };
    let metadata =
        object.get("metadata").and_then(Value::as_object).ok_or_else(|| missing("metadata.name"))?;
    let name = text(metadata, "name").ok_or_else(|| missing("metadata.name"))?.to_owned();
    let namespace = found.namespaced.then(|| text(metadata, "namespace").unwrap_or("default").to_owned());
    into.push(Manifest { origin, kind: found, namespace, name, object });
    Ok(())
}

/// Whether objects of this kind are kept: a TokenReview for instance is a question and no object.
fn can_be_applied(kind: &Kind) -> bool {
    !kind.plural.is_empty() && kind.allows(Verb::Create) && kind.allows(Verb::Get)
}

/// The items, when the object is a list: a `v1` `List`, or the list of a served kind.
fn list_items(api_version: &str, kind: &str, object: &mut Map<String, Value>) -> Option<Value> {
    let item_kind = kind.strip_suffix("List")?;
    let is_list = (item_kind.is_empty() && api_version == "v1")
        || tokenward_kube_schema::find_kind(api_version, item_kind).is_some();
    is_list.then(|| object.remove("items").unwrap_or_else(|| Value::Array(Vec::new())))
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn what(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "a sequence",
        Value::Bool(_) => "a boolean",
        Value::Null => "nothing",
        Value::Number(_) => "a number",
        Value::Object(_) => "a mapping",
        Value::String(_) => "a text",
    }
}

/// What others need comes first: a pod's namespace, account, driver and claims before the pod.
fn rank(kind: &Kind) -> u8 {
    match kind.kind {
        "Namespace" => 0,
        "ServiceAccount" => 1,
        "Secret" | "ConfigMap" => 2,
        "ClusterRole" | "Role" => 3,
        "ClusterRoleBinding" | "RoleBinding" => 4,
        "CSIDriver" => 5,
        "StorageClass" => 6,
        "PersistentVolume" => 7,
        "PersistentVolumeClaim" => 8,
        "Pod" => 10,
        "DaemonSet" => 11,
        _ => 9,
    }
}

#[cfg(test)]
mod tests;
