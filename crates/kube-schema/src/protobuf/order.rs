//! The fields of each message by number, which is the order of the wire. The table itself keeps Go's order.

use std::sync::LazyLock;

use crate::generated::MESSAGES;
use crate::table::{Field, Message};

static BY_NUMBER: LazyLock<Vec<Vec<&'static Field>>> = LazyLock::new(|| {
    let sorted = |message: &'static Message| {
        let mut fields: Vec<&'static Field> = message.fields.iter().collect();
        fields.sort_by_key(|field| field.number);
        fields
    };
    MESSAGES.iter().map(sorted).collect()
});

/// A message of the table, with its fields in order.
#[derive(Clone, Copy)]
pub(super) struct Ordered {
    pub(super) message: &'static Message,
    pub(super) fields: &'static [&'static Field],
}

impl Ordered {
    /// The message at a place in the table.
    pub(super) fn at(index: u16) -> Self {
        let index = usize::from(index);
        Self { message: &MESSAGES[index], fields: &BY_NUMBER[index] }
    }

    /// The message of that name, which must be in the table.
    pub(super) fn named(name: &str) -> Self {
        let index =
            MESSAGES.binary_search_by(|message| message.name.cmp(name)).expect("a message of the table");
        Self { message: &MESSAGES[index], fields: &BY_NUMBER[index] }
    }

    /// The field of that number.
    pub(super) fn field(self, number: u32) -> Option<&'static Field> {
        let place = self.fields.binary_search_by_key(&number, |field| field.number).ok()?;
        Some(self.fields[place])
    }
}
