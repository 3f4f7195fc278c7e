//! The pieces of watches that a thread wrote last.
//!
//! A change goes to all who watch, most of whom want it in the same form, one after the other on the same thread; and those
//! who are behind are behind by the same changes. So what was written for one of them is given to the next.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use tokenward_store::Entry;

use super::Seen;
use crate::index::Index;
use crate::media::Encoding;

/// Watchers that were woken by different changes have read up to different ones; more than a few places are rare.
const PIECES: usize = 8;
/// What all of them may take: it stays until the thread writes others.
const BYTES: usize = 256 * 1024;

thread_local! {
    static RECENT: RefCell<Recent> = const { RefCell::new(Recent { pieces: VecDeque::new(), bytes: 0 }) };
}

/// The newest first.
struct Recent {
    pieces: VecDeque<Piece>,
    bytes: usize,
}

struct Piece {
    encoding: Encoding,
    events: Vec<Told>,
    written: Bytes,
}

/// One event of a piece.
struct Told {
    kind: &'static str,
    /// Of which entry, whose place in memory no other can have for as long as this is here.
    entry: Weak<Entry<Index>>,
    bytes: usize,
}

impl Told {
    fn is(&self, (kind, shown): &Seen) -> bool {
        self.kind == *kind
            && shown.entry().is_some_and(|entry| std::ptr::eq(self.entry.as_ptr(), Arc::as_ptr(entry)))
    }
}

/// The piece that tells just these events, if the thread has it. `each` is told how many bytes each of them has.
pub(super) fn find(encoding: Encoding, events: &[Seen], each: impl FnMut(usize)) -> Option<Bytes> {
    RECENT.with_borrow(|recent| {
        let piece = recent.pieces.iter().find(|piece| piece.tells(encoding, events))?;
        piece.events.iter().map(|told| told.bytes).for_each(each);
        Some(piece.written.clone())
    })
}

/// Keeps a piece, whose events have so many bytes each, unless one of them was made for its watcher alone.
pub(super) fn keep(encoding: Encoding, events: &[Seen], bytes: &[usize], written: &Bytes) {
    let told = events.iter().zip(bytes).map(|((kind, shown), bytes)| {
        shown.entry().map(|entry| Told { kind, entry: Arc::downgrade(entry), bytes: *bytes })
    });
    if written.len() <= BYTES
        && let Some(events) = told.collect()
    {
        let piece = Piece { encoding, events, written: written.clone() };
        RECENT.with_borrow_mut(|recent| recent.add(piece));
    }
}

impl Piece {
    fn tells(&self, encoding: Encoding, events: &[Seen]) -> bool {
        self.encoding == encoding
            && self.events.len() == events.len()
            && self.events.iter().zip(events).all(|(told, seen)| told.is(seen))
    }
}

impl Recent {
    fn add(&mut self, piece: Piece) {
        self.bytes += piece.written.len();
        self.pieces.push_front(piece);
        while self.bytes > BYTES || self.pieces.len() > PIECES {
            let Some(oldest) = self.pieces.pop_back() else { return };
            self.bytes -= oldest.written.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokenward_kube_schema::{Kind, encode, find_resource};
    use tokenward_store::{Key, Store, Unstamped};

    use super::*;
    use crate::content::Shown;

    const JSON: Encoding = Encoding::Json;

    fn pod() -> &'static Kind {
        find_resource("", "v1", "pods").expect("served")
    }

    /// Pods of these names that were added.
    async fn added(names: &[&str]) -> Vec<Seen> {
        let store = Store::memory(Index::of);
        let mut added = Vec::new();
        for name in names {
            let object =
                json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": "ns"}});
            let encoded = encode(object.as_object().expect("an object"));
            let key = Key::new("pods", Some("ns"), name).expect("a key");
            let value = Unstamped::new(encoded.bytes, encoded.stamp_at);
            let entry = store.create(key, value).await.expect("it is not there");
            added.push(("ADDED", Shown::of_entry(pod(), entry)));
        }
        added
    }

    fn found(encoding: Encoding, events: &[Seen]) -> Option<(Bytes, Vec<usize>)> {
        let mut sizes = Vec::new();
        let piece = find(encoding, events, |bytes| sizes.push(bytes))?;
        Some((piece, sizes))
    }

    /// Keeps a piece of so many bytes.
    fn kept(events: &[Seen], bytes: usize) -> Bytes {
        let written = Bytes::from(vec![b'x'; bytes]);
        keep(JSON, events, &vec![bytes / events.len(); events.len()], &written);
        written
    }

    #[tokio::test]
    async fn only_whoever_sees_the_same_in_the_same_form_gets_the_piece() {
        let events = added(&["a", "b", "c"]).await;
        let written = kept(&events[..2], 10);
        assert_eq!(found(JSON, &events[..2]), Some((written, vec![5, 5])));
        let deleted = [events[0].clone(), ("DELETED", events[1].1.clone())];
        let others: [&[Seen]; 6] =
            [&events[..1], &events[1..2], &events, &events[1..], &deleted, &added(&["a", "b"]).await];
        assert!(others.iter().all(|others| found(JSON, others).is_none()));
        assert!(found(Encoding::Protobuf, &events[..2]).is_none());
        assert!(found(JSON, &[]).is_none());
    }

    #[tokio::test]
    async fn what_was_made_for_one_watcher_is_not_kept() {
        let alone = ("DELETED", Shown::of_json(pod(), "{}"));
        for events in [vec![alone.clone()], [added(&["a"]).await, vec![alone]].concat()] {
            kept(&events, 10);
            assert!(found(JSON, &events).is_none());
        }
    }

    #[tokio::test]
    async fn the_oldest_goes_when_there_are_too_many_or_they_are_too_large() {
        let events = added(&["0", "1", "2", "3", "4", "5", "6", "7", "8"]).await;
        let each = |position: usize| &events[position..=position];
        let known = || (0..events.len()).map(|position| found(JSON, each(position)).is_some());
        for (bytes, left) in [(10, PIECES), (BYTES / 3, 3), (BYTES, 1)] {
            for position in 0..events.len() {
                kept(each(position), bytes);
            }
            let newest = [vec![false; 9 - left], vec![true; left]].concat();
            assert_eq!(known().collect::<Vec<_>>(), newest);
        }
        kept(each(0), BYTES + 1);
        assert_eq!(
            known().collect::<Vec<_>>(),
            [vec![false; 8], vec![true]].concat(),
            "it would take all room"
        );
    }
}
