//! The details of a status (`google.rpc.Status`, in the trailer `grpc-status-details-bin`): the few kinds that can be read are kept, text by
//! text without secrets; all others go, since nobody can vouch for bytes that have no known shape.
//!
//! Kept are `ErrorInfo`, by which a program tells one failure from another, and `RetryInfo`, which says when to ask again.

use std::collections::BTreeMap;

use prost::Message;
use prost_types::{Any, Duration};
use tonic::Code;
use tonic::codegen::Bytes;

/// What comes before the name of a type.
const TYPES: &str = "type.googleapis.com/";
const ERROR_INFO: &str = "google.rpc.ErrorInfo";
const RETRY_INFO: &str = "google.rpc.RetryInfo";
/// Most details of one status, and most bytes of all of them: they travel in a header.
const MOST: usize = 8;
const MOST_BYTES: usize = 4 << 10;

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.rpc.ErrorInfo`.
#[derive(Clone, PartialEq, Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(btree_map = "string, string", tag = "3")]
    metadata: BTreeMap<String, String>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Duration>,
}

/// The details that may be shown, beside this code and clean message; empty when there are none.
///
/// Each is decoded and encoded anew, so that what the kind does not know (unknown fields, a second spelling) is gone.
pub(super) fn clean(details: &[u8], code: Code, message: &str, clean_text: impl Fn(&str) -> String) -> Bytes {
    if details.is_empty() || details.len() > MOST_BYTES {
        return Bytes::new();
    }
    let Ok(found) = RpcStatus::decode(details) else { return Bytes::new() };
    let details: Vec<Any> =
        found.details.iter().take(MOST).filter_map(|detail| clean_detail(detail, &clean_text)).collect();
    if details.is_empty() {
        return Bytes::new();
    }
    let status = RpcStatus { code: code as i32, message: message.to_owned(), details };
    status.encode_to_vec().into()
}

fn clean_detail(detail: &Any, clean_text: &impl Fn(&str) -> String) -> Option<Any> {
    let kind = detail.type_url.rsplit('/').next()?;
    let value = match kind {
        ERROR_INFO => {
            let info = ErrorInfo::decode(&detail.value[..]).ok()?;
            let metadata = info.metadata.iter();
            let info = ErrorInfo {
                reason: clean_text(&info.reason),
                domain: clean_text(&info.domain),
                metadata: metadata.map(|(key, value)| (clean_text(key), clean_text(value))).collect(),
            };
            info.encode_to_vec()
        }
        RETRY_INFO => RetryInfo::decode(&detail.value[..]).ok()?.encode_to_vec(),
        _ => return None,
    };
    Some(Any { type_url: format!("{TYPES}{kind}"), value })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use tokenward_sanitize::STRIPPED;
    use tonic::Status;
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::super::Scrubber;
    use super::*;

    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOlsidmF1bHQiXX0.c2lnbmF0dXJl";

    fn scrubbed(status: &Status) -> Status {
        Scrubber::default().clean(status)
    }

    #[test]
    fn what_can_be_read_stays_and_the_rest_goes() {
        let metadata =
            HashMap::from([("exchange".to_owned(), "aws".to_owned()), ("sent".to_owned(), TOKEN.to_owned())]);
        let mut details = ErrorDetails::new();
        details
            .set_error_info("EXCHANGE_FAILED", "vault.example", metadata)
            .set_retry_info(Some(std::time::Duration::from_millis(1500)))
            .set_debug_info(vec!["frame".to_owned()], TOKEN)
            .set_request_info("r-1", TOKEN)
            .add_help_link(TOKEN, "https://help.example");
        let status = Status::with_error_details(Code::Unavailable, format!("sent {TOKEN}"), details);
        let clean = scrubbed(&status);
        assert_eq!((clean.code(), clean.message()), (Code::Unavailable, format!("sent {STRIPPED}").as_str()));
        let found = clean.check_error_details().unwrap();
        let info = found.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("EXCHANGE_FAILED", "vault.example"));
        assert_eq!((info.metadata["exchange"].as_str(), info.metadata["sent"].as_str()), ("aws", STRIPPED));
        let delay = found.retry_info().unwrap().retry_delay;
        assert_eq!(delay, Some(std::time::Duration::from_millis(1500)));
        assert!(found.debug_info().is_none() && found.request_info().is_none() && found.help().is_none());
        // The message stands in the details a second time.
        assert!(!String::from_utf8_lossy(clean.details()).contains(TOKEN));
        // What is clean stays as it is.
        assert_eq!(scrubbed(&clean).details(), clean.details());
    }

    #[test]
    fn what_has_no_known_shape_goes() {
        let info = ErrorInfo { reason: "R".to_owned(), ..Default::default() };
        let any = |kind: &str, value: Vec<u8>| Any { type_url: format!("{TYPES}{kind}"), value };
        let with = |details| RpcStatus { details, ..Default::default() }.encode_to_vec();
        // An unknown field, 15, of one byte.
        let with_unknown = [info.encode_to_vec(), vec![0x78, 0x01]].concat();
        let many = vec![any(RETRY_INFO, Vec::new()); 5 * MOST];
        let table = [
            (Vec::new(), 0),
            (b"no protobuf".to_vec(), 0),
            (with(vec![any("google.rpc.DebugInfo", info.encode_to_vec())]), 0),
            (with(vec![any(ERROR_INFO, b"\xff".to_vec())]), 0),
            (with(vec![any(ERROR_INFO, with_unknown)]), 1),
            (with(many), MOST),
            (with(vec![any(ERROR_INFO, vec![0; MOST_BYTES])]), 0),
        ];
        for (details, expected) in table {
            let clean = scrubbed(&Status::with_details(Code::Internal, "", details.clone().into()));
            let left = RpcStatus::decode(clean.details()).unwrap().details;
            assert_eq!(left.len(), expected, "{}", String::from_utf8_lossy(&details));
            assert!(left.iter().all(|any| any.value.len() < 5), "{left:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_and_no_token_comes_out(before in proptest::collection::vec(any::<u8>(), 0..64), reason in ".{0,16}") {
            let info = ErrorInfo { reason: format!("{reason} {TOKEN}"), ..Default::default() };
            let detail = Any { type_url: format!("{TYPES}{ERROR_INFO}"), value: info.encode_to_vec() };
            let mut details = before;
            details.extend(RpcStatus { details: vec![detail], ..Default::default() }.encode_to_vec());
            let clean = scrubbed(&Status::with_details(Code::Internal, "", details.into()));
            prop_assert!(!String::from_utf8_lossy(clean.details()).contains(TOKEN));
        }
    }
}
