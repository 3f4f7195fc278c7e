//! Random messages, as the bytes of their wire form.

use proptest::prelude::*;
use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

/// Several messages one after the other: what is on the wire again overrides, appends or merges.
pub(crate) fn wire(of: &MessageDescriptor) -> impl Strategy<Value = Vec<u8>> + use<> {
    let bytes = |parts: Vec<DynamicMessage>| parts.iter().flat_map(Message::encode_to_vec).collect();
    prop::collection::vec(message(of, 2), 1..4).prop_map(bytes)
}

fn message(of: &MessageDescriptor, depth: u32) -> BoxedStrategy<DynamicMessage> {
    let of = of.clone();
    let fields: Vec<FieldDescriptor> =
        of.fields().filter(|field| depth > 0 || !holds_messages(field)).collect();
    let most = fields.len().min(5);
    prop::sample::subsequence(fields, 0..=most)
        .prop_flat_map(move |fields| {
            let values: Vec<_> = fields.iter().map(|field| value(field, depth)).collect();
            (Just(fields), values)
        })
        .prop_map(move |(fields, values)| {
            let mut message = DynamicMessage::new(of.clone());
            for (field, value) in fields.iter().zip(values) {
                message.set_field(field, value);
            }
            message
        })
        .boxed()
}

fn holds_messages(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            matches!(entry.map_entry_value_field().kind(), Kind::Message(_))
        }
        kind => matches!(kind, Kind::Message(_)),
    }
}

fn value(field: &FieldDescriptor, depth: u32) -> BoxedStrategy<Value> {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let (key_kind, value_kind) =
                (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
            prop::collection::hash_map(key(&key_kind), single(&value_kind, depth), 0..4)
                .prop_map(Value::Map)
                .boxed()
        }
        kind if field.is_list() => {
            prop::collection::vec(single(&kind, depth), 0..4).prop_map(Value::List).boxed()
        }
        kind => single(&kind, depth),
    }
}

fn key(kind: &Kind) -> BoxedStrategy<MapKey> {
    scalar(kind).prop_map(|value| value.into_map_key().unwrap()).boxed()
}

fn single(kind: &Kind, depth: u32) -> BoxedStrategy<Value> {
    match kind {
        Kind::Message(of) => message(of, depth.saturating_sub(1)).prop_map(Value::Message).boxed(),
        kind => scalar(kind),
    }
}

fn scalar(kind: &Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Kind::Bytes => {
            prop::collection::vec(any::<u8>(), 0..8).prop_map(|bytes| Value::Bytes(bytes.into())).boxed()
        }
        Kind::Double => {
            prop_oneof![Just(0.0), Just(-0.0), any::<f64>(), -10.0..10.0].prop_map(Value::F64).boxed()
        }
        Kind::Float => prop_oneof![Just(0.0), any::<f32>(), -10.0f32..10.0].prop_map(Value::F32).boxed(),
        Kind::Enum(_) => prop_oneof![-1..7, any::<i32>()].prop_map(Value::EnumNumber).boxed(),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            prop_oneof![-2..3, any::<i32>()].prop_map(Value::I32).boxed()
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            prop_oneof![-2..3i64, any::<i64>()].prop_map(Value::I64).boxed()
        }
        Kind::Uint32 | Kind::Fixed32 => prop_oneof![0..3u32, any::<u32>()].prop_map(Value::U32).boxed(),
        Kind::Uint64 | Kind::Fixed64 => prop_oneof![0..3u64, any::<u64>()].prop_map(Value::U64).boxed(),
        Kind::String => text().prop_map(Value::String).boxed(),
        Kind::Message(_) => unreachable!("made by `message`"),
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{0,3}",
        "\\PC{0,20}",
        "[\\x00-\\x7f\u{2027}-\u{202a}]{0,40}",
        Just("oracle/tokens".to_owned())
    ]
}
