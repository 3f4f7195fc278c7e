//! How the JSON of an answer is laid out: in one line for programs, indented for people.
//!
//! People are who says so, and who comes with a tool for people: curl, Wget, a browser. Only what is sent at once is laid
//! out; the events of a watch are lines in any case.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{ACCEPT, USER_AGENT};

/// How JSON is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// In one line, with its end.
    Line,
    /// A member a line, indented by two spaces for each level. Upstream ends no line after it.
    Indented,
}

impl Layout {
    /// What a client gets; `pretty` is the query's parameter, which counts more than who the client is.
    pub(crate) fn asked(headers: &HeaderMap, pretty: Option<&str>) -> Self {
        let is_indented = match pretty {
            // What Go reads as true.
            Some(text) => matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True"),
            None => is_for_people(headers) || accepts_pretty(headers),
        };
        if is_indented { Self::Indented } else { Self::Line }
    }

    /// Lays out JSON that has no space in it but in texts.
    pub(crate) fn lay_out(self, json: &[u8]) -> Bytes {
        match self {
            Self::Line => {
                let mut line = Vec::with_capacity(json.len() + 1);
                line.extend_from_slice(json);
                line.push(b'\n');
                line.into()
            }
            Self::Indented => indented(json).into(),
        }
    }
}

fn is_for_people(headers: &HeaderMap) -> bool {
    const TOOLS: [&[u8]; 3] = [b"curl", b"Wget", b"Mozilla/5.0"];
    let agent = headers.get(USER_AGENT).map_or(&b""[..], |value| value.as_bytes());
    TOOLS.iter().any(|tool| agent.starts_with(tool))
}

fn accepts_pretty(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split([',', ';'])).any(|parameter| parameter.trim() == "pretty=1")
}

fn indented(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 3 / 2);
    let mut depth = 0_usize;
    let mut rest = json;
    let new_line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => {
                let (text, after) = rest.split_at(end_of_text(rest));
                out.push(b'"');
                out.extend_from_slice(text);
                rest = after;
            }
            b'{' | b'[' => {
                out.push(byte);
                if matches!(rest.first(), Some(b'}' | b']')) {
                    out.push(rest[0]);
                    rest = &rest[1..];
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                new_line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            other => out.push(other),
        }
    }
    out
}

/// Where a text ends that has begun, its closing quote included.
fn end_of_text(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn people_get_it_indented() {
        let none = HeaderMap::new();
        let with = |name: HeaderName, value: &'static str| {
            HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
        };
        for (headers, pretty, expected) in [
            (&none, None, Layout::Line),
            (&none, Some("true"), Layout::Indented),
            (&none, Some("1"), Layout::Indented),
            (&none, Some("yes"), Layout::Line),
            (&with(USER_AGENT, "curl/8.5.0"), None, Layout::Indented),
            (&with(USER_AGENT, "curl/8.5.0"), Some("false"), Layout::Line),
            (&with(USER_AGENT, "Wget/1.21"), None, Layout::Indented),
            (&with(USER_AGENT, "Mozilla/5.0 (X11)"), None, Layout::Indented),
            (&with(USER_AGENT, "kubectl/v1.35.0 (linux/amd64)"), None, Layout::Line),
            (&with(ACCEPT, "application/json; pretty=1"), None, Layout::Indented),
            (&with(ACCEPT, "application/json;pretty=0"), None, Layout::Line),
        ] {
            assert_eq!(Layout::asked(headers, pretty), expected, "{headers:?} {pretty:?}");
        }
    }

    #[test]
    fn a_line_has_an_end() {
        assert_eq!(&Layout::Line.lay_out(b"{}")[..], b"{}\n");
        let object = json!({"a": {}, "b": [], "c": ["{\"\\", {"d": null}]});
        let text = "{\n  \"a\": {},\n  \"b\": [],\n  \"c\": [\n    \"{\\\"\\\\\",\n    {\n      \"d\": null\n    }\n  ]\n}";
        assert_eq!(std::str::from_utf8(&Layout::Indented.lay_out(object.to_string().as_bytes())), Ok(text));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[\\\\\"{}:,\\[\\]]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 64, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn indenting_is_what_a_writer_of_values_does(value in value()) {
            let expected = serde_json::to_vec_pretty(&value).expect("a value");
            prop_assert_eq!(indented(value.to_string().as_bytes()), expected);
        }

        #[test]
        fn what_is_no_json_does_no_harm(text in "[\\\\\"{}:,\\[\\]a]{0,40}") {
            indented(text.as_bytes());
        }
    }
}
