//! The compact serialization of a JWS (RFC 7515, 7.1): three base64url segments, strictly read.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::{Claims, JsonError};

/// Longest compact JWS that is read, in bytes. Kubernetes tokens are about 1 KiB.
pub const MAX_JWS_LEN: usize = 64 * 1024;

/// Longest header segment that is read, in bytes. Ours have 80 or so.
const MAX_HEADER_LEN: usize = 4 * 1024;

/// A part of a compact JWS, to name it in errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JwsPart {
    /// The first segment.
    Header,
    /// The second segment.
    Payload,
    /// The third segment.
    Signature,
}

impl fmt::Display for JwsPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

/// Why a text is not a usable compact JWS. Never quotes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// A segment is not base64url without padding.
    #[error("the {0} is not base64url without padding")]
    Base64(JwsPart),
    /// The header lists critical extensions, none of which is known here (RFC 7515, 4.1.11).
    #[error("the header demands extensions that are not supported")]
    Critical,
    /// A segment is empty.
    #[error("the {0} is empty")]
    Empty(JwsPart),
    /// A segment does not hold the wanted JSON.
    #[error("the {part} is not readable JSON: {cause}")]
    Json {
        /// The segment.
        part: JwsPart,
        /// What is wrong, and where in the decoded segment.
        cause: JsonError,
    },
    /// Not three segments separated by dots.
    #[error("wanted three segments separated by dots, found {0}")]
    Segments(usize),
    /// Longer than [`MAX_JWS_LEN`], or a header out of all proportion.
    #[error("too long: {0} bytes")]
    TooLong(usize),
}

/// The protected header. Exactly these two members are written, in this order; others are ignored when read, but for
/// `crit`, which is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Header {
    /// The signature algorithm's name, such as `RS256`.
    pub alg: String,
    /// The id of the signing key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
}

impl Header {
    /// The header as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings always serialize")
    }
}

/// A compact JWS cut into its segments; what they hold is read on demand.
#[derive(Clone, Copy)]
pub struct CompactJws<'a> {
    signing_input: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> CompactJws<'a> {
    /// Cuts `text` into three non-empty segments. No white space is forgiven.
    ///
    /// # Errors
    /// When the text is too long, has not exactly three segments, or an empty one.
    pub fn parse(text: &'a str) -> Result<Self, JwsError> {
        if text.len() > MAX_JWS_LEN {
            return Err(JwsError::TooLong(text.len()));
        }
        let mut segments = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (segments.next(), segments.next(), segments.next(), segments.next())
        else {
            return Err(JwsError::Segments(text.split('.').count()));
        };
        if header.len() > MAX_HEADER_LEN {
            return Err(JwsError::TooLong(header.len()));
        }
        for (part, segment) in
            [(JwsPart::Header, header), (JwsPart::Payload, payload), (JwsPart::Signature, signature)]
        {
            if segment.is_empty() {
                return Err(JwsError::Empty(part));
            }
        }
        let signing_input = &text[..header.len() + 1 + payload.len()];
        Ok(Self { signing_input, header, payload, signature })
    }

    /// Reads the header.
    ///
    /// # Errors
    /// When it is not base64url JSON with a string `alg`, or lists critical extensions.
    pub fn header(&self) -> Result<Header, JwsError> {
        #[derive(Deserialize)]
        struct Wire {
            alg: String,
            #[serde(default)]
            kid: Option<String>,
            #[serde(default)]
            crit: Option<serde::de::IgnoredAny>,
        }
        let bytes = decode(JwsPart::Header, self.header)?;
        let wire: Wire = from_json(JwsPart::Header, &bytes)?;
        if wire.crit.is_some() {
            return Err(JwsError::Critical);
        }
        Ok(Header { alg: wire.alg, kid: wire.kid.filter(|kid| !kid.is_empty()) })
    }

    /// Reads the claims **without verifying anything**.
    ///
    /// # Errors
    /// When the payload is not base64url JSON of the claims' shape.
    pub fn unverified_claims(&self) -> Result<Claims, JwsError> {
        from_json(JwsPart::Payload, &decode(JwsPart::Payload, self.payload)?)
    }

    /// The bytes of the signature.
    ///
    /// # Errors
    /// When the segment is not base64url.
    pub fn signature(&self) -> Result<Vec<u8>, JwsError> {
        decode(JwsPart::Signature, self.signature)
    }

    /// What the signature is over: header, dot, payload, as they stand.
    pub fn signing_input(&self) -> &'a str {
        self.signing_input
    }
}

impl fmt::Debug for CompactJws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompactJws").finish_non_exhaustive()
    }
}

/// Reads the claims of a compact JWS **without verifying anything**: for display and for cheap pre-checks.
///
/// # Errors
/// When the text is not a compact JWS with readable claims. The error quotes nothing of it.
pub fn peek_claims(token: &str) -> Result<Claims, JwsError> {
    CompactJws::parse(token)?.unverified_claims()
}

/// Whether the whole text has the shape of a compact JWS: three base64url segments, the first two starting as an
/// encoded `{`. Cheap, decodes nothing; says nothing about validity.
pub fn looks_like_compact_jws(text: &str) -> bool {
    let mut segments = text.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (segments.next(), segments.next(), segments.next(), segments.next())
    else {
        return false;
    };
    let alphabet = |segment: &str| {
        !segment.is_empty()
            && segment.len() % 4 != 1
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    starts_as_object(header)
        && starts_as_object(payload)
        && alphabet(header)
        && alphabet(payload)
        && alphabet(signature)
}

/// Whether a base64 text starts with the byte `{`: its six high bits are `e`, the two low ones open the second char.
fn starts_as_object(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    bytes.len() > 1 && bytes[0] == b'e' && matches!(bytes[1], b'w'..=b'z' | b'0'..=b'9' | b'-' | b'_')
}

/// Header, dot, payload: what a signer signs.
pub fn signing_input(header: &Header, claims: &Claims) -> String {
    let mut text = encode_segment(&header.to_json());
    text.push('.');
    encode_segment_to(&claims.to_json(), &mut text);
    text
}

/// Encodes bytes as one segment.
pub fn encode_segment(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends bytes, encoded as one segment, to `text`.
pub fn encode_segment_to(bytes: &[u8], text: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

pub(crate) fn decode_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn decode(part: JwsPart, segment: &str) -> Result<Vec<u8>, JwsError> {
    decode_base64url(segment).ok_or(JwsError::Base64(part))
}

fn from_json<T: serde::de::DeserializeOwned>(part: JwsPart, bytes: &[u8]) -> Result<T, JwsError> {
    serde_json::from_slice(bytes).map_err(|error| JwsError::Json { part, cause: JsonError::from(&error) })
}

#[cfg(test)]
mod tests;
