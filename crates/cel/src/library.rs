//! What the functions of time, and of Kubernetes' libraries of types, do.

use std::rc::Rc;

use crate::budget::Budget;
use crate::error::EvaluationError;
use crate::formats::Format;
use crate::network::{self, Network};
use crate::quantity::Quantity;
use crate::times;
use crate::value::Value;

type Outcome<'a> = Result<Value<'a>, EvaluationError>;

const NONE_SUCH: EvaluationError = EvaluationError::NoSuchOverload;
const NO_QUANTITY: EvaluationError = EvaluationError::Argument(
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
);
const NO_INTEGER: EvaluationError = EvaluationError::Argument("cannot convert value to integer");
// None of the texts is shown: they may be made of anything.
const NO_ADDRESS: EvaluationError =
    EvaluationError::Argument("IP Address parse error during conversion from string");
const NO_NETWORK: EvaluationError =
    EvaluationError::Argument("network address parse error during conversion from string");

/// A call of a function that belongs to nothing.
pub(crate) fn global<'a>(name: &str, arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let text = match arguments {
        [Value::Text(text)] => text,
        [] => {
            let format = name.strip_prefix("format.").and_then(Format::named);
            return format.map(Value::Format).ok_or(NONE_SUCH);
        }
        _ => return Err(NONE_SUCH),
    };
    budget.spend_on_text(text.len())?;
    match name {
        "quantity" => quantity(Quantity::read(text).ok_or(NO_QUANTITY)?),
        "isQuantity" => Ok(Value::Bool(Quantity::read(text).is_some())),
        "ip" => address(text).map(Value::Ip),
        "isIP" => Ok(Value::Bool(network::address(text).is_some())),
        "ip.isCanonical" => address(text).map(|address| Value::Bool(network::is_canonical(&address, text))),
        "cidr" => network(text).map(Value::Cidr),
        "isCIDR" => Ok(Value::Bool(Network::read(text).is_some())),
        "format.named" => match Format::named(text) {
            Some(format) => Value::some(Value::Format(format)),
            None => Ok(Value::Optional(None)),
        },
        _ => Err(NONE_SUCH),
    }
}

/// A call of a function of a value.
pub(crate) fn member<'a>(
    of: &Value<'a>,
    name: &str,
    arguments: &[Value<'a>],
    budget: &mut Budget,
) -> Outcome<'a> {
    if let [Value::Text(text)] = arguments {
        budget.spend_on_text(text.len())?;
    }
    match (of, arguments) {
        (Value::Time(moment), []) => times::part(*moment, name, None).ok_or(NONE_SUCH)?.map(Value::Int),
        (Value::Time(moment), [Value::Text(zone)]) => {
            times::part(*moment, name, Some(zone)).ok_or(NONE_SUCH)?.map(Value::Int)
        }
        (Value::Span(nanos), []) => times::span_in(*nanos, name).map(Value::Int).ok_or(NONE_SUCH),
        (Value::Quantity(one), _) => of_quantity(one, name, arguments),
        (Value::Ip(address), []) => match name {
            "family" => Ok(Value::Int(if address.is_ipv4() { 4 } else { 6 })),
            _ => network::is(address, name).map(Value::Bool).ok_or(NONE_SUCH),
        },
        (Value::Cidr(own), _) => of_network(own, name, arguments),
        (Value::Format(format), [Value::Text(text)]) if name == "validate" => {
            let faults = format.faults(text);
            if faults.is_empty() {
                return Ok(Value::Optional(None));
            }
            budget.spend_on_text(faults.iter().map(String::len).sum())?;
            Value::some(Value::list(faults.into_iter().map(Value::text).collect())?)
        }
        _ => Err(NONE_SUCH),
    }
}

fn of_quantity<'a>(one: &Quantity, name: &str, arguments: &[Value<'a>]) -> Outcome<'a> {
    let whole;
    let other = match arguments {
        [] => {
            return match name {
                "sign" => Ok(Value::Int(one.sign())),
                "isInteger" => Ok(Value::Bool(one.integer().is_some())),
                "asInteger" => one.integer().map(Value::Int).ok_or(NO_INTEGER),
                "asApproximateFloat" => Ok(Value::Double(one.approximate())),
                _ => Err(NONE_SUCH),
            };
        }
        [Value::Quantity(other)] => &**other,
        [Value::Int(number)] if matches!(name, "add" | "sub") => {
            whole = Quantity::of(*number);
            &whole
        }
        _ => return Err(NONE_SUCH),
    };
    match name {
        "add" => quantity(one.add(other)),
        "sub" => quantity(one.sub(other)),
        "compareTo" => Ok(Value::Int(one.compare(other) as i64)),
        "isGreaterThan" => Ok(Value::Bool(one.compare(other).is_gt())),
        "isLessThan" => Ok(Value::Bool(one.compare(other).is_lt())),
        _ => Err(NONE_SUCH),
    }
}

fn of_network<'a>(own: &Network, name: &str, arguments: &[Value<'a>]) -> Outcome<'a> {
    match (name, arguments) {
        ("ip", []) => Ok(Value::Ip(own.address())),
        ("masked", []) => Ok(Value::Cidr(own.masked())),
        ("prefixLength", []) => Ok(Value::Int(own.length().into())),
        ("containsIP", [Value::Ip(address)]) => Ok(Value::Bool(own.contains(address))),
        ("containsIP", [Value::Text(text)]) => Ok(Value::Bool(own.contains(&address(text)?))),
        ("containsCIDR", [Value::Cidr(other)]) => Ok(Value::Bool(own.contains_network(other))),
        ("containsCIDR", [Value::Text(text)]) => Ok(Value::Bool(own.contains_network(&network(text)?))),
        _ => Err(NONE_SUCH),
    }
}

fn quantity<'a>(quantity: Quantity) -> Outcome<'a> {
    Ok(Value::Quantity(Rc::new(quantity)))
}

fn address(text: &str) -> Result<std::net::IpAddr, EvaluationError> {
    network::address(text).ok_or(NO_ADDRESS)
}

fn network(text: &str) -> Result<Network, EvaluationError> {
    Network::read(text).ok_or(NO_NETWORK)
}
