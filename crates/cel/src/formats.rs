//! Kubernetes' library of named formats: rules that a text may keep.

use tokenward_kube_rules::names;

use crate::times;

/// A rule, by its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    pub(crate) name: &'static str,
    faults: fn(&str) -> Vec<String>,
}

/// Upstream's, but for `uri`.
static FORMATS: [Format; 12] = [
    Format { name: "byte", faults: |text| unless(is_base64(text), "invalid base64") },
    Format { name: "date", faults: |text| unless(is_date(text), "invalid date") },
    Format { name: "datetime", faults: |text| unless(times::read(text).is_some(), "invalid datetime") },
    Format { name: "dns1035Label", faults: names::dns1035_label },
    Format { name: "dns1035LabelPrefix", faults: |text| names::dns1035_label(&masked(text)) },
    Format { name: "dns1123Label", faults: names::dns_label },
    Format { name: "dns1123LabelPrefix", faults: |text| names::dns_label(&masked(text)) },
    Format { name: "dns1123Subdomain", faults: names::dns_subdomain },
    Format { name: "dns1123SubdomainPrefix", faults: |text| names::dns_subdomain(&masked(text)) },
    Format { name: "labelValue", faults: names::label_value },
    Format { name: "qualifiedName", faults: names::qualified_name },
    Format { name: "uuid", faults: |text| unless(is_uuid(text), "does not match the UUID format") },
];

impl Format {
    /// The rule of that name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.name == name)
    }

    /// What is wrong with a text.
    pub(crate) fn faults(&self, text: &str) -> Vec<String> {
        (self.faults)(text)
    }
}

fn unless(is_good: bool, fault: &str) -> Vec<String> {
    if is_good { Vec::new() } else { vec![fault.to_owned()] }
}

/// A prefix may end where a name goes on.
fn masked(prefix: &str) -> String {
    prefix.strip_suffix('-').map_or_else(|| prefix.to_owned(), |start| format!("{start}a"))
}

/// In whole groups of four, filled up at the end.
fn is_base64(text: &str) -> bool {
    let padded = text.len() - text.trim_end_matches('=').len();
    let body = &text.as_bytes()[..text.len() - padded];
    padded <= 2
        && text.len().is_multiple_of(4)
        && body.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && times::read(&format!("{text}T00:00:00Z")).is_some()
}

/// Groups of 8, 4, 4, 4 and 12 hexadecimal digits, with hyphens between them or without.
fn is_uuid(text: &str) -> bool {
    let mut rest = text.as_bytes();
    for (place, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if place > 0 {
            rest = rest.strip_prefix(b"-").unwrap_or(rest);
        }
        let Some((group, behind)) = rest.split_at_checked(length) else { return false };
        if !group.iter().all(u8::is_ascii_hexdigit) {
            return false;
        }
        rest = behind;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_keep_the_rules_or_not() {
        for (name, good, bad) in [
            ("byte", "aGVsbG8=", "aGVsbG8"),
            ("date", "2024-02-29", "2026-02-29"),
            ("datetime", "2026-01-02T03:04:05Z", "2026-01-02"),
            ("dns1035Label", "a-1", "1-a"),
            ("dns1035LabelPrefix", "a-", "1-"),
            ("dns1123Label", "1-a", "a.b"),
            ("dns1123LabelPrefix", "a-", "a."),
            ("dns1123Subdomain", "a.b", "a..b"),
            ("dns1123SubdomainPrefix", "a.b-", "a.B"),
            ("labelValue", "", "-"),
            ("qualifiedName", "a.example/b", "a/b/c"),
            ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-42661417400"),
        ] {
            let format = Format::named(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(format.faults(good), [""; 0], "{name} {good}");
            assert_ne!(format.faults(bad), [""; 0], "{name} {bad}");
        }
        assert!(Format::named("uri").is_none() && Format::named("").is_none());
    }

    proptest! {
        #[test]
        fn nothing_panics(text in any::<String>(), short in "[-./=a-z0-9]{0,40}") {
            for format in &FORMATS {
                let _ = (format.faults(&text), format.faults(&short));
            }
        }
    }
}
