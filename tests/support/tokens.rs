//! Tokens as a test sees them, read with other means than the code under test: plain JSON, plain base64.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

/// The entry of the maps that holds the tokens, as the CSI documentation spells it.
pub(crate) const TOKENS_KEY: &str = "csi.storage.k8s.io/serviceAccount.tokens";

/// How long a piece of a token is that nobody may find.
const PIECE: usize = 20;

/// The tokens of a request's map by audience, if it has any.
pub(crate) fn tokens_of(map: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    let value: Value = serde_json::from_str(map.get(TOKENS_KEY)?).unwrap();
    let entries = value.as_object().unwrap();
    Some(
        entries
            .iter()
            .map(|(audience, entry)| (audience.clone(), entry["token"].as_str().unwrap().to_owned()))
            .collect(),
    )
}

/// Every piece of the payloads and signatures of tokens that have been delivered.
#[derive(Default)]
pub(crate) struct Canaries {
    pieces: HashSet<[u8; PIECE]>,
    count: usize,
}

impl Canaries {
    /// Looks for this token too.
    pub(crate) fn add(&mut self, token: &str) {
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!(parts.len(), 3, "wanted a compact JWS of three parts");
        for part in &parts[1..] {
            assert!(part.len() > 300, "too short for a payload or an RSA signature: {}", part.len());
            self.pieces
                .extend(part.as_bytes().windows(PIECE).map(|piece| <[u8; PIECE]>::try_from(piece).unwrap()));
        }
        self.count += 1;
    }

    /// How many tokens are looked for.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Where in `text` a piece of a token stands.
    pub(crate) fn find(&self, text: &[u8]) -> Option<usize> {
        text.windows(PIECE).position(|window| self.pieces.contains(window))
    }

    /// Fails when a piece of a token stands in `text`; does not print it.
    pub(crate) fn assert_none_in(&self, place: &str, text: &[u8]) {
        if let Some(offset) = self.find(text) {
            let before = String::from_utf8_lossy(&text[offset.saturating_sub(300)..offset]).into_owned();
            panic!("a piece of a token in {place} at byte {offset}, after: {before}");
        }
    }
}

#[test]
fn a_canary_is_found_wherever_it_stands() {
    let (payload, signature) = ("0123456789".repeat(40), "abcdefghij".repeat(40));
    let mut canaries = Canaries::default();
    canaries.add(&format!("header.{payload}.{signature}"));
    assert_eq!(canaries.find(b"header. 0123456789 abcdefghij 0123456789012345678"), None);
    assert_eq!(canaries.find(b"log: token=\"90123456789012345678\""), Some(12));
    assert_eq!(canaries.find(format!("{}.", "cdefghijab".repeat(2)).as_bytes()), Some(0));
}
