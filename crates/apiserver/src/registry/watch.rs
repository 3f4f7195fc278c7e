//! Watch: a stream of events.
//!
//! A watcher is a cursor in the store's history: it holds no events, and one that does not read costs nothing but its
//! connection. When history has gone past it, it is told so with `Expired` and has to list anew.

mod alarm;

use std::pin::Pin;
use std::slice;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::StatusCode;
use serde_json::json;
use tokenward_kube_schema::Kind;
use tokenward_store::{Compacted, Entry, Event, EventKind, ReadError, Revision, Scope, Start, Watch};
use tokio::time::Instant;

use self::alarm::Alarm;
use super::events::{EventWriter, Seen};
use super::read::{check_selection, selects, too_old};
use super::{Collection, Registry};
use crate::content::{Content, Shown};
use crate::index::Index;
use crate::object::Metadata;
use crate::query::{Selection, WatchFrom, WatchOptions};
use crate::status::ApiError;

/// How often a watcher that wants bookmarks hears of the revision that it has reached.
const BOOKMARK_PERIOD: Duration = Duration::from_secs(60);
/// The least time after which the server ends a watch that set no time of its own; half as much again at most.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// No watch lives longer, however long a client wants it to: the clock's numbers end somewhere.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// This long before its end, a watcher gets a last bookmark.
const LAST_BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);

/// About so much is written of existing objects at once: what a connection takes before it waits for its reader.
const PIECE: usize = 64 * 1024;

/// One watch.
pub(crate) struct WatchStream {
    registry: Registry,
    kind: &'static Kind,
    writer: EventWriter,
    selection: Selection,
    watch: Watch<Index>,
    bookmarks: bool,
    end: Instant,
    /// Rings at the next bookmark, or at the end.
    alarm: Alarm,
    /// What there was when the watch began, as far as it has not been written: objects that all readers share, so that a
    /// watcher which does not read holds no copies of them.
    existing: std::vec::IntoIter<Arc<Entry<Index>>>,
    /// What follows them.
    then: Option<(&'static str, Content)>,
    is_over: bool,
}

impl Registry {
    /// Starts a watch. Refusals come as errors; a revision that is too old comes as an event, as clients expect.
    pub(crate) fn watch(
        &self,
        of: Collection<'_>,
        options: WatchOptions,
        writer: EventWriter,
    ) -> Result<WatchStream, ApiError> {
        check_selection(of.kind, &options.selection)?;
        let scope = of.scope(&options.selection);
        let current = self.store.current_revision();
        let too_new = |wanted: Revision| ApiError::too_large_resource_version(wanted.get(), current.get());
        let mut existing = Vec::new();
        let mut then = None;
        let mut is_over = false;
        let watch = match options.from {
            WatchFrom::Existing(not_older_than) if not_older_than > current => {
                return Err(too_new(not_older_than));
            }
            WatchFrom::Existing(_) => {
                let (listing, watch) = self.store.list_and_watch(&scope);
                existing = listing.entries;
                existing.retain(|entry| selects(&options.selection, &entry.key, &entry.index));
                if options.initial_events_end {
                    then = Some(("BOOKMARK", bookmark(of.kind, listing.revision, true)));
                }
                watch
            }
            WatchFrom::Now => self.watch_from_now(&scope)?,
            WatchFrom::After(revision) => match self.store.watch(&scope, Start::After(revision)) {
                Ok(watch) => watch,
                Err(ReadError::Future { wanted, .. }) => return Err(too_new(wanted)),
                Err(ReadError::Compacted(compacted)) => {
                    then = Some(("ERROR", expired(compacted)));
                    is_over = true;
                    self.watch_from_now(&scope)?
                }
            },
        };
        let now = Instant::now();
        let lifetime = match options.timeout_seconds {
            Some(seconds) => Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(LONGEST_TIMEOUT),
            // Spread, so that the watchers of a restarted server do not all come back together for ever.
            _ => {
                DEFAULT_TIMEOUT
                    + DEFAULT_TIMEOUT.mul_f64(f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 510.0)
            }
        };
        let end = now + lifetime;
        Ok(WatchStream {
            registry: self.clone(),
            kind: of.kind,
            writer,
            selection: options.selection,
            watch,
            bookmarks: options.bookmarks,
            end,
            alarm: Alarm::set_to(next_ring(options.bookmarks, now, end)),
            existing: existing.into_iter(),
            then,
            is_over,
        })
    }

    fn watch_from_now(&self, scope: &Scope) -> Result<Watch<Index>, ApiError> {
        self.store.watch(scope, Start::Now).map_err(|error| ApiError::internal(&error.to_string()))
    }
}

/// The events as they are written, in pieces of one or more.
impl Stream for WatchStream {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(piece) = self.beginning() {
            return Poll::Ready(Some(piece));
        }
        while !self.is_over {
            // First, or events that never pause would keep it from being heard.
            if let Poll::Ready(rang) = self.alarm.poll_rung(context) {
                return Poll::Ready(self.rung(rang));
            }
            let piece = match ready!(self.watch.poll_next(context)) {
                Ok(batch) => self.told(&batch.events),
                Err(compacted) => self.left_behind(compacted),
            };
            if piece.is_some() {
                return Poll::Ready(piece);
            }
        }
        Poll::Ready(None)
    }
}

impl WatchStream {
    /// What is told when the alarm has rung: a bookmark, or nothing at the end.
    fn rung(&mut self, rang: Instant) -> Option<Bytes> {
        if rang >= self.end {
            return None;
        }
        self.alarm = Alarm::set_to(next_ring(self.bookmarks, rang, self.end));
        let bookmark = bookmark(self.kind, self.watch.bookmark(), false);
        let mut written = BytesMut::new();
        self.write(&mut written, "BOOKMARK", bookmark);
        Some(written.freeze())
    }

    /// The piece that tells events, if this watcher sees any of them.
    fn told(&mut self, events: &[Arc<Event<Index>>]) -> Option<Bytes> {
        if let [event] = events {
            let seen = self.as_seen(event)?;
            return self.piece(slice::from_ref(&seen));
        }
        let seen: Vec<_> = events.iter().filter_map(|event| self.as_seen(event)).collect();
        self.piece(&seen)
    }

    /// The last piece of a watcher that was too slow.
    fn left_behind(&mut self, compacted: Compacted) -> Option<Bytes> {
        let mut written = BytesMut::new();
        self.write(&mut written, "ERROR", expired(compacted));
        self.is_over = true;
        (!written.is_empty()).then(|| written.freeze())
    }

    fn piece(&mut self, events: &[Seen]) -> Option<Bytes> {
        let (piece, outcome) = self.writer.piece(&self.registry, events);
        // Whoever heard of a later one would take the one that is missing for told.
        if let Err(error) = outcome {
            self.end_badly(&error);
        }
        (!piece.is_empty()).then_some(piece)
    }

    /// The next piece of what there was when the watch began, and of what follows it.
    fn beginning(&mut self) -> Option<Bytes> {
        let mut written = BytesMut::new();
        while written.len() < PIECE
            && let Some(entry) = self.existing.next()
        {
            let shown = self.registry.show(self.kind, entry);
            self.write(&mut written, "ADDED", shown.into());
        }
        if self.existing.as_slice().is_empty()
            && let Some((kind, object)) = self.then.take()
        {
            self.write(&mut written, kind, object);
        }
        (!written.is_empty()).then(|| written.freeze())
    }

    fn write(&mut self, written: &mut BytesMut, kind: &str, object: Content) {
        if let Err(error) = self.writer.write(&self.registry, written, kind, object) {
            self.end_badly(&error);
        }
    }

    /// An event that cannot be written ends the watch, and nothing follows it, least of all a bookmark that says that all
    /// was told: the client lists anew, and hears there what is wrong.
    fn end_badly(&mut self, error: &ApiError) {
        tracing::error!(%error, "a watch event cannot be written");
        self.existing = Vec::new().into_iter();
        self.then = None;
        self.is_over = true;
    }

    /// What the event is to this watcher: with a selector, leaving the selection is a deletion and entering it an
    /// addition.
    fn as_seen(&self, event: &Event<Index>) -> Option<Seen> {
        let selected = |entry: &Entry<Index>| selects(&self.selection, &entry.key, &entry.index);
        let was = event.previous.as_ref().filter(|previous| selected(previous));
        let is = selected(&event.entry);
        let shown = || self.registry.show(self.kind, event.entry.clone());
        match (event.kind, was, is) {
            (EventKind::Put, None, true) => Some(("ADDED", shown())),
            (EventKind::Put, Some(_), true) => Some(("MODIFIED", shown())),
            (EventKind::Put, Some(previous), false) => {
                Some(("DELETED", self.at_revision(previous, event.revision)))
            }
            (EventKind::Delete, Some(_), _) => Some(("DELETED", shown())),
            _ => None,
        }
    }

    /// An earlier state that a watcher must take for the state at a later revision.
    fn at_revision(&self, entry: &Arc<Entry<Index>>, revision: Revision) -> Shown {
        match self.registry.tree(self.kind, &entry.value) {
            Ok(mut tree) => {
                tree.set_metadata_text("resourceVersion", &revision.to_string());
                Shown::of_tree(self.kind, &tree)
            }
            Err(_) => self.registry.show(self.kind, entry.clone()),
        }
    }
}

/// When the timer rings after `now`: for a bookmark a period later, or shortly before the end where that comes first;
/// without bookmarks, and after the last one, at the end.
fn next_ring(bookmarks: bool, now: Instant, end: Instant) -> Instant {
    let last_bookmark = end.checked_sub(LAST_BOOKMARK_BEFORE_END).filter(|last| bookmarks && *last > now);
    last_bookmark.map_or(end, |last| last.min(now + BOOKMARK_PERIOD))
}

fn bookmark(kind: &'static Kind, revision: Revision, ends_initial_events: bool) -> Content {
    let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
    if ends_initial_events {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    let object = json!({"kind": kind.kind, "apiVersion": kind.api_version(), "metadata": metadata});
    Shown::of_json(kind, object.to_string()).into()
}

fn expired(compacted: Compacted) -> Content {
    let error = too_old(compacted.wanted, compacted.oldest);
    debug_assert_eq!(error.code(), StatusCode::GONE);
    Content::Status(error.to_status())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bookmarks_come_each_minute_and_shortly_before_the_end() {
        let start = Instant::now();
        let rings = |bookmarks, lifetime: u64| {
            let end = start + Duration::from_secs(lifetime);
            let mut rings = Vec::new();
            let mut now = start;
            while now < end {
                now = next_ring(bookmarks, now, end);
                rings.push((now - start).as_secs());
            }
            rings
        };
        assert_eq!(rings(true, 150), [60, 120, 148, 150]);
        assert_eq!(rings(true, 62), [60, 62]);
        assert_eq!(rings(true, 30), [28, 30]);
        assert_eq!(rings(true, 2), [2]);
        assert_eq!(rings(true, 1), [1]);
        assert_eq!(rings(false, 150), [150]);
    }
}
