//! What the server says of itself: discovery, health, version, keys.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use super::ApiServer;
use super::answers::{public, respond};
use crate::body::Body;
use crate::content::Content;
use crate::discovery::aggregated;
use crate::document::Document;
use crate::layout::Layout;
use crate::media::{Endpoint, Representation, accepted, require_accept};
use crate::openapi::{Documents, swagger};
use crate::query::Query;
use crate::registry::Written;
use crate::request::Route;
use crate::status::ApiError;
use crate::{discovery, face, metrics};

impl ApiServer {
    /// Answers whatever is not about objects.
    pub(super) fn face(
        &self,
        method: &Method,
        headers: &HeaderMap,
        query: &Query,
        route: &Route,
    ) -> Result<Response<Body>, ApiError> {
        let not_found = || face::text(StatusCode::NOT_FOUND, "404 page not found\n");
        if matches!(route, Route::Unknown) {
            return Ok(not_found());
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(ApiError::method_not_allowed());
        }
        let address = &self.shared.external_address;
        let document = match route {
            Route::Root => Some(discovery::paths()),
            Route::Health(endpoint, check) => {
                let checks = face::checks(endpoint, self.shared.registry.etcd_answers());
                return Ok(face::health(endpoint, check.as_deref(), query, &checks));
            }
            Route::Version => Some(face::version(self.shared.registry.gates().release())),
            Route::CoreVersions if asks_for_aggregated(headers) => {
                return Ok(public_document(headers, aggregated::core()));
            }
            Route::Groups if asks_for_aggregated(headers) => {
                return Ok(public_document(headers, aggregated::groups()));
            }
            Route::CoreVersions => Some(discovery::core_versions(address)),
            Route::Groups => Some(discovery::groups()),
            Route::Group(group) => discovery::group(group),
            Route::Resources(asked) => match discovery::resources(asked) {
                None if discovery::serves_group(&asked.group) => return Err(ApiError::unknown_resource()),
                document => document,
            },
            Route::Swagger => return swagger::answer(self.shared.registry.gates().release(), headers),
            Route::Metrics => return Ok(self.metrics()),
            Route::OpenApiIndex => {
                require_accept(headers, "application/json")?;
                return Ok(self.openapi().answer_index(headers));
            }
            Route::OpenApiDocument(path) => {
                require_accept(headers, "application/json")?;
                let now = self.shared.registry.clock().now();
                let answer = self.openapi().answer(path, query.text("hash"), headers, now);
                return Ok(answer.unwrap_or_else(not_found));
            }
            Route::OpenIdConfiguration => {
                require_accept(headers, "application/json")?;
                let documents = self.shared.issuer.discovery(address);
                return Ok(documents.map_or_else(not_found, |documents| {
                    public("application/json", documents.configuration.into())
                }));
            }
            Route::JsonWebKeySet => {
                require_accept(headers, "application/jwk-set+json")?;
                let documents = self.shared.issuer.discovery(address);
                return Ok(documents.map_or_else(not_found, |documents| {
                    public("application/jwk-set+json", Bytes::copy_from_slice(&documents.jwks))
                }));
            }
            Route::NodeProxy { .. } | Route::Resource(_) | Route::Unknown => None,
        };
        match document {
            Some(document) => {
                let representation = Representation::negotiate(headers, Endpoint::Document)?;
                let layout = match route {
                    // As upstream: it is for people.
                    Route::Version => Layout::Indented,
                    _ => Layout::asked(headers, query.text("pretty")),
                };
                respond(representation, layout, Written::ok(Content::Document(document)))
            }
            None => Ok(not_found()),
        }
    }

    fn metrics(&self) -> Response<Body> {
        let text = self.shared.metrics.render(self.shared.registry.object_counts());
        let mut response = Response::new(Body::whole(text));
        let content_type = HeaderValue::from_static(metrics::CONTENT_TYPE);
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        response
    }

    fn openapi(&self) -> &'static Documents {
        Documents::of(self.shared.registry.gates().release())
    }
}

/// Whether the client would rather have discovery in one document than in the older form.
fn asks_for_aggregated(headers: &HeaderMap) -> bool {
    accepted(headers)
        .map(|range| (aggregated::is_asked_by(&range), !range.contains("as=")))
        .find(|(aggregated, plain)| *aggregated || *plain)
        .is_some_and(|(aggregated, _)| aggregated)
}

/// A discovery document, which anybody on the way may keep.
fn public_document(headers: &HeaderMap, document: &Document) -> Response<Body> {
    let mut response = document.answer(headers, aggregated::CONTENT_TYPE);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    response
}
