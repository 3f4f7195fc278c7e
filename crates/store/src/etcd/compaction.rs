//! Compaction of etcd's history, by turns with whatever other servers share it.

use std::sync::Arc;
use std::time::Duration;

use super::cache::Source;
use super::generated::TxnResponse;
use super::generated::response_op::Response;
use super::txn::{revision_of, take_turn};
use crate::Revision;

/// The key by which kube-apiservers take turns. Not below the root of the objects.
const TURNS: &str = "compact_rev_key";

/// Forgets what is older than `period`, each `period`.
pub(crate) async fn compact_every<I: Clone>(source: Arc<Source<I>>, period: Duration) {
    let mut state = State::default();
    loop {
        tokio::time::sleep(period).await;
        let turn = source.client.txn(take_turn(TURNS, state.turns, state.at)).await;
        let compacted = match turn {
            Ok(response) => match state.next(response) {
                Some(revision) => {
                    source.client.compact(i64::try_from(revision.get()).unwrap_or(i64::MAX)).await
                }
                None => Ok(()),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = compacted {
            tracing::warn!(%error, "the history of etcd could not be compacted");
        }
    }
}

/// What is known of the turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    /// How many have been taken by anybody.
    turns: i64,
    /// The revision when we last looked.
    at: Revision,
}

impl State {
    /// Takes in the answer to an attempt; gives the revision to compact at if it was our turn.
    fn next(&mut self, response: TxnResponse) -> Option<Revision> {
        let now = revision_of(response.header.map_or(0, |header| header.revision));
        let before = std::mem::replace(&mut self.at, now);
        if response.succeeded {
            self.turns += 1;
            return (before > Revision::default()).then_some(before);
        }
        // Somebody else took it.
        let taken = response.responses.into_iter().find_map(|operation| match operation.response? {
            Response::ResponseRange(range) => range.kvs.into_iter().next(),
            _ => None,
        });
        self.turns = taken.map_or(0, |pair| pair.version);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::generated::{KeyValue, RangeResponse, ResponseHeader, ResponseOp};

    fn answer(succeeded: bool, revision: i64, version: i64) -> TxnResponse {
        let kvs = vec![KeyValue { version, ..KeyValue::default() }];
        let range = Response::ResponseRange(RangeResponse { kvs, ..RangeResponse::default() });
        TxnResponse {
            header: Some(ResponseHeader { revision }),
            succeeded,
            responses: vec![ResponseOp { response: Some(range) }],
        }
    }

    #[test]
    fn compacts_at_where_it_looked_last_and_only_when_it_has_the_turn() {
        let mut state = State::default();
        // Never what was written since we began to look.
        assert_eq!(state.next(answer(true, 10, 0)), None);
        assert_eq!(state, State { turns: 1, at: Revision::new(10) });
        assert_eq!(state.next(answer(true, 20, 0)), Some(Revision::new(10)));
        assert_eq!(state.next(answer(false, 30, 7)), None);
        assert_eq!(state, State { turns: 7, at: Revision::new(30) });
        assert_eq!(state.next(answer(true, 40, 0)), Some(Revision::new(30)));
    }
}
