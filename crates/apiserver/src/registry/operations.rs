//! JSON Patch (RFC 6902), operation by operation within bounds. A few copies of copies, a kilobyte of patch, would
//! otherwise make a tree larger than memory, or deeper than any stack; and each item put before a million others moves
//! all of them. Places in arrays may be counted from the end: [`indexes`].

mod indexes;
mod reading;

use json_patch::jsonptr::Pointer;
use json_patch::{AddOperation, PatchOperation};
use serde_json::Value;

use self::indexes::Steps;
pub(crate) use self::reading::{JsonOperation, json_type};
use crate::body::REQUEST_LIMIT;
use crate::status::ApiError;

/// No tree becomes deeper than a body may be.
const DEEPEST: usize = 200;

/// So many items of arrays are moved up or down at most by all operations together: a tenth of a second's work. The
/// longest patch may do so with an array of 2,000 items.
const MOST_SHIFTED: usize = 20_000_000;

/// Carries a patch out on a tree, which is of no use afterwards if this fails.
pub(super) fn carry_out(patch: &[JsonOperation], tree: &mut Value) -> Result<(), ApiError> {
    let mut spent = Spent { copied: 0, shifted: 0, depth: measure(tree, usize::MAX).depth };
    for operation in patch {
        let JsonOperation::Possible(operation) = operation else { return Err(ApiError::unprocessable()) };
        let mut steps = Steps::of(operation);
        while let Some(step) = steps.next(tree) {
            match with_members_that_are_missing(&step, tree) {
                Missing::Nowhere => carry_out_one(&step, tree, &mut spent)?,
                Missing::Instead(add) => carry_out_one(&PatchOperation::Add(add), tree, &mut spent)?,
                Missing::AsWanted => {}
            }
        }
    }
    Ok(())
}

/// What becomes of an operation because of a member that its object does not have.
enum Missing {
    /// It is as it is.
    Nowhere,
    /// Another is carried out.
    Instead(AddOperation),
    /// Nothing is to be done.
    AsWanted,
}

/// To upstream a member that an object does not have is null: it can be replaced, copied and tested, but not removed.
fn with_members_that_are_missing(operation: &PatchOperation, tree: &Value) -> Missing {
    let is_missing = |place: &Pointer| {
        let (parent, last) = place.split_back()?;
        let members = tree.pointer(parent.as_str())?.as_object()?;
        Some(!members.contains_key(last.decoded().as_ref()))
    };
    let is_missing = |place: &Pointer| is_missing(place).unwrap_or(false);
    match operation {
        PatchOperation::Replace(replace) if is_missing(&replace.path) => {
            Missing::Instead(AddOperation { path: replace.path.clone(), value: replace.value.clone() })
        }
        PatchOperation::Copy(copy) if is_missing(&copy.from) => {
            Missing::Instead(AddOperation { path: copy.path.clone(), value: Value::Null })
        }
        PatchOperation::Test(test) if test.value.is_null() && is_missing(&test.path) => Missing::AsWanted,
        _ => Missing::Nowhere,
    }
}

/// What the operations so far have used up.
struct Spent {
    /// Bytes, by copies.
    copied: usize,
    /// Items of arrays.
    shifted: usize,
    /// Never less than the tree's own depth; moves and copies are counted as if the deepest part were theirs.
    depth: usize,
}

fn carry_out_one(operation: &PatchOperation, tree: &mut Value, spent: &mut Spent) -> Result<(), ApiError> {
    let target = operation.path().count();
    let added = match operation {
        PatchOperation::Add(add) => measure(&add.value, usize::MAX).depth,
        PatchOperation::Replace(replace) => measure(&replace.value, usize::MAX).depth,
        PatchOperation::Copy(copy) => {
            if let Some(source) = tree.pointer(copy.from.as_str()) {
                spent.copied += measure(source, REQUEST_LIMIT).bytes;
            }
            if spent.copied > REQUEST_LIMIT {
                return Err(ApiError::entity_too_large(&format!(
                    "Unable to complete the copy, the accumulated size increase of copy is {}, \
                     exceeding the limit {REQUEST_LIMIT}",
                    spent.copied
                )));
            }
            spent.depth.saturating_sub(copy.from.count())
        }
        PatchOperation::Move(moved) => spent.depth.saturating_sub(moved.from.count()),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => 0,
    };
    if target + added > DEEPEST {
        return Err(ApiError::unprocessable());
    }
    spent.depth = spent.depth.max(target + added);
    spent.shifted += shifts(operation, tree);
    if spent.shifted > MOST_SHIFTED {
        return Err(ApiError::entity_too_large(&format!(
            "Unable to complete the patch, its operations move {} items of arrays, exceeding the limit {MOST_SHIFTED}",
            spent.shifted
        )));
    }
    json_patch::patch_unsafe(tree, std::slice::from_ref(operation)).map_err(|_| ApiError::unprocessable())
}

/// How many items move when an operation puts one into an array, or takes one out. What does not fit the tree moves none.
fn shifts(operation: &PatchOperation, tree: &Value) -> usize {
    let behind = |place: &Pointer| {
        let (parent, last) = place.split_back()?;
        let items = tree.pointer(parent.as_str())?.as_array()?.len();
        Some(last.decoded().parse().map_or(0, |index: usize| items.saturating_sub(index)))
    };
    let places: [Option<&Pointer>; 2] = match operation {
        PatchOperation::Add(add) => [Some(&add.path), None],
        PatchOperation::Remove(remove) => [Some(&remove.path), None],
        PatchOperation::Copy(copy) => [Some(&copy.path), None],
        PatchOperation::Move(moved) => [Some(&moved.from), Some(&moved.path)],
        PatchOperation::Replace(_) | PatchOperation::Test(_) => [None, None],
    };
    places.into_iter().flatten().filter_map(behind).sum()
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Measure {
    /// About what it takes as text.
    bytes: usize,
    /// Steps from the value to its deepest member.
    depth: usize,
}

/// Looks at a value without recursion, and stops when it is larger than `enough`.
fn measure(value: &Value, enough: usize) -> Measure {
    let mut measure = Measure::default();
    let mut waiting = vec![(value, 0)];
    while let Some((value, depth)) = waiting.pop() {
        measure.depth = measure.depth.max(depth);
        measure.bytes += match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 4,
            Value::String(text) => text.len() + 2,
            Value::Array(items) => {
                waiting.extend(items.iter().map(|item| (item, depth + 1)));
                items.len() + 2
            }
            Value::Object(members) => {
                waiting.extend(members.values().map(|member| (member, depth + 1)));
                members.keys().map(|name| name.len() + 4).sum::<usize>() + 2
            }
        };
        if measure.bytes > enough {
            break;
        }
    }
    measure
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome(operations: &Value, tree: &Value) -> Result<Value, u16> {
        let items = operations.as_array().unwrap();
        let patch: Vec<JsonOperation> = items.iter().map(|item| JsonOperation::read(item).unwrap()).collect();
        let mut tree = tree.clone();
        carry_out(&patch, &mut tree).map(|()| tree).map_err(|error| error.code().as_u16())
    }

    #[test]
    fn operations_do_what_they_say_in_their_order() {
        let operations = json!([
            {"op": "add", "path": "/b", "value": [1]},
            {"op": "copy", "from": "/b", "path": "/c"},
            {"op": "move", "from": "/a", "path": "/b/-"},
            {"op": "test", "path": "/b", "value": [1, "x"]},
            {"op": "replace", "path": "/c/0", "value": 2},
            {"op": "remove", "path": "/b/0"},
        ]);
        assert_eq!(outcome(&operations, &json!({"a": "x"})), Ok(json!({"b": ["x"], "c": [2]})));
        assert_eq!(outcome(&json!([{"op": "test", "path": "/a", "value": 1}]), &json!({"a": 2})), Err(422));
    }

    #[test]
    fn a_member_that_is_missing_is_null_but_cannot_be_removed() {
        let tree = json!({"a": {}, "list": [1]});
        for (operation, wanted) in [
            (json!({"op": "replace", "path": "/a/x", "value": 1}), Ok(json!({"a": {"x": 1}, "list": [1]}))),
            (json!({"op": "replace", "path": "/b/x", "value": 1}), Err(422)),
            (json!({"op": "replace", "path": "/list/1", "value": 1}), Err(422)),
            (
                json!({"op": "copy", "from": "/a/x", "path": "/y"}),
                Ok(json!({"a": {}, "list": [1], "y": null})),
            ),
            (json!({"op": "copy", "from": "/b/x", "path": "/y"}), Err(422)),
            (json!({"op": "move", "from": "/a/x", "path": "/y"}), Err(422)),
            (json!({"op": "remove", "path": "/a/x"}), Err(422)),
            (json!({"op": "test", "path": "/a/x", "value": null}), Ok(tree.clone())),
            (json!({"op": "test", "path": "/a/x"}), Ok(tree.clone())),
            (json!({"op": "test", "path": "/a/x", "value": 1}), Err(422)),
            (json!({"op": "test", "path": "/list/5", "value": null}), Err(422)),
            (json!({"op": "add", "path": "/a/x"}), Ok(json!({"a": {"x": null}, "list": [1]}))),
            (json!({"op": "zork", "path": "/a/x"}), Err(422)),
        ] {
            assert_eq!(outcome(&json!([operation]), &tree), wanted, "{operation}");
        }
    }

    #[test]
    fn places_are_counted_from_the_end_too() {
        let tree = json!({"a": [1, 2, 3], "b": [{"c": [4, 5]}], "-1": {"x": 1}});
        let (a, b) = ("/a", "/b");
        for (operation, wanted) in [
            (json!({"op": "add", "path": "/a/-1", "value": 9}), Ok((a, json!([1, 2, 3, 9])))),
            (json!({"op": "add", "path": "/a/-2", "value": 9}), Ok((a, json!([1, 2, 9, 3])))),
            (json!({"op": "add", "path": "/a/-4", "value": 9}), Ok((a, json!([9, 1, 2, 3])))),
            (json!({"op": "add", "path": "/a/-5", "value": 9}), Err(422)),
            (json!({"op": "add", "path": "/a/-0", "value": 9}), Ok((a, json!([9, 1, 2, 3])))),
            (json!({"op": "add", "path": "/a/+1", "value": 9}), Ok((a, json!([1, 9, 2, 3])))),
            (json!({"op": "add", "path": "/a/01", "value": 9}), Ok((a, json!([1, 9, 2, 3])))),
            (json!({"op": "add", "path": "/a/--1", "value": 9}), Err(422)),
            (json!({"op": "remove", "path": "/a/-1"}), Ok((a, json!([1, 2])))),
            (json!({"op": "remove", "path": "/a/-3"}), Ok((a, json!([2, 3])))),
            (json!({"op": "remove", "path": "/a/-4"}), Err(422)),
            (json!({"op": "replace", "path": "/a/-1", "value": 9}), Ok((a, json!([1, 2, 9])))),
            (json!({"op": "replace", "path": "/a/-4", "value": 9}), Err(422)),
            (json!({"op": "test", "path": "/a/-1", "value": 3}), Ok((a, json!([1, 2, 3])))),
            (json!({"op": "test", "path": "/a/-1", "value": 2}), Err(422)),
            (json!({"op": "replace", "path": "/b/-1/c/-2", "value": 9}), Ok((b, json!([{"c": [9, 5]}])))),
            (json!({"op": "copy", "from": "/a/-3", "path": "/a/-1"}), Ok((a, json!([1, 2, 3, 1])))),
            // The place is counted once the value is gone from where it was.
            (json!({"op": "move", "from": "/a/0", "path": "/a/-1"}), Ok((a, json!([2, 3, 1])))),
            (json!({"op": "move", "from": "/a/-1", "path": "/a/-3"}), Ok((a, json!([3, 1, 2])))),
            (json!({"op": "move", "from": "/a/-1", "path": "/a/-4"}), Err(422)),
            // Of an object it is a name like any other.
            (json!({"op": "replace", "path": "/-1/x", "value": 2}), Ok(("/-1", json!({"x": 2})))),
        ] {
            let found = outcome(&json!([operation]), &tree);
            match wanted {
                Ok((place, wanted)) => {
                    assert_eq!(found.unwrap().pointer(place), Some(&wanted), "{operation}");
                }
                Err(code) => assert_eq!(found, Err(code), "{operation}"),
            }
        }
    }

    #[test]
    fn copies_of_copies_are_stopped_before_memory_is() {
        let double = |number: usize| json!({"op": "copy", "from": "/a", "path": format!("/a/x{number}")});
        let operations: Vec<Value> = (0..40).map(double).collect();
        assert_eq!(outcome(&json!(operations), &json!({"a": {}})), Err(413));
    }

    #[test]
    fn no_tree_becomes_deeper_than_a_body_may_be() {
        let mut path = "/a".to_owned();
        let mut copies = Vec::new();
        for _ in 0..16 {
            let target = format!("{path}/a");
            copies.push(json!({"op": "copy", "from": "/a", "path": target}));
            path = path.repeat(2);
        }
        assert!(outcome(&json!(copies[..6]), &json!({"a": {}})).is_ok());
        assert_eq!(outcome(&json!(copies), &json!({"a": {}})), Err(422));
        let nested = |steps: usize| (0..steps).fold(json!({}), |inner, _| json!({"a": inner}));
        let add = |path: String| json!([{"op": "add", "path": path, "value": nested(100)}]);
        assert!(outcome(&add(format!("{}/b", "/a".repeat(90))), &nested(100)).is_ok());
        assert_eq!(outcome(&add(format!("{}/b", "/a".repeat(100))), &nested(100)), Err(422));
    }

    #[test]
    fn a_million_items_are_not_moved_ten_thousand_times() {
        let tree = json!({"a": vec![0; 1_000_000]});
        let many = |operation: Value| json!(vec![operation; 10_000]);
        for operation in [
            json!({"op": "add", "path": "/a/0", "value": 1}),
            json!({"op": "remove", "path": "/a/0"}),
            json!({"op": "copy", "from": "/a/1", "path": "/a/1"}),
            json!({"op": "move", "from": "/a/0", "path": "/a/999999"}),
            json!({"op": "move", "from": "/a/999999", "path": "/a/0"}),
        ] {
            assert_eq!(outcome(&many(operation.clone()), &tree), Err(413), "{operation}");
            let few = json!(vec![operation; 10]);
            assert!(outcome(&few, &tree).is_ok());
        }
        let end = many(json!({"op": "add", "path": "/a/-", "value": 1}));
        assert_eq!(outcome(&end, &tree).unwrap()["a"].as_array().map(Vec::len), Some(1_010_000));
        let small = many(json!({"op": "move", "from": "/a/0", "path": "/a/99"}));
        assert!(outcome(&small, &json!({"a": vec![0; 100]})).is_ok());
    }

    #[test]
    fn a_value_is_measured_to_its_deepest_member() {
        assert_eq!(measure(&json!([]), 10), Measure { bytes: 2, depth: 0 });
        assert_eq!(measure(&json!({"a": ["xy", {}]}), 100).depth, 2);
        assert!(measure(&json!(["x".repeat(50), "y"]), 10).bytes < 60);
    }
}
