//! YAML bodies as JSON, the way Go's clients mean them, and answers as YAML.
//!
//! What a plain scalar is follows YAML 1.1, as in Go: `yes` is true, `0755` is octal. A key that stands in a mapping more than
//! once counts the last time, and is told as a fault of strict decoding.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Spanned, alias_limits};

use crate::status::ApiError;

/// A document as JSON.
pub(crate) struct FromYaml {
    pub(crate) json: Bytes,
    /// What strict decoding says of keys that stand there more than once.
    pub(crate) repeated: Option<String>,
}

/// The most repeated keys that are told of.
const MOST_FAULTS: usize = 100;

/// Reads a body of one document. Go takes the first of several and says nothing of the others; here they are refused.
pub(crate) fn to_json(bytes: &[u8]) -> Result<FromYaml, ApiError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| ApiError::bad_request("error converting YAML to JSON: the body is not UTF-8"))?;
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        legacy_octal_numbers: true,
        // A small body shall not become a large one.
        alias_limits: alias_limits! { max_total_replayed_events: 100_000 },
    };
    let faults = RefCell::new(Vec::new());
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        Node { faults: &faults }.deserialize(deserializer)
    });
    // The reader's own message quotes the line at fault, which may hold a token.
    let value = read.map_err(|error| {
        let place = error.location().map(|place| format!("line {}, column {}", place.line(), place.column()));
        let place = place.unwrap_or_else(|| "an unknown place".to_owned());
        ApiError::bad_request(format!("error converting YAML to JSON: yaml: a fault at {place}"))
    })?;
    let faults = faults.into_inner();
    let repeated =
        (!faults.is_empty()).then(|| format!("yaml: unmarshal errors:\n  {}", faults.join("\n  ")));
    Ok(FromYaml { json: value.to_string().into(), repeated })
}

/// An answer as YAML, which readers of YAML 1.1 and 1.2 understand alike.
pub(crate) fn of_json(json: &[u8]) -> Result<Bytes, ApiError> {
    let value: Value =
        serde_json::from_slice(json).map_err(|_| ApiError::internal("a response that is not JSON"))?;
    let yaml = serde_saphyr::to_string(&value)
        .map_err(|_| ApiError::internal("a response that YAML cannot write"))?;
    Ok(yaml.into())
}

/// Reads any value, and collects the keys that are repeated.
#[derive(Clone, Copy)]
struct Node<'f> {
    faults: &'f RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let mut repeated = HashSet::new();
        while let Some(key) = members.next_key::<Key>()? {
            let Key(Spanned { value: key, defined, .. }) = key;
            let value = members.next_value_seed(self)?;
            let mut faults = self.faults.borrow_mut();
            if map.contains_key(&key) && faults.len() < MOST_FAULTS && repeated.insert(key.clone()) {
                faults.push(format!("line {}: key {key:?} already set in map", defined.line()));
            }
            drop(faults);
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// A key, whatever plain scalar it is, and where it stands.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key(Spanned<String>);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Value {
        serde_json::from_slice(&to_json(text.as_bytes()).unwrap().json).unwrap()
    }

    #[test]
    fn scalars_are_what_go_takes_them_for() {
        let rows = [
            ("yes", json!(true)),
            ("off", json!(false)),
            ("'yes'", json!("yes")),
            ("~", json!(null)),
            ("", json!(null)),
            ("null", json!(null)),
            ("0755", json!(493)),
            ("0x1F", json!(31)),
            ("12", json!(12)),
            ("-7", json!(-7)),
            ("1.5", json!(1.5)),
            ("1.35.0", json!("1.35.0")),
            ("2026-01-02T03:04:05Z", json!("2026-01-02T03:04:05Z")),
            ("{a: [1, b], 7: c}", json!({"a": [1, "b"], "7": "c"})),
            ("a: |\n  x\n  y\n", json!({"a": "x\ny\n"})),
            ("a: &x {b: 1}\nc: *x\n", json!({"a": {"b": 1}, "c": {"b": 1}})),
            (
                "a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\n",
                json!({"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
            ),
        ];
        for (text, wanted) in rows {
            assert_eq!(read(text), wanted, "{text}");
        }
    }

    #[test]
    fn repeated_keys_are_told_with_their_lines() {
        let text = "spec:\n  podInfoOnMount: true\n  podInfoOnMount: false\nkind: A\nkind: B\nkind: C\n";
        let read = to_json(text.as_bytes()).unwrap();
        assert_eq!(&read.json[..], br#"{"kind":"C","spec":{"podInfoOnMount":false}}"#);
        let wanted = "yaml: unmarshal errors:\n  line 3: key \"podInfoOnMount\" already set in map\n  \
                      line 5: key \"kind\" already set in map";
        assert_eq!(read.repeated.as_deref(), Some(wanted));
        assert_eq!(to_json(b"a: 1\nb: {a: 1}\n").unwrap().repeated, None);
    }

    #[test]
    fn faults_are_told_by_their_place_alone() {
        for text in [
            "a: [canary",
            "canary: {a: b",
            "a: 'canary",
            "[canary] ]",
            "a: 1\n---\na: canary",
            "a: *canary",
            "? [canary]\n: 1",
        ] {
            let Err(error) = to_json(text.as_bytes()) else { panic!("{text} is taken") };
            assert_eq!(error.code(), 400);
            assert!(
                error.to_string().starts_with("error converting YAML to JSON: yaml: a fault at line "),
                "{error}"
            );
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        assert!(to_json(b"a: \xff").is_err());
    }

    #[test]
    fn what_multiplies_and_what_is_deep_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let last = format!("*a{}, ", level - 1).repeat(10);
            bomb.push_str(&format!("a{level}: &a{level} [{last}]\n"));
        }
        assert!(to_json(bomb.as_bytes()).is_err());
        assert!(to_json("[".repeat(100_000).as_bytes()).is_err());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            Just("yes".to_owned()),
            Just("0755".to_owned()),
            Just("2026-01-02".to_owned()),
            Just("12:30".to_owned()),
            Just("- a: b # c".to_owned()),
            "[ -~\n\t]{0,100}",
            any::<String>(),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(text.clone(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in any_json()) {
            let yaml = of_json(value.to_string().as_bytes()).unwrap();
            prop_assert_eq!(read(std::str::from_utf8(&yaml).unwrap()), value);
        }

        #[test]
        fn arbitrary_text_never_panics(text: String) {
            let _ = to_json(text.as_bytes());
        }
    }
}
