//! The events of one watch, written in the form that its client asked for.
//!
//! A change goes to all who watch, most of whom want it in the same form, one after the other on the same thread. So each
//! thread keeps the event that it wrote last, and the next watcher is given the same bytes.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use bytes::{Bytes, BytesMut};
use tokenward_store::Entry;

use super::Registry;
use crate::content::{Content, Shown, write_event};
use crate::form::Columns;
use crate::index::Index;
use crate::media::{Encoding, Form, Representation};
use crate::metrics::WatchCounters;
use crate::status::ApiError;
use crate::table::Include;

/// A larger one is not kept, since it would stay until the thread writes another.
const KEPT: usize = 64 * 1024;

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

/// The event that was written last.
struct Last {
    /// Of which entry, whose place no other can have for as long as this is here.
    entry: Weak<Entry<Index>>,
    kind: &'static str,
    encoding: Encoding,
    event: Bytes,
}

impl Last {
    fn is(&self, entry: &Arc<Entry<Index>>, kind: &str, encoding: Encoding) -> bool {
        std::ptr::eq(self.entry.as_ptr(), Arc::as_ptr(entry))
            && self.kind == kind
            && self.encoding == encoding
    }
}

/// Writes events one after the other.
pub(crate) struct EventWriter {
    representation: Representation,
    include: Include,
    columns: Columns,
    counters: WatchCounters,
}

impl EventWriter {
    pub(crate) fn new(representation: Representation, include: Include, counters: WatchCounters) -> Self {
        Self { representation, include, columns: Columns::Told, counters }
    }

    /// An event by itself, which other watchers may share.
    pub(super) fn alone(
        &mut self,
        registry: &Registry,
        kind: &'static str,
        shown: Shown,
    ) -> Result<Bytes, ApiError> {
        let Representation { form, encoding } = self.representation;
        let entry = shown.entry().filter(|_| form == Form::Object).cloned();
        if let Some(entry) = &entry {
            let known = LAST.with_borrow(|last| {
                last.as_ref().filter(|last| last.is(entry, kind, encoding)).map(|last| last.event.clone())
            });
            if let Some(event) = known {
                self.counters.event(event.len());
                return Ok(event);
            }
        }
        let mut written = BytesMut::new();
        self.write(registry, &mut written, kind, shown.into())?;
        let event = written.freeze();
        if let Some(entry) = entry.filter(|_| event.len() <= KEPT) {
            let last = Last { entry: Arc::downgrade(&entry), kind, encoding, event: event.clone() };
            LAST.set(Some(last));
        }
        Ok(event)
    }

    /// Writes an event. Of tables only the first tells its columns.
    pub(super) fn write(
        &mut self,
        registry: &Registry,
        into: &mut BytesMut,
        kind: &str,
        content: Content,
    ) -> Result<(), ApiError> {
        let before = into.len();
        let form = self.representation.form;
        let content = if form == Form::Object {
            content
        } else {
            let content = content.in_form(form, &registry.scene(self.include), self.columns)?;
            if matches!(content, Content::Table(_)) {
                self.columns = Columns::Known;
            }
            content
        };
        write_event(into, kind, content, self.representation)?;
        self.counters.event(into.len() - before);
        Ok(())
    }
}
