//! The rows of a table that was made while the program runs: owned, with all names in one text.

use std::ops::Range;

use crate::field::{Field, Name};
use crate::table::{Layout, MessageId};

/// A table's rows.
#[derive(Default)]
pub(crate) struct Compiled {
    /// All names.
    pub(crate) names: String,
    pub(crate) messages: Vec<CompiledMessage>,
    pub(crate) fields: Vec<Field>,
    /// For each message's fields, their positions in it, ascending by number.
    pub(crate) by_number: Vec<u16>,
    /// Values by number, ascending.
    pub(crate) enums: Vec<Vec<(i32, Name)>>,
    pub(crate) token_keys: Vec<String>,
}

/// A message, as a part of all fields.
pub(crate) struct CompiledMessage {
    pub(crate) name: Name,
    pub(crate) fields: Range<usize>,
}

impl Compiled {
    pub(crate) fn message(&self, id: MessageId) -> Option<Layout<'_>> {
        let CompiledMessage { fields, .. } = self.messages.get(usize::from(id.0))?;
        Some(Layout {
            fields: self.fields.get(fields.clone())?,
            by_number: self.by_number.get(fields.clone())?,
        })
    }

    pub(crate) fn name(&self, id: MessageId) -> Option<&str> {
        match self.messages.get(usize::from(id.0))?.name {
            Name::Compiled { start, end } => Some(self.text(start, end)),
            Name::Static(text) => Some(text),
        }
    }

    pub(crate) fn text(&self, start: u32, end: u32) -> &str {
        self.names.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Keeps a name. Past 4 GiB of names it is empty: no descriptor set has as many.
    pub(crate) fn keep(&mut self, text: &str) -> Name {
        let start = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push_str(text);
        let end = u32::try_from(self.names.len()).unwrap_or(start);
        Name::Compiled { start, end }
    }
}
