//! The envelope: four bytes, then `runtime.Unknown` with kind and version around the object's message.

use std::convert::Infallible;
use std::ops::Range;

use super::WireError;
use super::wire::{Reader, Wire, Writer, field_width};

/// The bytes that Kubernetes protobuf begins with.
pub const ENVELOPE: &[u8] = b"k8s\0";

/// An enveloped message; no `Debug`, since it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Enveloped<B = Vec<u8>> {
    bytes: B,
    message: Range<usize>,
}

impl<B: AsRef<[u8]>> Enveloped<B> {
    /// A whole body.
    #[must_use]
    pub fn bytes(&self) -> &B {
        &self.bytes
    }

    /// The message in it, as lists hold it.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.bytes.as_ref()[self.message.clone()]
    }

    /// The message as an item of a list: of any list, and of the envelope, it is the second field.
    #[must_use]
    pub fn list_item(&self) -> &[u8] {
        let head = field_width(self.message.len()) - self.message.len();
        &self.bytes.as_ref()[self.message.start - head..self.message.end]
    }

    /// The same in another kind of buffer.
    #[must_use]
    pub fn map<C: AsRef<[u8]>>(self, buffer: impl FnOnce(B) -> C) -> Enveloped<C> {
        Enveloped { bytes: buffer(self.bytes), message: self.message }
    }
}

impl Enveloped {
    /// Puts what `write` writes into an envelope. `capacity` is a guess of its length.
    pub(super) fn try_write<E>(
        api_version: &str,
        kind: &str,
        capacity: usize,
        write: impl FnOnce(&mut Writer) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut writer = begin(api_version, kind, capacity);
        let mut length = 0;
        writer.message(2, |writer| {
            let start = writer.len();
            let written = write(writer);
            length = writer.len() - start;
            written
        })?;
        Ok(Self::end(writer, length))
    }

    /// Puts a message into an envelope that its writer knows without the table. `capacity` is a guess of its length.
    pub fn of(api_version: &str, kind: &str, capacity: usize, write: impl FnOnce(&mut Writer)) -> Self {
        let written: Result<Self, Infallible> = Self::try_write(api_version, kind, capacity, |writer| {
            write(writer);
            Ok(())
        });
        match written {
            Ok(written) => written,
            Err(never) => match never {},
        }
    }

    /// The same for a message whose length is known and need not be put in front of it afterwards.
    pub(super) fn write(
        api_version: &str,
        kind: &str,
        length: usize,
        write: impl FnOnce(&mut Writer),
    ) -> Self {
        let mut writer = begin(api_version, kind, length);
        writer.head(2, length);
        let start = writer.len();
        write(&mut writer);
        debug_assert_eq!(writer.len() - start, length, "the length that was promised");
        Self::end(writer, length)
    }

    fn end(mut writer: Writer, length: usize) -> Self {
        let message_end = writer.len();
        end(&mut writer);
        Self { bytes: writer.into_bytes(), message: message_end - length..message_end }
    }
}

/// What stands before the message.
pub(super) fn begin(api_version: &str, kind: &str, capacity: usize) -> Writer {
    let mut writer = Writer::with_capacity(capacity + api_version.len() + kind.len() + 32);
    writer.raw(ENVELOPE);
    writer.message(1, |writer| {
        writer.string(1, api_version);
        writer.string(2, kind);
    });
    writer
}

/// What stands after the message: Go writes encoding and type of the content although they are empty.
pub(super) fn end(writer: &mut Writer) {
    writer.string(3, "");
    writer.string(4, "");
}

/// An opened envelope; no `Debug`, since it may be a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Unknown<'a> {
    /// The group and version that the body names, empty if it does not.
    pub api_version: &'a str,
    /// The kind that the body names, empty if it does not.
    pub kind: &'a str,
    /// The object's message.
    pub message: &'a [u8],
}

/// Why there is no envelope to be opened, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoEnvelope {
    Words(&'static str),
    Wire(WireError),
}

impl<'a> Unknown<'a> {
    /// Opens an envelope; `None` if it is none, or broken.
    #[must_use]
    pub fn of(body: &'a [u8]) -> Option<Self> {
        Self::open(body).ok()
    }

    pub(super) fn open(body: &'a [u8]) -> Result<Self, NoEnvelope> {
        if body.is_empty() {
            return Err(NoEnvelope::Words("empty data"));
        }
        let Some(body) = body.strip_prefix(ENVELOPE) else {
            let words =
                "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]";
            return Err(NoEnvelope::Words(words));
        };
        if body.is_empty() {
            return Err(NoEnvelope::Words("empty body"));
        }
        Self::read(body).map_err(NoEnvelope::Wire)
    }

    fn read(body: &'a [u8]) -> Result<Self, WireError> {
        let mut unknown = Self { api_version: "", kind: "", message: &[] };
        let mut reader = Reader::new(body, "Unknown");
        while let Some((number, value)) = reader.field()? {
            match (number, value) {
                (1, Wire::Bytes(bytes)) => {
                    let mut reader = Reader::new(bytes, "TypeMeta");
                    while let Some((number, value)) = reader.field()? {
                        match (number, value) {
                            (1, Wire::Bytes(text)) => unknown.api_version = type_text("apiVersion", text)?,
                            (2, Wire::Bytes(text)) => unknown.kind = type_text("kind", text)?,
                            (1, other) => return Err(other.is_wrong_for("APIVersion")),
                            (2, other) => return Err(other.is_wrong_for("Kind")),
                            _ => {}
                        }
                    }
                }
                (2, Wire::Bytes(bytes)) => unknown.message = bytes,
                (1, other) => return Err(other.is_wrong_for("TypeMeta")),
                (2, other) => return Err(other.is_wrong_for("Raw")),
                _ => {}
            }
        }
        Ok(unknown)
    }
}

fn type_text<'a>(field: &'static str, bytes: &'a [u8]) -> Result<&'a str, WireError> {
    std::str::from_utf8(bytes).map_err(|_| WireError::NotUtf8 { message: "TypeMeta", field })
}
