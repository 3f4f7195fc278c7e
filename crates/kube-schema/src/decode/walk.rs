//! The walk over a value and the table together: checks types, removes what is not known, names what was removed.

use std::{borrow::Cow, fmt::Write as _};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::{Map, Value, json};
use tokenward_kube_rules::{Release, quantity};

use super::{Decoded, print::zero};
use crate::{
    DecodeError, Kind, TypeMismatch,
    go_base64::Base64,
    go_time,
    json::Node,
    table::{Field, FieldType, Message, Shape},
};

/// Go's standard decoding: padded, and not strict about the last bits.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true),
);

/// The most faults that strict decoding names.
const MAX_STRICT: usize = 100;

type Members<'n> = [(Cow<'n, str>, Node<'n>)];

/// Walks an object of a kind. `kind` and `apiVersion` are set, whatever stood there.
pub(super) fn walk(kind: &Kind, release: Release, members: &Members<'_>) -> Result<Decoded, DecodeError> {
    let mut decoded = walk_message(kind.message(), release, members)?;
    set_type_meta(kind, &mut decoded.object);
    Ok(decoded)
}

/// Walks what is no kind of its own. `kind` and `apiVersion` are passed over.
pub(super) fn walk_message(
    message: &'static Message,
    release: Release,
    members: &Members<'_>,
) -> Result<Decoded, DecodeError> {
    let mut walk =
        Walk { release, decoded: Decoded::default(), saved: None, path: String::new(), fields: Vec::new() };
    let object = walk.members(message, members, true)?;
    if let Some(error) = walk.saved {
        return Err(error);
    }
    walk.decoded.object = object;
    Ok(walk.decoded)
}

pub(crate) fn set_type_meta(kind: &Kind, object: &mut Map<String, Value>) {
    let version = kind.api_version();
    for (member, text) in [("kind", kind.kind), ("apiVersion", &version)] {
        if object.get(member).and_then(Value::as_str) != Some(text) {
            object.insert(member.to_owned(), text.into());
        }
    }
}

struct Walk {
    release: Release,
    decoded: Decoded,
    /// The first error that did not end the walk. As in Go, an error that a type's own decoder makes ends it and wins.
    saved: Option<DecodeError>,
    /// Where we are, with indices and keys: what strict decoding names.
    path: String,
    /// The JSON names of the fields that led here: what a type error names.
    fields: Vec<&'static str>,
}

/// Where a value stands: the innermost struct, and the field.
#[derive(Clone, Copy)]
struct Place {
    message: &'static Message,
    field: &'static Field,
}

impl Walk {
    fn members(
        &mut self,
        message: &'static Message,
        members: &Members<'_>,
        root: bool,
    ) -> Result<Map<String, Value>, DecodeError> {
        let mut object = Map::new();
        // Only names that the message has, so that it stays short whatever the body holds.
        let mut seen: Vec<&str> = Vec::new();
        for (name, node) in members {
            let before = self.enter(name);
            let type_meta =
                (root || message.has_type_meta()) && matches!(name.as_ref(), "kind" | "apiVersion");
            let field = message.field(name).filter(|field| field.since <= self.release);
            if type_meta || field.is_some() {
                if seen.contains(&name.as_ref()) {
                    self.report_duplicate();
                } else {
                    seen.push(name);
                }
            } else {
                self.report_unknown();
            }
            if let Some(field) = field {
                self.fields.push(field.name);
                let value = self.field(Place { message, field }, node)?;
                self.fields.pop();
                match value {
                    Some(value) => object.insert(field.name.to_owned(), value),
                    None => object.remove(field.name),
                };
            }
            self.path.truncate(before);
        }
        Ok(object)
    }

    /// A field's value, `None` for null and after an error that was saved.
    fn field(&mut self, place: Place, node: &Node<'_>) -> Result<Option<Value>, DecodeError> {
        match (place.field.shape, node) {
            (_, Node::Null) => Ok(None),
            (Shape::One, node) => self.item(place, node),
            (Shape::List, Node::Array(items)) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let before = self.path.len();
                    write!(self.path, "[{index}]").expect("a string takes every text");
                    list.push(self.item(place, item)?.unwrap_or_else(|| absent_item(place.field)));
                    self.path.truncate(before);
                }
                Ok(Some(Value::Array(list)))
            }
            (Shape::Map, Node::Object(members)) => {
                let mut map = Map::new();
                for (key, item) in members {
                    let before = self.enter(key);
                    let value = self.item(place, item)?.unwrap_or_else(|| absent_item(place.field));
                    if map.insert(key.clone().into_owned(), value).is_some() {
                        self.report_duplicate();
                    }
                    self.path.truncate(before);
                }
                Ok(Some(Value::Object(map)))
            }
            (Shape::List, node) => Ok(self.mismatch(place, node.found(), format!("[]{}", go_type(place)))),
            (Shape::Map, node) => {
                Ok(self.mismatch(place, node.found(), format!("map[string]{}", go_type(place))))
            }
        }
    }

    /// One value, or one of a list or map.
    fn item(&mut self, place: Place, node: &Node<'_>) -> Result<Option<Value>, DecodeError> {
        let value = match (place.field.field_type, node) {
            (FieldType::FieldsV1 | FieldType::Raw, node) => Some(node.to_value()),
            (_, Node::Null) => None,
            (FieldType::Bool, Node::Bool(value)) => Some(json!(value)),
            (FieldType::String, Node::String(text)) => Some(json!(text)),
            (FieldType::Int32 | FieldType::Int64, Node::Number(text)) => self.integer(place, text),
            (FieldType::IntOrString, Node::String(text)) => Some(json!(text)),
            (FieldType::IntOrString, Node::Number(text)) => match text.parse::<i32>() {
                Ok(number) => Some(json!(number)),
                Err(_) => return Err(self.type_error(place, format!("number {text}"), "int32".to_owned())),
            },
            (FieldType::IntOrString, node) => {
                return Err(self.type_error(place, node.found().to_owned(), "int32".to_owned()));
            }
            (FieldType::Bytes, Node::String(text)) => self.bytes(text),
            (FieldType::Quantity, Node::String(text) | Node::Number(text)) => {
                if !is_quantity(text) {
                    return Err(DecodeError::Quantity);
                }
                Some(json!(quantity::canonical(text.trim())))
            }
            (FieldType::Time | FieldType::MicroTime, Node::String(text)) => {
                let read = match place.field.field_type {
                    FieldType::MicroTime => go_time::micros(text),
                    _ => go_time::seconds(text),
                };
                read.ok_or_else(|| self.value_error(go_time::WANTED))?.map(Value::from)
            }
            (FieldType::Time | FieldType::MicroTime, node) => {
                return Err(self.type_error(place, node.found().to_owned(), "string".to_owned()));
            }
            (FieldType::Quantity, _) => return Err(DecodeError::Quantity),
            (FieldType::StringList, Node::Array(items)) => self.strings(place, items),
            (FieldType::Message(_), Node::Object(members)) => {
                let message = place.field.message().expect("the field holds a message");
                Some(Value::Object(self.members(message, members, false)?))
            }
            (_, node) => self.mismatch(place, node.found(), go_type(place)),
        };
        Ok(value)
    }

    fn integer(&mut self, place: Place, text: &str) -> Option<Value> {
        let number = match place.field.field_type {
            FieldType::Int32 => text.parse::<i32>().map(i64::from),
            _ => text.parse::<i64>(),
        };
        match number {
            Ok(number) => Some(json!(number)),
            Err(_) => self.mismatch(place, &format!("number {text}"), go_type(place)),
        }
    }

    fn bytes(&mut self, text: &str) -> Option<Value> {
        let canonical = canonical_base64(text);
        if canonical.is_none() {
            self.saved.get_or_insert(DecodeError::Base64 { at: Base64::Padded.fault(text) });
        }
        canonical.map(Value::from)
    }

    fn strings(&mut self, place: Place, items: &[Node<'_>]) -> Option<Value> {
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Node::String(text) => list.push(json!(text)),
                Node::Null => list.push(json!("")),
                other => {
                    self.mismatch(place, other.found(), "string".to_owned());
                }
            }
        }
        Some(Value::Array(list))
    }

    /// Saves a type error and goes on, as Go does.
    fn mismatch(&mut self, place: Place, found: &str, go_type: String) -> Option<Value> {
        let error = self.type_error(place, found.to_owned(), go_type);
        self.saved.get_or_insert(error);
        None
    }

    fn type_error(&self, place: Place, found: String, go_type: String) -> DecodeError {
        let field = self.fields.join(".");
        DecodeError::Type(TypeMismatch { found, go_struct: place.message.go_name(), field, go_type })
    }

    fn value_error(&self, detail: &'static str) -> DecodeError {
        DecodeError::Value { field: self.path.clone(), detail }
    }

    /// Goes one name deeper, and gives back where we were.
    fn enter(&mut self, name: &str) -> usize {
        let before = self.path.len();
        if before > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        before
    }

    fn report_unknown(&mut self) {
        if self.report("unknown") {
            self.decoded.unknown.push(self.path.clone());
        }
    }

    fn report_duplicate(&mut self) {
        if self.report("duplicate") {
            self.decoded.duplicate.push(self.path.clone());
        }
    }

    fn report(&mut self, fault: &str) -> bool {
        let text = format!("{fault} field {:?}", self.path);
        let new = self.decoded.strict.len() < MAX_STRICT && !self.decoded.strict.contains(&text);
        if new {
            self.decoded.strict.push(text);
        }
        new
    }
}

/// Bytes as Go writes them, of what it reads; `None` when it does not.
pub(super) fn canonical_base64(text: &str) -> Option<String> {
    // Go skips line breaks.
    let text: Cow<'_, str> =
        if text.contains(['\r', '\n']) { text.replace(['\r', '\n'], "").into() } else { text.into() };
    BASE64.decode(text.as_bytes()).ok().map(|bytes| BASE64.encode(bytes))
}

pub(crate) fn is_quantity(text: &str) -> bool {
    let text = text.trim();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let number = unsigned.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let digits = &unsigned[..unsigned.len() - number.len()];
    let well_formed = digits.contains(|c: char| c.is_ascii_digit()) && digits.matches('.').count() <= 1;
    let suffixes = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let exponent = number.strip_prefix(['e', 'E']).is_some_and(|power| {
        let power = power.strip_prefix(['+', '-']).unwrap_or(power);
        !power.is_empty() && power.bytes().all(|byte| byte.is_ascii_digit())
    });
    well_formed && (suffixes.contains(&number) || exponent)
}

/// What null in a list or a map stands for: the zero value. Of a struct that is an empty one; printing fills it in.
pub(super) fn absent_item(field: &Field) -> Value {
    match field.field_type {
        FieldType::Message(_) => json!({}),
        _ => zero(field, Release::default()),
    }
}

/// The Go type of one value, with the package's name as upstream's errors print it.
fn go_type(place: Place) -> String {
    let Place { message, field } = place;
    let named = match (message.name, field.name) {
        ("storage/v1.CSIDriverSpec", "fsGroupPolicy") => "v1.FSGroupPolicy",
        ("storage/v1.CSIDriverSpec", "volumeLifecycleModes") => "v1.VolumeLifecycleMode",
        ("meta/v1.ObjectMeta" | "meta/v1.OwnerReference" | "core/v1.ObjectReference", "uid") => "types.UID",
        _ => match field.field_type {
            FieldType::Bool => "bool",
            FieldType::Bytes => "[]uint8",
            FieldType::FieldsV1 => "v1.FieldsV1",
            FieldType::Int32 => "int32",
            FieldType::Int64 => "int64",
            FieldType::IntOrString => "intstr.IntOrString",
            FieldType::MicroTime => "v1.MicroTime",
            FieldType::Quantity => "resource.Quantity",
            FieldType::Raw => "runtime.RawExtension",
            FieldType::String => "string",
            FieldType::StringList => "v1.ExtraValue",
            FieldType::Time => "v1.Time",
            FieldType::Message(_) => {
                let name = field.message().expect("the field holds a message").name;
                name.rsplit('/').next().expect("splitting gives at least one part")
            }
        },
    };
    named.to_owned()
}
