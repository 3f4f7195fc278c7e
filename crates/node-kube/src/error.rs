//! From what kube and serde say to [`ClusterError`]: the server's own words where there are any, never a body.

use tokenward_node::{ClusterError, ErrorReason};

/// An error of the client.
pub(crate) fn from_kube(error: &kube::Error) -> ClusterError {
    match error {
        kube::Error::Api(status) => {
            let reason = match (status.reason.as_str(), status.code) {
                ("AlreadyExists", _) => ErrorReason::AlreadyExists,
                ("Conflict", _) | (_, 409) => ErrorReason::Conflict,
                ("Forbidden", _) => ErrorReason::Forbidden,
                ("NotFound", _) => ErrorReason::NotFound,
                _ => ErrorReason::Other,
            };
            let message = match status.message.as_str() {
                "" => format!("the API server answered {} {}", status.code, status.reason),
                message => message.to_owned(),
            };
            ClusterError::new(reason, &message)
        }
        kube::Error::SerdeError(error) => from_json(error),
        other => ClusterError::new(ErrorReason::Other, &chain(other)),
    }
}

/// A body that is not what was expected. serde_json quotes what it found, which may be a token.
pub(crate) fn from_json(error: &serde_json::Error) -> ClusterError {
    let message = format!(
        "the API server's answer cannot be read ({:?} error at line {}, column {})",
        error.classify(),
        error.line(),
        error.column()
    );
    ClusterError::new(ErrorReason::Other, &message)
}

/// The whole chain of causes: the outermost alone says only that a service failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn api(message: &str, reason: &str, code: u16) -> kube::Error {
        kube::Error::Api(Status::failure(message, reason).with_code(code).boxed())
    }

    #[test]
    fn the_servers_words_are_kept_and_its_reason_understood() {
        for (reason, code, wanted) in [
            ("NotFound", 404, ErrorReason::NotFound),
            ("AlreadyExists", 409, ErrorReason::AlreadyExists),
            ("Conflict", 409, ErrorReason::Conflict),
            ("Forbidden", 403, ErrorReason::Forbidden),
            ("Failed to parse error data", 404, ErrorReason::Other),
        ] {
            let error = from_kube(&api("secrets \"creds\" not found", reason, code));
            assert_eq!((error.reason(), error.to_string().as_str()), (wanted, "secrets \"creds\" not found"));
        }
        assert_eq!(from_kube(&api("", "Timeout", 504)).to_string(), "the API server answered 504 Timeout");
    }

    #[test]
    fn what_cannot_be_read_is_not_quoted() {
        let error = serde_json::from_str::<u32>("\n \"canary\"").unwrap_err();
        assert!(error.to_string().contains("canary"), "else this test shows nothing");
        let error = from_json(&error);
        assert!(!error.to_string().contains("canary"), "{error}");
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
