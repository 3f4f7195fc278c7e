//! Documents that never change while the server runs: written once, with a validator, so that a client which has one
//! already is told so and nothing else.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use sha2::{Digest as _, Sha512};

use crate::body::Body;

/// A document as it goes on the wire.
pub(crate) struct Document {
    json: Bytes,
    /// SHA-512 in upper-case hexadecimal, as upstream makes it.
    hash: String,
}

impl Document {
    pub(crate) fn new(json: impl Into<Bytes>) -> Self {
        let json = json.into();
        let mut hash = String::with_capacity(128);
        for byte in Sha512::digest(&json) {
            write!(hash, "{byte:02X}").expect("writing to a string");
        }
        Self { json, hash }
    }

    #[cfg(test)]
    pub(crate) fn json(&self) -> &[u8] {
        &self.json
    }

    /// What tells the document from any other.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// The document, or only word that the client's copy is still good.
    pub(crate) fn answer(&self, request: &HeaderMap, content_type: &'static str) -> Response<Body> {
        let is_known = self.is_known(request);
        let body = if is_known { Bytes::new() } else { self.json.clone() };
        let mut response = Response::new(Body::whole(body));
        let etag = HeaderValue::from_str(&format!("\"{}\"", self.hash)).expect("hexadecimal digits, quoted");
        let headers = response.headers_mut();
        headers.insert(header::ETAG, etag);
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        response
    }

    fn is_known(&self, request: &HeaderMap) -> bool {
        request
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == "*" || tag.trim_matches('"') == self.hash && tag.len() == self.hash.len() + 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validator_is_known_as_http_writes_it() {
        let document = Document::new("{}");
        let hash = document.hash().to_owned();
        assert_eq!(hash.len(), 128);
        assert!(hash.starts_with("27C74670ADB75075FAD058D5CEAF7B20C4E7786C83BAE8A32F626F9782AF34C9"));
        let table = [
            (format!("\"{hash}\""), true),
            (format!("W/\"{hash}\""), true),
            (format!("\"OTHER\", \"{hash}\""), true),
            ("*".to_owned(), true),
            (hash.clone(), false),
            ("\"OTHER\"".to_owned(), false),
            (String::new(), false),
        ];
        for (sent, expected) in table {
            let value = HeaderValue::from_str(&sent).expect("ASCII");
            let request = HeaderMap::from_iter([(header::IF_NONE_MATCH, value)]);
            let answer = document.answer(&request, "application/json");
            assert_eq!(answer.status() == StatusCode::NOT_MODIFIED, expected, "{sent}");
            assert_eq!(answer.headers().contains_key(header::CONTENT_TYPE), !expected, "{sent}");
            assert!(answer.headers().contains_key(header::ETAG));
        }
    }
}
