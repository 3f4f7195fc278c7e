//! Redaction of protobuf messages for logs: wire bytes and a [`Table`] in, JSON with nothing secret in it out.
//!
//! The one invariant: no byte of a field that the table marks secret, of a value under a token key, or of a text that
//! has the shape of a signed token ever reaches the output, whatever bytes come in.
//!
//! The JSON is what Go's `protosanitizer` of kubernetes-csi prints: populated fields only, under their names in the
//! `.proto`, sorted; a secret field is `"***stripped***"` as a whole; enums by name; bytes in base64; Go's escapes.
//! Upstream leaves token values in maps that bear no mark, and tokens in plain strings; here both are stripped.
//!
//! ```
//! use tokenward_sanitize::{Field, Kind, Message, MessageId, Table, to_json};
//!
//! // message Login { string user = 1; string password = 2 [secret]; }
//! static MESSAGES: &[Message] = &[Message::new(
//!     "example.Login",
//!     &[Field::single("password", 2, Kind::String).secret(), Field::single("user", 1, Kind::String)],
//!     &[1, 0],
//! )];
//! static TABLE: Table = Table::new(MESSAGES, &[], &[]);
//!
//! let wire = b"\x0a\x03bob\x12\x06tiger!";
//! let login = TABLE.find("example.Login").unwrap_or(MessageId(0));
//! assert_eq!(to_json(&TABLE, login, wire), r#"{"password":"***stripped***","user":"bob"}"#);
//! ```
//!
//! The bytes are walked once, without decoding: see `walk`. Nothing here panics on, or prints, bytes it does not
//! understand.
//!
//! Where to go next: [`Sanitizer`], which allocates nothing once it has room; [`Sanitized`], for log lines whose level may
//! be off; [`Table::from_descriptor_set`], for any protocol with marked fields; [`KnownSecrets`], for error messages;
//! [`blank_tokens`], for any other text.

mod compiled;
mod descriptors;
mod field;
mod known;
mod lazy;
mod notes;
mod number;
mod output;
mod places;
mod sanitizer;
mod secret;
mod table;
mod text;
mod walk;
mod wire;

pub use descriptors::{DescriptorError, Marks};
pub use field::{Field, Kind};
pub use known::KnownSecrets;
pub use lazy::{Sanitized, SanitizedList, SanitizedMap};
pub use sanitizer::{Sanitizer, WireMessage, to_json};
pub use secret::blank_secret;
pub use table::{Enum, EnumId, Message, MessageId, Table, TableError};
pub use text::blank_tokens;

/// What stands where something secret was.
///
/// ```
/// use tokenward_sanitize::{STRIPPED, blank_tokens};
///
/// let line = blank_tokens("Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln");
/// assert_eq!(line, format!("Bearer {STRIPPED}"));
/// ```
pub const STRIPPED: &str = "***stripped***";

/// What stands where a message was that cannot be read, or is nested deeper than a decoder would follow.
///
/// ```
/// use tokenward_sanitize::{MALFORMED, Message, MessageId, Table, to_json};
///
/// static MESSAGES: &[Message] = &[Message::new("example.Empty", &[], &[])];
/// static TABLE: Table = Table::new(MESSAGES, &[], &[]);
/// assert_eq!(to_json(&TABLE, MessageId(0), b"\xff"), format!("\"{MALFORMED}\""));
/// ```
pub const MALFORMED: &str = "***malformed***";
