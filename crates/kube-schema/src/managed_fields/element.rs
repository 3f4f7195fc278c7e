//! One step of a path: a member of an object, or an item of a list, as `fieldsV1` writes it.
//!
//! `f:name` is a member, `v:"x"` an item that is its own key, `k:{"name":"x"}` an item found by its keys, `i:0` an item found
//! by its place. Steps are kept in this form, with keys in order and without blanks, so that equal steps are equal texts.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A text that is no step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a step of a path must be f:NAME, v:VALUE, k:KEYS or i:INDEX")]
pub struct BadElement;

/// The member of that name.
pub(super) fn field(name: &str) -> String {
    format!("f:{name}")
}

/// The item that is this value.
pub(super) fn value(value: &Value) -> String {
    format!("v:{value}")
}

/// The item with these keys.
pub(super) fn keys<'k>(keys: impl IntoIterator<Item = (&'k str, Value)>) -> String {
    let mut keys: Vec<(&str, Value)> = keys.into_iter().collect();
    keys.sort_by_key(|(name, _)| *name);
    let mut element = String::from("k:{");
    for (position, (name, value)) in keys.iter().enumerate() {
        let comma = if position > 0 { "," } else { "" };
        // A key's name has nothing that JSON escapes, unless a client made it up.
        let name = Value::from(*name);
        write!(element, "{comma}{name}:{value}").expect("a string takes every text");
    }
    element.push('}');
    element
}

/// Brings a step that a client wrote into the form that all have.
pub(super) fn read(text: &str) -> Result<String, BadElement> {
    let (prefix, rest) = text.split_at_checked(2).ok_or(BadElement)?;
    match prefix {
        "f:" => Ok(text.to_owned()),
        "v:" => Ok(value(&serde_json::from_str(rest).map_err(|_| BadElement)?)),
        "k:" => match serde_json::from_str(rest) {
            Ok(Value::Object(members)) => {
                Ok(keys(members.iter().map(|(name, value)| (name.as_str(), value.clone()))))
            }
            _ => Err(BadElement),
        },
        "i:" => rest.parse::<i64>().map(|index| format!("i:{index}")).map_err(|_| BadElement),
        _ => Err(BadElement),
    }
}

/// A step as errors write it: `.spec`, `[="x"]`, `[name="x"]`, `[0]`.
pub(super) fn show(element: &str, path: &mut String) {
    let (prefix, rest) = element.split_at_checked(2).unwrap_or(("", element));
    match prefix {
        "f:" => path.extend([".", rest]),
        "v:" => path.extend(["[=", rest, "]"]),
        "k:" => {
            let members = serde_json::from_str::<Map<String, Value>>(rest).unwrap_or_default();
            let pairs: Vec<String> = members.iter().map(|(name, value)| format!("{name}={value}")).collect();
            path.extend(["[", &pairs.join(","), "]"]);
        }
        _ => path.extend(["[", rest, "]"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_one_form() {
        let rows = [
            ("f:spec", Ok("f:spec"), ".spec"),
            ("f:a.b/c", Ok("f:a.b/c"), ".a.b/c"),
            (r#"v: "x" "#, Ok(r#"v:"x""#), r#"[="x"]"#),
            (
                r#"k:{"protocol": "TCP","containerPort":80}"#,
                Ok(r#"k:{"containerPort":80,"protocol":"TCP"}"#),
                r#"[containerPort=80,protocol="TCP"]"#,
            ),
            ("i:07", Ok("i:7"), "[7]"),
            ("k:[]", Err(BadElement), ""),
            ("v:", Err(BadElement), ""),
            ("spec", Err(BadElement), ""),
            ("ä", Err(BadElement), ""),
            (".", Err(BadElement), ""),
        ];
        for (text, wanted, shown) in rows {
            let found = read(text);
            assert_eq!(found.as_deref(), wanted.as_deref(), "{text}");
            if let Ok(element) = found {
                let mut path = String::new();
                show(&element, &mut path);
                assert_eq!((path.as_str(), read(&element)), (shown, Ok(element.clone())), "{text}");
            }
        }
    }
}
