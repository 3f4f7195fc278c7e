//! The syntax of names, labels and keys, with upstream's texts. Each rule gives the faults of one value, none if it is good.

use crate::FieldError;

/// A lowercase RFC 1123 subdomain, the name of most kinds: at most 253 characters.
#[must_use]
pub fn dns_subdomain(text: &str) -> Vec<String> {
    subdomain(text, "characters")
}

fn subdomain(text: &str, counted: &str) -> Vec<String> {
    let mut faults = too_long(text, 253, counted);
    if !text.split('.').all(is_dns_label) {
        faults.push(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
             start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
                .to_owned(),
        );
    }
    faults
}

/// A subdomain whose labels may begin with an underscore and have some inside, as search paths of resolvers may.
#[must_use]
pub fn dns_subdomain_with_underscores(text: &str) -> Vec<String> {
    let is_label = |label: &str| {
        let rest = label.strip_prefix('_').unwrap_or(label);
        let ends = |character: Option<char>| {
            character.is_some_and(|character| character.is_ascii_lowercase() || character.is_ascii_digit())
        };
        let is_inside = |character| ends(Some(character)) || matches!(character, '-' | '_');
        ends(rest.chars().next()) && ends(rest.chars().next_back()) && rest.chars().all(is_inside)
    };
    let mut faults = too_long(text, 253, "characters");
    if !text.split('.').all(is_label) {
        faults.push(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and \
             must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')"
                .to_owned(),
        );
    }
    faults
}

/// A lowercase RFC 1123 label, the name of a namespace: at most 63 characters.
#[must_use]
pub fn dns_label(text: &str) -> Vec<String> {
    let mut faults = too_long(text, 63, "characters");
    if is_dns_label(text) {
        return faults;
    }
    if text.split('.').all(is_dns_label) {
        faults.push("must not contain dots".to_owned());
    } else {
        faults.push(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
             end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
                .to_owned(),
        );
    }
    faults
}

/// An RFC 1035 label, the name of a Service: at most 63 characters, the first one a letter.
#[must_use]
pub fn dns1035_label(text: &str) -> Vec<String> {
    let mut faults = too_long(text, 63, "characters");
    if !is_dns_label(text) || !text.starts_with(|first: char| first.is_ascii_lowercase()) {
        faults.push(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
             validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
                .to_owned(),
        );
    }
    faults
}

/// A name that can stand in a URL path, as those of roles and TokenReviews: anything but `.`, `..`, `/` and `%`.
#[must_use]
pub fn path_segment(text: &str) -> Vec<String> {
    if text == "." || text == ".." {
        return vec![format!("may not be '{text}'")];
    }
    ['/', '%']
        .into_iter()
        .filter(|illegal| text.contains(*illegal))
        .map(|illegal| format!("may not contain '{illegal}'"))
        .collect()
}

/// A qualified name, the key of a label, annotation or finalizer: `name` or `prefix/name`.
#[must_use]
pub fn qualified_name(text: &str) -> Vec<String> {
    const NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
         alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
         '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    let mut faults = Vec::new();
    let (prefix, name) = match text.split_once('/') {
        None => (None, text),
        Some((_, name)) if name.contains('/') => {
            return vec![format!(
                "a valid label key {NAME} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
        Some((prefix, name)) => (Some(prefix), name),
    };
    match prefix {
        Some("") => faults.push("prefix part must be non-empty".to_owned()),
        Some(prefix) => {
            let own = subdomain(prefix, "bytes").into_iter();
            faults.extend(own.map(|fault| format!("prefix part {fault}")));
        }
        None => {}
    }
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else {
        faults.extend(too_long(name, 63, "bytes").into_iter().map(|fault| format!("name part {fault}")));
    }
    if !is_wrapped_in_alphanumerics(name) {
        faults.push(format!("name part {NAME}"));
    }
    faults
}

/// The value of a label: empty or at most 63 characters.
#[must_use]
pub fn label_value(text: &str) -> Vec<String> {
    let mut faults = too_long(text, 63, "bytes");
    if !text.is_empty() && !is_wrapped_in_alphanumerics(text) {
        faults.push(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
             start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
             validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
                .to_owned(),
        );
    }
    faults
}

/// A key of a Secret or ConfigMap: at most 253 characters.
#[must_use]
pub fn config_map_key(text: &str) -> Vec<String> {
    let mut faults = too_long(text, 253, "characters");
    if text.is_empty() || !text.bytes().all(is_key_byte) {
        faults.push(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
             'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                .to_owned(),
        );
    }
    if text == "." {
        faults.push("must not be '.'".to_owned());
    } else if text == ".." {
        faults.push("must not be '..'".to_owned());
    } else if text.starts_with("..") {
        faults.push("must not start with '..'".to_owned());
    }
    faults
}

/// The name of a CSI driver: a subdomain in any case, at most 63 characters.
#[must_use]
pub fn csi_driver_name(name: &str, path: &str) -> Vec<FieldError> {
    const MOST: usize = 63;
    if name.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    let mut errors = Vec::new();
    if name.len() > MOST {
        errors.push(FieldError::too_long(path, MOST));
    }
    let faults = dns_subdomain(&name.to_lowercase()).into_iter();
    errors.extend(faults.map(|fault| FieldError::invalid(path, name, &fault)));
    errors
}

/// A domain of at least three parts, the name of a webhook.
#[must_use]
pub fn fully_qualified(name: &str, path: &str) -> Vec<FieldError> {
    if name.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    let faults = dns_subdomain(name);
    if !faults.is_empty() {
        return vec![FieldError::invalid(path, name, &faults.join(","))];
    }
    if name.split('.').count() < 3 {
        let detail = "should be a domain with at least three segments separated by dots";
        return vec![FieldError::invalid(path, name, detail)];
    }
    Vec::new()
}

/// The name of a port: at most 15 characters, one of them a letter.
#[must_use]
pub fn port_name(text: &str) -> Vec<String> {
    let mut faults = too_long(text, 15, "characters");
    let bytes = text.as_bytes();
    if bytes.is_empty()
        || !bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
    {
        faults.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !bytes.iter().any(u8::is_ascii_lowercase) {
        faults.push("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        faults.push("must not contain consecutive hyphens".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        faults.push("must not begin or end with a hyphen".to_owned());
    }
    faults
}

/// The number of a port.
#[must_use]
pub fn port_number(number: i64) -> Vec<String> {
    if (1..=65_535).contains(&number) {
        Vec::new()
    } else {
        vec!["must be between 1 and 65535, inclusive".to_owned()]
    }
}

/// The name of an environment variable: printable ASCII without `=`.
#[must_use]
pub fn environment_variable(text: &str) -> Vec<String> {
    if !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=') {
        return Vec::new();
    }
    vec![
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
            .to_owned(),
    ]
}

/// A share in percent, such as `10%`.
#[must_use]
pub fn percent(text: &str) -> Vec<String> {
    let digits = text.strip_suffix('%').unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Vec::new();
    }
    vec![
        "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex \
         used for validation is '[0-9]+%')"
            .to_owned(),
    ]
}

/// The reason of a condition, such as `InsufficientPods`.
#[must_use]
pub fn condition_reason(text: &str) -> Vec<String> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    let begins = bytes.first().is_some_and(u8::is_ascii_alphabetic);
    let ends = bytes.last().is_some_and(|&byte| is_word(byte));
    if begins && ends && bytes.iter().all(|&byte| is_word(byte) || matches!(byte, b',' | b':')) {
        return Vec::new();
    }
    vec![
        "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric \
         characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or \
         'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is \
         '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')"
            .to_owned(),
    ]
}

/// `metadata.name` of a kind that follows `rule`.
#[must_use]
pub fn required_name(name: &str, rule: impl Fn(&str) -> Vec<String>) -> Vec<FieldError> {
    if name.is_empty() {
        return vec![FieldError::required("metadata.name", "name or generateName is required")];
    }
    rule(name).into_iter().map(|fault| FieldError::invalid("metadata.name", name, &fault)).collect()
}

/// Upstream counts bytes, and calls them so where labels are concerned.
fn too_long(text: &str, most: usize, counted: &str) -> Vec<String> {
    if text.len() > most { vec![format!("must be no more than {most} {counted}")] } else { Vec::new() }
}

fn is_dns_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
        && bytes.first().is_some_and(|byte| *byte != b'-')
        && bytes.last() != Some(&b'-')
}

fn is_wrapped_in_alphanumerics(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().copied().all(is_key_byte)
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn underscores_stand_before_and_inside_labels() {
        for good in ["a", "_tcp.example.com", "a_b.c-d", "0"] {
            assert_eq!(dns_subdomain_with_underscores(good), [""; 0], "{good}");
        }
        for bad in ["", "A_", "a_", "__a", "_", "a..b", "a.", "-a"] {
            assert_eq!(dns_subdomain_with_underscores(bad).len(), 1, "{bad}");
        }
    }

    fn assert_rule(rule: fn(&str) -> Vec<String>, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(rule(text), [""; 0], "{text:?}");
        }
        for text in bad {
            assert!(!rule(text).is_empty(), "{text:?}");
        }
    }

    #[test]
    fn names_follow_their_rules() {
        let (long_name, long_label) = ("a".repeat(254), "a".repeat(64));
        let shared = ["", "-a", "a-", "A", "a_b", "a b", "ä", "a/b"];
        assert_rule(
            dns_subdomain,
            &["a", "0", "a-b.c", &"a".repeat(253)],
            &[&shared[..], &["a..b", ".a", "a.", &long_name]].concat(),
        );
        assert_rule(
            dns_label,
            &["a", "9-a", &"a".repeat(63)],
            &[&shared[..], &["a.b", &long_label]].concat(),
        );
        assert_rule(path_segment, &["system:node", "A b", "..."], &[".", "..", "a/b", "a%b"]);
        assert_rule(
            qualified_name,
            &["a", "A_b.c", "example.com/My-Name", &"a".repeat(63)],
            &["", "/a", "a/", "a/b/c", "Example.com/a", "-a", "a ", &long_label],
        );
        assert_rule(label_value, &["", "a", "A_b.c"], &["-", "a-", "a/b", &long_label]);
        assert_rule(
            config_map_key,
            &["a", "-", ".a", "KEY_NAME"],
            &["", ".", "..", "..a", "a/b", &long_name],
        );
    }

    #[test]
    fn labels_are_counted_in_bytes_and_names_in_characters() {
        let (name, domain) = ("a".repeat(64), "a".repeat(254));
        assert_eq!(label_value(&name), ["must be no more than 63 bytes"]);
        assert_eq!(qualified_name(&name), ["name part must be no more than 63 bytes"]);
        assert_eq!(qualified_name(&format!("{domain}/a")), ["prefix part must be no more than 253 bytes"]);
        assert_eq!(dns_label(&name), ["must be no more than 63 characters"]);
        assert_eq!(dns_subdomain(&domain), ["must be no more than 253 characters"]);
        assert!(qualified_name("a/b/c")[0].starts_with("a valid label key must consist"));
    }

    #[test]
    fn names_within_objects() {
        assert_rule(port_name, &["http", "a-1"], &["", "1", "a--b", "-a", "a-", "A", &"a".repeat(16)]);
        assert_rule(environment_variable, &["A", "a.b-c d"], &["", "A=B", "ä", "\n"]);
        assert_rule(dns1035_label, &["a", "a-1"], &["", "1a", "a-", "A", "a.b"]);
        assert_rule(condition_reason, &["A", "a_1", "A,b:C", "a_"], &["", "1a", "_a", "a:", "a b", "é"]);
        assert_rule(percent, &["0%", "100%"], &["", "%", "1", "-1%", "1.5%"]);
        for (number, good) in [(0, false), (1, true), (65_535, true), (65_536, false), (-1, false)] {
            assert_eq!(port_number(number).is_empty(), good, "{number}");
        }
        for (name, faults) in [("x.example", 0), ("X.Example", 0), ("", 1), ("a/b", 1), (&*"a".repeat(64), 1)]
        {
            assert_eq!(csi_driver_name(name, "p").len(), faults, "{name}");
        }
        for (name, faults) in [("a.b.c", 0), ("a.b", 1), ("", 1), ("A.b.c", 1)] {
            assert_eq!(fully_qualified(name, "p").len(), faults, "{name}");
        }
    }

    #[test]
    fn texts_are_upstreams() {
        const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
            alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
            '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
        let long = "a".repeat(64);
        type Rule = fn(&str) -> Vec<String>;
        let rows: [(Rule, &str, Vec<String>); 7] = [
            (dns_label, "a.b", vec!["must not contain dots".to_owned()]),
            (
                dns_label,
                &format!("{long}.b"),
                vec!["must be no more than 63 characters".to_owned(), "must not contain dots".to_owned()],
            ),
            (dns_label, &long, vec!["must be no more than 63 characters".to_owned()]),
            (label_value, &long, vec!["must be no more than 63 bytes".to_owned()]),
            (qualified_name, &long, vec!["name part must be no more than 63 bytes".to_owned()]),
            (
                qualified_name,
                "a/b/c",
                vec![format!(
                    "a valid label key {QUALIFIED} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
                )],
            ),
            (
                environment_variable,
                "a=b",
                vec![
                    "a valid environment variable name must consist only of printable ASCII characters other than '='"
                        .to_owned(),
                ],
            ),
        ];
        for (rule, text, faults) in rows {
            assert_eq!(rule(text), faults, "{text}");
        }
        assert_eq!(
            required_name("Not_A_Name", dns_subdomain)[0].to_string(),
            "metadata.name: Invalid value: \"Not_A_Name\": a lowercase RFC 1123 subdomain must consist of lower case \
             alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
             'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        );
        assert_eq!(
            required_name("", dns_label)[0].to_string(),
            "metadata.name: Required value: name or generateName is required"
        );
        assert_eq!(
            config_map_key("csi.storage.k8s.io/serviceAccount.tokens"),
            [
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
              'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
            ]
        );
    }
}
