//! The events of one watch, written in the form that its client asked for.

use bytes::BytesMut;

use super::Registry;
use crate::content::{Content, write_event};
use crate::form::Columns;
use crate::media::{Form, Representation};
use crate::metrics::WatchCounters;
use crate::status::ApiError;
use crate::table::Include;

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

    /// Writes an event. Of tables only the first tells its columns.
    pub(super) fn write(
        &mut self,
        registry: &Registry,
        into: &mut BytesMut,
        kind: &str,
        content: Content,
    ) -> Result<(), ApiError> {
        self.counters.event();
        let form = self.representation.form;
        if form == Form::Object {
            return write_event(into, kind, content, self.representation);
        }
        let content = content.in_form(form, &registry.scene(self.include), self.columns)?;
        if matches!(content, Content::Table(_)) {
            self.columns = Columns::Known;
        }
        write_event(into, kind, content, self.representation)
    }
}
