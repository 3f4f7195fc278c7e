use proptest::prelude::*;
use tokenward_kube_rules::Release;
use tokenward_kube_schema::{Decoded, Kind, decode, find_kind, normalize, protobuf};

use super::*;

fn kind() -> &'static Kind {
    find_kind("authentication.k8s.io/v1", "TokenRequest").expect("served")
}

/// What the kubelet of a node sends.
const KUBELET: &str = r#"{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","metadata":{"creationTimestamp":null},
    "spec":{"audiences":["vault"],"expirationSeconds":3600,
        "boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"web-0","uid":"u"}},
    "status":{"token":"","expirationTimestamp":null}}"#;

#[test]
fn the_bodies_of_every_day_are_plain() {
    let bound = BoundObjectRef {
        kind: "Pod".into(),
        api_version: "v1".into(),
        name: "web-0".into(),
        uid: "u".into(),
    };
    let asked = Asked {
        audiences: vec!["vault".into()],
        expiration_seconds: Some(3600),
        bound: Some(bound),
        ..Asked::default()
    };
    assert_eq!(Asked::read_plain(KUBELET.as_bytes()), Some(asked));
    let named = r#"{"metadata":{"name":"web","namespace":"apps","uid":"1"},"spec":{"audiences":null}}"#;
    let asked = Asked { name: "web".into(), namespace: "apps".into(), uid: "1".into(), ..Asked::default() };
    assert_eq!(Asked::read_plain(named.as_bytes()), Some(asked));
    assert_eq!(Asked::read_plain(b"{}"), Some(Asked::default()));
}

#[test]
fn doubtful_bodies_are_left_to_the_schema() {
    let table: &[&[u8]] = &[
        b"",
        b"null",
        b"[]",
        b"[null,null,null,null,null]",
        br#"{"spec":[["a"],600,null]}"#,
        br#"{"spec":{"boundObjectRef":["Pod","v1","p","u"]}}"#,
        br#"{"metadata":["web"]}"#,
        br#"{"status":["token"]}"#,
        br#"{"kind":"Pod"}"#,
        br#"{"apiVersion":"v1"}"#,
        br#"{"spec":{},"spec":{}}"#,
        br#"{"spec":{"other":1}}"#,
        br#"{"Spec":{}}"#,
        br#"{"metadata":{"labels":{"a":"b"}}}"#,
        br#"{"metadata":{"creationTimestamp":"2027-01-15T08:00:00Z"}}"#,
        br#"{"spec":{"audiences":"a"}}"#,
        br#"{"spec":{"expirationSeconds":600.0}}"#,
        br#"{"spec":{"expirationSeconds":"600"}}"#,
        br#"{"spec":{"expirationSeconds":9223372036854775808}}"#,
        br#"{"spec":{}} x"#,
        b"{\"spec\":{\"audiences\":[\"\xff\"]}}",
    ];
    for body in table {
        assert_eq!(Asked::read_plain(body), None, "{}", String::from_utf8_lossy(body));
    }
}

/// A value of any type, mostly not the one that belongs there.
fn odd() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("\"\"".to_owned()),
        "-?[0-9]{1,20}",
        "[0-9]{1,3}(\\.0|e1|E-2)",
        r#"["a-z\\\\ud8]{0,8}"#,
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        40 => "[a-z/.]{0,6}".prop_map(|text| format!("\"{text}\"")),
        1 => any::<String>().prop_map(|text| serde_json::to_string(&text).expect("a text")),
        1 => r#"\\u(00[46][0-9a-f]|d8[0-9]{2}|2028)"#.prop_map(|text| format!("\"{text}\"")),
        1 => odd(),
    ]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![20 => any::<i64>().prop_map(|number| number.to_string()), 1 => odd()]
}

fn rarely_set() -> BoxedStrategy<String> {
    prop_oneof![20 => Just("null".to_owned()), 1 => text()].boxed()
}

fn list(item: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    proptest::collection::vec(item, 0..3).prop_map(|items| format!("[{}]", items.join(",")))
}

/// An object with some of these members in any order, now and then one twice or under another name.
fn object(members: Vec<(&'static str, BoxedStrategy<String>)>) -> BoxedStrategy<String> {
    let member = |(name, value): (&'static str, BoxedStrategy<String>)| {
        let escaped = format!("\\u{:04x}{}", name.as_bytes()[0], &name[1..]);
        let names =
            prop_oneof![30 => Just(name.to_owned()), 1 => Just(escaped), 1 => Just(name.to_uppercase())];
        (names, value).prop_map(|(name, value)| format!("\"{name}\":{value}"))
    };
    let count = members.len();
    let some = proptest::sample::subsequence(members, 0..=count).prop_shuffle();
    let object = (some, proptest::bool::weighted(0.03)).prop_flat_map(move |(mut members, twice)| {
        if twice {
            members.extend(members.first().cloned());
        }
        members.into_iter().map(member).collect::<Vec<_>>()
    });
    let object = object.prop_map(|members| format!("{{{}}}", members.join(" ,\n")));
    prop_oneof![40 => object, 1 => Just("null".to_owned()), 1 => odd()].boxed()
}

fn body() -> impl Strategy<Value = String> {
    let text = || text().boxed();
    let bound = object(vec![("kind", text()), ("apiVersion", text()), ("name", text()), ("uid", text())]);
    let spec = object(vec![
        ("audiences", prop_oneof![20 => list(text()), 1 => odd()].boxed()),
        ("expirationSeconds", number().boxed()),
        ("boundObjectRef", bound),
    ]);
    let metadata = object(vec![
        ("name", text()),
        ("namespace", text()),
        ("uid", text()),
        ("creationTimestamp", rarely_set()),
    ]);
    let status = object(vec![("token", text()), ("expirationTimestamp", rarely_set())]);
    let exactly = |wanted: &'static str| prop_oneof![30 => Just(wanted.to_owned()), 1 => text()].boxed();
    object(vec![
        ("kind", exactly("\"TokenRequest\"")),
        ("apiVersion", exactly("\"authentication.k8s.io/v1\"")),
        ("metadata", metadata),
        ("spec", spec),
        ("status", status),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_plain_body_is_what_the_schema_makes_of_it(body in body()) {
        if let Some(asked) = Asked::read_plain(body.as_bytes()) {
            for release in [Release::V1_34, Release::V1_35, Release::V1_36] {
                let decoded = decode(kind(), release, body.as_bytes());
                let Ok(Decoded { object, strict, .. }) = decoded else {
                    return Err(TestCaseError::fail(format!("the schema refuses {body}: {decoded:?}")));
                };
                prop_assert!(strict.is_empty(), "{:?} in {}", strict, body);
                prop_assert_eq!(&Asked::of_object(object), &asked);
            }
        }
    }

    /// As Go clients send it, and with one byte of it changed.
    #[test]
    fn protobuf_asks_for_the_same_as_json(body in body(), place: prop::sample::Index, byte in 1_u8..) {
        if let Some(asked) = Asked::read_plain(body.as_bytes()) {
            let tree = decode(kind(), Release::V1_35, body.as_bytes()).unwrap().object;
            let printed = normalize(kind(), Release::V1_35, &tree).unwrap().object;
            let mut encoded = protobuf::encode(kind(), &printed).unwrap().bytes().clone();
            if printed["status"]["token"] == "" {
                prop_assert_eq!(Asked::read_protobuf(&encoded), Some(asked));
            }
            let place = place.index(encoded.len());
            encoded[place] ^= byte;
            if let Some(asked) = Asked::read_protobuf(&encoded) {
                let object = protobuf::decode(kind(), Release::V1_35, &encoded).unwrap();
                prop_assert_eq!(Asked::of_object(object), asked);
            }
        }
    }
}
