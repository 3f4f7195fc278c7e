//! The other forms that an answer can have: a table, or metadata alone.
//!
//! What is answered comes in one form; the client may ask for another (`as=`). A `Status` has no other form, whoever
//! asks.

use bytes::{BufMut, Bytes, BytesMut};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokenward_kube_schema::{self as schema, Kind};

use crate::content::{Content, List, Shown};
use crate::media::{Form, MetaVersion};
use crate::object::Metadata as _;
use crate::status::ApiError;
use crate::table::{self, Include, Scene};

/// Whether a table tells what its columns are: in a watch only the first event does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Columns {
    /// It does.
    Told,
    /// The client knows them already.
    Known,
}

impl Content {
    /// The same in another form.
    pub(crate) fn in_form(self, form: Form, scene: &Scene<'_>, columns: Columns) -> Result<Self, ApiError> {
        let content = match (form, self) {
            (Form::Object, content) => return Ok(content),
            (_, content) if scene.include == Include::Object => content,
            (_, Self::Object(shown)) => Self::Object(metadata_kept(shown)?),
            (_, Self::List(mut list)) => {
                list.items = list.items.into_iter().map(metadata_kept).collect::<Result<_, _>>()?;
                Self::List(list)
            }
            (_, content) => content,
        };
        match (form, content) {
            (Form::Object, content) | (_, content @ (Self::Status(_) | Self::Document(_))) => Ok(content),
            (form, Self::Token(issued)) => {
                let kind = schema::find_kind("authentication.k8s.io/v1", "TokenRequest")
                    .ok_or_else(|| ApiError::internal("a kind that is not in the table"))?;
                Self::Object(Shown::of_json(kind, issued.to_json())).in_form(form, scene, columns)
            }
            (Form::Table(version), Self::Object(shown)) => {
                let tree =
                    schema::parse(shown.json()).map_err(|error| ApiError::internal(&error.to_string()))?;
                let head =
                    format!("\"resourceVersion\":{}", Value::from(tree.metadata_text("resourceVersion")));
                write_table(shown.kind, &head, std::slice::from_ref(&shown), version, scene, columns)
            }
            (Form::Table(version), Self::List(list)) => {
                write_table(list.kind, &list.metadata(), &list.items, version, scene, columns)
            }
            (Form::PartialObjectMetadata(version), Self::Object(shown)) => Ok(Self::Metadata(shown, version)),
            (Form::PartialObjectMetadataList(version), Self::List(list)) => {
                Ok(Self::MetadataList(list, version))
            }
            (Form::PartialObjectMetadata(_), Self::List(list)) => Err(wrong_form(format!(
                "you requested PartialObjectMetadata, but the requested object is a list (*{}.{})",
                package(list.kind),
                list.kind.list_kind
            ))),
            (Form::PartialObjectMetadataList(_), Self::Object(shown)) => Err(wrong_form(format!(
                "you requested PartialObjectMetadataList, but the requested object is not a list (*{}.{})",
                package(shown.kind),
                shown.kind.kind
            ))),
            // It has its form already.
            (_, content @ (Self::Table(_) | Self::Metadata(..) | Self::MetadataList(..))) => Ok(content),
        }
    }
}

/// The package of Go that has a kind's own type: the group without its domain.
fn package(kind: &Kind) -> &'static str {
    match kind.group.split('.').next() {
        None | Some("") => "core",
        Some(group) => group,
    }
}

/// An object with the metadata that upstream keeps as such. The generation of a DaemonSet's template is an annotation only
/// of the whole object; upstream has it elsewhere, and forgets it in the other forms.
fn metadata_kept(shown: Shown) -> Result<Shown, ApiError> {
    const ELSEWHERE: &str = "deprecated.daemonset.template.generation";
    if shown.kind.kind != "DaemonSet" {
        return Ok(shown);
    }
    let mut tree = schema::parse(shown.json()).map_err(|error| ApiError::internal(&error.to_string()))?;
    let metadata = tree.metadata_mut();
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove(ELSEWHERE);
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    Ok(Shown::of_tree(shown.kind, &tree))
}

fn wrong_form(message: String) -> ApiError {
    ApiError::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
}

fn write_table(
    kind: &'static Kind,
    metadata: &str,
    items: &[Shown],
    version: MetaVersion,
    scene: &Scene<'_>,
    columns: Columns,
) -> Result<Content, ApiError> {
    let version = version.api_version();
    let columns = match columns {
        Columns::Told => table::columns(kind, scene.gates.release()),
        Columns::Known => Value::Null,
    };
    let mut body = BytesMut::new();
    let head = format!(
        "{{\"kind\":\"Table\",\"apiVersion\":\"{version}\",\"metadata\":{{{metadata}}},\
         \"columnDefinitions\":{columns},\"rows\":["
    );
    body.put_slice(head.as_bytes());
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            body.put_u8(b',');
        }
        let object = serde_json::from_slice(item.json())
            .map_err(|_| ApiError::internal("an object that is not JSON"))?;
        serde_json::to_writer((&mut body).writer(), &table::row(kind, object, scene, version))
            .map_err(|_| ApiError::internal("a row that is not JSON"))?;
    }
    body.put_slice(b"]}");
    Ok(Content::Table(body.freeze()))
}

/// An object's metadata alone, as JSON.
pub(crate) fn metadata_json(shown: &Shown, version: MetaVersion) -> Result<Bytes, ApiError> {
    let mut body = BytesMut::new();
    put_metadata(&mut body, shown, version)?;
    Ok(body.freeze())
}

/// The metadata of each object of a list, as JSON. Unlike those of other lists, the items say what they are.
pub(crate) fn metadata_list_json(list: &List, version: MetaVersion) -> Result<Bytes, ApiError> {
    let mut body = BytesMut::new();
    let head = format!(
        "{{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"{}\",\"metadata\":{{{}}},\"items\":[",
        version.api_version(),
        list.metadata()
    );
    body.put_slice(head.as_bytes());
    for (position, item) in list.items.iter().enumerate() {
        if position > 0 {
            body.put_u8(b',');
        }
        put_metadata(&mut body, item, version)?;
    }
    body.put_slice(b"]}");
    Ok(body.freeze())
}

fn put_metadata(body: &mut BytesMut, shown: &Shown, version: MetaVersion) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Only<'a> {
        #[serde(borrow)]
        metadata: &'a RawValue,
    }
    let only: Only<'_> =
        serde_json::from_slice(shown.json()).map_err(|_| ApiError::internal("an object without metadata"))?;
    let head = format!(
        "{{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"{}\",\"metadata\":",
        version.api_version()
    );
    body.put_slice(head.as_bytes());
    body.put_slice(only.metadata.get().as_bytes());
    body.put_u8(b'}');
    Ok(())
}
