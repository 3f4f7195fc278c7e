//! Reading protobuf's wire format, one field at a time.

/// Groups may nest this deep. The end of one is found by reading it, and then those in it are looked for: so what is in groups is
/// read once for each that is shown around it, which stays in proportion to the length.
const MAX_GROUPS: usize = 100;
const MAX_NUMBER: u64 = (1 << 29) - 1;

/// The wire type of values with their length in front: text, bytes, messages, packed lists.
pub(crate) const LENGTH_PREFIXED: u8 = 2;
/// The wire type that opens a group: a message with its end behind it, in place of its length in front.
pub(crate) const GROUP: u8 = 3;

/// The bytes are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The value of one field occurrence, as the wire type delimits it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Payload<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// One field on the wire: which it is, and where its value is, without the length in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Occurrence {
    pub(crate) number: u32,
    pub(crate) wire_type: u8,
    pub(crate) value: Extent,
}

/// A part of the bytes that are read.
pub(crate) type Extent = (usize, usize);

/// A place in a message, or in a packed list; what is in front of it has been read.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    /// Never behind the end.
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Reads a part of `bytes`, so that all places are those in the whole. Nothing, where there is no such part.
    #[inline]
    pub(crate) fn within(bytes: &'a [u8], (start, end): Extent) -> Self {
        match bytes.get(..end) {
            Some(bytes) if start <= end => Self { bytes, at: start },
            _ => Self { bytes: &[], at: 0 },
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next field's number and value, or `None` at the end. Groups are passed over.
    pub(crate) fn next_field(&mut self) -> Result<Option<(u32, Payload<'a>)>, Malformed> {
        while let Some(Occurrence { number, wire_type, value }) = self.next_occurrence()? {
            if wire_type != GROUP {
                let payload = Reader::within(self.bytes, value).payload(wire_type)?;
                return Ok(Some((number, payload)));
            }
        }
        Ok(None)
    }

    /// Where the next field is, or `None` at the end. What is in a group is its value.
    #[expect(
        clippy::inline_always,
        reason = "a fifth of the walk is this, and the compiler leaves it out of line"
    )]
    #[inline(always)]
    pub(crate) fn next_occurrence(&mut self) -> Result<Option<Occurrence>, Malformed> {
        if self.is_empty() {
            return Ok(None);
        }
        let (number, wire_type) = self.tag()?;
        let value = if wire_type == LENGTH_PREFIXED {
            self.length_prefixed()?
        } else {
            let value;
            (value, self.at) = without_length(self.bytes, self.at, number, wire_type)?;
            value
        };
        Ok(Some(Occurrence { number, wire_type, value }))
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        if let Some(&byte @ 0..0x80) = self.bytes.get(self.at) {
            self.at += 1;
            return Ok(u64::from(byte));
        }
        let (value, behind) = long_varint(self.bytes, self.at)?;
        self.at = behind;
        Ok(value)
    }

    pub(crate) fn fixed32(&mut self) -> Result<u32, Malformed> {
        self.chunk().map(u32::from_le_bytes)
    }

    pub(crate) fn fixed64(&mut self) -> Result<u64, Malformed> {
        self.chunk().map(u64::from_le_bytes)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let chunk = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
        self.at += N;
        Ok(*chunk)
    }

    #[inline]
    fn tag(&mut self) -> Result<(u32, u8), Malformed> {
        if let Some(&tag @ 8..0x80) = self.bytes.get(self.at) {
            self.at += 1;
            return Ok((u32::from(tag >> 3), tag & 7));
        }
        let (tag, behind) = long_varint(self.bytes, self.at)?;
        self.at = behind;
        match (tag >> 3, tag & 7) {
            (number @ 1..=MAX_NUMBER, wire_type) => Ok((number as u32, wire_type as u8)),
            _ => Err(Malformed),
        }
    }

    /// Where the text is, if the next field has this number, which is below 16, and is delimited.
    #[inline]
    pub(crate) fn text_field(&mut self, number: u8) -> Option<Extent> {
        if *self.bytes.get(self.at)? != number << 3 | LENGTH_PREFIXED {
            return None;
        }
        self.at += 1;
        self.length_prefixed().ok()
    }

    #[inline]
    fn length_prefixed(&mut self) -> Result<Extent, Malformed> {
        let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
        let start = self.at;
        if length > self.bytes.len() - start {
            return Err(Malformed);
        }
        self.at += length;
        Ok((start, self.at))
    }

    #[inline]
    fn scalar(&mut self, wire_type: u8) -> Result<Extent, Malformed> {
        let start = self.at;
        match wire_type {
            0 => self.varint().map(drop),
            1 => self.fixed64().map(drop),
            5 => self.fixed32().map(drop),
            _ => Err(Malformed),
        }?;
        Ok((start, self.at))
    }

    /// Reads the value that a tag with this wire type announces; of one that is delimited, all that is left.
    #[inline]
    pub(crate) fn payload(&mut self, wire_type: u8) -> Result<Payload<'a>, Malformed> {
        match wire_type {
            0 => self.varint().map(Payload::Varint),
            1 => self.fixed64().map(Payload::Fixed64),
            LENGTH_PREFIXED => {
                let start = std::mem::replace(&mut self.at, self.bytes.len());
                Ok(Payload::Bytes(&self.bytes[start..]))
            }
            5 => self.fixed32().map(Payload::Fixed32),
            _ => Err(Malformed),
        }
    }
}

// By value, so that a reader may live in registers.

/// The number of several bytes at this place, and what is behind it.
fn long_varint(bytes: &[u8], at: usize) -> Result<(u64, usize), Malformed> {
    let mut value = 0;
    for (length, &byte) in bytes.iter().skip(at).enumerate().take(10) {
        if length == 9 && byte > 1 {
            return Err(Malformed);
        }
        value |= u64::from(byte & 0x7f) << (7 * length);
        if byte < 0x80 {
            return Ok((value, at + length + 1));
        }
    }
    Err(Malformed)
}

/// Where the value is that a tag with this number and wire type announces, which has no length in front; and what is behind it.
fn without_length(bytes: &[u8], at: usize, number: u32, wire_type: u8) -> Result<(Extent, usize), Malformed> {
    if wire_type == GROUP {
        let (end, behind) = group(bytes, at, number, 1)?;
        return Ok(((at, end), behind));
    }
    let mut reader = Reader { bytes, at };
    let value = reader.scalar(wire_type)?;
    Ok((value, reader.at))
}

/// Where the rest of the group of this number ends, the `depth`-th of those around it, and what is behind that end.
fn group(bytes: &[u8], at: usize, number: u32, depth: usize) -> Result<(usize, usize), Malformed> {
    let mut reader = Reader { bytes, at };
    loop {
        let end = reader.at;
        match reader.tag()? {
            (inner, GROUP) if depth < MAX_GROUPS => {
                (_, reader.at) = group(bytes, reader.at, inner, depth + 1)?;
            }
            (closed, 4) if closed == number => return Ok((end, reader.at)),
            (_, GROUP | 4) => return Err(Malformed),
            (_, LENGTH_PREFIXED) => {
                reader.length_prefixed()?;
            }
            (_, wire_type) => {
                reader.scalar(wire_type)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(u32, Payload<'_>)>, Malformed> {
        let mut reader = Reader::new(bytes);
        let mut fields = Vec::new();
        while let Some(field) = reader.next_field()? {
            fields.push(field);
        }
        Ok(fields)
    }

    #[test]
    fn every_wire_type_is_read() {
        let bytes = b"\x08\x96\x01\x11\x01\0\0\0\0\0\0\0\x1a\x02hi\x25\x02\0\0\0";
        let fields = [
            (1, Payload::Varint(150)),
            (2, Payload::Fixed64(1)),
            (3, Payload::Bytes(b"hi")),
            (4, Payload::Fixed32(2)),
        ];
        assert_eq!(read(bytes).unwrap(), fields);
        let largest = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(read(largest).unwrap(), [(1, Payload::Varint(u64::MAX))]);
    }

    #[test]
    fn groups_are_passed_over() {
        // 1 { 1: 5  2 { } }  3: 7
        assert_eq!(read(b"\x0b\x08\x05\x13\x14\x0c\x18\x07").unwrap(), [(3, Payload::Varint(7))]);
        let deep = [vec![0x0b; MAX_GROUPS], vec![0x0c; MAX_GROUPS]].concat();
        assert_eq!(read(&deep).unwrap(), []);
        let deeper = [vec![0x0b; MAX_GROUPS + 1], vec![0x0c; MAX_GROUPS + 1]].concat();
        assert_eq!(read(&deeper), Err(Malformed));
    }

    #[test]
    fn what_is_no_message_is_malformed() {
        let cases: [&[u8]; 12] = [
            b"\x08",                                             // value missing
            b"\x08\x80",                                         // varint cut off
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",     // 65 bits
            b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", // 11 bytes
            b"\x00\x01",                                         // number 0
            b"\x80\x80\x80\x80\x10\x01",                         // number 2^29
            b"\x0a\x05abc",                                      // length past the end
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",     // length that no address space holds
            b"\x0d\x01\x02",                                     // fixed32 cut off
            b"\x0c",                                             // end of no group
            b"\x0b\x14",                                         // end of another group
            b"\x0e\x01",                                         // wire type 6
        ];
        for bytes in cases {
            assert_eq!(read(bytes), Err(Malformed), "{bytes:x?}");
        }
    }
}
