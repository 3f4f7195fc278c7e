//! What is sent as a token: compact JWS, its header and claims; and documents of keys.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tokenward_jose::{Claims, CompactJws, JwkSet, looks_like_compact_jws, peek_claims};

fuzz_target!(|data: &[u8]| {
    if let Ok(keys) = JwkSet::parse(data) {
        keys.keys.iter().for_each(|key| drop(key.public_key()));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = looks_like_compact_jws(text);
    let Ok(jws) = CompactJws::parse(text) else { return };
    let _ = (jws.header(), jws.signature());
    if let Ok(claims) = jws.unverified_claims() {
        assert!(peek_claims(text).is_ok_and(|peeked| peeked == claims));
        let again: Claims = serde_json::from_slice(&claims.to_json()).expect("what we wrote");
        assert_eq!(again, claims);
    }
});
