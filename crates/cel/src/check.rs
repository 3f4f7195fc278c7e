//! What type an expression is of, and whether everything in it is for what it is used.

use std::collections::HashMap;

use crate::error::Fault;
use crate::functions::{Pattern, pattern};
use crate::signatures::{Lookup, PREFIXES, look_up};
use crate::syntax::{Kind, Literal, Macro, Node, Operator};
use crate::types::{Step, Type};

/// The most different patterns of one expression: each is held for as long as the expression is.
const MOST_PATTERNS: usize = 100;

/// Looks through an expression.
pub(crate) struct Checker<'v> {
    variables: &'v [(&'static str, Type)],
    /// Those of macros, the innermost last.
    scopes: Vec<(String, Type)>,
    /// The patterns that the expression spells out.
    pub(crate) patterns: HashMap<String, Pattern>,
}

impl<'v> Checker<'v> {
    pub(crate) fn new(variables: &'v [(&'static str, Type)]) -> Self {
        Self { variables, scopes: Vec::new(), patterns: HashMap::new() }
    }

    fn named(&self, name: &str) -> Option<&Type> {
        let scoped = self.scopes.iter().rev().find(|(known, _)| known == name).map(|(_, of)| of);
        scoped.or_else(|| self.variables.iter().find(|(known, _)| *known == name).map(|(_, of)| of))
    }

    pub(crate) fn check(&mut self, node: &Node) -> Result<Type, Fault> {
        match &node.kind {
            Kind::Literal(literal) => Ok(of_literal(literal)),
            Kind::Name(name) => self.named(name).cloned().ok_or_else(|| undeclared(node.at, name)),
            Kind::Select { operand, field, is_optional } => {
                let found = self.select(node.at, operand, field)?;
                Ok(if *is_optional && !matches!(found, Type::Optional(_)) {
                    Type::optional(found)
                } else {
                    found
                })
            }
            Kind::Has { operand, field } => self.select(node.at, operand, field).map(|_| Type::Bool),
            Kind::Index { both, is_optional } => {
                let (of, index) = (self.check(&both[0])?, self.check(&both[1])?);
                let found =
                    item(&of, &index).ok_or_else(|| misfit(node.at, "_[_]", None, &[of.clone(), index]))?;
                Ok(if *is_optional && !matches!(found, Type::Optional(_)) {
                    Type::optional(found)
                } else {
                    found
                })
            }
            Kind::Call { function, target, arguments } => {
                self.call(node.at, function, target.as_deref(), arguments)
            }
            Kind::List(items) => self.common(items.iter()).map(Type::list),
            Kind::Map(entries) => {
                // Only a scalar is a key. That keeps a type from being larger than the text that it comes from.
                let key = match self.common(entries.iter().map(|[key, _]| key))? {
                    key @ (Type::Bool | Type::Int | Type::Uint | Type::Text) => key,
                    _ => Type::Dyn,
                };
                let value = self.common(entries.iter().map(|[_, value]| value))?;
                Ok(Type::map(key, value))
            }
            Kind::All(parts) => self.truths(node.at, "_&&_", parts),
            Kind::Any(parts) => self.truths(node.at, "_||_", parts),
            Kind::Conditional(parts) => {
                let [condition, yes, no] = &**parts;
                let (condition, yes, no) = (self.check(condition)?, self.check(yes)?, self.check(no)?);
                if !condition.may_be(&Type::Bool) || !yes.may_be(&no) {
                    return Err(misfit(node.at, "_?_:_", None, &[condition, yes, no]));
                }
                Ok(yes.or(&no))
            }
            Kind::Not(operand) => {
                let of = self.check(operand)?;
                if of.may_be(&Type::Bool) { Ok(Type::Bool) } else { Err(misfit(node.at, "!_", None, &[of])) }
            }
            Kind::Negative(operand) => match self.check(operand)? {
                of @ (Type::Int | Type::Double | Type::Dyn) => Ok(of),
                of => Err(misfit(node.at, "-_", None, &[of])),
            },
            Kind::Binary(operator, both) => {
                let (left, right) = (self.check(&both[0])?, self.check(&both[1])?);
                binary(*operator, &left, &right)
                    .ok_or_else(|| misfit(node.at, operator.name(), None, &[left, right]))
            }
            Kind::Comprehension { over, range, variable, arguments } => {
                self.comprehension(*over, range, variable, arguments)
            }
        }
    }

    fn select(&mut self, at: usize, operand: &Node, field: &str) -> Result<Type, Fault> {
        let of = self.check(operand)?;
        match field_of(&of, field) {
            Some(found) => Ok(found),
            None if matches!(of, Type::Record(_)) => {
                Err(Fault::new(at, format!("undefined field '{field}'")))
            }
            None => Err(Fault::new(at, format!("type '{of}' does not support field selection"))),
        }
    }

    fn call(
        &mut self,
        at: usize,
        function: &str,
        target: Option<&Node>,
        arguments: &[Node],
    ) -> Result<Type, Fault> {
        let prefix = target.and_then(|target| self.prefix(target));
        let name = prefix.map_or_else(|| function.to_owned(), |prefix| format!("{prefix}.{function}"));
        let target = target.filter(|_| prefix.is_none());
        let of = target.map(|target| self.check(target)).transpose()?;
        let types: Vec<Type> =
            arguments.iter().map(|argument| self.check(argument)).collect::<Result<_, _>>()?;
        if matches!(function, "matches" | "find" | "findAll") {
            self.note_pattern(if of.is_some() { arguments.first() } else { arguments.get(1) })?;
        }
        match look_up(&name, of.as_ref(), &types) {
            Lookup::Of(found) => Ok(found),
            Lookup::Misfit => Err(misfit(at, &name, of.as_ref(), &types)),
            Lookup::Unknown => Err(undeclared(at, &name)),
        }
    }

    /// A word that stands before a function, and is no variable.
    fn prefix(&self, target: &Node) -> Option<&'static str> {
        let Kind::Name(name) = &target.kind else { return None };
        PREFIXES.into_iter().find(|prefix| prefix == name && self.named(name).is_none())
    }

    fn note_pattern(&mut self, argument: Option<&Node>) -> Result<(), Fault> {
        if let Some(Node { kind: Kind::Literal(Literal::String(text)), at, .. }) = argument {
            if self.patterns.contains_key(text) {
                return Ok(());
            }
            if self.patterns.len() == MOST_PATTERNS {
                return Err(Fault::new(*at, format!("more than {MOST_PATTERNS} different patterns")));
            }
            let compiled = pattern(text).map_err(|why| Fault::new(*at, why.to_string()))?;
            self.patterns.insert(text.clone(), compiled);
        }
        Ok(())
    }

    fn common<'n>(&mut self, nodes: impl Iterator<Item = &'n Node>) -> Result<Type, Fault> {
        let mut common: Option<Type> = None;
        for node in nodes {
            let of = self.check(node)?;
            common = Some(common.map_or(of.clone(), |common| common.or(&of)));
        }
        Ok(common.unwrap_or(Type::Dyn))
    }

    fn truths(&mut self, at: usize, operator: &str, parts: &[Node]) -> Result<Type, Fault> {
        for part in parts {
            let of = self.check(part)?;
            if !of.may_be(&Type::Bool) {
                return Err(misfit(at, operator, None, &[Type::Bool, of]));
            }
        }
        Ok(Type::Bool)
    }

    fn comprehension(
        &mut self,
        over: Macro,
        range: &Node,
        variable: &str,
        arguments: &[Node],
    ) -> Result<Type, Fault> {
        let item = match self.check(range)? {
            Type::List(item) | Type::Map(item, _) => (*item).clone(),
            Type::Dyn => Type::Dyn,
            of => {
                let why = format!(
                    "expression of type '{of}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                return Err(Fault::new(range.at, why));
            }
        };
        self.scopes.push((variable.to_owned(), item.clone()));
        let types: Result<Vec<Type>, Fault> = arguments.iter().map(|argument| self.check(argument)).collect();
        self.scopes.pop();
        let types = types?;
        let predicates = if over == Macro::Map { &types[..types.len() - 1] } else { &types[..] };
        if let Some(wrong) = predicates.iter().find(|of| !of.may_be(&Type::Bool)) {
            let at = arguments.first().map_or(range.at, |argument| argument.at);
            return Err(misfit(at, "_?_:_", None, std::slice::from_ref(wrong)));
        }
        Ok(match over {
            Macro::All | Macro::Exists | Macro::ExistsOne => Type::Bool,
            Macro::Filter => Type::list(item),
            Macro::Map => Type::list(types.last().cloned().unwrap_or(Type::Dyn)),
        })
    }
}

fn of_literal(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::Text,
    }
}

fn field_of(of: &Type, field: &str) -> Option<Type> {
    match of {
        Type::Dyn => Some(Type::Dyn),
        Type::Map(_, value) => Some((**value).clone()),
        Type::Record(record) => {
            record.fields.iter().find(|(name, _)| *name == field).map(|(_, of)| of.clone())
        }
        Type::Optional(of) => field_of(of, field).map(Type::optional),
        Type::Authority(Step::Authorizer) if field == "requestResource" => {
            Some(Type::Authority(Step::Resource))
        }
        _ => None,
    }
}

fn item(of: &Type, index: &Type) -> Option<Type> {
    match of {
        Type::Dyn => Some(Type::Dyn),
        Type::List(item) => (index.is_number() || *index == Type::Dyn).then(|| (**item).clone()),
        Type::Map(key, value) => index.may_be(key).then(|| (**value).clone()),
        Type::Optional(of) => item(of, index).map(Type::optional),
        _ => None,
    }
}

fn binary(operator: Operator, left: &Type, right: &Type) -> Option<Type> {
    let has_order =
        |of: &Type| of.is_number() || of.is_time() || matches!(of, Type::Bool | Type::Text | Type::Dyn);
    match operator {
        Operator::Equal | Operator::NotEqual => left.may_be(right).then_some(Type::Bool),
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            let fit = left.may_be(right) || (left.is_number() && right.is_number());
            (fit && has_order(left) && has_order(right)).then_some(Type::Bool)
        }
        Operator::In => match right {
            Type::List(item) => left.may_be(item).then_some(Type::Bool),
            Type::Map(key, _) => left.may_be(key).then_some(Type::Bool),
            Type::Dyn => Some(Type::Bool),
            _ => None,
        },
        Operator::Add if matches!((left, right), (Type::Text, Type::Text)) => Some(Type::Text),
        Operator::Add if matches!((left, right), (Type::List(_), Type::List(_))) => {
            Some(left.clone().or(right))
        }
        Operator::Add | Operator::Subtract if left.is_time() || right.is_time() => {
            of_times(operator == Operator::Add, left, right)
        }
        Operator::Remainder if matches!(left, Type::Double) => None,
        _ => match (left, right) {
            (Type::Dyn, Type::Dyn) => Some(Type::Dyn),
            (Type::Dyn, of) | (of, Type::Dyn) => {
                let fits =
                    of.is_number() || (operator == Operator::Add && matches!(of, Type::Text | Type::List(_)));
                fits.then(|| of.clone())
            }
            _ => (left == right && left.is_number()).then(|| left.clone()),
        },
    }
}

/// What a sum or a difference with a moment or a span is.
fn of_times(is_sum: bool, left: &Type, right: &Type) -> Option<Type> {
    use Type::{Duration, Dyn, Timestamp};
    match (is_sum, left, right) {
        (true, Timestamp, Duration | Dyn) | (true, Duration | Dyn, Timestamp) => Some(Timestamp),
        (false, Timestamp, Duration) => Some(Timestamp),
        (false, Timestamp | Dyn, Timestamp) | (false, Duration, Dyn) => Some(Duration),
        (_, Duration, Duration) => Some(Duration),
        (true, Duration, Dyn) | (_, Dyn, Duration) | (false, Timestamp, Dyn) => Some(Dyn),
        _ => None,
    }
}

fn undeclared(at: usize, name: &str) -> Fault {
    Fault::new(at, format!("undeclared reference to '{name}' (in container '')"))
}

fn misfit(at: usize, function: &str, target: Option<&Type>, arguments: &[Type]) -> Fault {
    // No function takes so many.
    let arguments: Vec<String> = arguments.iter().take(10).map(ToString::to_string).collect();
    let target = target.map_or_else(String::new, |target| format!("{target}."));
    let why = format!(
        "found no matching overload for '{function}' applied to '{target}({})'",
        arguments.join(", ")
    );
    Fault::new(at, why)
}
