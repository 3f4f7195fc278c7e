//! Why a strategic merge patch is refused, in upstream's words; where those print a part of the object, this says so
//! instead, since it may be a secret.

use serde_json::Value;

/// A strategic merge patch that cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StrategicError {
    /// `$deleteFromPrimitiveList` does not say of which list.
    #[error("invalid patch format of primitive list")]
    BadPrimitiveList,
    /// `$retainKeys` is no list, or the patch sets what it does not retain.
    #[error("invalid patch format of retainKeys")]
    BadRetainKeys,
    /// `$setElementOrder` does not say of which list.
    #[error("invalid patch format of setElementOrder list")]
    BadElementOrder,
    /// A list with a merge strategy holds lists.
    #[error("lists of lists are not supported")]
    ListOfLists,
    /// An item does not have the member that tells items apart.
    #[error("map: (not shown) does not contain declared merge key: {0}")]
    NoMergeKey(String),
    /// The list has no member that tells its objects apart.
    #[error("cannot merge lists without merge key for type string")]
    NoKeyDeclared,
    /// `$patch` has a value that means nothing.
    #[error("unknown patch type: {0} in map: (not shown)")]
    UnknownDirective(String),
    /// An item of a list says `$patch: merge`.
    #[error("merging lists cannot yet be specified in the patch")]
    MergeInList,
    /// Items of a list are of different types.
    #[error("list element types are not identical: (not shown)")]
    MixedItems,
    /// A value is of another type than its place wants.
    #[error("expected a {wanted}, but received a {found}")]
    WrongType {
        /// The Go type that is wanted.
        wanted: &'static str,
        /// The Go type that is found.
        found: &'static str,
    },
    /// Items of the patch stand in another order than `$setElementOrder` has them, or are not in it.
    #[error("The order in patch list:\n(not shown)\n doesn't match $setElementOrder list:\n(not shown)\n")]
    OrderMismatch,
    /// A member that has to be merged is none of the type's fields.
    #[error("unable to find api field in struct {go_struct} for the json field \"{name}\"")]
    UnknownField {
        /// The Go struct.
        go_struct: &'static str,
        /// The member.
        name: String,
    },
}

/// Whose fault it is, which decides the status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrategicFault {
    /// The patch is malformed: 400.
    BadRequest,
    /// The patch is well formed and cannot be done: 422.
    Unprocessable,
    /// Upstream does not say, and answers 500.
    Unclassified,
}

impl StrategicError {
    /// Whose fault it is.
    #[must_use]
    pub const fn fault(&self) -> StrategicFault {
        match self {
            Self::BadPrimitiveList | Self::BadRetainKeys | Self::BadElementOrder => {
                StrategicFault::BadRequest
            }
            Self::ListOfLists => StrategicFault::Unprocessable,
            _ => StrategicFault::Unclassified,
        }
    }

    pub(super) fn unknown_directive(directive: &Value) -> Self {
        // A directive is a word of this protocol; anything longer is data that strayed there.
        let word = directive.as_str().filter(|word| word.len() <= 32).unwrap_or("(not shown)");
        Self::UnknownDirective(word.to_owned())
    }
}
