//! Expressions and what comes of them.

use std::cell::RefCell;

use proptest::prelude::*;
use serde_json::json;

use super::*;

mod kubernetes;
mod limits;

fn types() -> Vec<(&'static str, Type)> {
    let user = Type::record(
        "kubernetes.UserInfo",
        vec![("username", Type::Text), ("groups", Type::list(Type::Text))],
    );
    vec![
        ("object", Type::Dyn),
        ("oldObject", Type::Dyn),
        (
            "request",
            Type::record("kubernetes.AdmissionRequest", vec![("operation", Type::Text), ("userInfo", user)]),
        ),
        ("authorizer", Type::Authority(Step::Authorizer)),
    ]
}

/// Allows `get`, and notes what it is asked.
#[derive(Default)]
struct Asked(RefCell<Vec<String>>);

impl Authorizer for Asked {
    fn decide(&self, check: &Check<'_>) -> Decision {
        self.0.borrow_mut().push(format!("{check:?}"));
        Decision { allowed: check.verb == "get", reason: "because".to_owned() }
    }
}

fn evaluated(text: &str, limit: u64) -> (Result<bool, EvaluationError>, u64) {
    let object = json!({
        "metadata": {"name": "web", "labels": {"app": "web", "a/b": "c"}, "annotations": null},
        "spec": {
            "replicas": 3, "ratio": 1.5, "on": true, "huge": u64::MAX,
            "containers": [{"name": "a", "image": "r/a:1", "ports": [80, 443]}, {"name": "b", "image": "r/b:2"}],
        },
    });
    let request = json!({"operation": "CREATE", "userInfo": {"username": "alice", "groups": ["dev", "ops"]}});
    let authorizer = Asked::default();
    let variables = [
        ("object", Variable::Json(&object)),
        ("oldObject", Variable::Null),
        ("request", Variable::Json(&request)),
        (
            "authorizer",
            Variable::Authorizer { authorizer: &authorizer, request_resource: ["", "pods", "", "ns", "web"] },
        ),
    ];
    let program = Program::compile(text, &types()).unwrap_or_else(|error| panic!("{text}: {error}"));
    program.evaluate(&variables, limit)
}

#[test]
fn what_is_true() {
    for text in [
        "true",
        "!false",
        "!!true",
        "1 + 2 * 3 == 7",
        "(1 + 2) * 3 == 9",
        "7 / 2 == 3",
        "-7 % 3 == -1",
        "1.5 + 1.5 == 3.0",
        "7u / 2u == 3u",
        "-(1) == -1",
        "--1 == 1",
        "0x1f == 31",
        "1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3",
        "1 < 1.5",
        "1u < 2",
        "'a' < 'b'",
        "false < true",
        "'a' + 'b' == \"ab\"",
        "[1] + [2, 3] == [1, 2, 3]",
        "2 in [1, 2]",
        "!('x' in {'a': 1})",
        "'a' in {'a': 1}",
        "{'a': 1}['a'] == 1",
        "{'a': 1}.a == 1",
        "{1: 'x'}[1] == 'x'",
        "{'a': [1, {'b': 2}]} == {'a': [1, {'b': 2}]}",
        "{'a': 1} != {'a': 2}",
        "[1, 2][1] == 2",
        "null == null",
        "oldObject == null",
        "object != null",
        "dyn(1) == 1.0",
        "dyn('a') != 1",
        "r'\\d' == '\\\\d'",
        "'''a\nb''' == 'a\\nb'",
        "'\\x41\\u00e9' == 'Aé'",
        "true ? true : false",
        "false ? false : 1 == 1",
        // What decides decides, whatever is wrong with the rest.
        "object.nowhere == 1 || true",
        "!(object.nowhere == 1 && false)",
        "[0, 1].exists(i, 1 / i == 1)",
        "![0, 1].all(i, 1 / i == 2)",
        "has(object.spec.replicas)",
        "!has(object.spec.nowhere)",
        "!has(oldObject.spec)",
        "!has(object.spec.replicas.x)",
        "!has(object.?nowhere.x)",
        "object.spec.replicas.?x.orValue(1) == 1",
        "object.metadata.name[?0].orValue(1) == 1",
        "has(object.metadata.annotations)",
        "object.spec.replicas == 3",
        "object.spec.ratio > 1",
        "!(object.spec.ratio < 0.0 / 0.0)",
        "object.spec.on == true",
        "object.spec.huge > 1.0",
        "object['metadata']['labels']['a/b'] == 'c'",
        "object.spec.containers.size() == 2",
        "size(object.spec) == 5",
        "object.spec.containers.all(c, c.image.startsWith('r/'))",
        "object.spec.containers.exists(c, has(c.ports) && 443 in c.ports)",
        "object.spec.containers.exists_one(c, c.name == 'b')",
        "object.spec.containers.filter(c, c.name == 'a').size() == 1",
        "object.spec.containers.map(c, c.name) == ['a', 'b']",
        "object.spec.containers.map(c, has(c.ports), c.name) == ['a']",
        "object.metadata.labels.all(k, k.size() > 0)",
        "{'a': 1, 'b': 2}.exists(k, k == 'b')",
        "[1, 2].map(i, [3, 4].map(j, i * j)) == [[3, 4], [6, 8]]",
        "[1, 2].all(i, [i].all(i, i > 0) && i > 0)",
        "request.operation == 'CREATE'",
        "'ops' in request.userInfo.groups",
        "request.userInfo.username != 'bob'",
        "size('é') == 1",
        "'abc'.contains('b')",
        "'abc'.endsWith('c')",
        "'abc'.matches('^a.c$')",
        "matches('abc', 'b')",
        "'a1b22'.find('[0-9]+') == '1'",
        "'a1b22'.findAll('[0-9]+') == ['1', '22']",
        "'a1b2'.findAll('[0-9]', 1) == ['1']",
        "'héllo'.charAt(1) == 'é'",
        "'héllo'.indexOf('l') == 2",
        "'hello'.indexOf('l', 3) == 3",
        "'abc'.indexOf('x') == -1",
        "'hello'.lastIndexOf('l') == 3",
        "'AbC'.lowerAscii() == 'abc'",
        "'AbC'.upperAscii() == 'ABC'",
        "'  a '.trim() == 'a'",
        "'aaa'.replace('a', 'b', 2) == 'bba'",
        "'a.b'.replace('.', '-') == 'a-b'",
        "'a,b,c'.split(',') == ['a', 'b', 'c']",
        "'a,b,c'.split(',', 2) == ['a', 'b,c']",
        "'ab'.split('') == ['a', 'b']",
        "'abc'.split('', 2) == ['a', 'bc']",
        "'abc'.split(',', 0) == []",
        "'hello'.substring(1, 3) == 'el'",
        "'hello'.substring(3) == 'lo'",
        "['a', 'b'].join('-') == 'a-b'",
        "['a', 'b'].join() == 'ab'",
        "[1, 2, 2].isSorted()",
        "![2, 1].isSorted()",
        "[1, 2, 3].sum() == 6",
        "[1.5, 2.5].sum() == 4.0",
        "[3, 1, 2].min() == 1",
        "[3, 1, 2].max() == 3",
        "[1, 2, 1].indexOf(1) == 0",
        "[1, 2, 1].lastIndexOf(1) == 2",
        "sets.contains([1, 2], [2])",
        "sets.equivalent([1, 1], [1])",
        "sets.intersects([1], [1, 2]) && !sets.intersects([1], [2])",
        "int('7') == 7",
        "int(7.9) == 7",
        "uint(7) == 7u",
        "double('1.5') == 1.5",
        "string(7) == '7'",
        "string(true) == 'true'",
        "bool('true')",
        "string(1.5) == '1.5'",
        "object.?spec.replicas.orValue(0) == 3",
        "object.?nowhere.deeper.orValue(7) == 7",
        "!object.?nowhere.hasValue()",
        "object.metadata.labels[?'app'].orValue('') == 'web'",
        "[1][?7].orValue(2) == 2",
        "object.?metadata.annotations.orValue({}) == null",
        "optional.of(1).value() == 1",
        "!optional.none().hasValue()",
        "optional.none().or(optional.of(2)).value() == 2",
        "!optional.ofNonZeroValue('').hasValue()",
        "authorizer.group('').resource('pods').namespace('ns').check('get').allowed()",
        "!authorizer.group('apps').resource('daemonsets').check('delete').allowed()",
        "authorizer.path('/healthz').check('get').reason() == 'because'",
        "authorizer.requestResource.subresource('status').check('get').allowed()",
        "authorizer.serviceAccount('ns', 'web').path('/').check('get').allowed()",
    ] {
        let (outcome, spent) = evaluated(text, 2_500_000);
        assert_eq!(outcome, Ok(true), "{text}");
        assert!(spent > 0, "{text}");
    }
}

#[test]
fn what_has_no_value() {
    for (text, wanted) in [
        ("object.nowhere == 1", "no such key: nowhere"),
        ("object.spec.nowhere.deeper == 1", "no such key: nowhere"),
        ("oldObject.spec == 1", "no such key: spec"),
        ("object['x'] == 1", "no such key: x"),
        ("[1][1] == 1", "index out of bounds: 1"),
        ("[1][-1] == 1", "index out of bounds: -1"),
        ("1 / 0 == 1", "division by zero"),
        ("1 % 0 == 1", "modulus by zero"),
        ("9223372036854775807 + 1 == 0", "integer overflow"),
        ("-9223372036854775808 / -1 == 0", "integer overflow"),
        ("-dyn(-9223372036854775808) == 0", "integer overflow"),
        ("1u - 2u == 0u", "integer overflow"),
        ("int('x') == 1", "type conversion error from 'string' to 'int'"),
        ("int(1e30) == 1", "integer overflow"),
        ("object.spec + 1 == 1", "no such overload"),
        ("object.spec < 1", "no such overload"),
        ("object.spec.ratio < object.metadata.name", "no such overload"),
        ("object.spec.on >= object.spec.ratio", "no such overload"),
        ("object.spec.replicas.x == 1", "no such key: x"),
        ("object.metadata.name.x == 1", "no such key: x"),
        ("has(object.spec.containers.x)", "no such key: x"),
        ("object.spec.replicas[0] == 1", "no such overload"),
        ("!object.spec", "no such overload"),
        ("object.spec.replicas.exists(x, true)", "no such overload"),
        ("object.spec.replicas ? true : false", "no such overload"),
        ("object.spec.replicas && true", "no such overload"),
        ("{'a': 1, 'a': 2} == {}", "repeated key"),
        ("optional.none().value() == 1", "optional.none() dereference"),
        ("[].min() == 1", "min/max called on empty list"),
        ("'abc'.substring(2, 1) == ''", "index out of bounds: 2"),
        ("'abc'.charAt(4) == ''", "index out of bounds: 4"),
        (
            "object.metadata.name.matches(object.metadata.name + '(')",
            "error parsing regexp: invalid pattern of 4 bytes",
        ),
        ("authorizer.path(' ').check('get').allowed()", "path must not be empty"),
        (
            "authorizer.serviceAccount('N', 'x').path('/').check('get').allowed()",
            "Invalid service account namespace",
        ),
    ] {
        let (outcome, _) = evaluated(text, 2_500_000);
        assert_eq!(outcome.map_err(|error| error.to_string()), Err(wanted.to_owned()), "{text}");
    }
}

#[test]
fn what_is_refused_before() {
    for (text, wanted) in [
        ("object", "must evaluate to bool but got dyn"),
        ("1 + 1", "must evaluate to bool but got int"),
        ("[true]", "must evaluate to bool but got list(bool)"),
        (
            "unknown == 1",
            "compilation failed: ERROR: <input>:1:1: undeclared reference to 'unknown' (in container '')\n | unknown == 1\n | ^",
        ),
        (
            "true &&\n  nowhere",
            "compilation failed: ERROR: <input>:2:3: undeclared reference to 'nowhere' (in container '')\n |   nowhere\n | ..^",
        ),
        (
            "request.nothing == ''",
            "compilation failed: ERROR: <input>:1:8: undefined field 'nothing'\n | request.nothing == ''\n | .......^",
        ),
        (
            "1 == 'a'",
            "compilation failed: ERROR: <input>:1:3: found no matching overload for '_==_' applied to '(int, string)'\n | 1 == 'a'\n | ..^",
        ),
        (
            "'a'.startsWith(1)",
            "compilation failed: ERROR: <input>:1:4: found no matching overload for 'startsWith' applied to 'string.(int)'\n | 'a'.startsWith(1)\n | ...^",
        ),
        ("1 +", "compilation failed: ERROR: <input>:1:4: Syntax error: unexpected '<EOF>'\n | 1 +\n | ...^"),
    ] {
        let error = Program::compile(text, &types()).unwrap_err();
        assert_eq!(error.to_string(), wanted, "{text}");
    }
    for text in [
        "quantity('1') == 1",
        "duration('1s') == 1",
        "b'a' == 1",
        "type(1) == int",
        "'a'.matches('(')",
        "has(object)",
        "1 in 2",
        "!1",
        "-'a' == ''",
        "'a' - 'b' == ''",
        "1.0 % 2.0 == 0.0",
        "1 ? true : false",
        "true ? 1 : 'a'",
        "true && 1",
        "'a'.exists(x, true)",
        "[1].all(x, x)",
        "request.userInfo.groups[0] == 1",
        "request == 'a'",
        "size(1) == 1",
        "authorizer.resource('pods') == 1",
        "authorizer == authorizer.requestResource",
        "'a'.nowhere",
        "x.all(y, true)",
    ] {
        assert!(Program::compile(text, &types()).is_err(), "{text}");
    }
}

#[test]
fn questions_are_asked_as_they_are_put() {
    let authorizer = Asked::default();
    let variables = [(
        "authorizer",
        Variable::Authorizer { authorizer: &authorizer, request_resource: ["g", "r", "s", "ns", "n"] },
    )];
    for text in [
        "authorizer.group('apps').resource('daemonsets').subresource('status').namespace('a').name('b').check('update').allowed()",
        "authorizer.requestResource.check('get').allowed()",
        "authorizer.serviceAccount('ns', 'sa').path('/x').check('get').allowed()",
    ] {
        Program::compile(text, &types()).unwrap().evaluate(&variables, 2_500_000).0.unwrap();
    }
    assert_eq!(
        *authorizer.0.borrow(),
        [
            "Check { service_account: None, verb: \"update\", to: Resource { group: \"apps\", resource: \"daemonsets\", subresource: \"status\", namespace: \"a\", name: \"b\" } }",
            "Check { service_account: None, verb: \"get\", to: Resource { group: \"g\", resource: \"r\", subresource: \"s\", namespace: \"ns\", name: \"n\" } }",
            "Check { service_account: Some((\"ns\", \"sa\")), verb: \"get\", to: Path(\"/x\") }",
        ]
    );
}

/// Texts that look like expressions.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("object"),
        Just("x"),
        Just("1"),
        Just("'a'"),
        Just("1.5"),
        Just("2u"),
        Just("null"),
        Just("true"),
        Just(" && "),
        Just(" || "),
        Just(" == "),
        Just(" < "),
        Just(" in "),
        Just("+"),
        Just("-"),
        Just("*"),
        Just("/"),
        Just("%"),
        Just("!"),
        Just("("),
        Just(")"),
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just(","),
        Just("."),
        Just(".?"),
        Just("[?"),
        Just("?"),
        Just(":"),
        Just(".all(x, "),
        Just(".map(x, "),
        Just(".exists(x, "),
        Just("has("),
        Just(".size()"),
        Just(".split('')"),
        Just(".orValue(1)"),
        Just("optional.of("),
        Just(".replace('a', 'b')"),
        Just(".matches('a+')"),
        Just(".spec"),
        Just("\\"),
        Just("é"),
        Just("'"),
        Just("authorizer"),
        Just(".check('get')"),
        Just(".sum()"),
        Just(".max()"),
        Just("size("),
    ];
    proptest::collection::vec(word, 0..25).prop_map(|words| words.concat())
}

/// Small expressions that are right, over numbers, with what they give.
#[derive(Clone, Debug)]
enum Sum {
    Number(i8),
    Of(Box<Sum>, char, Box<Sum>),
    Chosen(Box<Sum>, Box<Sum>, Box<Sum>),
    Last(Vec<Sum>),
}

impl Sum {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Of(a, sign, b) => format!("({} {sign} {})", a.text(), b.text()),
            Self::Chosen(a, b, c) => format!("({} > 0 ? {} : {})", a.text(), b.text(), c.text()),
            Self::Last(of) => {
                let items: Vec<String> = of.iter().map(Self::text).collect();
                format!("[{}].map(x, x + 0)[{}]", items.join(", "), of.len() - 1)
            }
        }
    }

    fn value(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(i64::from(*number)),
            Self::Of(a, sign, b) => {
                let (a, b) = (a.value()?, b.value()?);
                match sign {
                    '+' => a.checked_add(b),
                    '-' => a.checked_sub(b),
                    '*' => a.checked_mul(b),
                    '/' => a.checked_div(b),
                    _ => a.checked_rem(b),
                }
            }
            Self::Chosen(a, b, c) => {
                if a.value()? > 0 {
                    b.value()
                } else {
                    c.value()
                }
            }
            Self::Last(of) => of.iter().map(Self::value).collect::<Option<Vec<i64>>>()?.last().copied(),
        }
    }
}

fn sum() -> impl Strategy<Value = Sum> {
    let leaf = any::<i8>().prop_map(Sum::Number);
    leaf.prop_recursive(4, 24, 3, |inner| {
        let sign = prop_oneof![Just('+'), Just('-'), Just('*'), Just('/'), Just('%')];
        prop_oneof![
            (inner.clone(), sign, inner.clone()).prop_map(|(a, sign, b)| Sum::Of(
                Box::new(a),
                sign,
                Box::new(b)
            )),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| Sum::Chosen(
                Box::new(a),
                Box::new(b),
                Box::new(c)
            )),
            proptest::collection::vec(inner, 1..4).prop_map(Sum::Last),
        ]
    })
}

proptest! {
    /// Nothing that anybody writes makes it stumble, and what it takes is what it says.
    #[test]
    fn any_text_is_refused_or_ends_within_its_limit(text in text(), limit in 0_u64..2_000) {
        if let Ok(program) = Program::compile(&text, &types()) {
            let object = json!({"spec": ["a", 1, {"b": null}]});
            let authorizer = Asked::default();
            let variables = [
                ("object", Variable::Json(&object)),
                ("oldObject", Variable::Null),
                ("request", Variable::Json(&object)),
                ("authorizer", Variable::Authorizer { authorizer: &authorizer, request_resource: [""; 5] }),
            ];
            let (_, spent) = program.evaluate(&variables, limit);
            prop_assert!(spent <= limit);
        }
    }

    #[test]
    fn sums_agree_with_rust(sum in sum()) {
        let wanted = sum.value();
        let text = format!("{} == {}", sum.text(), wanted.unwrap_or_default());
        let (outcome, _) = evaluated(&text, 2_500_000);
        prop_assert_eq!(outcome.ok(), wanted.map(|_| true), "{}", text);
    }
}
