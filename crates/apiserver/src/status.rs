//! The `Status` object: how every failure is told to a client.
//!
//! Codes, reasons, messages and details follow upstream; clients decide by them (a `Conflict` is retried, a
//! `NotFound` is swallowed on delete, kubectl prints `Invalid` from the details).

use http::StatusCode;
use serde_json::{Map, Value, json};
use tokenward_kube_rules::{FieldError, aggregate};
use tokenward_sanitize::blank_tokens;

/// A request that failed, as the client will read it.
///
/// The texts are made from names and rules alone; whatever in them has the shape of a token, as a name that a client
/// made up may have, is blanked as soon as the error is made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    code: StatusCode,
    reason: &'static str,
    message: String,
    details: Option<Map<String, Value>>,
    retry_after_seconds: Option<u32>,
    continue_token: Option<String>,
}

/// What an error is about: the resource's group and plural, or a kind.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// API group, empty for core.
    pub group: &'a str,
    /// The plural resource name (most errors) or the kind (validation errors).
    pub kind: &'a str,
    /// The object's name, empty when there is none.
    pub name: &'a str,
}

impl Subject<'_> {
    fn qualified(&self) -> String {
        if self.group.is_empty() { self.kind.to_owned() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// `csidrivers.storage.k8s.io "x"`, or without the name when there is none.
    fn quoted(&self) -> String {
        if self.name.is_empty() {
            self.qualified()
        } else {
            format!("{} {}", self.qualified(), go_quote(self.name))
        }
    }

    fn details(&self) -> Map<String, Value> {
        let mut details = Map::new();
        for (key, value) in [("name", self.name), ("group", self.group), ("kind", self.kind)] {
            if !value.is_empty() {
                details.insert(key.to_owned(), value.into());
            }
        }
        details
    }
}

impl ApiError {
    /// A failure with the given code and reason and without details.
    pub fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        let message = blank_tokens(&message.into()).into_owned();
        Self { code, reason, message, details: None, retry_after_seconds: None, continue_token: None }
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 401: the credentials are not good for anybody.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// 403 with a text of its own.
    pub fn forbidden(subject: Subject<'_>, why: &str) -> Self {
        let message = format!("{} is forbidden: {why}", subject.quoted());
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).about(subject.details())
    }

    /// 404 for an object.
    pub fn not_found(subject: Subject<'_>) -> Self {
        let message = format!("{} {} not found", subject.qualified(), go_quote(subject.name));
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).about(subject.details())
    }

    /// 404 for a path that a served group does not have.
    pub fn unknown_resource() -> Self {
        let message = "the server could not find the requested resource";
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).about(Map::new())
    }

    /// 405: the resource has no such verb.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message).about(Map::new())
    }

    /// 409: an object of that name exists.
    pub fn already_exists(subject: Subject<'_>, terminating: bool) -> Self {
        let prefix = if terminating { "object is being deleted: " } else { "" };
        let message = format!("{prefix}{} {} already exists", subject.qualified(), go_quote(subject.name));
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).about(subject.details())
    }

    /// 409: the object is not what the request took it for.
    pub fn conflict(subject: Subject<'_>, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {}: {why}", subject.quoted());
        Self::new(StatusCode::CONFLICT, "Conflict", message).about(subject.details())
    }

    /// 409: somebody else wrote the object in between.
    pub fn modified(subject: Subject<'_>) -> Self {
        const WHY: &str =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(subject, WHY)
    }

    /// 410: the resource version asked for is no longer kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// 422: the object breaks rules. Every broken rule is a cause; the message does not repeat itself.
    pub fn invalid(subject: Subject<'_>, errors: &[FieldError]) -> Self {
        let text = aggregate(errors);
        let causes: Vec<Value> = errors
            .iter()
            .map(
                |error| json!({"reason": error.reason(), "message": error.message(), "field": error.field()}),
            )
            .collect();
        let mut details = subject.details();
        details.insert("causes".to_owned(), Value::Array(causes));
        let message = format!("{} {} is invalid: {text}", subject.qualified(), go_quote(subject.name));
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message).about(details)
    }

    /// 422 for the parameters of a request, such as `CreateOptions`.
    pub fn invalid_options(kind: &str, errors: &[FieldError]) -> Self {
        Self::invalid(Subject { group: "meta.k8s.io", kind, name: "" }, errors)
    }

    /// 422 without words, as a patch that does not fit its object is answered.
    pub fn unprocessable() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message).about(Map::new())
    }

    /// 413: the body is larger than the server reads.
    pub fn too_large(limit: usize) -> Self {
        Self::entity_too_large(&format!("limit is {limit}"))
    }

    /// 413 with a text of its own.
    pub fn entity_too_large(why: &str) -> Self {
        let message = format!("Request entity too large: {why}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message).about(Map::new())
    }

    /// 429: too much at once; come back after `seconds`.
    pub fn too_many_requests(seconds: u32) -> Self {
        let message = "Too many requests, please try again later.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message).retry_after(seconds)
    }

    /// 500 with upstream's prefix.
    pub fn internal(why: &str) -> Self {
        let message = format!("Internal error occurred: {why}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
            .about(Map::from_iter([("causes".to_owned(), json!([{"message": why}]))]))
    }

    /// 500 without a reason, as upstream answers errors that it did not classify.
    pub fn unclassified(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "", message)
    }

    /// 504: the request took too long.
    pub fn timeout(why: &str) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", format!("Timeout: {why}")).about(Map::new())
    }

    /// 504: the server has not seen that resource version yet.
    pub fn too_large_resource_version(wanted: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
        let cause = json!([{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]);
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
            .about(Map::from_iter([("causes".to_owned(), cause)]))
            .retry_after(1)
    }

    /// The same failure with these details.
    #[must_use]
    pub fn about(mut self, mut details: Map<String, Value>) -> Self {
        details.values_mut().for_each(blank_in);
        self.details = Some(details);
        self
    }

    /// The same failure with one more cause.
    #[must_use]
    pub fn caused_by(mut self, reason: &str, message: &str, field: &str) -> Self {
        let mut cause = json!({"reason": reason, "message": message, "field": field});
        blank_in(&mut cause);
        let causes = self.details.get_or_insert_default().entry("causes").or_insert_with(|| json!([]));
        if let Some(causes) = causes.as_array_mut() {
            causes.push(cause);
        }
        self
    }

    /// The same failure with causes in its details.
    #[must_use]
    pub(crate) fn because_of(mut self, causes: Vec<Value>) -> Self {
        if !causes.is_empty() {
            let mut causes = Value::Array(causes);
            blank_in(&mut causes);
            self.details.get_or_insert_default().insert("causes".to_owned(), causes);
        }
        self
    }

    /// The same failure, telling the client when to come back.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self.details.get_or_insert_default().insert("retryAfterSeconds".to_owned(), seconds.into());
        self
    }

    /// The same failure with a token by which the list can go on nevertheless.
    #[must_use]
    pub fn to_be_continued(mut self, token: String) -> Self {
        self.continue_token = Some(token);
        self
    }

    /// The HTTP status.
    pub fn code(&self) -> StatusCode {
        self.code
    }

    /// The machine-readable reason, such as `NotFound`; may be empty.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// Seconds after which to try again, for the `Retry-After` header.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.retry_after_seconds
    }

    /// The `Status` object.
    pub fn to_status(&self) -> Value {
        let metadata = match &self.continue_token {
            Some(token) => json!({"continue": token}),
            None => json!({}),
        };
        let mut status = Map::from_iter([
            ("kind".to_owned(), Value::from("Status")),
            ("apiVersion".to_owned(), "v1".into()),
            ("metadata".to_owned(), metadata),
            ("status".to_owned(), "Failure".into()),
            ("message".to_owned(), self.message.as_str().into()),
            ("code".to_owned(), self.code.as_u16().into()),
        ]);
        if !self.reason.is_empty() {
            status.insert("reason".to_owned(), self.reason.into());
        }
        if let Some(details) = &self.details {
            status.insert("details".to_owned(), Value::Object(details.clone()));
        }
        Value::Object(status)
    }
}

fn blank_in(value: &mut Value) {
    match value {
        Value::String(text) => *text = blank_tokens(text).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(blank_in),
        Value::Object(members) => members.values_mut().for_each(blank_in),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A string between double quotes as Go's `%q` writes it.
pub(crate) fn go_quote(text: &str) -> String {
    use std::fmt::Write as _;
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_control() => {
                let code = u32::from(control);
                let written = if code < 0x80 {
                    write!(quoted, "\\x{code:02x}")
                } else {
                    write!(quoted, "\\u{code:04x}")
                };
                written.expect("writing to a string does not fail");
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_follow_upstream() {
        let driver = Subject { group: "storage.k8s.io", kind: "csidrivers", name: "x" };
        let account = Subject { group: "", kind: "serviceaccounts", name: "web" };
        let table = [
            (ApiError::not_found(driver), 404, "csidrivers.storage.k8s.io \"x\" not found"),
            (ApiError::not_found(account), 404, "serviceaccounts \"web\" not found"),
            (
                ApiError::already_exists(driver, true),
                409,
                "object is being deleted: csidrivers.storage.k8s.io \"x\" already exists",
            ),
            (ApiError::forbidden(account, "why"), 403, "serviceaccounts \"web\" is forbidden: why"),
            (
                ApiError::forbidden(Subject { name: "", ..driver }, "why"),
                403,
                "csidrivers.storage.k8s.io is forbidden: why",
            ),
        ];
        for (error, code, message) in table {
            assert_eq!(error.code().as_u16(), code);
            assert_eq!(error.to_string(), message);
            assert_eq!(error.to_status()["code"], code);
        }
    }

    #[test]
    fn details_leave_out_what_is_empty() {
        let status = ApiError::unknown_resource().to_status();
        assert_eq!(status["details"], json!({}));
        let status = ApiError::not_found(Subject { group: "", kind: "pods", name: "p" }).to_status();
        assert_eq!(status["details"], json!({"name": "p", "kind": "pods"}));
        assert!(ApiError::bad_request("no").to_status().get("details").is_none());
    }

    #[test]
    fn quoting_is_go_s() {
        assert_eq!(go_quote("a\"b\\c\n\u{1}é"), "\"a\\\"b\\\\c\\n\\x01é\"");
    }
}
