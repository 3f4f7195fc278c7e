//! Responses: an object as the client wants it, an error, warnings, a watch.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, header};

use crate::body::Body;
use crate::content::Content;
use crate::layout::Layout;
use crate::media::{Encoding, Endpoint, Representation};
use crate::query::Query;
use crate::registry::Written;
use crate::status::ApiError;

/// An object or a document.
pub(super) fn respond(
    representation: Representation,
    layout: Layout,
    written: Written,
) -> Result<Response<Body>, ApiError> {
    let Written { code, content } = written;
    let mut response = Response::new(content.into_body(representation, layout)?);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(representation.encoding.content_type()));
    Ok(response)
}

/// `299 - "text"`, repeats dropped; when all texts together are long, each is cut.
pub(super) fn warning_headers(warnings: &[String]) -> Vec<HeaderValue> {
    const LONG: usize = 4096;
    const CUT: usize = 256;
    let total: usize = warnings.iter().map(|warning| warning.chars().count()).sum();
    let mut told: Vec<&str> = Vec::new();
    let mut headers = Vec::new();
    for warning in warnings {
        if told.contains(&warning.as_str()) {
            continue;
        }
        told.push(warning);
        let mut text = String::new();
        let warning = tokenward_sanitize::blank_tokens(warning);
        for character in warning.chars().take(if total > LONG { CUT } else { usize::MAX }) {
            match character {
                '"' | '\\' => text.extend(['\\', character]),
                control if control.is_control() => text.push(' '),
                other => text.push(other),
            }
        }
        headers.extend(HeaderValue::from_bytes(format!("299 - \"{text}\"").as_bytes()).ok());
    }
    headers
}

/// The answer to a HEAD: what a GET would have said of its body, and no body.
pub(super) fn without_body(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = http_body::Body::size_hint(&body).exact() {
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, Body::whole(Bytes::new()))
}

pub(super) fn stream(representation: Representation, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let content_type = HeaderValue::from_static(representation.encoding.stream_content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// Compresses a large body for a client that asks for it.
pub(super) fn compress(request: &HeaderMap, response: &mut Response<Body>) {
    /// Below, compressing costs more than it saves.
    const THRESHOLD: usize = 128 * 1024;
    if response.headers().contains_key(header::CONTENT_ENCODING) || !takes_gzip(request) {
        return;
    }
    if response.body_mut().compress_beyond(THRESHOLD) {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

fn takes_gzip(request: &HeaderMap) -> bool {
    let values = request.get_all(header::ACCEPT_ENCODING).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        // Quality zero is a refusal.
        is_gzip
            && !parts.any(|quality| quality.strip_prefix("q=").is_some_and(|text| text.parse() == Ok(0.0)))
    })
}

pub(super) fn public(content_type: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::whole(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

/// An error, in the encoding that the client asked for. One that wants what there is not gets JSON.
pub(super) fn refuse(request: &Parts, error: &ApiError) -> Response<Body> {
    let representation =
        Representation::negotiate(&request.headers, Endpoint::Status).unwrap_or(Representation::PLAIN);
    let pretty = request.uri.query().filter(|query| query.contains("pretty")).map(Query::parse);
    let layout = Layout::asked(&request.headers, pretty.as_ref().and_then(|query| query.text("pretty")));
    let status = error.to_status();
    let (encoding, body) = match Content::Status(status.clone()).into_body(representation, layout) {
        Ok(body) => (representation.encoding, body),
        Err(_) => (Encoding::Json, Body::whole(layout.lay_out(status.to_string().as_bytes()))),
    };
    let mut response = Response::new(body);
    *response.status_mut() = error.code();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(encoding.content_type()));
    if let Some(seconds) = error.retry_after_seconds() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(warnings: &[String]) -> Vec<String> {
        let headers = warning_headers(warnings);
        headers.iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    }

    #[test]
    fn gzip_is_for_those_who_ask() {
        let table = [
            ("gzip", true),
            ("deflate, gzip, br", true),
            ("GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("identity", false),
            ("*", false),
            ("x-gzip", false),
        ];
        for (value, wanted) in table {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(takes_gzip(&headers), wanted, "{value}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn warnings_are_quoted_told_once_and_cut_when_they_are_long() {
        let table = [
            (vec!["a \"b\" \\ c".to_owned()], vec!["299 - \"a \\\"b\\\" \\\\ c\"".to_owned()]),
            (vec!["a".to_owned(), "a".to_owned()], vec!["299 - \"a\"".to_owned()]),
            (vec!["a\r\nSet-Cookie: b".to_owned()], vec!["299 - \"a  Set-Cookie: b\"".to_owned()]),
            (vec!["x".repeat(4_096)], vec![format!("299 - \"{}\"", "x".repeat(4_096))]),
            (
                vec!["x".repeat(4_000), "y".repeat(97)],
                vec![format!("299 - \"{}\"", "x".repeat(256)), format!("299 - \"{}\"", "y".repeat(97))],
            ),
        ];
        for (warnings, expected) in table {
            assert_eq!(texts(&warnings), expected);
        }
    }
}
