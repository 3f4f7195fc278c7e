//! Where Go's base64 reader stops at a text that is none.

/// Which alphabet, and whether `=` fills the last group up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base64 {
    /// The standard alphabet with `=`, as bytes in JSON have it.
    Padded,
    /// The alphabet of URLs without `=`, as continue tokens have it.
    Url,
}

impl Base64 {
    fn holds(self, byte: u8) -> bool {
        let others: &[u8] = match self {
            Self::Padded => b"+/",
            Self::Url => b"-_",
        };
        byte.is_ascii_alphanumeric() || others.contains(&byte)
    }

    /// The number of the byte that Go names in `illegal base64 data at input byte`, of a text that it refuses.
    #[must_use]
    pub fn fault(self, text: &str) -> usize {
        let bytes = text.as_bytes();
        let mut in_group = 0;
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            if matches!(byte, b'\r' | b'\n') {
                continue;
            }
            if self.holds(byte) {
                in_group = (in_group + 1) % 4;
                continue;
            }
            if byte != b'=' || self == Self::Url || in_group < 2 {
                return at - 1;
            }
            return self.fault_of_padding(bytes, at, in_group);
        }
        // An unfinished group is named by where it begins.
        at - in_group
    }

    /// `at` is behind the first `=`.
    fn fault_of_padding(self, bytes: &[u8], mut at: usize, in_group: usize) -> usize {
        let skip = |mut at: usize| {
            while matches!(bytes.get(at), Some(b'\r' | b'\n')) {
                at += 1;
            }
            at
        };
        if in_group == 2 {
            at = skip(at);
            match bytes.get(at) {
                None => return bytes.len(),
                Some(b'=') => at += 1,
                Some(_) => return at - 1,
            }
        }
        // Something follows what should be the end.
        skip(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_where_go_finds_them() {
        // What `base64.StdEncoding.DecodeString` of Go 1.26 says.
        for (text, at) in [
            ("!!", 0),
            ("YQ==!", 4),
            ("YQ", 0),
            ("YWJj!", 4),
            ("YWJjZ", 4),
            ("YWJjZA", 4),
            ("Y=", 1),
            ("=", 0),
            ("YQ=x", 2),
            ("YQ=", 3),
            ("can?ry", 3),
            ("YQ==YQ==", 4),
        ] {
            assert_eq!(Base64::Padded.fault(text), at, "{text}");
        }
        // `base64.RawURLEncoding`.
        for (text, at) in [("x", 0), ("!", 0), ("YWJjZ", 4), ("YQ==", 2), ("a+b", 1)] {
            assert_eq!(Base64::Url.fault(text), at, "{text}");
        }
    }
}
