//! What keeps expressions, and what is said of them, from taking more than they may.

use serde_json::json;

use super::{Asked, evaluated, types};
use crate::*;

/// A type is no larger than the text that it comes from, and what is said of it is not much larger.
#[test]
fn types_do_not_grow_with_each_step() {
    for (begin, again, end, times) in [
        ("[0]", ".map(a, {a: a})", "", 16),
        ("[0]", ".map(a, [a, a])", "", 200),
        ("[0]", ".map(a, [[[[[[[[[[[[[[[[[[[[a]]]]]]]]]]]]]]]]]]]])", "", 200),
        ("[0]", ".map(a, {1: optional.of(a)})", "", 100),
        ("[{'aaaa': [[[[[[[[1]]]]]]]]}].all(a, size(a", ", a", "))", 1_000),
    ] {
        let error = Program::compile(&format!("{begin}{}{end}", again.repeat(times)), &types()).unwrap_err();
        let shown = error.to_string();
        let (why, _) = shown.split_once('\n').unwrap_or((&shown, ""));
        assert!(why.len() < 5_000, "{again}: {} bytes", why.len());
    }
}

#[test]
fn an_expression_has_only_so_many_patterns() {
    let of = |patterns: &mut dyn Iterator<Item = usize>| {
        let each: Vec<String> = patterns.map(|pattern| format!("'a'.matches('{pattern}')")).collect();
        Program::compile(&each.join(" || "), &types())
    };
    assert_eq!(of(&mut (0..100)).unwrap().patterns.len(), 100);
    assert_eq!(of(&mut std::iter::repeat_n(7, 3_000)).unwrap().patterns.len(), 1);
    let error = of(&mut (0..101)).unwrap_err().to_string();
    assert!(error.contains("more than 100 different patterns"), "{error}");
}

/// What it takes to evaluate an expression over an object with texts and lists of this length.
fn spent_over(text: &str, length: usize) -> u64 {
    let members: serde_json::Map<String, Json> = (0..length).map(|key| (key.to_string(), json!(1))).collect();
    let object = json!({
        "text": "x".repeat(length), "y": "yx", "list": vec![1; length], "other": vec![2; length],
        "texts": ["x".repeat(length), "x".repeat(length)], "members": members,
    });
    let authorizer = Asked::default();
    let variables = [
        ("object", Variable::Json(&object)),
        ("authorizer", Variable::Authorizer { authorizer: &authorizer, request_resource: [""; 5] }),
    ];
    let program = Program::compile(text, &types()).unwrap_or_else(|error| panic!("{text}: {error}"));
    let (_, spent) = program.evaluate(&variables, 1_000_000_000);
    spent
}

#[test]
fn what_is_looked_at_is_paid_for() {
    const LENGTH: usize = 10_000;
    for (text, least) in [
        ("size(object.text) == 0", 1_000),
        ("int(object.text) == 0", 1_000),
        ("uint(object.text) == 0u", 1_000),
        ("double(object.text) == 0.0", 1_000),
        ("bool(object.text)", 1_000),
        ("object.text == object.text", 1_000),
        ("object.text < object.text", 1_000),
        ("object.text >= object.text", 1_000),
        ("object.texts.isSorted()", 1_000),
        ("object.texts.min() == ''", 1_000),
        ("object.texts.max() == ''", 1_000),
        ("'y'.contains(object.text)", 1_000),
        ("'y'.startsWith(object.text)", 1_000),
        ("'y'.endsWith(object.text)", 1_000),
        ("'y'.indexOf(object.text) == 0", 1_000),
        ("'y'.indexOf(object.text, 0) == 0", 1_000),
        ("'y'.lastIndexOf(object.text) == 0", 1_000),
        ("'y'.split(object.text) == []", 1_000),
        ("'y'.replace(object.text, '') == ''", 1_000),
        ("'y'.replace('z', object.text) == ''", 1_000),
        ("'y'.matches(object.text)", 1_000),
        ("object[object.text] == 0", 1_000),
        ("object[?object.text].hasValue()", 1_000),
        ("object.y[object.text] == 0", 1_000),
        ("object.text in object", 1_000),
        ("object.text in {1: 1, 2: 2, 3: 3}", 3_000),
        ("{'a': 1, object.text: 1} == {}", 1_000),
        ("authorizer.path(object.text).check('get').allowed()", 1_000),
        ("authorizer.group(object.text).resource(object.text).check('get').allowed()", 2_000),
        ("authorizer.serviceAccount(object.text + 'N', object.text).path('/').check('get').allowed()", 3_000),
        ("authorizer.requestResource.name(object.text).check(object.text).allowed()", 2_000),
        ("sets.contains(object.list, [])", 10_000),
        ("sets.contains([], object.list)", 10_000),
        ("sets.intersects(object.list, [])", 10_000),
        ("sets.equivalent([], object.list)", 10_000),
        ("object.members == object.members", 10_000),
        ("object.list.min() == 1", 10_000),
    ] {
        let more = spent_over(text, LENGTH).saturating_sub(spent_over(text, 1));
        assert!(more + 10 >= least, "{text}: {more}");
    }
    // The items and entries are compared once, and a difference in front ends it.
    for text in
        ["object.list == object.list", "object.members == object.members", "object.list == object.other"]
    {
        assert!(spent_over(text, LENGTH) <= 3 * 10_000 + 100, "{text}: {}", spent_over(text, LENGTH));
    }
    assert!(spent_over("object.list == object.other", LENGTH) < 100);
}

/// Whatever an expression would take, it is stopped.
#[test]
fn nothing_holds_a_thread() {
    let many = format!("[{}]", vec!["1"; 1_000].join(","));
    let nested = format!("{many}.all(a, {many}.all(b, {many}.all(c, {many}.all(d, true))))");
    let doubled = (0..200).fold("'0123456789'".to_owned(), |text, _| format!("[{text}].map(x, x + x)[0]"));
    let grown = format!("'aaaaaaaaaa'{}.size() > 0", ".replace('a', 'aaaaaaaaaa')".repeat(30));
    let asked = "[1,2,3,4,5,6,7,8,9].all(i, authorizer.path('/').check('get').allowed())".to_owned();
    let patterns = "[1,2,3,4,5,6,7,8,9].map(i, string(i)).all(s, [s, s, s].all(u, [s, s, s].all(t, !'x'.matches('(a{50}){50}' + s + t))))";
    let deep =
        format!("[0]{}.size() > 0", format!(".map(a, {}a{})", "[".repeat(40), "]".repeat(40)).repeat(200));
    let deep_optional = format!(
        "[0]{}.size() > 0",
        format!(".map(a, {}a{})", "optional.of(".repeat(30), ")".repeat(30)).repeat(150)
    );
    for text in [&deep, &deep_optional] {
        assert_eq!(evaluated(text, 1_000_000).0, Err(EvaluationError::TooCostly));
    }
    for text in [nested, format!("{doubled}.size() > 0"), grown, asked, format!("{patterns} || false")] {
        let Ok(program) = Program::compile(&text, &types()) else { continue };
        let authorizer = Asked::default();
        let variables = [(
            "authorizer",
            Variable::Authorizer { authorizer: &authorizer, request_resource: ["", "", "", "", ""] },
        )];
        let (outcome, spent) = program.evaluate(&variables, 1_000_000);
        assert!(spent <= 1_000_000);
        assert!(outcome.is_err(), "{}", &text[..60.min(text.len())]);
    }
    assert_eq!(evaluated("[1, 2, 3].all(x, x > 0)", 5).0, Err(EvaluationError::TooCostly));
    // Even where another part would decide.
    assert_eq!(evaluated("[1, 2, 3].all(x, x > 0) || true", 5).0, Err(EvaluationError::TooCostly));
}
