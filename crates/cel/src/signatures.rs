//! The functions that there are: one table, out of which calls are checked.

use crate::types::{Step, Type};

/// What a function takes or gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Any,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    List,
    Texts,
    Map,
    Optional,
    Authority(Step),
    Time,
    Span,
    Quantity,
    Ip,
    Cidr,
    Format,
    /// A list of texts, or none.
    OptionalTexts,
    /// A rule, or none.
    OptionalFormat,
    /// What the list or the optional value holds that the function belongs to.
    Held,
    /// The type of the value that the function belongs to.
    Same,
    /// The type of the first argument, or none.
    OptionalOfFirst,
}

struct Signature(&'static str, Option<Of>, &'static [Of], Of);

use Of::{
    Any, Bool, Cidr, Double, Format, Held, Int, Ip, List, Map, Optional, OptionalFormat, OptionalOfFirst,
    OptionalTexts, Quantity, Same, Span, Text, Texts, Time, Uint,
};

/// The words before functions that belong to nothing.
pub(crate) const PREFIXES: [&str; 4] = ["format", "ip", "optional", "sets"];

const AUTHORIZER: Of = Of::Authority(Step::Authorizer);
const GROUP: Of = Of::Authority(Step::Group);
const PATH: Of = Of::Authority(Step::Path);
const RESOURCE: Of = Of::Authority(Step::Resource);
const DECISION: Of = Of::Authority(Step::Decision);

/// Those of the language, and of Kubernetes' libraries for texts, patterns, lists, sets, optional values, authorization,
/// quantities, addresses, networks and formats.
const TABLE: &[Signature] = &[
    Signature("size", None, &[Text], Int),
    Signature("size", None, &[List], Int),
    Signature("size", None, &[Map], Int),
    Signature("size", Some(Text), &[], Int),
    Signature("size", Some(List), &[], Int),
    Signature("size", Some(Map), &[], Int),
    Signature("dyn", None, &[Any], Any),
    Signature("bool", None, &[Bool], Bool),
    Signature("bool", None, &[Text], Bool),
    Signature("int", None, &[Int], Int),
    Signature("int", None, &[Uint], Int),
    Signature("int", None, &[Double], Int),
    Signature("int", None, &[Text], Int),
    Signature("uint", None, &[Int], Uint),
    Signature("uint", None, &[Uint], Uint),
    Signature("uint", None, &[Double], Uint),
    Signature("uint", None, &[Text], Uint),
    Signature("double", None, &[Int], Double),
    Signature("double", None, &[Uint], Double),
    Signature("double", None, &[Double], Double),
    Signature("double", None, &[Text], Double),
    Signature("string", None, &[Bool], Text),
    Signature("string", None, &[Int], Text),
    Signature("string", None, &[Uint], Text),
    Signature("string", None, &[Double], Text),
    Signature("string", None, &[Text], Text),
    Signature("matches", None, &[Text, Text], Bool),
    Signature("matches", Some(Text), &[Text], Bool),
    Signature("find", Some(Text), &[Text], Text),
    Signature("findAll", Some(Text), &[Text], Texts),
    Signature("findAll", Some(Text), &[Text, Int], Texts),
    Signature("startsWith", Some(Text), &[Text], Bool),
    Signature("endsWith", Some(Text), &[Text], Bool),
    Signature("contains", Some(Text), &[Text], Bool),
    Signature("charAt", Some(Text), &[Int], Text),
    Signature("indexOf", Some(Text), &[Text], Int),
    Signature("indexOf", Some(Text), &[Text, Int], Int),
    Signature("lastIndexOf", Some(Text), &[Text], Int),
    Signature("lowerAscii", Some(Text), &[], Text),
    Signature("upperAscii", Some(Text), &[], Text),
    Signature("trim", Some(Text), &[], Text),
    Signature("replace", Some(Text), &[Text, Text], Text),
    Signature("replace", Some(Text), &[Text, Text, Int], Text),
    Signature("split", Some(Text), &[Text], Texts),
    Signature("split", Some(Text), &[Text, Int], Texts),
    Signature("substring", Some(Text), &[Int], Text),
    Signature("substring", Some(Text), &[Int, Int], Text),
    Signature("join", Some(Texts), &[], Text),
    Signature("join", Some(Texts), &[Text], Text),
    Signature("isSorted", Some(List), &[], Bool),
    Signature("sum", Some(List), &[], Held),
    Signature("min", Some(List), &[], Held),
    Signature("max", Some(List), &[], Held),
    Signature("indexOf", Some(List), &[Any], Int),
    Signature("lastIndexOf", Some(List), &[Any], Int),
    Signature("sets.contains", None, &[List, List], Bool),
    Signature("sets.equivalent", None, &[List, List], Bool),
    Signature("sets.intersects", None, &[List, List], Bool),
    Signature("optional.of", None, &[Any], OptionalOfFirst),
    Signature("optional.ofNonZeroValue", None, &[Any], OptionalOfFirst),
    Signature("optional.none", None, &[], OptionalOfFirst),
    Signature("hasValue", Some(Optional), &[], Bool),
    Signature("value", Some(Optional), &[], Held),
    Signature("orValue", Some(Optional), &[Any], Held),
    Signature("or", Some(Optional), &[Optional], Same),
    Signature("group", Some(AUTHORIZER), &[Text], GROUP),
    Signature("path", Some(AUTHORIZER), &[Text], PATH),
    Signature("serviceAccount", Some(AUTHORIZER), &[Text, Text], AUTHORIZER),
    Signature("resource", Some(GROUP), &[Text], RESOURCE),
    Signature("subresource", Some(RESOURCE), &[Text], RESOURCE),
    Signature("namespace", Some(RESOURCE), &[Text], RESOURCE),
    Signature("name", Some(RESOURCE), &[Text], RESOURCE),
    Signature("check", Some(PATH), &[Text], DECISION),
    Signature("check", Some(RESOURCE), &[Text], DECISION),
    Signature("allowed", Some(DECISION), &[], Bool),
    Signature("reason", Some(DECISION), &[], Text),
    Signature("errored", Some(DECISION), &[], Bool),
    Signature("error", Some(DECISION), &[], Text),
    Signature("timestamp", None, &[Time], Time),
    Signature("timestamp", None, &[Int], Time),
    Signature("timestamp", None, &[Text], Time),
    Signature("duration", None, &[Span], Span),
    Signature("duration", None, &[Text], Span),
    Signature("int", None, &[Time], Int),
    Signature("int", None, &[Span], Int),
    Signature("string", None, &[Time], Text),
    Signature("string", None, &[Span], Text),
    Signature("string", None, &[Ip], Text),
    Signature("string", None, &[Cidr], Text),
    Signature("getFullYear", Some(Time), &[], Int),
    Signature("getFullYear", Some(Time), &[Text], Int),
    Signature("getMonth", Some(Time), &[], Int),
    Signature("getMonth", Some(Time), &[Text], Int),
    Signature("getDayOfYear", Some(Time), &[], Int),
    Signature("getDayOfYear", Some(Time), &[Text], Int),
    Signature("getDayOfMonth", Some(Time), &[], Int),
    Signature("getDayOfMonth", Some(Time), &[Text], Int),
    Signature("getDate", Some(Time), &[], Int),
    Signature("getDate", Some(Time), &[Text], Int),
    Signature("getDayOfWeek", Some(Time), &[], Int),
    Signature("getDayOfWeek", Some(Time), &[Text], Int),
    Signature("getHours", Some(Time), &[], Int),
    Signature("getHours", Some(Time), &[Text], Int),
    Signature("getMinutes", Some(Time), &[], Int),
    Signature("getMinutes", Some(Time), &[Text], Int),
    Signature("getSeconds", Some(Time), &[], Int),
    Signature("getSeconds", Some(Time), &[Text], Int),
    Signature("getMilliseconds", Some(Time), &[], Int),
    Signature("getMilliseconds", Some(Time), &[Text], Int),
    Signature("getHours", Some(Span), &[], Int),
    Signature("getMinutes", Some(Span), &[], Int),
    Signature("getSeconds", Some(Span), &[], Int),
    Signature("getMilliseconds", Some(Span), &[], Int),
    Signature("quantity", None, &[Text], Quantity),
    Signature("isQuantity", None, &[Text], Bool),
    Signature("sign", Some(Quantity), &[], Int),
    Signature("isInteger", Some(Quantity), &[], Bool),
    Signature("asInteger", Some(Quantity), &[], Int),
    Signature("asApproximateFloat", Some(Quantity), &[], Double),
    Signature("add", Some(Quantity), &[Quantity], Quantity),
    Signature("add", Some(Quantity), &[Int], Quantity),
    Signature("sub", Some(Quantity), &[Quantity], Quantity),
    Signature("sub", Some(Quantity), &[Int], Quantity),
    Signature("compareTo", Some(Quantity), &[Quantity], Int),
    Signature("isGreaterThan", Some(Quantity), &[Quantity], Bool),
    Signature("isLessThan", Some(Quantity), &[Quantity], Bool),
    Signature("ip", None, &[Text], Ip),
    Signature("isIP", None, &[Text], Bool),
    Signature("ip.isCanonical", None, &[Text], Bool),
    Signature("family", Some(Ip), &[], Int),
    Signature("isUnspecified", Some(Ip), &[], Bool),
    Signature("isLoopback", Some(Ip), &[], Bool),
    Signature("isLinkLocalMulticast", Some(Ip), &[], Bool),
    Signature("isLinkLocalUnicast", Some(Ip), &[], Bool),
    Signature("isGlobalUnicast", Some(Ip), &[], Bool),
    Signature("cidr", None, &[Text], Cidr),
    Signature("isCIDR", None, &[Text], Bool),
    Signature("containsIP", Some(Cidr), &[Ip], Bool),
    Signature("containsIP", Some(Cidr), &[Text], Bool),
    Signature("containsCIDR", Some(Cidr), &[Cidr], Bool),
    Signature("containsCIDR", Some(Cidr), &[Text], Bool),
    Signature("ip", Some(Cidr), &[], Ip),
    Signature("masked", Some(Cidr), &[], Cidr),
    Signature("prefixLength", Some(Cidr), &[], Int),
    Signature("format.named", None, &[Text], OptionalFormat),
    Signature("format.byte", None, &[], Format),
    Signature("format.date", None, &[], Format),
    Signature("format.datetime", None, &[], Format),
    Signature("format.dns1035Label", None, &[], Format),
    Signature("format.dns1035LabelPrefix", None, &[], Format),
    Signature("format.dns1123Label", None, &[], Format),
    Signature("format.dns1123LabelPrefix", None, &[], Format),
    Signature("format.dns1123Subdomain", None, &[], Format),
    Signature("format.dns1123SubdomainPrefix", None, &[], Format),
    Signature("format.labelValue", None, &[], Format),
    Signature("format.qualifiedName", None, &[], Format),
    Signature("format.uuid", None, &[], Format),
    Signature("validate", Some(Format), &[Text], OptionalTexts),
];

/// What comes of looking a call up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// There is no such function.
    Unknown,
    /// There is, but not for these.
    Misfit,
    Of(Type),
}

/// The type of a call.
pub(crate) fn look_up(function: &str, target: Option<&Type>, arguments: &[Type]) -> Lookup {
    let named =
        TABLE.iter().filter(|signature| signature.0 == function && signature.1.is_some() == target.is_some());
    let mut found = Lookup::Unknown;
    for Signature(_, of, takes, gives) in named {
        let fits = of.zip(target).is_none_or(|(of, target)| of.takes(target))
            && takes.len() == arguments.len()
            && takes.iter().zip(arguments).all(|(takes, argument)| takes.takes(argument));
        if !fits {
            if found == Lookup::Unknown {
                found = Lookup::Misfit;
            }
            continue;
        }
        let gives = gives.given(target, arguments);
        found = match found {
            Lookup::Of(known) => Lookup::Of(known.or(&gives)),
            Lookup::Unknown | Lookup::Misfit => Lookup::Of(gives),
        };
    }
    found
}

impl Of {
    fn takes(self, found: &Type) -> bool {
        *found == Type::Dyn
            || match self {
                Any => true,
                List => matches!(found, Type::List(_)),
                Texts => matches!(found, Type::List(item) if item.may_be(&Type::Text)),
                Map => matches!(found, Type::Map(_, _)),
                Optional => matches!(found, Type::Optional(_)),
                _ => self.given(None, &[]) == *found,
            }
    }

    fn given(self, target: Option<&Type>, arguments: &[Type]) -> Type {
        match self {
            Any => Type::Dyn,
            Bool => Type::Bool,
            Int => Type::Int,
            Uint => Type::Uint,
            Double => Type::Double,
            Text => Type::Text,
            List => Type::list(Type::Dyn),
            Texts => Type::list(Type::Text),
            Map => Type::map(Type::Dyn, Type::Dyn),
            Optional => Type::optional(Type::Dyn),
            Self::Authority(step) => Type::Authority(step),
            Time => Type::Timestamp,
            Span => Type::Duration,
            Quantity => Type::Quantity,
            Ip => Type::Ip,
            Cidr => Type::Cidr,
            Format => Type::Format,
            OptionalTexts => Type::optional(Type::list(Type::Text)),
            OptionalFormat => Type::optional(Type::Format),
            Held => match target {
                Some(Type::List(held) | Type::Optional(held)) => (**held).clone(),
                _ => Type::Dyn,
            },
            Same => target.cloned().unwrap_or(Type::Dyn),
            OptionalOfFirst => Type::optional(arguments.first().cloned().unwrap_or(Type::Dyn)),
        }
    }
}
