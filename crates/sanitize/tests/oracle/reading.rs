//! The rules of the output over a decoded tree, as plainly as they can be put.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use prost_reflect::{DynamicMessage, Kind, MapKey, ReflectMessage as _, Value};
use tokenward_sanitize::STRIPPED;

use crate::is_secret;

pub(crate) fn json(message: &DynamicMessage) -> String {
    let mut shown = BTreeMap::new();
    for field in message.descriptor().fields().filter(|field| message.has_field(field)) {
        let value = message.get_field(&field);
        let text = if is_secret(&field) { quote(STRIPPED) } else { show(&field.kind(), &value) };
        shown.insert(field.name().to_owned(), text);
    }
    object(shown)
}

fn show(kind: &Kind, value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::I32(value) => value.to_string(),
        Value::I64(value) => value.to_string(),
        Value::U32(value) => value.to_string(),
        Value::U64(value) => value.to_string(),
        Value::F32(value) => {
            let is_plain = *value == 0.0 || (value.abs() >= 1e-6 && value.abs() < 1e21);
            float(value.is_finite(), is_plain, value.to_string(), &format!("{value:e}"))
        }
        Value::F64(value) => {
            let is_plain = *value == 0.0 || (value.abs() >= 1e-6 && value.abs() < 1e21);
            float(value.is_finite(), is_plain, value.to_string(), &format!("{value:e}"))
        }
        Value::String(value) => quote(value),
        Value::Bytes(value) => quote(&base64(value)),
        Value::EnumNumber(number) => {
            let Kind::Enum(found) = kind else { unreachable!("an enum's number") };
            found.get_value(*number).map_or_else(|| number.to_string(), |value| quote(value.name()))
        }
        Value::Message(message) => json(message),
        Value::List(values) => {
            let values: Vec<String> = values.iter().map(|value| show(kind, value)).collect();
            format!("[{}]", values.join(","))
        }
        Value::Map(entries) => {
            let Kind::Message(entry) = kind else { unreachable!("maps are lists of entries") };
            let kind = entry.map_entry_value_field().kind();
            object(entries.iter().map(|(key, value)| show_entry(key, value, &kind)).collect())
        }
    }
}

fn show_entry(key: &MapKey, value: &Value, kind: &Kind) -> (String, String) {
    let key = match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    };
    let text = if key.eq_ignore_ascii_case("oracle/tokens") { quote(STRIPPED) } else { show(kind, value) };
    (key, text)
}

fn float(is_finite: bool, is_plain: bool, plain: String, exponent: &str) -> String {
    match (is_finite, is_plain) {
        (false, _) => quote(&plain),
        (true, true) => plain,
        (true, false) => exponent.replace('e', "e+").replace("e+-", "e-"),
    }
}

fn object(entries: BTreeMap<String, String>) -> String {
    let entries: Vec<String> =
        entries.into_iter().map(|(key, value)| format!("{}:{value}", quote(&key))).collect();
    format!("{{{}}}", entries.join(","))
}

fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => write!(quoted, "\\{letter}").unwrap(),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                write!(quoted, "\\u{:04x}", u32::from(letter)).unwrap();
            }
            _ => quoted.push(letter),
        }
    }
    quoted + "\""
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0u32, |group, &byte| group << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let letter = LETTERS[(group >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
