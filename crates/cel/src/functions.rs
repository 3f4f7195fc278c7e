//! What the functions do. Whatever makes a value larger than those it is made of is paid for before it is made.

use std::cmp::Ordering;
use std::rc::Rc;

use regex::{Regex, RegexBuilder};

use crate::budget::Budget;
use crate::error::EvaluationError;
use crate::value::{Text, Value};
use crate::{library, times};

type Outcome<'a> = Result<Value<'a>, EvaluationError>;

const NONE_SUCH: EvaluationError = EvaluationError::NoSuchOverload;
/// The most memory of one pattern, and how much more than a small one such a pattern takes for each byte that it looks at.
const SIZES: [(usize, u64); 3] = [(16 * 1024, 1), (64 * 1024, 8), (256 * 1024, 32)];

/// A pattern that has been read.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    weight: u64,
}

/// Reads a pattern.
pub(crate) fn pattern(text: &str) -> Result<Pattern, EvaluationError> {
    for (size, weight) in SIZES {
        match RegexBuilder::new(text).size_limit(size).dfa_size_limit(SIZES[2].0).build() {
            Ok(regex) => return Ok(Pattern { regex, weight }),
            Err(regex::Error::CompiledTooBig(_)) => {}
            Err(_) => {
                // Not shown: it may be made of anything.
                return Err(EvaluationError::Pattern(format!("invalid pattern of {} bytes", text.len())));
            }
        }
    }
    Err(EvaluationError::Pattern("expression too large".to_owned()))
}

/// A call of a function that belongs to nothing.
pub(crate) fn global<'a>(name: &str, arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    match (name, arguments) {
        ("size", [of]) => size(of, budget),
        ("dyn", [of]) => Ok(of.clone()),
        ("bool" | "int" | "uint" | "double" | "string" | "timestamp" | "duration", [of]) => {
            convert(name, of, budget)
        }
        ("sets.contains", [one, other]) => subset(other, one, budget).map(Value::Bool),
        ("sets.equivalent", [one, other]) => {
            Ok(Value::Bool(subset(one, other, budget)? && subset(other, one, budget)?))
        }
        ("sets.intersects", [one, other]) => {
            let (one, other) = (items(one, budget)?, items(other, budget)?);
            for item in &one {
                if is_in(item, &other, budget)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        ("optional.of", [of]) => Value::some(of.clone()),
        ("optional.ofNonZeroValue", [of]) => {
            let is_zero = match of {
                Value::Null | Value::Bool(false) | Value::Int(0) | Value::Uint(0) | Value::Span(0) => true,
                Value::Double(number) => *number == 0.0,
                Value::Text(text) => text.is_empty(),
                of => of.size() == Some(0),
            };
            if is_zero { Ok(Value::Optional(None)) } else { Value::some(of.clone()) }
        }
        ("optional.none", []) => Ok(Value::Optional(None)),
        _ => library::global(name, arguments, budget),
    }
}

/// A call of a function of a value.
pub(crate) fn member<'a>(
    of: &Value<'a>,
    name: &str,
    arguments: &[Value<'a>],
    budget: &mut Budget,
) -> Outcome<'a> {
    match of {
        Value::Text(text) => of_text(text, name, arguments, budget),
        Value::List(_) | Value::Array(_) => of_list(of, name, arguments, budget),
        Value::Map(_) | Value::Object(_) if name == "size" && arguments.is_empty() => size(of, budget),
        Value::Optional(held) => match (name, arguments, held) {
            ("hasValue", [], _) => Ok(Value::Bool(held.is_some())),
            ("value", [], Some(held)) | ("orValue", [_], Some(held)) => Ok((**held).clone()),
            ("value", [], None) => Err(EvaluationError::NoValue),
            ("orValue", [other], None) => Ok(other.clone()),
            ("or", [_], Some(_)) => Ok(of.clone()),
            ("or", [other @ Value::Optional(_)], None) => Ok(other.clone()),
            _ => Err(NONE_SUCH),
        },
        Value::Authority(authority) => {
            let mut texts: Vec<&Text<'a>> = Vec::with_capacity(arguments.len());
            for argument in arguments {
                let Value::Text(text) = argument else { return Err(NONE_SUCH) };
                budget.spend_on_text(text.len())?;
                texts.push(text);
            }
            if name == "check" {
                budget.spend(crate::authorizer::COST)?;
            }
            Rc::clone(authority).call(name, &texts).ok_or(NONE_SUCH)?
        }
        of => library::member(of, name, arguments, budget),
    }
}

fn of_text<'a>(text: &str, name: &str, arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    budget.spend_on_text(text.len())?;
    for argument in arguments {
        if let Value::Text(other) = argument {
            budget.spend_on_text(other.len())?;
        }
    }
    let owned = |text: String| Ok(Value::text(text));
    match (name, arguments) {
        ("size", []) => Ok(Value::Int(whole(text.chars().count()))),
        ("startsWith", [Value::Text(other)]) => Ok(Value::Bool(text.starts_with(&**other))),
        ("endsWith", [Value::Text(other)]) => Ok(Value::Bool(text.ends_with(&**other))),
        ("contains", [Value::Text(other)]) => Ok(Value::Bool(text.contains(&**other))),
        ("charAt", [Value::Int(place)]) => {
            let place_of = place_in(text, *place)?;
            owned(text.chars().skip(place_of).take(1).collect())
        }
        ("substring", [Value::Int(begin)]) => {
            let begin = place_in(text, *begin)?;
            owned(text.chars().skip(begin).collect())
        }
        ("substring", [Value::Int(begin), Value::Int(end)]) => {
            let (from, to) = (place_in(text, *begin)?, place_in(text, *end)?);
            let length = to.checked_sub(from).ok_or(EvaluationError::OutOfBounds(*begin))?;
            owned(text.chars().skip(from).take(length).collect())
        }
        ("indexOf", [Value::Text(other)]) => Ok(Value::Int(position(text, 0, &text.find(&**other)))),
        ("indexOf", [Value::Text(other), Value::Int(from)]) => {
            let skipped = place_in(text, *from)?;
            let begin = text.char_indices().nth(skipped).map_or(text.len(), |(byte, _)| byte);
            Ok(Value::Int(position(text, begin, &text[begin..].find(&**other))))
        }
        ("lastIndexOf", [Value::Text(other)]) => Ok(Value::Int(position(text, 0, &text.rfind(&**other)))),
        ("lowerAscii", []) => owned(text.to_ascii_lowercase()),
        ("upperAscii", []) => owned(text.to_ascii_uppercase()),
        ("trim", []) => owned(text.trim().to_owned()),
        ("replace", [Value::Text(old), Value::Text(new)]) => replace(text, old, new, usize::MAX, budget),
        ("replace", [Value::Text(old), Value::Text(new), Value::Int(most)]) => {
            replace(text, old, new, usize::try_from(*most).unwrap_or(usize::MAX), budget)
        }
        ("split", [Value::Text(by)]) => split(text, by, usize::MAX, budget),
        ("split", [Value::Text(by), Value::Int(most)]) => {
            split(text, by, usize::try_from(*most).unwrap_or(usize::MAX), budget)
        }
        _ => Err(NONE_SUCH),
    }
}

fn replace<'a>(text: &str, old: &str, new: &str, most: usize, budget: &mut Budget) -> Outcome<'a> {
    let count = text.matches(old).take(most).count();
    budget.spend_on_text(text.len().saturating_add(count.saturating_mul(new.len())))?;
    Ok(Value::text(text.replacen(old, new, most)))
}

fn split<'a>(text: &str, by: &str, most: usize, budget: &mut Budget) -> Outcome<'a> {
    budget.spend_on(text.len())?;
    let owned = |part: &str| Value::text(part.to_owned());
    let parts: Vec<Value<'a>> = if most == 0 {
        Vec::new()
    } else if by.is_empty() {
        let ends = text.char_indices().map(|(byte, _)| byte).skip(1).take(most - 1);
        let mut begin = 0;
        let mut parts = Vec::new();
        for end in ends {
            parts.push(owned(&text[begin..end]));
            begin = end;
        }
        if begin < text.len() {
            parts.push(owned(&text[begin..]));
        }
        parts
    } else {
        text.splitn(most, by).map(owned).collect()
    };
    Value::list(parts)
}

/// The patterns: what matches, and all that does. Each search is paid for with what there is to be searched.
pub(crate) fn by_pattern<'a>(
    text: &str,
    name: &str,
    Pattern { regex, weight }: &Pattern,
    most: Option<i64>,
    budget: &mut Budget,
) -> Outcome<'a> {
    let mut search = |from: usize| {
        budget.spend((1 + whole(text.len() - from).unsigned_abs()).saturating_mul(*weight))?;
        Ok(regex.find_at(text, from))
    };
    let owned = |found: regex::Match<'_>| Value::text(found.as_str().to_owned());
    match (name, most) {
        ("matches", None) => search(0).map(|found| Value::Bool(found.is_some())),
        ("find", None) => search(0).map(|found| found.map_or_else(|| Value::text(""), owned)),
        ("findAll", most) => {
            let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
            let (mut all, mut from) = (Vec::new(), 0);
            while all.len() < most
                && from <= text.len()
                && let Some(found) = search(from)?
            {
                all.push(owned(found));
                // Behind nothing the search goes on with the next character.
                from = match found.is_empty() {
                    true => found.end() + text[found.end()..].chars().next().map_or(1, char::len_utf8),
                    false => found.end(),
                };
            }
            Value::list(all)
        }
        _ => Err(NONE_SUCH),
    }
}

fn of_list<'a>(of: &Value<'a>, name: &str, arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let all = items(of, budget)?;
    match (name, arguments) {
        ("size", []) => Ok(Value::Int(whole(all.len()))),
        ("isSorted", []) => {
            for pair in all.windows(2) {
                if compare(&pair[0], &pair[1], budget)?.ok_or(NONE_SUCH)? == Ordering::Greater {
                    return Ok(Value::Bool(false));
                }
            }
            Ok(Value::Bool(true))
        }
        ("min", []) => best(&all, Ordering::Less, budget),
        ("max", []) => best(&all, Ordering::Greater, budget),
        ("sum", []) => {
            let mut items = all.into_iter();
            let first = items.next().unwrap_or(Value::Int(0));
            items.try_fold(first, |sum, item| add(&sum, &item, budget))
        }
        ("indexOf", [wanted]) | ("lastIndexOf", [wanted]) => {
            let mut found = None;
            for (place, item) in all.iter().enumerate() {
                if same(item, wanted, budget)? {
                    found = Some(place);
                    if name == "indexOf" {
                        break;
                    }
                }
            }
            Ok(Value::Int(found.map_or(-1, whole)))
        }
        ("join", rest @ ([] | [Value::Text(_)])) => {
            let between = match rest {
                [Value::Text(between)] => &**between,
                _ => "",
            };
            let mut parts: Vec<&str> = Vec::with_capacity(all.len());
            for item in &all {
                let Value::Text(text) = item else { return Err(NONE_SUCH) };
                budget.spend_on_text(text.len().saturating_add(between.len()))?;
                parts.push(text);
            }
            Ok(Value::text(parts.join(between)))
        }
        _ => Err(NONE_SUCH),
    }
}

/// The first of the items that stands before, or behind, all others.
fn best<'a>(items: &[Value<'a>], wanted: Ordering, budget: &mut Budget) -> Outcome<'a> {
    let [best, others @ ..] = items else {
        return Err(EvaluationError::Argument("min/max called on empty list"));
    };
    let mut best = best;
    for item in others {
        if compare(item, best, budget)?.ok_or(NONE_SUCH)? == wanted {
            best = item;
        }
    }
    Ok(best.clone())
}

/// What a plus between two values gives.
pub(crate) fn add<'a>(left: &Value<'a>, right: &Value<'a>, budget: &mut Budget) -> Outcome<'a> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => a.checked_add(*b).map(Value::Int).ok_or(EvaluationError::Overflow),
        (Value::Uint(a), Value::Uint(b)) => {
            a.checked_add(*b).map(Value::Uint).ok_or(EvaluationError::Overflow)
        }
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a + b)),
        (Value::Text(a), Value::Text(b)) => {
            budget.spend_on_text(a.len().saturating_add(b.len()))?;
            Ok(Value::text([&**a, &**b].concat()))
        }
        (Value::Time(moment), Value::Span(span)) | (Value::Span(span), Value::Time(moment)) => {
            times::later(*moment, *span).map(Value::Time)
        }
        (Value::Span(a), Value::Span(b)) => times::sum(*a, *b).map(Value::Span),
        _ => {
            let mut all = items(left, budget)?;
            all.extend(items(right, budget)?);
            Value::list(all)
        }
    }
}

/// The order of two values, as far as they are in one.
pub(crate) fn compare(
    left: &Value<'_>,
    right: &Value<'_>,
    budget: &mut Budget,
) -> Result<Option<Ordering>, EvaluationError> {
    if let (Value::Text(a), Value::Text(b)) = (left, right) {
        budget.spend_on_text(a.len().min(b.len()))?;
    }
    Ok(left.compare(right))
}

/// Whether two values are the same, to their ends.
pub(crate) fn same(
    left: &Value<'_>,
    right: &Value<'_>,
    budget: &mut Budget,
) -> Result<bool, EvaluationError> {
    budget.spend(1)?;
    match (left, right) {
        (Value::Null, Value::Null) => Ok(true),
        (Value::Text(a), Value::Text(b)) => {
            budget.spend_on_text(a.len().min(b.len()))?;
            Ok(**a == **b)
        }
        (Value::List(_) | Value::Array(_), Value::List(_) | Value::Array(_)) => {
            if left.size() != right.size() {
                return Ok(false);
            }
            let mut place = 0;
            while let (Some(a), Some(b)) = (left.item(place), right.item(place)) {
                if !same(&a, &b, budget)? {
                    return Ok(false);
                }
                place += 1;
            }
            Ok(true)
        }
        (Value::Map(_) | Value::Object(_), Value::Map(_) | Value::Object(_)) => {
            if left.size() != right.size() {
                return Ok(false);
            }
            for (key, value) in entries(left, budget)? {
                match entry(right, &key, budget)? {
                    Some(other) if same(&value, &other, budget)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        (Value::Optional(a), Value::Optional(b)) => match (a, b) {
            (Some(a), Some(b)) => same(a, b, budget),
            (a, b) => Ok(a.is_none() && b.is_none()),
        },
        (Value::Quantity(a), Value::Quantity(b)) => Ok(a.compare(b) == Ordering::Equal),
        (Value::Ip(a), Value::Ip(b)) => Ok(a == b),
        (Value::Cidr(a), Value::Cidr(b)) => Ok(a == b),
        (Value::Format(a), Value::Format(b)) => Ok(a.name == b.name),
        (Value::Authority(_), _) | (_, Value::Authority(_)) => Err(NONE_SUCH),
        (a, b) => Ok(a.compare(b) == Some(Ordering::Equal)),
    }
}

/// Whether a value is one of several.
pub(crate) fn is_in(
    wanted: &Value<'_>,
    items: &[Value<'_>],
    budget: &mut Budget,
) -> Result<bool, EvaluationError> {
    for item in items {
        if same(wanted, item, budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn subset(of: &Value<'_>, all: &Value<'_>, budget: &mut Budget) -> Result<bool, EvaluationError> {
    let all = items(all, budget)?;
    for item in &items(of, budget)? {
        if !is_in(item, &all, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Pays for a search for a key among so many.
pub(crate) fn pay_for_search(
    key: &Value<'_>,
    among: usize,
    budget: &mut Budget,
) -> Result<(), EvaluationError> {
    let each = match key {
        Value::Text(name) => 1 + name.len() / 10,
        _ => 1,
    };
    budget.spend_on(among.saturating_mul(each))
}

/// The entry of a map.
pub(crate) fn entry<'a>(
    of: &Value<'a>,
    key: &Value<'a>,
    budget: &mut Budget,
) -> Result<Option<Value<'a>>, EvaluationError> {
    // The members of an object are in order, those of a map are looked through.
    match (of, key) {
        (Value::Map(entries), _) => pay_for_search(key, entries.len(), budget)?,
        (_, Value::Text(name)) => budget.spend_on_text(name.len())?,
        _ => {}
    }
    Ok(of.entry(key))
}

fn entries<'a>(of: &Value<'a>, budget: &mut Budget) -> Result<Vec<(Value<'a>, Value<'a>)>, EvaluationError> {
    budget.spend_on(of.size().unwrap_or_default())?;
    match of {
        Value::Map(entries) => Ok(entries.to_vec()),
        Value::Object(members) => {
            Ok(members.iter().map(|(name, value)| (Value::text(name.as_str()), Value::of(value))).collect())
        }
        _ => Err(NONE_SUCH),
    }
}

/// The keys of a map.
pub(crate) fn keys<'a>(of: &Value<'a>, budget: &mut Budget) -> Result<Vec<Value<'a>>, EvaluationError> {
    Ok(entries(of, budget)?.into_iter().map(|(key, _)| key).collect())
}

/// The items of a list.
pub(crate) fn items<'a>(of: &Value<'a>, budget: &mut Budget) -> Result<Vec<Value<'a>>, EvaluationError> {
    if matches!(of, Value::List(_) | Value::Array(_)) {
        budget.spend_on(of.size().unwrap_or_default())?;
    }
    of.items().ok_or(NONE_SUCH)
}

fn size<'a>(of: &Value<'a>, budget: &mut Budget) -> Outcome<'a> {
    if let Value::Text(text) = of {
        budget.spend_on_text(text.len())?;
    }
    of.size().map(|size| Value::Int(whole(size))).ok_or(NONE_SUCH)
}

fn convert<'a>(to: &str, of: &Value<'a>, budget: &mut Budget) -> Outcome<'a> {
    const EDGE: f64 = 9_223_372_036_854_775_808.0;
    let no = |to: &'static str| EvaluationError::Conversion { from: of.type_name(), to };
    let overflow = EvaluationError::Overflow;
    if let Value::Text(text) = of {
        budget.spend_on_text(text.len())?;
    }
    match (to, of) {
        ("bool", Value::Bool(_)) | ("int", Value::Int(_)) | ("uint", Value::Uint(_)) => Ok(of.clone()),
        ("double", Value::Double(_)) | ("string", Value::Text(_)) => Ok(of.clone()),
        ("bool", Value::Text(text)) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(no("bool")),
        },
        ("int", Value::Uint(number)) => i64::try_from(*number).map(Value::Int).map_err(|_| overflow),
        ("int", Value::Double(number)) => {
            if number.abs() < EDGE {
                Ok(Value::Int(number.trunc() as i64))
            } else {
                Err(overflow)
            }
        }
        ("int", Value::Text(text)) => text.parse().map(Value::Int).map_err(|_| no("int")),
        ("uint", Value::Int(number)) => u64::try_from(*number).map(Value::Uint).map_err(|_| overflow),
        ("uint", Value::Double(number)) => {
            if (0.0..2.0 * EDGE).contains(number) {
                Ok(Value::Uint(number.trunc() as u64))
            } else {
                Err(overflow)
            }
        }
        ("uint", Value::Text(text)) => text.parse().map(Value::Uint).map_err(|_| no("uint")),
        ("double", Value::Int(number)) => Ok(Value::Double(*number as f64)),
        ("double", Value::Uint(number)) => Ok(Value::Double(*number as f64)),
        ("double", Value::Text(text)) => text.parse().map(Value::Double).map_err(|_| no("double")),
        ("timestamp", Value::Time(_)) | ("duration", Value::Span(_)) => Ok(of.clone()),
        ("timestamp", Value::Text(text)) => {
            times::read(text).map(Value::Time).ok_or_else(|| no("google.protobuf.Timestamp"))
        }
        ("timestamp", Value::Int(seconds)) => times::of_seconds(*seconds).map(Value::Time),
        ("duration", Value::Text(text)) => {
            times::read_span(text).map(Value::Span).ok_or_else(|| no("google.protobuf.Duration"))
        }
        ("int", Value::Time(moment)) => Ok(Value::Int(times::seconds(*moment))),
        ("int", Value::Span(nanos)) => Ok(Value::Int(*nanos)),
        ("string", Value::Time(moment)) => Ok(Value::text(times::write(*moment))),
        ("string", Value::Span(nanos)) => Ok(Value::text(times::write_span(*nanos))),
        ("string", Value::Ip(address)) => Ok(Value::text(address.to_string())),
        ("string", Value::Cidr(network)) => Ok(Value::text(network.to_string())),
        ("string", Value::Bool(truth)) => Ok(Value::text(truth.to_string())),
        ("string", Value::Int(number)) => Ok(Value::text(number.to_string())),
        ("string", Value::Uint(number)) => Ok(Value::text(number.to_string())),
        ("string", Value::Double(number)) => Ok(Value::text(number.to_string())),
        _ => Err(NONE_SUCH),
    }
}

/// A place in a text, its end included.
fn place_in(text: &str, place: i64) -> Result<usize, EvaluationError> {
    let count = text.chars().count();
    let within = usize::try_from(place).ok().filter(|place| *place <= count);
    within.ok_or(EvaluationError::OutOfBounds(place))
}

/// A byte's place, counted in characters; -1 for none.
fn position(text: &str, begin: usize, byte: &Option<usize>) -> i64 {
    byte.map_or(-1, |byte| whole(text[..begin + byte].chars().count()))
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
