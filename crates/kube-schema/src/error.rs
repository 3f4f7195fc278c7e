//! Why a body is refused, in Go's words.

use std::fmt;

use crate::Kind;
use crate::protobuf::WireError;

/// What Go says of a value that is no quantity.
pub(crate) const QUANTITY_WANTED: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// A body that cannot be decoded. Every text is upstream's but for what it would quote of the body: a value that is a
/// token must not travel in an error, so values are never kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The body is no JSON object with a readable `kind` and `apiVersion`. Of the body, at most one character is quoted.
    #[error("{detail}")]
    Unrecognized {
        /// Go's words, `couldn't get version/kind; json parse error: unexpected end of JSON input` for instance.
        detail: String,
    },
    /// The body is not Kubernetes protobuf, or its envelope is broken.
    #[error("{detail}")]
    NoEnvelope {
        /// Go's words, `empty data` for instance.
        detail: String,
    },
    /// The message in the envelope is broken.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A value has the wrong type, or a number does not fit.
    #[error("json: {0}")]
    Type(TypeMismatch),
    /// A string is no base64.
    #[error("illegal base64 data at input byte {at}")]
    Base64 {
        /// Where reading stopped, as Go counts.
        at: usize,
    },
    /// A value is no quantity.
    #[error("{QUANTITY_WANTED}")]
    Quantity,
    /// A string is not in the form that its type wants. Upstream quotes the value here; this text names the field.
    #[error("{field}: {detail}")]
    Value {
        /// The field's path, `metadata.creationTimestamp` for instance.
        field: String,
        /// What is wanted.
        detail: &'static str,
    },
    /// The body is of another kind that is known.
    #[error("converting ({found_version}.{found}) to ({package}.{wanted}): unknown conversion")]
    WrongKind {
        /// The body's kind.
        found: String,
        /// The body's version.
        found_version: String,
        /// The wanted kind's package.
        package: &'static str,
        /// The wanted kind.
        wanted: &'static str,
    },
    /// The body is of a kind that nobody knows.
    #[error(
        "no kind {found:?} is registered for version {api_version:?} in scheme \"pkg/runtime/scheme.go:111\""
    )]
    UnknownKind {
        /// The body's kind.
        found: String,
        /// The body's group and version.
        api_version: String,
    },
    /// The body is of the right kind in another version.
    #[error("the API version in the data ({found}) does not match the expected API version ({wanted})")]
    WrongVersion {
        /// The body's group and version.
        found: String,
        /// The wanted one.
        wanted: String,
    },
}

/// A JSON value that does not fit its Go type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeMismatch {
    /// What was found: `string`, `object`, `array`, `bool`, `number`, or a number that does not fit, `number 1.5`.
    pub found: String,
    /// The innermost Go struct, `CSIDriverSpec` for instance.
    pub go_struct: &'static str,
    /// The JSON names that lead to the field, without list indices and map keys: `spec.serviceAccountTokenInSecrets`.
    pub field: String,
    /// The Go type that the field has, `bool` for instance.
    pub go_type: String,
}

impl fmt::Display for TypeMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, go_struct, field, go_type } = self;
        write!(f, "cannot unmarshal {found} into Go struct field {go_struct}.{field} of type {go_type}")
    }
}

impl DecodeError {
    /// Whether nothing of the body was understood, so that upstream quotes its beginning.
    #[must_use]
    pub fn is_unrecognized(&self) -> bool {
        matches!(self, Self::Unrecognized { .. } | Self::NoEnvelope { .. })
    }

    /// The whole message of the 400 that upstream answers when a request's body is refused, but for the beginning of the
    /// body that it appends where [`DecodeError::is_unrecognized`]: ` (` + [`summarize_body`] + `)`, for the caller to decide.
    #[must_use]
    pub fn status_message(&self, kind: &Kind) -> String {
        let found = match self {
            Self::Unrecognized { .. } | Self::NoEnvelope { .. } => {
                return format!(
                    "the object provided is unrecognized (must be of type {}): {self}",
                    kind.kind
                );
            }
            Self::WrongVersion { .. } => return self.to_string(),
            Self::WrongKind { found, found_version, .. } => (found.as_str(), found_version.as_str()),
            Self::UnknownKind { found, api_version } => {
                (found.as_str(), api_version.rsplit('/').next().unwrap_or_default())
            }
            Self::Type(_) | Self::Value { .. } | Self::Base64 { .. } | Self::Quantity | Self::Wire(_) => {
                (kind.kind, kind.version)
            }
        };
        format!("{} in version {:?} cannot be handled as a {}: {self}", found.0, found.1, kind.kind)
    }
}

/// What upstream shows of a body that it does not recognize: of an object the first 30 bytes as they are, of anything else
/// in hexadecimal. These may be the first bytes of a token.
#[must_use]
pub fn summarize_body(body: &[u8]) -> String {
    let head = &body[..body.len().min(30)];
    let ellipsis = if body.len() > 30 { " ..." } else { "" };
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{ellipsis}", String::from_utf8_lossy(head)),
        Some(_) => {
            let digits: String = head.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{digits}{ellipsis}")
        }
    }
}
