//! Reading protobuf's wire format, one field at a time.

/// Groups may nest this deep inside an unknown field.
const MAX_GROUPS: usize = 100;
const MAX_NUMBER: u64 = (1 << 29) - 1;

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

impl Payload<'_> {
    /// The number by which a tag announces it.
    pub(crate) fn wire_type(self) -> u8 {
        match self {
            Self::Varint(_) => 0,
            Self::Fixed64(_) => 1,
            Self::Bytes(_) => 2,
            Self::Fixed32(_) => 5,
        }
    }
}

/// What is left of a message, or of a packed list.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// How many bytes were left before the last field's value.
    before_value: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, before_value: bytes.len() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left.
    #[inline]
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// How many bytes were left before the last field's value (and its length, if it has one).
    #[inline]
    pub(crate) fn remaining_before_value(&self) -> usize {
        self.before_value
    }

    /// The next field's number and value, or `None` at the end. Groups are passed over: no table has one.
    #[expect(
        clippy::inline_always,
        reason = "a third of the walk is this, and the compiler leaves it out of line"
    )]
    #[inline(always)]
    pub(crate) fn next_field(&mut self) -> Result<Option<(u32, Payload<'a>)>, Malformed> {
        while !self.rest.is_empty() {
            let (number, wire_type) = self.tag()?;
            self.before_value = self.rest.len();
            match wire_type {
                2 => return Ok(Some((number, Payload::Bytes(self.delimited()?)))),
                3 => self.skip_group(number, 1)?,
                4 => return Err(Malformed),
                _ => return Ok(Some((number, self.payload(wire_type)?))),
            }
        }
        Ok(None)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        if let [first @ 0..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u64::from(*first));
        }
        if let [first, second @ 0..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u64::from(*first & 0x7f) | u64::from(*second) << 7);
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for (at, &byte) in self.rest.iter().enumerate().take(10) {
            if at == 9 && byte > 1 {
                return Err(Malformed);
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    pub(crate) fn fixed32(&mut self) -> Result<u32, Malformed> {
        let (value, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*value))
    }

    pub(crate) fn fixed64(&mut self) -> Result<u64, Malformed> {
        let (value, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*value))
    }

    #[inline]
    fn tag(&mut self) -> Result<(u32, u8), Malformed> {
        if let [tag @ 8..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok((u32::from(tag >> 3), tag & 7));
        }
        let tag = self.varint()?;
        match (tag >> 3, tag & 7) {
            (number @ 1..=MAX_NUMBER, wire_type) => Ok((number as u32, wire_type as u8)),
            _ => Err(Malformed),
        }
    }

    /// Reads text if the next field has this number, which is below 16, and is delimited.
    #[inline]
    pub(crate) fn text_field(&mut self, number: u8) -> Option<&'a [u8]> {
        let (&tag, rest) = self.rest.split_first()?;
        if tag != number << 3 | 2 {
            return None;
        }
        self.rest = rest;
        self.delimited().ok()
    }

    #[inline]
    fn delimited(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
        let (value, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(value)
    }

    /// Reads the value that a tag with this wire type announces.
    pub(crate) fn payload(&mut self, wire_type: u8) -> Result<Payload<'a>, Malformed> {
        match wire_type {
            0 => self.varint().map(Payload::Varint),
            1 => self.fixed64().map(Payload::Fixed64),
            2 => self.delimited().map(Payload::Bytes),
            5 => self.fixed32().map(Payload::Fixed32),
            _ => Err(Malformed),
        }
    }

    /// Passes over the rest of the group of this number, the `depth`-th of those around it.
    fn skip_group(&mut self, number: u32, depth: usize) -> Result<(), Malformed> {
        loop {
            match self.tag()? {
                (inner, 3) if depth < MAX_GROUPS => self.skip_group(inner, depth + 1)?,
                (end, 4) if end == number => return Ok(()),
                (_, 3 | 4) => return Err(Malformed),
                (_, wire_type) => {
                    self.payload(wire_type)?;
                }
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
