//! Content negotiation: what the client sends and what it wants back.

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

use crate::status::ApiError;

/// What a client gets: a form of the object, in an encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Representation {
    pub(crate) form: Form,
    pub(crate) encoding: Encoding,
}

/// Which form of an object, or of a list, is written: the parameters `as`, `g` and `v` of a media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is: without `as`.
    Object,
    /// Rows and columns, as kubectl prints them.
    Table(MetaVersion),
    /// Only the metadata, of one object.
    PartialObjectMetadata(MetaVersion),
    /// Only the metadata, of each object of a list.
    PartialObjectMetadataList(MetaVersion),
}

/// The versions of `meta.k8s.io` that the other forms come in. They differ in nothing but the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetaVersion {
    V1,
    V1Beta1,
}

/// How the form is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

/// What is asked, as far as it decides which representations there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// An object.
    Object,
    /// A list.
    List,
    /// A stream of events.
    Watch,
    /// What the server says of itself.
    Document,
    /// A refusal.
    Status,
}

/// How an object is written in a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFormat {
    /// `application/json`; also without any Content-Type.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

/// The kinds of patches that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchFormat {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// A merge patch that knows the kind's merge keys.
    Strategic,
    /// A configuration to apply.
    Apply,
}

impl MetaVersion {
    /// With the group: `meta.k8s.io/v1`.
    pub(crate) fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

impl Encoding {
    /// In the order in which a wildcard takes them.
    const ALL: [Self; 3] = [Self::Json, Self::Yaml, Self::Protobuf];

    /// The value of Content-Type.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => PROTOBUF,
        }
    }

    /// The value of Content-Type for a watch.
    pub(crate) fn stream_content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
            other => other.content_type(),
        }
    }
}

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

impl Endpoint {
    /// Whether the endpoint answers in this representation.
    fn offers(self, Representation { form, encoding }: Representation) -> bool {
        match (self, form) {
            // Nobody has written down what a table is in protobuf.
            (_, Form::Table(_)) if encoding == Encoding::Protobuf => false,
            (Self::Object | Self::List, _) | (Self::Status, Form::Object) => true,
            (Self::Watch, Form::PartialObjectMetadataList(_)) => false,
            // Events follow each other without a mark between them: YAML documents cannot.
            (Self::Watch, _) => encoding != Encoding::Yaml,
            (Self::Document, Form::Object) => encoding != Encoding::Protobuf,
            (Self::Status | Self::Document, _) => false,
        }
    }
}

impl Representation {
    /// The object itself as JSON: what a client gets that does not say.
    pub(crate) const PLAIN: Self = Self { form: Form::Object, encoding: Encoding::Json };

    /// Chooses by the Accept header; nothing acceptable is 406.
    ///
    /// Ranges are taken by their quality, then the definite before the wildcards, then in the client's order. A range
    /// that asks for a form which the endpoint does not have is passed over, so that clients which list plain JSON after
    /// it get that.
    pub(crate) fn negotiate(headers: &HeaderMap, endpoint: Endpoint) -> Result<Self, ApiError> {
        // Nearly every request: what curl and most clients say, and what kubelets and client-go say.
        match headers.get(ACCEPT).map(http::HeaderValue::as_bytes) {
            Some(b"application/json") => return Ok(Self::PLAIN),
            Some(
                b"application/vnd.kubernetes.protobuf,application/json"
                | b"application/vnd.kubernetes.protobuf",
            ) => {
                let protobuf = Self { encoding: Encoding::Protobuf, ..Self::PLAIN };
                if endpoint.offers(protobuf) {
                    return Ok(protobuf);
                }
            }
            _ => {}
        }
        let mut texts = accepted(headers).peekable();
        if texts.peek().is_none() {
            return Ok(Self::PLAIN);
        }
        let mut ranges: Vec<Range> = texts.filter_map(|text| Range::parse(&text)).collect();
        ranges.sort_by_key(|range| (std::cmp::Reverse(range.quality), range.wildcards()));
        ranges.iter().find_map(|range| range.choose(endpoint)).ok_or_else(|| refusal(headers, endpoint))
    }
}

/// One range of an Accept header.
struct Range {
    /// Lower case, without parameters.
    media: String,
    form: Form,
    /// In thousandths.
    quality: u16,
}

impl Range {
    /// `None` for a range that asks for something which nothing here is.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().unwrap_or("").to_ascii_lowercase();
        let media = if media == "*" { "*/*".to_owned() } else { media };
        let mut quality = 1000;
        let (mut kind, mut group, mut version) = (None, "", "");
        for parameter in parts {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim_matches('"');
            match name {
                "q" => quality = thousandths(value),
                "as" => kind = Some(value),
                "g" => group = value,
                "v" => version = value,
                "stream" if !matches!(value, "" | "watch") => return None,
                // Others are for servers that know them.
                _ => {}
            }
        }
        let form = match kind {
            None => Form::Object,
            Some(kind) => {
                let version = match (group, version) {
                    ("meta.k8s.io", "v1") => MetaVersion::V1,
                    ("meta.k8s.io", "v1beta1") => MetaVersion::V1Beta1,
                    _ => return None,
                };
                match kind {
                    "Table" => Form::Table(version),
                    "PartialObjectMetadata" => Form::PartialObjectMetadata(version),
                    "PartialObjectMetadataList" => Form::PartialObjectMetadataList(version),
                    _ => return None,
                }
            }
        };
        Some(Self { media, form, quality })
    }

    fn wildcards(&self) -> usize {
        self.media.matches('*').count()
    }

    fn choose(&self, endpoint: Endpoint) -> Option<Representation> {
        let fits = |encoding: &Encoding| {
            self.media == encoding.content_type() || matches!(self.media.as_str(), "*/*" | "application/*")
        };
        Encoding::ALL
            .into_iter()
            .filter(fits)
            .map(|encoding| Representation { form: self.form, encoding })
            .find(|representation| endpoint.offers(*representation))
    }
}

/// A quality value; one that is no number counts as nothing.
fn thousandths(text: &str) -> u16 {
    let quality: f32 = text.parse().unwrap_or(0.0);
    (quality.clamp(0.0, 1.0) * 1000.0) as u16
}

const OBJECTS: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
const STREAMS: &str = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// Why nothing of what a client accepts is there: no such media type, or none in the form that is asked for.
fn refusal(headers: &HeaderMap, endpoint: Endpoint) -> ApiError {
    let is_known = |range: String| {
        let media = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        matches!(media.as_str(), "*/*" | "application/*")
            || Encoding::ALL.iter().any(|encoding| media == encoding.content_type())
    };
    if accepted(headers).any(is_known) {
        let offered = if endpoint == Endpoint::Watch { STREAMS } else { OBJECTS };
        let message = format!("only the following media types are accepted: {offered}");
        return ApiError::new(http::StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message);
    }
    match endpoint {
        Endpoint::List | Endpoint::Watch => not_acceptable(&format!("{OBJECTS}, {STREAMS}")),
        Endpoint::Object | Endpoint::Document | Endpoint::Status => not_acceptable(OBJECTS),
    }
}

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
            PROTOBUF => Ok(Self::Protobuf),
            _ => {
                let message = "the body of the request was in an unknown format - accepted media types include: \
                               application/json, application/yaml, application/vnd.kubernetes.protobuf";
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
            "application/strategic-merge-patch+json" => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
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
        let plain = |encoding| Representation { encoding, ..Representation::PLAIN };
        let (json, yaml, protobuf) =
            (plain(Encoding::Json), plain(Encoding::Yaml), plain(Encoding::Protobuf));
        let table = [
            ("application/json", Some(json)),
            ("*/*", Some(json)),
            ("*", Some(json)),
            ("application/yaml", Some(yaml)),
            ("application/*;q=0.5, application/yaml", Some(yaml)),
            ("*/*, application/yaml", Some(yaml)),
            ("application/yaml;q=0.1, application/json;q=0.2", Some(json)),
            ("application/yaml;q=high, application/json;q=0.2", Some(json)),
            ("application/cbor, application/json", Some(json)),
            ("application/vnd.kubernetes.protobuf, application/json", Some(protobuf)),
            ("application/vnd.kubernetes.protobuf,application/json", Some(protobuf)),
            ("application/vnd.kubernetes.protobuf;stream=watch, application/json", Some(protobuf)),
            ("application/vnd.kubernetes.protobuf;q=0.3, application/json", Some(json)),
            ("application/json;as=Sculpture;v=v1;g=meta.k8s.io,application/json", Some(json)),
            ("application/json;as=Table;v=v2;g=meta.k8s.io", None),
            ("application/json;stream=watch", Some(json)),
            ("application/json;stream=else", None),
            ("text/csv", None),
        ];
        for (accept, expected) in table {
            let chosen = Representation::negotiate(&headers(ACCEPT, accept), Endpoint::Object);
            assert_eq!(chosen.ok(), expected, "{accept}");
        }
        assert_eq!(Representation::negotiate(&HeaderMap::new(), Endpoint::Object).unwrap(), json);
    }

    #[test]
    fn endpoints_differ_in_what_they_offer() {
        let rows = [
            (Endpoint::Object, [true, true, true]),
            (Endpoint::Status, [true, true, true]),
            (Endpoint::Watch, [true, false, true]),
            (Endpoint::Document, [true, true, false]),
        ];
        for (endpoint, offers) in rows {
            for (encoding, offered) in Encoding::ALL.into_iter().zip(offers) {
                let chosen = Representation::negotiate(&headers(ACCEPT, encoding.content_type()), endpoint);
                assert_eq!(chosen.is_ok(), offered, "{endpoint:?} {encoding:?}");
                assert!(chosen.is_ok_and(|chosen| chosen.encoding == encoding) || !offered);
            }
        }
        let refused = Representation::negotiate(&headers(ACCEPT, "application/yaml"), Endpoint::Watch);
        assert_eq!(refused.unwrap_err().code(), 406);
    }

    #[test]
    fn body_formats() {
        assert_eq!(BodyFormat::of(&HeaderMap::new()).unwrap(), BodyFormat::Json);
        let with_charset = headers(CONTENT_TYPE, "application/json; charset=utf-8");
        assert_eq!(BodyFormat::of(&with_charset).unwrap(), BodyFormat::Json);
        assert_eq!(BodyFormat::of(&headers(CONTENT_TYPE, "text/plain")).unwrap_err().code(), 415);
        let protobuf = headers(CONTENT_TYPE, "application/vnd.kubernetes.protobuf");
        assert_eq!(BodyFormat::of(&protobuf).unwrap(), BodyFormat::Protobuf);
        let merge = headers(CONTENT_TYPE, "application/merge-patch+json");
        assert_eq!(PatchFormat::of(&merge).unwrap(), PatchFormat::Merge);
        assert_eq!(PatchFormat::of(&headers(CONTENT_TYPE, "text/plain")).unwrap_err().code(), 415);
    }
}
