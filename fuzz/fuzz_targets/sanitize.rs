//! Bytes that are to be logged as a CSI message: any bytes as any message, with canaries planted behind them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use serde::de::IgnoredAny;
use tokenward_csi::TABLE;
use tokenward_csi::v1::NodePublishVolumeRequest;
use tokenward_sanitize::{Marks, MessageId, Sanitizer, Table, blank_tokens};

const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJjYW5hcnktY2xhaW1zIn0.Y2FuYXJ5LXNpZ25hdHVyZQ";
/// What of it nobody may read: the header says nothing.
const CLAIMS: &str = "c3ViIjoiY2FuYXJ5";
const SIGNATURE: &str = "Y2FuYXJ5LXNpZ25h";
const OPAQUE: &str = "opaque-canary";
const TOKENS_KEY: &str = "csi.storage.k8s.io/serviceAccount.tokens";

/// An entry of a map of NodePublishVolumeRequest, on the wire.
fn entry(field: u8, key: &str, value: &str) -> Vec<u8> {
    let mut entry = vec![0x0a, key.len() as u8];
    entry.extend_from_slice(key.as_bytes());
    entry.extend_from_slice(&[0x12, value.len() as u8]);
    entry.extend_from_slice(value.as_bytes());
    let length = entry.len();
    assert!(length < 1 << 14);
    let mut wire = vec![field << 3 | 2, length as u8 | 0x80, (length >> 7) as u8];
    wire.append(&mut entry);
    wire
}

fn shown(sanitizer: &mut Sanitizer, table: &Table, message: MessageId, wire: &[u8]) -> String {
    let json = sanitizer.json(table, message, wire).to_owned();
    // Not into values: those may not be nested as deeply as messages.
    serde_json::from_str::<IgnoredAny>(&json).expect("JSON, whatever comes in");
    // The digits of an escape are none of a token's letters, though an `e` at its end may look like it.
    let text = json.replace("\\u000e", " ").replace("\\u003e", " ");
    assert_eq!(blank_tokens(&text), text, "nothing that is shaped like a token");
    json
}

fuzz_target!(|data: &[u8]| {
    // The same bytes as descriptors: a table that is taken can be walked.
    if let Ok(table) = Table::from_descriptor_set(data, &Marks::new().extension(1059)) {
        table.check().expect("a table that was made of descriptors");
        let mut sanitizer = Sanitizer::new();
        for message in table.ids() {
            shown(&mut sanitizer, &table, message, data);
        }
    }
    let Some((&message, bytes)) = data.split_first() else { return };
    // Who guesses a canary sees what he sent himself.
    let is_sent = |canary: &str| bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
    let mut sanitizer = Sanitizer::new();
    shown(&mut sanitizer, &TABLE, MessageId(u16::from(message)), bytes);

    // A token stays hidden wherever it ends up: in secrets, or swallowed by a text whose length reaches over it.
    let publish = TABLE.find("csi.v1.NodePublishVolumeRequest").expect("a message of CSI");
    let with_token = [bytes, &entry(7, "token", TOKEN), &entry(8, "context", TOKEN), bytes].concat();
    let json = shown(&mut sanitizer, &TABLE, publish, &with_token);
    for part in [CLAIMS, SIGNATURE] {
        assert!(is_sent(part) || !json.contains(part), "{json}");
    }

    // Where the bytes are a message, a secret without any shape stays hidden, too; and so it does in the type's Debug.
    let planted = [entry(7, "password", OPAQUE), entry(8, TOKENS_KEY, OPAQUE)].concat();
    if NodePublishVolumeRequest::decode(bytes).is_ok() {
        let wire = [bytes, &planted, bytes].concat();
        let json = shown(&mut sanitizer, &TABLE, publish, &wire);
        assert!(is_sent(OPAQUE) || !json.contains(OPAQUE), "{json}");
        let request =
            NodePublishVolumeRequest::decode(wire.as_slice()).expect("a message with fields behind it");
        let debug = format!("{request:?}");
        assert!(is_sent(OPAQUE) || !debug.contains(OPAQUE), "{debug}");
    }
});
