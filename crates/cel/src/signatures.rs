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
    /// What the list or the optional value holds that the function belongs to.
    Held,
    /// The type of the value that the function belongs to.
    Same,
    /// The type of the first argument, or none.
    OptionalOfFirst,
}

struct Signature(&'static str, Option<Of>, &'static [Of], Of);

use Of::{Any, Bool, Double, Held, Int, List, Map, Optional, OptionalOfFirst, Same, Text, Texts, Uint};

const AUTHORIZER: Of = Of::Authority(Step::Authorizer);
const GROUP: Of = Of::Authority(Step::Group);
const PATH: Of = Of::Authority(Step::Path);
const RESOURCE: Of = Of::Authority(Step::Resource);
const DECISION: Of = Of::Authority(Step::Decision);

/// Those of the language, and of Kubernetes' libraries for texts, patterns, lists, sets, optional values and authorization.
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
            Held => match target {
                Some(Type::List(held) | Type::Optional(held)) => (**held).clone(),
                _ => Type::Dyn,
            },
            Same => target.cloned().unwrap_or(Type::Dyn),
            OptionalOfFirst => Type::optional(arguments.first().cloned().unwrap_or(Type::Dyn)),
        }
    }
}
