//! Bodies of Kubernetes protobuf: the envelope, and the message of the kind that it names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tokenward_kube_rules::Release;
use tokenward_kube_schema::protobuf::{self, Unknown};
use tokenward_kube_schema::{find_kind, normalize};

fuzz_target!(|body: &[u8]| {
    let _ = protobuf::decode_delete_options(body);
    let Some(unknown) = Unknown::of(body) else { return };
    let Some(kind) = find_kind(unknown.api_version, unknown.kind) else { return };
    for release in Release::ALL {
        let Ok(decoded) = protobuf::decode(kind, release, body) else { continue };
        // What was taken can be printed, and says the same when it is sent back.
        let printed = normalize(kind, release, &decoded).expect("a decoded tree is of its kind").object;
        let encoded = protobuf::encode(kind, &printed).expect("a printed tree is of its kind");
        let again = protobuf::decode(kind, release, encoded.bytes()).expect("what we wrote");
        let again = normalize(kind, release, &again).expect("a decoded tree is of its kind").object;
        assert_eq!(again, printed);
    }
});
