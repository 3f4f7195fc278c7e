//! Reviews: questions that a client asks by creating an object which is answered and never stored. May somebody do
//! this ([`access`]), what may I do here ([`rules`]), who am I. Whose a token is, is asked in [`crate::token_review`].

mod access;
mod rules;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokenward_kube_rules::FieldError;
use tokenward_kube_schema::Kind;

use crate::authentication::User;
use crate::cluster_view::ClusterView;
use crate::content::Shown;
use crate::object::{Object, format_time};
use crate::registry::Written;
use crate::status::{ApiError, Subject};

/// Who asks, and where.
pub(crate) struct Asking<'a> {
    pub(crate) user: &'a User,
    /// The namespace of the path, for the one review that has one.
    pub(crate) namespace: Option<&'a str>,
    pub(crate) cluster: &'a ClusterView,
    pub(crate) now: Timestamp,
}

/// Whether objects of a kind are answered here instead of stored.
pub(crate) fn is_review(kind: &Kind) -> bool {
    matches!(
        kind.kind,
        "LocalSubjectAccessReview"
            | "SelfSubjectAccessReview"
            | "SelfSubjectReview"
            | "SelfSubjectRulesReview"
            | "SubjectAccessReview"
    )
}

impl Asking<'_> {
    /// Answers a review.
    pub(crate) fn create(&self, kind: &'static Kind, mut review: Object) -> Result<Written, ApiError> {
        if review.get("metadata").is_none_or(Value::is_null) {
            review.insert("metadata".to_owned(), json!({}));
        }
        let answer = match kind.kind {
            "SelfSubjectReview" => {
                review.insert("metadata".to_owned(), json!({"creationTimestamp": format_time(self.now)}));
                review.insert("status".to_owned(), json!({"userInfo": self.user.to_info()}));
                review
            }
            "SelfSubjectRulesReview" => self.rules(review)?,
            _ => self.access(kind, review)?,
        };
        Ok(Written { code: StatusCode::CREATED, content: Shown::of_tree(kind, &answer).into() })
    }
}

/// 422 for a review. Upstream's own objects do not know their kind when they are validated, so the text begins with
/// the group alone.
fn invalid(kind: &Kind, errors: &[FieldError]) -> ApiError {
    ApiError::invalid(Subject { group: kind.group, kind: "", name: "" }, errors)
}
