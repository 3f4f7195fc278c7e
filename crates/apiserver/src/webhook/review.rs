//! AdmissionReview v1: what a webhook is sent, and what its answer means.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokenward_sanitize::blank_tokens;

use super::Proposal;
use crate::authentication::User;
use crate::object::Object;
use crate::status::{ApiError, go_quote};

/// The request, under an id that the answer has to repeat.
pub(super) fn request(id: &str, proposal: &Proposal<'_>) -> Value {
    let shown = |object: Option<&Object>| object.map_or(Value::Null, |object| Value::Object(object.clone()));
    let mut request = attributes(proposal);
    request.extend([
        ("uid".to_owned(), Value::from(id)),
        ("object".to_owned(), shown(proposal.object)),
        ("oldObject".to_owned(), shown(proposal.old)),
    ]);
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request})
}

/// Who wants to do what to what, without the objects.
pub(super) fn attributes(proposal: &Proposal<'_>) -> Map<String, Value> {
    let subject = &proposal.subject;
    let kind =
        json!({"group": proposal.kind.group, "version": proposal.kind.version, "kind": proposal.kind.kind});
    let resource = json!({"group": subject.group, "version": subject.version, "resource": subject.resource});
    let mut request = Map::from_iter([
        ("kind".to_owned(), kind.clone()),
        ("resource".to_owned(), resource.clone()),
        ("requestKind".to_owned(), kind),
        ("requestResource".to_owned(), resource),
        ("operation".to_owned(), subject.operation.as_str().into()),
        ("userInfo".to_owned(), user_info(proposal.user)),
        ("dryRun".to_owned(), proposal.dry_run.into()),
        ("options".to_owned(), proposal.options.clone()),
    ]);
    let texts = [
        ("subResource", subject.subresource),
        ("requestSubResource", subject.subresource),
        ("name", subject.name),
        ("namespace", subject.namespace.unwrap_or_default()),
    ];
    let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
    request.extend(texts.map(|(member, text)| (member.to_owned(), text.into())));
    request
}

fn user_info(user: &User) -> Value {
    let mut info = Map::from_iter([
        ("username".to_owned(), Value::from(user.username.as_str())),
        ("groups".to_owned(), user.groups.clone().into()),
    ]);
    if !user.uid.is_empty() {
        info.insert("uid".to_owned(), user.uid.as_str().into());
    }
    if !user.extra.is_empty() {
        info.insert("extra".to_owned(), json!(user.extra));
    }
    Value::Object(info)
}

/// What a webhook says.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    allowed: bool,
    status: Option<Status>,
    warnings: Vec<String>,
}

/// Why an answer means nothing. No text quotes the answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AnswerError {
    #[error("received invalid webhook response: no JSON: a fault in line {line}, column {column}")]
    Unreadable { line: usize, column: usize },
    #[error(
        "received invalid webhook response: expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, \
         got {found}"
    )]
    OtherKind { found: String },
    #[error("received invalid webhook response: webhook response was absent")]
    Absent,
    #[error("received invalid webhook response: expected response.uid={wanted}, got {found}")]
    OtherId { wanted: String, found: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    response: Option<Response>,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    uid: String,
    #[serde(default)]
    allowed: bool,
    status: Option<Status>,
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Status {
    message: String,
    reason: String,
    code: u16,
    details: Option<Map<String, Value>>,
}

/// Reads an answer to the request of that id.
pub(super) fn read_answer(id: &str, bytes: &[u8]) -> Result<Answer, AnswerError> {
    let review: Review = serde_json::from_slice(bytes)
        .map_err(|error| AnswerError::Unreadable { line: error.line(), column: error.column() })?;
    if (review.api_version.as_str(), review.kind.as_str()) != ("admission.k8s.io/v1", "AdmissionReview") {
        let (group, kind) = (brief(&review.api_version), brief(&review.kind));
        return Err(AnswerError::OtherKind { found: format!("{group}, Kind={kind}") });
    }
    let response = review.response.ok_or(AnswerError::Absent)?;
    if response.uid != id {
        return Err(AnswerError::OtherId { wanted: go_quote(id), found: go_quote(&brief(&response.uid)) });
    }
    let Response { allowed, status, warnings, .. } = response;
    Ok(Answer { allowed, status, warnings: warnings.unwrap_or_default() })
}

/// Enough of a stranger's word to know it by.
fn brief(text: &str) -> String {
    blank_tokens(text).chars().take(64).collect()
}

impl Answer {
    /// The warnings for the client, or the refusal as it reads it.
    pub(super) fn into_result(self, webhook: &str) -> Result<Vec<String>, ApiError> {
        if self.allowed {
            return Ok(self.warnings);
        }
        let status = self.status.unwrap_or_default();
        let denied = format!("admission webhook {} denied the request", go_quote(webhook));
        let message = match (status.message.as_str(), status.reason.as_str()) {
            ("", "") => format!("{denied} without explanation"),
            ("", reason) => format!("{denied}: {reason}"),
            (message, _) => format!("{denied}: {message}"),
        };
        // A refusal that calls itself a success is still one.
        let code = http::StatusCode::from_u16(status.code.max(400)).unwrap_or(http::StatusCode::BAD_REQUEST);
        let error = ApiError::new(code, known_reason(&status.reason), message);
        Err(match status.details {
            Some(details) => error.about(details),
            None => error,
        })
    }
}

/// The reasons that clients know. A webhook's own words for one are in the message.
fn known_reason(reason: &str) -> &'static str {
    const KNOWN: [&str; 20] = [
        "AlreadyExists",
        "BadRequest",
        "Conflict",
        "Expired",
        "Forbidden",
        "Gone",
        "InternalError",
        "Invalid",
        "MethodNotAllowed",
        "NotAcceptable",
        "NotFound",
        "RequestEntityTooLarge",
        "ServerTimeout",
        "ServiceUnavailable",
        "StoreReadError",
        "Timeout",
        "TooManyRequests",
        "Unauthorized",
        "Unknown",
        "UnsupportedMediaType",
    ];
    KNOWN.into_iter().find(|known| *known == reason).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use tokenward_kube_schema::find_resource;

    use super::*;
    use crate::webhook::{Operation, Subject};

    #[test]
    fn a_request_says_who_wants_what() {
        let pods = find_resource("", "v1", "pods").unwrap();
        let object = json!({"kind": "Pod", "metadata": {"name": "p"}}).as_object().unwrap().clone();
        let user = User::authenticated("alice", ["dev".to_owned()]);
        let proposal = Proposal {
            subject: Subject {
                operation: Operation::Update,
                group: "",
                version: "v1",
                resource: "pods",
                subresource: "status",
                namespace: Some("ns"),
                name: "p",
            },
            kind: pods,
            user: &user,
            object: Some(&object),
            old: None,
            dry_run: true,
            options: json!({"kind": "UpdateOptions", "apiVersion": "meta.k8s.io/v1"}),
        };
        let kind = json!({"group": "", "version": "v1", "kind": "Pod"});
        let resource = json!({"group": "", "version": "v1", "resource": "pods"});
        let wanted = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
            "uid": "id", "kind": kind, "resource": resource, "subResource": "status", "requestKind": kind,
            "requestResource": resource, "requestSubResource": "status", "name": "p", "namespace": "ns",
            "operation": "UPDATE", "userInfo": {"username": "alice", "groups": ["dev", "system:authenticated"]},
            "object": object, "oldObject": null, "dryRun": true,
            "options": {"kind": "UpdateOptions", "apiVersion": "meta.k8s.io/v1"},
        }});
        assert_eq!(request("id", &proposal), wanted);
    }

    fn answer(response: &Value) -> Result<Answer, AnswerError> {
        let review =
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
        read_answer("id", review.to_string().as_bytes())
    }

    #[test]
    fn refusals_read_as_upstream_s() {
        let denied = "admission webhook \"a.b.c\" denied the request";
        let table = [
            (json!({"uid": "id"}), 400, "", format!("{denied} without explanation")),
            (
                json!({"uid": "id", "status": {"message": "no", "code": 403, "reason": "Forbidden"}}),
                403,
                "Forbidden",
                format!("{denied}: no"),
            ),
            (
                json!({"uid": "id", "status": {"reason": "NotAllowed", "code": 200}}),
                400,
                "",
                format!("{denied}: NotAllowed"),
            ),
        ];
        for (response, code, reason, message) in table {
            let error = answer(&response).unwrap().into_result("a.b.c").unwrap_err();
            assert_eq!((error.code().as_u16(), error.reason()), (code, reason));
            assert_eq!(error.to_string(), message);
        }
        let allowed = json!({"uid": "id", "allowed": true, "warnings": ["careful"]});
        assert_eq!(answer(&allowed).unwrap().into_result("a.b.c").unwrap(), ["careful"]);
    }

    #[test]
    fn answers_that_mean_nothing() {
        assert_eq!(answer(&Value::Null), Err(AnswerError::Absent));
        assert!(matches!(
            answer(&json!({"uid": "other", "allowed": true})),
            Err(AnswerError::OtherId { .. })
        ));
        assert!(matches!(read_answer("id", b"canary"), Err(AnswerError::Unreadable { line: 1, .. })));
        let older = json!({"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "response": {"uid": "id"}});
        let error = read_answer("id", older.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().ends_with("got admission.k8s.io/v1beta1, Kind=AdmissionReview"), "{error}");
    }
}
