//! One record of a log or a snapshot as bytes. Pure: no files here.
//!
//! Numbers are LEB128; a text or value is its length and its bytes. A value is kept without its revision, which the
//! reader knows: the records of a log are numbered without gaps, and those of a snapshot carry theirs.

use crate::Revision;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const OBJECT: u8 = 3;

/// What a record says, borrowed from the bytes of its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) collection: &'a str,
    /// `namespace/name`, or `name`.
    pub(crate) path: &'a str,
    pub(crate) content: Content<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    /// The object was written.
    Put(Value<'a>),
    /// The object was deleted.
    Delete,
    /// The object as a snapshot has it.
    Object { revision: Revision, created: Revision, value: Value<'a> },
}

/// An encoded object without its revision: `before`, the digits, `after`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value<'a> {
    pub(crate) before: &'a [u8],
    pub(crate) after: &'a [u8],
}

/// Lengths only: an object may be a Secret.
impl std::fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Put(value) => write!(f, "Put({} bytes)", value.before.len() + value.after.len()),
            Self::Delete => f.write_str("Delete"),
            Self::Object { revision, value, .. } => {
                write!(f, "Object({} bytes at {revision})", value.before.len() + value.after.len())
            }
        }
    }
}

/// Bytes that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("a record ends in the middle")]
    Short,
    #[error("a record of the unknown kind {0}")]
    Kind(u8),
    #[error("a number of more than 64 bits")]
    Number,
    #[error("a name that is none")]
    Text,
    #[error("a record that has no place here")]
    Misplaced,
}

impl Record<'_> {
    /// Appends the record to `bytes`.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(match self.content {
            Content::Put(_) => PUT,
            Content::Delete => DELETE,
            Content::Object { .. } => OBJECT,
        });
        write_bytes(bytes, self.collection.as_bytes());
        write_bytes(bytes, self.path.as_bytes());
        match self.content {
            Content::Put(value) => value.write(bytes),
            Content::Delete => {}
            Content::Object { revision, created, value } => {
                write_number(bytes, revision.get());
                write_number(bytes, created.get());
                value.write(bytes);
            }
        }
    }
}

impl<'a> Record<'a> {
    /// Reads a record off the front of `bytes`.
    pub(crate) fn read(bytes: &mut &'a [u8]) -> Result<Self, RecordError> {
        let (&kind, rest) = bytes.split_first().ok_or(RecordError::Short)?;
        if !matches!(kind, PUT | DELETE | OBJECT) {
            return Err(RecordError::Kind(kind));
        }
        *bytes = rest;
        let collection = read_text(bytes)?;
        let path = read_text(bytes)?;
        let content = match kind {
            PUT => Content::Put(Value::read(bytes)?),
            DELETE => Content::Delete,
            _ => Content::Object {
                revision: Revision::new(read_number(bytes)?),
                created: Revision::new(read_number(bytes)?),
                value: Value::read(bytes)?,
            },
        };
        Ok(Self { collection, path, content })
    }
}

impl<'a> Value<'a> {
    fn write(self, bytes: &mut Vec<u8>) {
        write_bytes(bytes, self.before);
        write_bytes(bytes, self.after);
    }

    fn read(bytes: &mut &'a [u8]) -> Result<Self, RecordError> {
        Ok(Self { before: read_bytes(bytes)?, after: read_bytes(bytes)? })
    }
}

fn write_bytes(bytes: &mut Vec<u8>, content: &[u8]) {
    write_number(bytes, content.len() as u64);
    bytes.extend_from_slice(content);
}

fn read_bytes<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], RecordError> {
    let length = usize::try_from(read_number(bytes)?).map_err(|_| RecordError::Short)?;
    let (content, rest) = bytes.split_at_checked(length).ok_or(RecordError::Short)?;
    *bytes = rest;
    Ok(content)
}

fn read_text<'a>(bytes: &mut &'a [u8]) -> Result<&'a str, RecordError> {
    std::str::from_utf8(read_bytes(bytes)?).map_err(|_| RecordError::Text)
}

fn write_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn read_number(bytes: &mut &[u8]) -> Result<u64, RecordError> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(RecordError::Short)?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return Err(RecordError::Number);
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(RecordError::Number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_record_is_refused_by_name() {
        for (bytes, error) in [
            (&[][..], RecordError::Short),
            (&[0], RecordError::Kind(0)),
            (&[9, 1, b'a'], RecordError::Kind(9)),
            (&[DELETE, 2, b'a'], RecordError::Short),
            (&[DELETE, 1, 0xff, 0], RecordError::Text),
            (&[DELETE, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], RecordError::Number),
            (&[DELETE, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], RecordError::Short),
            (&[PUT, 1, b'a', 1, b'b', 0], RecordError::Short),
        ] {
            assert_eq!(Record::read(&mut &*bytes), Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn debug_shows_no_content() {
        let content = Content::Put(Value { before: b"canary", after: b"canary" });
        assert_eq!(format!("{content:?}"), "Put(12 bytes)");
    }

    proptest! {
        #[test]
        fn records_are_read_as_they_were_written_and_never_in_part(
            collection in "\\PC{1,8}", path in "\\PC{0,200}", kind in 0..3u8,
            before in proptest::collection::vec(any::<u8>(), 0..300),
            after in proptest::collection::vec(any::<u8>(), 0..3),
            revision: u64, created: u64,
        ) {
            let value = Value { before: &before, after: &after };
            let content = match kind {
                0 => Content::Put(value),
                1 => Content::Delete,
                _ => Content::Object { revision: Revision::new(revision), created: Revision::new(created), value },
            };
            let record = Record { collection: &collection, path: &path, content };
            let mut bytes = Vec::new();
            record.write(&mut bytes);
            let length = bytes.len();
            bytes.push(7);
            let mut rest = &bytes[..];
            prop_assert_eq!(Record::read(&mut rest), Ok(record));
            prop_assert_eq!(rest, [7]);
            for end in 0..length {
                prop_assert_eq!(Record::read(&mut &bytes[..end]), Err(RecordError::Short));
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut rest = &bytes[..];
            while Record::read(&mut rest).is_ok() {}
        }
    }
}
