//! The transactions that a change becomes, and what their answers mean. Pure.

use super::generated::compare::{CompareTarget, TargetUnion};
use super::generated::request_op::Request;
use super::generated::response_op::Response;
use super::generated::{
    Compare, DeleteRangeRequest, KeyValue, PutRequest, RangeRequest, RequestOp, TxnRequest, TxnResponse,
};
use crate::Revision;

/// What a key must be for a change to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Nothing there.
    Free,
    /// Last written at this revision.
    At(Revision),
}

/// What to do then.
pub(crate) enum Then {
    Put(Vec<u8>),
    Delete,
    /// Only look whether it is so.
    Nothing,
}

/// What became of it.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// Done, at this revision. The pair is what the key holds after a put, and what it held before a deletion.
    Done { revision: Revision, pair: Option<KeyValue> },
    /// The key was not as expected; this is what it holds.
    Otherwise(Option<KeyValue>),
}

/// One transaction: if `key` is as expected do it, else read what is there.
pub(crate) fn conditional(key: &str, expected: Expected, then: Then) -> TxnRequest {
    let key = key.as_bytes().to_vec();
    let version = match expected {
        Expected::Free => 0,
        // A key that is not there has revision 0 in comparisons, and nothing was ever written at that.
        Expected::At(revision) if revision.get() == 0 => i64::MAX,
        Expected::At(revision) => i64::try_from(revision.get()).unwrap_or(i64::MAX),
    };
    let compare = Compare {
        target: CompareTarget::Mod.into(),
        key: key.clone(),
        target_union: Some(TargetUnion::ModRevision(version)),
        ..Compare::default()
    };
    let read = |keys_only| {
        Request::RequestRange(RangeRequest { key: key.clone(), keys_only, ..RangeRequest::default() })
    };
    let success = match then {
        // The writer knows the value, but not since when the key is there.
        Then::Put(value) => vec![Request::RequestPut(PutRequest { key: key.clone(), value }), read(true)],
        Then::Delete => {
            vec![read(false), Request::RequestDeleteRange(DeleteRangeRequest { key: key.clone() })]
        }
        Then::Nothing => Vec::new(),
    };
    let operations =
        |requests: Vec<Request>| requests.into_iter().map(|request| RequestOp { request: Some(request) });
    TxnRequest {
        compare: vec![compare],
        success: operations(success).collect(),
        failure: operations(vec![read(false)]).collect(),
    }
}

/// Reads the answer to [`conditional`].
pub(crate) fn outcome(response: TxnResponse) -> Outcome {
    let revision = revision_of(response.header.map_or(0, |header| header.revision));
    let pair = response.responses.into_iter().find_map(|operation| match operation.response? {
        Response::ResponseRange(range) => range.kvs.into_iter().next(),
        _ => None,
    });
    if response.succeeded { Outcome::Done { revision, pair } } else { Outcome::Otherwise(pair) }
}

/// etcd's revisions are not negative.
pub(crate) fn revision_of(number: i64) -> Revision {
    Revision::new(u64::try_from(number).unwrap_or_default())
}

/// Whose turn it is to compact: the transaction by which kube-apiservers agree on it. The key's version counts the turns;
/// the value is the revision at which the last turn was taken.
pub(crate) fn take_turn(key: &str, turns: i64, at: Revision) -> TxnRequest {
    let key = key.as_bytes().to_vec();
    let compare = Compare {
        target: CompareTarget::Version.into(),
        key: key.clone(),
        target_union: Some(TargetUnion::Version(turns)),
        ..Compare::default()
    };
    let put = PutRequest { key: key.clone(), value: at.to_string().into_bytes() };
    let read = RangeRequest { key, ..RangeRequest::default() };
    TxnRequest {
        compare: vec![compare],
        success: vec![RequestOp { request: Some(Request::RequestPut(put)) }],
        failure: vec![RequestOp { request: Some(Request::RequestRange(read)) }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::generated::{RangeResponse, ResponseHeader, ResponseOp};

    fn answer(succeeded: bool, kvs: Vec<KeyValue>) -> TxnResponse {
        let range = Response::ResponseRange(RangeResponse { kvs, ..RangeResponse::default() });
        TxnResponse {
            header: Some(ResponseHeader { revision: 7 }),
            succeeded,
            responses: vec![ResponseOp { response: Some(range) }],
        }
    }

    #[test]
    fn answers_say_what_was_done_or_what_stands_in_the_way() {
        let pair = KeyValue { create_revision: 3, ..KeyValue::default() };
        let done = outcome(answer(true, vec![pair.clone()]));
        assert_eq!(done, Outcome::Done { revision: Revision::new(7), pair: Some(pair.clone()) });
        assert_eq!(outcome(answer(false, vec![pair.clone()])), Outcome::Otherwise(Some(pair)));
        assert_eq!(outcome(answer(false, Vec::new())), Outcome::Otherwise(None));
        let empty = outcome(TxnResponse { succeeded: true, ..TxnResponse::default() });
        assert_eq!(empty, Outcome::Done { revision: Revision::new(0), pair: None });
    }

    #[test]
    fn a_change_is_bound_to_what_the_writer_saw() {
        let txn = conditional("/registry/pods/a/b", Expected::Free, Then::Put(b"x".to_vec()));
        assert_eq!(txn.compare[0].target_union, Some(TargetUnion::ModRevision(0)));
        assert_eq!((txn.success.len(), txn.failure.len()), (2, 1));
        let txn = conditional("/registry/pods/a/b", Expected::At(Revision::new(9)), Then::Nothing);
        assert_eq!(txn.compare[0].target_union, Some(TargetUnion::ModRevision(9)));
        assert!(txn.success.is_empty());
        let txn = conditional("/registry/pods/a/b", Expected::At(Revision::new(0)), Then::Delete);
        assert_eq!(txn.compare[0].target_union, Some(TargetUnion::ModRevision(i64::MAX)));
    }
}
