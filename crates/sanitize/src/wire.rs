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

/// What is left of a message, or of a packed list.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next field's number and value, or `None` at the end. Groups are passed over: no table has one.
    #[inline]
    pub(crate) fn next_field(&mut self) -> Result<Option<(u32, Payload<'a>)>, Malformed> {
        while !self.rest.is_empty() {
            let (number, wire_type) = self.tag()?;
            match wire_type {
                3 => self.skip_group(number)?,
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
        let tag = self.varint()?;
        match (tag >> 3, tag & 7) {
            (number @ 1..=MAX_NUMBER, wire_type) => Ok((number as u32, wire_type as u8)),
            _ => Err(Malformed),
        }
    }

    #[inline]
    fn payload(&mut self, wire_type: u8) -> Result<Payload<'a>, Malformed> {
        match wire_type {
            0 => self.varint().map(Payload::Varint),
            1 => self.fixed64().map(Payload::Fixed64),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                let (value, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
                self.rest = rest;
                Ok(Payload::Bytes(value))
            }
            5 => self.fixed32().map(Payload::Fixed32),
            _ => Err(Malformed),
        }
    }

    fn skip_group(&mut self, number: u32) -> Result<(), Malformed> {
        let mut open = vec![number];
        while let Some(&innermost) = open.last() {
            match self.tag()? {
                (number, 3) if open.len() < MAX_GROUPS => open.push(number),
                (number, 4) if number == innermost => {
                    open.pop();
                }
                (_, 3 | 4) => return Err(Malformed),
                (_, wire_type) => {
                    self.payload(wire_type)?;
                }
            }
        }
        Ok(())
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
