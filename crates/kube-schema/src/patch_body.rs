//! The body of a patch: any JSON, and what it says more than once.

use std::collections::HashSet;

use serde_json::Value;

use crate::json::Node;

/// A patch as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchBody {
    /// The JSON; of members that stand there more than once, the last.
    pub value: Value,
    /// The members that stand there more than once, as strict decoding words it: `duplicate field "spec.x"`. At most 100.
    pub duplicate: Vec<String>,
}

/// The most faults that strict decoding names.
const MOST_FAULTS: usize = 100;

/// Reads the body of a patch.
///
/// # Errors
/// Go's words for a body that is no JSON; at most one character of it is quoted.
pub fn read_patch(body: &[u8]) -> Result<PatchBody, String> {
    let text = String::from_utf8_lossy(body);
    let node = Node::parse(&text)?;
    let mut duplicate = Vec::new();
    find_duplicates(&node, &mut String::new(), &mut duplicate);
    Ok(PatchBody { value: node.to_value(), duplicate })
}

fn find_duplicates(node: &Node<'_>, path: &mut String, found: &mut Vec<String>) {
    let before = path.len();
    match node {
        Node::Object(members) => {
            let mut seen = HashSet::new();
            for (name, member) in members {
                if before > 0 {
                    path.push('.');
                }
                path.push_str(name);
                if !seen.insert(name.as_ref()) && found.len() < MOST_FAULTS {
                    found.push(format!("duplicate field {path:?}"));
                }
                find_duplicates(member, path, found);
                path.truncate(before);
            }
        }
        Node::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                find_duplicates(item, path, found);
                path.truncate(before);
            }
        }
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn repeats_are_named_and_the_last_counts() {
        let body = read_patch(br#"{"a":{"b":1,"b":2},"c":[{"d":1,"d":1}],"a":3}"#).expect("JSON");
        assert_eq!(body.value, json!({"a": 3, "c": [{"d": 1}]}));
        assert_eq!(
            body.duplicate,
            [r#"duplicate field "a.b""#, r#"duplicate field "c[0].d""#, r#"duplicate field "a""#]
        );
    }

    #[test]
    fn what_is_no_json_is_told_in_gos_words() {
        assert_eq!(read_patch(b"").expect_err("empty"), "unexpected end of JSON input");
        assert!(read_patch(b"{\"a\": eyJ").expect_err("no value").contains("looking for beginning of value"));
    }
}
