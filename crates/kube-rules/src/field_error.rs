//! How a refused field is reported, word for word as upstream 1.34 and later do it.

use std::{borrow::Cow, fmt};

use serde_json::Value;

/// One refused field. Shown as `field: message`; as a cause of a Status it is reason, message and field.
///
/// A message holds the offending value, as upstream's does: hand a value in only if it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    field: String,
    reason: Reason,
    message: String,
}

/// The kind of refusal: the `reason` of a Status cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The value occurs twice where it must be unique.
    Duplicate,
    /// The field must not be set here.
    Forbidden,
    /// The value breaks a rule.
    Invalid,
    /// What the field names does not exist.
    NotFound,
    /// The value is none of those listed.
    NotSupported,
    /// The field must be set.
    Required,
    /// The value is too long.
    TooLong,
    /// The list has too many items.
    TooMany,
    /// The value has the wrong type.
    TypeInvalid,
}

impl Reason {
    /// The wire's word, `FieldValueInvalid` for instance.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::Invalid => "FieldValueInvalid",
            Self::NotFound => "FieldValueNotFound",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Required => "FieldValueRequired",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }
}

impl FieldError {
    /// `Required value`, with `: detail` unless that is empty.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        Self::new(field, Reason::Required, with_detail("Required value", detail))
    }

    /// `Invalid value: VALUE: detail`; numbers and bools stand bare, strings quoted, all else as JSON.
    pub fn invalid(field: impl Into<String>, value: impl Into<Value>, detail: &str) -> Self {
        Self::new(
            field,
            Reason::Invalid,
            with_detail(&format!("Invalid value: {}", show(&value.into())), detail),
        )
    }

    /// The same of a value that is shown otherwise than it is written here: `shown` is JSON.
    pub fn invalid_as(field: impl Into<String>, shown: &str, detail: &str) -> Self {
        Self::new(field, Reason::Invalid, with_detail(&format!("Invalid value: {shown}"), detail))
    }

    /// `Unsupported value: VALUE: supported values: "A", "B"`, in the order given.
    pub fn not_supported(field: impl Into<String>, value: impl Into<Value>, supported: &[&str]) -> Self {
        let supported = supported.iter().map(|text| quote(text)).collect::<Vec<_>>().join(", ");
        let detail = if supported.is_empty() { supported } else { format!("supported values: {supported}") };
        let message = with_detail(&format!("Unsupported value: {}", show(&value.into())), &detail);
        Self::new(field, Reason::NotSupported, message)
    }

    /// `Duplicate value: VALUE`.
    pub fn duplicate(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(field, Reason::Duplicate, format!("Duplicate value: {}", show(&value.into())))
    }

    /// `Forbidden: detail`.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::new(field, Reason::Forbidden, with_detail("Forbidden", detail))
    }

    /// `Not found: VALUE`.
    pub fn not_found(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(field, Reason::NotFound, format!("Not found: {}", show(&value.into())))
    }

    /// `Too long: may not be more than N bytes`.
    pub fn too_long(field: impl Into<String>, most_bytes: usize) -> Self {
        Self::new(field, Reason::TooLong, format!("Too long: may not be more than {most_bytes} bytes"))
    }

    /// `Too many: FOUND: must have at most MOST items`.
    pub fn too_many(field: impl Into<String>, found: usize, most: usize) -> Self {
        Self::new(field, Reason::TooMany, format!("Too many: {found}: must have at most {most} items"))
    }

    /// `Duplicate value: VALUE: detail`.
    pub fn duplicate_because(field: impl Into<String>, value: impl Into<Value>, detail: &str) -> Self {
        Self::new(
            field,
            Reason::Duplicate,
            with_detail(&format!("Duplicate value: {}", show(&value.into())), detail),
        )
    }

    /// The path of the field, `spec.tokenRequests[1].audience` for instance.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The wire's word for the kind of refusal.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.reason.as_str()
    }

    /// The kind of refusal.
    #[must_use]
    pub const fn kind(&self) -> Reason {
        self.reason
    }

    /// What is wrong, without the field.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    fn new(field: impl Into<String>, reason: Reason, message: String) -> Self {
        Self { field: field.into(), reason, message }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl std::error::Error for FieldError {}

/// Several refusals as one text: a single one stands alone, more as `[a, b]` with repeats dropped. The causes of a Status
/// keep the repeats.
#[must_use]
pub fn aggregate(errors: &[FieldError]) -> String {
    let mut texts: Vec<String> = Vec::with_capacity(errors.len());
    for error in errors {
        let text = error.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    match texts.as_slice() {
        [] => String::new(),
        [single] => single.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

fn with_detail(what: &str, detail: &str) -> String {
    if detail.is_empty() { what.to_owned() } else { format!("{what}: {detail}") }
}

fn show(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => quote(text).into(),
        Value::Null => "null".into(),
        other => json(other).into(),
    }
}

/// JSON with Go's escapes, since a caller of Go's `json.Marshal` gets `<`, `>` and `&` escaped.
fn json(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// Go's `%q`.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            c if c < ' ' || c == '\u{7f}' => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() || (c.is_whitespace() && c != ' ') => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refusals_read_as_upstream_prints_them() {
        let rows = [
            (
                FieldError::required("metadata.name", ""),
                "metadata.name: Required value",
                "FieldValueRequired",
            ),
            (
                FieldError::required("metadata.name", "name or generateName is required"),
                "metadata.name: Required value: name or generateName is required",
                "FieldValueRequired",
            ),
            (FieldError::invalid("a", 599, "too few"), "a: Invalid value: 599: too few", "FieldValueInvalid"),
            (FieldError::invalid("a", false, "no"), "a: Invalid value: false: no", "FieldValueInvalid"),
            (
                FieldError::invalid("a", "x\ty\"", "no"),
                r#"a: Invalid value: "x\ty\"": no"#,
                "FieldValueInvalid",
            ),
            (
                FieldError::invalid("a", json!(["Persistent", "Ephemeral"]), "field is immutable"),
                r#"a: Invalid value: ["Persistent","Ephemeral"]: field is immutable"#,
                "FieldValueInvalid",
            ),
            (
                FieldError::not_supported("a", json!(["Some"]), &["All"]),
                r#"a: Unsupported value: ["Some"]: supported values: "All""#,
                "FieldValueNotSupported",
            ),
            (FieldError::duplicate("a", ""), r#"a: Duplicate value: """#, "FieldValueDuplicate"),
            (FieldError::forbidden("a", "not here"), "a: Forbidden: not here", "FieldValueForbidden"),
            (FieldError::not_found("a", "b"), r#"a: Not found: "b""#, "FieldValueNotFound"),
            (
                FieldError::too_many("a", 101, 100),
                "a: Too many: 101: must have at most 100 items",
                "FieldValueTooMany",
            ),
            (
                FieldError::duplicate_because("a", 1, "once"),
                "a: Duplicate value: 1: once",
                "FieldValueDuplicate",
            ),
            (
                FieldError::too_long("a", 63),
                "a: Too long: may not be more than 63 bytes",
                "FieldValueTooLong",
            ),
        ];
        for (error, text, reason) in rows {
            assert_eq!(error.to_string(), text);
            assert_eq!(error.reason(), reason);
            assert_eq!(format!("{}: {}", error.field(), error.message()), text);
        }
    }

    #[test]
    fn several_refusals_stand_in_brackets_without_repeats() {
        let a = FieldError::required("a", "");
        let b = FieldError::required("b", "");
        assert_eq!(aggregate(std::slice::from_ref(&a)), "a: Required value");
        assert_eq!(aggregate(&[a.clone(), a.clone()]), "a: Required value");
        assert_eq!(aggregate(&[a.clone(), b, a]), "[a: Required value, b: Required value]");
    }
}
