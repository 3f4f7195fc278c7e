//! Why bytes are no protobuf of a message, in the words of upstream's generated code; and why a tree is none.
//!
//! No text holds a value: it may be a token.

/// Bytes that are not what the message wants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end inside of a field.
    #[error("unexpected EOF")]
    Truncated,
    /// A number of more than 64 bits.
    #[error("proto: integer overflow")]
    Overflow,
    /// A length that Go takes for a negative number.
    #[error("proto: negative length found during unmarshaling")]
    NegativeLength,
    /// A wire type that there is not.
    #[error("proto: illegal wireType {0}")]
    IllegalWireType(u8),
    /// A field's number that no field can have.
    #[error("proto: {message}: illegal tag {number} (wire type {wire_type})")]
    IllegalTag {
        /// The message.
        message: &'static str,
        /// The number.
        number: i32,
        /// How its value is written.
        wire_type: u8,
    },
    /// The end of a group that has not begun.
    #[error("proto: {message}: wiretype end group for non-group")]
    EndOfGroup {
        /// The message.
        message: &'static str,
    },
    /// A known field, written like a field of another type.
    #[error("proto: wrong wireType = {wire_type} for field {field}")]
    WrongWireType {
        /// How it is written.
        wire_type: u8,
        /// The field, as Go calls it.
        field: String,
    },
    /// A text that is not UTF-8. Upstream takes it, and prints it as another text.
    #[error("proto: {message}.{field}: a string that is not UTF-8")]
    NotUtf8 {
        /// The message.
        message: &'static str,
        /// The field's JSON name.
        field: &'static str,
    },
    /// A value that its type cannot be.
    #[error("proto: {message}.{field}: {wanted}")]
    Value {
        /// The message.
        message: &'static str,
        /// The field's JSON name.
        field: &'static str,
        /// What was wanted.
        wanted: &'static str,
    },
    /// Messages nested deeper than any type of the API.
    #[error("proto: exceeded max depth")]
    TooDeep,
}

/// A tree that is not of its kind. It never happens to one that was normalized.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}.{field} holds what its type cannot: normalize the object before it is encoded")]
pub struct EncodeError {
    /// The innermost message.
    pub message: &'static str,
    /// The field's JSON name.
    pub field: &'static str,
}
