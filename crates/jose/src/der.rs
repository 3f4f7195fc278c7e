//! As much DER (X.690) as a SubjectPublicKeyInfo needs: a strict reader over borrowed bytes, and a writer.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;

/// What is left to read of one value's content.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The content of the next value, which must have this tag. Lengths must be in their shortest form.
    pub(crate) fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        let [found, first, rest @ ..] = self.0 else { return None };
        if *found != tag {
            return None;
        }
        let (len, rest) = match *first {
            short @ 0..=0x7f => (usize::from(short), rest),
            0x81 => {
                let (len, rest) = rest.split_first()?;
                (usize::from(*len), rest)
            }
            0x82 => {
                let ([high, low], rest) = rest.split_first_chunk()?;
                (usize::from(*high) << 8 | usize::from(*low), rest)
            }
            // A public key never needs 64 KiB.
            _ => return None,
        };
        if len < 0x80 && *first >= 0x80 || len < 0x100 && *first == 0x82 {
            return None;
        }
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some(content)
    }

    pub(crate) fn sequence(&mut self) -> Option<Self> {
        self.value(SEQUENCE).map(Reader)
    }

    /// A bit string of whole bytes.
    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        match self.value(BIT_STRING)? {
            [0, content @ ..] => Some(content),
            _ => None,
        }
    }

    /// A positive integer in its shortest form, big-endian, without the sign byte.
    pub(crate) fn positive_integer(&mut self) -> Option<&'a [u8]> {
        match self.value(INTEGER)? {
            [0, magnitude @ ..] if magnitude.first().is_some_and(|high| *high >= 0x80) => Some(magnitude),
            magnitude @ [0x01..=0x7f, ..] => Some(magnitude),
            _ => None,
        }
    }
}

/// One value: tag, length, content.
pub(crate) fn write(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(content.len() + 4);
    bytes.push(tag);
    match content.len() {
        len @ 0..=0x7f => bytes.push(len as u8),
        len @ 0x80..=0xff => bytes.extend([0x81, len as u8]),
        len => {
            let len = u16::try_from(len).expect("a public key is shorter than 64 KiB");
            bytes.push(0x82);
            bytes.extend(len.to_be_bytes());
        }
    }
    bytes.extend(content);
    bytes
}

/// A positive integer from its magnitude, which may start with zeros.
pub(crate) fn write_positive_integer(magnitude: &[u8]) -> Vec<u8> {
    let zeros = magnitude.iter().take_while(|byte| **byte == 0).count();
    let magnitude = &magnitude[zeros..];
    let mut content = Vec::with_capacity(magnitude.len() + 1);
    if magnitude.first().is_none_or(|byte| *byte >= 0x80) {
        content.push(0);
    }
    content.extend(magnitude);
    write(INTEGER, &content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_shortest_lengths_are_read() {
        let read = |bytes: &[u8]| Reader::new(bytes).value(NULL).map(<[u8]>::len);
        assert_eq!(read(&[NULL, 0]), Some(0));
        assert_eq!(read(&[NULL, 1, 7]), Some(1));
        assert_eq!(read(&[NULL, 0x81, 1, 7]), None);
        assert_eq!(read(&[NULL, 0x82, 0, 1, 7]), None);
        assert_eq!(read(&[NULL, 0x80, 7, 0, 0]), None);
        assert_eq!(read(&[NULL, 0x83, 0, 0, 1, 7]), None);
        assert_eq!(read(&[NULL, 2, 7]), None);
        assert_eq!(read(&[INTEGER, 0]), None);
        assert_eq!(read(&[NULL]), None);
    }

    #[test]
    fn only_shortest_positive_integers_are_read() {
        let read = |content: &[u8]| {
            let bytes = write(INTEGER, content);
            Reader::new(&bytes).positive_integer().map(<[u8]>::to_vec)
        };
        assert_eq!(read(&[1]), Some(vec![1]));
        assert_eq!(read(&[0, 0x80]), Some(vec![0x80]));
        for bad in [&[][..], &[0], &[0, 1], &[0x80], &[0, 0, 0x80]] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(content in proptest::collection::vec(any::<u8>(), 0..600), tail: Vec<u8>) {
            let mut bytes = write(BIT_STRING, &content);
            bytes.extend(&tail);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.value(BIT_STRING), Some(&content[..]));
            prop_assert_eq!(reader.0, &tail[..]);
        }

        #[test]
        fn integers_round_trip(magnitude in proptest::collection::vec(any::<u8>(), 1..300)) {
            let bytes = write_positive_integer(&magnitude);
            let significant = magnitude.iter().skip_while(|byte| **byte == 0).copied().collect::<Vec<_>>();
            let read = Reader::new(&bytes).positive_integer();
            prop_assert_eq!(read.unwrap_or_default(), &significant[..]);
        }
    }
}
