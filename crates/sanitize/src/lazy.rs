//! Messages to be logged, perhaps: nothing is encoded, walked or allocated until somebody formats them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use crate::output::Output;
use crate::sanitizer::{Sanitizer, WireMessage};
use crate::table::{MessageId, Table};
use crate::text::{self, Tokens};

/// A thread keeps no more room than this for each part of its sanitizer.
const KEPT: usize = 64 << 10;

thread_local! {
    static SANITIZER: RefCell<Sanitizer> = RefCell::new(Sanitizer::new());
}

/// A message whose `Display` and `Debug` are its sanitized JSON. Made in no time: the work is done when it is formatted, so
/// it may be an argument of a log line whose level is off.
///
/// Each thread keeps one [`Sanitizer`] for all of them.
///
/// ```
/// use tokenward_sanitize::{Field, Kind, Message, MessageId, Sanitized, Table};
///
/// static MESSAGES: &[Message] =
///     &[Message::new("example.Login", &[Field::single("password", 1, Kind::String).secret()], &[0])];
/// static TABLE: Table = Table::new(MESSAGES, &[], &[]);
///
/// let request = Sanitized::wire(&TABLE, MessageId(0), b"\x0a\x06tiger!");
/// tracing::debug!(%request, "called");
/// assert_eq!(request.to_string(), r#"{"password":"***stripped***"}"#);
/// ```
#[derive(Clone, Copy)]
pub struct Sanitized<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    Wire { table: &'a Table, message: MessageId, wire: &'a [u8] },
    Message(&'a dyn WireMessage),
}

impl<'a> Sanitized<'a> {
    /// A message that was never decoded.
    ///
    /// Shown at [`Sanitized`].
    #[must_use]
    pub const fn wire(table: &'a Table, message: MessageId, wire: &'a [u8]) -> Self {
        Self(Source::Wire { table, message, wire })
    }

    /// A typed message. Anything but a message is refused by the compiler; Go's sanitizer takes a pointer to a message, a
    /// list or a map of messages for plain values, and prints them with all that is secret:
    ///
    /// ```compile_fail,E0277
    /// # use tokenward_sanitize::{Sanitized, WireMessage};
    /// fn log<M: WireMessage>(requests: &Vec<M>) {
    ///     println!("{}", Sanitized::message(requests));
    /// }
    /// ```
    ///
    /// ```compile_fail,E0277
    /// # use tokenward_sanitize::{Sanitized, WireMessage};
    /// fn log<M: WireMessage>(request: &M) {
    ///     println!("{}", Sanitized::message(&request));
    /// }
    /// ```
    ///
    /// ```
    /// # use tokenward_sanitize::{Sanitized, SanitizedList, WireMessage};
    /// fn log<M: WireMessage>(request: &M, requests: &Vec<M>) {
    ///     println!("{} {}", Sanitized::message(request), SanitizedList(requests));
    /// }
    /// ```
    #[must_use]
    pub const fn message<M: WireMessage>(message: &'a M) -> Self {
        Self(Source::Message(message))
    }
}

impl fmt::Display for Sanitized<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        with_sanitizer(|sanitizer| {
            f.write_str(match self.0 {
                Source::Wire { table, message, wire } => sanitizer.json(table, message, wire),
                Source::Message(message) => sanitizer.message_json(message),
            })
        })
    }
}

impl fmt::Debug for Sanitized<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Messages as a JSON array, as lazily as [`Sanitized`].
///
/// ```
/// # use tokenward_sanitize::{SanitizedList, WireMessage};
/// fn log(requests: &[impl WireMessage]) {
///     println!("retried: {}", SanitizedList(requests));
/// }
/// ```
#[derive(Clone, Copy)]
pub struct SanitizedList<'a, M>(pub &'a [M]);

impl<M: WireMessage> fmt::Display for SanitizedList<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, message) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "[" } else { "," })?;
            fmt::Display::fmt(&Sanitized::message(message), f)?;
        }
        f.write_str(if self.0.is_empty() { "[]" } else { "]" })
    }
}

impl<M: WireMessage> fmt::Debug for SanitizedList<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Named messages as a JSON object, as lazily as [`Sanitized`]. Tokens in the names are stripped, too.
///
/// ```
/// # use std::collections::BTreeMap;
/// # use tokenward_sanitize::{SanitizedMap, WireMessage};
/// fn log(by_volume: &BTreeMap<String, impl WireMessage>) {
///     println!("pending: {}", SanitizedMap(by_volume));
/// }
/// ```
#[derive(Clone, Copy)]
pub struct SanitizedMap<'a, K, M>(pub &'a BTreeMap<K, M>);

impl<K: AsRef<str>, M: WireMessage> fmt::Display for SanitizedMap<'_, K, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = Output::default();
        for (at, (key, message)) in self.0.iter().enumerate() {
            name.clear();
            text::push_json(&mut name, key.as_ref().as_bytes(), Tokens::Stripped);
            f.write_str(if at == 0 { "{" } else { "," })?;
            f.write_str(&String::from_utf8_lossy(name.as_bytes()))?;
            f.write_str(":")?;
            fmt::Display::fmt(&Sanitized::message(message), f)?;
        }
        f.write_str(if self.0.is_empty() { "{}" } else { "}" })
    }
}

impl<K: AsRef<str>, M: WireMessage> fmt::Debug for SanitizedMap<'_, K, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Lends the thread's sanitizer; a fresh one to whoever asks while it is lent, or when the thread ends.
fn with_sanitizer(format: impl FnOnce(&mut Sanitizer) -> fmt::Result) -> fmt::Result {
    let mut format = Some(format);
    let lent = SANITIZER.try_with(|sanitizer| {
        let mut sanitizer = sanitizer.try_borrow_mut().ok()?;
        let formatted = format.take()?(&mut sanitizer);
        sanitizer.shrink_to(KEPT);
        Some(formatted)
    });
    match (lent, format) {
        (Ok(Some(formatted)), _) => formatted,
        (_, Some(format)) => format(&mut Sanitizer::new()),
        // It was called, and has no result only if that panicked.
        (_, None) => Err(fmt::Error),
    }
}
