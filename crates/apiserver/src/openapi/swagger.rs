//! `/openapi/v2`: the older document, empty.
//!
//! kubectl asks for it only about kinds that cannot be patched (reviews, bindings, lists): those it checks itself, by the
//! types of this document. What it does not find there it lets through, and the server checks, as it checks everything.

use http::{HeaderMap, Response};
use serde_json::json;
use tokenward_kube_rules::Release;

use crate::body::Body;
use crate::document::Document;
use crate::media::require_accept;
use crate::status::ApiError;

const JSON: &str = "application/json";
/// As clients ask for it, and as the answer is labelled: a label may hold no `@`.
const ASKED_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

const VERSION: &str = "2.0";
const TITLE: &str = "Kubernetes";

/// The document in the form that is asked for.
pub(crate) fn answer(release: Release, request: &HeaderMap) -> Result<Response<Body>, ApiError> {
    let version = release.git_version();
    if require_accept(request, JSON).is_ok() {
        let info = json!({"title": TITLE, "version": version});
        let document = json!({"swagger": VERSION, "info": info, "paths": {}});
        return Ok(Document::new(document.to_string()).answer(request, JSON));
    }
    require_accept(request, ASKED_PROTOBUF).or_else(|_| require_accept(request, PROTOBUF))?;
    Ok(Document::new(encode(version)).answer(request, PROTOBUF))
}

/// The same in protobuf: `Document{1: swagger, 2: Info{1: title, 2: version}, 8: Paths{}}`.
fn encode(version: &str) -> Vec<u8> {
    let info = [field(1, TITLE.as_bytes()), field(2, version.as_bytes())].concat();
    [field(1, VERSION.as_bytes()), field(2, &info), field(8, &[])].concat()
}

/// A field of delimited bytes, fewer than 128 of them.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("a few words");
    [&[(number << 3) | 2, length], bytes].concat()
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;

    #[test]
    fn it_comes_in_the_form_that_is_asked_for() {
        for (accept, wanted) in [
            ("application/json", Some(JSON)),
            ("*/*", Some(JSON)),
            (ASKED_PROTOBUF, Some(PROTOBUF)),
            (PROTOBUF, Some(PROTOBUF)),
            ("text/html", None),
        ] {
            let request = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            let found = answer(Release::V1_35, &request).ok();
            let form = found.map(|answer| answer.headers()[header::CONTENT_TYPE].clone());
            assert_eq!(form.as_ref().map(|form| form.to_str().expect("ASCII")), wanted, "{accept}");
        }
    }

    #[test]
    fn its_protobuf_is_that_of_gnostic() {
        let wanted = b"\x0a\x032.0\x12\x15\x0a\x0aKubernetes\x12\x07v1.35.0\x42\x00";
        assert_eq!(encode("v1.35.0"), wanted);
    }
}
