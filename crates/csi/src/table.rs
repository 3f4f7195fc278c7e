//! The sanitizer's table of `csi.v1`: generated rows, and the one policy that the specification does not know.

use tokenward_sanitize::{Enum, EnumId, Field, Kind, Message, MessageId, Table};

include!("generated/table.rs");

/// What [`tokenward_sanitize`] needs to know to show a message of this package.
pub static TABLE: Table = Table::new(MESSAGES, ENUMS, &[tokenward_tokens::TOKENS_KEY]);
