//! What a table's columns are.

use serde_json::{Value, json};

use super::seen::Seen;

/// A column.
pub(super) struct Column {
    name: &'static str,
    /// An OpenAPI type; what stands in the cells may be more than it says, as upstream has it.
    value_type: &'static str,
    /// `name` marks the column that names the object.
    format: &'static str,
    /// 0 is always shown, 1 only in wide output.
    priority: u8,
    description: &'static str,
}

/// The columns of a kind, and what stands in them.
pub(super) struct Layout {
    pub(super) columns: &'static [Column],
    pub(super) cells: fn(&Seen<'_>) -> Vec<Value>,
}

/// The object's name, first in nearly every table.
pub(super) const NAME: Column =
    Column { format: "name", ..text("Name", "The object's name, unique among its kind in its namespace.") };

/// How old the object is.
pub(super) const AGE: Column = text("Age", "How long ago the object was made.");

pub(super) const fn text(name: &'static str, description: &'static str) -> Column {
    Column { name, value_type: "string", format: "", priority: 0, description }
}

pub(super) const fn integer(name: &'static str, description: &'static str) -> Column {
    Column { value_type: "integer", ..text(name, description) }
}

pub(super) const fn boolean(name: &'static str, description: &'static str) -> Column {
    Column { value_type: "boolean", ..text(name, description) }
}

impl Column {
    pub(super) const fn of_type(self, value_type: &'static str) -> Self {
        Self { value_type, ..self }
    }

    pub(super) const fn naming(self) -> Self {
        Self { format: "name", ..self }
    }

    pub(super) const fn wide(self) -> Self {
        Self { priority: 1, ..self }
    }

    pub(super) fn define(&self) -> Value {
        json!({
            "name": self.name, "type": self.value_type, "format": self.format,
            "description": self.description, "priority": self.priority,
        })
    }
}
