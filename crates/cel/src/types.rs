//! The types of expressions, as far as they are known before one is evaluated.

use std::fmt;
use std::sync::Arc;

/// A type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Known only once it is there: anything of an object.
    Dyn,
    /// `null`.
    Null,
    /// A truth value.
    Bool,
    /// A whole number.
    Int,
    /// A whole number that is never negative.
    Uint,
    /// A number with a fraction.
    Double,
    /// A text.
    Text,
    /// Items of one type.
    List(Arc<Type>),
    /// Values of one type by keys of one type.
    Map(Arc<Type>, Arc<Type>),
    /// A value or none.
    Optional(Arc<Type>),
    /// Fields of known names.
    Record(Arc<Record>),
    /// A step of asking what is allowed.
    Authority(Step),
    /// A moment.
    Timestamp,
    /// A span of time.
    Duration,
    /// An amount of a resource.
    Quantity,
    /// An address.
    Ip,
    /// A network.
    Cidr,
    /// A rule that texts may keep.
    Format,
}

/// A type with fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// As messages call it.
    pub name: &'static str,
    /// The fields by name.
    pub fields: Vec<(&'static str, Type)>,
}

/// How far a question about what is allowed has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Whom it is about.
    Authorizer,
    /// A group of resources.
    Group,
    /// A path.
    Path,
    /// A resource.
    Resource,
    /// The answer.
    Decision,
}

/// How deep a type may be: what is deeper is not told apart.
const DEEPEST: usize = 50;

impl Type {
    /// Items of this type.
    #[must_use]
    pub fn list(item: Self) -> Self {
        Self::List(item.within())
    }

    /// Values of the second type by keys of the first.
    #[must_use]
    pub fn map(key: Self, value: Self) -> Self {
        Self::Map(key.within(), value.within())
    }

    /// A value of this type or none.
    #[must_use]
    pub fn optional(of: Self) -> Self {
        Self::Optional(of.within())
    }

    /// This type as a part of another, or any type if it would be too deep.
    fn within(self) -> Arc<Self> {
        Arc::new(if self.depth() < DEEPEST { self } else { Self::Dyn })
    }

    fn depth(&self) -> usize {
        match self {
            Self::List(of) | Self::Optional(of) => 1 + of.depth(),
            Self::Map(key, value) => 1 + key.depth().max(value.depth()),
            _ => 0,
        }
    }

    /// Fields of these names.
    #[must_use]
    pub fn record(name: &'static str, fields: Vec<(&'static str, Self)>) -> Self {
        Self::Record(Arc::new(Record { name, fields }))
    }

    /// Whether a value may be of both.
    pub(crate) fn may_be(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::List(a), Self::List(b)) | (Self::Optional(a), Self::Optional(b)) => a.may_be(b),
            (Self::Map(a, b), Self::Map(c, d)) => a.may_be(c) && b.may_be(d),
            // What has fields may be absent.
            (Self::Null, Self::Record(_) | Self::Optional(_))
            | (Self::Record(_) | Self::Optional(_), Self::Null) => true,
            _ => self == other,
        }
    }

    /// The type of what is one or the other.
    pub(crate) fn or(self, other: &Self) -> Self {
        if self == *other { self } else { Self::Dyn }
    }

    /// Whether it is one of time.
    pub(crate) fn is_time(&self) -> bool {
        matches!(self, Self::Timestamp | Self::Duration)
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Dyn => "dyn",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::Text => "string",
            Self::List(item) => return write!(f, "list({item})"),
            Self::Map(key, value) => return write!(f, "map({key}, {value})"),
            Self::Optional(of) => return write!(f, "optional_type({of})"),
            Self::Record(record) => record.name,
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::Duration => "google.protobuf.Duration",
            Self::Quantity => "kubernetes.Quantity",
            Self::Ip => "net.IP",
            Self::Cidr => "net.CIDR",
            Self::Format => "kubernetes.NamedFormat",
            Self::Authority(Step::Authorizer) => "kubernetes.authorization.Authorizer",
            Self::Authority(Step::Group) => "kubernetes.authorization.GroupCheck",
            Self::Authority(Step::Path) => "kubernetes.authorization.PathCheck",
            Self::Authority(Step::Resource) => "kubernetes.authorization.ResourceCheck",
            Self::Authority(Step::Decision) => "kubernetes.authorization.Decision",
        };
        f.write_str(name)
    }
}
