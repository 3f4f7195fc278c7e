//! Whether an answer agrees with a recorded one, in which whatever differs from run to run is a placeholder.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::unserved::SUBRESOURCES;

/// What earlier answers held, by name.
pub(crate) type Captures = BTreeMap<String, Value>;

/// Puts what was captured into a text. The error names what was not captured: the step that would have is not served.
pub(crate) fn fill(text: &str, captures: &Captures) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or("an unclosed ${")?;
        let value = captures.get(name).ok_or_else(|| format!("{name} was never captured"))?;
        filled.push_str(before);
        match value {
            Value::String(text) => filled.push_str(text),
            other => filled.push_str(&other.to_string()),
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The same in every text of a value.
pub(crate) fn fill_value(value: &Value, captures: &Captures) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => fill(text, captures)?.into(),
        Value::Array(items) => {
            items.iter().map(|item| fill_value(item, captures)).collect::<Result<_, _>>()?
        }
        Value::Object(members) => {
            let filled = members.iter().map(|(name, value)| Ok((name.clone(), fill_value(value, captures)?)));
            Value::Object(filled.collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    })
}

/// Where two bodies differ.
pub(crate) fn bodies(expected: &Value, found: &Value, contains: bool) -> Vec<String> {
    let found = &without_own_columns(without_what_was_looked_at(found.clone()));
    let mut differences = Vec::new();
    let expected = &without_unserved(expected.clone());
    if without_unserved(found.clone()) != *found {
        differences.push(
            "a subresource is served, though it is listed as not served: take it off the list".to_owned(),
        );
    }
    if contains {
        match (expected, found) {
            (Value::Array(lines), Value::String(text)) => {
                for line in lines.iter().filter_map(Value::as_str) {
                    if !text.lines().any(|own| own == line) {
                        differences.push(format!("wanted the line {line}"));
                    }
                }
            }
            _ => included("", expected, found, &mut differences),
        }
    } else {
        equal("", expected, found, &mut differences);
    }
    differences
}

/// Beyond upstream, the refusal of an audience says in its causes which volumes, claims and drivers were looked at.
fn without_what_was_looked_at(mut found: Value) -> Value {
    let is_added = |causes: &Value| {
        let causes = causes.as_array().map_or(&[][..], Vec::as_slice);
        !causes.is_empty() && causes.iter().all(|cause| cause["reason"] == "AudienceNotFound")
    };
    if let Some(details) = found.get_mut("details").and_then(Value::as_object_mut)
        && details.get("causes").is_some_and(is_added)
    {
        details.remove("causes");
    }
    found
}

/// What discovery tells in one document, without the subresources that are not served.
fn without_unserved(mut discovery: Value) -> Value {
    if discovery["kind"] != "APIGroupDiscoveryList" {
        return discovery;
    }
    let groups = discovery["items"].as_array_mut().into_iter().flatten();
    let versions = groups.flat_map(|group| group["versions"].as_array_mut().into_iter().flatten());
    for resource in versions.flat_map(|version| version["resources"].as_array_mut().into_iter().flatten()) {
        let name = resource["resource"].as_str().unwrap_or_default().to_owned();
        let is_served = |below: &Value| {
            !SUBRESOURCES.iter().any(|(of, unserved)| *of == name && below["subresource"] == *unserved)
        };
        if let Some(subresources) = resource.get_mut("subresources").and_then(Value::as_array_mut) {
            subresources.retain(is_served);
        }
    }
    discovery
}

/// The columns that upstream does not have, each with its reason.
const OWN_COLUMNS: [&str; 1] = [
    // KEP-5538 tells operators to look at `kubectl get csidriver`, and upstream shows nothing there.
    "TokenPlacement",
];

/// A table as upstream has it, and as it is recorded: without our own columns, and without what columns mean.
fn without_own_columns(mut table: Value) -> Value {
    let Some(columns) = table.get_mut("columnDefinitions").and_then(Value::as_array_mut) else {
        return table;
    };
    let is_kept: Vec<bool> =
        columns.iter().map(|column| !OWN_COLUMNS.iter().any(|own| column["name"] == *own)).collect();
    let keep = |items: &mut Vec<Value>| {
        let mut is_kept = is_kept.iter();
        items.retain(|_| is_kept.next().copied().unwrap_or(true));
    };
    keep(columns);
    for column in columns {
        column.as_object_mut().and_then(|column| column.remove("description"));
    }
    for row in table["rows"].as_array_mut().into_iter().flatten() {
        if let Some(cells) = row["cells"].as_array_mut() {
            keep(cells);
        }
    }
    table
}

fn equal(path: &str, expected: &Value, found: &Value, differences: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(wanted), Value::String(token)) if wanted.contains_key("<jwt>") => {
            match decoded(token) {
                Some(decoded) => equal(path, &wanted["<jwt>"], &decoded, differences),
                None => differences.push(format!("{path}: wanted a token")),
            }
        }
        (Value::Object(wanted), Value::Object(own)) => {
            for (name, value) in wanted {
                match own.get(name) {
                    Some(own) => equal(&format!("{path}/{name}"), value, own, differences),
                    None => differences.push(format!("{path}/{name}: wanted {value}, found nothing")),
                }
            }
            for name in own.keys().filter(|name| !wanted.contains_key(*name)) {
                differences.push(format!("{path}/{name}: wanted nothing, found {}", own[name]));
            }
        }
        (Value::Array(wanted), Value::Array(own)) => {
            if wanted.len() != own.len() {
                differences.push(format!(
                    "{path}: wanted {} items, found {}: {found}",
                    wanted.len(),
                    own.len()
                ));
            }
            for (number, (wanted, own)) in wanted.iter().zip(own).enumerate() {
                equal(&format!("{path}/{number}"), wanted, own, differences);
            }
        }
        (Value::String(pattern), Value::String(text)) if fits(pattern, text) => {}
        // Two writers of YAML need not quote the same texts.
        (Value::String(wanted), Value::String(own)) if wanted.starts_with("apiVersion: ") => {
            match (serde_saphyr::from_str::<Value>(wanted), serde_saphyr::from_str::<Value>(own)) {
                (Ok(wanted), Ok(own)) => equal(path, &wanted, &own, differences),
                _ => differences.push(format!("{path}: wanted YAML, found {own}")),
            }
        }
        (Value::String(pattern), Value::Number(number)) if pattern == "<epoch>" && number.is_i64() => {}
        (wanted, own) if wanted == own => {}
        (wanted, own) => differences.push(format!("{path}: wanted {wanted}, found {own}")),
    }
}

/// Everything expected must be there; what else is there does not matter.
fn included(path: &str, expected: &Value, found: &Value, differences: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(wanted), Value::Object(own)) => {
            for (name, value) in wanted {
                match own.get(name) {
                    Some(own) => included(&format!("{path}/{name}"), value, own, differences),
                    None => differences.push(format!("{path}/{name}: wanted {value}, found nothing")),
                }
            }
        }
        (Value::Array(wanted), Value::Array(own)) => {
            for (number, item) in wanted.iter().enumerate() {
                let closest = own
                    .iter()
                    .map(|own| {
                        let mut differences = Vec::new();
                        included(&format!("{path}/{number}"), item, own, &mut differences);
                        differences
                    })
                    .min_by_key(Vec::len);
                differences.extend(closest.unwrap_or_else(|| vec![format!("{path}: wanted {item}")]));
            }
        }
        (wanted, own) => equal(path, wanted, own, differences),
    }
}

/// A token's header and claims, its times made relative to its issue as the recording has them.
fn decoded(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let mut part = || -> Option<Map<String, Value>> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next()?).ok()?).ok()
    };
    let (header, mut claims) = (part()?, part()?);
    let issued = claims.get("iat")?.as_i64()?;
    let lifetime = claims.get("exp")?.as_i64()? - issued;
    claims.insert("exp".to_owned(), format!("<iat+{lifetime}>").into());
    Some(json!({"header": header, "claims": claims}))
}

/// Whether a text fits a pattern: literal but for placeholders.
fn fits(pattern: &str, text: &str) -> bool {
    // From here on, upstream prints the difference of two Go structures.
    let pattern = pattern.split("\n@@ ").next().unwrap_or(pattern);
    let placeholder =
        PLACEHOLDERS.iter().filter_map(|(name, length)| Some((pattern.find(name)?, *name, length)));
    let Some((at, name, length)) = placeholder.min_by_key(|(at, ..)| *at) else {
        return pattern == text;
    };
    let (before, after) = (&pattern[..at], &pattern[at + name.len()..]);
    let Some(rest) = text.strip_prefix(before) else { return false };
    length(rest).is_some_and(|length| length > 0 && rest.get(length..).is_some_and(|rest| fits(after, rest)))
}

/// How many bytes at a text's start are what the placeholder stands for.
type Length = fn(&str) -> Option<usize>;

static PLACEHOLDERS: &[(&str, Length)] = &[
    ("<time>", |text| {
        let end = text.find('Z')? + 1;
        text[..end].parse::<jiff::Timestamp>().ok().map(|_| end)
    }),
    ("<uuid>", |text| uuid::Uuid::try_parse(text.get(..36)?).ok().map(|_| 36)),
    ("<rv>", |text| run(text, |byte| byte.is_ascii_digit())),
    ("<age>", |text| {
        run(text, |byte| byte.is_ascii_digit()).filter(|end| text[*end..].starts_with('s')).map(|end| end + 1)
    }),
    ("<random>", |text| {
        run(text, |byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte)).filter(|end| *end == 5)
    }),
    ("<continue>", |text| run(text, is_base64url)),
    ("<kid>", |text| run(text, is_base64url).filter(|end| *end == 43)),
    ("<key>", |text| run(text, is_base64url).filter(|end| *end > 300)),
    ("<server>", |text| run(text, |byte| byte != b'/')),
];

fn run(text: &str, belongs: impl Fn(u8) -> bool) -> Option<usize> {
    Some(text.bytes().take_while(|byte| belongs(*byte)).count())
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[test]
fn patterns_fit_what_they_stand_for_and_nothing_else() {
    let table = [
        ("JTI=<uuid>", "JTI=6a1f3f8e-8f5e-4c59-9c58-0d0f7a3c9b11", true),
        ("JTI=<uuid>", "JTI=6a1f3f8e", false),
        ("<time>", "2026-03-01T12:00:00Z", true),
        ("<time>", "later", false),
        ("current: <rv>", "current: 12", true),
        ("current: <rv>", "current: ", false),
        ("a-<random>", "a-bcdf2", true),
        ("a-<random>", "a-aeiou", false),
        ("https://<server>/x", "https://host:1/x", true),
        ("fixed\n@@ -1 +1 @@\n- \"NodeName\"", "fixed", true),
        ("fixed\n@@ -1 +1 @@\n- \"NodeName\"", "fix", false),
        ("plain", "plain", true),
        ("plain", "plainer", false),
    ];
    for (pattern, text, expected) in table {
        assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn a_difference_is_found_wherever_it_is() {
    let recorded = json!({"a": [{"b": "<uuid>"}], "metadata": {}});
    let same = json!({"a": [{"b": "6a1f3f8e-8f5e-4c59-9c58-0d0f7a3c9b11"}], "metadata": {}});
    assert!(bodies(&recorded, &same, false).is_empty());
    for other in
        [json!({}), json!({"a": [], "metadata": {}}), json!({"a": [{"b": 1}], "metadata": {}, "c": 1})]
    {
        assert!(!bodies(&recorded, &other, false).is_empty(), "{other}");
    }
    assert!(bodies(&json!({"a": [1]}), &json!({"a": [2, 1], "b": 3}), true).is_empty());
    assert!(!bodies(&json!({"a": [1]}), &json!({"a": [2]}), true).is_empty());
}

#[test]
fn of_a_table_only_what_upstream_has_is_compared() {
    let found = json!({
        "columnDefinitions": [{"name": "Name", "description": "a"}, {"name": "TokenPlacement"}],
        "rows": [{"cells": ["d", "secrets"]}],
    });
    let recorded = json!({"columnDefinitions": [{"name": "Name"}], "rows": [{"cells": ["d"]}]});
    assert!(bodies(&recorded, &found, false).is_empty());
    let other = json!({"columnDefinitions": [{"name": "Name"}], "rows": [{"cells": ["e"]}]});
    assert!(!bodies(&other, &found, false).is_empty());
}
