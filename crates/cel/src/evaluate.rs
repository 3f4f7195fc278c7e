//! Evaluates a checked expression, step by step within its budget.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::rc::Rc;

use crate::Variable;
use crate::authorizer::{Authority, Parts};
use crate::budget::Budget;
use crate::error::EvaluationError;
use crate::functions::{self, Pattern};
use crate::signatures::PREFIXES;
use crate::syntax::{Kind, Literal, Macro, Node, Operator};
use crate::times;
use crate::value::{Text, Value};

type Outcome<'a> = Result<Value<'a>, EvaluationError>;

const NONE_SUCH: EvaluationError = EvaluationError::NoSuchOverload;

pub(crate) struct Evaluation<'a, 'e> {
    pub(crate) variables: &'e [(&'static str, Variable<'a>)],
    pub(crate) patterns: &'a HashMap<String, Pattern>,
    pub(crate) budget: Budget,
    /// Those of macros, the innermost last.
    scopes: Vec<(&'a str, Value<'a>)>,
}

impl<'a, 'e> Evaluation<'a, 'e> {
    pub(crate) fn new(
        variables: &'e [(&'static str, Variable<'a>)],
        patterns: &'a HashMap<String, Pattern>,
        budget: Budget,
    ) -> Self {
        Self { variables, patterns, budget, scopes: Vec::new() }
    }

    pub(crate) fn value(&mut self, node: &'a Node) -> Outcome<'a> {
        self.budget.spend(1)?;
        match &node.kind {
            Kind::Literal(literal) => Ok(of_literal(literal)),
            Kind::Name(name) => {
                self.budget.spend_on_text(name.len())?;
                self.named(name)
            }
            Kind::Select { operand, field, is_optional } => self.select(operand, field, *is_optional),
            Kind::Has { operand, field } => {
                let of = self.value(operand)?;
                self.budget.spend_on_text(field.len())?;
                let of = match &of {
                    Value::Optional(Some(held)) => &**held,
                    of => of,
                };
                match of {
                    Value::Map(_) | Value::Object(_) => {
                        let key = Value::text(field.as_str());
                        Ok(Value::Bool(functions::entry(of, &key, &mut self.budget)?.is_some()))
                    }
                    Value::List(_) | Value::Array(_) | Value::Authority(_) => {
                        Err(EvaluationError::NoSuchKey(field.clone()))
                    }
                    // What has no fields does not have this one.
                    _ => Ok(Value::Bool(false)),
                }
            }
            Kind::Index { both, is_optional } => {
                let (of, index) = (self.value(&both[0])?, self.value(&both[1])?);
                self.index(&of, &index, *is_optional)
            }
            Kind::Call { function, target, arguments } => self.call(function, target.as_deref(), arguments),
            Kind::List(items) => {
                let items: Result<Vec<Value<'a>>, _> = items.iter().map(|item| self.value(item)).collect();
                Value::list(items?)
            }
            Kind::Map(entries) => self.map(entries),
            Kind::All(parts) => self.settle(parts, false),
            Kind::Any(parts) => self.settle(parts, true),
            Kind::Conditional(parts) => {
                let [condition, yes, no] = &**parts;
                match self.value(condition)? {
                    Value::Bool(true) => self.value(yes),
                    Value::Bool(false) => self.value(no),
                    _ => Err(NONE_SUCH),
                }
            }
            Kind::Not(operand) => match self.value(operand)? {
                Value::Bool(truth) => Ok(Value::Bool(!truth)),
                _ => Err(NONE_SUCH),
            },
            Kind::Negative(operand) => match self.value(operand)? {
                Value::Int(number) => number.checked_neg().map(Value::Int).ok_or(EvaluationError::Overflow),
                Value::Double(number) => Ok(Value::Double(-number)),
                _ => Err(NONE_SUCH),
            },
            Kind::Binary(operator, both) => {
                let (left, right) = (self.value(&both[0])?, self.value(&both[1])?);
                self.binary(*operator, &left, &right)
            }
            Kind::Comprehension { over, range, variable, arguments } => {
                self.comprehension(*over, range, variable, arguments)
            }
        }
    }

    fn named(&self, name: &str) -> Outcome<'a> {
        if let Some((_, value)) = self.scopes.iter().rev().find(|(known, _)| *known == name) {
            return Ok(value.clone());
        }
        let variable = self.variables.iter().find(|(known, _)| *known == name).map(|(_, variable)| variable);
        match variable {
            Some(Variable::Json(json)) => Ok(Value::of(json)),
            Some(Variable::Object(members)) => Ok(Value::Object(members)),
            Some(Variable::Null) => Ok(Value::Null),
            Some(Variable::Authorizer { authorizer, .. }) => Ok(Value::Authority(Rc::new(Authority::Whom {
                authorizer: *authorizer,
                service_account: None,
            }))),
            None => Err(EvaluationError::NoSuchKey(name.to_owned())),
        }
    }

    fn select(&mut self, operand: &'a Node, field: &'a str, is_optional: bool) -> Outcome<'a> {
        let of = self.value(operand)?;
        if let (Value::Authority(whom), "requestResource") = (&of, field) {
            return self.request_resource(whom);
        }
        self.index(&of, &Value::text(field), is_optional)
    }

    /// The resource that the request is about, to be asked about.
    fn request_resource(&self, whom: &Rc<Authority<'a>>) -> Outcome<'a> {
        let about = self.variables.iter().find_map(|(_, variable)| match variable {
            Variable::Authorizer { request_resource, .. } => Some(*request_resource),
            _ => None,
        });
        let [group, resource, subresource, namespace, name] = about.ok_or(NONE_SUCH)?.map(Text::from);
        let parts = Parts { group, resource, subresource, namespace, name };
        Ok(Value::Authority(Rc::new(Authority::Resource { of: whom.clone(), parts })))
    }

    fn index(&mut self, of: &Value<'a>, index: &Value<'a>, is_optional: bool) -> Outcome<'a> {
        // The text may be looked for, and is shown if it is not there.
        if let Value::Text(name) = index {
            self.budget.spend_on_text(name.len())?;
        }
        let found = match of {
            Value::Optional(None) => return Ok(Value::Optional(None)),
            // What is asked of an optional value is optional.
            Value::Optional(Some(held)) => return self.index(held, index, true),
            Value::Map(_) | Value::Object(_) => {
                let missing = || match index {
                    Value::Text(name) => EvaluationError::NoSuchKey(name.to_string()),
                    _ => EvaluationError::NoSuchKey(String::new()),
                };
                functions::entry(of, index, &mut self.budget)?.ok_or_else(missing)
            }
            Value::List(_) | Value::Array(_) => {
                let place = match index {
                    Value::Int(place) => *place,
                    Value::Uint(place) => i64::try_from(*place).unwrap_or(i64::MAX),
                    Value::Double(place) if place.fract() == 0.0 => *place as i64,
                    _ => return Err(NONE_SUCH),
                };
                let found = usize::try_from(place).ok().and_then(|place| of.item(place));
                found.ok_or(EvaluationError::OutOfBounds(place))
            }
            Value::Authority(_) => return Err(NONE_SUCH),
            // What is not there, or is a single thing, has nothing in it.
            _ if is_optional => return Ok(Value::Optional(None)),
            _ => match index {
                Value::Text(name) => return Err(EvaluationError::NoSuchKey(name.to_string())),
                _ => return Err(NONE_SUCH),
            },
        };
        match (is_optional, found) {
            (true, Ok(found)) => Value::some(found),
            (true, Err(_)) => Ok(Value::Optional(None)),
            (false, found) => found,
        }
    }

    fn call(&mut self, function: &'a str, target: Option<&'a Node>, arguments: &'a [Node]) -> Outcome<'a> {
        let prefix = target.and_then(|target| match &target.kind {
            Kind::Name(name) if PREFIXES.contains(&name.as_str()) && self.named(name).is_err() => Some(name),
            _ => None,
        });
        let of = match target.filter(|_| prefix.is_none()) {
            Some(target) => Some(self.value(target)?),
            None => None,
        };
        let arguments: Result<Vec<Value<'a>>, _> =
            arguments.iter().map(|argument| self.value(argument)).collect();
        let arguments = arguments?;
        if matches!(function, "matches" | "find" | "findAll") {
            return match (&of, &*arguments) {
                (Some(Value::Text(text)), [Value::Text(pattern)]) => {
                    self.by_pattern(text, function, pattern, None)
                }
                (Some(Value::Text(text)), [Value::Text(pattern), Value::Int(most)]) => {
                    self.by_pattern(text, function, pattern, Some(*most))
                }
                (None, [Value::Text(text), Value::Text(pattern)]) => {
                    self.by_pattern(text, function, pattern, None)
                }
                _ => Err(NONE_SUCH),
            };
        }
        match (of, prefix) {
            (Some(of), _) => functions::member(&of, function, &arguments, &mut self.budget),
            (None, Some(prefix)) => {
                functions::global(&format!("{prefix}.{function}"), &arguments, &mut self.budget)
            }
            (None, None) => functions::global(function, &arguments, &mut self.budget),
        }
    }

    fn by_pattern(&mut self, text: &str, function: &str, pattern: &str, most: Option<i64>) -> Outcome<'a> {
        self.budget.spend_on_text(pattern.len())?;
        if let Some(known) = self.patterns.get(pattern) {
            return functions::by_pattern(text, function, known, most, &mut self.budget);
        }
        // Reading a pattern takes much longer than its length says.
        self.budget.spend(20_000 + u64::try_from(pattern.len()).unwrap_or(u64::MAX).saturating_mul(100))?;
        let pattern = functions::pattern(pattern)?;
        functions::by_pattern(text, function, &pattern, most, &mut self.budget)
    }

    fn map(&mut self, entries: &'a [[Node; 2]]) -> Outcome<'a> {
        let mut made: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(entries.len());
        for [key, value] in entries {
            let key = self.value(key)?;
            if !matches!(key, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Text(_)) {
                return Err(NONE_SUCH);
            }
            functions::pay_for_search(&key, made.len(), &mut self.budget)?;
            if made.iter().any(|(known, _)| known.is_same_key(&key)) {
                return Err(EvaluationError::RepeatedKey);
            }
            let value = self.value(value)?;
            made.push((key, value));
        }
        Value::map(made)
    }

    /// Several parts of which one that is `decisive` decides, whatever is wrong with the others.
    fn settle(&mut self, parts: &'a [Node], decisive: bool) -> Outcome<'a> {
        let mut first_fault = None;
        for part in parts {
            match self.value(part) {
                Ok(Value::Bool(truth)) if truth == decisive => return Ok(Value::Bool(decisive)),
                Ok(Value::Bool(_)) => {}
                Err(EvaluationError::TooCostly) => return Err(EvaluationError::TooCostly),
                Ok(_) => first_fault = first_fault.or(Some(NONE_SUCH)),
                Err(fault) => first_fault = first_fault.or(Some(fault)),
            }
        }
        first_fault.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn binary(&mut self, operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
        let budget = &mut self.budget;
        let ordered = |is_wanted: fn(Ordering) -> bool, budget: &mut Budget| {
            match functions::compare(left, right, budget)? {
                Some(order) => Ok(Value::Bool(is_wanted(order))),
                // A number that is none is in no order.
                None if left.is_number() && right.is_number() => Ok(Value::Bool(false)),
                None => Err(NONE_SUCH),
            }
        };
        match operator {
            Operator::Equal => functions::same(left, right, budget).map(Value::Bool),
            Operator::NotEqual => functions::same(left, right, budget).map(|same| Value::Bool(!same)),
            Operator::Less => ordered(Ordering::is_lt, budget),
            Operator::LessOrEqual => ordered(Ordering::is_le, budget),
            Operator::Greater => ordered(Ordering::is_gt, budget),
            Operator::GreaterOrEqual => ordered(Ordering::is_ge, budget),
            Operator::In => match right {
                Value::List(items) => functions::is_in(left, items, budget).map(Value::Bool),
                Value::Array(items) => {
                    for item in *items {
                        if functions::same(left, &Value::of(item), budget)? {
                            return Ok(Value::Bool(true));
                        }
                    }
                    Ok(Value::Bool(false))
                }
                Value::Map(_) | Value::Object(_) => {
                    Ok(Value::Bool(functions::entry(right, left, budget)?.is_some()))
                }
                _ => Err(NONE_SUCH),
            },
            Operator::Add => functions::add(left, right, budget),
            _ => arithmetic(operator, left, right),
        }
    }

    fn comprehension(
        &mut self,
        over: Macro,
        range: &'a Node,
        variable: &'a str,
        arguments: &'a [Node],
    ) -> Outcome<'a> {
        let range = self.value(range)?;
        let items = match &range {
            Value::Map(_) | Value::Object(_) => functions::keys(&range, &mut self.budget)?,
            _ => functions::items(&range, &mut self.budget)?,
        };
        let [first, rest @ ..] = arguments else { return Err(NONE_SUCH) };
        let (mut count, mut made, mut fault) = (0, Vec::new(), None);
        for item in items {
            self.scopes.push((variable, item.clone()));
            let found = self.value(first);
            // What is made of those that are chosen.
            let made_of_it = match (&found, rest) {
                (Ok(Value::Bool(true)), [transform]) => Some(self.value(transform)),
                _ => None,
            };
            self.scopes.pop();
            match (over, found) {
                (_, Err(EvaluationError::TooCostly)) => return Err(EvaluationError::TooCostly),
                (Macro::Map, found) if rest.is_empty() => made.push(found?),
                (Macro::All, Ok(Value::Bool(false))) => return Ok(Value::Bool(false)),
                (Macro::Exists, Ok(Value::Bool(true))) => return Ok(Value::Bool(true)),
                (Macro::ExistsOne, Ok(Value::Bool(true))) => count += 1,
                (Macro::Filter, Ok(Value::Bool(true))) => made.push(item),
                (Macro::Map, Ok(Value::Bool(true))) => made.extend(made_of_it.transpose()?),
                (_, Ok(Value::Bool(_))) => {}
                // Another item may still decide.
                (Macro::All | Macro::Exists, Err(why)) => fault = fault.or(Some(why)),
                (Macro::All | Macro::Exists, Ok(_)) => fault = fault.or(Some(NONE_SUCH)),
                (_, Err(why)) => return Err(why),
                (_, Ok(_)) => return Err(NONE_SUCH),
            }
        }
        if let Some(fault) = fault {
            return Err(fault);
        }
        match over {
            Macro::All => Ok(Value::Bool(true)),
            Macro::Exists => Ok(Value::Bool(false)),
            Macro::ExistsOne => Ok(Value::Bool(count == 1)),
            Macro::Filter | Macro::Map => Value::list(made),
        }
    }
}

fn of_literal(literal: &Literal) -> Value<'_> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(truth) => Value::Bool(*truth),
        Literal::Int(number) => Value::Int(*number),
        Literal::Uint(number) => Value::Uint(*number),
        Literal::Double(number) => Value::Double(*number),
        Literal::String(text) => Value::text(text.as_str()),
    }
}

fn arithmetic<'a>(operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
    let overflow = EvaluationError::Overflow;
    let zero = match operator {
        Operator::Remainder => EvaluationError::ModulusByZero,
        _ => EvaluationError::DivisionByZero,
    };
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => {
            let result = match operator {
                Operator::Subtract => a.checked_sub(*b),
                Operator::Multiply => a.checked_mul(*b),
                _ if *b == 0 => return Err(zero),
                Operator::Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            };
            result.map(Value::Int).ok_or(overflow)
        }
        (Value::Uint(a), Value::Uint(b)) => {
            let result = match operator {
                Operator::Subtract => a.checked_sub(*b),
                Operator::Multiply => a.checked_mul(*b),
                _ if *b == 0 => return Err(zero),
                Operator::Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            };
            result.map(Value::Uint).ok_or(overflow)
        }
        (Value::Time(a), Value::Time(b)) if operator == Operator::Subtract => {
            times::between(*a, *b).map(Value::Span)
        }
        (Value::Time(a), Value::Span(b)) if operator == Operator::Subtract => {
            times::earlier(*a, *b).map(Value::Time)
        }
        (Value::Span(a), Value::Span(b)) if operator == Operator::Subtract => {
            times::difference(*a, *b).map(Value::Span)
        }
        (Value::Double(a), Value::Double(b)) => match operator {
            Operator::Subtract => Ok(Value::Double(a - b)),
            Operator::Multiply => Ok(Value::Double(a * b)),
            Operator::Divide => Ok(Value::Double(a / b)),
            _ => Err(NONE_SUCH),
        },
        _ => Err(NONE_SUCH),
    }
}
