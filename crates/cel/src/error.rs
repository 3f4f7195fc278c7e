//! What is wrong with an expression, and what goes wrong while it is evaluated.

/// Something wrong at a place of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// In characters.
    at: usize,
    why: String,
}

impl Fault {
    pub(crate) fn new(at: usize, why: impl Into<String>) -> Self {
        Self { at, why: why.into() }
    }
}

/// Why a text is no expression of the wanted type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// It is no expression at all, or asks for what there is not. The text names the place and shows its line.
    #[error("compilation failed: {0}")]
    Faulty(String),
    /// It is of another type.
    #[error("must evaluate to bool but got {found}")]
    NotBool {
        /// The type that it is of.
        found: String,
    },
}

impl CompileError {
    /// As cel-go shows faults.
    pub(crate) fn of(fault: &Fault, text: &[char]) -> Self {
        let at = fault.at.min(text.len());
        let begin = text[..at].iter().rposition(|next| *next == '\n').map_or(0, |newline| newline + 1);
        let line = text[..begin].iter().filter(|next| **next == '\n').count() + 1;
        let shown: String = text[begin..].iter().take_while(|next| **next != '\n').collect();
        let column = at - begin;
        Self::Faulty(format!(
            "ERROR: <input>:{line}:{}: {}\n | {shown}\n | {}^",
            column + 1,
            fault.why,
            ".".repeat(column)
        ))
    }
}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// A field, a key or an item that is not there.
    #[error("no such key: {0}")]
    NoSuchKey(String),
    /// A place beyond a list.
    #[error("index out of bounds: {0}")]
    OutOfBounds(i64),
    /// A value that the operation is not for.
    #[error("no such overload")]
    NoSuchOverload,
    /// Nothing can be divided by nothing.
    #[error("division by zero")]
    DivisionByZero,
    /// The remainder of such a division.
    #[error("modulus by zero")]
    ModulusByZero,
    /// A number beyond its type.
    #[error("integer overflow")]
    Overflow,
    /// A text that is no number or truth value, or whatever else was asked for.
    #[error("type conversion error from '{from}' to '{to}'")]
    Conversion {
        /// The type of what there is.
        from: &'static str,
        /// The wanted type.
        to: &'static str,
    },
    /// A pattern that is none, or is too large.
    #[error("error parsing regexp: {0}")]
    Pattern(String),
    /// An argument that the function does not take.
    #[error("{0}")]
    Argument(&'static str),
    /// A map with one key twice.
    #[error("repeated key")]
    RepeatedKey,
    /// An optional value that is none.
    #[error("optional.none() dereference")]
    NoValue,
    /// It takes more than it may, or makes a value that is too deep: it was stopped.
    #[error("operation cancelled: actual cost limit exceeded")]
    TooCostly,
}
