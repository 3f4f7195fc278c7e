//! JSON as Go reads it: members in order and with their repeats, numbers as they are written, faults in Go's words.
//!
//! serde_json keeps none of these three, and its texts quote whole values.

use std::borrow::Cow;

use serde_json::{Map, Value};

#[cfg(test)]
mod tests;

/// A JSON value that borrows from the body or from a tree.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node<'a> {
    Null,
    Bool(bool),
    Number(Cow<'a, str>),
    String(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

/// How deep values may be nested. Go allows 10,000; no Kubernetes type comes near, and we recurse on the stack.
const MAX_DEPTH: usize = 200;

impl<'a> Node<'a> {
    /// Parses a whole body; the error is Go's text, which quotes at most one character.
    pub(crate) fn parse(text: &'a str) -> Result<Self, String> {
        let mut parser = Parser { text, bytes: text.as_bytes(), at: 0 };
        let node = parser.value(0)?;
        parser.skip_blanks();
        match parser.peek() {
            None => Ok(node),
            Some(_) => Err(parser.unexpected("after top-level value")),
        }
    }

    /// Go's word for what the value is.
    pub(crate) const fn found(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// The value as a tree, the last of repeated members kept. A number that fits nowhere is null.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(text) => number(text),
            Self::String(text) => Value::String(text.clone().into_owned()),
            Self::Array(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Self::Object(members) => Value::Object(
                members.iter().map(|(name, member)| (name.clone().into_owned(), member.to_value())).collect(),
            ),
        }
    }

    pub(crate) fn from_map(map: &'a Map<String, Value>) -> Self {
        Self::Object(map.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), value.into())).collect())
    }
}

/// serde_json without its `float_roundtrip` may miss the last bit of a float; the standard library does not.
fn number(text: &str) -> Value {
    match (text.parse::<i64>(), text.parse::<u64>()) {
        (Ok(number), _) => number.into(),
        (_, Ok(number)) => number.into(),
        _ => text.parse::<f64>().map_or(Value::Null, Value::from),
    }
}

impl<'a> From<&'a Value> for Node<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.to_string().into()),
            Value::String(text) => Self::String(Cow::Borrowed(text)),
            Value::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Value::Object(members) => Self::from_map(members),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self, depth: usize) -> Result<Node<'a>, String> {
        if depth > MAX_DEPTH {
            return Err("exceeded max depth".to_owned());
        }
        self.skip_blanks();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Node::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true", Node::Bool(true)),
            Some(b'f') => self.literal("false", Node::Bool(false)),
            Some(b'n') => self.literal("null", Node::Null),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Node<'a>, String> {
        let mut members = Vec::new();
        self.at += 1;
        self.skip_blanks();
        if self.take(b'}') {
            return Ok(Node::Object(members));
        }
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("looking for beginning of object key string"));
            }
            let name = self.string()?;
            self.skip_blanks();
            if !self.take(b':') {
                return Err(self.unexpected("after object key"));
            }
            members.push((name, self.value(depth + 1)?));
            self.skip_blanks();
            if self.take(b'}') {
                return Ok(Node::Object(members));
            }
            if !self.take(b',') {
                return Err(self.unexpected("after object key:value pair"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Node<'a>, String> {
        let mut items = Vec::new();
        self.at += 1;
        self.skip_blanks();
        if self.take(b']') {
            return Ok(Node::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_blanks();
            if self.take(b']') {
                return Ok(Node::Array(items));
            }
            if !self.take(b',') {
                return Err(self.unexpected("after array element"));
            }
        }
    }

    fn literal(&mut self, word: &str, node: Node<'a>) -> Result<Node<'a>, String> {
        for wanted in word.chars() {
            if self.peek().map(char::from) != Some(wanted) {
                return Err(self.unexpected(&format!("in literal {word} (expecting '{wanted}')")));
            }
            self.at += 1;
        }
        Ok(node)
    }

    fn number(&mut self) -> Result<Node<'a>, String> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits("in numeric literal")?;
        }
        if self.take(b'.') {
            self.digits("after decimal point in numeric literal")?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits("in exponent of numeric literal")?;
        }
        Ok(Node::Number(Cow::Borrowed(&self.text[start..self.at])))
    }

    fn digits(&mut self, place: &str) -> Result<(), String> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.unexpected(place)) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, String> {
        self.at += 1;
        let mut owned: Option<String> = None;
        let mut start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let rest = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(match owned {
                        None => Cow::Borrowed(rest),
                        Some(head) => Cow::Owned(head + rest),
                    });
                }
                Some(b'\\') => {
                    let head = owned.get_or_insert_default();
                    head.push_str(&self.text[start..self.at]);
                    self.at += 1;
                    let escaped = self.escape()?;
                    head.push(escaped);
                    start = self.at;
                }
                Some(byte) if byte >= b' ' => self.at += 1,
                _ => return Err(self.unexpected("in string literal")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let escaped = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return Err(self.unexpected("in string escape code")),
        };
        self.at += 1;
        Ok(escaped)
    }

    /// The four digits after `\u`, and those of the other half of a surrogate pair. A half alone becomes U+FFFD.
    fn unicode_escape(&mut self) -> Result<char, String> {
        let first = self.hex()?;
        let after = self.at;
        if (0xd800..0xdc00).contains(&first) && self.take(b'\\') && self.take(b'u') {
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                let point = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
        }
        self.at = after;
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Result<u32, String> {
        let mut value = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                return Err(self.unexpected("in \\u hexadecimal character escape"));
            };
            value = value * 16 + digit;
            self.at += 1;
        }
        Ok(value)
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn unexpected(&self, place: &str) -> String {
        let shown = match self.peek() {
            None => return "unexpected end of JSON input".to_owned(),
            Some(b'\'') => r"\'".to_owned(),
            Some(b'"') => "\"".to_owned(),
            Some(b'\\') => r"\\".to_owned(),
            Some(b'\n') => r"\n".to_owned(),
            Some(b'\r') => r"\r".to_owned(),
            Some(b'\t') => r"\t".to_owned(),
            Some(byte) if byte.is_ascii_graphic() || byte == b' ' => char::from(byte).to_string(),
            Some(byte) => format!("\\x{byte:02x}"),
        };
        format!("invalid character '{shown}' {place}")
    }
}
