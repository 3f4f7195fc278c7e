//! `/openapi/v3`: the list of documents, and one document for each group and version.
//!
//! They are made at the first request and kept. The list names each with its hash, so that a client may keep what it
//! has for ever; an address with another hash leads to the present one.

pub(crate) mod swagger;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Map, Value, json};
use tokenward_kube_rules::Release;
use tokenward_kube_schema::openapi::{GroupVersion, document};

use crate::body::Body;
use crate::document::Document;

/// All documents of a release.
pub(crate) struct Documents {
    index: Document,
    /// By path: `api/v1`, `apis/apps/v1`.
    by_path: BTreeMap<String, Document>,
}

impl Documents {
    /// Those of a release; the first who asks makes them.
    pub(crate) fn of(release: Release) -> &'static Self {
        static MADE: [OnceLock<Documents>; Release::ALL.len()] =
            [const { OnceLock::new() }; Release::ALL.len()];
        let place = Release::ALL.iter().position(|known| *known == release);
        MADE[place.expect("one of all releases")].get_or_init(|| Self::make(release))
    }

    fn make(release: Release) -> Self {
        let by_path: BTreeMap<String, Document> = GroupVersion::all()
            .into_iter()
            .map(|of| (of.path(), Document::new(document(of, release).to_string())))
            .collect();
        let paths: Map<String, Value> = by_path
            .iter()
            .map(|(path, document)| (path.clone(), json!({"serverRelativeURL": address(path, document)})))
            .collect();
        Self { index: Document::new(json!({"paths": paths}).to_string()), by_path }
    }

    /// The list.
    pub(crate) fn answer_index(&self, request: &HeaderMap) -> Response<Body> {
        self.index.answer(request, "application/json")
    }

    /// One document, `None` if there is none at the path. `hash` is what the address says of it.
    pub(crate) fn answer(
        &self,
        path: &str,
        hash: Option<&str>,
        request: &HeaderMap,
        now: Timestamp,
    ) -> Option<Response<Body>> {
        let document = self.by_path.get(path)?;
        if hash.is_some_and(|hash| hash != document.hash()) {
            let mut response = Response::new(Body::whole(""));
            *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
            let address =
                HeaderValue::from_str(&address(path, document)).expect("a path and hexadecimal digits");
            response.headers_mut().insert(header::LOCATION, address);
            return Some(response);
        }
        let mut response = document.answer(request, "application/json");
        if hash.is_some() {
            let headers = response.headers_mut();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
            let in_a_year = now.checked_add((365 * 24).hours()).unwrap_or(now);
            let in_a_year = in_a_year.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            headers.extend(HeaderValue::from_str(&in_a_year).ok().map(|value| (header::EXPIRES, value)));
        }
        Some(response)
    }
}

fn address(path: &str, document: &Document) -> String {
    format!("/openapi/v3/{path}?hash={}", document.hash())
}
