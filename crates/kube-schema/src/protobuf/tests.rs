//! The table decides: whatever a tree of the table holds comes back from protobuf, and nothing that a stranger sends does
//! more than be refused.

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Map, Value, json};
use tokenward_kube_rules::Release;

use super::*;
use crate::table::{Field, FieldType, Message, Shape};
use crate::{Kind, find_resource, kinds, normalize};

/// A tree in which every field of the kind stands once, with something in it.
fn filled(message: &Message, release: Release) -> Map<String, Value> {
    let mut object = Map::new();
    for field in message.fields.iter().filter(|field| field.since <= release) {
        let inner = || filled(field.message().expect("the field is one"), release);
        if field.inline {
            object.extend(inner());
            continue;
        }
        let item = match field.field_type {
            FieldType::Bool => json!(true),
            FieldType::Bytes => json!("/+8="),
            FieldType::Int32 | FieldType::Int64 => json!(field.number),
            FieldType::IntOrString | FieldType::String => json!(format!("{}Value", field.name)),
            FieldType::Message(_) => json!(inner()),
            FieldType::MicroTime => json!("2026-01-02T03:04:05.000600Z"),
            FieldType::Time => json!("2026-01-02T03:04:05Z"),
            FieldType::Quantity => json!("100Mi"),
            FieldType::FieldsV1 | FieldType::Raw => json!({"f:a": {}}),
            FieldType::StringList => json!(["a", "b"]),
        };
        let value = match field.shape {
            Shape::One => item,
            Shape::List => json!([item, item]),
            Shape::Map => json!({ "key": item }),
        };
        object.insert(field.name.to_owned(), value);
    }
    object
}

#[test]
fn every_field_of_every_kind_comes_back() {
    for kind in kinds() {
        for release in Release::ALL {
            let tree = filled(kind.message(), release);
            let printed = normalize(kind, release, &tree).unwrap();
            assert!(printed.strict.is_empty(), "{}: {:?}", kind.kind, printed.strict);
            let encoded = encode(kind, &printed.object).unwrap();
            let decoded = decode(kind, release, encoded.bytes()).unwrap();
            // Everything is set, so that there is nothing to be filled in or left out.
            assert_eq!(decoded, printed.object, "{} of {release:?}", kind.kind);
        }
    }
}

/// Makes a tree of a kind. Everything that a field may hold comes up: absent, zero, empty, and several.
struct Maker {
    random: TestRng,
}

impl Maker {
    fn new(seed: [u8; 32]) -> Self {
        Self { random: TestRng::from_seed(RngAlgorithm::ChaCha, &seed) }
    }

    fn below(&mut self, limit: u32) -> u32 {
        self.random.next_u32() % limit
    }

    fn message(&mut self, message: &Message, depth: u32) -> Map<String, Value> {
        let mut object = Map::new();
        for field in message.fields {
            if field.inline {
                let inner = field.message().expect("what is inlined is a message");
                object.extend(self.message(inner, depth));
            } else if self.below(1 + depth) == 0 {
                let value = match field.shape {
                    Shape::One => self.item(field, depth),
                    Shape::List => (0..self.below(3)).map(|_| self.item(field, depth)).collect(),
                    Shape::Map => {
                        (0..self.below(3)).map(|_| (self.text(), self.item(field, depth))).collect()
                    }
                };
                object.insert(field.name.to_owned(), value);
            }
        }
        object
    }

    fn item(&mut self, field: &Field, depth: u32) -> Value {
        match field.field_type {
            FieldType::Bool => json!(self.below(2) == 0),
            FieldType::Bytes => json!(["", "AA==", "/+8="][self.below(3) as usize]),
            FieldType::Int32 => json!([0, 1, -1, i32::MAX, i32::MIN, 300][self.below(6) as usize]),
            FieldType::Int64 => json!([0, 1, -1, i64::MAX, i64::MIN, 300][self.below(6) as usize]),
            FieldType::IntOrString if self.below(2) == 0 => json!(self.below(100)),
            FieldType::IntOrString | FieldType::String => json!(self.text()),
            FieldType::Message(_) => {
                json!(self.message(field.message().expect("the field is one"), depth + 1))
            }
            FieldType::MicroTime => json!(self.time(".123456Z")),
            FieldType::Time => json!(self.time("Z")),
            FieldType::Quantity => json!(["0", "1", "100Mi", "250m", "-1e3"][self.below(5) as usize]),
            FieldType::FieldsV1 | FieldType::Raw => {
                [json!({}), json!({"f:a": {}, "b": [1, null, "x"]}), json!("x")][self.below(3) as usize]
                    .clone()
            }
            FieldType::StringList => (0..self.below(3)).map(|_| json!(self.text())).collect(),
        }
    }

    fn text(&mut self) -> String {
        let texts = ["", "a", "Zürich \"☃\"", "\0\n", "kubernetes.io/name"];
        let text = texts[self.below(5) as usize];
        if self.below(10) == 0 { text.repeat(50) } else { format!("{text}{}", self.below(3)) }
    }

    fn time(&mut self, end: &str) -> String {
        let year = [1, 1901, 1969, 1970, 2026, 9999][self.below(6) as usize];
        format!("{year:04}-01-01T00:00:00{end}")
    }
}

fn served() -> impl Strategy<Value = (&'static Kind, Release)> {
    (0..kinds().len(), prop_oneof![Just(Release::V1_34), Just(Release::V1_35), Just(Release::V1_36)])
        .prop_map(|(index, release)| (&kinds()[index], release))
}

proptest! {
    // A pod has some thousand fields: the cases are large rather than many.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn json_and_protobuf_of_one_object_agree((kind, release) in served(), seed: [u8; 32]) {
        let tree = Maker::new(seed).message(kind.message(), 0);
        let printed = normalize(kind, release, &tree).unwrap().object;
        prop_assert_eq!(crate::print(kind, release, tree), Ok(printed.clone()));
        let encoded = encode(kind, &printed).unwrap();
        let decoded = decode(kind, release, encoded.bytes()).unwrap();
        // The tree is also what the same object gives that came as JSON, but for what Go prints and JSON need not say.
        let from_json = crate::decode(kind, release, json!(printed).to_string().as_bytes()).unwrap().object;
        let print = |tree: &Map<String, Value>| normalize(kind, release, tree).unwrap().object;
        prop_assert_eq!(print(&decoded), printed.clone());
        prop_assert_eq!(print(&from_json), printed);
        let again = encode(kind, &print(&decoded)).unwrap();
        prop_assert!(again == encoded, "one tree has one encoding");
    }

    /// Broken in one place, or cut off: refused, or taken for another tree of the kind.
    #[test]
    fn a_broken_body_is_refused_or_another_tree(
        (kind, release) in served(), seed: [u8; 32], place: prop::sample::Index, byte: u8, cut: bool,
    ) {
        let tree = Maker::new(seed).message(kind.message(), 1);
        let printed = normalize(kind, release, &tree).unwrap().object;
        let mut body = encode(kind, &printed).unwrap().bytes().clone();
        let place = place.index(body.len());
        if cut { body.truncate(place) } else { body[place] ^= byte }
        if let Ok(decoded) = decode(kind, release, &body) {
            prop_assert!(normalize(kind, release, &decoded).is_ok());
        }
    }

}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic((kind, release) in served(), message: Vec<u8>, bare: bool) {
        let enveloped = envelop(&kind.api_version(), kind.kind, &message);
        let body = if bare { &message } else { enveloped.bytes() };
        let decoded = decode(kind, release, body);
        prop_assert!(!bare || decoded.is_err());
        let _ = decode_delete_options(body);
    }

    #[test]
    fn events_are_framed(object in prop::collection::vec(any::<u8>(), 0..40_000)) {
        let mut frame = event_head("MODIFIED", object.len());
        frame.extend_from_slice(&object);
        let (length, event) = frame.split_first_chunk::<4>().unwrap();
        prop_assert_eq!(u32::from_be_bytes(*length) as usize, event.len());
        let mut reader = Reader::new(event, "WatchEvent");
        prop_assert!(reader.field().unwrap() == Some((1, Wire::Bytes(b"MODIFIED"))));
        let Some((2, Wire::Bytes(raw))) = reader.field().unwrap() else { panic!("the object") };
        prop_assert!(Reader::new(raw, "RawExtension").field().unwrap() == Some((1, Wire::Bytes(&object))));
    }
}

fn drivers() -> &'static Kind {
    find_resource("storage.k8s.io", "v1", "csidrivers").expect("a served resource")
}

fn refusal(kind: &Kind, body: &[u8]) -> String {
    decode(kind, Release::V1_35, body).expect_err("broken").status_message(kind)
}

fn enveloped(message: &[u8]) -> Vec<u8> {
    envelop("storage.k8s.io/v1", "CSIDriver", message).bytes().clone()
}

#[test]
fn refusals_are_worded_like_upstream_s() {
    let of_driver =
        |text: &str| format!("CSIDriver in version \"v1\" cannot be handled as a CSIDriver: {text}");
    let nothing =
        |text: &str| format!("the object provided is unrecognized (must be of type CSIDriver): {text}");
    let prefix = "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]";
    let rows = [
        (vec![], nothing("empty data")),
        (b"k8s".to_vec(), nothing(prefix)),
        (b"{}".to_vec(), nothing(prefix)),
        (b"k8s\0".to_vec(), nothing("empty body")),
        (b"k8s\0\x0a".to_vec(), nothing("unexpected EOF")),
        (b"k8s\0\x08\x01".to_vec(), nothing("proto: wrong wireType = 0 for field TypeMeta")),
        (enveloped(&[0x0a]), of_driver("unexpected EOF")),
        (enveloped(&[0x08, 1]), of_driver("proto: wrong wireType = 0 for field ObjectMeta")),
        (enveloped(&[0x0a, 2, 0x28, 1]), of_driver("proto: wrong wireType = 0 for field UID")),
        (enveloped(&[0x12, 2, 0x0a, 0]), of_driver("proto: wrong wireType = 2 for field AttachRequired")),
        (enveloped(&[0x0a, 1, 0x0c]), of_driver("proto: ObjectMeta: wiretype end group for non-group")),
        (enveloped(&[0x0a, 3, 0x0a, 1, 0xff]), of_driver("proto: ObjectMeta.name: a string that is not UTF-8")),
        (
            envelop("storage.k8s.io/v1beta1", "CSIDriver", &[]).bytes().clone(),
            "the API version in the data (storage.k8s.io/v1beta1) does not match the expected API version (storage.k8s.io/v1)"
                .to_owned(),
        ),
        (
            envelop("v1", "Pod", &[]).bytes().clone(),
            "Pod in version \"v1\" cannot be handled as a CSIDriver: converting (v1.Pod) to (storage.CSIDriver): unknown conversion"
                .to_owned(),
        ),
    ];
    for (body, wanted) in rows {
        assert_eq!(refusal(drivers(), &body), wanted, "{body:?}");
    }
}

#[test]
fn what_was_said_twice_is_put_together_and_the_last_scalar_counts() {
    // metadata {name: a, labels {x: 1}}, metadata {name: b, labels {y: 2}}, and fields that nobody knows.
    let body = enveloped(&[
        0x0a, 11, 0x0a, 1, b'a', 0x5a, 6, 0x0a, 1, b'x', 0x12, 1, b'1', //
        0x0a, 14, 0x0a, 1, b'b', 0x5a, 6, 0x0a, 1, b'y', 0x12, 1, b'2', 0x98, 0x06, 7, //
        0x9a, 0x06, 1, 0, 0x9b, 0x06, 0x08, 1, 0x9c, 0x06,
    ]);
    let decoded = decode(drivers(), Release::V1_35, &body).unwrap();
    assert_eq!(decoded["metadata"], json!({"name": "b", "labels": {"x": "1", "y": "2"}}));
}

#[test]
fn a_release_skips_what_it_does_not_know() {
    let body = enveloped(&[0x0a, 0, 0x12, 2, 0x50, 1]);
    let spec = |release| decode(drivers(), release, &body).unwrap()["spec"].clone();
    assert_eq!(spec(Release::V1_35), json!({"serviceAccountTokenInSecrets": true}));
    assert_eq!(spec(Release::V1_34), json!({}));
}

#[test]
fn numbers_may_come_packed() {
    let pods = find_resource("", "v1", "pods").expect("a served resource");
    // spec {securityContext {supplementalGroups: 1, packed 2 and 300}}
    let message = [0x12, 11, 0x72, 9, 0x20, 1, 0x22, 3, 2, 0xac, 0x02, 0x20, 7];
    let decoded = decode(pods, Release::V1_35, envelop("v1", "Pod", &message).bytes()).unwrap();
    assert_eq!(decoded["spec"]["securityContext"]["supplementalGroups"], json!([1, 2, 300, 7]));
}

#[test]
fn delete_options_come_in_any_group_s_version() {
    // gracePeriodSeconds 0, preconditions {uid: u}, propagationPolicy Orphan, dryRun All
    let message = [
        0x08, 0, 0x12, 3, 0x0a, 1, b'u', 0x22, 6, b'O', b'r', b'p', b'h', b'a', b'n', 0x2a, 3, b'A', b'l',
        b'l',
    ];
    for api_version in ["v1", "storage.k8s.io/v1", "meta.k8s.io/v1"] {
        let body = envelop(api_version, "DeleteOptions", &message);
        let options = decode_delete_options(body.bytes()).unwrap();
        let wanted = json!({
            "gracePeriodSeconds": 0, "preconditions": {"uid": "u"}, "propagationPolicy": "Orphan", "dryRun": ["All"],
        });
        assert_eq!(Value::Object(options), wanted);
    }
    assert!(decode_delete_options(envelop("v1", "Pod", &message).bytes()).is_err());
}

#[test]
fn lists_hold_messages_and_metadata_is_their_beginning() {
    let driver = |name: &str| {
        let tree = json!({"metadata": {"name": name}, "spec": {"podInfoOnMount": true}});
        let tree = normalize(drivers(), Release::V1_35, tree.as_object().unwrap()).unwrap().object;
        encode(drivers(), &tree).unwrap()
    };
    let (long, short) = (driver(&"x".repeat(200)), driver("b"));
    let items = [long.message(), short.message()];
    let metadata = ListMeta { resource_version: "7", continue_token: "", remaining_item_count: Some(300) };
    let items_width = items.iter().map(|item| list_item_width(item)).sum();
    let ListFrame { before: mut list, after } =
        list_frame("storage.k8s.io/v1", "CSIDriverList", metadata, items_width);
    items.iter().for_each(|item| write_list_item(&mut list, item));
    assert!(list.ends_with(&[long.list_item(), short.list_item()].concat()));
    assert_eq!(message_of_item(long.list_item()), long.message());
    assert_eq!(message_of_item(&short.list_item()[1..]), [0_u8; 0]);
    assert_eq!(after, [0x1a, 0, 0x22, 0]);
    list.extend(after);
    let unknown = Unknown::of(&list).unwrap();
    assert_eq!((unknown.api_version, unknown.kind), ("storage.k8s.io/v1", "CSIDriverList"));
    let mut reader = Reader::new(unknown.message, "CSIDriverList");
    let list_meta = [0x0a, 0, 0x12, 1, b'7', 0x1a, 0, 0x20, 0xac, 0x02];
    assert!(reader.field().unwrap() == Some((1, Wire::Bytes(&list_meta))));
    for item in items {
        assert!(reader.field().unwrap() == Some((2, Wire::Bytes(item))));
        let partial = metadata_of(item);
        assert!(item.starts_with(partial) && item.len() - partial.len() == 4, "all but the spec");
    }
    assert!(reader.field().unwrap().is_none());
    assert_eq!(metadata_of(&[]), [0_u8; 0]);
}

#[test]
fn a_tree_that_was_not_normalized_is_an_error_and_not_a_panic() {
    for spec in
        [json!(3), json!({"podInfoOnMount": "yes"}), json!({"tokenRequests": [{"expirationSeconds": 1.5}]})]
    {
        let tree = Map::from_iter([("spec".to_owned(), spec)]);
        assert!(encode(drivers(), &tree).is_err());
    }
    let time = json!({"metadata": {"creationTimestamp": "now"}});
    let error = encode(drivers(), time.as_object().unwrap()).err().unwrap();
    assert_eq!((error.message, error.field), ("ObjectMeta", "creationTimestamp"));
}
