//! The answer to a TokenRequest, decoded straight into the redacted type.

use jiff::Timestamp;
use serde::Deserialize;
use tokenward_node::{ClusterError, ErrorReason, GrantedToken};
use tokenward_tokens::Token;

use crate::error::from_json;

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    spec: Spec,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    expiration_seconds: Option<i64>,
}

/// No `Debug`: it holds the token until that is wrapped.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: String,
    expiration_timestamp: Timestamp,
}

/// Reads what was granted.
pub(crate) fn granted(body: &[u8]) -> Result<GrantedToken, ClusterError> {
    let answer: Answer = serde_json::from_slice(body).map_err(|error| from_json(&error))?;
    let token = Token::new(answer.status.token);
    if token.is_empty() {
        return Err(ClusterError::new(ErrorReason::Other, "the API server granted a token without text"));
    }
    Ok(GrantedToken {
        token,
        expires: answer.status.expiration_timestamp,
        ttl_seconds: answer.spec.expiration_seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_granted_is_read() {
        let body = br#"{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","metadata":{},
            "spec":{"audiences":["a"],"expirationSeconds":3607,"boundObjectRef":null},
            "status":{"token":"canary","expirationTimestamp":"2027-01-15T08:00:00Z"}}"#;
        let granted = granted(body).unwrap();
        assert_eq!(granted.token.expose_token(), "canary");
        assert_eq!(granted.expires, Timestamp::from_second(1_800_000_000).unwrap());
        assert_eq!(granted.ttl_seconds, Some(3607));
        assert!(!format!("{granted:?}").contains("canary"));
    }

    #[test]
    fn an_answer_without_token_or_with_a_strange_one_is_an_error_without_it() {
        for body in [
            r#"{"status":{"token":"","expirationTimestamp":"2027-01-15T08:00:00Z"}}"#,
            r#"{"status":{"token":"canary","expirationTimestamp":"canary"}}"#,
            r#"{"status":{"token":["canary"],"expirationTimestamp":"2027-01-15T08:00:00Z"}}"#,
            r#"{"spec":{}}"#,
            "canary",
        ] {
            let error = granted(body.as_bytes()).unwrap_err();
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
}
