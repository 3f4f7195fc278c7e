//! The sanitizer as an object: it keeps the room that a walk needs, so that from the second message on nothing is
//! allocated.

use std::fmt;

use crate::notes::Room;
use crate::output::Output;
use crate::table::{MessageId, Table};
use crate::text::Tokens;
use crate::walk::Walk;

/// A message that can be put on the wire, and that a [`Table`] knows.
///
/// Generated for every message of `tokenward-csi`. It is for messages alone: neither references to them nor lists or maps of
/// them implement it, so that nothing else is ever taken for one. For those there are
/// [`SanitizedList`](crate::SanitizedList) and [`SanitizedMap`](crate::SanitizedMap).
///
/// ```
/// use tokenward_sanitize::{Field, Kind, Message, MessageId, Sanitized, Sanitizer, Table, WireMessage};
///
/// static MESSAGES: &[Message] =
///     &[Message::new("example.Login", &[Field::single("password", 1, Kind::String).secret()], &[0])];
/// static TABLE: Table = Table::new(MESSAGES, &[], &[]);
///
/// struct Login {
///     password: String,
/// }
///
/// impl WireMessage for Login {
///     fn table(&self) -> &Table {
///         &TABLE
///     }
///
///     fn message_id(&self) -> MessageId {
///         MessageId(0)
///     }
///
///     // With prost: `let _ = self.encode(wire);`
///     fn append_wire(&self, wire: &mut Vec<u8>) {
///         wire.extend_from_slice(&[0x0a, self.password.len() as u8]);
///         wire.extend_from_slice(self.password.as_bytes());
///     }
/// }
///
/// let login = Login { password: "tiger!".to_owned() };
/// assert_eq!(Sanitized::message(&login).to_string(), r#"{"password":"***stripped***"}"#);
/// assert_eq!(Sanitizer::new().message_json(&login), r#"{"password":"***stripped***"}"#);
/// ```
pub trait WireMessage {
    /// The table that its id is of.
    ///
    /// Shown at [`WireMessage`].
    fn table(&self) -> &Table;

    /// Which message of the table it is.
    ///
    /// Shown at [`WireMessage`].
    fn message_id(&self) -> MessageId;

    /// Appends its wire bytes.
    ///
    /// Shown at [`WireMessage`].
    fn append_wire(&self, wire: &mut Vec<u8>);
}

/// Writes messages as JSON, secrets stripped; keeps its room from one to the next.
///
/// Bytes that are no protobuf message come out as `"***malformed***"`, in the place of the innermost message or map that
/// they spoil; a message nested deeper than 100 levels or longer than 512 MiB, likewise. An id that is not in the table shows
/// as `{}`.
///
/// ```
/// use tokenward_sanitize::{Field, Kind, Message, MessageId, Sanitizer, Table};
///
/// static MESSAGES: &[Message] =
///     &[Message::new("example.Login", &[Field::single("password", 1, Kind::String).secret()], &[0])];
/// static TABLE: Table = Table::new(MESSAGES, &[], &[]);
///
/// let mut sanitizer = Sanitizer::new();
/// for wire in [&b"\x0a\x06tiger!"[..], b"", b"\xff"] {
///     println!("login: {}", sanitizer.json(&TABLE, MessageId(0), wire));
/// }
/// assert_eq!(sanitizer.json(&TABLE, MessageId(0), b"\x0a\x06tiger!"), r#"{"password":"***stripped***"}"#);
/// ```
pub struct Sanitizer {
    tokens: Tokens,
    room: Room,
    out: Output,
    /// A message on its way from its type to the walk; wiped after each.
    wire: Vec<u8>,
}

impl Sanitizer {
    /// One that strips marked fields, the values of token keys in maps, and whatever is shaped like a token in any other text.
    ///
    /// ```
    /// use tokenward_sanitize::{Field, Kind, Message, MessageId, Sanitizer, Table};
    ///
    /// static MESSAGES: &[Message] =
    ///     &[Message::new("example.Note", &[Field::single("text", 1, Kind::String)], &[0])];
    /// static TABLE: Table = Table::new(MESSAGES, &[], &[]);
    ///
    /// let wire = b"\x0a\x2e401: eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
    /// assert_eq!(Sanitizer::new().json(&TABLE, MessageId(0), wire), r#"{"text":"401: ***stripped***"}"#);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with(Tokens::Stripped)
    }

    /// One that strips marked fields and nothing else, byte for byte as Go's `protosanitizer` does: **tokens in unmarked
    /// fields are printed**. It is there to be compared with that.
    ///
    /// ```
    /// use tokenward_sanitize::{Field, Kind, Message, MessageId, Sanitizer, Table};
    ///
    /// static MESSAGES: &[Message] = &[Message::new(
    ///     "example.Volume",
    ///     &[
    ///         Field::map("context", 1, Kind::String, Kind::String),
    ///         Field::map("secrets", 2, Kind::String, Kind::String).secret(),
    ///     ],
    ///     &[0, 1],
    /// )];
    /// static TABLE: Table = Table::new(MESSAGES, &[], &["token"]);
    ///
    /// let wire = b"\x0a\x0c\x0a\x05token\x12\x03abc\x12\x06\x0a\x01k\x12\x01v";
    /// let volume = MessageId(0);
    /// assert_eq!(
    ///     Sanitizer::marked_only().json(&TABLE, volume, wire),
    ///     r#"{"context":{"token":"abc"},"secrets":"***stripped***"}"#
    /// );
    /// ```
    #[must_use]
    pub fn marked_only() -> Self {
        Self::with(Tokens::Shown)
    }

    fn with(tokens: Tokens) -> Self {
        Self { tokens, room: Room::default(), out: Output::default(), wire: Vec::new() }
    }

    /// The message in `wire` as JSON.
    ///
    /// Shown at [`Sanitizer`].
    pub fn json(&mut self, table: &Table, message: MessageId, wire: &[u8]) -> &str {
        self.out.clear();
        Walk::write(table, message, self.tokens, wire, &mut self.room, &mut self.out);
        str::from_utf8(self.out.as_bytes()).expect(IS_TEXT)
    }

    /// Appends the message in `wire` to a text of the caller's, as JSON.
    ///
    /// ```
    /// use tokenward_sanitize::{MessageId, Sanitizer, Table};
    ///
    /// let nothing_known = Table::new(&[], &[], &[]);
    /// let mut line = String::from("request: ");
    /// Sanitizer::new().append_json(&nothing_known, MessageId(0), b"", &mut line);
    /// assert_eq!(line, "request: {}");
    /// ```
    pub fn append_json(&mut self, table: &Table, message: MessageId, wire: &[u8], out: &mut String) {
        out.push_str(self.json(table, message, wire));
    }

    /// Writes the message in `wire` as JSON.
    ///
    /// ```
    /// use tokenward_sanitize::{MessageId, Sanitizer, Table};
    ///
    /// let nothing_known = Table::new(&[], &[], &[]);
    /// let mut line = String::new();
    /// Sanitizer::new().write_json(&nothing_known, MessageId(0), b"", &mut line)?;
    /// assert_eq!(line, "{}");
    /// # Ok::<(), std::fmt::Error>(())
    /// ```
    ///
    /// # Errors
    /// When `out` fails.
    pub fn write_json(
        &mut self,
        table: &Table,
        message: MessageId,
        wire: &[u8],
        out: &mut (impl fmt::Write + ?Sized),
    ) -> fmt::Result {
        out.write_str(self.json(table, message, wire))
    }

    /// A typed message as JSON. Its wire bytes are held by the sanitizer meanwhile, and wiped.
    ///
    /// Shown at [`WireMessage`].
    pub fn message_json(&mut self, message: &(impl WireMessage + ?Sized)) -> &str {
        self.out.clear();
        // One that panicked while it was appended has left a part of itself.
        self.wipe();
        message.append_wire(&mut self.wire);
        let (table, id) = (message.table(), message.message_id());
        Walk::write(table, id, self.tokens, &self.wire, &mut self.room, &mut self.out);
        self.wipe();
        str::from_utf8(self.out.as_bytes()).expect(IS_TEXT)
    }

    fn wipe(&mut self) {
        self.wire.fill(0);
        self.wire.clear();
    }

    /// Gives room back: of each of its parts, what is beyond so many bytes.
    ///
    /// ```
    /// use tokenward_sanitize::{MessageId, Sanitizer, Table};
    ///
    /// /// Of a message of megabytes, once a day, no room is kept.
    /// fn log(sanitizer: &mut Sanitizer, table: &Table, message: MessageId, wire: &[u8]) {
    ///     println!("{}", sanitizer.json(table, message, wire));
    ///     sanitizer.shrink_to(64 << 10);
    /// }
    /// # log(&mut Sanitizer::new(), &Table::new(&[], &[], &[]), MessageId(0), b"");
    /// ```
    pub fn shrink_to(&mut self, bytes: usize) {
        self.out.clear();
        self.out.shrink_to(bytes);
        self.wipe();
        self.wire.shrink_to(bytes);
        self.room.shrink_to(bytes);
    }
}

impl Default for Sanitizer {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows no message: there may be one in its room.
impl fmt::Debug for Sanitizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sanitizer").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

/// Why the output is text.
const IS_TEXT: &str = "names are text, and whatever else is copied was checked to be UTF-8";

/// The message in `wire` as JSON, secrets stripped: [`Sanitizer::json`] for who has one message only.
///
/// Shown at [`Field`](crate::Field).
#[must_use]
pub fn to_json(table: &Table, message: MessageId, wire: &[u8]) -> String {
    Sanitizer::new().json(table, message, wire).to_owned()
}
