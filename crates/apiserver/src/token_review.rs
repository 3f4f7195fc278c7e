//! `tokenreviews`: is this token good, and whose is it?

use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokenward_issuer::{Issuer, LiveObject, LiveObjects, VerifyError};
use tokenward_kube_schema::Kind;

use crate::authentication::{StaticTokens, User};
use crate::cluster_view::ClusterView;
use crate::content::Shown;
use crate::metrics::TokenCounters;
use crate::object::Object;
use crate::registry::Written;
use crate::status::ApiError;

/// What the bearer-token authenticators need.
pub(crate) struct TokenAuthenticators<'a> {
    pub(crate) static_tokens: &'a StaticTokens,
    pub(crate) issuer: &'a Issuer,
    pub(crate) cluster: &'a ClusterView,
    pub(crate) now: Timestamp,
    /// Good tokens of service accounts are counted.
    pub(crate) counters: &'a TokenCounters,
}

/// Whose a token is, and for which of the wanted audiences.
pub(crate) struct Bearer {
    pub(crate) user: User,
    pub(crate) audiences: Vec<String>,
}

/// Why a token is nobody's. The text quotes nothing of it.
#[derive(Debug)]
pub(crate) enum Rejected {
    /// No authenticator knows such tokens.
    Unknown,
    /// A token of ours that is not good, or not any more.
    Refused(VerifyError),
}

impl std::fmt::Display for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => f.write_str("invalid bearer token"),
            Self::Refused(error) => write!(f, "[invalid bearer token, {error}]"),
        }
    }
}

impl TokenAuthenticators<'_> {
    /// Asks each authenticator in turn. `audiences` are those wanted; none means the API server's own.
    ///
    /// Nothing is cached: a signature is checked in some twenty microseconds, and a revocation counts at once.
    pub(crate) fn authenticate(&self, token: &str, audiences: &[String]) -> Result<Bearer, Rejected> {
        let api_audiences = self.issuer.config().api_audiences();
        let wanted = if audiences.is_empty() { api_audiences } else { audiences };
        if let Some(user) = self.static_tokens.user(token) {
            // A static token is good for the API server and says nothing of other audiences.
            let good: Vec<String> =
                wanted.iter().filter(|audience| api_audiences.contains(audience)).cloned().collect();
            return if good.is_empty() {
                Err(Rejected::Unknown)
            } else {
                Ok(Bearer { user: User::clone(&user), audiences: good })
            };
        }
        match self.issuer.verify(token, wanted, self.cluster, self.now) {
            Ok(verified) => {
                if verified.legacy {
                    self.counters.legacy.inc();
                }
                if verified.stale_seconds.is_some() {
                    self.counters.stale.inc();
                } else {
                    self.counters.valid.inc();
                }
                let identity = verified.identity;
                let mut user = User::authenticated(identity.username, identity.groups);
                user.uid = identity.uid;
                user.extra = identity.extra;
                Ok(Bearer { user, audiences: identity.audiences })
            }
            Err(error) if error.is_not_mine() => Err(Rejected::Unknown),
            Err(error) => Err(Rejected::Refused(error)),
        }
    }
}

impl LiveObjects for ClusterView {
    fn service_account(&self, namespace: &str, name: &str) -> Option<LiveObject> {
        live(self, "serviceaccounts", Some(namespace), name)
    }

    fn secret(&self, namespace: &str, name: &str) -> Option<LiveObject> {
        live(self, "secrets", Some(namespace), name)
    }

    fn pod(&self, namespace: &str, name: &str) -> Option<LiveObject> {
        live(self, "pods", Some(namespace), name)
    }

    fn node(&self, name: &str) -> Option<LiveObject> {
        live(self, "nodes", None, name)
    }
}

fn live(
    cluster: &ClusterView,
    collection: &'static str,
    namespace: Option<&str>,
    name: &str,
) -> Option<LiveObject> {
    let entry = cluster.entry(collection, namespace, name)?;
    Some(LiveObject { uid: entry.index.uid.clone(), deletion: entry.index.deletion })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    token: String,
    audiences: Vec<String>,
}

/// Answers a review. The answer repeats the request, the token included, as upstream's does.
pub(crate) fn create(
    kind: &'static Kind,
    authenticators: &TokenAuthenticators<'_>,
    mut review: Object,
) -> Result<Written, ApiError> {
    let spec: Spec = review.get("spec").and_then(|spec| Spec::deserialize(spec).ok()).unwrap_or_default();
    if spec.token.is_empty() {
        return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
    }
    let status = match authenticators.authenticate(&spec.token, &spec.audiences) {
        Ok(bearer) => json!({
            "authenticated": true,
            "user": bearer.user.to_info(),
            "audiences": bearer.audiences,
        }),
        Err(rejected) => json!({"user": {}, "error": rejected.to_string()}),
    };
    review.insert("status".to_owned(), status);
    if spec.audiences.is_empty()
        && let Some(Value::Object(spec)) = review.get_mut("spec")
    {
        spec.remove("audiences");
    }
    if let Some(Value::Object(metadata)) = review.get_mut("metadata") {
        metadata.remove("namespace");
    }
    if review.get("metadata").is_none_or(Value::is_null) {
        review.insert("metadata".to_owned(), json!({}));
    }
    Ok(Written { code: StatusCode::CREATED, content: Shown::of_tree(kind, &review).into() })
}
