//! Protobuf's wire format: tags, numbers, lengths. Nothing here knows a message.

use super::WireError;

/// Reads the fields of one message.
pub struct Reader<'a> {
    rest: &'a [u8],
    message: &'static str,
}

/// A field's value as it is written; no `Debug`, since it may be a token.
#[derive(Clone, Copy, PartialEq)]
pub enum Wire<'a> {
    /// A number.
    Varint(u64),
    /// A text, bytes or a message.
    Bytes(&'a [u8]),
    /// A value that no type of Kubernetes has, already skipped: its wire type.
    Skipped(u8),
}

const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const BYTES: u8 = 2;
const GROUP: u8 = 3;
const END_GROUP: u8 = 4;
const FIXED_32: u8 = 5;

impl Wire<'_> {
    /// The error that the field is not of this wire type.
    pub(super) fn is_wrong_for(self, field: &str) -> WireError {
        let wire_type = match self {
            Self::Varint(_) => VARINT,
            Self::Bytes(_) => BYTES,
            Self::Skipped(wire_type) => wire_type,
        };
        WireError::WrongWireType { wire_type, field: field.to_owned() }
    }
}

impl<'a> Reader<'a> {
    /// The fields in `bytes`; `message` is for errors.
    #[must_use]
    pub const fn new(bytes: &'a [u8], message: &'static str) -> Self {
        Self { rest: bytes, message }
    }

    /// The next field's number and value; `None` at the end.
    ///
    /// # Errors
    /// The bytes are no protobuf.
    pub fn field(&mut self) -> Result<Option<(u32, Wire<'a>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, wire_type) = self.tag()?;
        if wire_type == END_GROUP {
            return Err(WireError::EndOfGroup { message: self.message });
        }
        let Some(number) = u32::try_from(number).ok().filter(|number| *number > 0) else {
            return Err(WireError::IllegalTag { message: self.message, number, wire_type });
        };
        let value = match wire_type {
            VARINT => Wire::Varint(self.varint()?),
            BYTES => Wire::Bytes(self.bytes()?),
            GROUP => {
                self.skip_group()?;
                Wire::Skipped(GROUP)
            }
            other => {
                self.skip(other)?;
                Wire::Skipped(other)
            }
        };
        Ok(Some((number, value)))
    }

    /// A number without a tag, as packed lists hold them; `None` at the end.
    pub(super) fn packed(&mut self) -> Result<Option<u64>, WireError> {
        if self.rest.is_empty() { Ok(None) } else { self.varint().map(Some) }
    }

    /// A field's number, which Go keeps in 32 bits, and its wire type.
    fn tag(&mut self) -> Result<(i32, u8), WireError> {
        let tag = self.varint()?;
        Ok(((tag >> 3) as i32, (tag & 7) as u8))
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        for (at, byte) in self.rest.iter().enumerate() {
            let shift = 7 * at;
            if shift >= 64 {
                return Err(WireError::Overflow);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        Err(WireError::Truncated)
    }

    fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = i64::try_from(self.varint()?).map_err(|_| WireError::NegativeLength)?;
        self.take(usize::try_from(length).map_err(|_| WireError::Truncated)?)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn skip(&mut self, wire_type: u8) -> Result<(), WireError> {
        match wire_type {
            VARINT => self.varint().map(drop),
            FIXED_64 => self.take(8).map(drop),
            BYTES => self.bytes().map(drop),
            FIXED_32 => self.take(4).map(drop),
            other => Err(WireError::IllegalWireType(other)),
        }
    }

    /// Skips to the end of the group that has begun, with those inside of it.
    fn skip_group(&mut self) -> Result<(), WireError> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.tag()?.1 {
                GROUP => depth += 1,
                END_GROUP => depth -= 1,
                other => self.skip(other)?,
            }
        }
        Ok(())
    }
}

/// Writes a message, field after field.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A writer that does not have to grow until `capacity` bytes are written.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity) }
    }

    /// A writer that goes on behind what is there already.
    pub(super) fn after(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// What was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// How much was written.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that are no field.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A number; a negative one takes ten bytes.
    pub fn int(&mut self, number: u32, value: i64) {
        self.tag(number, VARINT);
        self.varint(value as u64);
    }

    /// A truth value.
    pub fn bool(&mut self, number: u32, value: bool) {
        self.int(number, i64::from(value));
    }

    /// A text.
    pub fn string(&mut self, number: u32, value: &str) {
        self.bytes(number, value.as_bytes());
    }

    /// Bytes, or a message that is encoded already.
    pub fn bytes(&mut self, number: u32, value: &[u8]) {
        self.head(number, value.len());
        self.bytes.extend_from_slice(value);
    }

    /// All of a field of that length but its bytes, which are to follow.
    pub(super) fn head(&mut self, number: u32, length: usize) {
        self.tag(number, BYTES);
        self.varint(length as u64);
    }

    /// A message, whose fields `write` writes.
    pub fn message<T>(&mut self, number: u32, write: impl FnOnce(&mut Self) -> T) -> T {
        self.tag(number, BYTES);
        let start = self.bytes.len();
        // Most messages are so short that their length takes one byte; the others are moved.
        self.bytes.push(0);
        let written = write(self);
        let end = self.bytes.len();
        let length = end - start - 1;
        let width = varint_width(length as u64);
        if width > 1 {
            self.bytes.resize(end + width - 1, 0);
            self.bytes.copy_within(start + 1..end, start + width);
        }
        put_varint(&mut self.bytes[start..start + width], length as u64);
        written
    }

    fn tag(&mut self, number: u32, wire_type: u8) {
        self.varint(u64::from(number) << 3 | u64::from(wire_type));
    }

    fn varint(&mut self, value: u64) {
        let start = self.bytes.len();
        self.bytes.resize(start + varint_width(value), 0);
        put_varint(&mut self.bytes[start..], value);
    }
}

/// How many bytes a field takes that holds `length` bytes, if its number is below 16.
pub(super) fn field_width(length: usize) -> usize {
    1 + varint_width(length as u64) + length
}

fn varint_width(value: u64) -> usize {
    // Seven bits a byte, and one byte for zero.
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Fills a room of exactly the width that the value has.
fn put_varint(room: &mut [u8], mut value: u64) {
    let last = room.len() - 1;
    for byte in &mut room[..last] {
        *byte = value as u8 | 0x80;
        value >>= 7;
    }
    room[last] = value as u8;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(bytes: &[u8]) -> Result<Vec<(u32, Wire<'_>)>, WireError> {
        let mut reader = Reader::new(bytes, "Thing");
        let mut fields = Vec::new();
        while let Some(field) = reader.field()? {
            fields.push(field);
        }
        Ok(fields)
    }

    #[test]
    fn broken_bytes_are_refused_in_go_s_words() {
        let rows: [(&[u8], &str); 12] = [
            (&[0x0a], "unexpected EOF"),
            (&[0x0a, 0x05, b'x'], "unexpected EOF"),
            (&[0x08, 0x80], "unexpected EOF"),
            (&[0x09, 0, 0], "unexpected EOF"),
            (&[0x0b, 0x08, 0x01], "unexpected EOF"),
            (
                &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                "proto: integer overflow",
            ),
            (
                &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                "proto: negative length found during unmarshaling",
            ),
            (&[0x0f], "proto: illegal wireType 7"),
            (&[0x0b, 0x0f], "proto: illegal wireType 7"),
            (&[0x00, 0x01], "proto: Thing: illegal tag 0 (wire type 0)"),
            (&[0xf8, 0xff, 0xff, 0xff, 0x7f, 0x00], "proto: Thing: illegal tag -1 (wire type 0)"),
            (&[0x0c], "proto: Thing: wiretype end group for non-group"),
        ];
        for (bytes, wanted) in rows {
            assert_eq!(
                fields(bytes).err().map(|error| error.to_string()).as_deref(),
                Some(wanted),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn what_no_field_is_written_as_is_skipped() {
        let bytes = [
            0x09, 1, 2, 3, 4, 5, 6, 7, 8, 0x0d, 1, 2, 3, 4, 0x0b, 0x13, 0x12, 1, 2, 0x14, 0x08, 7, 0x0c,
            0x10, 9,
        ];
        let wanted =
            [(1, Wire::Skipped(1)), (1, Wire::Skipped(5)), (1, Wire::Skipped(3)), (2, Wire::Varint(9))];
        assert!(fields(&bytes).is_ok_and(|fields| fields == wanted));
        // Deep nesting takes no stack.
        assert_eq!(fields(&[0x0b; 3_000_000]).err(), Some(WireError::Truncated));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(number in 1_u32..1 << 29, value: i64, length in 0_usize..40_000) {
            let text = "x".repeat(length);
            let mut writer = Writer::default();
            writer.string(1, "before");
            writer.message(number, |writer| {
                writer.int(2, value);
                writer.message(3, |writer| writer.string(4, &text));
            });
            writer.bool(5, true);
            let bytes = writer.into_bytes();
            let read = fields(&bytes).unwrap();
            prop_assert!(read.len() == 3 && read[0] == (1, Wire::Bytes(b"before")) && read[2] == (5, Wire::Varint(1)));
            let (found, Wire::Bytes(inner)) = read[1] else { panic!("a message is bytes") };
            prop_assert_eq!(found, number);
            let inner = fields(inner).unwrap();
            prop_assert!(inner[0] == (2, Wire::Varint(value as u64)));
            let (3, Wire::Bytes(innermost)) = inner[1] else { panic!("a message is bytes") };
            prop_assert!(fields(innermost).unwrap() == [(4, Wire::Bytes(text.as_bytes()))]);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = fields(&bytes);
        }
    }
}
