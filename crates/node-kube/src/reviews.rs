//! Who asks the node's own server, and whether they may: TokenReview and SubjectAccessReview, as a kubelet sends them.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;
use serde_json::json;
use tokenward_node::ClusterError;
use tokenward_node_server::{AccessReview, Reviews, User};
use tokenward_tokens::Token;

use crate::paths::Path;
use crate::{JSON, KubeCluster};

/// The answer to a TokenReview; what it repeats of the request is not read.
#[derive(Deserialize)]
struct TokenReview {
    #[serde(default)]
    status: TokenReviewStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenReviewStatus {
    authenticated: bool,
    user: UserInfo,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserInfo {
    username: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct SubjectAccessReview {
    #[serde(default)]
    status: SubjectAccessReviewStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SubjectAccessReviewStatus {
    allowed: bool,
}

impl Reviews for KubeCluster {
    async fn token_review(&self, token: &Token) -> Result<Option<User>, ClusterError> {
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "spec": { "token": token.expose_token() },
        });
        let path = Path::group("authentication.k8s.io/v1", "tokenreviews");
        let review: TokenReview = self.call(Method::POST, path, Some((JSON, &body))).await?;
        let UserInfo { username, uid, groups, extra } = review.status.user;
        let user = User { name: username, uid, groups, extra };
        Ok(Some(user).filter(|user| review.status.authenticated && !user.name.is_empty()))
    }

    async fn access_review(&self, review: &AccessReview) -> Result<bool, ClusterError> {
        let AccessReview { user, verb, node, subresource } = review;
        let body = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {
                "user": user.name, "uid": user.uid, "groups": user.groups, "extra": user.extra,
                "resourceAttributes": {
                    "verb": verb, "version": "v1", "resource": "nodes", "subresource": subresource, "name": node,
                },
            },
        });
        let path = Path::group("authorization.k8s.io/v1", "subjectaccessreviews");
        let review: SubjectAccessReview = self.call(Method::POST, path, Some((JSON, &body))).await?;
        Ok(review.status.allowed)
    }
}
