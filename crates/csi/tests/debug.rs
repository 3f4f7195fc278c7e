//! No token comes out of `Debug`. Every message is filled to the brim with canaries: a well-formed token in each string,
//! each map key and each map value, an opaque one under the token key of each map. What would break without this: one
//! message whose `Debug` was derived, or one field that the table has wrong, prints a token into somebody's log.
#![expect(clippy::unwrap_used, reason = "a test's own world that does not stand up should stop the test")]

use std::path::Path;

use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};
use tokenward_csi::{TABLE, v1};
use tokenward_sanitize::{STRIPPED, to_json};
use tokenward_tokens::TOKENS_KEY;

const HEADER: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImNhbmFyeSJ9";
const CLAIMS: &str =
    "eyJpc3MiOiJodHRwczovL2NhbmFyeS5leGFtcGxlIiwic3ViIjoic3lzdGVtOnNlcnZpY2VhY2NvdW50Om5zOnNhIn0";
const SIGNATURE: &str = "Q2FuYXJ5U2lnbmF0dXJlVGhhdE5vYm9keU1heVNlZQ";
const OPAQUE: &str = "opaque-canary";

/// Calls the `Debug` of the generated type that a wire form belongs to.
macro_rules! message_debug {
    ($($($part:ident)::+ = $id:literal;)+) => {
        fn debug_of(id: u16, wire: &[u8]) -> Option<[String; 2]> {
            use v1::*;
            match id {
                $($id => {
                    let message = <$($part)::+>::decode(wire).unwrap();
                    Some([format!("{message:?}"), format!("{message:#?}")])
                })+
                _ => None,
            }
        }

        const MESSAGES: usize = [$($id),+].len();
    };
}
macro_rules! oneof_debug {
    ($($part:tt)*) => {};
}
macro_rules! enum_debug {
    ($($part:tt)*) => {};
}
include!("../src/generated/debug.rs");

#[derive(Default)]
struct Filler {
    /// Which member of each oneof is set.
    choice: usize,
    /// Strings, keys and values put where they must be shown, but for the token in them.
    shown: usize,
    /// Token keys put where they must be shown.
    token_keys: usize,
    /// How deep inside secret fields the filler is.
    secret_depth: usize,
}

impl Filler {
    fn text(&mut self) -> String {
        if self.secret_depth > 0 {
            return format!("hidden {HEADER}.{CLAIMS}.{SIGNATURE}");
        }
        self.shown += 1;
        // Each in turn: plain, inside escaped JSON, with a signature cut off by a log's line limit.
        match self.shown % 3 {
            0 => format!("harmless {HEADER}.{CLAIMS}.{SIGNATURE}"),
            1 => format!("harmless {{\"aud\":{{\"token\":\"{HEADER}.{CLAIMS}.{SIGNATURE}\"}}}}"),
            _ => format!("harmless {HEADER}.{CLAIMS}.{}", &SIGNATURE[..13]),
        }
    }

    fn message(&mut self, descriptor: &MessageDescriptor) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        for field in descriptor.fields() {
            let is_chosen = field.containing_oneof().is_none_or(|oneof| {
                let members: Vec<FieldDescriptor> = oneof.fields().collect();
                members[self.choice % members.len()] == field
            });
            if is_chosen {
                let is_secret = usize::from(is_secret(&field));
                self.secret_depth += is_secret;
                let value = self.value(&field);
                self.secret_depth -= is_secret;
                message.set_field(&field, value);
            }
        }
        message
    }

    fn value(&mut self, field: &FieldDescriptor) -> Value {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                assert_eq!(
                    entry.map_entry_value_field().kind(),
                    Kind::String,
                    "fill maps of other values, too"
                );
                let opaque = format!("{{\"aud\":{{\"token\":\"{OPAQUE}\"}}}}");
                let key = MapKey::String(self.text());
                let value = Value::String(self.text());
                self.token_keys += usize::from(self.secret_depth == 0);
                let token_key = MapKey::String(TOKENS_KEY.to_owned());
                Value::Map([(key, value), (token_key, Value::String(opaque))].into())
            }
            kind if field.is_list() => Value::List(vec![self.single(&kind), self.single(&kind)]),
            kind => self.single(&kind),
        }
    }

    fn single(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Message(descriptor) => Value::Message(self.message(descriptor)),
            Kind::String => Value::String(self.text()),
            Kind::Bool => Value::Bool(true),
            Kind::Int32 => Value::I32(7),
            Kind::Int64 => Value::I64(7),
            Kind::Enum(_) => Value::EnumNumber(1),
            other => panic!("fill a {other:?}, too"),
        }
    }
}

fn pool() -> DescriptorPool {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut compiler = protox::Compiler::new([proto]).unwrap();
    compiler.include_imports(true).open_file("csi.proto").unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}

fn is_secret(field: &FieldDescriptor) -> bool {
    let mark = field.parent_pool().get_extension_by_name("csi.v1.csi_secret").unwrap();
    field.options().get_extension(&mark).as_ref() == &Value::Bool(true)
}

/// Any eight letters of a token are too many.
#[track_caller]
fn assert_clean(text: &str) {
    for part in [HEADER, CLAIMS, SIGNATURE, OPAQUE, "hidden"] {
        for window in part.as_bytes().windows(part.len().min(8)) {
            let fragment = std::str::from_utf8(window).unwrap();
            assert!(!text.contains(fragment), "`{fragment}` of a canary in: {text}");
        }
    }
}

#[test]
fn no_message_shows_a_canary_and_each_shows_what_is_harmless() {
    let mut messages = 0;
    let mut secrets = 0;
    for descriptor in pool().all_messages() {
        if descriptor.package_name() != "csi.v1" || descriptor.is_map_entry() {
            continue;
        }
        messages += 1;
        secrets += descriptor.fields().filter(is_secret).count();
        let id = TABLE.find(descriptor.full_name()).unwrap();
        for choice in 0..2 {
            let mut filler = Filler { choice, ..Filler::default() };
            let wire = filler.message(&descriptor).encode_to_vec();
            let json = to_json(&TABLE, id, &wire);
            let [debug, pretty] = debug_of(id.0, &wire).unwrap();
            let name = descriptor.name();
            assert_eq!(debug.to_lowercase(), format!("{name} {json}").to_lowercase());
            for text in [&debug, &pretty, &json] {
                assert_clean(text);
                assert_eq!(text.matches("harmless").count(), filler.shown, "{text}");
                assert_eq!(text.matches(TOKENS_KEY).count(), filler.token_keys, "{text}");
                for field in descriptor.fields().filter(is_secret) {
                    assert!(text.contains(&format!("\"{}\":\"{STRIPPED}\"", field.name())), "{text}");
                }
            }
        }
    }
    assert_eq!((messages, secrets), (MESSAGES, 19));
}

#[test]
fn a_publish_request_is_safe_with_the_tokens_in_either_place() {
    let tokens = format!(
        "{{\"vault\":{{\"token\":\"{HEADER}.{CLAIMS}.{SIGNATURE}\",\"expirationTimestamp\":\"2026-01-01T00:00:00Z\"}}}}"
    );
    let mut in_secrets = v1::NodePublishVolumeRequest { volume_id: "vol-1".to_owned(), ..Default::default() };
    in_secrets.secrets.insert(TOKENS_KEY.to_owned(), tokens.clone());
    let mut in_context = v1::NodePublishVolumeRequest { readonly: true, ..Default::default() };
    in_context.volume_context.insert(TOKENS_KEY.to_owned(), tokens);
    in_context.volume_context.insert("csi.storage.k8s.io/pod.name".to_owned(), "web-0".to_owned());

    let wanted_secrets =
        format!(r#"NodePublishVolumeRequest {{"secrets":"{STRIPPED}","volume_id":"vol-1"}}"#);
    assert_eq!(format!("{in_secrets:?}"), wanted_secrets);
    assert_eq!(
        format!("{in_context:#?}"),
        format!(
            r#"NodePublishVolumeRequest {{"readonly":true,"volume_context":{{"csi.storage.k8s.io/pod.name":"web-0","{TOKENS_KEY}":"{STRIPPED}"}}}}"#
        )
    );
    // tonic prints the message with its request.
    let request = format!("{:?}", tonic::Request::new(in_secrets));
    assert!(request.contains(&wanted_secrets), "{request}");
    assert_clean(&request);
}

#[test]
fn oneofs_and_enums_are_shown_as_the_proto_names_them() {
    use v1::volume_capability::{AccessType, BlockVolume, MountVolume, access_mode::Mode};

    let mount = MountVolume {
        fs_type: "ext4".to_owned(),
        mount_flags: vec![format!("password={HEADER}.{CLAIMS}.{SIGNATURE}"), "ro".to_owned()],
        ..Default::default()
    };
    assert_eq!(
        format!("{:?}", AccessType::Mount(mount)),
        format!(r#"AccessType {{"mount":{{"fs_type":"ext4","mount_flags":["password={STRIPPED}","ro"]}}}}"#)
    );
    assert_eq!(format!("{:#?}", AccessType::Block(BlockVolume {})), r#"AccessType {"block":{}}"#);
    assert_eq!(format!("{:?}", Mode::SingleNodeWriter), "SINGLE_NODE_WRITER");
}

#[test]
fn the_table_can_be_walked() {
    TABLE.check().unwrap();
}

#[test]
fn no_generated_type_derives_debug() {
    let generated = include_str!("../src/generated/csi.v1.rs");
    let types = generated.matches("::prost::Message)").count();
    assert_eq!(types, MESSAGES);
    let oneofs = generated.matches("::prost::Oneof)").count();
    assert_eq!(generated.matches("#[prost(skip_debug)]").count(), types + oneofs);
}
