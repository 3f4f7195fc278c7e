//! The file name of an audience.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Longest name that Linux file systems take, in bytes.
const NAME_MAX: usize = 255;
/// What an empty audience (the API server's own) is called.
const EMPTY: &str = "default";
/// Stands between the cut name and the digest; nothing else ever has `-` after `%`.
const CUT: &str = "%-";

/// The name of the file that holds the token for an audience. No two audiences have the same name.
///
/// Letters, digits, `-`, `_` and `.` stay as they are; every other byte, and a `.` at the start, becomes `%` and two upper-case hexadecimal
/// digits. The empty audience is `default` (and an audience `default` is `%64efault`). A name of more than 255 bytes is cut and ends in `%-`
/// and the SHA-256 of the audience.
#[must_use]
pub fn file_name(audience: &str) -> String {
    if audience.is_empty() {
        return EMPTY.to_owned();
    }
    let mut name = String::with_capacity(audience.len());
    for (position, byte) in audience.bytes().enumerate() {
        let stays = match byte {
            b'.' => position > 0,
            b'd' => position > 0 || audience != EMPTY,
            _ => byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_',
        };
        if stays {
            name.push(char::from(byte));
        } else {
            push_hex(&mut name, "%", byte);
        }
    }
    if name.len() > NAME_MAX {
        let digest = Sha256::digest(audience);
        name.truncate(NAME_MAX - CUT.len() - 2 * digest.len());
        name.push_str(CUT);
        for byte in digest {
            push_hex(&mut name, "", byte);
        }
    }
    name
}

fn push_hex(name: &mut String, before: &str, byte: u8) {
    write!(name, "{before}{byte:02X}").expect("a string takes all that is written");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_readable_where_they_can_be() {
        let table = [
            ("vault", "vault"),
            ("", "default"),
            ("default", "%64efault"),
            ("defaults", "defaults"),
            ("sts.amazonaws.com", "sts.amazonaws.com"),
            ("api://AzureADTokenExchange", "api%3A%2F%2FAzureADTokenExchange"),
            ("https://kubernetes.default.svc", "https%3A%2F%2Fkubernetes.default.svc"),
            ("..", "%2E."),
            ("..data", "%2E.data"),
            ("a/../b", "a%2F..%2Fb"),
            ("a%2F", "a%252F"),
            ("a\0", "a%00"),
            ("ü", "%C3%BC"),
        ];
        for (audience, name) in table {
            assert_eq!(file_name(audience), name);
        }
    }

    #[test]
    fn long_audiences_that_differ_at_the_end_have_different_names() {
        let long = "a".repeat(NAME_MAX);
        assert_eq!(file_name(&long), long);
        let (one, two) = (file_name(&format!("{long}1")), file_name(&format!("{long}2")));
        assert_ne!(one, two);
        assert_eq!((one.len(), two.len()), (NAME_MAX, NAME_MAX));
        // Somebody who calls an audience as the file of another does not get that file.
        assert_ne!(file_name(&one), one);
    }

    /// Audiences that are likely to meet: few letters, the special ones among them, and the names of other audiences.
    fn audience() -> impl Strategy<Value = String> {
        let small = "[ad./%2EF:\u{fc}-]{0,6}";
        let word =
            prop_oneof![Just("default".to_owned()), Just("%64efault".to_owned()), Just("..data".to_owned())];
        let long = (200_usize..300, "[a/%]").prop_map(|(length, text)| text.repeat(length));
        prop_oneof![
            small,
            word,
            long.clone(),
            any::<String>(),
            small.prop_map(|text| file_name(&text)),
            long.prop_map(|text| file_name(&text))
        ]
    }

    proptest! {
        #[test]
        fn no_two_audiences_have_one_name(audiences in proptest::collection::vec(audience(), 2..40)) {
            let mut names: BTreeMap<String, String> = BTreeMap::new();
            for audience in audiences {
                let name = file_name(&audience);
                prop_assert!(name.len() <= NAME_MAX && !name.starts_with('.') && !name.is_empty());
                prop_assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'));
                if let Some(other) = names.insert(name, audience.clone()) {
                    prop_assert_eq!(other, audience);
                }
            }
        }
    }
}
