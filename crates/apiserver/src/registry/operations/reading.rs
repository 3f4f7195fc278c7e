//! The operations of a JSON patch as they are sent. Upstream's reader refuses only what has the wrong type; what no
//! operation can be made of is found when its turn comes.

use json_patch::jsonptr::PointerBuf;
use json_patch::{
    AddOperation, CopyOperation, MoveOperation, PatchOperation, RemoveOperation, ReplaceOperation,
    TestOperation,
};
use serde_json::Value;

/// One operation of a patch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum JsonOperation {
    /// One that may fit a tree.
    Possible(PatchOperation),
    /// One that fits none: of an unknown name, or without the places that it is about.
    Impossible,
}

impl JsonOperation {
    /// Reads an item of the list that a patch is. The error is Go's.
    pub(crate) fn read(item: &Value) -> Result<Self, String> {
        let fields = match item {
            Value::Object(fields) => fields,
            Value::Null => return Ok(Self::Impossible),
            other => {
                let found = json_type(other);
                return Err(format!(
                    "json: cannot unmarshal {found} into Go value of type handlers.jsonPatchOp"
                ));
            }
        };
        let text = |name: &str| match fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(other) => {
                let found = json_type(other);
                Err(format!(
                    "json: cannot unmarshal {found} into Go struct field jsonPatchOp.{name} of type string"
                ))
            }
        };
        let (name, path, from) = (text("op")?, text("path")?, text("from")?);
        let value = || fields.get("value").cloned().unwrap_or_default();
        let (path, from) = (path.and_then(place), from.and_then(place));
        let below = |place: &PointerBuf| !place.is_root();
        let operation = match (name, path, from) {
            (Some("add"), Some(path), _) if below(&path) => {
                PatchOperation::Add(AddOperation { path, value: value() })
            }
            (Some("remove"), Some(path), _) if below(&path) => {
                PatchOperation::Remove(RemoveOperation { path })
            }
            (Some("replace"), Some(path), _) => {
                PatchOperation::Replace(ReplaceOperation { path, value: value() })
            }
            (Some("test"), Some(path), _) => PatchOperation::Test(TestOperation { path, value: value() }),
            (Some("move"), Some(path), Some(from)) if below(&path) && below(&from) => {
                PatchOperation::Move(MoveOperation { from, path })
            }
            (Some("copy"), Some(path), Some(from)) if below(&path) && below(&from) => {
                PatchOperation::Copy(CopyOperation { from, path })
            }
            _ => return Ok(Self::Impossible),
        };
        Ok(Self::Possible(operation))
    }
}

/// What stands before the first slash is not looked at. A tilde that begins no escape stands for itself.
fn place(text: &str) -> Option<PointerBuf> {
    if text.is_empty() {
        return Some(PointerBuf::new());
    }
    let (_, steps) = text.split_once('/')?;
    let tokens = steps.split('/').map(|step| step.replace("~1", "/").replace("~0", "~"));
    Some(PointerBuf::from_tokens(tokens))
}

/// What Go's reader calls a value.
pub(crate) fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_the_wrong_type_is_told_in_gos_words() {
        for (item, wanted) in [
            (json!(1), "json: cannot unmarshal number into Go value of type handlers.jsonPatchOp"),
            (json!("a"), "json: cannot unmarshal string into Go value of type handlers.jsonPatchOp"),
            (
                json!({"op": 1}),
                "json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string",
            ),
            (
                json!({"op": "add", "path": ["a"]}),
                "json: cannot unmarshal array into Go struct field jsonPatchOp.path of type string",
            ),
        ] {
            assert_eq!(JsonOperation::read(&item).expect_err("the wrong type"), wanted);
        }
    }

    #[test]
    fn what_fits_no_tree_is_read_all_the_same() {
        for item in [
            json!({}),
            json!(null),
            json!({"op": "zork", "path": "/a"}),
            json!({"op": "add", "value": 1}),
            json!({"op": "add", "path": "", "value": 1}),
            json!({"op": "add", "path": "a", "value": 1}),
            json!({"op": "remove", "path": ""}),
            json!({"op": "copy", "path": "/a"}),
            json!({"path": "/a", "value": 1}),
        ] {
            assert_eq!(JsonOperation::read(&item), Ok(JsonOperation::Impossible), "{item}");
        }
    }

    #[test]
    fn places_are_read_as_upstream_reads_them() {
        for (path, wanted) in
            [("/a/b", "/a/b"), ("x/a", "/a"), ("/a~1b/c~0d", "/a~1b/c~0d"), ("/a~b", "/a~0b"), ("/", "/")]
        {
            let read = JsonOperation::read(&json!({"op": "remove", "path": path}));
            let Ok(JsonOperation::Possible(operation)) = read else { panic!("{path}: {read:?}") };
            assert_eq!(operation.path().as_str(), wanted);
        }
    }
}
