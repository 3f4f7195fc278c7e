//! The events of one watch, written in the form that its client asked for, in pieces that watchers share where they can.

mod recent;

use bytes::{Bytes, BytesMut};

use super::Registry;
use crate::content::{Content, Shown, write_event};
use crate::form::Columns;
use crate::media::{Form, Representation};
use crate::metrics::WatchCounters;
use crate::status::ApiError;
use crate::table::Include;

/// What an event is to its watcher: what it is called, and the object that is shown with it.
pub(super) type Seen = (&'static str, Shown);

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

    /// Events in one piece. If one of them cannot be written, those before it still are.
    pub(super) fn piece(&mut self, registry: &Registry, events: &[Seen]) -> (Bytes, Result<(), ApiError>) {
        let Representation { form, encoding } = self.representation;
        // Only the first rows of a table have columns: they are nobody else's.
        let is_shared = form == Form::Object;
        if is_shared && let Some(piece) = recent::find(encoding, events, |bytes| self.counters.event(bytes)) {
            return (piece, Ok(()));
        }
        let mut written = BytesMut::new();
        let mut sizes = Vec::with_capacity(events.len());
        for (kind, shown) in events {
            let before = written.len();
            if let Err(error) = self.write(registry, &mut written, kind, shown.clone().into()) {
                return (written.freeze(), Err(error));
            }
            sizes.push(written.len() - before);
        }
        let piece = written.freeze();
        if is_shared {
            recent::keep(encoding, events, &sizes, &piece);
        }
        (piece, Ok(()))
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
