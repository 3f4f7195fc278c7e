//! Trees as bytes, with the place where a store stamps the revision.

use serde_json::{Map, Value};

/// An object as bytes, its `metadata.resourceVersion` still empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// JSON in Go's order: kind, apiVersion, metadata, then the rest.
    pub bytes: Vec<u8>,
    /// Where the decimal digits of the revision go in: `bytes[..stamp_at]`, digits, `bytes[stamp_at..]`. There is always a
    /// metadata, `resourceVersion` is its first member, and `stamp_at < bytes.len()`.
    pub stamp_at: usize,
}

impl Encoded {
    /// The bytes with a revision in its place.
    #[must_use]
    pub fn stamped(&self, revision: u64) -> Vec<u8> {
        let digits = revision.to_string();
        let mut bytes = Vec::with_capacity(self.bytes.len() + digits.len());
        bytes.extend_from_slice(&self.bytes[..self.stamp_at]);
        bytes.extend_from_slice(digits.as_bytes());
        bytes.extend_from_slice(&self.bytes[self.stamp_at..]);
        bytes
    }
}

/// Stored bytes that are no JSON object. The text says where, and quotes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored object is no JSON object: fault in line {line}, column {column}")]
pub struct ParseError {
    /// Counted from 1; 0 when the bytes are JSON but no object.
    pub line: usize,
    /// Counted from 1; 0 when the bytes are JSON but no object.
    pub column: usize,
}

/// An object as the bytes that a store keeps. The tree's own `resourceVersion` is left out: the store stamps the revision.
#[must_use]
pub fn encode(object: &Map<String, Value>) -> Encoded {
    let mut bytes = Vec::with_capacity(1024);
    write_head(&mut bytes, object);
    bytes.extend_from_slice(br#""metadata":{"resourceVersion":""#);
    let stamp_at = bytes.len();
    bytes.push(b'"');
    if let Some(Value::Object(metadata)) = object.get("metadata") {
        for (name, value) in metadata.iter().filter(|(name, _)| name.as_str() != "resourceVersion") {
            bytes.push(b',');
            write_member(&mut bytes, name, value);
        }
    }
    bytes.push(b'}');
    write_rest(&mut bytes, object);
    Encoded { bytes, stamp_at }
}

/// An object as the bytes of a response, in the same order, with what the tree itself says of `resourceVersion`.
#[must_use]
pub fn to_json(object: &Map<String, Value>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1024);
    write_head(&mut bytes, object);
    match object.get("metadata") {
        Some(metadata) => write_member(&mut bytes, "metadata", metadata),
        None => bytes.extend_from_slice(br#""metadata":{}"#),
    }
    write_rest(&mut bytes, object);
    bytes
}

/// The tree of stored bytes.
///
/// # Errors
/// The bytes are no JSON object.
pub fn parse(bytes: &[u8]) -> Result<Map<String, Value>, ParseError> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(ParseError { line: 0, column: 0 }),
        Err(error) => Err(ParseError { line: error.line(), column: error.column() }),
    }
}

fn write_head(bytes: &mut Vec<u8>, object: &Map<String, Value>) {
    bytes.push(b'{');
    for name in ["kind", "apiVersion"] {
        if let Some(value) = object.get(name) {
            write_member(bytes, name, value);
            bytes.push(b',');
        }
    }
}

fn write_rest(bytes: &mut Vec<u8>, object: &Map<String, Value>) {
    for (name, value) in object {
        if !matches!(name.as_str(), "kind" | "apiVersion" | "metadata") {
            bytes.push(b',');
            write_member(bytes, name, value);
        }
    }
    bytes.push(b'}');
}

const TAKEN: &str = "a vector takes every byte";

fn write_member(bytes: &mut Vec<u8>, name: &str, value: &Value) {
    write_text(bytes, name);
    bytes.push(b':');
    write_value(bytes, value);
}

/// The bytes that serde_json writes, with less work: it goes through a formatter for every token.
fn write_value(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => write_text(bytes, text),
        Value::Object(members) => {
            bytes.push(b'{');
            for (position, (name, value)) in members.iter().enumerate() {
                if position > 0 {
                    bytes.push(b',');
                }
                write_member(bytes, name, value);
            }
            bytes.push(b'}');
        }
        Value::Array(items) => {
            bytes.push(b'[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    bytes.push(b',');
                }
                write_value(bytes, item);
            }
            bytes.push(b']');
        }
        Value::Bool(true) => bytes.extend_from_slice(b"true"),
        Value::Bool(false) => bytes.extend_from_slice(b"false"),
        Value::Null => bytes.extend_from_slice(b"null"),
        Value::Number(number) => serde_json::to_writer(bytes, number).expect(TAKEN),
    }
}

fn write_text(bytes: &mut Vec<u8>, text: &str) {
    // Without a way out of the loop, many bytes are looked at in one step.
    let is_escaped =
        text.bytes().fold(false, |found, byte| found | (byte < b' ') | (byte == b'"') | (byte == b'\\'));
    if is_escaped {
        return serde_json::to_writer(bytes, text).expect(TAKEN);
    }
    bytes.push(b'"');
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            other => panic!("a test's own object, not {other}"),
        }
    }

    #[test]
    fn the_revision_goes_into_its_place() {
        let rows = [
            (
                json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "YQ=="},
                    "metadata": {"name": "x", "resourceVersion": "7", "annotations": {"a": "\"metadata\":{"}}}),
                r#"{"kind":"Secret","apiVersion":"v1","metadata":{"resourceVersion":"42","annotations":{"a":"\"metadata\":{"},"name":"x"},"data":{"a":"YQ=="}}"#,
            ),
            (json!({"metadata": {}}), r#"{"metadata":{"resourceVersion":"42"}}"#),
            (json!({"spec": null}), r#"{"metadata":{"resourceVersion":"42"},"spec":null}"#),
        ];
        for (value, wanted) in rows {
            let encoded = encode(&object(value));
            assert_eq!(String::from_utf8_lossy(&encoded.stamped(42)), wanted);
            assert!(parse(&encoded.bytes).is_ok(), "valid before the stamp as well");
        }
    }

    #[test]
    fn what_is_stored_is_read_back() {
        let mut tree =
            object(json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "ä\n"}, "type": "x"}));
        let stored = encode(&tree).stamped(9);
        tree["metadata"]["resourceVersion"] = json!("9");
        assert_eq!(parse(&stored), Ok(tree.clone()));
        assert_eq!(parse(&to_json(&tree)), Ok(tree));
    }

    proptest! {
        #[test]
        fn members_are_written_as_serde_json_writes_them(
            texts in prop::collection::vec(any::<String>(), 0..4), whole: i64, large: u64, part: f64, flag: bool,
        ) {
            let tree = json!({"texts": texts, "whole": whole, "large": large, "part": part, "flag": flag, "none": null,
                "escapes": "\u{7f}\u{1f}\"\\/ä", "empty": [{}, []], "names": {texts.concat(): {"a": texts}}});
            let mut bytes = Vec::new();
            write_value(&mut bytes, &tree);
            prop_assert_eq!(String::from_utf8(bytes), Ok(tree.to_string()));
        }
    }

    #[test]
    fn broken_bytes_are_told_by_place_only() {
        let error = parse(b"{\"token\":\n\"eyJ").expect_err("cut off");
        assert_eq!(error.to_string(), "a stored object is no JSON object: fault in line 2, column 4");
        assert_eq!(parse(b"[]"), Err(ParseError { line: 0, column: 0 }));
    }
}
