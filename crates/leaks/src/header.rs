//! What the parts of a token say, as far as it tells tokens from other text.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use zeroize::Zeroizing;

/// As strangers write it: last bits that are not zero are let pass.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Option<&'a serde_json::value::RawValue>,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Option<serde::de::IgnoredAny>,
}

fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    LENIENT.decode(text).ok().map(Zeroizing::new)
}

/// Whether a first part is a JOSE header: a JSON object with a text under `alg`.
pub(crate) fn is_header(text: &[u8]) -> bool {
    let Some(json) = decode(text) else { return false };
    let header = serde_json::from_slice::<Header<'_>>(&json);
    header.is_ok_and(|header| header.alg.is_some_and(|alg| alg.get().starts_with('"')))
}

/// Whether a second part holds the claims of a service account's token.
pub(crate) fn is_service_account(text: &[u8]) -> bool {
    let Some(json) = decode(text) else { return false };
    serde_json::from_slice::<Claims>(&json).is_ok_and(|claims| {
        claims.kubernetes.is_some()
            || claims.sub.is_some_and(|subject| subject.starts_with("system:serviceaccount:"))
    })
}
