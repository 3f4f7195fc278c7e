//! Content negotiation: what the client sends and what it wants back.

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

use crate::status::ApiError;

/// How an object is written in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Representation {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
}

/// How an object is written in a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFormat {
    /// `application/json`; also without any Content-Type.
    Json,
    /// `application/yaml`.
    Yaml,
}

/// The kinds of patches that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchFormat {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
}

impl Representation {
    /// The value of Content-Type.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
        }
    }

    /// Chooses by the Accept header; nothing acceptable is 406.
    ///
    /// Ranges are taken in the client's order; quality values are not weighed, as upstream does not weigh them.
    /// A range that asks for another form of the object (`as=Table`) is skipped, so that clients which list plain
    /// JSON after it get that.
    pub(crate) fn negotiate(headers: &HeaderMap) -> Result<Self, ApiError> {
        // Nearly every request.
        if headers.get(ACCEPT).is_some_and(|value| value == "application/json") {
            return Ok(Self::Json);
        }
        let mut ranges = accepted(headers).peekable();
        if ranges.peek().is_none() {
            return Ok(Self::Json);
        }
        ranges.find_map(|range| Self::of_range(&range)).ok_or_else(|| not_acceptable(AVAILABLE))
    }

    fn of_range(range: &str) -> Option<Self> {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or("").to_ascii_lowercase();
        if parts.any(|parameter| parameter.starts_with("as=")) {
            return None;
        }
        match media.as_str() {
            "application/json" | "application/*" | "*/*" => Some(Self::Json),
            "application/yaml" => Some(Self::Yaml),
            _ => None,
        }
    }
}

const AVAILABLE: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf, \
                         application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// Refuses a request that does not accept the one type that there is.
pub(crate) fn require_accept(headers: &HeaderMap, media: &str) -> Result<(), ApiError> {
    let mut ranges = accepted(headers).peekable();
    let fits = |range: String| {
        let wanted = range.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        wanted == "*/*" || wanted == "application/*" || wanted == media
    };
    if ranges.peek().is_none() || ranges.any(fits) { Ok(()) } else { Err(not_acceptable(media)) }
}

fn not_acceptable(available: &str) -> ApiError {
    let message = format!("406: Not Acceptable\n\nAvailable representations: {available}");
    ApiError::new(http::StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message).about(serde_json::Map::new())
}

/// The ranges of the Accept header, in the client's order.
pub(crate) fn accepted(headers: &HeaderMap) -> impl Iterator<Item = String> {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|range| range.trim().to_owned())
        .filter(|range| !range.is_empty())
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

impl BodyFormat {
    /// Reads the Content-Type of a request that carries an object; an unknown one is 415.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        match content_type(headers).as_str() {
            "" | "application/json" => Ok(Self::Json),
            "application/yaml" => Ok(Self::Yaml),
            other => {
                let message = if other == "application/vnd.kubernetes.protobuf" {
                    "the body of the request is Kubernetes protobuf, which this server does not read: \
                     send application/json or application/yaml"
                } else {
                    "the body of the request was in an unknown format - accepted media types include: \
                     application/json, application/yaml, application/vnd.kubernetes.protobuf"
                };
                Err(ApiError::new(http::StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message))
            }
        }
    }
}

impl PatchFormat {
    /// Reads the Content-Type of a patch; an unknown one is 415.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        match content_type(headers).as_str() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            _ => {
                let message = "415: Unsupported Media Type";
                let code = http::StatusCode::UNSUPPORTED_MEDIA_TYPE;
                Err(ApiError::new(code, "UnsupportedMediaType", message).about(serde_json::Map::new()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, http::HeaderValue::from_static(value))])
    }

    #[test]
    fn representations() {
        let table = [
            ("application/json", Some(Representation::Json)),
            ("*/*", Some(Representation::Json)),
            ("application/yaml", Some(Representation::Yaml)),
            ("application/vnd.kubernetes.protobuf, application/json", Some(Representation::Json)),
            ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Some(Representation::Json)),
            ("application/json;as=Table;v=v1;g=meta.k8s.io", None),
            ("application/json;stream=watch", Some(Representation::Json)),
            ("text/csv", None),
        ];
        for (accept, expected) in table {
            let chosen = Representation::negotiate(&headers(ACCEPT, accept));
            assert_eq!(chosen.ok(), expected, "{accept}");
        }
        assert_eq!(Representation::negotiate(&HeaderMap::new()).unwrap(), Representation::Json);
    }

    #[test]
    fn body_formats() {
        assert_eq!(BodyFormat::of(&HeaderMap::new()).unwrap(), BodyFormat::Json);
        let with_charset = headers(CONTENT_TYPE, "application/json; charset=utf-8");
        assert_eq!(BodyFormat::of(&with_charset).unwrap(), BodyFormat::Json);
        assert_eq!(BodyFormat::of(&headers(CONTENT_TYPE, "text/plain")).unwrap_err().code(), 415);
        let protobuf = headers(CONTENT_TYPE, "application/vnd.kubernetes.protobuf");
        let refused = BodyFormat::of(&protobuf).unwrap_err();
        assert!(refused.code() == 415 && refused.to_string().contains("application/json"), "{refused}");
        let merge = headers(CONTENT_TYPE, "application/merge-patch+json");
        assert_eq!(PatchFormat::of(&merge).unwrap(), PatchFormat::Merge);
        assert_eq!(PatchFormat::of(&headers(CONTENT_TYPE, "text/plain")).unwrap_err().code(), 415);
    }
}
