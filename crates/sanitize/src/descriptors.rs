//! Tables from compiled descriptors: any protocol with marked fields can be sanitized, without generated code.
//!
//! A `FileDescriptorSet` is a protobuf message itself, and few of its fields matter here: so it is read with this crate's own
//! reader of the wire (`read`), and turned into rows (`compile`).

mod compile;
mod read;

use crate::table::Table;
use crate::wire::Malformed;

/// Which fields of a protocol are secret, besides those whose text happens to be a token.
///
/// ```
/// use tokenward_sanitize::Marks;
///
/// // CSI: the option `csi.v1.csi_secret`, by number or by name, and the key under which maps may hold tokens.
/// let marks = Marks::new().extension(1059).token_key("csi.storage.k8s.io/serviceAccount.tokens");
/// let same = Marks::new().extension_named("csi.v1.csi_secret");
///
/// // A provider's protocol that marks nothing: its fields by their paths.
/// let provider = Marks::new().field("v1alpha1.MountRequest.secrets").field("v1alpha1.MountRequest.attributes");
/// # let _ = (marks, same, provider);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Marks {
    options: Vec<u32>,
    named_options: Vec<String>,
    fields: Vec<String>,
    token_keys: Vec<String>,
}

impl Marks {
    /// No marks.
    ///
    /// Shown at [`Marks`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Fields are secret whose options have this bool extension of `google.protobuf.FieldOptions`, by its number.
    ///
    /// Shown at [`Marks`].
    #[must_use]
    pub fn extension(mut self, number: u32) -> Self {
        self.options.push(number);
        self
    }

    /// The same by the extension's full name, such as `csi.v1.csi_secret`; the descriptors have to declare it.
    ///
    /// Shown at [`Marks`].
    #[must_use]
    pub fn extension_named(mut self, full_name: impl Into<String>) -> Self {
        self.named_options.push(full_name.into());
        self
    }

    /// Fields are secret that say `debug_redact = true`, which is protobuf's own option for that.
    ///
    /// ```
    /// let marks = tokenward_sanitize::Marks::new().debug_redact();
    /// # let _ = marks;
    /// ```
    #[must_use]
    pub fn debug_redact(self) -> Self {
        self.extension(16)
    }

    /// This field is secret, by its full name: package, message, field. The descriptors have to declare it.
    ///
    /// Shown at [`Marks`].
    #[must_use]
    pub fn field(mut self, path: impl Into<String>) -> Self {
        self.fields.push(path.into());
        self
    }

    /// Whatever a map holds under this key is secret; compared without regard to ASCII case.
    ///
    /// Shown at [`Marks`].
    #[must_use]
    pub fn token_key(mut self, key: impl Into<String>) -> Self {
        self.token_keys.push(key.into());
        self
    }
}

/// Why descriptors give no table. Nothing is guessed: a mark that means nothing would leave a secret in the log.
///
/// ```
/// use tokenward_sanitize::{DescriptorError, Marks, Table};
///
/// let other = Table::from_descriptor_set(b"\x0a\x05abc", &Marks::new());
/// assert!(matches!(other, Err(DescriptorError::Malformed)));
///
/// // A field that is not there would stay unmarked, and what is in the one that was meant would be shown.
/// let mistaken = Table::from_descriptor_set(b"", &Marks::new().field("example.Login.passwort"));
/// let error = mistaken.err().ok_or("it was taken")?;
/// assert_eq!(
///     error.to_string(),
///     "no field `example.Login.passwort` among the descriptors; write it as package.Message.field"
/// );
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptorError {
    /// The bytes are something else.
    #[error(
        "wanted a compiled FileDescriptorSet (protoc --include_imports --descriptor_set_out), found other bytes"
    )]
    Malformed,
    /// A field's type is not among the descriptors.
    #[error(
        "the field `{field}` is of type `{type_name}`, which the descriptors do not hold; compile them with --include_imports"
    )]
    UnknownType {
        /// The full name of the field.
        field: String,
        /// The full name of its type.
        type_name: String,
    },
    /// A mark names an extension that is not among the descriptors.
    #[error(
        "no extension `{name}` of google.protobuf.FieldOptions among the descriptors; include the file that declares it"
    )]
    UnknownExtension {
        /// The full name in the mark.
        name: String,
    },
    /// A mark is an option that says something else than yes or no.
    #[error(
        "the option `{option}` marks fields, so it has to be a bool; mark the fields by their paths instead"
    )]
    NotBool {
        /// Its name, or its number.
        option: String,
    },
    /// A mark names a field that is not among the descriptors.
    #[error("no field `{path}` among the descriptors; write it as package.Message.field")]
    UnknownField {
        /// The path in the mark.
        path: String,
    },
    /// Something is declared by a rule of the language that is none of proto2, proto3 or an edition that is known here: the wire
    /// might be read wrongly by it.
    #[error(
        "`{name}` is declared with {rule} = {value}, which is not understood; compile it with an edition up to 2024"
    )]
    NotUnderstood {
        /// The name of the file, or the full name of the message or field.
        name: String,
        /// The syntax, or the feature.
        rule: &'static str,
        /// What it is.
        value: String,
    },
    /// A declaration breaks a rule of the language, so no compiler wrote it.
    #[error("the declaration of `{name}` cannot be used: {problem}; compile the descriptors anew")]
    Invalid {
        /// The full name of what is declared.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There are more declarations than a table has room for.
    #[error("more than 65536 {what} among the descriptors; leave out files that are not needed")]
    TooMany {
        /// Of what.
        what: &'static str,
    },
}

impl From<Malformed> for DescriptorError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Table {
    /// A table of all messages in a compiled `FileDescriptorSet`, as `protoc --include_imports --descriptor_set_out`, buf and
    /// protox write it: proto2, proto3 and editions.
    ///
    /// Extensions of messages are never shown; everything else is as in a generated table. Groups, and the messages with delimited
    /// encoding that editions made of them, are shown as other messages are.
    ///
    /// ```
    /// use tokenward_sanitize::{Marks, Sanitizer, Table};
    ///
    /// // syntax = "proto3"; package example; message Login { string user = 1; string password = 2; }
    /// let set = b"\x0a\x47\x0a\x0blogin.proto\x12\x07example\x22\x27\x0a\x05Login\
    ///             \x12\x0c\x0a\x04user\x18\x01\x20\x01\x28\x09\x12\x10\x0a\x08password\x18\x02\x20\x01\x28\x09\
    ///             \x62\x06proto3";
    /// let table = Table::from_descriptor_set(set, &Marks::new().field("example.Login.password"))?;
    /// let login = table.find("example.Login").ok_or("no such message")?;
    ///
    /// let wire = b"\x0a\x03bob\x12\x06tiger!";
    /// assert_eq!(Sanitizer::new().json(&table, login, wire), r#"{"password":"***stripped***","user":"bob"}"#);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the bytes are no descriptors, hold no types that they use, or a mark means nothing in them.
    pub fn from_descriptor_set(set: &[u8], marks: &Marks) -> Result<Self, DescriptorError> {
        let declarations = read::declarations(set)?;
        compile::table(&declarations, marks)
    }
}

#[cfg(test)]
mod tests;
