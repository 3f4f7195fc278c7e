//! Who asks, as whom, and whether they may.

use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{Response, StatusCode};
use tokenward_kube_schema::Verb;

use super::ApiServer;
use crate::authentication::{ClientCertificate, PeerIdentity, User, bearer_token, impersonated};
use crate::authorization::{Access, Attributes, ResourceAttributes, authorize};
use crate::body::Body;
use crate::face;
use crate::flow_control::Admitted;
use crate::metrics::Observed;
use crate::query::Query;
use crate::request::ResourcePath;
use crate::selector::FieldSelector;
use crate::status::{ApiError, go_quote};
use crate::token_review::TokenAuthenticators;

/// Why a request does not get any further.
pub(super) enum Stopped {
    /// With a Status.
    Refused(ApiError),
    /// With an answer that is none, as upstream gives for headers that make no sense.
    Answered(Box<Response<Body>>),
}

impl From<ApiError> for Stopped {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl ApiServer {
    /// Lets a request in when its turn comes. What follows is the question whether its user may do what it asks for.
    pub(super) async fn admit(
        &self,
        user: &User,
        verb: Verb,
        observed: &mut Observed<'_>,
    ) -> Result<Admitted, ApiError> {
        let began = Instant::now();
        let admitted = self.shared.flow.admit(user, verb).await;
        observed.has_waited(began.elapsed());
        observed.is_asked_about();
        admitted
    }

    /// The user that a request acts as.
    pub(super) fn user(&self, parts: &Parts) -> Result<Arc<User>, Stopped> {
        let user = self.authenticate(parts)?;
        match impersonated(&parts.headers) {
            Ok(None) => Ok(user),
            Ok(Some(other)) => {
                for right in other.rights() {
                    authorize(&user, &right.into(), self.shared.registry.view())?;
                }
                let acts_as = tokenward_sanitize::blank_tokens(&other.user.username);
                tracing::debug!(user = %user.username, %acts_as, "impersonation");
                Ok(Arc::new(other.user))
            }
            Err(error) => {
                let uri = parts.uri.path_and_query().map_or("/", |uri| uri.as_str());
                let text = format!("Internal Server Error: {}: {error}\n", go_quote(uri));
                let text = tokenward_sanitize::blank_tokens(&text);
                let answer = face::text(StatusCode::INTERNAL_SERVER_ERROR, &text);
                Err(Stopped::Answered(Box::new(answer)))
            }
        }
    }

    /// A good certificate decides, then a good token. Whoever has shown something that is not good is refused, and is
    /// not taken for somebody who has shown nothing.
    fn authenticate(&self, parts: &Parts) -> Result<Arc<User>, ApiError> {
        if let Some(PeerIdentity(user)) = parts.extensions.get::<PeerIdentity>() {
            return Ok(user.clone());
        }
        let now = self.shared.registry.clock().now();
        let certificate = parts.extensions.get::<ClientCertificate>().map(|shown| shown.user(now));
        if let Some(Ok(Some(user))) = certificate {
            return Ok(user);
        }
        if let Some(token) = bearer_token(&parts.headers) {
            return match self.token_authenticators().authenticate(token, &[]) {
                Ok(bearer) => Ok(Arc::new(bearer.user)),
                Err(rejected) => {
                    tracing::debug!(%rejected, "bearer token refused");
                    Err(ApiError::unauthorized())
                }
            };
        }
        match certificate {
            Some(Err(_)) => Err(ApiError::unauthorized()),
            _ if self.shared.anonymous => Ok(Arc::new(User::anonymous())),
            _ => Err(ApiError::unauthorized()),
        }
    }

    pub(super) fn token_authenticators(&self) -> TokenAuthenticators<'_> {
        TokenAuthenticators {
            static_tokens: &self.shared.static_tokens,
            issuer: &self.shared.issuer,
            cluster: self.shared.registry.view(),
            now: self.shared.registry.clock().now(),
            counters: &self.shared.metrics.tokens,
        }
    }

    /// Whether a user may do this to a resource.
    pub(super) fn authorize_resource(
        &self,
        user: &User,
        verb: Verb,
        path: &ResourcePath,
        query: &Query,
    ) -> Result<(), ApiError> {
        let name = path.name.as_deref().unwrap_or("");
        // A namespace is in itself, as upstream sees it.
        let namespace = match path.namespace.as_deref() {
            Some(namespace) => namespace,
            None if path.group.is_empty() && path.resource == "namespaces" => name,
            None => "",
        };
        // One that does not parse selects nothing here, and is refused once the request is authorized.
        let selector = match query.text("fieldSelector") {
            // Rights to one name are for reading it where selectors are told; upstream takes none of such a path.
            Some(text) if matches!(verb, Verb::List | Verb::Watch) && !path.is_watch => {
                FieldSelector::parse(text).unwrap_or_default()
            }
            _ => FieldSelector::default(),
        };
        let attributes = ResourceAttributes {
            verb: verb.as_str(),
            group: &path.group,
            resource: &path.resource,
            subresource: path.subresource.as_deref().unwrap_or(""),
            namespace,
            name: if name.is_empty() { selector.exact("metadata.name").unwrap_or("") } else { name },
        };
        let attributes = Attributes::Resource(attributes);
        let access = Access { attributes, selected_node: selector.exact("spec.nodeName") };
        authorize(user, &access, self.shared.registry.view())
    }
}
