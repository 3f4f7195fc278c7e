//! Asking from inside an expression whether the user may do something: the variable `authorizer`.

use std::rc::Rc;

use crate::error::EvaluationError;
use crate::value::{Text, Value};

/// Something that somebody may be allowed to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check<'c> {
    /// The service account to ask about instead of the user: namespace and name.
    pub service_account: Option<(&'c str, &'c str)>,
    /// `get`, `create` and so on.
    pub verb: &'c str,
    /// To what.
    pub to: Object<'c>,
}

/// What something is done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object<'c> {
    /// A path that is no resource.
    Path(&'c str),
    /// A resource; what is empty is not named.
    Resource {
        /// The API group.
        group: &'c str,
        /// In the plural.
        resource: &'c str,
        /// The part of it.
        subresource: &'c str,
        /// The namespace.
        namespace: &'c str,
        /// The object's name.
        name: &'c str,
    },
}

/// An answer, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why, if there is something to say.
    pub reason: String,
}

/// Who knows what is allowed.
pub trait Authorizer {
    /// Decides.
    fn decide(&self, check: &Check<'_>) -> Decision;
}

/// A question in the making, and its answer.
#[derive(Clone)]
pub(crate) enum Authority<'a> {
    /// Whom it is about.
    Whom {
        authorizer: &'a dyn Authorizer,
        service_account: Option<(Text<'a>, Text<'a>)>,
    },
    Group {
        of: Rc<Authority<'a>>,
        group: Text<'a>,
    },
    Path {
        of: Rc<Authority<'a>>,
        path: Text<'a>,
    },
    Resource {
        of: Rc<Authority<'a>>,
        parts: Parts<'a>,
    },
    Decided {
        is_allowed: bool,
        reason: Text<'a>,
    },
}

/// What names a resource.
#[derive(Clone, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) group: Text<'a>,
    pub(crate) resource: Text<'a>,
    pub(crate) subresource: Text<'a>,
    pub(crate) namespace: Text<'a>,
    pub(crate) name: Text<'a>,
}

impl std::fmt::Debug for Authority<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

const NO_PATH: EvaluationError = EvaluationError::Argument("path must not be empty");
const NO_RESOURCE: EvaluationError = EvaluationError::Argument("resource must not be empty");
const NO_NAMESPACE: EvaluationError = EvaluationError::Argument("Invalid service account namespace");
const NO_NAME: EvaluationError = EvaluationError::Argument("Invalid service account name");

/// What asking costs: far more than anything else.
pub(crate) const COST: u64 = 350_000;

impl<'a> Authority<'a> {
    /// The next step of a question. Whoever asks has paid for the texts: they are looked through.
    pub(crate) fn call(
        self: &Rc<Self>,
        function: &str,
        arguments: &[&Text<'a>],
    ) -> Option<Result<Value<'a>, EvaluationError>> {
        let next = |next: Self| Some(Ok(Value::Authority(Rc::new(next))));
        match (&**self, function, arguments) {
            (Self::Whom { .. }, "group", [group]) => {
                next(Self::Group { of: self.clone(), group: (*group).clone() })
            }
            (Self::Whom { .. }, "path", [path]) => match trimmed(path) {
                None => Some(Err(NO_PATH)),
                Some(path) => next(Self::Path { of: self.clone(), path }),
            },
            (Self::Whom { authorizer, .. }, "serviceAccount", [namespace, name]) => {
                let is_plain = |text: &str, others: &str| {
                    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || others.contains(c);
                    !text.is_empty() && text.len() <= 253 && text.chars().all(fits)
                };
                if !is_plain(namespace, "-") {
                    return Some(Err(NO_NAMESPACE));
                }
                if !is_plain(name, "-.") {
                    return Some(Err(NO_NAME));
                }
                let service_account = Some(((*namespace).clone(), (*name).clone()));
                next(Self::Whom { authorizer: *authorizer, service_account })
            }
            (Self::Group { of, group }, "resource", [resource]) => match trimmed(resource) {
                None => Some(Err(NO_RESOURCE)),
                Some(resource) => {
                    let [subresource, namespace, name] = [""; 3].map(Text::from);
                    let parts = Parts { group: group.clone(), resource, subresource, namespace, name };
                    next(Self::Resource { of: of.clone(), parts })
                }
            },
            (Self::Resource { of, parts }, "subresource" | "namespace" | "name", [text]) => {
                let mut parts = parts.clone();
                let part = match function {
                    "subresource" => &mut parts.subresource,
                    "namespace" => &mut parts.namespace,
                    _ => &mut parts.name,
                };
                *part = (*text).clone();
                next(Self::Resource { of: of.clone(), parts })
            }
            (Self::Path { of, path }, "check", [verb]) => next(of.decided(verb, Object::Path(path))?),
            (Self::Resource { of, parts }, "check", [verb]) => {
                let Parts { group, resource, subresource, namespace, name } = parts;
                next(of.decided(verb, Object::Resource { group, resource, subresource, namespace, name })?)
            }
            (Self::Decided { is_allowed, .. }, "allowed", []) => Some(Ok(Value::Bool(*is_allowed))),
            (Self::Decided { reason, .. }, "reason", []) => Some(Ok(Value::Text(reason.clone()))),
            (Self::Decided { .. }, "errored", []) => Some(Ok(Value::Bool(false))),
            (Self::Decided { .. }, "error", []) => Some(Ok(Value::text(""))),
            _ => None,
        }
    }

    fn decided(&self, verb: &str, to: Object<'_>) -> Option<Self> {
        let Self::Whom { authorizer, service_account } = self else { return None };
        let service_account = service_account.as_ref().map(|(namespace, name)| (&**namespace, &**name));
        let Decision { allowed, reason } = authorizer.decide(&Check { service_account, verb, to });
        Some(Self::Decided { is_allowed: allowed, reason: reason.into() })
    }
}

/// A text without the spaces around it, if anything is left.
fn trimmed<'a>(text: &Text<'a>) -> Option<Text<'a>> {
    match text.trim() {
        "" => None,
        all if all.len() == text.len() => Some(text.clone()),
        part => Some(part.to_owned().into()),
    }
}
