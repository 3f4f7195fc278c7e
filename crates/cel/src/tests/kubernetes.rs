//! Times, quantities, addresses, networks and formats in expressions.

use proptest::prelude::*;
use serde_json::json;

use super::{Asked, evaluated, types};
use crate::*;

#[test]
fn what_is_true() {
    for text in [
        "timestamp('2026-01-02T03:04:05Z') == timestamp('2026-01-02T05:04:05+02:00')",
        "timestamp('2026-01-02T03:04:05Z') < timestamp('2026-01-02T03:04:05.1Z')",
        "timestamp(0) == timestamp('1970-01-01T00:00:00Z')",
        "timestamp(timestamp(7)) == timestamp(7)",
        "int(timestamp('1970-01-01T00:00:07.9Z')) == 7",
        "int(timestamp('1969-12-31T23:59:59.9Z')) == -1",
        "string(timestamp('2026-01-02T03:04:05.120+01:00')) == '2026-01-02T02:04:05.12Z'",
        "duration('1h30m') == duration('90m')",
        "duration('1s') < duration('1001ms')",
        "int(duration('1us')) == 1000",
        "string(duration('90m')) == '5400s'",
        "duration(duration('1s')) == duration('1s')",
        "timestamp('2026-01-02T03:04:05Z') + duration('1h') == timestamp('2026-01-02T04:04:05Z')",
        "duration('-1h') + timestamp('2026-01-02T03:04:05Z') == timestamp('2026-01-02T02:04:05Z')",
        "timestamp('2026-01-02T03:04:05Z') - duration('1h') == timestamp('2026-01-02T02:04:05Z')",
        "timestamp('2026-01-02T03:04:05Z') - timestamp('2026-01-01T03:04:05Z') == duration('24h')",
        "duration('1h') + duration('1m') - duration('1s') == duration('1h59s')",
        "timestamp(object.metadata.creationTimestamp) > timestamp('2025-01-01T00:00:00Z')",
        "timestamp(object.metadata.creationTimestamp) - dyn(duration('1s')) < timestamp('2027-01-01T00:00:00Z')",
        "timestamp('2026-03-01T23:04:05.678Z').getFullYear() == 2026",
        "timestamp('2026-03-01T23:04:05.678Z').getMonth() == 2",
        "timestamp('2026-03-01T23:04:05.678Z').getDayOfYear() == 59",
        "timestamp('2026-03-01T23:04:05.678Z').getDayOfMonth() == 0",
        "timestamp('2026-03-01T23:04:05.678Z').getDate() == 1",
        "timestamp('2026-03-01T23:04:05.678Z').getDayOfWeek() == 0",
        "timestamp('2026-03-01T23:04:05.678Z').getHours('+02:00') == 1",
        "timestamp('2026-03-01T23:04:05.678Z').getMinutes() == 4",
        "timestamp('2026-03-01T23:04:05.678Z').getSeconds() == 5",
        "timestamp('2026-03-01T23:04:05.678Z').getMilliseconds() == 678",
        "duration('3661s').getHours() == 1 && duration('3661s').getMinutes() == 61",
        "duration('1.5s').getSeconds() == 1 && duration('1.5s').getMilliseconds() == 1500",
        "[timestamp(2), timestamp(1)].min() == timestamp(1)",
        "[duration('1s'), duration('2s')].sum() == duration('3s')",
        "[duration('1s'), duration('2s')].isSorted()",
        "!optional.ofNonZeroValue(duration('0')).hasValue()",
        "quantity('50k') == quantity('50000')",
        "quantity('1.5Gi').isGreaterThan(quantity('1G'))",
        "quantity('100m').isLessThan(quantity('1'))",
        "quantity(object.spec.limit).compareTo(quantity('512Mi')) == 1",
        "quantity('1').compareTo(quantity('1000m')) == 0",
        "quantity('-1').sign() == -1 && quantity('0').sign() == 0 && quantity('1n').sign() == 1",
        "quantity('50k').isInteger() && quantity('50k').asInteger() == 50000",
        "!quantity('1.5Gi').isInteger()",
        "quantity('0.5').asApproximateFloat() == 0.5",
        "quantity('50k').add(20) == quantity('50020')",
        "quantity('50k').sub(quantity('20k')).sub(30000) == quantity('0')",
        "isQuantity('1.3G') && !isQuantity('1.3GB') && !isQuantity('')",
        "isIP('192.0.2.1') && isIP('2001:db8::1') && !isIP('192.0.2') && !isIP('::ffff:1.2.3.4')",
        "ip('192.0.2.1').family() == 4 && ip('::1').family() == 6",
        "ip('2001:db8:0::1') == ip('2001:db8::1')",
        "string(ip('2001:DB8::1')) == '2001:db8::1'",
        "ip.isCanonical('2001:db8::1') && !ip.isCanonical('2001:DB8::1')",
        "ip('127.0.0.1').isLoopback() && ip('0.0.0.0').isUnspecified()",
        "ip('224.0.0.1').isLinkLocalMulticast() && ip('fe80::1').isLinkLocalUnicast()",
        "ip('10.0.0.1').isGlobalUnicast() && !ip('255.255.255.255').isGlobalUnicast()",
        "isCIDR('10.0.0.0/8') && !isCIDR('10.0.0.0/33') && !isCIDR('10.0.0.0')",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsIP(ip('11.0.0.0'))",
        "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')",
        "!cidr('10.1.0.0/16').containsCIDR(cidr('10.0.0.0/8'))",
        "cidr('192.0.2.129/25').masked() == cidr('192.0.2.128/25')",
        "cidr('192.0.2.129/25').ip() == ip('192.0.2.129')",
        "cidr('::/0').prefixLength() == 0 && string(cidr('::/0')) == '::/0'",
        "!format.dns1123Label().validate('a-1').hasValue()",
        "format.dns1123Label().validate('A').value().size() == 1",
        "format.named('qualifiedName').value().validate('a/b/c').hasValue()",
        "!format.named('nothing').hasValue()",
        "!format.uuid().validate('123e4567-e89b-12d3-a456-426614174000').hasValue()",
        "object.spec.addresses.all(a, isIP(a) && cidr('192.0.2.0/24').containsIP(a))",
    ] {
        let (outcome, spent) = evaluated_over_pod(text, 2_500_000);
        assert_eq!(outcome, Ok(true), "{text}");
        assert!(spent > 0, "{text}");
    }
}

fn evaluated_over_pod(text: &str, limit: u64) -> (Result<bool, EvaluationError>, u64) {
    let object = json!({
        "metadata": {"creationTimestamp": "2026-01-02T03:04:05Z"},
        "spec": {"limit": "1Gi", "addresses": ["192.0.2.1", "192.0.2.7"]},
    });
    let program = Program::compile(text, &types()).unwrap_or_else(|error| panic!("{text}: {error}"));
    program.evaluate(&[("object", Variable::Json(&object))], limit)
}

#[test]
fn what_has_no_value() {
    for (text, wanted) in [
        (
            "timestamp('yesterday') == timestamp(0)",
            "type conversion error from 'string' to 'google.protobuf.Timestamp'",
        ),
        (
            "duration('1 day') == duration('0')",
            "type conversion error from 'string' to 'google.protobuf.Duration'",
        ),
        ("timestamp(253402300800) == timestamp(0)", "timestamp overflow"),
        ("timestamp('9999-12-31T23:59:59Z') + duration('1s') == timestamp(0)", "timestamp overflow"),
        ("timestamp('0001-01-01T00:00:00Z') - duration('1ns') == timestamp(0)", "timestamp overflow"),
        (
            "timestamp('9999-12-31T23:59:59Z') - timestamp('0001-01-01T00:00:00Z') == duration('0')",
            "duration overflow",
        ),
        ("duration('9223372036854775807ns') + duration('1ns') == duration('0')", "duration overflow"),
        ("duration('-9223372036854775808ns') - duration('1ns') == duration('0')", "duration overflow"),
        ("timestamp(0).getHours('Europe/Berlin') == 0", "unknown time zone"),
        ("timestamp(object.spec) == timestamp(0)", "no such overload"),
        ("dyn(timestamp(0)) < dyn(duration('1s'))", "no such overload"),
        ("dyn(duration('1s')) * dyn(2) == dyn(2)", "no such overload"),
        ("timestamp(0).getHours(object.spec) == 0", "no such overload"),
        (
            "quantity('10GB') == quantity('1')",
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        ("quantity('1.5').asInteger() == 1", "cannot convert value to integer"),
        ("dyn(quantity('1')) < dyn(quantity('2'))", "no such overload"),
        ("ip('192.0.2') == ip('::1')", "IP Address parse error during conversion from string"),
        ("ip.isCanonical('x')", "IP Address parse error during conversion from string"),
        ("cidr('192.0.2.0') == cidr('::/0')", "network address parse error during conversion from string"),
        (
            "cidr('192.0.2.0/24').containsIP(object.spec.limit)",
            "IP Address parse error during conversion from string",
        ),
        ("format.named('nothing').value().validate('') == optional.none()", "optional.none() dereference"),
    ] {
        let (outcome, _) = evaluated_over_pod(text, 2_500_000);
        assert_eq!(outcome.map_err(|error| error.to_string()), Err(wanted.to_owned()), "{text}");
    }
}

#[test]
fn what_is_refused_before() {
    for text in [
        "timestamp(true) == timestamp(0)",
        "timestamp(0) + timestamp(0) == timestamp(0)",
        "duration('1s') - timestamp(0) == duration('1s')",
        "duration('1s') * 2 == duration('2s')",
        "-duration('1s') == duration('1s')",
        "timestamp(0) < duration('1s')",
        "timestamp(0) + 1 == timestamp(1)",
        "timestamp(0).getHours(1) == 0",
        "duration('1s').getDate() == 1",
        "quantity(1) == quantity('1')",
        "quantity('1') < quantity('2')",
        "quantity('1') + quantity('2') == quantity('3')",
        "quantity('1').add(1.5) == quantity('2')",
        "quantity('1') == '1'",
        "ip(1) == ip('::1')",
        "ip('::1').prefixLength() == 128",
        "cidr('::/0').family() == 6",
        "format.nothing().validate('') == optional.none()",
        "format == 1",
        "url('https://a.example').getHost() == ''",
        "semver('1.0.0') == semver('1.0.0')",
    ] {
        assert!(Program::compile(text, &types()).is_err(), "{text}");
    }
}

/// Words that expressions over time and Kubernetes' types are made of.
const WORDS: [&str; 36] = [
    "timestamp(",
    "duration(",
    "quantity(",
    "ip(",
    "cidr(",
    "isIP(",
    "isQuantity(",
    "string(",
    "int(",
    ")",
    ")",
    ")",
    "'1h'",
    "'2026-01-02T03:04:05Z'",
    "'10.0.0.0/8'",
    "'::1'",
    "'1.5Gi'",
    "object.text",
    "object.number",
    "7",
    "0",
    " + ",
    " - ",
    " == ",
    " < ",
    " && ",
    ".getHours('-01:00')",
    ".getDate()",
    ".add(",
    ".asInteger()",
    ".masked()",
    ".containsIP(",
    "format.dns1123Label().validate(",
    ".hasValue()",
    "[",
    "]",
];

proptest! {
    /// Whatever is written, it is refused or ends within its budget.
    #[test]
    fn nothing_panics_and_budgets_hold(
        words in prop::collection::vec(prop::sample::select(WORDS.as_slice()), 1..14),
        text in "[-+.:/TZ0-9a-zA-Z]{0,30}",
        number in any::<i64>(),
        limit in 0_u64..2_000,
    ) {
        let expression = words.concat();
        let Ok(program) = Program::compile(&format!("dyn({expression}) == 1"), &types()) else { return Ok(()) };
        let object = json!({"text": text, "number": number});
        let (outcome, spent) = program.evaluate(&[("object", Variable::Json(&object))], limit);
        prop_assert!(spent <= limit);
        let (again, more) = program.evaluate(&[("object", Variable::Json(&object))], limit + 100_000);
        if outcome != Err(EvaluationError::TooCostly) {
            prop_assert_eq!(outcome, again);
            prop_assert_eq!(spent, more);
        }
    }

    /// The functions of any value with any text: refused, or an end within the budget.
    #[test]
    fn every_function_takes_any_text(text in any::<String>(), zone in "[-+:0-9a-zA-Z/]{0,12}") {
        let authorizer = Asked::default();
        let object = json!({"text": text, "zone": zone});
        for expression in [
            "timestamp(object.text) > timestamp(0)",
            "timestamp(0).getHours(object.zone) == 1",
            "duration(object.text) > duration('0')",
            "quantity(object.text).add(1).sub(quantity(object.text)).isInteger()",
            "ip(object.text).isLoopback() || cidr(object.text).masked() == cidr('::/0')",
            "cidr('10.0.0.0/8').containsIP(object.text)",
            "format.named(object.text).hasValue()",
            "format.qualifiedName().validate(object.text).hasValue()",
            "format.datetime().validate(object.zone).hasValue()",
        ] {
            let program = Program::compile(expression, &types()).unwrap();
            let variables = [
                ("object", Variable::Json(&object)),
                ("authorizer", Variable::Authorizer { authorizer: &authorizer, request_resource: [""; 5] }),
            ];
            let (_, spent) = program.evaluate(&variables, 10_000);
            prop_assert!(spent <= 10_000);
        }
    }
}

#[test]
fn what_is_read_is_paid_for() {
    let long = "x".repeat(10_000);
    for text in ["timestamp", "duration", "quantity", "ip", "cidr"] {
        let (_, spent) = evaluated(&format!("{text}('{long}') == {text}('1')"), 2_500_000);
        assert!(spent >= 1_000, "{text}: {spent}");
    }
    for text in ["isQuantity(", "isIP(", "isCIDR(", "ip.isCanonical(", "format.dns1123Label().validate("] {
        let rest = if text.starts_with("format") { ".hasValue()" } else { "" };
        let (_, spent) = evaluated(&format!("{text}'{long}'){rest}"), 2_500_000);
        assert!(spent >= 1_000, "{text}: {spent}");
    }
}
