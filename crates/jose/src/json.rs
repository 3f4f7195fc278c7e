//! What may be told about a JSON text that could not be read: kind, line, column, and nothing of its content.

use std::fmt;

/// Why a JSON text could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JsonErrorKind {
    /// The text ends too early (an empty text too).
    Incomplete,
    /// A value has another type than is wanted there, or a member is missing or repeated.
    Shape,
    /// Not JSON, or something follows the value.
    Syntax,
}

impl fmt::Display for JsonErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Incomplete => "the text ends too early",
            Self::Shape => "a value is not of the wanted shape",
            Self::Syntax => "not valid JSON",
        })
    }
}

/// A JSON error without the input: `serde_json`'s own text quotes the offending value, a whole token for instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{kind}, at line {line} column {column}")]
pub struct JsonError {
    /// What is wrong.
    pub kind: JsonErrorKind,
    /// Line, counted from 1 (0 when unknown).
    pub line: usize,
    /// Column in bytes, counted from 1 (0 when unknown, or before the first byte of a line).
    pub column: usize,
}

impl From<&serde_json::Error> for JsonError {
    fn from(error: &serde_json::Error) -> Self {
        use serde_json::error::Category;
        let kind = match error.classify() {
            Category::Eof => JsonErrorKind::Incomplete,
            Category::Data => JsonErrorKind::Shape,
            Category::Io | Category::Syntax => JsonErrorKind::Syntax,
        };
        Self { kind, line: error.line(), column: error.column() }
    }
}
